"""What the passes of fsck leave for each other: the findings, and a temporary file of loose ends.

The loose ends are adds whose object is not stored, withdrawals, the events that statements ask for, and the
requests of a log; there may be millions, so they lie in a temporary database that vanishes when it is closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import apsw

from lightship.core.audit import AccessEvent
from lightship.core.ports import FsckFinding

MOST_FINDINGS = 1000
CREDENTIAL_ACTS = frozenset({"credential-mint", "credential-rotate", "credential-revoke"})
CLOCK_SLACK = 120 * 1_000_000
"""Microseconds by which the writer's clock may differ from a stamp it gave, or from an event's time."""

_SCHEMA = """
CREATE TABLE gone
  (collection INTEGER, id TEXT, version TEXT, stamp INTEGER, digest TEXT, place TEXT, owner TEXT);
CREATE TABLE withdrawal (collection INTEGER, id TEXT, version TEXT, stamp INTEGER, reason TEXT, place TEXT);
CREATE TABLE event (req TEXT, at INTEGER, place TEXT);
CREATE TABLE told (what TEXT, at INTEGER, req TEXT);
CREATE TABLE logged (req BLOB, place TEXT);
"""
_INDEXES = """
CREATE INDEX gone_id ON gone(collection, id, version, stamp);
CREATE INDEX told_what ON told(what, at);
CREATE INDEX withdrawal_id ON withdrawal(collection, id, version, stamp);
"""


@dataclass(slots=True)
class Scratch:
    """Findings and loose ends of one run."""

    findings: list[FsckFinding] = field(default_factory=list)
    more: int = 0
    db: apsw.Connection = field(default_factory=lambda: apsw.Connection(""))
    newest: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Collection id -> the newest stamp that an access event names, and which one does."""
    credentials: dict[str, list[tuple[str, str, str, int]]] = field(default_factory=dict)
    """Name of a credential ("" if erased) -> act, agreement, member and time of each event about it."""

    def __post_init__(self) -> None:
        self.db.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;" + _SCHEMA).fetchall()

    def find(self, where: str, what: str) -> None:
        """Note something that does not hold together; beyond MOST_FINDINGS they are only counted."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(FsckFinding(where, what))
        else:
            self.more += 1

    def find_once(self, where: str, what: str) -> None:
        """Note something that several passes stumble over."""
        if FsckFinding(where, what) not in self.findings:
            self.find(where, what)

    def report(self) -> tuple[FsckFinding, ...]:
        """Return all findings, and a last one that says how many were left out."""
        if not self.more:
            return tuple(self.findings)
        return (*self.findings, FsckFinding("fsck", f"{self.more} further findings are not listed"))

    def gone(self, collection: int, entry: list[str], stamp: int, place: str, owner: str) -> None:
        """Note an add whose object is not stored: it must have been withdrawn."""
        self.db.execute(
            "INSERT INTO gone VALUES (?, ?, ?, ?, ?, ?, ?)",
            (collection, entry[0], entry[1], stamp, entry[2], place, owner),
        )

    def withdrawal(self, collection: int, entry: list[str], stamp: int, place: str) -> None:
        """Note a withdrawal."""
        self.db.execute(
            "INSERT INTO withdrawal VALUES (?, ?, ?, ?, ?, ?)",
            (collection, entry[0], entry[1], stamp, entry[2], place),
        )

    def told(self, what: str, at: int, req: str) -> None:
        """Note that a statement with this stamp and request tells of an agreement, a roster or a suspension.

        Of those that tell the same the first one is that of its beginning: a new collection is told again.
        """
        self.db.execute("INSERT INTO told VALUES (?, ?, ?)", (what, at, req))

    def first_told(self, what: str) -> str:
        """Return the request of the first statement that tells of something, empty if none does."""
        row = self.db.execute("SELECT req FROM told WHERE what = ? ORDER BY at LIMIT 1", (what,)).fetchone()
        return str(row[0]) if row else ""

    def event(self, req: str, at: int, place: str) -> None:
        """Note that a statement asks for this event."""
        self.db.execute("INSERT INTO event VALUES (?, ?, ?)", (req, at, place))

    def say(self, event: AccessEvent, where: str) -> None:
        """Note what an access event says about stamps and credentials."""
        if event.last and event.last > self.newest.get(event.col, (0, ""))[0]:
            self.newest[event.col] = event.last, where
        if event.act in CREDENTIAL_ACTS:
            self.credentials.setdefault(event.q, []).append((event.act, event.agr, event.who, event.at))

    def logged(self, req: bytes, place: str) -> None:
        """Note that an access log file holds an event of this request."""
        self.db.execute("INSERT INTO logged VALUES (?, ?)", (req, place))

    def no_longer_logged(self) -> None:
        """Forget the events of a file that was looked through."""
        self.db.execute("DELETE FROM logged")

    def index(self) -> None:
        """Make the loose ends searchable, once all are there."""
        self.db.execute(_INDEXES)

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield rows of a query over the loose ends."""
        yield from self.db.execute(sql, values)

    def has(self, sql: str, values: tuple[Any, ...]) -> bool:
        """True if the query has a row."""
        return self.db.execute(sql, values).fetchone() is not None

    def close(self) -> None:
        """Let the temporary file vanish."""
        self.db.close()
