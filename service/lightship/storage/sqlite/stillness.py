"""Whether anything was committed since a look: one counter that every process of a hub maps into memory.

It lies in the first eight bytes of the writers' lock file. Who commits makes it odd before COMMIT and even
after, under the lock; so a value that is even, and the same as before a read, says that what was read is
still the newest commit. A process that died in between leaves it odd: then every read asks the store, until
the next commit. Costs a reader no system call. Nothing is kept in it that the store does not know better.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from threading import Lock

UNKNOWN = -1
"""An odd number that no counter has."""
NEVER = -2
"""What is never met, not even `UNKNOWN`."""
_SIZE = 8
_WRAP = (1 << 64) - 1


class Stillness:
    """The counter of one lock file; from any thread, also beside other processes.

    Args:
        path: the lock file, made on first use. On a disk of this machine, as the data file has to be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._value: memoryview | None = None

    def now(self) -> int:
        """Return the counter; an odd one means that somebody may be committing, or that nothing is known."""
        try:
            return self._mapped()[0]
        except OSError:
            return UNKNOWN

    def disturb(self) -> None:
        """Say that something may be committed from now on; only with the lock held.

        Raises:
            OSError: it cannot be said, so nothing may be committed.
        """
        self._mapped()[0] |= 1

    def settle(self) -> None:
        """Say that it is committed; only with the lock held, after `disturb`."""
        value = self._mapped()
        value[0] = (value[0] + 1) & _WRAP

    def _mapped(self) -> memoryview:
        value = self._value
        if value is None:
            with self._lock:
                value = self._value = self._value or _map(self._path)
        return value


def _map(path: Path) -> memoryview:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        held = os.fstat(fd).st_size
        if held < _SIZE:  # written, not only made longer: a mapped page needs its block on the disk
            os.pwrite(fd, bytes(_SIZE - held), held)
        return memoryview(mmap.mmap(fd, _SIZE)).cast("Q")
    finally:
        os.close(fd)
