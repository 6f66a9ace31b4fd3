"""The working set of one write transaction: what its jobs have read and decided, before anything is written.

Jobs of a group decide one after another against this set, so that later ones see earlier ones; then stamps
are chosen, then rows are written. It lives as long as the transaction: nothing in it can be stale.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw

from lightship.core import stamps
from lightship.core.access import Grant, Principal, System
from lightship.core.audit import AccessEvent
from lightship.core.collection import KEY_SHIFT, LEAD, Held, WithdrawReason, pack
from lightship.core.errors import Conflict, NotFound
from lightship.core.ports import EpochChanged
from lightship.core.time import Instant, Micros
from lightship.storage.leaves import hash_of
from lightship.storage.sqlite.classes import spec_of
from lightship.storage.sqlite.collection_log import Growth
from lightship.storage.sqlite.collection_vouch import Vouching
from lightship.storage.sqlite.connection import read_epoch, select
from lightship.storage.sqlite.marks import HeldSets
from lightship.storage.sqlite.rows import encode_event, idhash
from lightship.storage.sqlite.staging import Staging
from lightship.storage.statements import Part

KEPT_DROPS = 10_000
"""Changes of visibility that a collection remembers for caches."""
STATUS_KEPT = Micros(25 * 3_600 * 1_000_000)
"""Status resources older than this are purged with a later write (TAXII 2.1 asks for 24 hours)."""

_HEAD = """
SELECT number, id, agreement, agreement_version, hub, generation, size, last, last_added, objects,
  stored_bytes FROM collection WHERE {}"""
_SAVE_HEAD = """
UPDATE collection SET agreement_version = ?, generation = ?, size = ?, last = ?, last_added = ?, objects = ?,
  stored_bytes = ? WHERE number = ?"""
_LIVE = """
SELECT o.id, o.key, o.class, o.version, o.version_text, o.digest, o.owner, t.name, length(o.body)
FROM carray(?) AS c CROSS JOIN object AS o INDEXED BY object_id ON o.idhash = c.value
CROSS JOIN type AS t ON t.number = o.type"""
_STATEMENT = """
INSERT INTO statement (key, at, by, agreement, body, req, hash, signatures) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_DROP = "INSERT INTO dropped (collection, generation, key) VALUES (?, ?, ?)"
_STATUS = "INSERT INTO status (id, agreement, credential, at, body) VALUES (?, ?, ?, ?, ?)"
_EVENT = "INSERT OR IGNORE INTO pending_event (req, body) VALUES (?, ?)"
_WITHDRAWN = """
SELECT w.id, w.collection, w.version, w.version_text, w.digest, w.owner, w.spec_version, w.reason
FROM carray(?) AS c CROSS JOIN withdrawn AS w INDEXED BY withdrawn_id ON w.idhash = c.value"""


@dataclass(slots=True)
class Head:
    """One row of `collection`; `planned` is at least the newest stamp that decided jobs will take."""

    number: int
    id: str
    agreement: str
    agreement_version: int
    hub: str
    generation: int
    size: int
    last: Micros
    last_added: Micros
    objects: int
    stored_bytes: int
    planned: int = 0


@dataclass(slots=True, eq=False)
class Version:
    """One version of an object, live or withdrawn.

    `key` is 0 until the row is stamped; `marks` 0 until somebody asks for it (`removal.with_marks`).
    """

    held: Held
    key: int
    row_class: int
    version_text: str
    type: str
    size: int
    marks: int = 0


@dataclass(slots=True)
class Writing:
    """The statements that one job appends to one collection; `ats` come with the stamps."""

    head: Head
    by: str
    parts: Sequence[Part]
    first_idx: int
    ats: tuple[Micros, ...] = ()

    def entry_keys(self) -> list[int]:
        """Return the storage keys of all entries, in order."""
        number = self.head.number
        pairs = zip(self.ats, self.parts, strict=True)
        return [pack(number, at) for end, part in pairs for at in stamps.entry_stamps(end, part.size)]


