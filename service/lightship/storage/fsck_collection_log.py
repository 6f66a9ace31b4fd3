"""fsck of the logs of collections: every leaf, whole subtree, head and signed checkpoint. Read-only.

The trees are built anew. What was changed in one place is named by that place: the statement, else the 256
leaves of a tile. The signature of the checkpoint is checked where the hub's key is given.
"""

from __future__ import annotations

import apsw

from lightship.core.collection import KEY_SHIFT, pack
from lightship.core.errors import LightshipError
from lightship.core.log.merkle import TILE_HEIGHT, Frontier, append
from lightship.core.log.notes import BadNote, NoteKey, parse_checkpoint, parse_note, verify_note
from lightship.storage.fsck_log import HubKey
from lightship.storage.fsck_scratch import Scratch
from lightship.storage.leaves import hash_of
from lightship.storage.sqlite.collection_log import read_head
from lightship.storage.sqlite.collection_vouch import log_origin

_ROWS = """
SELECT key, at, by, agreement, body, hash, signatures FROM statement
WHERE key >= ? AND key < ? ORDER BY key"""
CHECKPOINT_OF = "checkpoint of collection "
"""How a finding begins that is about the signature alone: the rest may be sound."""
_NODE = "SELECT hash FROM log_node WHERE collection = ? AND level = ? AND idx = ?"


def check_collection_log(db: apsw.Connection, number: int, scratch: Scratch, key: HubKey | None) -> None:
    """Check the log of one collection against its statements."""
    where = f"collection {number}"
    tree = Frontier()
    for row_key, at, by, agreement, body, kept, signatures in db.execute(
        _ROWS, (pack(number, 0), (number + 1) << KEY_SHIFT)
    ):
        index = row_key - pack(number, 0)
        if index != tree.size:
            return  # a gap, which the check of statements names; the tree cannot be told from here
        try:
            digest = hash_of(at, by, agreement, body, signatures)
        except (LightshipError, ValueError, KeyError, TypeError):
            digest = b""
        if digest != kept:
            scratch.find(f"{where}, statement {index}", "it is not what was hashed when it was logged")
        tree, nodes = append(tree, [kept if len(kept) == 32 else bytes(32)])
        for level, place, whole in nodes:
            row = db.execute(_NODE, (number, level, place)).fetchone()
            if row is None or row[0] != whole:
                last = ((place + 1) << level) - 1
                scratch.find(
                    f"{where}, leaves {place << level} to {last}", "the hash over them is another one"
                )
    _check_head(db, number, tree, scratch, key)


def _check_head(
    db: apsw.Connection, number: int, tree: Frontier, scratch: Scratch, key: HubKey | None
) -> None:
    where = f"log of collection {number}"
    try:
        origin, head, note = read_head(db, number)
    except ValueError as error:
        scratch.find(where, f"its head cannot be used: {error}")
        return
    if head.size != tree.size:
        scratch.find(where, f"it has {head.size} entries, its statements are {tree.size}")
    elif head.peaks != tree.peaks:
        scratch.find(where, "its head is not that of its leaves: something was changed, left out or put in")
    count = db.execute("SELECT count(*) FROM log_node WHERE collection = ?", (number,)).get
    if count != sum(tree.size >> level for level in range(TILE_HEIGHT, 64, TILE_HEIGHT)):
        scratch.find(where, f"it has {count} hashes of whole subtrees, not those of its size")
    uuid = db.execute("SELECT id FROM collection WHERE number = ?", (number,)).get
    problem = _signed(note, origin, tree, str(uuid), key)
    if problem:
        scratch.find(CHECKPOINT_OF + str(number), problem)


def _signed(note: bytes, origin: str, tree: Frontier, uuid: str, key: HubKey | None) -> str:
    """Return what is wrong with the checkpoint that stands beside a tree, empty if nothing is."""
    if not note:
        return "no checkpoint was signed over it with the hub's key" if key and tree.size else ""
    try:
        parsed = parse_note(note)
        checkpoint = parse_checkpoint(parsed.text)
        if key is not None:
            verify_note(parsed, [NoteKey(origin, key.public)], key.verify)
    except BadNote as error:
        return f"its checkpoint does not hold: {error}"
    if not origin.endswith(log_origin("", uuid)) or checkpoint.origin != origin:
        return f"its checkpoint is of another log, {checkpoint.origin}"
    if (checkpoint.size, checkpoint.root) != (tree.size, tree.root):
        return f"the checkpoint signed last is over {checkpoint.size} entries, and not over these {tree.size}"
    return ""
