"""fsck of marking sets and of what is staged: sets against bodies, counts against rows. Read-only.

A set is compared in what the object itself says: its level and what it cites. What was stored before there
were sets may cite definitions that came later, or that cannot be interpreted: it has its level alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import apsw
import orjson

from lightship.core.collection import stamp_of
from lightship.core.marks import MarkingSet, decode, encode
from lightship.storage.fsck_objects import instant_of, place, version_text_of
from lightship.storage.fsck_scratch import Scratch
from lightship.storage.marking_sets import SetOf, sets_of
from lightship.storage.sqlite.connection import select
from lightship.storage.sqlite.rows import idhash

_OBJECTS = """
SELECT o.key, o.collection, o.class, t.name, o.id, o.version_text, o.digest, o.body, o.marks, o.expires
FROM object AS o CROSS JOIN type AS t ON t.number = o.type ORDER BY o.key"""
_STAGED = """
SELECT s.number, s.collection, s.spec_version, t.name, s.id, s.digest, s.body, s.marks, s.release_at,
  s.idhash, s.about, s.version, s.version_text
FROM staged AS s LEFT JOIN type AS t ON t.number = s.type ORDER BY s.number"""
_WRONG = """
WITH counted (collection, marks, owner, live, staged) AS (
  SELECT collection, marks, owner, sum(live), sum(staged) FROM (
    SELECT collection, marks, owner, count(*) AS live, 0 AS staged FROM object GROUP BY 1, 2, 3
    UNION ALL SELECT collection, marks, owner, 0, count(*) FROM staged GROUP BY 1, 2, 3
  ) GROUP BY 1, 2, 3
)
SELECT collection, marks, owner, sum(live), sum(staged), sum(kept), sum(kept_staged) FROM (
  SELECT collection, marks, owner, live, staged, 0 AS kept, 0 AS kept_staged FROM counted
  UNION ALL SELECT collection, marks, owner, 0, 0, live, staged FROM held_set
) GROUP BY 1, 2, 3 HAVING sum(live) <> sum(kept) OR sum(staged) <> sum(kept_staged) ORDER BY 1, 2, 3"""
_KNOWN_SINCE = """
SELECT o.date_added FROM object AS o INDEXED BY object_id WHERE o.idhash = ? AND o.id = ?"""


def check_marking_sets(db: apsw.Connection, scratch: Scratch) -> None:
    """Check every set, the set of every object, and the counts."""
    sets = _sets(db, scratch)
    set_of = sets_of(db)
    siblings = _siblings(db)
    for row in db.execute(_OBJECTS):
        key, collection, row_class, name, object_id, text, digest, body, number, expires = row
        where = place(collection, object_id, text, stamp_of(key))
        marks = sets.get(number)
        if marks is None:
            scratch.find(where, f"its marking set {number} is not kept")
            continue
        if expires != marks.share_until:
            scratch.find(where, f"column expires says {expires}, its marking set {marks.share_until}")
        said = _said(set_of, collection, row_class, name, object_id, digest, body)
        if said is None:
            continue  # a body that cannot be read was found before
        if (marks.level, marks.levelled) != (said.level, said.levelled):
            scratch.find(where, "its marking set has another TLP level than its body")
        if marks.cites != said.cites and not (
            not marks.cites and _came_later(db, siblings.get(collection, ()), said, stamp_of(key))
        ):
            scratch.find(where, "its marking set cites other definitions than its body and the agreement")
    for collection, number, owner, live, staged, kept, kept_staged in db.execute(_WRONG):
        scratch.find(
            f"collection {collection}, marking set {number} of {owner or 'the hub'}",
            f"{live} live and {staged} staged versions are there, {kept} and {kept_staged} are counted",
        )


def check_staged(db: apsw.Connection, scratch: Scratch) -> None:
    """Check every staged object by itself."""
    sets = _sets(db, Scratch())
    known = {row[0] for row in select(db, "SELECT number FROM collection")}
    for row in db.execute(_STAGED):
        number, collection, _, _, _, digest, body, marks, release_at, *_ = row
        where = f"staged object {number}"
        if collection not in known:
            scratch.find(where, f"collection {collection} is not kept")
            continue
        if sha256(body).digest() != digest:
            scratch.find(where, "the body is not what its digest says")
        if marks not in sets:
            scratch.find(where, f"its marking set {marks} is not kept")
        elif sets[marks].release_at != release_at:
            scratch.find(
                where, f"it is released at {release_at}, its marking set says {sets[marks].release_at}"
            )
        for column, kept, said in _columns(row):
            if kept != said:
                scratch.find(where, f"column {column} says {kept!r}, the body says {said!r}")


def _sets(db: apsw.Connection, scratch: Scratch) -> dict[int, MarkingSet]:
    found = {}
    for number, body in db.execute("SELECT number, body FROM marking_set"):
        try:
            found[number] = decode(body)
            right = encode(found[number]) == body
        except (ValueError, KeyError):
            right = False
        if not right:
            scratch.find(f"marking set {number}", "it cannot be read or is not in canonical form")
    return found


def _said(
    set_of: SetOf, collection: int, row_class: int, name: str, object_id: str, digest: bytes, body: bytes
) -> MarkingSet | None:
    try:
        return set_of(collection, row_class, name, object_id, digest, body)
    except (ValueError, KeyError, AttributeError):
        return None


def _siblings(db: apsw.Connection) -> dict[int, tuple[int, ...]]:
    """Return the collections of the same agreement, by collection."""
    rows = select(db, "SELECT number, agreement FROM collection")
    of: dict[str, tuple[int, ...]] = {}
    for number, agreement in rows:
        of[agreement] = (*of.get(agreement, ()), number)
    return {number: of[agreement] for number, agreement in rows}


def _came_later(db: apsw.Connection, numbers: tuple[int, ...], said: MarkingSet, stamp: int) -> bool:
    """True if a definition came to the agreement only after an object with this stamp that cites it."""
    for cited in said.cites:
        since = [
            row[0]
            for number in numbers
            for row in select(db, _KNOWN_SINCE, (idhash(number, cited.id), cited.id))
        ]
        if min(since, default=stamp) >= stamp:
            return True
    return False


def _columns(row: tuple[Any, ...]) -> Iterator[tuple[str, object, object]]:
    _, collection, spec, name, object_id, _, body, _, _, code, about, version, text = row
    try:
        value = orjson.loads(body)
        asked = orjson.loads(about)
    except ValueError:
        yield "body", "JSON", "no JSON"
        return
    if not isinstance(value, dict) or not isinstance(asked, dict):
        yield "about", "an object", "no object"
        return
    yield "id", object_id, value.get("id")
    yield "type", name, value.get("type")
    yield "spec_version", spec, value.get("spec_version", spec)
    yield "idhash", code, idhash(collection, object_id)
    yield "about", sorted(asked), ["cites", "created_by", "level", "owned"]
    yield "created_by", asked.get("created_by"), value.get("created_by_ref")
    yield "cites", sorted(set(asked.get("cites", ())) - set(value.get("object_marking_refs", ()))), []
    yield "version_text", text, version_text_of(name, value)
    yield "version", version, instant_of(text)
