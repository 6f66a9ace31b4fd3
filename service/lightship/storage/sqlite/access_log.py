"""The access log on SQLite: one file `audit-<year>.db` per UTC year of event, many events per commit.

An event's future completes when its commit is on disk. The files are apart from `hub.db`, so that recording
a read never waits for a publish. Rows are only ever added; nothing here alters or removes one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import apsw

from lightship.core.audit import AccessEvent, AuditQuery, Outcome
from lightship.core.errors import Unavailable
from lightship.core.ports import Clock, CommitFigures
from lightship.storage.event_leaf import SALT_BYTES, Salts, clean, from_leaf, to_leaf
from lightship.storage.migrate import Kind, migrate, open_migrated
from lightship.storage.sqlite.committer import GroupCommit, run_each
from lightship.storage.sqlite.connection import FATAL, open_database

OUTCOMES: dict[Outcome, int] = {"ok": 0, "refused": 1, "failed": 2}
FEW = 20_000
"""An index range with at most so many events is read through; beyond, `event_at` answers the question."""

BATCH = 1000
"""Events per read transaction of a search."""

_MAX_WORDS = 100_000
_FILE = re.compile(r"audit-(\d{4})\.db")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def audit_files(data_dir: Path) -> list[tuple[int, Path]]:
    """Return (year, file) of every access log file in `data_dir`, oldest first."""
    found = ((_FILE.fullmatch(path.name), path) for path in data_dir.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)


def year_of(at: int) -> int:
    """Return the UTC year of a time in microseconds."""
    return (_EPOCH + timedelta(microseconds=at)).year


def open_access_log(
    data_dir: Path, clock: Clock, random: Callable[[int], bytes] = os.urandom
) -> SqliteAccessLog:
    """Open the access log in `data_dir`: bring its files up to date and make this year's.

    Args:
        random: gives the salts; n -> n random bytes.

    Raises:
        NewerStore: a newer version wrote one of the files.  BadFile: one of them is something else.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for _, path in audit_files(data_dir):
        migrate(path, Kind.AUDIT, clock.now())
    migrate(data_dir / f"audit-{year_of(clock.now())}.db", Kind.AUDIT, clock.now())
    return SqliteAccessLog(data_dir, clock, random)


class SqliteAccessLog:
    """`ports.Access` on SQLite; may be called from several threads, and several processes may write."""

    def __init__(self, data_dir: Path, clock: Clock, random: Callable[[int], bytes] = os.urandom) -> None:
        self._dir = data_dir
        self._clock = clock
        self._random = random
        self._lock = Lock()
        self._years: dict[int, _Year] = {}
        self._closed = False

    def record(self, event: AccessEvent) -> Future[None]:
        """Append an event unless its `req` is in the file already; fails with `Unavailable`, never blocks."""
        salts = Salts(self._random(SALT_BYTES), self._random(SALT_BYTES))
        entry = _Entry(event, to_leaf(event, salts), salts)
        with self._lock:
            year = None if self._closed else self._year(year_of(event.at))
        if year is None:
            failed: Future[None] = Future()
            failed.set_exception(Unavailable("The access log is closed", todo="Try again"))
            return failed
        return year.append(entry)

    def search(self, query: AuditQuery) -> Iterator[AccessEvent]:
        """Yield matching events, oldest first, across years; holds no transaction open between batches."""
        left = query.limit
        first = year_of(max(query.since, 0))
        last = 9999 if query.until is None else year_of(max(query.until - 1, 0))
        for year, path in audit_files(self._dir):
            if left > 0 and first <= year <= last:
                for event in _search_file(path, query, left):
                    yield event
                    left -= 1

    def figures(self) -> CommitFigures | None:
        """Return what this process has written to the newest file, None if it has not written any."""
        with self._lock:
            newest = max(self._years, default=None)
            return None if newest is None else self._years[newest].figures()

    def close(self) -> None:
        """Finish what was handed in, then close the files."""
        with self._lock:
            self._closed = True
        for year in self._years.values():
            year.close()

    def _year(self, year: int) -> _Year:
        found = self._years.get(year)
        if found is None:
            found = self._years[year] = _Year(self._dir / f"audit-{year}.db", self._clock)
        return found


def _connect(path: Path, clock: Clock) -> apsw.Connection:
    return open_migrated(path, Kind.AUDIT, clock.now())


@dataclass(frozen=True, slots=True)
class _Entry:
    """One event on its way to the file."""

    event: AccessEvent
    leaf: bytes
    salts: Salts


