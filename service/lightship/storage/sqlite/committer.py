"""Group commit: one thread that runs jobs in transactions and delivers results only after COMMIT.

There is no timer: whatever queued up during one commit is the next group. Across processes a blocking
file lock orders the writers (SQLite's own busy handler sleeps and is unfair), then BEGIN IMMEDIATE.
A fault of the file fails the group with `Unavailable`; the next group opens the file anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic_ns
from typing import Any, Generic, TypeVar

import apsw

from lightship.core.errors import Unavailable
from lightship.core.ports import COMMIT_MICROS, GROUP_SIZES, CommitFigures
from lightship.storage.sqlite.connection import BUSY_MS, CHECKPOINT_PAGES, FATAL, hub_error
from lightship.storage.sqlite.stillness import Stillness

J = TypeVar("J")
Job = Callable[[apsw.Connection], Any]

GROUP_WEIGHT = 8_192
"""A group takes no further job once its weight reaches this, so that one commit stays short."""
IDLE_S = 1.0
"""After so long without a job the write-ahead log is copied into the file and emptied; no job waits."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The result of a job that failed alone; the other jobs of its group are committed."""

    error: Exception


def hub_fault(error: Exception) -> Exception:
    """Return what a fault of the file or the system means to a caller; anything else as it is."""
    return hub_error(error) if isinstance(error, apsw.Error | OSError) else error


def run_each(db: apsw.Connection, jobs: Sequence[Job]) -> list[object]:
    """Run each job in a savepoint of its own."""
    results: list[object] = []
    for job in jobs:
        db.execute("SAVEPOINT job")
        try:
            results.append(job(db))
        except FATAL:
            raise
        except Exception as error:
            if not db.in_transaction:  # SQLite gave up the whole transaction
                raise
            db.execute("ROLLBACK TO job")
            results.append(Failed(error))
        db.execute("RELEASE job")
    return results


@dataclass(slots=True)
class _Entry(Generic[J]):
    job: J
    future: Future[Any]
    alone: bool
    weight: int
    queued: int = field(default_factory=monotonic_ns)


class _Tally:
    """Counts groups for whoever looks from another thread; written in the writer's thread alone."""

    def __init__(self) -> None:
        self._sizes = [0] * (len(GROUP_SIZES) + 1)
        self._times = [0] * (len(COMMIT_MICROS) + 1)
        self._writes = self._micros = self._failed = 0
        self.running: Sequence[_Entry[Any]] = ()

    def done(self, writes: int, micros: int, *, failed: bool) -> None:
        """Count one group."""
        if failed:
            self._failed += 1
            return
        self._sizes[bisect_left(GROUP_SIZES, writes)] += 1
        self._times[bisect_left(COMMIT_MICROS, micros)] += 1
        self._writes += writes
        self._micros += micros

    def figures(self, queued: int) -> CommitFigures:
        """Return what was counted, with `queued` further writes that wait."""
        running = self.running
        oldest = (monotonic_ns() - running[0].queued) // 1000 if running else 0
        return CommitFigures(
            sizes=tuple(self._sizes),
            times=tuple(self._times),
            writes=self._writes,
            micros=self._micros,
            failed=self._failed,
            waiting=queued + len(running),
            oldest=oldest,
        )


