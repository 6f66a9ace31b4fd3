"""Writing files so that a crash leaves the old content or the new one, and nothing in between."""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE = 0o600
SHARED = 0o666
"""Less what the umask takes away."""


def replace_file(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Put content in place of a file, or make it; both it and its name are durable when this returns.

    Args:
        path: in a folder that exists.
        content: all of it.
        mode: rights of the new file.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
