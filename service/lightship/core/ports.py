"""Ports: what the use cases need from the outside, as Protocols with contracts in MUST words.

A driver that breaks one of these sentences is wrong, whatever its tests say. `tests/contract/` holds one
suite that every driver passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from lightship.core.access import Action, Credential, Decision, Grant, Principal, System
from lightship.core.agreement import Agreement
from lightship.core.audit import AccessEvent, AuditQuery
from lightship.core.collection import Candidate, Collection, Verdict, WithdrawReason
from lightship.core.explanation import Explanation
from lightship.core.query import Filters, Query
from lightship.core.time import Micros


class Clock(Protocol):
    """Time from outside. `now` is the wall clock, `monotonic` never goes back; both in microseconds."""

    def now(self) -> Micros: ...
    def monotonic(self) -> Micros: ...


# --- reading ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One stored object version. `key` packs collection and `date_added` (collection.pack).

    `version_text` is empty for objects without a version: callers show `date_added` then.
    `body` is empty when it was not asked for.
    """

    key: int
    id: str
    type: str
    spec_version: str
    version_text: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in ascending key order; `more` is True exactly when a further row matches after the last one."""

    rows: tuple[Row, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class CollectionState:
    """The one row that every request reads.

    Args:
        epoch: policy epoch of the hub; changes with agreements, credentials, suspensions.
        generation: rises by one with each row of the collection whose visibility changed.
        size: statements so far (the later log's size).
        last: stamp of the newest row ever added, 0 if none (statements without objects take stamps too).
        objects: live object versions.  stored_bytes: sum of their bodies.
    """

    epoch: int
    generation: int
    size: int
    last: Micros
    objects: int
    stored_bytes: int


class Reader(Protocol):
    """Reads of object versions.

    - A read MUST see every write whose future had completed in any process before the read began.
    - One call MUST see one committed state, never half of a transaction.
    - `page` MUST return rows in ascending key order, each once, only of `grant.collection`, and MUST NOT
      return a row whose version is superseded under `filters`, withdrawn, or erased.
    - `page` MUST stop before `max_bytes` of bodies would be passed, but MUST return one row at least if
      one matches; its cost MUST NOT grow with the size of the collection (no COUNT, no OFFSET).
    - Callers MAY call from several threads at once.
    """

    def state(self, grant: Grant) -> CollectionState: ...

    def page(self, grant: Grant, query: Query, *, bodies: bool, max_bytes: int) -> Page: ...

    def first_after(self, grant: Grant, filters: Filters, after: Micros) -> int | None:
        """Return the key of the first matching row after `after`, so that equal pages share a cache key."""
        ...

    def dropped_since(self, grant: Grant, generation: int) -> Sequence[int] | None:
        """Return the keys whose visibility changed after `generation`, oldest first.

        Superseded and withdrawn rows are among them, and rows that a withdrawal made the latest again.

        None when the list no longer reaches back that far: the caller MUST then forget everything cached.
        """
        ...

    def exists(self, grant: Grant, object_id: str) -> bool:
        """True if any live version of the object is in the collection."""
        ...


# --- writing ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """What became of one candidate. `stamp` is its `date_added` (a duplicate's: the held one's), else 0."""

    candidate: Candidate
    verdict: Verdict
    stamp: int


@dataclass(frozen=True, slots=True)
class PublishOutcome:
    """What one publish did, in the order of its candidates; `added_first/last` are 0 if nothing was added."""

    items: tuple[ItemOutcome, ...]
    added_first: Micros
    added_last: Micros


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """One POST, decided and checked.

    Args:
        grant: the positive decision; its `epoch` is compared again inside the transaction.
        candidates: what passed the checks, in the order posted.
        status_id: UUIDv4 of the status resource to keep.
        render_status: makes the status resource's JSON from the outcome; runs inside the transaction.
        render_event: makes the access event from the outcome; runs inside the transaction.
        now: when the request came, microseconds.
    """

    grant: Grant
    candidates: tuple[Candidate, ...]
    status_id: str
    render_status: Callable[[PublishOutcome], bytes]
    render_event: Callable[[PublishOutcome], AccessEvent]
    now: Micros


@dataclass(frozen=True, slots=True)
class Published:
    """A committed publish."""

    outcome: PublishOutcome
    status: bytes
    event: AccessEvent


@dataclass(frozen=True, slots=True)
class WithdrawRequest:
    """A DELETE: the versions of one object that `filters` pick (all of them when it picks every version)."""

    grant: Grant
    object_id: str
    filters: Filters
    reason: WithdrawReason
    render_event: Callable[[Sequence[Row]], AccessEvent]
    now: Micros


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A committed withdrawal. `rows` are those taken out (without bodies)."""

    rows: tuple[Row, ...]
    event: AccessEvent


class EpochChanged(Exception):
    """The policy epoch inside the transaction differs from the grant's: decide again and retry."""


class NotOwner(Exception):
    """A withdrawal of another member's object."""


class Writer(Protocol):
    """Writes of object versions.

    - A future MUST NOT complete before everything it reports is durable against kill -9 and power loss
      (`synchronous=FULL` or better), and what it reports MUST be one transaction: objects, statement rows,
      counters, status and the pending access event, all or nothing.
    - Writers MAY be combined into one transaction (group commit); one request's failure MUST NOT undo
      another's. There MUST be no timer: what queued up during a commit is the next group.
    - Stamps MUST be unique and strictly rising per collection, in commit order across all processes, chosen
      inside the transaction (collection.LEAD, LEAST_LEAD); the last stamp of each statement is its `at`,
      object i of n has `at - (n-1-i)`; the last statement of a transaction ends on a whole millisecond unless
      that were more than a second ahead of the clock.
    - For every hub-attested write one statement row per at most 256 entries and 45,000 payload bytes MUST be
      kept: collection, index (from 0, without gaps), at, by (member), agreement version, canonical JSON.
    - A stamp more than 30 s ahead of the clock, or a wall clock off by over 60 s from the monotonic one,
      MUST raise `Unavailable` and write nothing.
    - A full or read-only disk MUST raise `Unavailable`; the writer MUST work again once the cause is gone.
    - Quotas (`max_objects`, `max_bytes`) MUST be compared inside the transaction, raising `Refused`
      with rule `deny-publish-quota` and writing nothing.
    - `publish` MUST judge by `collection.judge` against all that is held, items of the same request included.
    - `withdraw` MUST raise NotFound if no live version matches, NotOwner if the object is owned by another
      member; it MUST erase the bodies, keep (id, version, digest, owner, reason) for ever, restore `last`
      and `first` of what remains, and append a statement with `withdraw` entries, which take stamps too.
    """

    def publish(self, request: PublishRequest) -> Future[Published]: ...

    def withdraw(self, request: WithdrawRequest) -> Future[Withdrawn]: ...

    def settle(self, reqs: Iterable[str]) -> None:
        """Note that these events have reached the access log; the next write forgets them. Never blocks."""
        ...

    def pending(self) -> Sequence[AccessEvent]:
        """Return events whose effect is committed but that nobody settled (after a crash)."""
        ...


GROUP_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
"""Upper bounds of the histogram of writes a commit."""
COMMIT_MICROS = (1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000)
"""Upper bounds of the histogram of a commit's microseconds."""


@dataclass(frozen=True, slots=True)
class CommitFigures:
    """What the writer of one file did since the process began, and what waits for it now.

    Args:
        sizes: commits by their number of writes: `sizes[i]` had at most `GROUP_SIZES[i]`, the last one more.
        times: commits by how long they took, in the same way by `COMMIT_MICROS`.
        writes: of all commits.
        micros: that all commits took.
        failed: groups that could not be committed.
        waiting: writes handed in and not yet committed.
        oldest: microseconds that the oldest of them has waited, 0 if none does.
    """

    sizes: tuple[int, ...]
    times: tuple[int, ...]
    writes: int
    micros: int
    failed: int
    waiting: int
    oldest: int


class Statuses(Protocol):
    """Status resources, kept 24 h at least; a status belongs to the credential that posted it."""

    def status(self, principal: Principal, status_id: str) -> bytes | None:
        """Return the status JSON, None if there is none *for this principal*."""
        ...


# --- agreements, credentials, access log --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignedAgreement:
    """One link of an agreement's chain: the DSSE envelope and its payload as stored."""

    agreement: str
    version: int
    payload: bytes
    envelope: bytes
    digest: str
    activated: Micros


class Registry(Protocol):
    """Agreements in force, collection numbers and credentials.

    - Every change MUST raise the epoch in its own transaction, together with its pending access event, and
      MUST be visible to every process on its next `epoch()`.
    - Collection numbers MUST never be used again, also not after the collection is gone.
    """

    def epoch(self) -> int: ...

    def chain(self, agreement: str) -> Sequence[SignedAgreement]:
        """Return all versions of one agreement, oldest first; empty if unknown."""
        ...

    def agreement_ids(self) -> Sequence[str]: ...

    def collection_numbers(self) -> Mapping[str, int]:
        """Return collection id -> number."""
        ...

    def activate(self, signed: SignedAgreement, collections: Sequence[str], event: AccessEvent) -> None:
        """Append a version to its chain, number new collections, log the change in each collection.

        MUST raise Conflict unless `signed.version` is exactly one more than the newest stored (1 for the
        first). MUST append to each collection of the agreement, in the same transaction, a statement row with
        `by` empty and the body `{"agreement":N,"sha256":"…"}`, which takes a stamp.
        """
        ...

    def credential_by_digest(self, digest: bytes) -> Credential | None: ...

    def credentials(self, agreement: str | None = None) -> Sequence[Credential]: ...

    def put_credential(self, credential: Credential, event: AccessEvent) -> None:
        """Insert, or replace by `id`.

        MUST raise Conflict for a name or digest that another one holds, and for one that would take back a
        revocation: two commands at once must not bring a revoked secret to life.
        """
        ...


class Access(Protocol):
    """The access log.

    - `record` MUST complete only when the event is durable; many MUST share one commit.
    - The same `req` recorded twice MUST leave one event if it has an effect (`AccessEvent.has_effect`):
      it can come again from `Writer.pending` after a crash. One without is recorded once, by its own
      request; if it were recorded again there MAY be two.
    - If it cannot be written the future MUST fail with `Unavailable`; the hub then answers 503.
    """

    def record(self, event: AccessEvent) -> Future[None]: ...

    def search(self, query: AuditQuery) -> Iterator[AccessEvent]:
        """Yield matching events, oldest first."""
        ...


class Decisions(Protocol):
    """The rules: who may do what. Pure and fast; MUST answer for every combination, default is deny.

    A positive answer names the permitting rule, a negative one the deciding forbid, or `deny-default`.
    """

    def decide(
        self,
        subject: Principal | System,
        action: Action,
        collection: Collection,
        agreement: Agreement,
        now: Micros,
    ) -> Decision: ...

    def decide_object(
        self, subject: Principal, collection: Collection, agreement: Agreement, candidate: Candidate
    ) -> Decision:
        """May this member put this object into this collection (level, ceiling, author)?"""
        ...

    def explain(
        self,
        subject: Principal | System,
        action: Action,
        collection: Collection,
        agreement: Agreement,
        now: Micros,
        candidate: Candidate | None = None,
    ) -> Explanation:
        """Say why; the decision in it MUST be that of `decide`, then of `decide_object`. May be slow."""
        ...


@dataclass(frozen=True, slots=True)
class FsckFinding:
    """One thing that does not hold together."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class FsckReport:
    """What `lightship fsck` looked at and what it found."""

    objects: int
    statements: int
    events: int
    findings: tuple[FsckFinding, ...] = field(default=())
