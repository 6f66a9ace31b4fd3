"""fsck of an access log's trees: every leaf, whole subtree, head, seal and checkpoint of one file. Read-only.

The trees are built anew from the leaves as they pass, in the order of their commit; memory does not grow with
their number. What was changed in one place is named by that place: the leaf, else the group that was signed
together, else the 256 leaves of a tile. Signatures are checked where the hub's key is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import apsw

from lightship.core.log.merkle import TILE_HEIGHT, Frontier, append, leaf_hash, root_of
from lightship.core.log.notes import BadNote, NoteKey, Verify, parse_checkpoint, parse_note, verify_note
from lightship.core.log.receipt import group_message
from lightship.storage.fsck_scratch import Scratch

_SEAL_BYTES = 68


@dataclass(frozen=True, slots=True)
class HubKey:
    """The hub's raw Ed25519 public key and how to verify with it."""

    public: bytes
    verify: Verify


@dataclass(slots=True)
class _Tree:
    """One log as far as its leaves have passed."""

    name: str
    origin: str
    checkpoints: dict[int, bytes]
    vouched: int
    """Size of the newest kept checkpoint; from there on every event is in a group that was signed."""
    tree: Frontier = Frontier()
    newest: int = 0
    group: list[bytes] = field(default_factory=list)
    wanted: int = 0
    signature: bytes = b""
    sound: bool = True


class Trees:
    """The trees of one file; `leaf` for each event in the order of `seq`, then `finish`."""

    def __init__(self, db: apsw.Connection, name: str, scratch: Scratch, key: HubKey | None) -> None:
        self._db, self._name, self._scratch, self._key = db, name, scratch, key
        self._trees: dict[int, _Tree] = {}

    def leaf(
        self, agr: int, name: str, idx: int, at: int, leaf: bytes, kept: bytes, seal: bytes | None
    ) -> None:
        """Take in the next event: its bytes, the hash that is kept of them, the seal if a group begins."""
        tree = self._trees.get(agr) or self._open(agr, name)
        digest = leaf_hash(leaf)
        if digest != kept:
            self._find(tree, idx, "its bytes are not those that were hashed when it was recorded")
        if not tree.sound:
            return
        if idx != tree.tree.size:  # said already; the rest of this tree cannot be told
            tree.sound = False
            return
        if seal is not None:
            self._begin(tree, idx, seal)
        elif self._key and not tree.wanted and idx >= tree.vouched:
            self._find(tree, idx, "it is covered by no signature of when it was recorded")
        tree.newest = max(tree.newest, at)
        tree.tree, nodes = append(tree.tree, [digest])
        for level, index, whole in nodes:
            self._node(tree, agr, level, index, whole)
        if tree.wanted:
            tree.group.append(digest)
            if len(tree.group) == tree.wanted:
                self._end(tree)
        note = tree.checkpoints.pop(tree.tree.size, None)
        if note is not None:
            self._checkpoint(tree, note)

    def finish(self) -> None:
        """Check what is left once all events have passed."""
        for table in ("node", "checkpoint", "head"):
            for (agr,) in self._db.execute(f"SELECT DISTINCT agr FROM {table}"):  # noqa: S608  (one of three fixed names)
                if agr not in self._trees:
                    self._scratch.find(self._name, f"`{table}` has rows of a log without events")
        for agr, tree in self._trees.items():
            where = f"{self._name}, {tree.name}"
            if not tree.sound:
                continue
            if tree.wanted:
                self._scratch.find(
                    where, f"the newest events are missing: {tree.wanted} were signed together"
                )
            for size in tree.checkpoints:
                self._scratch.find(where, f"events are missing: a checkpoint over {size} was signed")
            row = self._db.execute("SELECT size, newest, peaks FROM head WHERE agr = ?", (agr,)).fetchone()
            if row is not None and row != (tree.tree.size, tree.newest, tree.tree.to_bytes()):
                self._scratch.find(where, "the head of its tree is not that of its events")
            nodes = self._db.execute("SELECT count(*) FROM node WHERE agr = ?", (agr,)).get
            if nodes != sum(tree.tree.size >> level for level in range(TILE_HEIGHT, 64, TILE_HEIGHT)):
                self._scratch.find(where, f"its tree has {nodes} kept nodes, not those of its size")

    def _open(self, agr: int, name: str) -> _Tree:
        row = self._db.execute("SELECT origin FROM head WHERE agr = ?", (agr,)).fetchone()
        found = self._db.execute("SELECT size, note FROM checkpoint WHERE agr = ?", (agr,))
        notes = {size: bytes(note) for size, note in found}
        tree = self._trees[agr] = _Tree(name, row[0] if row else "", notes, max(notes, default=0))
        return tree

    def _find(self, tree: _Tree, idx: int, what: str) -> None:
        self._scratch.find(f"{self._name}, {tree.name} event {idx}", what)

    def _begin(self, tree: _Tree, idx: int, seal: bytes) -> None:
        if tree.wanted:
            self._find(tree, idx, "a group begins here in the midst of another one")
        size = int.from_bytes(seal[:4], "big")
        if len(seal) != _SEAL_BYTES or not size:
            self._find(tree, idx, "its seal cannot be read")
            size = 0
        tree.group, tree.wanted, tree.signature = [], size, seal[4:]

    def _end(self, tree: _Tree) -> None:
        size, first = tree.wanted, tree.tree.size - tree.wanted
        message = group_message(tree.origin, first, size, root_of(tree.group))
        tree.group, tree.wanted = [], 0
        if self._key and not self._key.verify(self._key.public, tree.signature, message):
            others = f", with the {size - 1} after it" if size > 1 else ""
            self._find(tree, first, f"it is not what the hub signed when it was recorded{others}")

    def _node(self, tree: _Tree, agr: int, level: int, index: int, digest: bytes) -> None:
        sql = "SELECT hash FROM node WHERE agr = ? AND level = ? AND idx = ?"
        row = self._db.execute(sql, (agr, level, index)).fetchone()
        if row is None or row[0] != digest:
            first = index << level
            last = first + (1 << level) - 1
            self._find(tree, first, f"events {first} to {last} do not have the hash that is kept of them")

    def _checkpoint(self, tree: _Tree, data: bytes) -> None:
        size = tree.tree.size
        where = f"{self._name}, {tree.name} checkpoint {size}"
        try:
            note = parse_note(data)
            point = parse_checkpoint(note.text)
            if self._key:
                verify_note(note, [NoteKey(tree.origin, self._key.public)], self._key.verify)
        except BadNote as error:
            self._scratch.find(where, str(error))
            return
        if (point.origin, point.size) != (tree.origin, size):
            self._scratch.find(where, f"it is one of {point.origin} over {point.size}")
        elif point.root != tree.tree.root:
            self._scratch.find(where, "the events are not those that it was signed over")
