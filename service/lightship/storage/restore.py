"""`lightship restore`: put the hub of a backup in place, after everything in it was checked.

The archive is unpacked into a new folder inside the hub directory, every byte compared with the manifest,
its data migrated if it is older and refused if it is newer. Only then does it take the place of what was
there, which moves to `before-restore-<time>/`: nothing is ever deleted.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import apsw

from lightship.core.errors import BadFile, Conflict, Unavailable
from lightship.core.ports import FsckReport
from lightship.core.time import Micros
from lightship.storage.archive import CONFIG, Manifest, extract, open_archive
from lightship.storage.fsck import fsck
from lightship.storage.fsck_log import HubKey
from lightship.storage.migrate import Kind, migrate
from lightship.storage.progress import Progress, no_progress
from lightship.storage.sqlite.access_log import audit_files
from lightship.storage.sqlite.access_tree import Sealer
from lightship.storage.sqlite.connection import open_database

ASIDE = "before-restore-"
_STAGE = ".restore-"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put in place, where the old content went (None if there was none), and whether it is sound."""

    manifest: Manifest
    aside: Path | None
    fsck: FsckReport


def restore(
    archive: Path,
    hub_dir: Path,
    now: Micros,
    progress: Progress = no_progress,
    *,
    force: bool = False,
    keys: Callable[[Path], tuple[Sealer, HubKey]] | None = None,
) -> Restored:
    """Restore `archive` into `hub_dir`, which is made if need be.

    Args:
        keys: given a hub directory, returns what signs for that hub and what verifies it: then signatures
            are checked too, and a backup of before there were logs has them signed.

    A report with findings does not undo the restore: a damaged backup may be the best there is.

    Raises:
        Conflict: `hub_dir` holds something and `force` is False, or a process has its data open.
        BadFile: the archive is not exactly what its manifest says.  NewerStore: a newer version made it.
        Unavailable: not enough disk.  In each case nothing in `hub_dir` was changed.
    """
    _check_target(hub_dir, force=force)
    hub_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=hub_dir))
    try:
        with open_archive(archive) as (manifest, stream):
            _check_space(hub_dir, manifest)
            extract(archive, manifest, stream, stage, progress)
        sealer, key = keys(stage) if keys is not None else (None, None)
        _prepare(stage / "data", manifest, archive, now, sealer)
        report = fsck(stage / "data", progress, key)
        aside = _swap(stage, hub_dir, now)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return Restored(manifest, aside, report)


def _check_target(hub_dir: Path, *, force: bool) -> None:
    if not hub_dir.exists():
        return
    names = sorted(path.name for path in hub_dir.iterdir())
    if names and not force:
        raise Conflict(
            f"{hub_dir} is not empty",
            why=f"it holds {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}",
            todo="Restore into another directory, or use --force: what is there is then moved aside",
        )
    if _is_open(hub_dir / "data" / "hub.db"):
        raise Conflict(
            f"A process has the data in {hub_dir} open", todo="Stop `lightship serve` first, then restore"
        )


def _is_open(path: Path) -> bool:
    """True if another process uses the file: then SQLite's exclusive mode is not to be had."""
    if not path.is_file():
        return False
    conn = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        conn.pragma("locking_mode", "exclusive")
        conn.execute("BEGIN IMMEDIATE; ROLLBACK")
    except apsw.BusyError:
        return True
    except apsw.Error:
        return False  # damaged, or of somebody else: it will be moved aside as it is
    finally:
        conn.close()
    return False


def _check_space(hub_dir: Path, manifest: Manifest) -> None:
    free = shutil.disk_usage(hub_dir).free
    if manifest.total > free:
        raise Unavailable(
            "Not enough disk for this backup",
            why=f"it needs {manifest.total:,} bytes, {free:,} are free",
            todo="Free space, or restore onto another disk",
        )


def _prepare(data_dir: Path, manifest: Manifest, archive: Path, now: Micros, sealer: Sealer | None) -> None:
    """Check that the data files are what the manifest says, and bring them to this version's schema."""
    files = [(Kind.HUB, data_dir / "hub.db"), *((Kind.AUDIT, path) for _, path in audit_files(data_dir))]
    for kind, path in files:
        found = migrate(path, kind, now, sealer=sealer).found
        open_database(path).close()  # from one plain file back to a write-ahead log
        said = manifest.schemas.get(f"data/{path.name}")
        if found == 0 or found != said:
            raise BadFile(
                "This backup cannot be used",
                path=str(archive),
                why=f"{path.name} holds schema {found}, its manifest says {said}",
                todo="Nothing was changed; use another backup",
            )


def _swap(stage: Path, hub_dir: Path, now: Micros) -> Path | None:
    """Move what is in `hub_dir` aside and the restored files in, `lightship.toml` last: without it no hub."""
    old = [path for path in hub_dir.iterdir() if not path.name.startswith((_STAGE, ASIDE))]
    aside = None
    if old:
        when = datetime.fromtimestamp(now / 1_000_000, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = hub_dir / f"{ASIDE}{when}"
        aside.mkdir(mode=0o700)
        for path in sorted(old, key=lambda path: path.name != CONFIG):
            path.rename(aside / path.name)
    for path in sorted(stage.iterdir(), key=lambda path: path.name == CONFIG):
        path.rename(hub_dir / path.name)
    handle = os.open(hub_dir, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return aside
