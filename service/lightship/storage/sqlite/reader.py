"""Reads of the embedded store: raw SQL over indexes in key order, one connection a thread.

Nothing is cached but immutable facts and, as long as nothing at all is committed (`stillness`), the policy
epoch and the state of collections; so a read sees every commit of every process. Each range has both ends: no
row of another collection can be met. Never counts and never skips rows.
"""

from __future__ import annotations

import contextlib
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

import apsw

from lightship.core.access import Grant, Principal
from lightship.core.collection import pack, stamp_of
from lightship.core.errors import Damaged, HubError, Unavailable
from lightship.core.ports import CollectionState, Page, Row
from lightship.core.query import DEFAULT_FILTERS, Filters, Query
from lightship.core.time import (
    MAX_MICROS,
    Instant,
    Micros,
    format_stamp,
    parse_instant,
)
from lightship.storage.sqlite.classes import spec_of, spec_passes, wanted
from lightship.storage.sqlite.connection import hub_error, open_database, read_epoch, select
from lightship.storage.sqlite.rows import idhash
from lightship.storage.sqlite.stillness import NEVER, UNKNOWN, Stillness
from lightship.storage.sqlite.streams import FETCH, distinct, streams
from lightship.storage.statements import Statement

T = TypeVar("T")


_STATE = """
SELECT h.epoch, c.generation, c.size, c.last_added, c.objects, c.stored_bytes
FROM hub AS h LEFT JOIN collection AS c ON c.number = ?"""
_DROPPED = """
SELECT c.generation, d.key FROM collection AS c
LEFT JOIN dropped AS d ON d.collection = c.number AND d.generation > ?2
WHERE c.number = ?1 ORDER BY d.generation"""
_SHOWN = """
SELECT key, id, type, class, version, version_text, {body} FROM object INDEXED BY object_shown
WHERE class & 5 = 5 AND key > ? AND key <= ? ORDER BY key LIMIT ?"""
_FIRST_SHOWN = """
SELECT key FROM object INDEXED BY object_shown
WHERE class & 5 = 5 AND key > ? AND key <= ? ORDER BY key LIMIT 1"""
_BY_KEYS = """
SELECT o.key, o.id, o.type, o.class, o.version, o.version_text, {body}
FROM carray(?) AS c CROSS JOIN object AS o ON o.key = c.value"""
_EXISTS = """
SELECT 1 FROM object INDEXED BY object_id WHERE idhash = ? AND key > ? AND key <= ? AND id = ? LIMIT 1"""
_STATEMENTS = """
SELECT collection, idx, at, by, agreement, body, signatures FROM statement
WHERE key >= ? AND key <= ? ORDER BY key"""

_NOT_AS_WRITTEN = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)
"""What making values of a row raises if somebody else changed it."""

_Raw = tuple[int, str, int, int, str, str, bytes]
"""key, id, type, class, version, version_text, body"""


