"""Statement rows: what the hub attests, or a publisher signed, of each write: canonical JSON (RFC 8785).

A row holds at most 256 entries and 45,000 bytes, so that it fits a transparency log's entry. Its numbers are
small integers and its names ASCII: there orjson's sorted form is the canonical one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from lightship.core.collection import STATEMENT_BYTES, STATEMENT_ENTRIES
from lightship.core.time import Micros

Entry = tuple[str, str, str]
"""(id, version as written, hex SHA-256) of an add; (id, version as written, reason) of a withdrawal."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One stored row. `by` is a member, empty for the hub; `agreement` the version in force."""

    collection: int
    idx: int
    at: Micros
    by: str
    agreement: int
    body: bytes
    signatures: bytes = b""


@dataclass(frozen=True, slots=True)
class Part:
    """A body, how many stamps it takes, and its signatures (`leaves.encode_signatures`)."""

    body: bytes
    size: int
    signatures: bytes = b""


def publication(
    collection: str, hub: str, *, add: Sequence[Entry] = (), withdraw: Sequence[Entry] = ()
) -> list[Part]:
    """Return the hub-attested statements that hold these entries, in order.

    Args:
        collection: its UUID.
        hub: hex SHA-256 of the payload of the agreement's version 1.
        add, withdraw: entries; one of the two is empty.
    """
    name, entries = ("add", add) if add else ("withdraw", withdraw)
    parts = []
    for chunk in _chunks(entries, STATEMENT_ENTRIES):
        body = _body(collection, hub, name, chunk)
        if len(body) <= STATEMENT_BYTES:
            parts.append(Part(body, len(chunk)))
            continue
        room = STATEMENT_BYTES - len(_body(collection, hub, name, ()))
        parts += [Part(_body(collection, hub, name, some), len(some)) for some in _fitting(chunk, room)]
    return parts


def agreement_change(version: int, digest: str) -> Part:
    """Return the statement that an agreement's new version takes effect."""
    return Part(orjson.dumps({"agreement": version, "sha256": digest}), 1)


def roster_change(member: str, digest: str) -> Part:
    """Return the statement that a member's roster takes effect."""
    return Part(orjson.dumps({"member": member, "roster": digest}), 1)


def suspension(envelope: bytes) -> Part:
    """Return the statement that a suspension, in its canonical envelope, takes effect."""
    return Part(b'{"suspend":%b}' % envelope, 1)


def _body(collection: str, hub: str, name: str, entries: Sequence[Entry]) -> bytes:
    fields = {
        "add": (),
        "collection": collection,
        "hub": hub,
        "key": "",
        "prev": "",
        "seq": 0,
        "withdraw": (),
    }
    fields[name] = entries
    return orjson.dumps(fields)  # written in sorted order


def _chunks(entries: Sequence[Entry], size: int) -> Iterator[Sequence[Entry]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


def _fitting(entries: Sequence[Entry], room: int) -> Iterator[list[Entry]]:
    """Yield runs of entries whose JSON with commas takes at most `room` bytes (one entry at least)."""
    some: list[Entry] = []
    used = 0
    for entry in entries:
        size = len(orjson.dumps(entry)) + 1
        if some and used + size > room + 1:  # the last entry has no comma
            yield some
            some, used = [], 0
        some.append(entry)
        used += size
    if some:
        yield some