@dataclass(slots=True)
class Transaction:
    """The working set.

    Args:
        db: in an open transaction.
        now: when it began.
        passed: time since the store was opened by the wall clock and by the monotonic one.
        vouching: says which logs may be signed further; None leaves all unsigned.
    """

    db: apsw.Connection
    now: Micros
    passed: tuple[int, int]
    vouching: Vouching | None = None
    epoch: int = 0
    held_sets: HeldSets = field(init=False)
    staging: Staging = field(init=False)
    growth: Growth = field(init=False)
    heads: dict[int, Head] = field(default_factory=dict)
    chains: dict[tuple[int, str], tuple[int, str]] = field(default_factory=dict)
    """Of what is decided: (collection, publish key) -> number and digest of its last signed statement."""
    signed: set[tuple[int, str]] = field(default_factory=set)
    """Of what is decided: (collection, digest) of signed statements."""
    _epoch_read: int = 0
    _versions: dict[tuple[int, str], list[Version]] = field(default_factory=dict)
    _hashes: dict[tuple[int, str], int] = field(default_factory=dict)
    _types: dict[str, int] = field(default_factory=dict)
    _generations: dict[int, int] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _siblings: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.epoch = self._epoch_read = read_epoch(self.db)
        self.held_sets = HeldSets(self.db)
        self.staging = Staging(self.db)
        self.growth = Growth(self.db, self.vouching)

    # --- what is held ---------------------------------------------------------------------------

    def enter(self, grant: Grant) -> Head:
        """Return the collection that a grant speaks of.

        Raises:
            EpochChanged: the grant was given under other rules.
            NotFound: no agreement ever had this collection.
        """
        if grant.epoch != self.epoch:
            raise EpochChanged
        head = self.heads.get(grant.collection.number)
        if head is None:
            rows = select(self.db, _HEAD.format("number = ?"), (grant.collection.number,))
            if not rows:
                raise NotFound("No such collection")
            head = self.adopt(rows[0])
        return head

    def heads_of(self, agreement: str) -> list[Head]:
        """Return all collections that an agreement ever had, by number."""
        rows = select(self.db, _HEAD.format("agreement = ? ORDER BY number"), (agreement,))
        return [self.adopt(row) for row in rows]

    def siblings(self, agreement: str) -> tuple[int, ...]:
        """Return the numbers of all collections that an agreement ever had."""
        found = self._siblings.get(agreement)
        if found is None:
            rows = select(self.db, "SELECT number FROM collection WHERE agreement = ?", (agreement,))
            found = self._siblings[agreement] = tuple(row[0] for row in rows)
        return found

    def adopt(self, row: tuple[Any, ...]) -> Head:
        """Make a row of `collection` part of the working set."""
        head = self.heads[row[0]] = Head(*row)
        self._generations[head.number] = head.generation
        return head

    def load(self, wanted: Iterable[tuple[int, str]]) -> None:
        """Read the versions of many (collection, id) at once, in index order."""
        hashes = {}
        for pair in wanted:
            if pair not in self._versions:
                self._versions[pair] = []
                hashes[pair] = self._hashes[pair] = idhash(*pair)
        if not hashes:
            return
        codes = array("q", sorted(set(hashes.values())))
        self.staging.load(hashes, codes)
        for row in select(self.db, _LIVE, (apsw.carray(codes),)):
            object_id, key, row_class, version, text, digest, owner, type_name, size = row
            if (pair := (key >> KEY_SHIFT, object_id)) in hashes:
                held = Held(spec_of(row_class), Instant(version), digest, owner)
                self._versions[pair].append(Version(held, key, row_class, text, type_name, size))
        for object_id, number, version, text, digest, owner, spec, reason in select(
            self.db, _WITHDRAWN, (apsw.carray(codes),)
        ):
            if (pair := (number, object_id)) in hashes:
                held = Held(spec, Instant(version), digest, owner, WithdrawReason(reason))
                self._versions[pair].append(Version(held, 0, 0, text, "", 0))

    def versions(self, number: int, object_id: str) -> list[Version]:
        """Return what a collection holds of an object; callers never change the list."""
        pair = (number, object_id)
        if pair not in self._versions:
            self.load([pair])
        return self._versions[pair]

    def hold(self, head: Head, object_id: str, versions: list[Version]) -> None:
        """Replace what is held of an object, for the jobs that decide after this one."""
        self._versions[head.number, object_id] = versions

    def hash_of(self, head: Head, object_id: str) -> int:
        """Return the id hash of an object that was looked up before."""
        return self._hashes[head.number, object_id]

    def load_statuses(self, ids: Iterable[str]) -> None:
        """Learn which status ids are taken."""
        wanted = tuple(ids)
        if wanted:
            sql = "SELECT s.id FROM carray(?) AS c CROSS JOIN status AS s ON s.id = c.value"
            self._taken.update(row[0] for row in select(self.db, sql, (apsw.carray(wanted),)))

    def take_status(self, status_id: str) -> None:
        """Take a status id that was loaded before; Conflict if another post has it."""
        if status_id in self._taken:
            raise Conflict("This status id is taken")
        self._taken.add(status_id)

    def type_number(self, name: str) -> int:
        """Return the number of a type, making one if need be."""
        number = self._types.get(name)
        if number is None:
            rows = select(self.db, "SELECT number FROM type WHERE name = ?", (name,))
            if not rows:
                rows = select(self.db, "INSERT INTO type (name) VALUES (?) RETURNING number", (name,))
            number = self._types[name] = rows[0][0]
        return number

    # --- stamps and statements ------------------------------------------------------------------

    def check_room(self, head: Head, parts: Sequence[Part], *, adds: bool = False) -> None:
        """Refuse, before anything is changed, what the log of a collection cannot take now.

        Raises:
            Unavailable: the clock has jumped, stamps would lie too far ahead of it, or with `adds` (it
                publishes) the log is not what this hub signed.
            Damaged: the log does not fit the statements.
        """
        stamps.check_drift(*self.passed)
        if parts:
            stamps.check_backlog(self._planned(head, parts), self.now)
            self.growth.check(head.number, head.id, head.size, adds=adds)

    def reserve(self, head: Head, by: str, parts: Sequence[Part]) -> Writing:
        """Take the next statement indexes of a collection. Stamps come later, for the whole group."""
        writing = Writing(head, by, parts, head.size)
        head.planned = self._planned(head, parts)
        head.size += len(parts)
        return writing

    def _planned(self, head: Head, parts: Sequence[Part]) -> Micros:
        start = max(head.planned, head.last, self.now + LEAD)
        return Micros(start + sum(part.size for part in parts))

    # --- what jobs write: rows are collected, and written together ------------------------------

    def insert(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Write rows together with the others of their kind, in their order."""
        self._rows.setdefault(sql, []).extend(rows)

    def write_rows(self) -> None:
        """Write what was collected: to be called before rows are changed or deleted."""
        for sql, rows in self._rows.items():
            self.db.executemany(sql, rows)
        self._rows.clear()

    def append(self, writing: Writing, req: str) -> None:
        """Write a job's statement rows, leaves of the log; `req` names the access event of the request."""
        head, by, version = writing.head, writing.by, writing.head.agreement_version
        rows = []
        for idx, (at, part) in enumerate(zip(writing.ats, writing.parts, strict=True), writing.first_idx):
            digest = hash_of(at, by, version, part.body, part.signatures)
            self.growth.add(head.number, idx, digest)
            key = pack(head.number, idx)
            rows.append((key, at, by, version, part.body, req, digest, part.signatures))
        self.insert(_STATEMENT, rows)

    def change_classes(self, changes: Sequence[tuple[Version, int]]) -> None:
        """Write the new classes of rows whose visibility changed."""
        self.write_rows()
        self.db.executemany(
            "UPDATE object SET class = ? WHERE key = ?", [(now, version.key) for version, now in changes]
        )

    def drop(self, head: Head, generation: int, keys: Sequence[int]) -> None:
        """Record rows whose visibility changed; `generation` is the collection's before them."""
        self.insert(
            _DROP, [(head.number, number, key) for number, key in enumerate(sorted(keys), generation + 1)]
        )

    def keep_status(self, subject: Principal, status_id: str, body: bytes) -> None:
        """Write a status resource whose id was taken by `take_status`."""
        self.insert(_STATUS, [(status_id, subject.agreement, subject.credential, self.now, body)])

    def keep_event(self, event: AccessEvent) -> None:
        """Write an event that the access log does not have yet."""
        self.insert(_EVENT, [(event.req, encode_event(event))])

    def flush(self) -> None:
        """Write what is written once a transaction: heads, epoch; forget what is too old."""
        db = self.db
        statuses = len(self._rows.get(_STATUS, ()))
        self.write_rows()
        self.held_sets.flush()
        self.growth.flush((one.number, one.id) for one in self.heads.values())
        for one in self.heads.values():
            db.execute(
                _SAVE_HEAD,
                (
                    one.agreement_version,
                    one.generation,
                    one.size,
                    one.last,
                    one.last_added,
                    one.objects,
                    one.stored_bytes,
                    one.number,
                ),
            )
            if one.generation != self._generations[one.number]:
                db.execute(
                    "DELETE FROM dropped WHERE collection = ? AND generation <= ?",
                    (one.number, one.generation - KEPT_DROPS),
                )
        if self.epoch != self._epoch_read:
            db.execute("UPDATE hub SET epoch = ?", (self.epoch,))
        if statuses:
            db.execute(
                "DELETE FROM status WHERE at < ? AND number IN "
                "(SELECT number FROM status ORDER BY number LIMIT ?)",
                (self.now - STATUS_KEPT, 8 + 2 * statuses),
            )


def member_of(subject: Principal | System) -> str:
    """Return the acting member, empty for the hub itself."""
    return subject.member if isinstance(subject, Principal) else ""
