"""The embedded store: one SQLite file for objects, statements, agreements, credentials and statuses.

Reads run in the caller's thread, writes in one committing thread a process; several processes may share the
directory. Everything acknowledged is durable against kill -9 and power loss.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import apsw

from lightship.core.access import Credential, CredentialKind, Grant, Principal
from lightship.core.audit import AccessEvent
from lightship.core.log.merkle import Frontier
from lightship.core.log.roster import Revoked
from lightship.core.marks import Definition
from lightship.core.ports import (
    Clock,
    CollectionState,
    CommitFigures,
    Expired,
    ExpireRequest,
    HeldSet,
    Holding,
    KeyTrace,
    Logged,
    Page,
    Published,
    PublishRequest,
    Released,
    ReleaseRequest,
    SignedAgreement,
    SignedRequest,
    SignedSuspension,
    Staged,
    StoredRoster,
    Withdrawn,
    WithdrawRequest,
)
from lightship.core.query import Filters, Query
from lightship.core.time import Micros
from lightship.storage.migrate import Kind, migrate
from lightship.storage.sqlite import collection_log
from lightship.storage.sqlite.access_tree import Sealer
from lightship.storage.sqlite.collection_vouch import hashes
from lightship.storage.sqlite.committer import GroupCommit
from lightship.storage.sqlite.connection import open_database, select, widen_cache
from lightship.storage.sqlite.distrust import trace
from lightship.storage.sqlite.expire import Expire
from lightship.storage.sqlite.groups import Groups, Step
from lightship.storage.sqlite.held import HeldReader
from lightship.storage.sqlite.publish import Publish
from lightship.storage.sqlite.reader import SqliteReader
from lightship.storage.sqlite.reference import FILE as CLOCK_FILE
from lightship.storage.sqlite.reference import ClockReference
from lightship.storage.sqlite.registry import Activate, PutCredential, read_chain, read_credentials
from lightship.storage.sqlite.release import Release
from lightship.storage.sqlite.rosters import ApplyRoster, read_rosters
from lightship.storage.sqlite.rows import decode_event
from lightship.storage.sqlite.signed import PublishSigned, read_logged
from lightship.storage.sqlite.stillness import Stillness
from lightship.storage.sqlite.suspensions import Suspend, read_suspensions
from lightship.storage.sqlite.vouch import Vouch, read_tree
from lightship.storage.sqlite.withdraw import Withdraw
from lightship.storage.statements import Statement

FILE = "hub.db"
LOCK = "write.lock"


def open_store(data_dir: Path, clock: Clock, *, sealer: Sealer | None = None) -> SqliteStore:
    """Open the store in a directory, making or migrating its file if need be.

    Args:
        data_dir: where its files are.
        clock: the hub's.
        sealer: signs the checkpoints of collections; without it they stay unsigned until a steward vouches.

    Raises:
        BadFile, NewerStore, Damaged: see `migrate`.
        Unavailable: the file cannot be opened.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate(data_dir / FILE, Kind.HUB, clock.now())
    return SqliteStore(data_dir, clock, sealer)


