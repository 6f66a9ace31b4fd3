"""Reads about what is held by marking set, about definitions and about what waits for its release."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import apsw

from lightship.core.access import Grant
from lightship.core.collection import Held, WithdrawReason, foreseen, pack
from lightship.core.marks import Definition, encode
from lightship.core.ports import HeldSet, Holding, Row, Staged
from lightship.core.time import MAX_MICROS, Instant, Micros
from lightship.storage.sqlite.classes import spec_of
from lightship.storage.sqlite.connection import select
from lightship.storage.sqlite.definitions import DEFINITION
from lightship.storage.sqlite.marks import read_held
from lightship.storage.sqlite.rows import idhash
from lightship.storage.sqlite.staging import read_staged

T = TypeVar("T")

_DEFINITIONS = """
SELECT o.id, o.digest, o.body, o.owner, o.collection, 0 FROM carray(?1) AS c
CROSS JOIN object AS o INDEXED BY object_id ON o.idhash = c.value JOIN type AS t ON t.number = o.type
WHERE t.name = ?2
UNION ALL
SELECT s.id, s.digest, s.body, s.owner, s.collection, 1 FROM carray(?1) AS c
CROSS JOIN staged AS s ON s.idhash = c.value JOIN type AS t ON t.number = s.type
WHERE t.name = ?2"""
_HOLDING = """
SELECT o.key, o.id, t.name, o.class, o.version_text, o.marks, o.owner
FROM object AS o CROSS JOIN type AS t ON t.number = o.type
WHERE o.key > ? AND o.key <= ? AND o.marks IN (SELECT value FROM carray(?)) ORDER BY o.key"""
_HOLDING_STAGED = """
SELECT 0, s.id, t.name, s.spec_version, s.version_text, s.marks, s.owner
FROM staged AS s CROSS JOIN type AS t ON t.number = s.type
WHERE s.collection = ? AND s.marks IN (SELECT value FROM carray(?)) ORDER BY s.number"""
_COUNTS = "SELECT marks, owner, live, staged FROM held_set WHERE collection = ?"
_LIVE_OF = """
SELECT o.id, o.marks, o.owner FROM carray(?1) AS c
CROSS JOIN object AS o INDEXED BY object_id ON o.idhash = c.value WHERE o.collection = ?2"""
_STAGED_OF = """
SELECT s.id, s.marks, s.owner FROM carray(?1) AS c
CROSS JOIN staged AS s ON s.idhash = c.value WHERE s.collection = ?2"""
_NEXT_RELEASE = """
SELECT release_at FROM staged INDEXED BY staged_due
WHERE collection = ? AND problem = '' AND release_at > ? ORDER BY release_at LIMIT 1"""
_NEXT_EXPIRY = """
SELECT expires FROM object INDEXED BY object_expires
WHERE collection = ? AND expires > ? AND expires IS NOT NULL ORDER BY expires LIMIT 1"""
_ADDED = """
SELECT date_added, NULL, id FROM object INDEXED BY object_id WHERE idhash = ?1 AND key > ?2 AND key <= ?3
UNION ALL SELECT added, at, id FROM withdrawn WHERE idhash = ?1 AND collection = ?4
ORDER BY 1"""
_HELD_OF = """
SELECT o.id, o.version, o.digest, o.owner, NULL FROM carray(?1) AS c
CROSS JOIN object AS o INDEXED BY object_id ON o.idhash = c.value WHERE o.key > ?2 AND o.key <= ?3
UNION ALL
SELECT w.id, w.version, w.digest, w.owner, w.reason FROM carray(?1) AS c
CROSS JOIN withdrawn AS w INDEXED BY withdrawn_id ON w.idhash = c.value WHERE w.collection = ?4"""

Wanted = Mapping[tuple[int, str], HeldSet]
"""Sets by (number, owner)."""


class Ask(Protocol):
    """Runs a read on the thread's connection (`SqliteReader.ask`)."""

    def __call__(self, read: Callable[[apsw.Connection], T]) -> T: ...


