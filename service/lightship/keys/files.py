"""Key files: read only if nobody else can read them, replaced in one step.

Errors name the file and never what is in it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lightship.core.errors import BadFile


def read_private(path: Path) -> bytes:
    """Return the content of a private file.

    Raises:
        BadFile: it is missing, cannot be read, or others could read it.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(64 * 1024)
    except OSError as error:
        raise BadFile(
            "A key file cannot be read",
            path=str(path),
            why=error.strerror or "",
            todo="Run as the user that owns the hub directory, or restore the file from a backup",
        ) from None
    if mode & 0o077:
        raise BadFile(
            "A key file can be read by others",
            path=str(path),
            why=f"its mode is {mode:04o}",
            todo=f"chmod 0400 {path}, and if others had access, replace the key",
        )
    return content


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Put new content in place of a file in one step, durable before it returns."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
