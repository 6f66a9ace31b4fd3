"""`lightship fsck`: does everything that is stored hold together? Read-only, also while the hub serves.

Looks at one committed state of `hub.db`, then at the access log, which by then holds every event that was
settled in that state. Each finding names the entry. Never repairs: a repair is a restore or a decision.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from lightship.core.errors import BadFile, StewardError
from lightship.core.ports import FsckReport
from lightship.storage.fsck_audit import check_effects, check_events
from lightship.storage.fsck_collection_log import check_collection_log
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
from lightship.storage.fsck_signatures import check_rosters, check_signatures
from lightship.storage.fsck_statements import check_collection, check_loose_ends, heads
from lightship.storage.fsck_suspensions import check_suspensions
from lightship.storage.migrate import Kind, check
from lightship.storage.progress import Progress, no_progress
from lightship.storage.sqlite.access_log import audit_files
from lightship.storage.sqlite.connection import open_database

STEP = 1000
"""Rows between two calls of `progress`."""


def fsck(data_dir: Path, progress: Progress = no_progress, key: HubKey | None = None) -> FsckReport:
    """Check the data of a hub (its directory `data`); signatures too, where its key is given.

    Raises:
        BadFile: `hub.db` is missing, no Lightship file, or at an older schema (start the hub, or run
            `lightship migrate`).  NewerStore: a newer version wrote it.
    """
    scratch = Scratch()
    connections: list[apsw.Connection] = []
    try:
        _check_schema(data_dir / "hub.db", Kind.HUB)
        hub = _open(data_dir / "hub.db", connections)
        logs = []
        objects = statements = events = 0
        try:
            objects, statements = _check_hub(hub, scratch, progress, key)
            pending = check_pending(hub, scratch)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            scratch.find("hub.db", f"SQLite cannot read on: {error}")
            pending = {}
        for year, path in audit_files(data_dir):
            try:
                _check_schema(path, Kind.AUDIT)
                log = _open(path, connections)
                logs.append((year, log))
                events += _check_log(log, path, year, scratch, progress, key)
            except (apsw.CorruptError, apsw.NotADBError, StewardError) as error:
                scratch.find(path.name, f"it cannot be read: {error}")
        try:
            check_effects(logs, pending, scratch)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            scratch.find("access log", f"SQLite cannot read on: {error}")
        return FsckReport(objects, statements, events, scratch.report())
    finally:
        for connection in connections:
            connection.close()
        scratch.close()


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
    """Open one committed state of a file for reading."""
    db = open_database(path, readonly=True)
    connections.append(db)
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # the state is taken here
    return db


def _integrity(db: apsw.Connection, name: str, scratch: Scratch, progress: Progress) -> None:
    progress(f"checking {name}", 0, 0)
    for (message,) in db.execute("PRAGMA integrity_check(100)"):
        if message != "ok":
            scratch.find(name, f"SQLite: {message}")


def _check_hub(
    db: apsw.Connection, scratch: Scratch, progress: Progress, key: HubKey | None
) -> tuple[int, int]:
    _integrity(db, "hub.db", scratch, progress)
    digests = check_chains(db, scratch)
    found = heads(db)
    check_heads(db, found, digests, scratch)
    total = sum(head.objects for head in found)
    objects = 0
    for head in found:
        for _ in check_collection(db, head, digests, scratch):
            objects += 1
            if objects % STEP == 0:
                progress("checking objects", objects, total)
    progress("checking objects", objects, total)
    for head in found:
        check_collection_log(db, head.number, scratch, key)
    if key is not None:
        signers = {one: check_rosters(db, one, scratch, key.verify) for one in {h.agreement for h in found}}
        for head in found:
            check_signatures(db, head.number, signers[head.agreement], scratch, key.verify)
    check_suspensions(db, found, scratch, key)
    check_flags(db, scratch)
    check_marking_sets(db, scratch)
    check_staged(db, scratch)
    check_loose_ends(db, scratch)
    check_statuses(db, scratch)
    check_credentials(db, scratch)
    statements = db.execute("SELECT count(*) FROM statement").get
    return objects, int(statements)


def _check_log(
    db: apsw.Connection, path: Path, year: int, scratch: Scratch, progress: Progress, key: HubKey | None
) -> int:
    _integrity(db, path.name, scratch, progress)
    count = 0
    for count in check_events(db, path, year, scratch, key):
        if count % STEP == 0:
            progress(f"checking {path.name}", count, 0)
    progress(f"checking {path.name}", count, count)
    return count
