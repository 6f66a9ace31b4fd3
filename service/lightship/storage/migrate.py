"""Numbered migrations of the data files: `schema/<kind>/NNNN_name.sql`, run once, in order, after a backup.

A file says what it is (`PRAGMA application_id`), which schema it holds (`PRAGMA user_version`) and, in its
table `meta`, the least Lightship version that reads that schema. Each migration is one transaction under
the write lock; before the first one on a file that holds data a verified copy goes to `backups/` beside it.
Never changes a file that is not Lightship's, and never opens one that a newer version wrote.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import apsw

from lightship.core.errors import BadFile, Damaged, NewerStore
from lightship.core.log.merkle import leaf_hash
from lightship.core.time import Micros
from lightship.storage.marking_sets import fill
from lightship.storage.sqlite import collection_log
from lightship.storage.sqlite.access_tree import Sealer, plant
from lightship.storage.sqlite.connection import FATAL, hub_error, open_database
from lightship.storage.sqlite.snapshot import copy_database

BUSY_MS = 60_000
"""How long a start waits for a transaction of another process before it gives up, in milliseconds."""

_SCHEMA = Path(__file__).parent / "schema"
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_NEEDS = re.compile(r"^-- needs: (\d+\.\d+\.\d+)$", re.MULTILINE)
_META = """
CREATE TABLE IF NOT EXISTS meta (
  schema     INTEGER PRIMARY KEY,
  needs      TEXT NOT NULL,
  applied_at INTEGER NOT NULL
) STRICT
"""


class Kind(StrEnum):
    """The two kinds of data file; the value is the folder of its migrations."""

    HUB = "hub"
    AUDIT = "audit"


APPLICATION_IDS = {Kind.HUB: 0x4C534842, Kind.AUDIT: 0x4C534155}
"""`LSHB` and `LSAU`, in the SQLite header at byte 68: `file` and other tools can tell them apart."""

_AFTER: dict[tuple[Kind, str], Callable[[apsw.Connection, Path, Sealer | None], None]] = {
    (Kind.AUDIT, "0003_verifiable_log"): plant,
    (Kind.HUB, "0003_marking_sets"): lambda conn, path, sealer: fill(conn),
    (Kind.HUB, "0004_collection_log"): collection_log.plant,
}
"""What a migration does that SQL cannot, in its transaction, after its statements."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step. `needs` is the least Lightship version that reads the schema it makes."""

    number: int
    name: str
    needs: str
    sql: str

    @property
    def label(self) -> str:
        """The file name without its ending, e.g. `0001_initial`."""
        return f"{self.number:04d}_{self.name}"


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What a file holds and what would run. `found` is 0 for a file that does not exist or is empty."""

    path: Path
    kind: Kind
    found: int
    newest: int
    pending: tuple[str, ...]
    backup: Path | None = None


def load(kind: Kind, folder: Path | None = None) -> tuple[Migration, ...]:
    """Return the migrations of a kind in order, from the package or from `folder`.

    Raises:
        BadFile: a file name or header that does not fit, or numbers that do not run from 1 without gaps.
    """
    folder = folder or _SCHEMA / kind.value
    found = []
    for path in sorted(folder.glob("*.sql")):
        name = _FILE.fullmatch(path.name)
        sql = path.read_text(encoding="utf-8")
        needs = _NEEDS.search(sql)
        if name is None or needs is None:
            raise BadFile(
                "A migration cannot be used",
                path=str(path),
                why="its name must be NNNN_name.sql and it must hold a line `-- needs: X.Y.Z`",
            )
        found.append(Migration(int(name[1]), name[2], needs[1], sql))
    if [step.number for step in found] != list(range(1, len(found) + 1)):
        raise BadFile("The migrations are not numbered from 0001 without gaps", path=str(folder))
    return tuple(found)


def check(path: Path, kind: Kind, migrations: Sequence[Migration] | None = None) -> MigrationReport:
    """Return what would run on `path`, without changing or creating anything.

    Raises:
        BadFile: it is no Lightship data file of this kind.
        NewerStore: a newer version wrote it; the message names the least version that reads it.
    """
    steps = load(kind) if migrations is None else migrations
    found = 0
    if path.exists() and path.stat().st_size:
        try:
            found = _schema_of(path, kind, len(steps))
        except (apsw.CantOpenError, apsw.IOError, apsw.BusyError) as error:
            raise hub_error(error) from error
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise BadFile(
                "This is no Lightship data file",
                path=str(path),
                why=f"SQLite says: {error}",
                todo="Move it away, or restore a backup with `lightship restore`",
            ) from None
        except apsw.Error as error:
            raise hub_error(error) from error
    return MigrationReport(path, kind, found, len(steps), tuple(step.label for step in steps[found:]))


def migrate(
    path: Path,
    kind: Kind,
    now: Micros,
    migrations: Sequence[Migration] | None = None,
    *,
    sealer: Sealer | None = None,
) -> MigrationReport:
    """Bring `path` to the newest schema, creating it (mode 0600) if need be; return what was run.

    Several processes may call this at once: each migration runs once. A file that is up to date is not
    locked. With `sealer` a migration that makes logs of what is there has the hub sign them as they are:
    for a steward's own order, never for a start by itself (see `collection_log.plant`).

    Raises as `check`, Damaged if the copy made before a migration does not hold together, and Unavailable
    if the disk is full or cannot be written.
    """
    steps = load(kind) if migrations is None else migrations
    report = check(path, kind, steps)
    if not report.pending:
        return report
    with _locked(path.with_name("migrate.lock")):
        report = check(path, kind, steps)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        conn = _open(path)
        try:
            conn.set_busy_timeout(BUSY_MS)
            backup = None
            ran = []
            for step in steps[report.found :]:
                with _immediate(conn):
                    if _pragma(conn, "user_version") != step.number - 1:
                        continue
                    if report.found and backup is None:
                        backup = _backup(path, step.number - 1, now)
                    _apply(conn, path, kind, step, now, sealer)
                    ran.append(step.label)
        except FATAL as error:
            raise hub_error(error) from error
        finally:
            conn.close()
    return MigrationReport(path, kind, report.found, len(steps), tuple(ran), backup)


def open_migrated(
    path: Path, kind: Kind, now: Micros, migrations: Sequence[Migration] | None = None
) -> apsw.Connection:
    """Return a writable connection to `path` at the newest schema. Raises as `migrate`."""
    migrate(path, kind, now, migrations)
    return open_database(path)


def _open(path: Path) -> apsw.Connection:
    try:
        return open_database(path)
    except apsw.Error as error:
        raise hub_error(error) from error


def _schema_of(path: Path, kind: Kind, newest: int) -> int:
    conn = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        conn.set_busy_timeout(BUSY_MS)
        application = _pragma(conn, "application_id")
        version = _pragma(conn, "user_version")
        tables = conn.execute("SELECT count(*) FROM sqlite_schema").get
        if application == 0 and version == 0 and tables == 0:
            return 0
        if application != APPLICATION_IDS[kind]:
            raise BadFile(
                "This is no Lightship data file",
                path=str(path),
                why=f"it is an SQLite file, but not one of kind `{kind.value}`",
                todo="Name another hub directory, or move the file away",
            )
        if version > newest:
            row = conn.execute("SELECT needs FROM meta WHERE schema = ?", (version,)).fetchone()
            needed = str(row[0]) if row else "a newer one"
            raise NewerStore(
                f"{path} was written by a newer Lightship",
                why=f"it holds schema {version}, this version knows schemas up to {newest}",
                todo=f"Use Lightship {needed} or newer",
                details={"needed": needed, "schema": str(version)},
            )
        return version
    finally:
        conn.close()


def _apply(
    conn: apsw.Connection, path: Path, kind: Kind, step: Migration, now: Micros, sealer: Sealer | None
) -> None:
    conn.execute(_META)
    conn.create_scalar_function("leaf_hash", leaf_hash, 1, deterministic=True)  # type: ignore[arg-type]  # it is only given bytes
    conn.execute(step.sql).fetchall()  # to the end: it stops at each row that a statement gives
    if after := _AFTER.get((kind, step.label)):
        after(conn, path, sealer)
    conn.execute(
        "INSERT INTO meta(schema, needs, applied_at) VALUES (?, ?, ?)", (step.number, step.needs, now)
    )
    conn.execute(f"PRAGMA application_id = {APPLICATION_IDS[kind]}")
    conn.execute(f"PRAGMA user_version = {step.number}")


def _backup(path: Path, version: int, now: Micros) -> Path:
    when = datetime.fromtimestamp(now / 1_000_000, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    folder = path.parent / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"{path.stem}-v{version}-{when}.db"
    partial = target.with_suffix(".partial")
    try:
        copy_database(path, partial)
        problems = integrity(partial)
        if problems:
            raise Damaged(
                f"{path} was not migrated: the copy made before it does not hold together",
                why=problems[0],
                todo="Run `lightship fsck`, then restore a backup with `lightship restore`",
            )
        partial.rename(target)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
    return target


def integrity(path: Path) -> list[str]:
    """Return what SQLite's own integrity check finds in a file, at most 20 findings; empty if sound."""
    conn = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows = [str(row[0]) for row in conn.execute("PRAGMA integrity_check(20)")]
    except (apsw.CorruptError, apsw.NotADBError) as error:
        return [str(error)]
    finally:
        conn.close()
    return [] if rows == ["ok"] else rows


def _pragma(conn: apsw.Connection, name: str) -> int:
    value = conn.pragma(name)
    if not isinstance(value, int):
        raise Damaged(f"PRAGMA {name} gave no number")
    return value


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _immediate(conn: apsw.Connection) -> Iterator[None]:
    conn.execute("BEGIN IMMEDIATE")
    try:
        yield
        conn.execute("COMMIT")
    finally:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
