"""A consistent copy of one SQLite file while others write to it, through SQLite's online backup.

The source connection holds one read transaction for the whole copy: without it the backup starts again
whenever somebody commits, and never ends on a busy hub. The copy is one plain file without a WAL.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import apsw

STEP_PAGES = 4096
"""Pages copied between two calls of `progress` (16 MiB at the usual page size)."""


def copy_database(source: Path, target: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Copy the committed state of `source`, as it is when the call begins, to the new file `target` (0600).

    Args:
        progress: called with pages done and pages in all.

    Raises:
        FileExistsError: `target` exists.
        apsw.Error: reading or writing failed; a partial `target` may be left.
    """
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    reading = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    writing = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        reading.set_busy_timeout(60_000)
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # the snapshot is taken here
        with writing.backup("main", reading, "main") as copying:
            while not copying.done:
                copying.step(STEP_PAGES)
                if progress is not None:
                    progress(copying.page_count - copying.remaining, copying.page_count)
        writing.pragma("journal_mode", "delete")
    finally:
        writing.close()
        reading.close()
    with target.open("rb") as made:
        os.fsync(made.fileno())
