"""fsck of the access log: no gap, no altered event, no statement without its event. Read-only.

An event's canonical bytes are compared with the columns made from them, and with `q` and `ip` through their
salted digests as long as these are not erased. The trees over them are checked by `fsck_log`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import orjson

from lightship.core.audit import AccessEvent
from lightship.core.errors import LightshipError
from lightship.core.time import MAX_MICROS, Micros, format_stamp
from lightship.storage.event_leaf import Salts, from_leaf, salted, to_leaf
from lightship.storage.fsck_log import HubKey, Trees
from lightship.storage.fsck_scratch import CLOCK_SLACK, Scratch
from lightship.storage.sqlite.access_files import year_of
from lightship.storage.sqlite.access_search import OUTCOMES
from lightship.storage.sqlite.access_writer import req_key
from lightship.storage.sqlite.connection import select
from lightship.storage.statements import suspension

_ROWS = """
SELECT e.seq, a.text, e.idx, e.at, w.text, c.text, l.text, v.text, e.outcome, e.effect, e.req, e.leaf,
  e.q_salt, e.q, e.ip_salt, e.ip,
  e.agr, e.hash, e.seal,
  s.seq, s.agr = e.agr AND s.who = e.who AND s.cred = e.cred AND s.col = e.col AND s.act = e.act
    AND s.outcome = e.outcome
FROM event AS e LEFT JOIN word AS a ON a.id = e.agr LEFT JOIN word AS w ON w.id = e.who
  LEFT JOIN word AS c ON c.id = e.cred LEFT JOIN word AS l ON l.id = e.col LEFT JOIN word AS v ON v.id = e.act
  LEFT JOIN search AS s ON s.at = e.at AND s.seq = e.seq
ORDER BY e.seq"""
_TWICE = "SELECT req, min(place), max(place) FROM logged GROUP BY req HAVING count(*) > 1"


def check_events(
    db: apsw.Connection, path: Path, year: int, scratch: Scratch, key: HubKey | None = None
) -> Iterator[int]:
    """Check one file, signatures too with the hub's key; yield the number of events looked at so far."""
    trees = Trees(db, path.name, scratch, key)
    sizes: dict[str | None, int] = {}
    filled, searchable = _filled(db, path, scratch), 0
    for count, row in enumerate(db.execute(_ROWS), 1):
        seq, agr, idx = row[0], row[1], row[2]
        where = f"{path.name}, {agr} event {idx}"
        expected = sizes.get(agr, 0)
        if idx != expected:
            missing = f"events {expected} to {idx - 1} before it are missing"
            scratch.find(
                where, missing if idx > expected else "there is another one of this number before it"
            )
        sizes[agr] = idx + 1
        _check_event(row[:-5], year, where, scratch)
        trees.leaf(row[-5], str(agr), idx, row[3], row[11], row[-4], row[-3])
        scratch.logged(row[10], where)
        found, same = row[-2:]
        searchable += found is not None
        if (found is not None) != (seq <= filled) or same == 0:
            scratch.find(where, "the table that is searched does not hold it as it is")
        yield count
    if int(db.execute("SELECT count(*) FROM search").get) != searchable:
        scratch.find(path.name, "the table that is searched holds events that are not there")
    for req, first, last in scratch.rows(_TWICE):
        scratch.find(first, f"its request {req.hex()} is recorded again: {last}")
    scratch.no_longer_logged()
    trees.finish()
    for agr, size in db.execute("SELECT text, size FROM head LEFT JOIN word ON id = agr"):
        if not size or sizes.pop(agr, 0) != size:
            scratch.find(f"{path.name}, {agr}", f"the newest events are missing: there were {size}")
    for agr in sizes:
        scratch.find(f"{path.name}, {agr}", "the number of its events is not kept")


def _filled(db: apsw.Connection, path: Path, scratch: Scratch) -> int:
    """Return up to which event the table that is searched is said to hold them."""
    rows: list[Any] = db.execute("SELECT seq FROM filled").fetchall()
    newest = int(db.execute("SELECT coalesce(max(seq), 0) FROM event").get)
    if len(rows) != 1 or not 0 <= rows[0][0] <= newest:
        scratch.find(path.name, "up to where the table that is searched was filled is not kept")
    return max((row[0] for row in rows), default=0)


def _check_event(row: tuple[Any, ...], year: int, where: str, scratch: Scratch) -> None:
    _, agr, _, at, who, cred, col, act, outcome, effect, req, leaf, q_salt, q, ip_salt, ip = row
    try:
        value = orjson.loads(leaf)
        event = from_leaf(leaf, q, ip)
    except (ValueError, KeyError, TypeError) as error:
        scratch.find(where, f"it cannot be read: {error}")
        return
    scratch.say(event, where)
    if orjson.dumps(value, option=orjson.OPT_SORT_KEYS) != leaf:
        scratch.find(where, "it is not in canonical form (RFC 8785)")
    columns = (
        ("agr", agr, event.agr),
        ("at", at, event.at),
        ("who", who, event.who),
        ("cred", cred, event.cred),
        ("col", col, event.col),
        ("act", act, event.act),
        ("outcome", outcome, OUTCOMES[event.outcome]),
        ("effect", effect, int(event.has_effect)),
        ("req", req, req_key(event.req)),
    )
    for name, kept, said in columns:
        if kept != said:
            scratch.find(where, f"column {name} says {kept!r}, the event says {said!r}")
    for name, salt, text in (("q", q_salt, q), ("ip", ip_salt, ip)):
        if (salt is None) != (text is None):
            scratch.find(where, f"only one of {name} and its salt is erased")
        elif salt is not None and salted(salt, text) != value[name]:
            scratch.find(where, f"{name} is not what its digest in the event says")
    if year_of(event.at) != year:
        scratch.find(where, "it belongs to another year")


