"""The trees of one access log file: one for each agreement that has events in it, and one for `hub`.

Appending happens in the transaction of the events: leaf hashes, whole subtrees of the levels 8, 16, ..., the
head, one signature a group. What is signed is never above what is committed: a signature leaves only after
the commit of its group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import apsw

from lightship.core.log.merkle import Frontier, Hashes, append, frontier_of
from lightship.core.log.notes import Checkpoint, NoteKey, Sign, format_note, sign_note
from lightship.core.log.receipt import Group, audit_origin
from lightship.storage.sqlite.access_files import year_of_file

CHECKPOINT_EVERY = 1024
"""Events between two checkpoints that are kept; each group of events has a signature of its own besides."""
_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Sealer:
    """Signs for the hub: its name in origins (host and port), its raw Ed25519 public key, its signing."""

    host: str
    public: bytes
    sign: Sign

    def checkpoint(self, origin: str, frontier: Frontier) -> bytes:
        """Return the signed note of a tree."""
        text = Checkpoint(origin, frontier.size, frontier.root).to_text()
        return format_note(text, [sign_note(text, NoteKey(origin, self.public), self.sign)])


@dataclass(frozen=True, slots=True)
class Head:
    """What is kept of a log beside its leaves. `newest` is the largest time in it, microseconds."""

    origin: str = ""
    newest: int = 0
    tree: Frontier = Frontier()


def read_head(db: apsw.Connection, agr: int) -> Head | None:
    """Return the head of a log, None if it has no leaf yet.

    Raises:
        ValueError: size and peaks do not fit each other.
    """
    row = db.execute("SELECT origin, newest, size, peaks FROM head WHERE agr = ?", (agr,)).fetchone()
    return None if row is None else Head(row[0], row[1], frontier_of(row[2], row[3]))


def grow(
    db: apsw.Connection,
    agr: int,
    scope: str,
    year: int,
    head: Head,
    hashes: Sequence[bytes],
    newest: int,
    sealer: Sealer | None,
) -> tuple[Head, Group | None]:
    """Append leaf hashes to a log inside the open transaction; return head and group, None without a sealer.

    Args:
        scope, year: of the log, for its origin.
        newest: the largest time of the new events.
    """
    tree, nodes = append(head.tree, hashes)
    origin = head.origin or (audit_origin(sealer.host, scope, year) if sealer else "")
    db.execute(
        "INSERT INTO head(agr, origin, size, newest, peaks) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT(agr)"
        " DO UPDATE SET origin = ?2, size = ?3, newest = ?4, peaks = ?5",
        (agr, origin, tree.size, max(head.newest, newest), tree.to_bytes()),
    )
    if nodes:
        db.executemany("INSERT INTO node VALUES (?, ?, ?, ?)", [(agr, *one) for one in nodes])
    grown = Head(origin, max(head.newest, newest), tree)
    return grown, Group(origin, head.tree.size, hashes, sealer.sign) if sealer is not None else None


def keep_checkpoint(db: apsw.Connection, agr: int, note: bytes, size: int) -> None:
    """Keep a signed checkpoint."""
    db.execute("INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?)", (agr, size, note))


def seal_of(group: Group) -> bytes:
    """Return what is kept with the first leaf of a group: its size in four bytes, its signature."""
    return len(group).to_bytes(4, "big") + group.signature


def hashes_of(db: apsw.Connection, agr: int) -> Hashes:
    """Return where proofs of a log take their hashes from."""

    def read(level: int, first: int, count: int) -> list[bytes]:
        if level == 0:
            sql = "SELECT hash FROM event WHERE agr = ? AND idx >= ? AND idx < ? ORDER BY idx"
            return [row[0] for row in db.execute(sql, (agr, first, first + count))]
        sql = "SELECT hash FROM node WHERE agr = ? AND level = ? AND idx >= ? AND idx < ? ORDER BY idx"
        return [row[0] for row in db.execute(sql, (agr, level, first, first + count))]

    return read


def plant(db: apsw.Connection, path: Path, sealer: Sealer | None) -> None:
    """Make the trees of the events that are there, inside the open transaction; in bounded memory.

    With a sealer they are signed as they are: only where a steward asked for it, else whoever can write the
    file could take it back to an older schema and have the hub sign what he likes at its next start.
    """
    sql = "SELECT DISTINCT agr, text FROM event JOIN word ON id = agr"
    logs: list[Any] = db.execute(sql).fetchall()
    for agr, scope in logs:
        tree, newest = Frontier(), 0
        rows = db.execute("SELECT hash, at FROM event WHERE agr = ? ORDER BY idx", (agr,))
        while batch := list(islice(rows, _BATCH)):
            tree, nodes = append(tree, [row[0] for row in batch])
            newest = max(newest, *(row[1] for row in batch))
            db.executemany("INSERT INTO node VALUES (?, ?, ?, ?)", [(agr, *one) for one in nodes])
        origin = audit_origin(sealer.host, scope, year_of_file(path)) if sealer is not None else ""
        db.execute(
            "INSERT INTO head VALUES (?, ?, ?, ?, ?)", (agr, origin, tree.size, newest, tree.to_bytes())
        )
        if sealer is not None:
            keep_checkpoint(db, agr, sealer.checkpoint(origin, tree), tree.size)
