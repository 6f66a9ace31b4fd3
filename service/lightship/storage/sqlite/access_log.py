"""The access log on SQLite: one file `audit-<year>.db` per UTC year of event, many events per commit.

An event's future completes when its commit is on disk. The files are apart from `hub.db`, so that recording
a read never waits for a publish. Rows are only ever added; nothing here alters or removes one.

A commit writes few pages: the events at the end of their table, and their count. The table that is searched
is filled once it lacks TAIL events, in the same transaction as the events that made it so many.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import apsw

from lightship.core.audit import AccessEvent, AuditQuery
from lightship.core.errors import Unavailable
from lightship.core.ports import Clock, CommitFigures
from lightship.storage.event_leaf import SALT_BYTES, Salts, clean, to_leaf
from lightship.storage.migrate import Kind, migrate, open_migrated
from lightship.storage.sqlite.access_search import OUTCOMES, search_file, word_number
from lightship.storage.sqlite.committer import Failed, GroupCommit, hub_fault, run_each
from lightship.storage.sqlite.connection import FATAL

TAIL = 1024
"""So many events and a group at most may be missing in the table that is searched; a search reads them."""

LOG_PAGES = 2000
"""Pages of the write-ahead log before it is begun anew: 8 MB, so that nearly all commits overwrite it."""

_TOGETHER = 64
"""Rows of one statement."""
_ROW = f"({', '.join('?' * 15)})"
_INSERT = (
    "INSERT INTO event(agr, idx, at, who, cred, col, act, outcome, effect, req, leaf, q_salt, q, ip_salt, ip)"
    " VALUES "
)
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
        """Append an event, one with an effect unless its `req` is in the file already.

        The future fails with `Unavailable`. Never blocks.
        """
        with self._lock:
            year = None if self._closed else self._year(year_of(event.at))
        if year is None:
            failed: Future[None] = Future()
            failed.set_exception(Unavailable("The access log is closed", todo="Try again"))
            return failed
        return year.append(event)

    def search(self, query: AuditQuery) -> Iterator[AccessEvent]:
        """Yield matching events, oldest first, across years; holds no transaction open between batches."""
        left = query.limit
        first = year_of(max(query.since, 0))
        last = 9999 if query.until is None else year_of(max(query.until - 1, 0))
        for year, path in audit_files(self._dir):
            if left > 0 and first <= year <= last:
                for event in search_file(path, query, left):
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
            found = self._years[year] = _Year(self._dir / f"audit-{year}.db", self._clock, self._random)
        return found


def _connect(path: Path, clock: Clock) -> apsw.Connection:
    return open_migrated(path, Kind.AUDIT, clock.now())


class _Year:
    """The writing side of one file. All but `append` runs in the writer's thread alone."""

    def __init__(self, path: Path, clock: Clock, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._words: dict[str, int] = {}  # whose numbers are known to be committed
        self._fresh: dict[str, int] = {}  # of the open transaction
        self._filled = self._filling = self._newest = -TAIL  # in `seq`; unknown as yet, so looked up
        self._committer: GroupCommit[AccessEvent] = GroupCommit(
            partial(_connect, path, clock),
            path.with_suffix(".lock"),
            path.stem,
            run=self._run,
            before_commit=self._fill,
            after_commit=self._committed,
            fault=lambda error: _unavailable(hub_fault(error)),
            checkpoint_pages=LOG_PAGES,
            cancellable=False,
        )
        self.append = self._committer.put
        self.close = self._committer.close
        self.figures = self._committer.figures

    def _run(self, db: apsw.Connection, events: Sequence[AccessEvent]) -> Sequence[object]:
        """Insert a group at once; only if an event fails, again from the start, each in a savepoint."""
        self._fresh = {}
        try:
            self._insert(db, events)
        except FATAL:
            raise
        except Exception:
            if not db.in_transaction:
                raise
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            self._fresh = {}
            results = run_each(db, [partial(self._insert, events=[event]) for event in events])
            return [Failed(_unavailable(one.error)) if isinstance(one, Failed) else one for one in results]
        return [None] * len(events)

    def _insert(self, db: apsw.Connection, events: Sequence[AccessEvent]) -> None:
        salts = self._random(2 * SALT_BYTES * len(events))
        fresh: dict[str, int] = {}
        again: set[bytes] = set()
        rows: list[list[Any]] = []
        counts: dict[int, int] = {}
        for number, event in enumerate(events):
            req = req_key(event.req)
            if event.has_effect:
                if req in again or _has_effect(db, req):
                    continue
                again.add(req)
            at = 2 * SALT_BYTES * number
            both = Salts(salts[at : at + SALT_BYTES], salts[at + SALT_BYTES : at + 2 * SALT_BYTES])
            agr, who, cred, col, act = (
                self._word(db, text, fresh)
                for text in (event.agr, event.who, event.cred, event.col, event.act)
            )
            idx = counts.get(agr, 0)
            counts[agr] = idx + 1
            rows.append(
                [
                    *(
                        agr,
                        idx,
                        event.at,
                        who,
                        cred,
                        col,
                        act,
                        OUTCOMES[event.outcome],
                        int(event.has_effect),
                    ),
                    *(req, to_leaf(event, both), both.q, clean(event.q), both.ip, clean(event.ip)),
                ]
            )
        firsts = {agr: _take(db, agr, count) for agr, count in counts.items()}
        for row in rows:
            row[1] += firsts[row[0]]
        _insert_rows(db, rows)
        self._newest = max(self._newest, db.last_insert_rowid()) if rows else self._newest
        self._fresh |= fresh

    def _word(self, db: apsw.Connection, text: str, fresh: dict[str, int]) -> int:
        number = self._words.get(text) or self._fresh.get(text) or fresh.get(text)
        if number is None:
            kept = clean(text)
            db.execute("INSERT INTO word(text) VALUES (?) ON CONFLICT DO NOTHING", (kept,))
            number = fresh[text] = word_number(db, kept) or 0
        return number

    def _fill(self, db: apsw.Connection) -> None:
        """Fill the table that is searched if it lacks TAIL events; another process may have done so."""
        self._filling = self._filled
        if self._newest - self._filled < TAIL:
            return
        self._filling = int(db.execute("SELECT seq FROM filled").get)
        if self._newest - self._filling < TAIL:
            return
        db.execute(
            "INSERT INTO search SELECT at, seq, agr, who, cred, col, act, outcome FROM event"
            " WHERE seq > ? ORDER BY at, seq",
            (self._filling,),
        )
        db.execute("UPDATE filled SET seq = (SELECT max(seq) FROM event)")
        self._filling = self._newest

    def _committed(self) -> None:
        """Remember what is durable; what was rolled back must not be."""
        self._filled = self._filling
        if self._fresh:
            if len(self._words) > _MAX_WORDS:
                self._words = {}
            self._words.update(self._fresh)


def _has_effect(db: apsw.Connection, req: bytes) -> bool:
    """True if an event with an effect has this request already."""
    return db.execute("SELECT 1 FROM event WHERE req = ? AND effect = 1", (req,)).fetchone() is not None


def _take(db: apsw.Connection, agr: int, count: int) -> int:
    """Count further events of an agreement; return the `idx` of the first one."""
    size = db.execute(
        "INSERT INTO scope(agr, size) VALUES (?1, ?2) ON CONFLICT(agr) DO UPDATE SET size = size + ?2"
        " RETURNING size",
        (agr, count),
    ).get
    return int(size) - count


def _insert_rows(db: apsw.Connection, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows by statements of 64, 32, ... 1 rows: few statements a group, few texts to keep prepared."""
    at, together = 0, _TOGETHER
    while at < len(rows):
        while together > len(rows) - at:
            together //= 2
        values = [value for row in rows[at : at + together] for value in row]
        db.execute(_INSERT + ", ".join([_ROW] * together), values)
        at += together


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