def check_effects(
    logs: list[tuple[int, apsw.Connection]], pending: dict[str, AccessEvent], scratch: Scratch
) -> None:
    """Check that the event of every statement is in the access log or pending, and that both agree."""
    oldest = min((year for year, _ in logs), default=0)
    for req, at, where in scratch.rows("SELECT req, min(at), min(place) FROM event GROUP BY req"):
        if req and year_of(at) < oldest:
            continue  # that year's log was deleted at the end of its retention
        if req not in pending and _find(logs, req, year_of(at)) is None:
            what = f"the event of its request {req} is in no access log" if req else "it names no event"
            scratch.find(where, what)
    for req, event in pending.items():
        found = _find(logs, req, year_of(event.at))
        if found is not None and _bare(event) != _bare(found):
            scratch.find(f"pending event {req}", "the access log has another event of this request")


def check_newest(db: apsw.Connection, pending: dict[str, AccessEvent], scratch: Scratch) -> None:
    """Check that the collections hold what the access log says was added and read: else they are older."""
    for req, event in pending.items():
        scratch.say(event, f"pending event {req}")
    for number, uuid, last in select(db, "SELECT number, id, last_added FROM collection"):
        newest, where = scratch.newest.get(uuid, (0, ""))
        if newest > last:
            said = f"{where} names one of {format_stamp(Micros(newest))}"
            what = f"its newest object is of {format_stamp(last)}, but {said}: this is an older state"
            scratch.find(f"collection {number} ({uuid})", what)


def check_minted(db: apsw.Connection, logs: list[tuple[int, apsw.Connection]], scratch: Scratch) -> None:
    """Check credentials against the events of their minting and revoking, as far as the logs go back."""
    oldest, kept = min((year for year, _ in logs), default=0), set[str]()
    rows = select(db, "SELECT name, agreement, member, created, revoked FROM credential")
    for name, agreement, member, created, revoked in rows:
        kept.add(name)
        where, said = f"credential {name}", scratch.credentials.get(name, [])
        minted = [one for one in said if one[0] != "credential-revoke" and one[1:3] == (agreement, member)]
        if (
            not minted
            and "" not in scratch.credentials
            and year_of(min(max(created, 0), MAX_MICROS)) >= oldest
        ):
            scratch.find(where, f"no event says that it was minted for {member} in {agreement}")
        if revoked is None and any(one[0] == "credential-revoke" for one in said):
            scratch.find(where, "an event says that it was revoked")
        elif revoked is not None and said and revoked not in {one[3] for one in said}:
            scratch.find(where, f"no event says that it was revoked at {revoked}")
    for name in sorted(scratch.credentials.keys() - kept - {""}):
        scratch.find(f"credential {name}", "an event names it, but it is not kept")


def check_times(
    db: apsw.Connection,
    logs: list[tuple[int, apsw.Connection]],
    pending: dict[str, AccessEvent],
    scratch: Scratch,
) -> None:
    """Check that what began with a statement is said to have begun when its event says."""
    for what, at in _times(db):
        req = scratch.first_told(what)
        year = year_of(min(max(at, 0), MAX_MICROS))
        event = pending.get(req) or (_find(logs, req, year) if req else None)
        if event is not None and abs(event.at - at) > CLOCK_SLACK:
            scratch.find(what, f"it is said to have begun at {at}, its event is of {event.at}")


def _times(db: apsw.Connection) -> Iterator[tuple[str, int]]:
    """Yield what `Scratch.told` names, and the time that is kept of it."""
    for agreement, version, at in select(db, "SELECT id, version, activated FROM agreement"):
        yield f"agreement {agreement}, version {version}", at
    for agreement, digest, at in select(db, "SELECT agreement, digest, applied FROM roster"):
        yield f"roster {digest} in {agreement}", at
    for agreement, envelope, at in select(db, "SELECT agreement, envelope, applied FROM suspension"):
        try:
            body = suspension(envelope).body
        except (LightshipError, ValueError, KeyError, TypeError):
            continue  # said where suspensions are checked
        yield f"suspension {sha256(body).hexdigest()} of {agreement}", at


def _find(logs: list[tuple[int, apsw.Connection]], req: str, year: int) -> AccessEvent | None:
    for _, db in sorted(logs, key=lambda log: log[0] != year):
        row = db.execute(
            "SELECT leaf, q, ip FROM event WHERE req = ? AND effect = 1", (req_key(req),)
        ).fetchone()
        if row is not None:
            try:
                return from_leaf(*row)
            except (ValueError, KeyError, TypeError):
                return AccessEvent(req=req, at=0, act="unreadable")  # type: ignore[arg-type]  # what it holds is never read
    return None


def _bare(event: AccessEvent) -> bytes:
    """Return an event's bytes without q and ip, which may be erased in one place."""
    return to_leaf(replace(event, q="", ip=""), Salts(b"", b""))
