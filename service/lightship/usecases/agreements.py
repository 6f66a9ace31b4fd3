"""Agreements: check a file, put it in force, show what is.

`apply` signs the file's content as the next version, verifies the whole chain with it exactly as a reader
will, and activates it together with its access event. A file with any mistake changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from lightship.core import dsse
from lightship.core.access import Action, Grant, System
from lightship.core.agreement import (
    PAYLOAD_TYPE,
    Agreement,
    AgreementStatus,
    BadAgreement,
    Chain,
    Verify,
    load_payload,
    parse_toml,
)
from lightship.core.agreement import lines as toml_lines
from lightship.core.agreement.chain import HUB_PARTY, Link, key_text, make_root
from lightship.core.agreement.consistency import resolve
from lightship.core.agreement.form import notes
from lightship.core.agreement.load import POLICY, as_written, replay
from lightship.core.agreement.problems import Problem
from lightship.core.audit import AccessEvent
from lightship.core.collection import Level
from lightship.core.errors import Damaged, NotFound
from lightship.core.ports import Reader, Registry, SignedAgreement
from lightship.core.time import Micros
from lightship.usecases.directory import Directory, HubView
from lightship.usecases.impact import Impact, compare


class Signer(Protocol):
    """A key that signs; `public` is the raw Ed25519 key, `keyid` its SHA-256 in hex."""

    @property
    def public(self) -> bytes: ...
    @property
    def keyid(self) -> str: ...
    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Report:
    """What a file without mistakes would do.

    `version` is the one it would become; `unchanged` that it says what is in force already. `notes` are
    sentences about what is signed but not acted on yet. `agreement` is the outcome as a value.
    """

    agreement: Agreement
    version: int
    unchanged: bool
    impact: Impact
    notes: tuple[str, ...]
    status: AgreementStatus


@dataclass(frozen=True, slots=True)
class Applied:
    """An agreement that is now in force as `signed` says; `changed` is False if it was already."""

    report: Report
    signed: SignedAgreement
    changed: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """An agreement with its chain, oldest version first."""

    agreement: Agreement
    status: AgreementStatus
    chain: tuple[SignedAgreement, ...]


def check(
    registry: Registry,
    reader: Reader,
    text: str,
    path: str,
    *,
    hub_key: bytes,
    verify: Verify,
    now: Micros,
) -> Report:
    """Check an agreement file against the form and against what is in force.

    Args:
        registry: what is in force.
        reader: is asked whether a collection ever held an object.
        text: the file's content.  path: its name, for complaints.
        hub_key: the raw public key of this hub.
        verify: the signature check.
        now: microseconds.

    Raises:
        BadFile: it has mistakes; `BadAgreement.problems` names every one.
        Damaged: the chain that it would follow does not hold.
    """
    report, _ = _prepare(registry, reader, text, path, hub_key, verify, now)
    return report


def apply(
    registry: Registry,
    reader: Reader,
    directory: Directory,
    text: str,
    path: str,
    *,
    signer: Signer,
    verify: Verify,
    req: str,
    now: Micros,
) -> Applied:
    """Sign the file's content as the next version and put it in force; what is in force already stays.

    Args: as `check`, and the hub's `signer`, a fresh request id `req`, and the directory that readers use.

    Raises:
        BadFile, Damaged: as `check`.
        Conflict: another version was activated in the meantime.
    """
    report, chain = _prepare(registry, reader, text, path, signer.public, verify, now)
    links = registry.chain(report.agreement.id)
    if report.unchanged:
        return Applied(report, links[-1], False)
    last = chain.last
    content = _content(parse_toml(text, path), report.version, last)
    payload = dsse.canonical(content)
    signature = dsse.Signature(signer.keyid, signer.sign(dsse.pae(PAYLOAD_TYPE, payload)))
    envelope = dsse.encode(dsse.Envelope(PAYLOAD_TYPE, payload, (signature,)))
    link = chain.append(envelope)
    signed = SignedAgreement(report.agreement.id, link.version, payload, envelope, link.digest, now)
    event = AccessEvent(
        req=req,
        at=now,
        act="agreement-apply",
        agr=signed.agreement,
        cred="steward",
        q=f"version {signed.version} sha256 {signed.digest}",
        why="steward",
        n=len(report.agreement.collections),
    )
    registry.activate(signed, [one.id for one in report.agreement.collections], event)
    in_force = directory.view().agreements.get(signed.agreement)
    if in_force is None or in_force.version < signed.version:
        raise Damaged(f"Agreement `{signed.agreement}` was stored but cannot be read back")
    return Applied(report, signed, True)


def show(registry: Registry, view: HubView, agreement: str, now: Micros) -> Shown:
    """Return an agreement and its chain.

    Raises:
        NotFound: there is none.  Damaged: its chain does not hold.
    """
    found = view.agreements.get(agreement)
    if found is None:
        if agreement in view.damaged:
            raise Damaged(f"Agreement `{agreement}` is not served", why=view.damaged[agreement])
        raise NotFound(
            f"There is no agreement `{agreement}` in force",
            todo=f"There are: {', '.join(sorted(view.agreements)) or 'none yet'}",
        )
    return Shown(found, found.status(now), tuple(registry.chain(agreement)))


def _prepare(
    registry: Registry, reader: Reader, text: str, path: str, hub_key: bytes, verify: Verify, now: Micros
) -> tuple[Report, Chain]:
    """Check a file and everything that it meets on this hub."""
    written = parse_toml(text, path)
    name = written["id"]
    links = registry.chain(name)
    chain, old = _replay(name, links, verify)
    problems = [*_key_problems(written, hub_key), *_taken(registry, written)]
    if problems:
        raise BadAgreement(path, toml_lines.index(text), problems)
    last = chain.last
    unchanged = last is not None and as_written(last.content) == as_written(written)
    version = 1 if last is None else last.version + (0 if unchanged else 1)
    new = _as_value(_content(written, version, last), chain.hub)
    used = _used(registry, reader, new)
    impact = Impact() if unchanged else compare(old, new, used & _ever_red(new, links))
    problems = _red_problems(new, links, used)
    if problems:
        raise BadAgreement(path, toml_lines.index(text), problems)
    said = tuple(f"{'.'.join(one.path)}: {one.text}" for one in notes(written))
    status = new.status(now)
    if notice := new.notice(now):
        said += (f"not_after: this date is past. {notice}",)
    return Report(new, version, unchanged, impact, said, status), chain


def _replay(name: str, links: Sequence[SignedAgreement], verify: Verify) -> tuple[Chain, Agreement | None]:
    """Verify what is in force, and return it as a value."""
    chain = replay(name, [(one.envelope, one.payload) for one in links], verify)
    return chain, None if chain.last is None else _as_value(chain.last.content, chain.hub)


def _content(written: dict[str, Any], version: int, last: Link | None) -> dict[str, Any]:
    """Return what is signed: what people wrote, and its place in the chain."""
    if last is not None and last.version >= version:
        return last.content
    authority = written["authority"]
    return written | {
        "version": version,
        "prev": "" if last is None else last.digest,
        "root": make_root(authority["threshold"], authority["keys"]),
        "logs": [],
        "witnesses": written.get("witnesses", []),
        "policy": POLICY,
    }


def _as_value(content: dict[str, Any], hub: str) -> Agreement:
    """Return the agreement that this content would be; collections are counted from 1, not as stored."""
    numbers = {one["id"]: number for number, one in enumerate(content["collections"].values(), 1)}
    return load_payload(dsse.canonical(content), numbers, hub=hub)


def _key_problems(written: dict[str, Any], hub_key: bytes) -> list[Problem]:
    if written["authority"]["keys"].get(HUB_PARTY) == key_text(hub_key):
        return []
    return [
        Problem(
            ("authority", "keys", HUB_PARTY),
            "The agreement names another hub's key",
            "at threshold 1 this hub's own key signs",
            f'Write keys.hub = "{key_text(hub_key)}"',
        )
    ]


def _taken(registry: Registry, written: dict[str, Any]) -> list[Problem]:
    """Find collections whose id another agreement has, now or in an earlier version."""
    mine = {one["id"]: alias for alias, one in written["collections"].items()}
    found = []
    for other in registry.agreement_ids():
        if other == written["id"]:
            continue
        held = {one for link in registry.chain(other) for one in _collections(link)}
        found += [
            Problem(
                ("collections", alias, "id"),
                f"The id of collection `{alias}` belongs to agreement `{other}`",
                "an id names one collection for ever",
                "Write a new UUIDv4",
            )
            for key, alias in mine.items()
            if key in held
        ]
    return found


def _used(registry: Registry, reader: Reader, new: Agreement) -> set[str]:
    """Return the ids of the collections that have ever held an object, withdrawn ones too."""
    numbers, epoch = registry.collection_numbers(), registry.epoch()
    known = [replace(one, number=numbers[one.id]) for one in new.collections if one.id in numbers]
    grants = [Grant(System("agreement check"), Action.READ, one, epoch) for one in known]
    return {grant.collection.id for grant in grants if reader.state(grant).last}


def _ever_red(new: Agreement, links: Sequence[SignedAgreement]) -> set[str]:
    """Return the ids of the collections whose ceiling is `red`, or was in any version."""
    written = [one for link in links for one in json.loads(link.payload)["collections"].values()]
    before = {one["id"] for one in written if one["ceiling"] == Level.RED}
    return before | {one.id for one in new.collections if one.ceiling is Level.RED}


def _red_problems(new: Agreement, links: Sequence[SignedAgreement], used: set[str]) -> list[Problem]:
    """Refuse to widen the audience of what may hold TLP:RED: RED was for those who were in it.

    What counts is the newest version that has the collection, so that taking it out and putting it back, or
    lowering its ceiling first, widens nothing either. One that never held an object has nothing to protect.
    """
    contents = [json.loads(link.payload) for link in links]
    found = []
    for one in new.collections:
        held = [
            (old, content["members"])
            for content in contents
            for old in content["collections"].values()
            if old["id"] == one.id
        ]
        if one.id not in used or not any(old["ceiling"] == Level.RED for old, _ in held):
            continue
        gained = sorted(one.audience - resolve(held[-1][0], "audience", held[-1][1]))
        if gained:
            found.append(
                Problem(
                    ("collections", one.alias, "audience"),
                    f"The audience of `{one.alias}` cannot be widened",
                    f"it may hold TLP:RED objects, which were not meant for {', '.join(gained)}",
                    "Make a new collection for the wider audience",
                )
            )
    return found


def _collections(link: SignedAgreement) -> set[str]:
    """Return the collection ids of a stored version."""
    return {one["id"] for one in json.loads(link.payload)["collections"].values()}
