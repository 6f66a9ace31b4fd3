"""When the machine's clock was taken to be right: by all processes of a hub together, not by each for itself.

A clock that jumps shows against one that cannot jump, counted from a moment at which it was right. If every
process took its own start for that moment, a command, or a worker that is started again, would stamp with
the wrong clock what those before it refuse to. So the first process that opens the data notes the moment in a
file; the others, as long as any of them has it open (flock(2)), go by that. When all have ended it begins
anew: who restarts the hub says that the clock is right.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from lightship.core.ports import Clock
from lightship.core.time import Micros

FILE = "clock.lock"
_MOST = 64


class ClockReference:
    """The moment, and the lock that keeps it; `since` is wall clock and monotonic clock at it.

    Where the file cannot be had it is the moment of opening, for this process alone.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file = -1
        self.since = (clock.now(), clock.monotonic())
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._agree()
        except OSError:
            self.close()

    def close(self) -> None:
        """Let go of it. May be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _agree(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._file, fcntl.LOCK_SH)  # who holds it alone is about to share it
            self.since = _read(os.pread(self._file, _MOST, 0)) or self.since
            return
        wall, elapsed = self.since
        os.pwrite(self._file, (b"%d %d" % (wall, elapsed)).ljust(_MOST), 0)
        fcntl.flock(self._file, fcntl.LOCK_SH)


def _read(data: bytes) -> tuple[Micros, Micros] | None:
    parts = data.split()
    if len(parts) != 2 or not all(one.isdigit() for one in parts):
        return None
    return Micros(int(parts[0])), Micros(int(parts[1]))
