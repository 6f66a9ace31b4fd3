"""One way to open a SQLite file, and one way to name what went wrong with it.

WAL with `synchronous=FULL`: a commit that returned survives kill -9 and power loss. Deleted content is
overwritten (`secure_delete`), because a withdrawal promises that bodies are erased. Never creates tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw

from lightship.core.errors import Damaged, HubError, Unavailable

BUSY_MS = 10_000
"""How long a statement waits for a lock that another connection holds."""
CACHE_KIB = 16_384
"""Page cache of a reading connection, one a thread; the system keeps the file's pages as well."""
WRITER_CACHE_KIB = 262_144
"""Upper limit of a writer's page cache: the index over ids is hit at random, so it must fit."""
CHECKPOINT_PAGES = 100_000
"""Pages in the write-ahead log after which it is copied into the file."""
JOURNAL_LIMIT = 64 * 1024 * 1024
"""Bytes that an emptied write-ahead log may keep on disk."""

FATAL = (
    apsw.FullError,
    apsw.IOError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.ProtocolError,
    apsw.NoMemError,
    apsw.PermissionsError,
    apsw.CorruptError,
    apsw.NotADBError,
)
"""Errors of the file, not of one statement: the whole transaction fails with them."""


def open_database(path: Path, *, readonly: bool = False) -> apsw.Connection:
    """Open the database file at `path`, creating it unless `readonly`.

    Raises:
        apsw.Error: it cannot be opened (`hub_error` says what that means to a caller).
    """
    flags = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    db = apsw.Connection(str(path), flags=flags)
    try:
        db.set_busy_timeout(BUSY_MS)
        pragmas = [
            f"cache_size = -{CACHE_KIB}",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            "trusted_schema = OFF",
        ]
        if not readonly:
            pragmas += [
                "journal_mode = WAL",
                "synchronous = FULL",
                "secure_delete = ON",
                f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
                f"journal_size_limit = {JOURNAL_LIMIT}",
            ]
        for pragma in pragmas:
            db.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        db.close()
        raise
    return db


def select(db: apsw.Connection, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return all rows; no cursor stays open, so the next statement sees the newest commit."""
    return db.execute(sql, values).fetchall()


def read_epoch(db: apsw.Connection) -> int:
    """Return the policy epoch.

    Raises:
        Damaged: the one row that holds it is not there.
    """
    rows = select(db, "SELECT epoch FROM hub")
    if not rows:
        raise Damaged(
            "The data file does not hold together",
            why="the row that counts changes of the rules is not there",
            todo="Run lightship fsck, then restore a backup",
        )
    return int(rows[0][0])


def widen_cache(db: apsw.Connection) -> None:
    """Let a writer's page cache grow up to WRITER_CACHE_KIB (memory is taken as it is used)."""
    db.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}").fetchall()


def hub_error(error: Exception) -> HubError:
    """Return what a file's error means to a caller: `Damaged`, else `Unavailable`. Never names a path."""
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return Damaged(
            "The data file does not hold together",
            why=str(error),
            todo="Run lightship fsck, then restore a backup",
        )
    if isinstance(error, apsw.FullError):
        return Unavailable(
            "The disk is full", retry_after=30, why=str(error), todo="Free disk space; nothing was written"
        )
    if isinstance(error, apsw.ReadOnlyError | apsw.PermissionsError):
        return Unavailable(
            "The data cannot be written", retry_after=30, why=str(error), todo="Make the disk writable"
        )
    why = error.strerror or "" if isinstance(error, OSError) else str(error)
    return Unavailable("The data file cannot be used for now", why=why, todo="Try again; see the hub's log")
