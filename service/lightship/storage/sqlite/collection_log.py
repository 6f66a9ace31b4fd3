"""The logs of collections in the hub's file: `ports.Logs`, and growing the trees inside a write transaction.

Leaves, nodes, size, peaks and the signed checkpoint are rows of the transaction of what the leaves say.
What is signed leaves only after its commit, since it is read from there. Leaf hashes stand with the
statements.
"""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from lightship.core.collection import pack
from lightship.core.errors import Damaged, NotFound
from lightship.core.log.merkle import Frontier, append, frontier_of
from lightship.storage.leaves import hash_of, leaf_of
from lightship.storage.sqlite.access_tree import Sealer
from lightship.storage.sqlite.connection import select

_HEAD = "SELECT origin, size, peaks, note FROM log_head WHERE collection = ?"
_SAVE = """
INSERT INTO log_head (collection, origin, size, peaks, note) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (collection) DO UPDATE SET origin = ?2, size = ?3, peaks = ?4, note = ?5"""
_NODE = "INSERT INTO log_node (collection, level, idx, hash) VALUES (?, ?, ?, ?)"
_NODES = "SELECT hash FROM log_node WHERE collection = ? AND level = ? AND idx >= ? AND idx < ? ORDER BY idx"
_HASHES = "SELECT hash FROM statement WHERE key >= ? AND key < ? ORDER BY key"
_ROWS = "SELECT at, by, agreement, body, signatures FROM statement WHERE key >= ? AND key < ? ORDER BY key"
_PLANTED = (
    "SELECT key, at, by, agreement, body FROM statement WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
)
_BATCH = 4096


def log_origin(host: str, collection: str) -> str:
    """Return the name of a collection's log; `host` is that of the hub's public address, with its port."""
    return f"{host}/c/{collection}"


class Growth:
    """The leaves that a transaction appends, by collection; written with `flush`."""

    def __init__(self, db: apsw.Connection, sealer: Sealer | None) -> None:
        self._db = db
        self._sealer = sealer
        self._hashes: dict[int, dict[int, bytes]] = {}

    def add(self, number: int, idx: int, digest: bytes) -> None:
        """Note a leaf of collection `number`."""
        self._hashes.setdefault(number, {})[idx] = digest

    def flush(self, ids: Iterable[tuple[int, str]]) -> None:
        """Grow the trees and sign their new heads.

        Args:
            ids: (number, UUID) of the collections, of those with new leaves at least.

        Raises:
            Damaged: the leaves do not go on where the log ends.
        """
        for number, uuid in ids:
            if number in self._hashes:
                self._grow(number, uuid, self._hashes[number])

    def _grow(self, number: int, uuid: str, hashes: dict[int, bytes]) -> None:
        origin, tree, _ = read_head(self._db, number)
        if sorted(hashes) != list(range(tree.size, tree.size + len(hashes))):
            raise Damaged(
                "The log of a collection does not fit its statements",
                why=f"collection {uuid}: the log has {tree.size} entries, statement {min(hashes)} comes next",
                todo="Run `lightship fsck`, then restore a backup",
            )
        tree, nodes = append(tree, [hashes[idx] for idx in sorted(hashes)])
        note = b""
        if self._sealer is not None:
            origin = origin or log_origin(self._sealer.host, uuid)
            note = self._sealer.checkpoint(origin, tree)
        self._db.execute(_SAVE, (number, origin, tree.size, tree.to_bytes(), note))
        if nodes:
            self._db.executemany(_NODE, [(number, *one) for one in nodes])


def read_head(db: apsw.Connection, number: int) -> tuple[str, Frontier, bytes]:
    """Return origin, tree and signed checkpoint of a log; that of a log without leaves is empty.

    Raises:
        ValueError: size and peaks do not fit each other.
    """
    rows = select(db, _HEAD, (number,))
    if not rows:
        return "", Frontier(), b""
    origin, size, peaks, note = rows[0]
    return origin, frontier_of(size, peaks), note


def checkpoint(db: apsw.Connection, number: int, uuid: str, sealer: Sealer | None) -> bytes:
    """Return the newest checkpoint; one that was written without a key is signed now, as it was committed.

    Raises:
        NotFound: there is no log yet, or no key to sign with.
    """
    origin, tree, note = read_head(db, number)
    if note:
        return note
    if sealer is None or not tree.size:
        raise NotFound("This collection has no signed log yet")
    return sealer.checkpoint(origin or log_origin(sealer.host, uuid), tree)


def entries(db: apsw.Connection, number: int, first: int, count: int) -> list[bytes]:
    """Return leaves from index `first` on, fewer if there are not so many."""
    return [leaf_of(*row) for row in select(db, _ROWS, _range(number, first, count))]


def hashes(db: apsw.Connection, number: int, level: int, first: int, count: int) -> list[bytes]:
    """Return hashes of whole subtrees of a level, a multiple of 8; fewer if there are not so many."""
    if level == 0:
        return [row[0] for row in select(db, _HASHES, _range(number, first, count))]
    return [row[0] for row in select(db, _NODES, (number, level, first, first + count))]


def plant(db: apsw.Connection) -> None:
    """Make the logs of the statements that are there, inside the open transaction; in bounded memory."""
    for (number,) in select(db, "SELECT number FROM collection ORDER BY number"):
        tree = Frontier()
        while batch := select(db, _PLANTED, (*_range(number, tree.size, _BATCH), _BATCH)):
            made = [(hash_of(*row[1:]), row[0]) for row in batch]
            db.executemany("UPDATE statement SET hash = ? WHERE key = ?", made)
            tree, nodes = append(tree, [one for one, _ in made])
            db.executemany(_NODE, [(number, *one) for one in nodes])
        if tree.size:
            db.execute(_SAVE, (number, "", tree.size, tree.to_bytes(), b""))


def _range(number: int, first: int, count: int) -> tuple[int, int]:
    """Return the storage keys of statements from `first` to before `first + count`."""
    return pack(number, first), pack(number, first + count)
