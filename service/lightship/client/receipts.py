"""Keeping receipts: what proves later that an access was logged, as `lightship verify --receipts` reads it.

One JSON line an answer, appended: `at` (the answer's Date), `path`, `status`, `request` (the id that its
event has in the log), `receipt`. Never holds a query, a credential or content.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import httpx2
import orjson

from lightship.core.log.receipt import HEADER

VARIABLE = "LIGHTSHIP_RECEIPTS"
"""Names the file in the environment."""


def keeper(path: Path) -> Callable[[httpx2.Response], None]:
    """Return what appends the receipt of each answer to a file (mode 0600).

    What it returns raises OSError if the file cannot be written.
    """

    def keep(response: httpx2.Response) -> None:
        receipt = response.headers.get(HEADER)
        if receipt is None:
            return
        said = {
            "at": response.headers.get("Date", ""),
            "path": response.request.url.path,
            "receipt": receipt,
            "request": response.headers.get("X-Request-ID", ""),
            "status": response.status_code,
        }
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, orjson.dumps(said) + b"\n")
        finally:
            os.close(file)

    return keep
