"""Key files of a publisher: Ed25519, PEM, mode 0400, made here and never sent anywhere.

A publish key signs statements, an admin key signs rosters; both are files of this form. Each machine has a
publish key of its own: two outboxes with one key would sign two different statements under one number.
"""

from __future__ import annotations

import os
from pathlib import Path

from lightship.core.errors import BadFile, Conflict
from lightship.crypto.sign import SigningKey, new_signing_key, read_signing_key

FILE = "publish.key"
MODE = 0o400


def generate(path: Path) -> SigningKey:
    """Make a key in a new file that only its owner can read.

    Raises:
        Conflict: the file exists; a key is never overwritten.
    """
    key = new_signing_key()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    except FileExistsError:
        raise Conflict(
            "There is a key already",
            why=f"{path} exists",
            todo="Use it, or give another file; who loses a key can no longer sign with it",
        ) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.pem())
        file.flush()
        os.fsync(file.fileno())
    return key


def load(path: Path) -> SigningKey:
    """Return the key in a file.

    Raises:
        BadFile: missing, readable by others, or no Ed25519 key.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(64 * 1024)
    except OSError as error:
        todo = "Make one: lightship keys generate" if isinstance(error, FileNotFoundError) else ""
        raise BadFile("The key cannot be read", path=str(path), why=error.strerror or "", todo=todo) from None
    if mode & 0o077:
        raise BadFile(
            "The key's file is open to others",
            path=str(path),
            todo=f"chmod 0400 {path}, and if others had access, revoke the key and make a new one",
        )
    try:
        return read_signing_key(content)
    except ValueError as error:
        raise BadFile("The key cannot be used", path=str(path), why=str(error)) from None
