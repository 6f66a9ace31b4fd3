"""Whether an access log is what this hub signed, before the hub signs a checkpoint over it.

A checkpoint that is kept vouches for all entries before it. It must not vouch for what somebody wrote into
the file behind the hub, with hashes made anew: so the tree has to follow from the checkpoint before it, and
the groups since then have to have the hub's seals. Ed25519 gives one signature for a message and a key
(RFC 8032 section 5.1.6): a signature is checked by making it again, which is cheaper than verifying it.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from lightship.core.log.merkle import Frontier, append, frontier, root_of
from lightship.core.log.receipt import UNVOUCHED, audit_origin, group_message
from lightship.storage.sqlite.access_search import word_number
from lightship.storage.sqlite.access_tree import Sealer, hashes_of, read_head
from lightship.storage.sqlite.connection import open_database


def is_vouched(db: apsw.Connection, agr: int, origin: str, tree: Frontier, sealer: Sealer) -> bool:
    """True if every leaf of the tree is covered by what this hub signed when it was recorded.

    Args:
        tree: of all the leaves that are stored.
    """
    base = _signed_base(db, agr, origin, sealer)
    if base is None:
        return False
    sql = "SELECT idx, hash, seal FROM event WHERE agr = ? AND idx >= ? ORDER BY idx"
    first, wanted, seal, group = base.size, 0, b"", list[bytes]()
    for idx, digest, kept in db.execute(sql, (agr, base.size)):
        if not wanted:
            if kept is None:
                return False
            first, wanted, seal = idx, int.from_bytes(kept[:4], "big"), kept[4:]
        group.append(digest)
        if len(group) == wanted:
            if sealer.sign(group_message(origin, first, wanted, root_of(group))) != seal:
                return False
            base, _ = append(base, group)
            wanted, group = 0, []
    return not group and base == tree


def checkpoint_of(db: apsw.Connection, agr: int, origin: str, tree: Frontier, sealer: Sealer) -> bytes:
    """Return a signed checkpoint over all that is stored, for those outside.

    If the hub cannot vouch for it, the origin says so: else whoever can write the file, but has no key, would
    have his entries signed by any export, and put that checkpoint among those that the hub kept.
    """
    vouched = is_vouched(db, agr, origin, tree, sealer)
    return sealer.checkpoint(origin if vouched else origin + UNVOUCHED, tree)


def last_checkpoint(path: Path, scope: str, sealer: Sealer) -> tuple[int, str] | None:
    """Return size and signed checkpoint of a log in another file, None if it has no leaf."""
    db = open_database(path, readonly=True)
    try:
        agr = word_number(db, scope)
        head = None if agr is None else read_head(db, agr)
        if agr is None or head is None:
            return None
        origin = head.origin or audit_origin(sealer.host, scope, int(path.stem[-4:]))
        return head.tree.size, checkpoint_of(db, agr, origin, head.tree, sealer).decode()
    finally:
        db.close()


def _signed_base(db: apsw.Connection, agr: int, origin: str, sealer: Sealer) -> Frontier | None:
    """Return the tree under the newest kept checkpoint, None if that is not the hub's over these leaves."""
    sql = "SELECT size, note FROM checkpoint WHERE agr = ? ORDER BY size DESC LIMIT 1"
    row = db.execute(sql, (agr,)).fetchone()
    if row is None:
        return Frontier()
    try:
        tree = frontier(hashes_of(db, agr), row[0])
    except ValueError:
        return None
    return tree if sealer.checkpoint(origin, tree) == row[1] else None
