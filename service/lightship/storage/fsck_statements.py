"""fsck of statements: indexes without gaps, stamps that rise, and an entry for every object there is or was.

Statements and objects of a collection are walked side by side in order of their stamps, so that one pass
over both finds what lacks its counterpart. Read-only; what needs a look elsewhere goes to the scratch file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import apsw

from lightship.core.collection import KEY_SHIFT, STATEMENT_BYTES, STATEMENT_ENTRIES, stamp_of
from lightship.core.errors import MalformedRequest
from lightship.core.stamps import entry_stamps
from lightship.core.stix.json import canonical, decode
from lightship.core.time import MAX_MICROS, format_stamp
from lightship.storage.fsck_objects import Stored, check_row, instant_of, place, stored
from lightship.storage.fsck_scratch import CLOCK_SLACK, Scratch
from lightship.storage.sqlite.connection import select
from lightship.storage.sqlite.rows import idhash

_ROWS = """
SELECT key, at, by, agreement, body, req, signatures <> x'' FROM statement
WHERE key BETWEEN ? AND ? ORDER BY key"""
_HEADS = """
SELECT number, id, agreement, agreement_version, hub, generation, size, last, last_added, objects,
  stored_bytes FROM collection ORDER BY number"""
_SAME = "collection = ? AND id = ? AND version = ?"
_WITHDRAWN_LATER = f"SELECT 1 FROM withdrawal WHERE {_SAME} AND stamp > ?"  # noqa: S608  (no value in it)
_WITHDRAWN_FOR = f"SELECT 1 FROM withdrawal WHERE {_SAME} AND reason = ?"  # noqa: S608  (no value in it)
_ADDED_BY = f"SELECT 1 FROM gone WHERE {_SAME} AND stamp < ? AND owner = ? AND ? IN (0, stamp)"  # noqa: S608  (no value in it)
"""One that was attested again was added before that."""
_WITHDRAWN = """
SELECT reason, lower(hex(digest)), owner, added, at, version, spec_version FROM withdrawn
WHERE idhash = ? AND collection = ? AND id = ? AND version_text = ?"""
_MEMBERS = {"add", "collection", "hub", "key", "prev", "seq", "withdraw"}


class Head(NamedTuple):
    """One row of `collection`."""

    number: int
    id: str
    agreement: str
    agreement_version: int
    hub: str
    generation: int
    size: int
    last: int
    last_added: int
    objects: int
    stored_bytes: int


@dataclass(slots=True)
class Counted:
    """What the walk over one collection counted."""

    statements: int = 0
    last: int = 0
    last_added: int = 0
    objects: int = 0
    stored_bytes: int = 0


class Entry(NamedTuple):
    """One entry of a statement: `kind` is add, withdraw, agreement, roster or suspension."""

    stamp: int
    kind: str
    fields: list[str]
    by: str
    place: str


def heads(db: apsw.Connection) -> list[Head]:
    """Return all collections."""
    return [Head(*row) for row in db.execute(_HEADS)]


def check_collection(
    db: apsw.Connection, head: Head, digests: dict[tuple[str, int], str], scratch: Scratch
) -> Iterator[Stored]:
    """Check a collection; yield each object row once it was checked.

    Args:
        digests: (agreement, version) -> hex SHA-256 of its payload.
    """
    counted = Counted()
    entries = _entries(db, head, digests, counted, scratch)
    entry = next(entries, None)
    for row in stored(db, head.number):
        check_row(row, scratch)
        counted.objects += 1
        counted.stored_bytes += len(row.body)
        while entry is not None and entry.stamp < stamp_of(row.key):
            _loose(head, entry, scratch)
            entry = next(entries, None)
        if entry is not None and entry.stamp == stamp_of(row.key):
            _check_pair(row, entry, scratch)
            entry = next(entries, None)
        else:
            scratch.find(row.place, "no statement adds it at this stamp")
        yield row
    while entry is not None:
        _loose(head, entry, scratch)
        entry = next(entries, None)
    _check_counters(head, counted, scratch)


def _check_pair(row: Stored, entry: Entry, scratch: Scratch) -> None:
    if entry.kind != "add":
        scratch.find(row.place, f"its stamp belongs to a {entry.kind} entry of {entry.place}")
    elif entry.fields != [row.id, row.version_text, row.digest.hex()]:
        scratch.find(row.place, f"{entry.place} adds {' '.join(entry.fields)} at its stamp")
    elif entry.by != row.owner:
        scratch.find(row.place, f"its owner is {row.owner!r}, but {entry.place} is by {entry.by!r}")


def _loose(head: Head, entry: Entry, scratch: Scratch) -> None:
    if entry.kind == "add":
        scratch.gone(head.number, entry.fields, entry.stamp, entry.place, entry.by)
    elif entry.kind == "withdraw":
        scratch.withdrawal(head.number, entry.fields, entry.stamp, entry.place)


def _check_counters(head: Head, counted: Counted, scratch: Scratch) -> None:
    pairs = (
        ("size", head.size, counted.statements),
        ("last", head.last, counted.last),
        ("last_added", head.last_added, counted.last_added),
        ("objects", head.objects, counted.objects),
        ("stored_bytes", head.stored_bytes, counted.stored_bytes),
    )
    for name, kept, found in pairs:
        if kept != found:
            scratch.find(f"collection {head.number} ({head.id})", f"{name} is {kept}, counted were {found}")


# --- the statements of one collection -----------------------------------------------------------


def _entries(
    db: apsw.Connection,
    head: Head,
    digests: dict[tuple[str, int], str],
    counted: Counted,
    scratch: Scratch,
) -> Iterator[Entry]:
    low = head.number << KEY_SHIFT
    version = 0
    for key, kept_at, by, agreement, body, req, signed in db.execute(_ROWS, (low, low | MAX_MICROS)):
        idx, at = stamp_of(key), min(max(kept_at, 0), MAX_MICROS)
        where = f"collection {head.number}, statement {idx}"
        if at != kept_at:
            scratch.find(where, f"its stamp {kept_at} is no time")
        if idx != counted.statements:
            scratch.find(where, f"statements {counted.statements} to {idx - 1} are missing")
        counted.statements = idx + 1
        if agreement < version or agreement > head.agreement_version:
            scratch.find(where, f"it names version {agreement} of the agreement, which cannot be")
        version = max(version, agreement)
        entries = _read(db, head, _Row(by, agreement, body, bool(signed)), digests, where, scratch)
        if at - len(entries) + 1 <= counted.last:
            scratch.find(where, f"its stamps do not rise: it ends at {format_stamp(at)}")
        counted.last = max(counted.last, at)
        scratch.event(req, at, where)
        if not by and (what := _told(head.agreement, body)):
            scratch.told(what, at, req)
        for stamp, (kind, fields) in zip(entry_stamps(at, len(entries)), entries, strict=True):
            if kind == "add":
                counted.last_added = max(counted.last_added, stamp)
            yield Entry(stamp, kind, fields, by, where)


class _Row(NamedTuple):
    """What a statement's row says."""

    by: str
    agreement: int
    body: bytes
    signed: bool


