"""The Python step of schema 3: every stored object version gets its true marking set, and sets are counted.

Sets come from the bodies and from the definitions that the agreement holds; an object that cites one which
cannot be interpreted gets its level alone. TLP:RED without named recipients meant the whole audience: that of
the agreement's newest version. Works in key order, some rows at a time, so that memory does not grow with the
hub.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import apsw
import orjson

from lightship.core.agreement.consistency import resolve
from lightship.core.collection import Candidate, Collection, CollectionSettings, Level
from lightship.core.marks import (
    UNLEVELLED_TYPES,
    Definition,
    MarkingSet,
    UnknownMarking,
    encode,
    marking_set,
)
from lightship.core.stix.markings import level_and_cites
from lightship.core.time import Instant
from lightship.storage.sqlite.classes import spec_of
from lightship.storage.sqlite.connection import select

ROWS = 2_000
"""Rows read and changed at a time."""
TELL = 200_000
"""Rows after which a line of progress is logged."""

_log = logging.getLogger("lightship")

_SOME = """
SELECT o.key, o.collection, o.class, t.name, o.owner, o.id, o.digest, o.body
FROM object AS o CROSS JOIN type AS t ON t.number = o.type WHERE o.key > ? ORDER BY o.key LIMIT ?"""
_DEFINITIONS = """
SELECT 0 AS waits, c.agreement, o.id, o.digest, o.body, o.owner, o.collection FROM object AS o
JOIN type AS t ON t.number = o.type JOIN collection AS c ON c.number = o.collection
WHERE t.name = 'marking-definition'
UNION ALL
SELECT 1, c.agreement, s.id, s.digest, s.body, s.owner, s.collection FROM staged AS s
JOIN type AS t ON t.number = s.type JOIN collection AS c ON c.number = s.collection
WHERE t.name = 'marking-definition' ORDER BY waits"""
_COUNT = """
INSERT INTO held_set (collection, marks, owner, live, staged) VALUES (?, ?, ?, ?, 0)
ON CONFLICT DO UPDATE SET live = live + excluded.live"""

SetOf = Callable[[int, int, str, str, bytes, bytes], MarkingSet]


def fill(db: apsw.Connection) -> None:
    """Give all rows of `object` their sets, inside the open transaction of the migration."""
    set_of = sets_of(db)
    numbers: dict[MarkingSet, int] = {}
    counts: dict[tuple[int, int, str], int] = {}
    after, done = -1, 0
    while rows := select(db, _SOME, (after, ROWS)):
        changes = []
        for key, collection, row_class, name, owner, object_id, digest, body in rows:
            marks = set_of(collection, row_class, name, object_id, digest, body)
            number = numbers.get(marks)
            if number is None:
                sql = "INSERT INTO marking_set (body) VALUES (?) RETURNING number"
                number = numbers[marks] = select(db, sql, (encode(marks),))[0][0]
            changes.append((number, marks.share_until, key))
            place = (collection, number, owner)
            counts[place] = counts.get(place, 0) + 1
        db.executemany("UPDATE object SET marks = ?, expires = ? WHERE key = ?", changes)
        after, before, done = rows[-1][0], done, done + len(rows)
        if done // TELL > before // TELL:
            _log.warning("Schema 3: marking sets of %d object versions so far", done)
    db.executemany(_COUNT, [(*place, live) for place, live in counts.items()])


def sets_of(db: apsw.Connection) -> SetOf:
    """Return what tells the set of an object row by its body and by what is held now.

    It is given collection, class, type, id, digest and body.
    """
    collections = {
        number: _collection(db, number, uuid, agreement)
        for number, uuid, agreement in select(db, "SELECT number, id, agreement FROM collection")
    }
    held: dict[str, dict[str, Definition]] = {}
    for _, agreement, *values in select(db, _DEFINITIONS):
        one = Definition(*values)
        held.setdefault(agreement, {}).setdefault(one.id, one)  # what waits may have lost its id to another
    plain: dict[tuple[Level | None, bool], MarkingSet] = {}

    def set_of(
        number: int, row_class: int, name: str, object_id: str, digest: bytes, body: bytes
    ) -> MarkingSet:
        level, cites = level_and_cites(orjson.loads(body)) if b"marking" in body else (None, ())
        candidate = Candidate(
            position=0,
            id=object_id,
            type=name,
            spec_version="2.1" if spec_of(row_class) == "2.1" else "2.0",
            version=Instant(""),
            version_text="",
            digest=digest,
            body=body,
            level=level,
            cites=cites,
        )
        where = collections[number]
        try:
            return marking_set(candidate, where, held.get(where.agreement, {}))
        except UnknownMarking:
            levelled = name not in UNLEVELLED_TYPES
            return plain.setdefault((level, levelled), MarkingSet(level, levelled))

    return set_of


def _collection(db: apsw.Connection, number: int, uuid: str, agreement: str) -> Collection:
    """Return what a set needs of a collection, as the agreement's newest version has it, else safe values.

    The payload is read as it is, not checked again: a hub must start whatever a later version would refuse.
    """
    sql = "SELECT payload FROM agreement WHERE id = ? ORDER BY version DESC LIMIT 1"
    audience: frozenset[str] = frozenset()
    unmarked: Literal["refuse"] | Level = "refuse"
    with suppress(ValueError, LookupError, TypeError, AttributeError, StopIteration):
        written = orjson.loads(select(db, sql, (agreement,))[0][0])
        one = next(one for one in written["collections"].values() if one["id"] == uuid)
        audience = resolve(one, "audience", written["members"])
        unmarked = Level(one["unmarked"])
    settings = CollectionSettings(unmarked=unmarked, red="audience")
    return Collection(number, uuid, agreement, "", "", "", Level.RED, audience, frozenset(), settings)