class SqliteReader:
    """`ports.Reader` and `Statuses` over one file; may be called from several threads.

    Args:
        path: the file.
        stillness: tells whether anything was committed; without it every read asks the file.
    """

    def __init__(self, path: Path, stillness: Stillness | None = None) -> None:
        self._path = path
        self._stillness = stillness
        self._epoch = (NEVER, 0)
        self._states: dict[int, tuple[int, CollectionState]] = {}
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: WeakSet[apsw.Connection] = WeakSet()  # a thread's connection ends with the thread
        self._closed = False
        self._types: dict[int, str] = {}  # rows of `type` never change

    def epoch(self) -> int:
        """Return the policy epoch; every request asks for it first."""
        now = UNKNOWN if self._stillness is None or self._closed else self._stillness.look()
        at, epoch = self._epoch
        if at != now:
            epoch = self.ask(read_epoch)
            self._epoch = (now if now & 1 == 0 else NEVER, epoch)  # the counter was read first
        return epoch

    def state(self, grant: Grant) -> CollectionState:
        """Return what every request reads; zeros for a collection that was never activated."""
        now, number = self._now(), grant.collection.number
        held = self._states.get(number)
        if held is not None and held[0] == now:
            return held[1]
        state = self._read_state(number)
        if now & 1 == 0:
            self._states[number] = (now, state)
        return state

    def _read_state(self, number: int) -> CollectionState:
        rows = self.ask(lambda db: select(db, _STATE, (number,)) or [(read_epoch(db), *[None] * 5)])
        epoch, generation, size, last, objects, stored = rows[0]
        if generation is None:
            return CollectionState(epoch, 0, 0, Micros(0), 0, 0)
        return CollectionState(epoch, generation, size, Micros(last), objects, stored)

    def _now(self) -> int:
        """Return the change counter, an odd number if nothing is known about changes."""
        return UNKNOWN if self._stillness is None or self._closed else self._stillness.now()

    def page(self, grant: Grant, query: Query, *, bodies: bool, max_bytes: int) -> Page:
        """Return matching rows in key order."""
        limit = max(query.limit, 1)
        number = grant.collection.number

        def read(db: apsw.Connection) -> Page:
            if query.filters == DEFAULT_FILTERS:
                return self._fill(db, _shown(db, number, query.after, limit + 1, bodies), limit, max_bytes)
            with _snapshot(db) as cursors:
                found = self._matching(db, cursors, number, query.filters, query.after, bodies, limit + 1)
                return self._fill(db, found, limit, max_bytes)

        return self.ask(read)

    def first_after(self, grant: Grant, filters: Filters, after: Micros) -> int | None:
        """Return the first matching key after `after`."""
        number = grant.collection.number

        def read(db: apsw.Connection) -> int | None:
            if filters == DEFAULT_FILTERS:
                rows = select(db, _FIRST_SHOWN, (pack(number, after), pack(number, MAX_MICROS)))
                return int(rows[0][0]) if rows else None
            with _snapshot(db) as cursors:
                found = self._matching(db, cursors, number, filters, after, False, 1)
                row = next(found, None)
                return row[0] if row else None

        return self.ask(read)

    def dropped_since(self, grant: Grant, generation: int) -> Sequence[int] | None:
        """Return the keys whose visibility changed after `generation`; None if that is too long ago."""
        rows = self.ask(lambda db: select(db, _DROPPED, (grant.collection.number, generation)))
        if not rows:
            return [] if generation == 0 else None
        keys = [key for _, key in rows if key is not None]
        return keys if len(keys) == rows[0][0] - generation else None

    def exists(self, grant: Grant, object_id: str) -> bool:
        """True if any live version of the object is in the collection."""
        number = grant.collection.number
        values = (idhash(number, object_id), pack(number, 0), pack(number, MAX_MICROS), object_id)
        return bool(self.ask(lambda db: select(db, _EXISTS, values)))

    def status(self, principal: Principal, status_id: str) -> bytes | None:
        """Return the status of this credential's own post."""
        values = (status_id, principal.credential, principal.agreement)
        sql = "SELECT body FROM status WHERE id = ? AND credential = ? AND agreement = ?"
        rows = self.ask(lambda db: select(db, sql, values))
        return bytes(rows[0][0]) if rows else None

    def statements(self, collection: int, start: int = 0) -> list[Statement]:
        """Return the statement rows of a collection from index `start`."""
        values = (pack(collection, start), pack(collection, MAX_MICROS))
        return [Statement(*row) for row in self.ask(lambda db: select(db, _STATEMENTS, values))]

    # --- connections ----------------------------------------------------------------------------

    def ask(self, read: Callable[[apsw.Connection], T]) -> T:
        """Run a read on this thread's connection. What it returns must not refer to an open cursor.

        Raises:
            Unavailable, Damaged: the file cannot be read, or a row is not as it was ever written.
        """
        db: apsw.Connection | None = getattr(self._local, "db", None)
        try:
            return read(db if db is not None else self._connect())
        except apsw.Error as error:
            raise self._closed_error() if self._closed else hub_error(error) from error
        except _NOT_AS_WRITTEN as error:
            raise Damaged(
                "A row of the data file cannot be read",
                why=f"{type(error).__name__}: {error}"[:200],
                todo="Run lightship fsck, then restore a backup",
            ) from error

    def close(self) -> None:
        """Close the connections of all threads; later reads raise Unavailable."""
        with self._lock:
            self._closed = True
            for db in tuple(self._open):
                with contextlib.suppress(apsw.Error):  # in use in its thread: closed when that ends
                    db.close()

    def _connect(self) -> apsw.Connection:
        with self._lock:
            if self._closed:
                raise self._closed_error()
            db = open_database(self._path, readonly=True)
            self._open.add(db)
        self._local.db = db
        return db

    @staticmethod
    def _closed_error() -> HubError:
        return Unavailable("The store is closed", todo="Try again")

    # --- pages ----------------------------------------------------------------------------------

    def _fill(self, db: apsw.Connection, found: Iterator[_Raw], limit: int, max_bytes: int) -> Page:
        rows: list[Row] = []
        used = 0
        types = self._types
        for key, object_id, type_number, row_class, _, version_text, body in found:
            used += len(body)
            if len(rows) == limit or (rows and used > max_bytes):
                return Page(tuple(rows), True)
            name = types.get(type_number) or self._type_name(db, type_number)
            rows.append(Row(key, object_id, name, spec_of(row_class), version_text, body))
        return Page(tuple(rows), False)

    def _type_name(self, db: apsw.Connection, number: int) -> str:
        self._types.update((number, name) for number, name in select(db, "SELECT number, name FROM type"))
        return self._types[number]

    def _matching(
        self,
        db: apsw.Connection,
        cursors: contextlib.ExitStack,
        number: int,
        filters: Filters,
        after: Micros,
        bodies: bool,
        want: int,
    ) -> Iterator[_Raw]:
        """Yield rows that pass `filters`, in key order, lazily."""
        types = _type_numbers(db, filters.types)
        if filters.types and not types:
            return
        ids, classes = frozenset(filters.ids), frozenset(wanted(filters))
        instants, sql = filters.versions.instants, _BY_KEYS.format(body="o.body" if bodies else "x''")
        keys = distinct(merge(*streams(db, number, filters, after, types)))
        while some := array("q", islice(keys, min(want, FETCH))):
            for row in _rows(db, cursors, sql, some):
                key, object_id, type_number, row_class, version = row[:5]
                if (
                    (not ids or object_id in ids)
                    and (not types or type_number in types)
                    and (
                        row_class in classes
                        or (spec_passes(row_class, filters) and _instant(key, version) in instants)
                    )
                ):
                    yield row


