"""What a write is asked and what it answers: publish, withdraw, release, expire."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lightship.core.access import Grant
from lightship.core.audit import AccessEvent
from lightship.core.collection import Candidate, Verdict, WithdrawReason
from lightship.core.marks import MarkingSet
from lightship.core.ports.reading import Row, Staged
from lightship.core.query import Filters
from lightship.core.time import Micros


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
        marks: the marking set of each candidate, in the same order.
        status_id: UUIDv4 of the status resource to keep.
        render_status: makes the status resource's JSON from the outcome; runs inside the transaction.
        render_event: makes the access event from the outcome; runs inside the transaction.
        now: when the request came, microseconds.
    """

    grant: Grant
    candidates: tuple[Candidate, ...]
    marks: tuple[MarkingSet, ...]
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
    """A DELETE: the versions of one object that `filters` pick (all of them when it picks every version).

    Staged versions of the acting member are picked among themselves, as if they were a collection of their
    own; but while a version of the object is live, `first` and `last` pick none of them. `render_event` gets
    what was taken out, then what was cancelled (key 0). With `staged_only` nothing in the collection is
    looked at: live versions stay, whoever owns them.
    """

    grant: Grant
    object_id: str
    filters: Filters
    reason: WithdrawReason
    render_event: Callable[[Sequence[Row]], AccessEvent]
    now: Micros
    staged_only: bool = False


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A committed withdrawal. `rows` are those taken out, `cancelled` staged ones (key 0); no bodies."""

    rows: tuple[Row, ...]
    event: AccessEvent
    cancelled: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """Staged objects of one owner in one collection, decided again at their release.

    Args:
        grant: given to `System`; its `epoch` is compared again inside the transaction.
        owner: the member whose they are.
        numbers: those that may enter now (`Staged.number`).
        refused: number -> why it may not; it stays staged with this as its `problem`.
        render_event: makes the access event from what was added and what failed; runs inside the transaction.
        now: microseconds.
    """

    grant: Grant
    owner: str
    numbers: tuple[int, ...]
    refused: Mapping[int, str]
    render_event: Callable[[PublishOutcome, Sequence[Staged]], AccessEvent]
    now: Micros


@dataclass(frozen=True, slots=True)
class Released:
    """A committed release; `failed` stay staged, each with its `problem`.

    `event` is None if nothing was staged any more under the numbers asked for.
    """

    outcome: PublishOutcome
    failed: tuple[Staged, ...]
    event: AccessEvent | None


@dataclass(frozen=True, slots=True)
class ExpireRequest:
    """Withdraw what may be held no longer, with the reason `expired`.

    Args:
        grant: given to `System`.
        added_before: retention: versions with a `date_added` before this go; None for no retention.
        now: versions whose `share_until` is not after this go too.
        limit: at most so many versions in this transaction.
        render_event: makes the access event from the rows; runs inside the transaction, unless there are
            none.
    """

    grant: Grant
    added_before: Micros | None
    now: Micros
    limit: int
    render_event: Callable[[Sequence[Row]], AccessEvent]


@dataclass(frozen=True, slots=True)
class Expired:
    """A committed expiry. `event` is None if there was nothing; `more` says that there is more to do."""

    rows: tuple[Row, ...]
    more: bool
    event: AccessEvent | None


class EpochChanged(Exception):
    """The policy epoch inside the transaction differs from the grant's: decide again and retry."""


class NotOwner(Exception):
    """A withdrawal of another member's object."""


class InUse(Exception):
    """A withdrawal of a marking definition that something held in the agreement cites."""
