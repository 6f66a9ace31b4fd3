"""The logs of collections in the hub's file: `ports.Logs`, and growing the trees inside a write transaction.

Leaves, nodes, size, peaks and the signed checkpoint are rows of the transaction of what the leaves say.
What is signed leaves only after its commit, since it is read from there. Leaf hashes stand with the
statements. Only what this hub has signed, or has just written, is signed further (`collection_vouch`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import apsw

from lightship.core.collection import pack
from lightship.core.errors import Conflict, Damaged, NotFound, Unavailable
from lightship.core.log.merkle import Frontier, append, frontier_of, inclusion_at_end
from lightship.core.ports import FreshProof
from lightship.storage.leaves import hash_of, leaf_of
from lightship.storage.sqlite.access_tree import Sealer
from lightship.storage.sqlite.collection_vouch import Known, LogHead, Vouching, log_origin
from lightship.storage.sqlite.connection import select

_HEAD = "SELECT origin, size, peaks, note FROM log_head WHERE collection = ?"
_SAVE = """
INSERT INTO log_head (collection, origin, size, peaks, note) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (collection) DO UPDATE SET origin = ?2, size = ?3, peaks = ?4, note = ?5"""
_NODE = "INSERT INTO log_node (collection, level, idx, hash) VALUES (?, ?, ?, ?)"
_ROWS = "SELECT at, by, agreement, body, signatures FROM statement WHERE key >= ? AND key < ? ORDER BY key"
_PLANTED = (
    "SELECT key, at, by, agreement, body FROM statement WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
)
_BATCH = 4096
UNVOUCHED_RETRY_S = 300
"""When a client may ask again: somebody has to look at the hub first."""


class Growth:
    """The leaves that a transaction appends, by collection; written with `flush`.

    Args:
        vouching: says what may be signed; None leaves all unsigned.
    """

    def __init__(self, db: apsw.Connection, vouching: Vouching | None) -> None:
        self._db = db
        self._vouching = vouching
        self._hashes: dict[int, dict[int, bytes]] = {}
        self._heads: dict[int, tuple[LogHead, bool]] = {}
        self._proofs: dict[int, dict[int, FreshProof]] = {}
        self.grown: dict[int, Known] = {}

    def check(self, number: int, uuid: str, size: int, *, adds: bool) -> None:
        """Refuse what cannot be logged, before anything is decided about it.

        Args:
            size: statements of the collection, before those of this transaction.
            adds: it publishes. What only takes away, or changes rules, goes on unsigned where the log is not
                what this hub signed: who can write the file must not keep anybody from stopping something.

        Raises:
            Unavailable: it publishes, and the log is not what this hub signed.
            Damaged: the log does not go on where the statements end.
        """
        found = self._heads.get(number)
        if found is None:
            try:
                head = read_head(self._db, number)
            except ValueError as error:
                raise _broken(uuid, str(error), adds=adds) from None
            if head.tree.size != size:
                raise _broken(uuid, f"its log has {head.tree.size} entries, not {size}", adds=adds)
            vouched = self._vouching is not None and self._vouching.holds(self._db, number, uuid, head)
            found = self._heads[number] = head, vouched
        if adds and self._vouching is not None and not found[1]:
            raise _broken(uuid, "the end of its log is not what this hub signed last", adds=True)

    def add(self, number: int, idx: int, digest: bytes) -> None:
        """Note a leaf of collection `number`."""
        self._hashes.setdefault(number, {})[idx] = digest

    def prove(self, number: int, idx: int) -> FreshProof:
        """Return what `flush` makes the proof of a noted leaf, if it signs the tree."""
        return self._proofs.setdefault(number, {}).setdefault(idx, FreshProof())

    def flush(self, ids: Iterable[tuple[int, str]]) -> None:
        """Grow the trees; sign their new heads if they were checked and hold.

        Args:
            ids: (number, UUID) of the collections, of those with new leaves at least.

        Raises:
            Damaged: the leaves do not go on where the log ends.
        """
        for number, uuid in ids:
            if number in self._hashes:
                self._grow(number, uuid, self._hashes[number])

    def vouch(self, number: int, uuid: str, size: int, root: bytes) -> None:
        """Sign a head as it stands, because the steward says so.

        Raises:
            Conflict: it is another one than the steward looked at.
        """
        head = read_head(self._db, number)
        if (head.tree.size, head.tree.root) != (size, root) or self._vouching is None:
            raise Conflict("The log was written to meanwhile", todo="Run the command again")
        origin = log_origin(self._vouching.sealer.host, uuid)
        if head.origin.endswith(log_origin("", uuid)):
            origin = head.origin
        self._save(number, origin, head.tree, self._vouching.sealer.checkpoint(origin, head.tree))

    def _grow(self, number: int, uuid: str, hashes: dict[int, bytes]) -> None:
        head, vouched = self._heads.get(number) or (read_head(self._db, number), False)
        tree = head.tree
        if sorted(hashes) != list(range(tree.size, tree.size + len(hashes))):
            raise _broken(uuid, f"its log has {tree.size} entries, statement {min(hashes)} comes next")
        added = [hashes[idx] for idx in sorted(hashes)]
        tree, nodes = append(tree, added)
        if vouched and self._vouching is not None:
            sealer = self._vouching.sealer
            origin = head.origin or log_origin(sealer.host, uuid)
            note = sealer.checkpoint(origin, tree)
            self._save(number, origin, tree, note)
            for idx, proof in self._proofs.get(number, {}).items():
                proof.path = tuple(inclusion_at_end(head.tree, added, idx - head.tree.size))
                proof.checkpoint = note
        else:
            self._db.execute(_SAVE, (number, head.origin, tree.size, tree.to_bytes(), head.note))
        if nodes:
            self._db.executemany(_NODE, [(number, *one) for one in nodes])

    def _save(self, number: int, origin: str, tree: Frontier, note: bytes) -> None:
        self._db.execute(_SAVE, (number, origin, tree.size, tree.to_bytes(), note))
        self.grown[number] = Known(origin, tree)


def _broken(uuid: str, why: str, *, adds: bool = False) -> Damaged | Unavailable:
    if adds:
        return Unavailable(
            "Nothing can be published in this collection for now",
            retry_after=UNVOUCHED_RETRY_S,
            why=why,
            todo="The hub's steward has to run `lightship fsck`",
        )
    return Damaged(
        "The log of a collection does not fit its statements",
        why=f"collection {uuid}: {why}",
        todo="Run `lightship fsck`, then restore a backup",
    )


def read_head(db: apsw.Connection, number: int) -> LogHead:
    """Return the head of a log; that of a log without leaves is empty.

    Raises:
        ValueError: size and peaks do not fit each other.
    """
    rows = select(db, _HEAD, (number,))
    if not rows:
        return LogHead("", Frontier(), b"")
    origin, size, peaks, note = rows[0]
    return LogHead(origin, frontier_of(size, peaks), note)


def checkpoint(db: apsw.Connection, number: int, sealer: Sealer | None) -> bytes:
    """Return the newest checkpoint that was signed; nothing is signed because it is asked for.

    Raises:
        NotFound: there is no log yet, or no key to sign with.
        Unavailable: the log was written by somebody without the hub's key.
    """
    rows = select(db, _HEAD, (number,))
    if not rows or (sealer is None and not rows[0][3]):
        raise NotFound("This collection has no signed log yet")
    note: bytes = rows[0][3]
    if not note:
        raise Unavailable(
            "The log of this collection is not signed",
            retry_after=UNVOUCHED_RETRY_S,
            why="it was written without the hub's key",
            todo="The hub's steward has to run `lightship fsck`",
        )
    return note


def entries(db: apsw.Connection, number: int, first: int, count: int) -> list[bytes]:
    """Return leaves from index `first` on, fewer if there are not so many."""
    return [leaf_of(*row) for row in select(db, _ROWS, _range(number, first, count))]


def plant(db: apsw.Connection, path: Path, sealer: Sealer | None) -> None:
    """Make the logs of the statements that are there, inside the open transaction; in bounded memory.

    With a sealer they are signed as they are: only where a steward asked for it, else whoever can write the
    file could take it back to an older schema and have the hub sign what he likes at its next start.
    """
    for number, uuid in select(db, "SELECT number, id FROM collection ORDER BY number"):
        tree = Frontier()
        while batch := select(db, _PLANTED, (*_range(number, tree.size, _BATCH), _BATCH)):
            made = [(hash_of(*row[1:]), row[0]) for row in batch]
            db.executemany("UPDATE statement SET hash = ? WHERE key = ?", made)
            tree, nodes = append(tree, [one for one, _ in made])
            db.executemany(_NODE, [(number, *one) for one in nodes])
        if tree.size:
            origin = log_origin(sealer.host, uuid) if sealer is not None else ""
            note = sealer.checkpoint(origin, tree) if sealer is not None else b""
            db.execute(_SAVE, (number, origin, tree.size, tree.to_bytes(), note))


def _range(number: int, first: int, count: int) -> tuple[int, int]:
    """Return the storage keys of statements from `first` to before `first + count`."""
    return pack(number, first), pack(number, first + count)
