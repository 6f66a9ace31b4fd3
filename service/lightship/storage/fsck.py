"""`lightship fsck`: does everything that is stored hold together? Read-only, also while the hub serves.

Looks at one committed state of `hub.db`, then at the access log, which by then holds every event that was
settled in that state. Each finding names the entry. Never repairs: a repair is a restore or a decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from lightship.core.audit import AccessEvent
from lightship.core.errors import BadFile, LightshipError
from lightship.core.ports import FsckReport
from lightship.storage.fsck_audit import (
    check_effects,
    check_events,
    check_minted,
    check_newest,
    check_times,
)
from lightship.storage.fsck_collection_log import check_collection_log
from lightship.storage.fsck_follows import check_dropped, check_meta, check_signed_rows, check_strays
from lightship.storage.fsck_log import HubKey
from lightship.storage.fsck_marks import check_marking_sets, check_staged
from lightship.storage.fsck_objects import check_flags
from lightship.storage.fsck_registry import (
    check_chains,
    check_credentials,
    check_heads,
    check_pending,
    check_statuses,
)
from lightship.storage.fsck_scratch import Scratch
from lightship.storage.fsck_signatures import Keys, check_rosters, check_signatures, with_rosters
from lightship.storage.fsck_statements import Head, check_collection, check_loose_ends, heads
from lightship.storage.fsck_suspensions import check_suspensions
from lightship.storage.fsck_text import check_texts
from lightship.storage.migrate import Kind, check
from lightship.storage.progress import Progress, no_progress
from lightship.storage.sqlite.access_log import audit_files
from lightship.storage.sqlite.connection import BUSY_MS, CACHE_KIB, hub_error

STEP = 1000
"""Rows between two calls of `progress`."""


def fsck(data_dir: Path, progress: Progress = no_progress, key: HubKey | None = None) -> FsckReport:
    """Check the data of a hub (its directory `data`); signatures too, where its key is given.

    Raises:
        BadFile: `hub.db` is missing, no Lightship file, or at an older schema (start the hub, or run
            `lightship migrate`).  NewerStore: a newer version wrote it.
        Damaged, Unavailable: it cannot be opened at all.
    """
    scratch = Scratch()
    connections: list[apsw.Connection] = []
    try:
        _check_schema(data_dir / "hub.db", Kind.HUB)
        hub = _open(data_dir / "hub.db", connections)
        logs: list[tuple[int, apsw.Connection]] = []
        files = [("hub.db", hub)]
        pending: dict[str, AccessEvent] = {}
        events = 0
        objects, statements = _check_hub(hub, scratch, progress, key)
        with _reading("pending events", scratch, ("hub.db", hub)):
            pending = check_pending(hub, scratch)
        for year, path in audit_files(data_dir):
            with _reading(path.name, scratch):
                _check_schema(path, Kind.AUDIT)
                log = _open(path, connections)
                logs.append((year, log))
                files.append((path.name, log))
                with _reading(path.name, scratch, files[-1]):
                    events += _check_log(log, path, year, scratch, progress, key)
        with _reading("access log", scratch, *files):
            check_effects(logs, pending, scratch)
        with _reading("access log", scratch, *files):
            check_times(hub, logs, pending, scratch)
            check_newest(hub, pending, scratch)
            check_minted(hub, logs, scratch)
        return FsckReport(objects, statements, events, scratch.report())
    finally:
        for connection in connections:
            connection.close()
        scratch.close()


@contextmanager
def _reading(where: str, scratch: Scratch, *files: tuple[str, apsw.Connection]) -> Iterator[None]:
    """Make a finding of whatever is not as it was ever written, and go on with what comes after.

    Args:
        files: name and connection of those that are read.

    Raises:
        Unavailable: the file cannot be read now, or there is no memory: that is no finding.
    """
    try:
        yield
    except (apsw.BusyError, apsw.LockedError, apsw.CantOpenError, apsw.NoMemError) as error:
        raise hub_error(error) from error
    except apsw.Error as error:
        scratch.find(where, f"SQLite cannot read on: {error}")
    except UnicodeDecodeError as error:
        scratch.find(where, f"it cannot be read on: {error}")
        for name, db in files:
            with _reading(name, scratch):
                check_texts(db, name, scratch)
    except (LightshipError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        scratch.find(where, f"it cannot be read on: {type(error).__name__}: {str(error)[:200]}")


def _check_schema(path: Path, kind: Kind) -> None:
    report = check(path, kind)
    if report.found == 0:
        raise BadFile(
            "There is no data here", path=str(path), todo="Name a hub directory, see `lightship init`"
        )
    if report.pending:
        raise BadFile(
            "The data is of an older schema",
            path=str(path),
            why=f"schema {report.found}, this version checks schema {report.newest}",
            todo="Run `lightship migrate` first",
        )


def _open(path: Path, connections: list[apsw.Connection]) -> apsw.Connection:
    """Open one committed state of a file for reading.

    Not as a file that is only read: of such a one SQLite forgets the CHECK constraints, and looks at none.
    """
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connections.append(db)
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.set_busy_timeout(BUSY_MS)
        for pragma in (
            "query_only = ON",
            "trusted_schema = OFF",
            "temp_store = MEMORY",
            f"cache_size = -{CACHE_KIB}",
        ):
            db.execute(f"PRAGMA {pragma}").fetchall()
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # the state is taken here
    except apsw.Error as error:
        raise hub_error(error) from error
    return db


def _integrity(db: apsw.Connection, name: str, scratch: Scratch, progress: Progress) -> None:
    progress(f"checking {name}", 0, 0)
    for (message,) in db.execute("PRAGMA integrity_check(100)"):
        if message != "ok":
            scratch.find(name, f"SQLite: {message}")


def _check_hub(
    db: apsw.Connection, scratch: Scratch, progress: Progress, key: HubKey | None
) -> tuple[int, int]:
    digests: dict[tuple[str, int], str] = {}
    found: list[Head] = []
    with _reading("hub.db", scratch, ("hub.db", db)):
        _integrity(db, "hub.db", scratch, progress)
        check_meta(db, Kind.HUB, "hub.db", scratch)
    with _reading("agreements", scratch, ("hub.db", db)):
        digests = check_chains(db, scratch)
    with _reading("collections", scratch, ("hub.db", db)):
        found = heads(db)
        check_heads(db, found, digests, scratch)
    total, objects = sum(head.objects for head in found), 0
    for head in found:
        where = f"collection {head.number} ({head.id})"
        with _reading(where, scratch, ("hub.db", db)):
            for _ in check_collection(db, head, digests, scratch):
                objects += 1
                if objects % STEP == 0:
                    progress("checking objects", objects, total)
        with _reading(where, scratch, ("hub.db", db)):
            check_collection_log(db, head.number, scratch, key)
    progress("checking objects", objects, total)
    if key is not None:
        _check_signed(db, found, scratch, key)
    passes: list[tuple[str, Callable[[], None]]] = [
        ("suspensions", lambda: check_suspensions(db, found, scratch, key)),
        ("collections", lambda: check_strays(db, found, scratch)),
        ("changes for caches", lambda: check_dropped(db, found, scratch)),
        ("signed statements", lambda: check_signed_rows(db, scratch)),
        ("versions", lambda: check_flags(db, scratch)),
        ("marking sets", lambda: check_marking_sets(db, scratch)),
        ("staged objects", lambda: check_staged(db, scratch)),
        ("withdrawals", lambda: check_loose_ends(db, scratch)),
        ("statuses", lambda: check_statuses(db, scratch)),
        ("credentials", lambda: check_credentials(db, digests, scratch)),
    ]
    for where, look in passes:
        with _reading(where, scratch, ("hub.db", db)):
            look()
    statements = 0
    with _reading("hub.db", scratch, ("hub.db", db)):
        statements = int(db.execute("SELECT count(*) FROM statement").get)
    return objects, statements


def _check_signed(db: apsw.Connection, found: Sequence[Head], scratch: Scratch, key: HubKey) -> None:
    """Check what members signed."""
    signers: dict[str, Keys] = {}
    with _reading("rosters", scratch, ("hub.db", db)):
        for one in {head.agreement for head in found} | with_rosters(db):
            signers[one] = check_rosters(db, one, scratch, key.verify)
    for head in found:
        with _reading(f"collection {head.number} ({head.id})", scratch, ("hub.db", db)):
            check_signatures(db, head.number, signers.get(head.agreement, {}), scratch, key.verify)


def _check_log(
    db: apsw.Connection, path: Path, year: int, scratch: Scratch, progress: Progress, key: HubKey | None
) -> int:
    _integrity(db, path.name, scratch, progress)
    check_meta(db, Kind.AUDIT, path.name, scratch)
    count = 0
    for count in check_events(db, path, year, scratch, key):
        if count % STEP == 0:
            progress(f"checking {path.name}", count, 0)
    progress(f"checking {path.name}", count, count)
    return count
