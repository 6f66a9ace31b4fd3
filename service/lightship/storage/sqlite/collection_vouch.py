"""Whether a collection's log is what this hub signed, before the hub signs more of it.

Whoever can write the file, but has no key, could else rewrite entries with all their hashes and wait until
the hub's next write signs a checkpoint over them. A process takes two things as true: the head that it wrote
itself since it started, and a head under a checkpoint of the hub's own key that goes on from what the process
knew. An older state of the whole log, with the checkpoint of its time, is known as such only to a process
that has seen a newer one: at a start it takes those outside, who keep checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import apsw

from lightship.core.collection import pack
from lightship.core.log.merkle import Frontier, append, consistency, verify_consistency
from lightship.storage.sqlite.access_tree import Sealer
from lightship.storage.sqlite.connection import select

FEW = 256
"""Up to so many new leaves are hashed one by one; the proof over more of them is made from stored nodes."""
_LEAVES = "SELECT hash FROM statement WHERE key >= ? AND key < ? ORDER BY key"
_NODES = "SELECT hash FROM log_node WHERE collection = ? AND level = ? AND idx >= ? AND idx < ? ORDER BY idx"


class LogHead(NamedTuple):
    """What is stored of a log beside its leaves: its name, its tree, the checkpoint that was signed last."""

    origin: str
    tree: Frontier
    note: bytes


class Known(NamedTuple):
    """A log as far as a process knows it to be the hub's."""

    origin: str
    tree: Frontier


class Vouching:
    """What one process knows about the logs; used in its writing thread alone."""

    def __init__(self, sealer: Sealer) -> None:
        self.sealer = sealer
        self._known: dict[int, Known] = {}

    def learn(self, grown: Mapping[int, Known]) -> None:
        """Take heads as true that this process has written, once they are durable."""
        self._known.update(grown)

    def holds(self, db: apsw.Connection, number: int, uuid: str, head: LogHead) -> bool:
        """True if the hub may go on from a head that was read in the open transaction.

        A checkpoint is verified by making it again: Ed25519 gives one signature for a message and a key
        (RFC 8032 section 5.1.6). It is done where another process wrote, and once after a start.
        """
        known, tree = self._known.get(number), head.tree
        if known == (head.origin, tree):
            return True
        if not tree.size:
            return known is None and not head.origin and not head.note
        if not head.origin.endswith(log_origin("", uuid)):
            return False  # a genuine head, but of another log
        if self.sealer.checkpoint(head.origin, tree) != head.note:
            return False
        if known is not None and not (known.origin == head.origin and _goes_on(db, number, known.tree, tree)):
            return False
        self._known[number] = Known(head.origin, tree)
        return True


def log_origin(host: str, collection: str) -> str:
    """Return the name of a collection's log; `host` is that of the hub's public address, with its port."""
    return f"{host}/c/{collection}"


def hashes(db: apsw.Connection, number: int, level: int, first: int, count: int) -> list[bytes]:
    """Return hashes of whole subtrees of a level, a multiple of 8; fewer if there are not so many."""
    if level == 0:
        return [row[0] for row in select(db, _LEAVES, (pack(number, first), pack(number, first + count)))]
    return [row[0] for row in select(db, _NODES, (number, level, first, first + count))]


def _goes_on(db: apsw.Connection, number: int, known: Frontier, tree: Frontier) -> bool:
    """True if the known tree is the beginning of the other, by what is stored in between."""
    more = tree.size - known.size
    if more < 0:
        return False
    if more <= FEW:
        grown, _ = append(known, hashes(db, number, 0, known.size, more))
        return grown == tree
    try:
        path = consistency(lambda *at: hashes(db, number, *at), known.size, tree.size)
    except ValueError:
        return False
    return verify_consistency(known.size, tree.size, known.root, tree.root, path)
