"""Whether anything was committed since a look: one counter that every process of a hub maps into memory.

It lies in the first eight bytes of the writers' lock file. Who commits makes it odd before COMMIT and even
after, under the lock; so a value that is even, and the same as before a read, says that what was read is
still the newest commit. A process that died in between leaves it odd: then every read asks the store, until
the next commit. A file that took its place begins at a number that nobody has met.
Nothing is kept in it that the store does not know better.
"""

from __future__ import annotations

import mmap
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

UNKNOWN = -1
"""An odd number that no counter has."""
NEVER = -2
"""What is never met, not even `UNKNOWN`."""
_SIZE = 8
_WRAP = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class _Held:
    """A mapping and the file that it is of."""

    value: memoryview
    device: int
    inode: int


class Stillness:
    """The counter of one lock file; from any thread, also beside other processes.

    Args:
        path: the lock file, made on first use. On a disk of this machine, as the data file has to be.
    """

    def __init__(self, path: Path) -> None:
        self._path = os.fspath(path)
        self._lock = Lock()
        self._held: _Held | None = None

    def now(self) -> int:
        """Return the counter; an odd one means that somebody may be committing, or that nothing is known."""
        try:
            return self._mapped().value[0]
        except OSError:
            return UNKNOWN

    def look(self) -> int:
        """Return `now` after a look at the file itself: once a request, one system call.

        Whoever deletes, replaces or cuts the file would else part this process from the others for good.
        """
        self._let_go_of_another()
        return self.now()

    def disturb(self) -> None:
        """Say that something may be committed from now on; only with the lock held.

        Raises:
            OSError: it cannot be said, so nothing may be committed.
        """
        self._let_go_of_another()
        self._mapped().value[0] |= 1

    def settle(self) -> None:
        """Say that it is committed; only with the lock held, after `disturb`.

        On a file that took the place of the disturbed one it leaves an odd number, so nothing stands
        still until the next commit.
        """
        value = self._mapped().value
        value[0] = (value[0] + 1) & _WRAP

    def _let_go_of_another(self) -> None:
        held = self._held
        if held is None:
            return
        try:
            found = os.stat(self._path)
        except OSError:
            self._held = None
            return
        if found.st_ino != held.inode or found.st_dev != held.device or found.st_size < _SIZE:
            self._held = None

    def _mapped(self) -> _Held:
        held = self._held
        if held is None:
            with self._lock:
                held = self._held = self._held or _map(self._path)
        return held


def _map(path: str) -> _Held:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(fd)
        if found.st_size < _SIZE:  # written, not only made longer: a mapped page needs its block on the disk
            begin = (
                int.from_bytes(os.urandom(_SIZE), sys.byteorder) & ~1
            )  # what nobody has met in another file
            os.pwrite(fd, begin.to_bytes(_SIZE, sys.byteorder), 0)
        value = memoryview(mmap.mmap(fd, _SIZE)).cast("Q")
        return _Held(value, found.st_dev, found.st_ino)
    finally:
        os.close(fd)