def _read(
    db: apsw.Connection,
    head: Head,
    row: _Row,
    digests: dict[tuple[str, int], str],
    where: str,
    scratch: Scratch,
) -> list[tuple[str, list[str]]]:
    """Return the entries of a statement, each with its kind; an unreadable one takes one stamp."""
    by, agreement, body, signed = row
    try:
        value: Any = decode(body)
        if canonical(value) != body:
            scratch.find(where, "it is not in canonical form (RFC 8785)")
        if value.keys() == {"agreement", "sha256"}:
            if by or value != {"agreement": agreement, "sha256": digests.get((head.agreement, agreement))}:
                scratch.find(where, f"it does not name version {agreement} of {head.agreement} as it is kept")
            return [("agreement", [])]
        if value.keys() == {"member", "roster"}:
            if by or not _is_kept(db, head.agreement, value["member"], value["roster"]):
                scratch.find(where, f"it names a roster of {value['member']} that is not kept")
            return [("roster", [])]
        if value.keys() == {"suspend"}:
            if by:
                scratch.find(where, f"it is a suspension, but by {by!r}")
            return [("suspension", [])]
        added = [list(map(str, entry)) for entry in value["add"]]
        withdrawn = [list(map(str, entry)) for entry in value["withdraw"]]
        if value.keys() != _MEMBERS or {len(one) for one in added + withdrawn} != {3}:
            raise ValueError("it does not have the members of a statement")
    except (MalformedRequest, ValueError, KeyError, TypeError, AttributeError) as error:
        scratch.find(where, f"it cannot be read: {error}")
        return [("agreement", [])]
    if (value["collection"], value["hub"]) != (head.id, head.hub):
        scratch.find(where, "it is of another collection or hub")
    if len(added) + len(withdrawn) > STATEMENT_ENTRIES or len(body) > STATEMENT_BYTES:
        scratch.find(where, "it is larger than a statement may be")
    if signed != bool(value["key"]):
        scratch.find(where, "it names a key and has no signature, or the other way round")
    if added and withdrawn and not signed:
        scratch.find(where, "it adds and withdraws at once")
    return [("withdraw", one) for one in withdrawn] + [("add", one) for one in added]


