"""Writes of object versions: what is durable when, what order is visible, what is never done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from lightship.core.audit import AccessEvent
from lightship.core.ports.requests import (
    Expired,
    ExpireRequest,
    Published,
    PublishRequest,
    Released,
    ReleaseRequest,
    Withdrawn,
    WithdrawRequest,
)

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
    - A candidate whose set has a `release_at` after `now` MUST be staged instead (verdict STAGED): kept
      durable outside the collection, seen by no reader, without a stamp or a statement. The same bytes posted
      again by the same member are STAGED again and change nothing, other bytes under that version a CONFLICT;
      once `release_at` has passed they are ADDed and the staged row is forgotten. Staged rows of other owners
      MUST NOT change any verdict.
    - A candidate whose set cites a definition MUST be added or staged only if, inside the transaction, a live
      definition with that id and digest is in the agreement or enters with the same request, or a staged one
      whose id never was live with another digest; else the verdict is UNKNOWN_MARKING. A marking definition
      whose id is live or withdrawn with another digest anywhere in the agreement, staged so by the same
      member, or cited so by anything live, is a CONFLICT.
    - Quotas MUST count what is live and what the same owner has staged.
    - `withdraw`, `expire` and `Registry.activate` MUST NOT take out the last copy of a definition that
      something held in the agreement cites: InUse, or left alone (expire).
    - `withdraw` MUST also take out the staged versions of the acting member that match (`first` and `last`
      pick none while a version is live); NotFound only if nothing, live or staged, matched; NotOwner only if
      no staged version of the acting member matched (live ones of another member are then left).
    - `release` MUST judge each object again with its owner as the member; one that cannot enter stays staged
      with its problem, a duplicate is forgotten. Numbers that are not staged any more (released by another
      process, cancelled), are another owner's or collection's, or are not due at `now` MUST be passed over,
      and no event made if none is left.
    - The number of live and staged versions by (collection, marking set, owner) MUST be kept in the same
      transaction as they change.
    """

    def publish(self, request: PublishRequest) -> Future[Published]: ...

    def withdraw(self, request: WithdrawRequest) -> Future[Withdrawn]: ...

    def release(self, request: ReleaseRequest) -> Future[Released]: ...

    def expire(self, request: ExpireRequest) -> Future[Expired]: ...

    def settle(self, reqs: Iterable[str]) -> None:
        """Note that these events have reached the access log; the next write forgets them. Never blocks."""
        ...

    def pending(self) -> Sequence[AccessEvent]:
        """Return events whose effect is committed but that nobody settled (after a crash)."""
        ...
