"""Marking sets in one write transaction: their numbers, and the counts of what is held by set and owner.

Counts change when a job is decided, so that the jobs after it see them, and are written once a transaction.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import apsw

from lightship.core.marks import Cited, MarkingSet, decode, encode
from lightship.core.ports import HeldSet
from lightship.storage.sqlite.connection import select

Place = tuple[int, int, str]
"""(collection, marking set, owner)"""
Counts = Mapping[Place, tuple[int, int]]
"""Live and staged versions by place."""

_SAVE = """
INSERT INTO held_set (collection, marks, owner, live, staged) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET live = live + excluded.live, staged = staged + excluded.staged"""
_SHRINK = """
UPDATE held_set SET live = live + ?4, staged = staged + ?5
WHERE collection = ?1 AND marks = ?2 AND owner = ?3"""
_EMPTY = """
DELETE FROM held_set WHERE collection = ? AND marks = ? AND owner = ? AND live = 0 AND staged = 0"""
_HELD = """
SELECT h.collection, h.marks, h.owner, h.live, h.staged
FROM carray(?) AS c CROSS JOIN held_set AS h ON h.collection = c.value"""


@lru_cache(maxsize=4_096)
def marks_of(body: bytes) -> MarkingSet:
    """Return the set that a row of `marking_set` holds."""
    return decode(body)


def read_marks(db: apsw.Connection, number: int) -> MarkingSet:
    """Return the set with a number."""
    return marks_of(bytes(select(db, "SELECT body FROM marking_set WHERE number = ?", (number,))[0][0]))


def read_held(db: apsw.Connection, collection: int) -> list[HeldSet]:
    """Return what a collection holds by set and owner, as it is committed."""
    sql = """
    SELECT s.body, h.owner, h.live, h.staged FROM held_set AS h JOIN marking_set AS s ON s.number = h.marks
    WHERE h.collection = ? ORDER BY h.marks, h.owner"""
    rows = select(db, sql, (collection,))
    return [HeldSet(marks_of(bytes(body)), owner, live, staged) for body, owner, live, staged in rows]


class HeldSets:
    """The part of the working set that knows about marking sets."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._numbers: dict[MarkingSet, int] = {}
        self._same: dict[int, tuple[MarkingSet, int]] = {}  # by identity: equal values are mostly one value
        self._changes: dict[Place, tuple[int, int]] = {}

    def number_of(self, marks: MarkingSet) -> int:
        """Return the number of a set, making one if need be."""
        known = self._same.get(id(marks))
        if known is not None:
            return known[1]
        number = self._numbers.get(marks)
        if number is None:
            body = encode(marks)
            rows = select(self._db, "SELECT number FROM marking_set WHERE body = ?", (body,))
            if not rows:
                rows = select(self._db, "INSERT INTO marking_set (body) VALUES (?) RETURNING number", (body,))
            number = self._numbers[marks] = rows[0][0]
        self._same[id(marks)] = marks, number
        return number

    def change(self, place: Place, live: int = 0, staged: int = 0) -> None:
        """Count versions that come or go."""
        if not (live or staged):
            return
        held = self._changes.get(place, (0, 0))
        self._changes[place] = held[0] + live, held[1] + staged

    def counts(self, collections: Iterable[int], gone: Counts | None = None) -> dict[Place, tuple[int, int]]:
        """Return what these collections hold now, less what is `gone`; places with nothing are left out."""
        wanted = set(collections)
        found = {}
        for row in select(self._db, _HELD, (apsw.carray(array("q", sorted(wanted))),)) if wanted else ():
            found[row[0], row[1], row[2]] = (row[3], row[4])
        for place, (live, staged) in self._changes.items():
            if place[0] in wanted:
                held = found.get(place, (0, 0))
                found[place] = held[0] + live, held[1] + staged
        for place, (live, staged) in (gone or {}).items():
            if place[0] in wanted:
                found[place] = found[place][0] - live, found[place][1] - staged
        return {place: held for place, held in found.items() if any(held)}

    def cited(
        self, collections: Sequence[int], gone: Counts | None = None, *, live_only: bool = False
    ) -> set[Cited]:
        """Return the definitions that anything held in these collections cites."""
        held = self.counts(collections, gone).items()
        numbers = {place[1] for place, (live, _) in held if live or not live_only}
        return {one for number in numbers for one in read_marks(self._db, number).cites}

    def flush(self) -> None:
        """Write the counts."""
        gone = [place for place, held in self._changes.items() if min(held) < 0]
        more = [(*place, *held) for place, held in self._changes.items() if min(held) >= 0 and any(held)]
        if more:
            self._db.executemany(_SAVE, more)
        if gone:
            self._db.executemany(_SHRINK, [(*place, *self._changes[place]) for place in gone])
            self._db.executemany(_EMPTY, gone)
