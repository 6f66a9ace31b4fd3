"""Whether a data file can be written right now: one page is written and committed, nothing changes.

Uses a connection of its own and the writers' lock, so it tells what a writer would meet: a full disk, one
that has become read-only, a file without rights. Never creates a data file.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import apsw

from lightship.core.errors import Unavailable
from lightship.storage.sqlite.access_files import audit_files
from lightship.storage.sqlite.connection import hub_error, open_database

SMALL_LOG = 1_000
"""Pages of the write-ahead log up to which the probe copies it into the file, so that probes don't add up."""


def probe(path: Path, lock_path: Path) -> None:
    """Write to the file at `path` under the lock that its writers hold during a transaction.

    Raises:
        Unavailable: it cannot be written for now.  Damaged: it does not hold together.
    """
    if not path.exists():
        raise Unavailable("A data file is missing", todo="Restart the hub, or restore a backup")
    try:
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _write(path, lock)
        finally:
            os.close(lock)
    except (apsw.Error, OSError) as error:
        raise hub_error(error) from error


def probe_access_log(data_dir: Path) -> None:
    """Write to the newest access log file. Raises as `probe`."""
    files = audit_files(data_dir)
    if not files:
        raise Unavailable("The access log is missing", todo="Restart the hub")
    probe(files[-1][1], files[-1][1].with_suffix(".lock"))


def _write(path: Path, lock: int) -> None:
    pages = 0

    def on_wal(_: apsw.Connection, __: str, in_log: int) -> int:
        nonlocal pages
        pages = in_log
        return apsw.SQLITE_OK

    db = open_database(path)
    try:
        db.set_wal_hook(on_wal)
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            db.execute("BEGIN IMMEDIATE")
            db.execute(f"PRAGMA user_version = {db.pragma('user_version')}")
            db.execute("COMMIT")
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)
        if pages <= SMALL_LOG:
            db.set_busy_timeout(0)
            db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    finally:
        db.close()
