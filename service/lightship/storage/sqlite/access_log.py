"""The access log on SQLite: one file `audit-<year>.db` per UTC year of event, many events per commit.

An event's future completes when its commit is on disk. The files are apart from `hub.db`, so that recording
a read never waits for a publish. Rows are only ever added; nothing here alters or removes one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Lock

from lightship.core.audit import AccessEvent, AuditQuery
from lightship.core.errors import Unavailable
from lightship.core.log.receipt import Sealed
from lightship.core.ports import Clock, CommitFigures, Recorded
from lightship.storage.migrate import Kind, migrate
from lightship.storage.sqlite.access_files import audit_files, year_of
from lightship.storage.sqlite.access_search import search_file
from lightship.storage.sqlite.access_tree import Sealer
from lightship.storage.sqlite.access_writer import YearWriter, unavailable

__all__ = ["SqliteAccessLog", "audit_files", "open_access_log", "year_of"]


def open_access_log(
    data_dir: Path,
    clock: Clock,
    random: Callable[[int], bytes] = os.urandom,
    *,
    sealer: Sealer | None = None,
) -> SqliteAccessLog:
    """Open the access log in `data_dir`: bring its files up to date and make this year's.

    Args:
        random: gives the salts; n -> n random bytes.
        sealer: signs for the hub; without it there are no receipts and no checkpoints.

    Raises:
        NewerStore: a newer version wrote one of the files.  BadFile: one of them is something else.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for _, path in audit_files(data_dir):
        migrate(path, Kind.AUDIT, clock.now())
    migrate(data_dir / f"audit-{year_of(clock.now())}.db", Kind.AUDIT, clock.now())
    return SqliteAccessLog(data_dir, clock, random, sealer)


class SqliteAccessLog:
    """`ports.Access` on SQLite; may be called from several threads, and several processes may write."""

    def __init__(
        self,
        data_dir: Path,
        clock: Clock,
        random: Callable[[int], bytes] = os.urandom,
        sealer: Sealer | None = None,
    ) -> None:
        self._dir = data_dir
        self._clock = clock
        self._random = random
        self._sealer = sealer
        self._lock = Lock()
        self._years: dict[int, YearWriter] = {}
        self._closed = False

    def record(self, event: AccessEvent) -> Future[Sealed | None]:
        """Append an event, one with an effect unless its `req` is in the file already (then None).

        The future fails with `Unavailable`. Never blocks.
        """
        done: Future[Sealed | None] = Future()
        self.record_all([event]).add_done_callback(partial(_only, done))
        return done

    def record_all(self, events: Sequence[AccessEvent]) -> Future[Sequence[Recorded]]:
        """Append events, in order, as `record` does each; one future for all of them.

        What failed alone is `Unavailable` in the result; the future fails if nothing could be written. Never
        blocks.
        """
        done: Future[Sequence[Recorded]] = Future()
        by_year = _by_year(events)
        with self._lock:
            if self._closed:
                done.set_exception(Unavailable("The access log is closed", todo="Try again"))
                return done
            years = [self._year(year) for year in by_year]
        if len(years) == 1:
            return years[0].append(tuple(events), weight=len(events))
        if not years:
            done.set_result([])
        else:
            jobs = [tuple(events[place] for place in places) for places in by_year.values()]
            parts = [year.append(job, weight=len(job)) for year, job in zip(years, jobs, strict=True)]
            _join(done, list(zip(by_year.values(), parts, strict=True)))
        return done

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

    def _year(self, year: int) -> YearWriter:
        found = self._years.get(year)
        if found is None:
            path = self._dir / f"audit-{year}.db"
            found = self._years[year] = YearWriter(path, self._clock, self._random, self._sealer)
        return found


def _only(done: Future[Sealed | None], all_of_it: Future[Sequence[Recorded]]) -> None:
    error = all_of_it.exception()
    (found,) = all_of_it.result() if error is None else (error,)
    if isinstance(found, BaseException):
        done.set_exception(found)
    else:
        done.set_result(found)


def _by_year(events: Sequence[AccessEvent]) -> dict[int, list[int]]:
    """Return the places of the events by their year."""
    times = [event.at for event in events]
    if times and (year := year_of(min(times))) == year_of(max(times)):
        return {year: list(range(len(times)))}
    found: dict[int, list[int]] = {}
    for place, event in enumerate(events):
        found.setdefault(year_of(event.at), []).append(place)
    return found


def _join(
    done: Future[Sequence[Recorded]], parts: Sequence[tuple[Sequence[int], Future[Sequence[Recorded]]]]
) -> None:
    """Complete `done` once all parts are, each with the places of its results."""
    left, lock = [len(parts)], Lock()

    def landed(_: object) -> None:
        with lock:
            left[0] -= 1
            if left[0]:
                return
        results: dict[int, Recorded] = {}
        for places, part in parts:
            error = part.exception()
            found = [unavailable(error)] * len(places) if error else part.result()
            results.update(zip(places, found, strict=True))
        done.set_result([results[place] for place in sorted(results)])

    for _, part in parts:
        part.add_done_callback(landed)
