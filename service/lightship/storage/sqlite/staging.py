"""What waits outside its collection for its release: rows of `staged`, read, written and cancelled."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import apsw
import orjson

from lightship.core.collection import Candidate, Held, Level
from lightship.core.ports import Row, Staged
from lightship.core.time import Instant, Micros
from lightship.storage.sqlite.connection import select
from lightship.storage.sqlite.marks import read_marks

_OF_IDS = """
SELECT s.number, s.collection, s.owner, s.release_at, s.problem, s.marks, t.name, s.spec_version, s.version,
  s.version_text, s.id, s.digest, length(s.body)
FROM carray(?) AS c CROSS JOIN staged AS s ON s.idhash = c.value JOIN type AS t ON t.number = s.type"""
_FULL = """
SELECT s.number, s.marks, s.owner, s.posted, s.release_at, s.problem, s.id, t.name, s.spec_version, s.version,
  s.version_text, s.digest, s.about, s.body
FROM staged AS s JOIN type AS t ON t.number = s.type WHERE """
INSERT = """
INSERT INTO staged (collection, owner, release_at, posted, marks, type, spec_version, version, version_text,
  idhash, id, digest, about, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
DELETE = """
DELETE FROM staged WHERE idhash = ? AND owner = ? AND version = ? AND collection = ? AND id = ?"""
_USED = "SELECT count(*), coalesce(sum(length(body)), 0) FROM staged WHERE collection = ? AND owner = ?"


@dataclass(slots=True, eq=False)
class Waiting:
    """One staged object version, without its body. `number` is 0 until it is written."""

    number: int
    owner: str
    held: Held
    id: str
    type: str
    version_text: str
    marks: int
    size: int
    release_at: Micros
    problem: str = ""

    def row(self) -> Row:
        """Return the row that names it."""
        return Row(0, self.id, self.type, self.held.spec_version, self.version_text)


class Staging:
    """The part of the working set that knows about staged objects."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._any = bool(select(db, "SELECT EXISTS (SELECT 1 FROM staged)")[0][0])
        self._held: dict[tuple[int, str], list[Waiting]] = {}
        self._used: dict[tuple[int, str], tuple[int, int]] = {}

    def load(self, pairs: Iterable[tuple[int, str]], codes: array[int]) -> None:
        """Read what is staged under many (collection, id) with these hashes."""
        if not self._any:
            return
        fresh = {pair for pair in pairs if pair not in self._held}
        for row in select(self._db, _OF_IDS, (apsw.carray(codes),)):
            if (pair := (row[1], row[10])) in fresh:
                self._held.setdefault(pair, []).append(_waiting(row))

    def of(self, collection: int, object_id: str) -> list[Waiting]:
        """Return what is staged of an object that was loaded; callers never change the list."""
        return self._held.get((collection, object_id), [])

    def hold(self, collection: int, object_id: str, waiting: list[Waiting]) -> None:
        """Replace what is staged of an object, for the jobs that decide after this one."""
        before = self._held.get((collection, object_id), [])
        kept = {id(one) for one in waiting}
        was = {id(one) for one in before}
        for one in before:
            if id(one) not in kept:
                self._count(collection, one, -1)
        for one in waiting:
            if id(one) not in was:
                self._count(collection, one, 1)
        self._held[collection, object_id] = waiting

    def used(self, collection: int, owner: str) -> tuple[int, int]:
        """Return how many versions an owner has staged, and their bytes; its cost grows with them."""
        objects, size = select(self._db, _USED, (collection, owner))[0] if self._any else (0, 0)
        more = self._used.get((collection, owner), (0, 0))
        return objects + more[0], size + more[1]

    def _count(self, collection: int, one: Waiting, sign: int) -> None:
        objects, size = self._used.get((collection, one.owner), (0, 0))
        self._used[collection, one.owner] = objects + sign, size + sign * one.size


def as_waiting(one: Candidate, owner: str, marks: int, release_at: Micros) -> Waiting:
    """Return what the working set keeps of a candidate that is staged."""
    held = Held(one.spec_version, one.version, one.digest, owner)
    return Waiting(0, owner, held, one.id, one.type, one.version_text, marks, len(one.body), release_at)


def about(one: Candidate) -> str:
    """Return what the access rules ask about, as JSON."""
    values = {"cites": one.cites, "created_by": one.created_by, "level": one.level, "owned": one.owned}
    return orjson.dumps(values).decode()


def read_staged(db: apsw.Connection, where: str, values: Sequence[Any]) -> list[Staged]:
    """Return the staged objects for which an SQL condition (with its order) holds."""
    return [_staged(db, row) for row in select(db, _FULL + where, tuple(values))]


def _waiting(row: tuple[Any, ...]) -> Waiting:
    number, _, owner, release_at, problem, marks, name, spec, version, text, object_id, digest, size = row
    held = Held(spec, Instant(version), digest, owner)
    return Waiting(number, owner, held, object_id, name, text, marks, size, release_at, problem)


def _staged(db: apsw.Connection, row: tuple[Any, ...]) -> Staged:
    number, marks, owner, posted, release_at, problem, object_id, name, spec, version, text, digest = row[:12]
    asked = orjson.loads(row[12])
    spec_version: Literal["2.0", "2.1"] = "2.0" if spec == "2.0" else "2.1"
    candidate = Candidate(
        position=0,
        id=object_id,
        type=name,
        spec_version=spec_version,
        version=Instant(version),
        version_text=text,
        digest=digest,
        body=row[13],
        created_by=asked["created_by"],
        level=None if asked["level"] is None else Level(asked["level"]),
        owned=asked["owned"],
        cites=tuple(asked["cites"]),
    )
    return Staged(
        number, candidate, read_marks(db, marks), owner, Micros(posted), Micros(release_at), problem
    )
