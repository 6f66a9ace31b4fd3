"""The shelf of a log that is larger than memory: object versions and statements in a consumer's file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lightship.client.kept_file import KeptFile
from lightship.core.collection import WithdrawReason
from lightship.core.log.findings import Failure
from lightship.core.log.shelf import LoggedVersion
from lightship.core.time import NO_INSTANT, Instant, Micros, parse_instant

_COLUMNS = "place,id,version,digest,owner,key,entry,stamp,problem,withdrawn,gone,owed,exact,name,sum"
_BATCH = 1_000
"""Rows that are read at once by what goes over many."""


class FileShelf:
    """A `Shelf` on a file."""

    def __init__(self, file: KeptFile) -> None:
        self._file = file
        self._place = file.one("SELECT coalesce(max(place), 0) FROM object")[0]

    def __iter__(self) -> Iterator[LoggedVersion]:
        yield from self._each("place > ?", (0,), lambda held: (held.place,), "place")

    def version(self, object_id: str, instant: Instant) -> LoggedVersion | None:
        """As `Shelf`."""
        rows = self._file.all(
            f"SELECT {_COLUMNS} FROM object WHERE exact=?",  # noqa: S608 -- columns from above
            (self._file.hash_of(f"{object_id}\0{instant}"),),
        )
        for row in rows:
            if row[1] == object_id and _instant(row[2]) == instant:
                return self._held(row)
        return None

    def of(self, object_id: str) -> Iterator[LoggedVersion]:
        """As `Shelf`."""
        name = self._file.hash_of(object_id)
        found = self._each("name=? AND place > ?", (name, 0), lambda held: (name, held.place), "place")
        yield from (held for held in found if held.id == object_id)

    def first(self, object_id: str) -> LoggedVersion | None:
        """As `Shelf`."""
        rows = self._file.all(
            f"SELECT {_COLUMNS} FROM object WHERE name=? AND (problem IS NOT NULL)=0 AND id=? "  # noqa: S608 -- columns from above
            "ORDER BY place LIMIT 1",
            (self._file.hash_of(object_id), object_id),
        )
        return self._held(rows[0]) if rows else None

    def knows(self, object_id: str) -> bool:
        """As `Shelf`."""
        found = self._file.one(
            "SELECT 1 FROM object WHERE name=? AND id=? LIMIT 1", (self._file.hash_of(object_id), object_id)
        )
        return found is not None

    def put(self, held: LoggedVersion, instant: Instant) -> None:
        """As `Shelf`."""
        self._place += 1
        held.place = self._place
        file = self._file
        row = (*_row(held), file.hash_of(f"{held.id}\0{instant}"), file.hash_of(held.id))
        total = file.sum_of(row)
        file.write("INSERT INTO object VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", (*row, total))
        file.counted(total, 1)

    def change(self, held: LoggedVersion) -> None:
        """As `Shelf`."""
        file = self._file
        *found, before = file.one("SELECT exact, name, sum FROM object WHERE place=?", (held.place,))
        row = (*_row(held), *found)
        total = file.sum_of(row)
        file.write(
            "UPDATE object SET version=?,digest=?,owner=?,key=?,entry=?,stamp=?,problem=?,withdrawn=?,gone=?,"
            "owed=?,sum=? WHERE place=?",
            (*row[2:12], total, held.place),
        )
        file.counted(total - before)

    def after(self, stamp: Micros) -> Iterator[LoggedVersion]:
        """As `Shelf`."""
        yield from self._each(
            "(stamp,place) > (?,?)", (stamp, 1 << 62), lambda held: (held.stamp, held.place), "stamp,place"
        )

    def of_key(self, key: str, first: int) -> Iterator[LoggedVersion]:
        """As `Shelf`."""
        yield from self._each(
            "key=? AND key != x'' AND withdrawn IS NULL AND problem IS NULL AND (entry,place) > (?,?)",
            (bytes.fromhex(key), first - 1, 1 << 62),
            lambda held: (bytes.fromhex(key), held.index, held.place),
            "entry,place",
        )

    def owed(self) -> Micros | None:
        """As `Shelf`."""
        found = self._file.one(
            "SELECT stamp FROM object WHERE owed AND withdrawn IS NULL AND problem IS NULL "
            "ORDER BY stamp LIMIT 1"
        )
        return Micros(found[0]) if found else None

    def statement(self, key: str, seq: int) -> tuple[str, int] | None:
        """As `Shelf`."""
        found = self._file.one(
            "SELECT key,seq,digest,entry,sum FROM statement WHERE key=? AND seq=?", (bytes.fromhex(key), seq)
        )
        return None if found is None else self._statement(found)[1:]

    def put_statement(self, key: str, seq: int, digest: str, index: int) -> None:
        """As `Shelf`."""
        row = (bytes.fromhex(key), seq, bytes.fromhex(digest), index)
        total = self._file.sum_of(row)
        self._file.write("INSERT INTO statement VALUES(?,?,?,?,?)", (*row, total))
        self._file.counted(total, 1)

    def last_statement(self, key: str) -> tuple[int, str]:
        """As `Shelf`."""
        found = self._file.one(
            "SELECT key,seq,digest,entry,sum FROM statement WHERE key=? ORDER BY seq DESC LIMIT 1",
            (bytes.fromhex(key),),
        )
        return (0, "") if found is None else self._statement(found)[:2]

    def _statement(self, row: tuple[Any, ...]) -> Any:
        self._file.same(row[:4], row[4])
        return row[1], row[2].hex(), row[3]

    def _each(self, where: str, start: tuple[Any, ...], go_on: Any, order: str) -> Iterator[LoggedVersion]:
        """Read in batches, so that rows may be changed in between."""
        while True:
            rows = self._file.all(
                f"SELECT {_COLUMNS} FROM object WHERE {where} ORDER BY {order} LIMIT {_BATCH}",  # noqa: S608 -- texts from here
                start,
            )
            for row in rows:
                yield self._held(row)
            if len(rows) < _BATCH:
                return
            start = go_on(self._held(rows[-1]))

    def _held(self, row: tuple[Any, ...]) -> LoggedVersion:
        self._file.same(row[:-1], row[-1])
        place, object_id, version, digest, owner, key, entry, stamp, problem, withdrawn, gone, owed = row[:12]
        return LoggedVersion(
            *(object_id, version, digest.hex(), owner, key.hex(), entry, Micros(stamp)),
            problem=None if problem is None else Failure(problem),
            withdrawn=None if withdrawn is None else WithdrawReason(withdrawn),
            gone=gone,
            place=place,
            owed=bool(owed),
        )


def _row(held: LoggedVersion) -> tuple[Any, ...]:
    return (
        *(held.place, held.id, held.version, bytes.fromhex(held.digest), held.owner, bytes.fromhex(held.key)),
        *(held.index, int(held.stamp), None if held.problem is None else held.problem.value),
        *(None if held.withdrawn is None else held.withdrawn.value, held.gone, int(held.owed)),
    )


def _instant(version: str) -> Instant:
    return parse_instant(version) if version else NO_INSTANT
