"""The backup file: a plain tar (POSIX ustar headers, gzip if its name ends in .gz), the manifest first.

Reading is strict, because an archive may come from anywhere: one header after the other, regular files
only, exactly those of the manifest in its order, each with its size and SHA-256. Links, devices, sparse
files, extended headers, absolute paths and `..` cannot be expressed. Never writes outside the given folder.
"""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, cast

import orjson

from lightship.core.errors import BadFile, NewerStore
from lightship.storage.progress import Progress, no_progress

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES = 4_000_000
CHUNK = 1 << 20
TREES = ("agreements", "keys", "tls")
"""Folders of a hub directory that are kept whole; beside them `lightship.toml` and the data files."""
CONFIG = "lightship.toml"

_BLOCK = 512
_NAME_BYTES = 100
_STEP = re.compile(r"(?!\.{1,2}$)[^/\\\x00-\x1f\x7f]+")
_DATA = re.compile(r"data/(hub|audit-\d{4})\.db")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: path within the hub directory, size in bytes, permission bits, hex SHA-256."""

    path: str
    size: int
    mode: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. `needs` is the least version that reads its data, `schemas` file -> schema."""

    lightship: str
    needs: str
    made: str
    schemas: Mapping[str, int]
    files: tuple[Entry, ...]
    format: int = FORMAT

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files)


def allowed_path(path: str) -> bool:
    """True for the files that a backup may hold; nothing else is written by a restore."""
    steps = path.split("/")
    if len(path.encode("utf-8", "replace")) > _NAME_BYTES or not all(map(_STEP.fullmatch, steps)):
        return False
    return path == CONFIG or _DATA.fullmatch(path) is not None or (len(steps) > 1 and steps[0] in TREES)


# --- writing ------------------------------------------------------------------------------------


def write_archive(
    target: Path, folder: Path, manifest: Manifest, progress: Progress = no_progress, *, zipped: bool
) -> None:
    """Write the files of `manifest`, which lie in `folder`, to the new file `target` (mode 0600), durably."""
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as raw:
        packed = (
            gzip.GzipFile(filename="", mode="wb", compresslevel=3, fileobj=raw, mtime=0) if zipped else None
        )
        out = cast("IO[bytes]", packed or raw)
        text = orjson.dumps(asdict(manifest), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
        out.write(_header(MANIFEST, len(text), 0o600) + text + _padding(len(text)))
        done = 0
        for entry in manifest.files:
            out.write(_header(entry.path, entry.size, entry.mode))
            with (folder / entry.path).open("rb") as source:
                while chunk := source.read(CHUNK):
                    out.write(chunk)
                    done += len(chunk)
                    progress("packing", done, manifest.total)
            out.write(_padding(entry.size))
        out.write(bytes(2 * _BLOCK))
        if packed is not None:
            packed.close()
        raw.flush()
        os.fsync(raw.fileno())


def _header(name: str, size: int, mode: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, mode
    return info.tobuf(tarfile.GNU_FORMAT)  # sizes beyond 8 GiB; names are short enough for one block


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


# --- reading ------------------------------------------------------------------------------------


@contextmanager
def open_archive(path: Path) -> Iterator[tuple[Manifest, IO[bytes]]]:
    """Open a backup and check its manifest; the stream then stands at the first file.

    Raises:
        BadFile: it is no backup, or asks for something that a backup cannot hold.
        NewerStore: a newer version made it in a form that this one does not know.
    """
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw, mode="rb") if zipped else raw)
        try:
            name, size, _ = _next(stream, path)
            if name != MANIFEST or size > MANIFEST_BYTES:
                raise _bad(path, "it does not begin with a manifest")
            text = b"".join(_content(stream, size, path))
            yield _manifest(text, path), stream
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _bad(path, f"it is cut off or altered ({error})") from None


def extract(
    path: Path, manifest: Manifest, stream: IO[bytes], folder: Path, progress: Progress = no_progress
) -> None:
    """Write every file of the manifest into the empty `folder`, checking each; durable on return.

    Raises:
        BadFile: the archive is not exactly what its manifest says.
    """
    done = 0
    for entry in manifest.files:
        name, size, _ = _next(stream, path)
        if (name, size) != (entry.path, entry.size):
            raise _bad(path, f"it holds {name!r} where its manifest says {entry.path!r}")
        target = folder / entry.path
        for parent in reversed(target.relative_to(folder).parents[:-1]):
            (folder / parent).mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        digest = sha256()
        with os.fdopen(os.open(target, flags, 0o600), "wb") as out:
            for chunk in _content(stream, size, path):
                digest.update(chunk)
                out.write(chunk)
                done += len(chunk)
                progress("restoring", done, manifest.total)
            out.flush()
            os.fchmod(out.fileno(), entry.mode)
            os.fsync(out.fileno())
        if digest.hexdigest() != entry.sha256:
            raise _bad(path, f"{entry.path} is not what its manifest says")
    rest = stream.read(CHUNK)  # the end is two empty blocks; other tools fill up to twenty
    if rest.strip(b"\0") or stream.read(1):
        raise _bad(path, "it holds more than its manifest says")


def _next(stream: IO[bytes], path: Path) -> tuple[str, int, int]:
    block = stream.read(_BLOCK)
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")  # this one block and no extension of it
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise _bad(path, f"it is cut off or no tar file ({error})") from None
    if info.type != tarfile.REGTYPE or info.size < 0:
        raise _bad(path, f"{info.name!r} is not a regular file")
    return info.name, info.size, info.mode


def _content(stream: IO[bytes], size: int, path: Path) -> Iterator[bytes]:
    left = size
    while left:
        chunk = stream.read(min(CHUNK, left))
        if not chunk:
            raise _bad(path, "it is cut off")
        left -= len(chunk)
        yield chunk
    stream.read(-size % _BLOCK)


def _manifest(text: bytes, path: Path) -> Manifest:
    try:
        value: dict[str, Any] = orjson.loads(text)
        if value["format"] != FORMAT:
            raise NewerStore(
                f"{path} was made by another version of Lightship",
                why=f"it has format {value['format']}, this version reads {FORMAT}",
                todo=f"Use Lightship {value['needs']} or newer",
                details={"needed": str(value["needs"])},
            )
        files = tuple(_entry(entry) for entry in value.pop("files"))
        if "data/hub.db" not in _distinct(files):
            raise ValueError("data/hub.db is missing")
        return Manifest(files=files, **value)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _bad(path, f"its manifest cannot be used: {error}") from None


def _entry(value: dict[str, Any]) -> Entry:
    name, size, mode, digest = value["path"], value["size"], value["mode"], value["sha256"]
    if not isinstance(name, str) or not allowed_path(name):
        raise ValueError(f"a backup cannot hold {name!r}")
    if type(size) is not int or size < 0:
        raise ValueError(f"{name!r} has no size")
    if type(mode) is not int or mode & ~0o755 or not mode & 0o400:
        raise ValueError(f"{name!r} has mode {mode!r}")
    if not isinstance(digest, str) or not _HASH.fullmatch(digest):
        raise ValueError(f"{name!r} has no SHA-256")
    return Entry(name, size, mode, digest)


def _distinct(files: Sequence[Entry]) -> set[str]:
    names = {entry.path.lower() for entry in files}
    if len(names) != len(files):
        raise ValueError("a file is in it twice")
    return names


def _bad(path: Path, why: str) -> BadFile:
    return BadFile(
        "This backup cannot be used", path=str(path), why=why, todo="Nothing was changed; use another backup"
    )
