"""A store with signed logs, and what somebody does to its file who can write it but has no key."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from lightship.core.collection import pack
from lightship.core.log import merkle, notes
from lightship.crypto.sign import new_signing_key, verify
from lightship.storage.fsck import fsck
from lightship.storage.fsck_log import HubKey
from lightship.storage.leaves import hash_of
from lightship.storage.sqlite.access_tree import Sealer
from lightship.storage.sqlite.store import FILE, SqliteStore, open_store
from storekit import HandClock, activate, candidate, grant, publish

KEY = new_signing_key()
SEALER = Sealer("hub.test:9443", KEY.public, KEY.sign)
Row = dict[str, list[tuple[object, ...]]]

_LOG = {
    "statement": "SELECT key, at, by, agreement, body, req, hash, signatures FROM statement"
    " WHERE key >> 52 = ?",
    "log_node": "SELECT collection, level, idx, hash FROM log_node WHERE collection = ?",
    "log_head": "SELECT collection, origin, size, peaks, note FROM log_head WHERE collection = ?",
    "object": "SELECT key, class, type, version, version_text, owner, idhash, id, digest, body, marks,"
    " expires FROM object WHERE key >> 52 = ?",
    "collection": "SELECT * FROM collection WHERE number = ?",
}
_OF_LOGS = re.compile(r"^(log|checkpoint) of collection|hash")


class TamperLab:
    """One data directory; `open` gives a process of the hub, `edit` is the attacker."""

    def __init__(self, data: Path, entries: int = 5) -> None:
        self.data, self.clock = data, HandClock()
        store = self.open()
        activate(store, 1, 2)
        for number in range(entries - 1):
            publish(store, candidate(number))
        store.close()

    def open(self) -> SqliteStore:
        """Start a process."""
        return open_store(self.data, self.clock, sealer=SEALER)

    def edit(self, change: Callable[[apsw.Connection], object] | str) -> None:
        """Change the file, also while processes have it open."""
        db = apsw.Connection(str(self.data / FILE))
        try:
            db.set_busy_timeout(10_000)
            db.execute("BEGIN IMMEDIATE")
            db.execute(change).fetchall() if isinstance(change, str) else change(db)
            db.execute("COMMIT")
        finally:
            db.close()

    def rewrite(self, index: int = 1, by: str = "eve", *, head: bool = True) -> None:
        """Put another leaf in a place, and make hashes, nodes and head anew; the checkpoint stays."""

        def change(db: apsw.Connection) -> None:
            db.execute("UPDATE statement SET by = ? WHERE key = ?", (by, pack(1, index)))
            rehash(db, head=head)

        self.edit(change)

    def save(self) -> Row:
        """Keep a whole log as it is now, its objects too."""
        db = apsw.Connection(str(self.data / FILE))
        try:
            return {name: db.execute(sql, (1,)).fetchall() for name, sql in _LOG.items()}
        finally:
            db.close()

    def put_back(self, saved: Row) -> None:
        """Bring a log back to what was kept."""

        def change(db: apsw.Connection) -> None:
            for name, sql in _LOG.items():
                where = sql.partition(" WHERE ")[2]
                db.execute(f"DELETE FROM {name} WHERE {where}", (1,))
                columns = sql.partition("SELECT ")[2].partition(" FROM ")[0]
                named = "" if columns == "*" else f"({columns})"
                for row in saved[name]:
                    db.execute(f"INSERT INTO {name} {named} VALUES ({','.join('?' * len(row))})", row)

        self.edit(change)

    def findings(self) -> list[str]:
        """Return what fsck finds in the logs and their signatures (the rest here is no real agreement)."""
        found = fsck(self.data, key=HubKey(KEY.public, verify)).findings
        return [f"{one.where}: {one.what}" for one in found if _OF_LOGS.search(f"{one.where}: {one.what}")]


def rehash(db: apsw.Connection, number: int = 1, *, head: bool = True) -> None:
    """Make everything that follows from the leaves of a log anew, but for what needs the key."""
    low, high = pack(number, 0), pack(number + 1, 0)
    sql = "SELECT key, at, by, agreement, body, signatures FROM statement WHERE key >= ? AND key < ?"
    rows: list[Any] = db.execute(f"{sql} ORDER BY key", (low, high)).fetchall()
    made = [(hash_of(*row[1:]), row[0]) for row in rows]
    db.executemany("UPDATE statement SET hash = ? WHERE key = ?", made)
    tree, nodes = merkle.append(merkle.Frontier(), [one for one, _ in made])
    db.execute("DELETE FROM log_node WHERE collection = ?", (number,))
    db.executemany("INSERT INTO log_node VALUES (?, ?, ?, ?)", [(number, *one) for one in nodes])
    if head:
        db.execute(
            "UPDATE log_head SET size = ?, peaks = ? WHERE collection = ?",
            (tree.size, tree.to_bytes(), number),
        )


def signed_root(store: SqliteStore, on: int = 1) -> tuple[int, bytes]:
    """Return size and root of the newest checkpoint, which has to be the hub's."""
    note = notes.parse_note(store.checkpoint(grant(store, on=on)))
    point = notes.parse_checkpoint(note.text)
    assert notes.verify_note(note, [notes.NoteKey(point.origin, KEY.public)], verify)
    return point.size, point.root


def is_genuine(store: SqliteStore, on: int = 1) -> bool:
    """True if the entries that a first consumer reads are those of the newest checkpoint."""
    size, root = signed_root(store, on)
    leaves = store.entries(grant(store, on=on), 0, size)
    return len(leaves) == size and merkle.root_of([merkle.leaf_hash(one) for one in leaves]) == root
