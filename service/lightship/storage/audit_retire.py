"""Deleting a year's access log once its retention is over: the whole file, never a part of it.

What was in it stays provable to whoever exported it: the next year's first leaves hold its last checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from lightship.core.errors import NotFound, Refused
from lightship.core.time import Micros, format_stamp
from lightship.storage.sqlite.access_files import audit_files, year_of
from lightship.storage.sqlite.connection import open_database

DAY = 86_400_000_000


def kept_until(year: int, retention_days: Iterable[int]) -> Micros:
    """Return until when a year's log is kept: its end and the longest retention of any agreement."""
    end = int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    return Micros(end + max(retention_days) * DAY)


def events_of(data_dir: Path, year: int, now: Micros, until: Micros) -> int:
    """Return how many events the year's file holds, if it may be deleted at `now`.

    Raises:
        NotFound: there is no log of that year.  Refused: it is kept until later, or it is the newest one.
    """
    files = dict(audit_files(data_dir))
    if year not in files:
        raise NotFound(f"There is no access log of {year}", todo="See the files data/audit-<year>.db")
    if now < until or year >= year_of(now):
        raise Refused(
            f"The access log of {year} is kept until {format_stamp(until)[:10]}",
            rule="audit-retention",
            why="the longest `audit.retention_days` of the agreements counts from the end of the year",
            todo="Wait, or shorten it in the agreement: 33 CFR 105.225 asks for two years at least",
        )
    db = open_database(files[year], readonly=True)
    try:
        return int(db.execute("SELECT count(*) FROM event").get)
    finally:
        db.close()


def delete_year(data_dir: Path, year: int) -> None:
    """Delete the files of a year's log."""
    path = data_dir / f"audit-{year}.db"
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        name.unlink(missing_ok=True)
    path.with_suffix(".lock").unlink(missing_ok=True)
