"""Whether an access log is what this hub signed, before the hub signs a checkpoint over it.

A checkpoint that is kept vouches for all entries before it. It must not vouch for what somebody wrote into
the file behind the hub, with hashes made anew: so the tree has to follow from the checkpoint before it, and
the groups since then have to have the hub's seals. Ed25519 gives one signature for a message and a key
(RFC 8032 section 5.1.6): a signature is checked by making it again, which is cheaper than verifying it.
"""

from __future__ import annotations

import apsw

from lightship.core.log.merkle import Frontier, append, frontier, root_of
from lightship.core.log.receipt import group_message
from lightship.storage.sqlite.access_tree import Sealer, hashes_of


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