def _told(agreement: str, body: bytes) -> str:
    """Return what the hub's own statement tells of: its time is compared with that of its event."""
    try:
        value: Any = decode(body)
    except MalformedRequest:
        return ""
    match value:
        case {"agreement": version, "sha256": _}:
            return f"agreement {agreement}, version {version}"
        case {"roster": digest, "member": _}:
            return f"roster {digest} in {agreement}"
        case {"suspend": _}:
            return f"suspension {sha256(body).hexdigest()} of {agreement}"
    return ""


def _is_kept(db: apsw.Connection, agreement: str, member: object, digest: object) -> bool:
    sql = "SELECT count(*) FROM roster WHERE agreement = ? AND member = ? AND digest = ?"
    return bool(db.execute(sql, (agreement, str(member), str(digest))).get)


# --- loose ends ---------------------------------------------------------------------------------


def check_loose_ends(db: apsw.Connection, scratch: Scratch) -> None:
    """Check that what is not stored was withdrawn, and that what was withdrawn is not stored."""
    scratch.index()
    for collection, object_id, version, stamp, where in scratch.rows(
        "SELECT collection, id, version, stamp, place FROM gone"
    ):
        if not scratch.has(_WITHDRAWN_LATER, (collection, object_id, version, stamp)) and not _attested(
            db, collection, object_id, version, stamp
        ):
            named = place(collection, object_id, version, stamp)
            scratch.find(named, f"{where} adds it and nothing withdraws it, but it is not stored")
    for collection, object_id, version, stamp, reason, where in scratch.rows("SELECT * FROM withdrawal"):
        _check_withdrawal(db, (collection, object_id, version), stamp, reason, where, scratch)
    for collection, object_id, text, reason in db.execute(
        "SELECT collection, id, version_text, reason FROM withdrawn"
    ):
        if not scratch.has(_WITHDRAWN_FOR, (collection, object_id, text, reason)):
            named = f"collection {collection}, {object_id} {text or '-'}"
            scratch.find(named, f"it is kept as withdrawn ({reason}), but no statement withdraws it")


def _attested(db: apsw.Connection, collection: int, object_id: str, version: str, stamp: int) -> bool:
    """Whether the version was live already: a signed add of it attests it once more and changes nothing."""
    rows = db.execute(
        "SELECT key FROM object WHERE idhash = ? AND id = ? AND version_text = ?",
        (idhash(collection, object_id), object_id, version),
    )
    return any(row[0] >> KEY_SHIFT == collection and stamp_of(row[0]) < stamp for row in rows)


def _check_withdrawal(
    db: apsw.Connection, name: tuple[int, str, str], stamp: int, reason: str, where: str, scratch: Scratch
) -> None:
    collection, object_id, version = name
    named = place(collection, object_id, version, stamp)
    code = idhash(collection, object_id)
    live = [
        stamp_of(row[0])
        for row in db.execute(
            "SELECT key FROM object WHERE idhash = ? AND id = ? AND version_text = ?",
            (code, object_id, version),
        )
        if row[0] >> KEY_SHIFT == collection
    ]
    adds = "SELECT digest FROM gone WHERE collection = ? AND id = ? AND version = ? AND stamp"
    before = scratch.db.execute(f"{adds} < ? ORDER BY stamp DESC LIMIT 1", (*name, stamp)).fetchone()
    if any(one < stamp for one in live):
        scratch.find(named, f"{where} withdraws it, but its body is still stored")
    elif before is None:
        scratch.find(named, f"{where} withdraws what was never added")
    if scratch.has(f"{adds} > ?", (*name, stamp)) or any(one > stamp for one in live):
        return  # added again: nothing else is kept of the withdrawal
    kept = select(db, _WITHDRAWN, (code, *name))
    if not kept:
        scratch.find(named, f"{where} withdraws it, but it is not kept as withdrawn")
        return
    said, digest, owner, added, at, instant, spec = kept[0]
    if said != reason or (before is not None and digest != before[0]):
        scratch.find(named, f"{where} withdraws it ({reason}), but reason or digest are kept otherwise")
    elif before is not None and not scratch.has(_ADDED_BY, (*name, stamp, owner, added)):
        scratch.find(named, "it is kept as another member's, or added at another time")
    elif instant != instant_of(version) or spec not in {"2.0", "2.1"} or abs(stamp - at) > CLOCK_SLACK:
        scratch.find(named, "version, spec_version or time of its withdrawal are kept otherwise")
