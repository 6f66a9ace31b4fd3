"""Looks at a remote hub as a tool would meet it: address, TLS, clock, credential, media types, paging.

Each check goes on from what the one before found; it reads one object at most and writes nothing.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

from lightship.client.certificate import read
from lightship.client.connection import ACCEPT, Look
from lightship.client.errors import Unreachable
from lightship.client.hub import Client, RemoteCollection
from lightship.core.errors import LightshipError
from lightship.core.time import Micros

Verdict = Literal["ok", "warning", "failed"]
SKEW_S = 60
"""A clock that is off by more misses or repeats objects in tools that poll by their own clock."""
CERTIFICATE_DAYS = 21


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `todo` is empty where all is well."""

    check: str
    verdict: Verdict
    text: str
    todo: str = ""


def examine(client: Client, now: datetime) -> Iterator[Finding]:
    """Yield what is found, in the order in which a first contact goes wrong; ends early if nothing answers.

    Args:
        client: of the profile to look at.
        now: this machine's clock, with a time zone.
    """
    try:
        look = client.connection.look("/taxii2/")
    except Unreachable as error:
        yield Finding(
            "tls" if error.code == "not-trusted" else "address",
            "failed",
            f"{error.title}. {error.why}",
            error.todo,
        )
        return
    yield Finding("address", "ok", f"{client.connection.origin} answers")
    if client.connection.client is not None:
        yield _certificate(client.connection.client.cert, now)
    yield from _tls(look, now)
    yield _clock(look, now)
    try:
        roots = client.roots()
        collections = client.collections()
    except LightshipError as error:
        yield Finding("credential", "failed", f"{error.title}. {error.why}".strip(), error.todo)
        return
    yield Finding("credential", "ok", f"belongs to {', '.join(root.name for root in roots) or 'nothing'}")
    yield from _accept(client)
    yield _rights(collections)
    readable = [one for one in collections if one.can_read]
    if readable:
        yield from _paging(client, readable[0])


def _tls(look: Look, now: datetime) -> Iterator[Finding]:
    if not look.tls:
        yield Finding("tls", "warning", "plain http", "Fine on this machine only")
        return
    yield Finding("tls", "ok", f"{look.tls}, certificate trusted")
    if look.not_after:
        ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(look.not_after), UTC)
        days = (ends - now).days
        near = days < CERTIFICATE_DAYS
        yield Finding(
            "certificate",
            "warning" if near else "ok",
            f"valid for {days} more days",
            "Ask the hub's steward to renew it" if near else "",
        )


def _certificate(path: Path, now: datetime) -> Finding:
    """The client certificate of the profile; that the hub's TLS took it is seen, not whose client it is."""
    at = Micros(int(now.timestamp() * 1_000_000))
    found = read(path, at)
    if found.not_after is None:
        return Finding("client", "failed", f"{path} holds no certificate", "Give --client-cert a certificate")
    days = (found.not_after - at) // (86_400 * 1_000_000)
    near = days < CERTIFICATE_DAYS
    text = f"certificate {found.subject}, pin {found.pin}, valid for {days} more days"
    return Finding("client", "warning" if near else "ok", text, "Have it renewed" if near else "")


def _clock(look: Look, now: datetime) -> Finding:
    try:
        skew = (now - parsedate_to_datetime(look.headers.get("date", ""))).total_seconds()
    except (ValueError, TypeError):
        return Finding("clock", "warning", "the hub sends no Date", "Compare the clocks by hand")
    if abs(skew) > SKEW_S:
        way = "ahead of" if skew > 0 else "behind"
        return Finding(
            "clock", "failed", f"this machine is {abs(skew):.0f} s {way} the hub", "Set the clock (NTP)"
        )
    return Finding("clock", "ok", f"within {max(abs(skew), 1):.0f} s of the hub's")


def _accept(client: Client) -> Iterator[Finding]:
    for accept in (ACCEPT, "application/taxii+json; version=2.1", "application/taxii+json", "*/*"):
        look = client.connection.look("/taxii2/", accept=accept)
        kind = look.headers.get("content-type", "")
        if look.status != 200 or kind.replace(" ", "").lower() != ACCEPT:
            yield Finding(
                "accept", "warning", f"Accept: {accept} gives {look.status} {kind}", f"Send Accept: {ACCEPT}"
            )
            return
    yield Finding("accept", "ok", "all usual Accept headers are served")


def _rights(collections: tuple[RemoteCollection, ...]) -> Finding:
    read = [one.name for one in collections if one.can_read]
    write = [one.name for one in collections if one.can_write]
    if not read and not write:
        return Finding("rights", "failed", "no collection can be read or written", "Ask the hub's steward")
    return Finding(
        "rights", "ok", f"reads {', '.join(read) or 'nothing'}; writes {', '.join(write) or 'nothing'}"
    )


def _paging(client: Client, collection: RemoteCollection) -> Iterator[Finding]:
    path = f"{collection.path}objects/"
    try:
        first = client.connection.get(path, {"limit": 1})
        value = first.value or {}
        if not value.get("objects"):
            yield Finding("paging", "ok", f"{collection.name} holds nothing for this credential yet")
            return
        if "X-TAXII-Date-Added-Last" not in first.headers:
            yield Finding(
                "paging", "failed", "no X-TAXII-Date-Added headers", "Something in between drops them"
            )
            return
        if value.get("more") is not True:
            yield Finding("paging", "ok", f"{collection.name} holds one object")
            return
        second = client.connection.get(path, {"limit": 1, "next": str(value.get("next", ""))})
        if not second.value or second.value.get("objects") == value["objects"]:
            yield Finding("paging", "failed", f"{collection.name}: `next` gives the same page again")
            return
    except LightshipError as error:
        yield Finding("paging", "failed", f"{collection.name}: {error.title}. {error.why}", error.todo)
        return
    yield Finding("paging", "ok", f"{collection.name} pages by `next`, with date headers")