class _Year:
    """The writing side of one file: its committer, and the words whose numbers are known to be committed."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._words: dict[str, int] = {}
        self._committer = GroupCommit(
            partial(_connect, path, clock), path.with_suffix(".lock"), path.stem, run=self._run
        )
        self.close = self._committer.close
        self.figures = self._committer.figures

    def append(self, entry: _Entry) -> Future[None]:
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()  # it is on its way: a caller that goes away cannot take it back
        self._committer.put(entry).add_done_callback(partial(self._finish, done))
        return done

    def _finish(self, done: Future[None], committed: Future[dict[str, int]]) -> None:
        error = committed.exception()
        if error is not None:
            done.set_exception(_unavailable(error))
            return
        fresh = committed.result()
        if fresh:  # only now: what is rolled back must not be remembered
            if len(self._words) > _MAX_WORDS:
                self._words = {}
            self._words.update(fresh)
        done.set_result(None)

    def _run(self, db: apsw.Connection, entries: Sequence[_Entry]) -> list[object]:
        """Insert a group in one savepoint; only if an event fails, again in one each (10 us saved)."""
        db.execute("SAVEPOINT together")
        try:
            results: list[object] = [self._insert(db, entry) for entry in entries]
        except FATAL:
            raise
        except Exception:
            if not db.in_transaction:
                raise
            db.execute("ROLLBACK TO together")
            results = run_each(db, [partial(self._insert, entry=entry) for entry in entries])
        db.execute("RELEASE together")
        return results

    def _insert(self, db: apsw.Connection, entry: _Entry) -> dict[str, int]:
        event, salts = entry.event, entry.salts
        req = req_key(event.req)
        if db.execute("SELECT 1 FROM event WHERE req = ?", (req,)).fetchone():
            return {}
        fresh: dict[str, int] = {}
        agr, who, cred, col, act = (
            self._word(db, clean(text), fresh)
            for text in (event.agr, event.who, event.cred, event.col, event.act)
        )
        row = db.execute(
            "INSERT INTO scope(agr, size) VALUES (?, 1) ON CONFLICT(agr) DO UPDATE SET size = size + 1"
            " RETURNING size - 1",
            (agr,),
        ).fetchone()
        assert row is not None  # noqa: S101  (an upsert always returns its row)
        db.execute(
            "INSERT INTO event(agr, idx, at, who, cred, col, act, outcome, req, leaf, q_salt, q, ip_salt, ip)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(agr, row[0], event.at, who, cred, col, act, OUTCOMES[event.outcome]),
                *(req, entry.leaf, salts.q, clean(event.q), salts.ip, clean(event.ip)),
            ),
        )
        return fresh

    def _word(self, db: apsw.Connection, text: str, fresh: dict[str, int]) -> int:
        number = self._words.get(text) or fresh.get(text)
        if number is None:
            db.execute("INSERT INTO word(text) VALUES (?) ON CONFLICT DO NOTHING", (text,))
            number = fresh[text] = _word_number(db, text) or 0
        return number


def _unavailable(error: BaseException) -> Unavailable:
    if isinstance(error, Unavailable):
        return error
    return Unavailable(
        "The access log cannot be written",
        why=str(error),
        todo="Run lightship fsck; nothing is answered without its record",
    )


def req_key(req: str) -> bytes:
    """Return what stands in column `req`: 16 bytes of a UUID in hex, else the text."""
    try:
        raw = bytes.fromhex(req)
    except ValueError:
        return clean(req).encode()
    return raw if len(raw) == 16 and raw.hex() == req else req.encode()


def _word_number(conn: apsw.Connection, text: str) -> int | None:
    row = conn.execute("SELECT id FROM word WHERE text = ?", (text,)).fetchone()
    return None if row is None else int(row[0])


# --- searching ----------------------------------------------------------------------------------


def _search_file(path: Path, query: AuditQuery, limit: int) -> Iterator[AccessEvent]:
    conn = open_database(path, readonly=True)
    try:
        made = conn.pragma("user_version") != 0  # another process may be making this file just now
        wanted = _wanted(conn, query) if made else None
        if wanted is None:
            return
        span = (query.since, (1 << 62) if query.until is None else query.until)
        sql = search_sql(wanted, _best_index(conn, wanted, span))
        at, seq = query.since, -1
        while limit > 0:
            rows: list[tuple[Any, ...]] = conn.execute(
                sql, {**wanted, "at": at, "seq": seq, "until": span[1], "n": min(limit, BATCH)}
            ).fetchall()
            for row in rows:
                yield from_leaf(row[2], row[3], row[4])
            if len(rows) < min(limit, BATCH):
                return
            limit -= len(rows)
            at, seq = rows[-1][0], rows[-1][1]
    finally:
        conn.close()


def _wanted(conn: apsw.Connection, query: AuditQuery) -> dict[str, int] | None:
    """Return column -> number of each filter; None if a word never occurs in this file."""
    texts = (
        ("agr", query.agreement),
        ("who", query.member),
        ("cred", query.principal),
        ("col", query.collection),
        ("act", query.action),
    )
    wanted = {}
    for column, text in texts:
        if text:
            number = _word_number(conn, text)
            if number is None:
                return None
            wanted[column] = number
    if query.outcome:
        wanted["outcome"] = OUTCOMES[query.outcome]
    return wanted


def _best_index(conn: apsw.Connection, wanted: dict[str, int], span: tuple[int, int]) -> str:
    """Return the index with the fewest events in its range, by counting FEW + 1 entries of each at most."""
    best, fewest = "at", FEW + 1
    for column, number in wanted.items():
        if column == "agr" or (column == "outcome" and number == 0):
            continue
        partly = " AND outcome <> 0" if column == "outcome" else ""
        sql = (
            f"SELECT count(*) FROM (SELECT 1 FROM event INDEXED BY event_{column}"  # noqa: S608  (names of columns only)
            f" WHERE {column} = ? AND at >= ? AND at < ?{partly} LIMIT {FEW + 1})"
        )
        count = int(conn.execute(sql, (number, *span)).get)
        if count < fewest:
            best, fewest = column, count
    if best == "at" and len(wanted) == 1 and "agr" not in wanted and wanted.get("outcome") != 0:
        (best,) = wanted  # a single filter needs no other column, however many events match
    return best


def search_sql(wanted: dict[str, int], index: str) -> str:
    """Return the query of one batch: equal to these columns, along `event_<index>`, oldest first."""
    filters = "".join(f" AND {column} = :{column}" for column in wanted)
    if index == "outcome":
        filters += " AND outcome <> 0"
    return (
        f"SELECT at, seq, leaf, q, ip FROM event INDEXED BY event_{index}"  # noqa: S608  (names of columns only)
        f" WHERE at >= :at AND at < :until AND (at > :at OR seq > :seq){filters} ORDER BY at, seq LIMIT :n"
    )
