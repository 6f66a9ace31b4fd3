"""The port to the logs of collections, for those who verify."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lightship.core.access import Grant
from lightship.core.audit import AccessEvent
from lightship.core.log.merkle import Frontier


class Logs(Protocol):
    """One log for each collection (RFC 9162 section 2.1); its leaves are those of `core.log.leaf`.

    - Leaves, nodes, size and signed checkpoint MUST be written in the transaction of what the leaves say, and
      a checkpoint MUST NOT be seen, nor leave the process, before that transaction is durable.
    - A checkpoint once seen MUST be a beginning of every later one, also after a crash.
    - A read MUST see every write whose future had completed in any process before the read began.
    - Callers MAY call from several threads at once.
    """

    def checkpoint(self, grant: Grant) -> bytes:
        """Return the newest checkpoint as a signed note; NotFound if the hub signs none."""
        ...

    def entries(self, grant: Grant, first: int, count: int) -> Sequence[bytes]:
        """Return leaves from index `first` on, fewer if there are not so many."""
        ...

    def hashes(self, grant: Grant, level: int, first: int, count: int) -> Sequence[bytes]:
        """Return hashes of whole subtrees of a level, a multiple of 8; fewer if there are not so many."""
        ...


class Vouches(Logs, Protocol):
    """What a steward may do about a log that is not what its hub signed last."""

    def tree(self, grant: Grant) -> Frontier:
        """Return the tree of a log as it is stored, signed or not; Damaged if it cannot be read."""
        ...

    def vouch(self, grant: Grant, size: int, root: bytes, event: AccessEvent) -> None:
        """Sign the head as it stands, with its event; Conflict if it has not this size and root any more."""
        ...