def _shown(db: apsw.Connection, number: int, after: int, want: int, bodies: bool) -> Iterator[_Raw]:
    """Yield what a reader without filters sees; one statement is one snapshot."""
    sql = _SHOWN_BODIES if bodies else _SHOWN_ROWS
    cursor = db.execute(sql, (pack(number, after), pack(number, MAX_MICROS), want))
    try:
        yield from cursor
    finally:
        cursor.close()


_SHOWN_BODIES = _SHOWN.format(body="body")
_SHOWN_ROWS = _SHOWN.format(body="x''")


@contextlib.contextmanager
def _snapshot(db: apsw.Connection) -> Iterator[contextlib.ExitStack]:
    """One committed state over several statements; the cursors made in it are closed at its end."""
    db.execute("BEGIN")
    try:
        with contextlib.ExitStack() as cursors:
            yield cursors
    finally:
        db.execute("COMMIT")


def _rows(db: apsw.Connection, cursors: contextlib.ExitStack, sql: str, keys: array[int]) -> Iterator[_Raw]:
    cursor = db.execute(sql, (apsw.carray(keys),))
    cursors.callback(cursor.close)
    yield from cursor


def _type_numbers(db: apsw.Connection, names: Sequence[str]) -> frozenset[int]:
    sql = "SELECT number FROM type WHERE name = ?"
    return frozenset(row[0] for name in names for row in select(db, sql, (name,)))


def _instant(key: int, version: str) -> Instant:
    """Return a row's version as clients see it."""
    return Instant(version) or parse_instant(format_stamp(stamp_of(key)))