class HeldReader:
    """The part of `ports.Reader` that is about marking sets and staging."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def added(self, grant: Grant, object_id: str) -> list[tuple[Micros, Micros | None]]:
        """Return (date_added, when withdrawn or None) of every version of an object."""
        number = grant.collection.number
        values = (idhash(number, object_id), pack(number, 0), pack(number, MAX_MICROS), number)
        rows = self._ask(lambda db: select(db, _ADDED, values))
        return [(Micros(row[0]), row[1]) for row in rows if row[2] == object_id]

    def definitions(self, collections: Sequence[int], ids: Sequence[str]) -> list[Definition]:
        """Return the marking definitions with these ids that these collections hold, live or staged."""
        wanted = {(number, one) for number in collections for one in ids}
        codes = array("q", sorted({idhash(*pair) for pair in wanted}))
        if not codes:  # apsw takes no empty array
            return []
        rows = self._ask(lambda db: select(db, _DEFINITIONS, (apsw.carray(codes), DEFINITION)))
        found = [
            Definition(object_id, digest, body, owner, number, bool(staged))
            for object_id, digest, body, owner, number, staged in rows
            if (number, object_id) in wanted
        ]
        return sorted(found, key=lambda one: (one.id, one.collection, one.owner))

    def held_sets(self, grant: Grant) -> list[HeldSet]:
        """Return what the collection holds, by marking set and owner."""
        return self._ask(lambda db: read_held(db, grant.collection.number))

    def holding(
        self,
        grant: Grant,
        sets: Sequence[HeldSet],
        limit: int,
        *,
        without: Collection[str] = (),
        staged_of: str = "",
    ) -> Holding:
        """Return how many versions of these sets and owners there are, and some of them.

        They are counted without looking at them: by set, less those with an id that does not count. Only
        naming looks through the collection, until it has enough.
        """
        number = grant.collection.number

        def read(db: apsw.Connection) -> Holding:
            wanted = _numbers(db, sets)
            marks = array("q", sorted({one for one, _ in wanted}))
            if not marks:  # apsw takes no empty array
                return Holding(0, ())
            ids = frozenset(without)
            live, staged = _counted(db, number, wanted, staged_of)
            live -= _among(db, _LIVE_OF, number, ids, wanted)
            staged -= _among(db, _STAGED_OF, number, ids, wanted, staged_of)
            found: list[tuple[HeldSet, Row]] = []
            if want := min(limit, live):
                values = (pack(number, 0), pack(number, MAX_MICROS), apsw.carray(marks))
                found += _picked(db.execute(_HOLDING, values), wanted, ids, want)
            if (want := min(limit - len(found), staged)) > 0:
                rows = db.execute(_HOLDING_STAGED, (number, apsw.carray(marks)))
                mine = (row for row in rows if staged_of in ("", row[-1]))
                found += _picked(mine, wanted, ids, want)
            return Holding(live + staged, tuple(found))

        return self._ask(read)

    def staged(self, grant: Grant, owner: str) -> list[Staged]:
        """Return what an owner ('' for all) has waiting, by release, with what rules its release out."""
        number = grant.collection.number
        where, values = "s.collection = ?", [number]
        if owner:
            where += " AND s.owner = ?"
        where += " ORDER BY s.release_at, s.number"

        def read(db: apsw.Connection) -> list[Staged]:
            found = read_staged(db, where, (*values, owner) if owner else values)
            held = _held_of(db, number, {one.candidate.id for one in found})
            return [_with_problem(one, held.get(one.candidate.id, ())) for one in found]

        return self._ask(read)

    def due(self, grant: Grant, now: Micros, *, failed: bool, after: int, limit: int) -> list[Staged]:
        """Return staged objects whose release is not after `now`, by number."""
        where = (
            "s.number IN (SELECT number FROM staged WHERE collection = ? AND release_at <= ? AND number > ?"
        )
        where += "" if failed else " AND problem = ''"
        where += " ORDER BY number LIMIT ?) ORDER BY s.number"  # bodies are no part of the sorting
        values = (grant.collection.number, now, after, limit)
        return self._ask(lambda db: read_staged(db, where, values))

    def next_due(self, grants: Sequence[Grant], after: Micros) -> Micros | None:
        """Return the earliest moment after `after` at which something becomes due."""

        def read(db: apsw.Connection) -> list[int]:
            found = []
            for one in grants:
                for sql in (_NEXT_RELEASE, _NEXT_EXPIRY):
                    found += [row[0] for row in select(db, sql, (one.collection.number, after))]
            return found

        found = self._ask(read)
        return Micros(min(found)) if found else None


def _numbers(db: apsw.Connection, sets: Sequence[HeldSet]) -> Wanted:
    """Return the sets by their number and owner."""
    found: dict[tuple[int, str], HeldSet] = {}
    for one in sets:
        for row in select(db, "SELECT number FROM marking_set WHERE body = ?", (encode(one.marks),)):
            found[row[0], one.owner] = one
    return found


def _counted(db: apsw.Connection, number: int, wanted: Wanted, staged_of: str) -> tuple[int, int]:
    """Return how many versions are live and how many staged."""
    live = staged = 0
    for marks, owner, some, others in select(db, _COUNTS, (number,)):
        if (marks, owner) in wanted:
            live += some
            staged += others if staged_of in ("", owner) else 0
    return live, staged


def _among(
    db: apsw.Connection, sql: str, number: int, ids: AbstractSet[str], wanted: Wanted, owner_of: str = ""
) -> int:
    """Return how many versions with these ids there are."""
    if not ids:  # apsw takes no empty array
        return 0
    codes = apsw.carray(array("q", sorted({idhash(number, one) for one in ids})))
    return sum(
        object_id in ids and (marks, owner) in wanted and owner_of in ("", owner)
        for object_id, marks, owner in select(db, sql, (codes, number))
    )


def _picked(
    rows: Iterable[tuple[Any, ...]], wanted: Wanted, ids: AbstractSet[str], want: int
) -> Iterator[tuple[HeldSet, Row]]:
    """Yield the first rows of these sets that have none of the ids."""
    left = want
    for key, object_id, name, kind, text, marks, owner in rows:
        held = wanted.get((marks, owner))
        if held is not None and object_id not in ids:
            spec = kind if isinstance(kind, str) else spec_of(kind)
            yield held, Row(key, object_id, name, spec, text)
            left -= 1
            if not left:
                return


def _with_problem(one: Staged, held: Sequence[Held]) -> Staged:
    return replace(one, problem=one.problem or foreseen(held, one.candidate, one.owner))


def _held_of(db: apsw.Connection, number: int, ids: Iterable[str]) -> dict[str, list[Held]]:
    """Return all that a collection holds under some ids, live versions first."""
    wanted = {one: idhash(number, one) for one in ids}
    found: dict[str, list[Held]] = {}
    if not wanted:  # apsw takes no empty array
        return found
    codes = apsw.carray(array("q", sorted(set(wanted.values()))))
    values = (codes, pack(number, 0), pack(number, MAX_MICROS), number)
    for object_id, version, digest, owner, reason in select(db, _HELD_OF, values):
        if object_id in wanted:
            gone = None if reason is None else WithdrawReason(reason)
            found.setdefault(object_id, []).append(Held("", Instant(version), digest, owner, gone))
    return found