class GroupCommit(Generic[J]):
    """The writer thread of one file in this process, for any kind of job.

    Args:
        connect: opens the file; called in the thread, again after a fault.
        lock_path: file whose lock is held during each transaction; created if missing.
        name: of the thread.
        run: runs the jobs of a group inside the open transaction and returns one result or `Failed` for
            each, in order; what it raises fails the group.
        before_commit: called in the transaction after the jobs; what it raises fails the group.
        after_commit: called once the transaction is durable, before the results are delivered.
        fault: what a group that failed is told, given what it failed with.
        checkpoint_pages: pages in the write-ahead log after which it is copied into the file and begun anew;
            a commit that grows it makes the file system write more than one that overwrites it.
        cancellable: a caller may take its job back by cancelling its future, as long as it waits.
        stillness: told of every commit under the lock, for readers that remember what they read.
        weighed: a job counts as as many writes as it weighs, not as one.
    """

    def __init__(
        self,
        connect: Callable[[], apsw.Connection],
        lock_path: Path,
        name: str,
        *,
        run: Callable[[apsw.Connection, Sequence[J]], Sequence[object]],
        before_commit: Callable[[apsw.Connection], None] | None = None,
        after_commit: Callable[[], None] | None = None,
        fault: Callable[[Exception], Exception] = hub_fault,
        checkpoint_pages: int = CHECKPOINT_PAGES,
        cancellable: bool = True,
        weighed: bool = False,
        stillness: Stillness | None = None,
    ) -> None:
        self._weighed = weighed
        self._stillness = stillness
        self._checkpoint_pages = checkpoint_pages
        self._fault = fault
        self._cancellable = cancellable
        self._connect = connect
        self._lock_path = lock_path
        self._run = run
        self._before_commit = before_commit
        self._after_commit = after_commit
        self._queue: SimpleQueue[_Entry[J] | None] = SimpleQueue()
        self._next: _Entry[J] | None = None
        self._db: apsw.Connection | None = None
        self._lock_fd = -1
        self._wal_pages = 0
        self._closed = False
        self._tally = _Tally()
        self._gate = threading.Lock()  # orders submit against close
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def put(self, job: J, *, alone: bool = False, weight: int = 1) -> Future[Any]:
        """Queue a job. Its future completes after COMMIT, or with what the job raised.

        Args:
            job: runs in the writer's thread with an open transaction; must not commit.
            alone: gets a transaction of its own.
            weight: how much work it is, in rows.
        """
        future: Future[Any] = Future()
        if not self._cancellable:
            future.set_running_or_notify_cancel()
        with self._gate:
            if self._closed:
                future.set_exception(Unavailable("The store is closed", todo="Try again"))
            else:
                self._queue.put(_Entry(job, future, alone, weight))
        return future

    def figures(self) -> CommitFigures:
        """Return what was committed so far and what waits; from any thread."""
        return self._tally.figures(self._queue.qsize())

    def close(self, last: J | None = None) -> None:
        """Finish what is queued, then stop. Later jobs fail with `Unavailable`. May be called twice.

        Args:
            last: a job to run after all others; nobody waits for its result.
        """
        with self._gate:
            if not self._closed:
                self._closed = True
                if last is not None:
                    self._queue.put(_Entry(last, Future(), False, 1))
                self._queue.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _loop(self) -> None:
        while (group := self._take()) is not None:
            self._commit(group)
            del group  # results and bodies are not kept until the next one comes
            if self._wal_pages >= self._checkpoint_pages:
                self._checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._disconnect()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)

    def _take(self) -> list[_Entry[J]] | None:
        """Return the next group; None when closed and empty. Blocks only while nothing is queued."""
        first = self._next if self._next is not None else self._wait()
        self._next = None
        if first is None:
            return None
        group, weight = [first], first.weight
        while not first.alone and weight < GROUP_WEIGHT:
            try:
                entry = self._queue.get_nowait()
            except Empty:
                break
            if entry is None:  # closed: nothing can follow, come back for it
                self._queue.put(None)
                break
            if entry.alone or weight + entry.weight > GROUP_WEIGHT:
                self._next = entry
                break
            group.append(entry)
            weight += entry.weight
        return group

    def _commit(self, group: list[_Entry[J]]) -> None:
        if self._cancellable:
            group = [entry for entry in group if entry.future.set_running_or_notify_cancel()]
        if not group:
            return
        self._tally.running, begun = group, monotonic_ns()
        writes = sum(entry.weight for entry in group) if self._weighed else len(group)
        try:
            results = self._transaction([entry.job for entry in group])
        except Exception as error:
            self._disconnect()
            self._tally.done(writes, 0, failed=True)
            self._tally.running = ()
            told = self._fault(error)
            for entry in group:
                entry.future.set_exception(told)
            return
        self._tally.done(writes, (monotonic_ns() - begun) // 1000, failed=False)
        self._tally.running = ()
        for entry, result in zip(group, results, strict=True):
            if isinstance(result, Failed):
                entry.future.set_exception(result.error)
            else:
                entry.future.set_result(result)

    def _transaction(self, jobs: list[J]) -> Sequence[object]:
        self._take_turn()
        try:
            if self._db is None:
                self._db = self._connect()
                self._db.set_wal_hook(self._on_wal)
            db = self._db
            db.execute("BEGIN IMMEDIATE")
            try:
                results = self._run(db, jobs)
                if self._before_commit is not None:
                    self._before_commit(db)
                if self._stillness is not None:
                    self._stillness.disturb()  # and left so if COMMIT fails: then readers ask
                db.execute("COMMIT")
                if self._stillness is not None:
                    self._stillness.settle()
            except BaseException:
                with contextlib.suppress(apsw.Error):
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                raise
        finally:
            fcntl.flock(self._lock_fd, fcntl.LOCK_UN)
        if self._after_commit is not None:
            self._after_commit()
        return results

    def _take_turn(self) -> None:
        """Hold the lock of the file that has the name now; somebody may have deleted or replaced it."""
        while True:
            if self._lock_fd < 0:
                self._lock_fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._lock_fd), os.stat(self._lock_path)):
                    return
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _on_wal(self, db: apsw.Connection, name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _wait(self) -> _Entry[J] | None:
        """Return the next job; while there is none, empty the write-ahead log."""
        if self._wal_pages:
            try:
                return self._queue.get(timeout=IDLE_S)
            except Empty:
                self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
        return self._queue.get()

    def _checkpoint(self, mode: int) -> None:
        """Copy the write-ahead log into the file, after the results are out; readers are never waited for."""
        self._wal_pages = 0  # asked again by the next commit if it could not be emptied
        if self._db is None:
            return
        with contextlib.suppress(apsw.Error):
            self._db.set_busy_timeout(0)
            self._db.wal_checkpoint(mode=mode)
        with contextlib.suppress(apsw.Error):
            self._db.set_busy_timeout(BUSY_MS)

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(apsw.Error):
                db.close()
