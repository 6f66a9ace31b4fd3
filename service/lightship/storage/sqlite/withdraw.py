"""A withdrawal as a job of a group: versions of one object, live ones and the acting member's staged ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lightship.core.access import Principal
from lightship.core.collection import stamp_of
from lightship.core.errors import NotFound
from lightship.core.ports import InUse, NotOwner, Row, Withdrawn, WithdrawRequest
from lightship.core.query import Filters
from lightship.core.time import Instant, format_stamp, parse_instant
from lightship.storage.sqlite.classes import classify, spec_bit, spec_passes, wanted
from lightship.storage.sqlite.removal import Removal, lost_definitions
from lightship.storage.sqlite.staging import Waiting
from lightship.storage.sqlite.transaction import Head, Transaction, Version, Writing, member_of

MAX_KEY = (1 << 63) - 1


class Withdraw:
    """The job of one WithdrawRequest."""

    weight = 1

    def __init__(self, request: WithdrawRequest) -> None:
        self.request = request

    def needs(self) -> list[tuple[int, str]]:
        """Return the (collection, id) that it will ask about."""
        return [(self.request.grant.collection.number, self.request.object_id)]

    def status_ids(self) -> tuple[str, ...]:
        """None."""
        return ()

    def decide(self, txn: Transaction) -> WithdrawPlan:
        """Pick the versions and take part in the working set, or raise and leave no trace."""
        request = self.request
        head = txn.enter(request.grant)
        subject, object_id = request.grant.subject, request.object_id
        held = () if request.staged_only else txn.versions(head.number, object_id)
        live = [one for one in held if one.held.withdrawn is None]
        live.sort(key=lambda one: one.key or MAX_KEY)  # the unstamped ones are new, and in their order
        picked = [one for one in live if _picked(one, object_id, request.filters)]
        cancelled = self._cancelled(txn, head, any_live=bool(live)) if isinstance(subject, Principal) else []
        if not picked and not cancelled:
            raise NotFound("No such object in this collection")
        if isinstance(subject, Principal) and any(one.held.owner != subject.member for one in picked):
            if not cancelled:
                raise NotOwner("This object belongs to another member")
            picked = []
        removal = Removal(head, [(object_id, one) for one in picked], cancelled, request.reason)
        if lost_definitions(txn, head.agreement, [removal]):
            raise InUse("Objects of this agreement are marked with this definition")
        parts = removal.parts()
        txn.check_room(head, parts)
        # From here on nothing fails.
        removal.take(txn)
        return WithdrawPlan(request, removal, txn.reserve(head, member_of(subject), parts))

    def _cancelled(self, txn: Transaction, head: Head, *, any_live: bool) -> list[Waiting]:
        """Return the acting member's staged versions that match, picked among themselves.

        `first` and `last` speak of what is live, as long as anything is.
        """
        object_id, filters = self.request.object_id, self.request.filters
        if any_live:
            filters = replace(filters, versions=filters.versions.without_ends())
        owner = member_of(self.request.grant.subject)
        mine = [one for one in txn.staging.of(head.number, object_id) if one.owner == owner]
        shown = classify((one, spec_bit(one.held.spec_version), one.held.version) for one in mine)
        return [
            one
            for one, row_class in shown.items()
            if _picked(
                Version(one.held, 0, row_class, one.version_text, one.type, one.size),
                object_id,
                filters,
            )
        ]


@dataclass(slots=True)
class WithdrawPlan:
    """A decided withdrawal."""

    request: WithdrawRequest
    removal: Removal
    writing: Writing

    @property
    def writings(self) -> tuple[Writing]:
        """The statements of one collection."""
        return (self.writing,)

    def apply(self, txn: Transaction) -> Withdrawn:
        """Write everything, its stamps being chosen."""
        rows = self.removal.rows()
        cancelled: tuple[Row, ...] = tuple(one.row() for one in self.removal.staged)
        self.removal.write(txn)
        event = self.request.render_event((*rows, *cancelled))
        txn.append(self.writing, event.req)
        txn.keep_event(event)
        return Withdrawn(rows, event, cancelled)


def _picked(version: Version, object_id: str, filters: Filters) -> bool:
    if (filters.ids and object_id not in filters.ids) or (
        filters.types and version.type not in filters.types
    ):
        return False
    if version.row_class in wanted(filters):
        return True
    shown = version.held.version or Instant(parse_instant(format_stamp(stamp_of(version.key))))
    return spec_passes(version.row_class, filters) and shown in filters.versions.instants
