"""How much room the machine's disk has."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

AGE_S = 0.1
"""What was seen counts so long where every publish asks: far less comes in by then than is kept free."""


class FreeSpace:
    """Free bytes of the file system that a directory lies in."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen, self._until = 0, 0.0

    def now(self) -> int:
        """Return the free bytes. Raises OSError."""
        self._seen = shutil.disk_usage(self._directory).free
        self._until = time.monotonic() + AGE_S
        return self._seen

    def lately(self) -> int:
        """Return the free bytes as they were AGE_S ago at most. Raises OSError."""
        return self._seen if time.monotonic() < self._until else self.now()
