"""`lightship backup`: one file that holds a whole hub, made while it serves.

Order matters. `hub.db` is copied first, the access log after it: an event that belongs to an effect in the
copy of `hub.db` is either still pending in that copy, or was in the access log before that was copied. So
after a restore no effect is without its event. Never holds a lock that a writer needs.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import apsw

from lightship import __version__
from lightship.core.errors import BadFile, Conflict, Damaged, Unavailable
from lightship.core.time import Micros, format_stamp
from lightship.storage.archive import (
    CHUNK,
    CONFIG,
    TREES,
    Entry,
    Manifest,
    allowed_path,
    write_archive,
)
from lightship.storage.migrate import Kind, check, integrity, load
from lightship.storage.progress import Progress, no_progress
from lightship.storage.sqlite.access_log import audit_files
from lightship.storage.sqlite.connection import FATAL
from lightship.storage.sqlite.snapshot import copy_database


def backup(hub_dir: Path, target: Path, now: Micros, progress: Progress = no_progress) -> Manifest:
    """Copy the hub in `hub_dir` into the new file `target` (mode 0600; gzip if it ends in .gz).

    What was acknowledged before the call is in it. While it runs, space for the copy is needed twice beside
    `target`; `target` appears whole or not at all.

    Raises:
        Conflict: `target` exists.  BadFile: `hub_dir` holds no hub, or a file that a backup cannot hold.
        Damaged: a copy does not hold together.  Unavailable: no room for it.
        NewerStore: a newer version wrote the data.
    """
    if target.exists():
        raise Conflict(f"{target} exists", todo="Name another file; a backup never replaces one")
    if not (hub_dir / "data" / "hub.db").is_file():
        raise BadFile("This is no hub directory", path=str(hub_dir), why="data/hub.db is missing")
    work = _work_folder(target)
    try:
        staged = work / "hub"
        (staged / "data").mkdir(mode=0o700, parents=True)
        schemas = _copy_databases(hub_dir / "data", staged / "data", progress)
        _copy_files(hub_dir, staged)
        manifest = Manifest(
            lightship=__version__,
            needs=_needed(schemas),
            made=format_stamp(now),
            schemas=schemas,
            files=tuple(_entries(staged)),
        )
        write_archive(work / "archive", staged, manifest, progress, zipped=target.suffix == ".gz")
        os.link(work / "archive", target)  # fails if somebody made `target` meanwhile
        _sync_folder(target.absolute().parent)
    except FileExistsError:
        raise Conflict(f"{target} exists", todo="Name another file; a backup never replaces one") from None
    except (OSError, *FATAL) as error:
        raise Unavailable(
            f"The backup {target} cannot be written",
            why=str(error),
            todo="See that there is room for the hub twice beside it, and try again",
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return manifest


def _work_folder(target: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=".lightship-backup-", dir=target.absolute().parent))
    except OSError as error:
        raise BadFile(
            "No backup can be written here",
            path=str(target),
            why=error.strerror or "",
            todo="Name another file",
        ) from None


def _copy_databases(data_dir: Path, staged: Path, progress: Progress) -> dict[str, int]:
    """Copy hub.db, then the access log as it is after that; return file -> schema."""
    schemas = {"data/hub.db": _copy_database(data_dir / "hub.db", staged, Kind.HUB, progress)}
    for _, path in audit_files(data_dir):
        if check(path, Kind.AUDIT).found == 0:
            continue  # being made just now: nothing can be in it that was acknowledged before
        schemas[f"data/{path.name}"] = _copy_database(path, staged, Kind.AUDIT, progress)
    return schemas


def _copy_database(source: Path, staged: Path, kind: Kind, progress: Progress) -> int:
    target = staged / source.name
    schema = check(source, kind).found
    try:
        copy_database(source, target, lambda done, total: progress(f"copying {source.name}", done, total))
        problems = integrity(target)
    except apsw.CorruptError as error:
        problems = [str(error)]
    if problems:
        raise Damaged(
            f"{source} does not hold together, so no backup was made",
            why=problems[0],
            todo="Run `lightship fsck`, then restore the last good backup",
        )
    return schema


def _copy_files(hub_dir: Path, staged: Path) -> None:
    found = [hub_dir / CONFIG] if (hub_dir / CONFIG).is_file() else []
    for tree in TREES:
        for folder, _, names in os.walk(hub_dir / tree):
            found += [Path(folder) / name for name in names if (Path(folder) / name).is_file()]
    for source in found:
        path = source.relative_to(hub_dir)
        if not allowed_path(path.as_posix()):
            raise BadFile(
                "A backup cannot hold this file",
                path=str(source),
                why="its name has more than 100 bytes or odd characters",
                todo="Rename it or move it out of the hub directory",
            )
        target = staged / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(source, target)  # a link is followed: its content belongs to the hub
        target.chmod(stat.S_IMODE(source.stat().st_mode) & 0o755 | 0o400)


def _entries(staged: Path) -> Iterator[Entry]:
    """Yield what the folder holds: the data first, then the rest by name."""
    paths = [path for path in staged.rglob("*") if path.is_file()]
    order = sorted(
        paths, key=lambda path: (path.parent.name != "data", path.name != "hub.db", path.as_posix())
    )
    for path in order:
        digest = sha256()
        with path.open("rb") as source:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
        found = path.stat()
        name = path.relative_to(staged).as_posix()
        yield Entry(name, found.st_size, stat.S_IMODE(found.st_mode), digest.hexdigest())


def _needed(schemas: dict[str, int]) -> str:
    """Return the least version that reads all of these files."""
    kinds = (
        (Kind.HUB if path.endswith("hub.db") else Kind.AUDIT, number) for path, number in schemas.items()
    )
    needs = [step.needs for kind, number in kinds for step in load(kind) if step.number == number]
    return max(needs, key=lambda text: tuple(int(part) for part in text.split(".")), default=__version__)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