class SqliteStore:
    """`ports.Reader`, `Writer`, `Statuses`, `Registry`, `Logs`, `Vouches` and `Signing` over one file."""

    def __init__(self, data_dir: Path, clock: Clock, sealer: Sealer | None = None) -> None:
        path = data_dir / FILE

        def connect() -> apsw.Connection:
            db = open_database(path)
            widen_cache(db)
            return db

        self._reference = ClockReference(data_dir / CLOCK_FILE, clock)
        self._groups = Groups(clock, sealer, self._reference.since)
        self._sealer = sealer
        stillness = Stillness(data_dir / LOCK)
        self._reader = SqliteReader(path, stillness)
        self._held = HeldReader(self._reader.ask)
        self._commits: GroupCommit[Step] = GroupCommit(
            connect,
            data_dir / LOCK,
            "lightship-store",
            run=self._groups.run,
            after_commit=self._groups.committed,
            stillness=stillness,
        )

    def figures(self) -> CommitFigures:
        """Return what this process has written."""
        return self._commits.figures()

    def close(self) -> None:
        """Finish what is queued and close the file. May be called twice."""
        self._reader.close()  # first: the last connection to leave empties the write-ahead log
        self._commits.close(self._groups.closing())
        self._reference.close()

    # --- Reader and Statuses --------------------------------------------------------------------

    def state(self, grant: Grant) -> CollectionState:
        """Return what every request reads."""
        return self._reader.state(grant)

    def page(self, grant: Grant, query: Query, *, bodies: bool, max_bytes: int) -> Page:
        """Return matching rows in key order."""
        return self._reader.page(grant, query, bodies=bodies, max_bytes=max_bytes)

    def first_after(self, grant: Grant, filters: Filters, after: Micros) -> int | None:
        """Return the first matching key after `after`."""
        return self._reader.first_after(grant, filters, after)

    def dropped_since(self, grant: Grant, generation: int) -> Sequence[int] | None:
        """Return the keys whose visibility changed after `generation`; None if that is too long ago."""
        return self._reader.dropped_since(grant, generation)

    def exists(self, grant: Grant, object_id: str) -> bool:
        """True if any live version of the object is in the collection."""
        return self._reader.exists(grant, object_id)

    def added(self, grant: Grant, object_id: str) -> Sequence[tuple[Micros, Micros | None]]:
        """Return (date_added, when withdrawn or None) of every version of an object."""
        return self._held.added(grant, object_id)

    def definitions(
        self, grant: Grant, collections: Sequence[int], ids: Sequence[str]
    ) -> Sequence[Definition]:
        """Return the marking definitions with these ids that these collections hold, live or staged."""
        return self._held.definitions(collections, ids)

    def held_sets(self, grant: Grant) -> Sequence[HeldSet]:
        """Return what the collection holds, by marking set and owner."""
        return self._held.held_sets(grant)

    def holding(
        self,
        grant: Grant,
        sets: Sequence[HeldSet],
        limit: int,
        *,
        without: Collection[str] = (),
        staged_of: str = "",
    ) -> Holding:
        """Return how many versions of these sets there are, and some; reads the collection if need be."""
        return self._held.holding(grant, sets, limit, without=without, staged_of=staged_of)

    def staged(self, grant: Grant, owner: str) -> Sequence[Staged]:
        """Return what an owner ('' for all) has waiting."""
        return self._held.staged(grant, owner)

    def due(self, grant: Grant, now: Micros, *, failed: bool, after: int, limit: int) -> Sequence[Staged]:
        """Return staged objects whose release is not after `now`, by number."""
        return self._held.due(grant, now, failed=failed, after=after, limit=limit)

    def next_due(self, grants: Sequence[Grant], after: Micros) -> Micros | None:
        """Return the earliest moment after `after` at which something becomes due."""
        return self._held.next_due(grants, after)

    def statements(self, collection: int, start: int = 0) -> list[Statement]:
        """Return the statement rows of a collection from index `start`."""
        return self._reader.statements(collection, start)

    # --- Logs -----------------------------------------------------------------------------------

    def checkpoint(self, grant: Grant) -> bytes:
        """Return the newest checkpoint as a signed note."""
        one = grant.collection
        return self._reader.ask(lambda db: collection_log.checkpoint(db, one.number, self._sealer))

    def entries(self, grant: Grant, first: int, count: int) -> Sequence[bytes]:
        """Return leaves from index `first` on, fewer if there are not so many."""
        return self._reader.ask(lambda db: collection_log.entries(db, grant.collection.number, first, count))

    def hashes(self, grant: Grant, level: int, first: int, count: int) -> Sequence[bytes]:
        """Return hashes of whole subtrees of a level, a multiple of 8; fewer if there are not so many."""
        number = grant.collection.number
        return self._reader.ask(lambda db: hashes(db, number, level, first, count))

    def tree(self, grant: Grant) -> Frontier:
        """Return the tree of a collection's log as it is stored, signed or not.

        Raises:
            Damaged: its head cannot be read.
        """
        return self._reader.ask(lambda db: read_tree(db, grant.collection.number))

    def vouch(self, grant: Grant, size: int, root: bytes, event: AccessEvent) -> None:
        """Sign the head of a log as it stands: what was found sound is what the hub says; waits."""
        self._commits.put(Vouch(grant, size, root, event), alone=True).result()

    def status(self, principal: Principal, status_id: str) -> bytes | None:
        """Return the status of this credential's own post."""
        return self._reader.status(principal, status_id)

    # --- Writer ---------------------------------------------------------------------------------

    def publish(self, request: PublishRequest) -> Future[Published]:
        """Judge and add objects; the future completes once that is durable."""
        step = Publish(request)
        return self._commits.put(step, weight=step.weight)

    def withdraw(self, request: WithdrawRequest) -> Future[Withdrawn]:
        """Take versions of one object out; the future completes once that is durable."""
        return self._commits.put(Withdraw(request))

    def release(self, request: ReleaseRequest) -> Future[Released]:
        """Let staged objects enter; the future completes once that is durable."""
        return self._commits.put(Release(request), alone=True)

    def expire(self, request: ExpireRequest) -> Future[Expired]:
        """Take out what is due; the future completes once that is durable."""
        return self._commits.put(Expire(request), alone=True)

    def settle(self, reqs: Iterable[str]) -> None:
        """Note that events have reached the access log; the next write forgets them."""
        self._groups.settle(reqs)

    def pending(self) -> Sequence[AccessEvent]:
        """Return the events that nobody settled."""
        sql = "SELECT body FROM pending_event"
        found = self._reader.ask(lambda db: [decode_event(row[0]) for row in select(db, sql)])
        return sorted(found, key=lambda event: (event.at, event.req))

    # --- Signing --------------------------------------------------------------------------------

    def publish_signed(self, request: SignedRequest) -> Future[Logged]:
        """Take a signed statement whole; the future completes once that is durable."""
        step = PublishSigned(request)
        return self._commits.put(step, weight=step.weight)

    def logged(self, grant: Grant, digest: str) -> Logged | None:
        """Return what was answered to the statement with this payload, None if there is none."""
        return self._reader.ask(lambda db: read_logged(db, grant.collection.number, digest))

    def rosters(self, agreement: str) -> Sequence[StoredRoster]:
        """Return all rosters of an agreement's members, in the order in which they were applied."""
        return self._reader.ask(lambda db: read_rosters(db, agreement))

    def apply_roster(
        self, roster: StoredRoster, event: AccessEvent, distrust: Mapping[str, Revoked]
    ) -> Mapping[str, int]:
        """Put a member's next roster in force, and take out what it distrusts; waits."""
        expected = sum(
            live
            for key, why in distrust.items()
            for one in self.trace(roster.agreement, key)
            for index, _, live in one.statements
            if (since := why.first_in(one.origin)) is not None and index >= since
        )
        step = ApplyRoster(roster, event, distrust, expected)
        left: Mapping[str, int] = self._commits.put(step, alone=True, weight=step.weight).result()
        return left

    def trace(self, agreement: str, key: str) -> Sequence[KeyTrace]:
        """Return what a publish key has logged, for each collection that the agreement ever had."""
        return self._reader.ask(lambda db: trace(db, agreement, key))

    # --- Registry -------------------------------------------------------------------------------

    def epoch(self) -> int:
        """Return the policy epoch."""
        return self._reader.epoch()

    def chain(self, agreement: str) -> Sequence[SignedAgreement]:
        """Return all versions of an agreement, oldest first."""
        return self._reader.ask(lambda db: read_chain(db, agreement))

    def agreement_ids(self) -> Sequence[str]:
        """Return the ids of all agreements, sorted."""
        rows = self._reader.ask(lambda db: select(db, "SELECT DISTINCT id FROM agreement ORDER BY id"))
        return [row[0] for row in rows]

    def collection_numbers(self) -> Mapping[str, int]:
        """Return collection id -> number."""
        rows = self._reader.ask(lambda db: select(db, "SELECT id, number FROM collection ORDER BY number"))
        return {row[0]: row[1] for row in rows}

    def activate(
        self,
        signed: SignedAgreement,
        collections: Sequence[str],
        event: AccessEvent,
        *,
        admits: Callable[[str, HeldSet], bool],
        withdraw: Mapping[str, Sequence[str]],
    ) -> None:
        """Append a version to its chain and log it in each collection of the agreement; waits."""
        step = Activate(signed, tuple(collections), event, admits, withdraw)
        self._commits.put(step, alone=True).result()

    def suspensions(self, agreement: str) -> Sequence[SignedSuspension]:
        """Return all suspensions of an agreement and what ended them early, by number."""
        return self._reader.ask(lambda db: read_suspensions(db, agreement))

    def suspend(self, signed: SignedSuspension, event: AccessEvent) -> None:
        """Append to an agreement's suspensions and log it in each of its collections; waits."""
        self._commits.put(Suspend(signed, event), alone=True).result()

    def credential_by_digest(self, digest: bytes, kind: CredentialKind = "secret") -> Credential | None:
        """Return the credential of this kind with this digest."""
        found = self._reader.ask(lambda db: read_credentials(db, "digest = ? AND kind = ?", (digest, kind)))
        return found[0] if found else None

    def credentials(self, agreement: str | None = None) -> Sequence[Credential]:
        """Return credentials in order of their names."""
        where, values = ("1", ()) if agreement is None else ("agreement = ?", (agreement,))
        return self._reader.ask(lambda db: read_credentials(db, where, values))

    def put_credential(self, credential: Credential, event: AccessEvent) -> None:
        """Insert, or replace by id; waits until it is durable."""
        self._commits.put(PutCredential(credential, event), alone=True).result()
