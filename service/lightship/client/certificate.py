"""Reads what a client certificate's file says: its pin, its names, its end. The key is never looked at."""

from __future__ import annotations

from pathlib import Path

from lightship.core.errors import BadFile
from lightship.core.time import Micros
from lightship.crypto.client_certificates import Pinned, read_pin


def read(path: Path, now: Micros) -> Pinned:
    """Return what the first certificate, or the public key, of a PEM file says.

    Args:
        path: of the file.
        now: this machine's clock, microseconds.

    Raises:
        BadFile: it cannot be read, or holds neither.
    """
    try:
        return read_pin(path.read_bytes(), now)
    except OSError as error:
        raise BadFile("The certificate cannot be read", path=str(path), why=error.strerror or "") from None
    except ValueError as error:
        raise BadFile("The certificate cannot be used", path=str(path), why=str(error)) from None
