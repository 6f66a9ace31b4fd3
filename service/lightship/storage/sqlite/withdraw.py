"""A withdrawal as a job of a group. Bodies are erased; what was withdrawn, and why, is kept for ever."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lightship.core.access import Principal
from lightship.core.collection import stamp_of
from lightship.core.errors import NotFound
from lightship.core.ports import NotOwner, Row, Withdrawn, WithdrawRequest
from lightship.core.query import Filters
from lightship.core.time import Instant, format_stamp, parse_instant
from lightship.storage import statements
from lightship.storage.sqlite.classes import classify, spec_passes, wanted
from lightship.storage.sqlite.transaction import Transaction, Version, Writing, member_of

_ENTOMB = """
INSERT INTO withdrawn (collection, idhash, id, version, version_text, spec_version, digest, owner, reason, at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

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
        versions = txn.versions(head, object_id)
        live = [one for one in versions if one.held.withdrawn is None]
        live.sort(key=lambda one: one.key or MAX_KEY)  # the unstamped ones are new, and in their order
        picked = [one for one in live if _picked(one, object_id, request.filters)]
        if not picked:
            raise NotFound("No such object in this collection")
        if isinstance(subject, Principal) and any(one.held.owner != subject.member for one in picked):
            raise NotOwner("This object belongs to another member")
        parts = statements.publication(
            head.id, head.hub, withdraw=[(object_id, one.version_text, str(request.reason)) for one in picked]
        )
        txn.check_room(head, parts)
        # From here on nothing fails.
        gone = {id(one) for one in picked}
        left = [one for one in live if id(one) not in gone]
        changed = []
        for version, now in classify((one, one.row_class, one.held.version) for one in left).items():
            if version.row_class != now:
                changed.append((version, now))
            version.row_class = now
        tombs = [_entombed(one, request) if id(one) in gone else one for one in versions]
        txn.hold(head, object_id, tombs)
        generation = head.generation
        head.generation += len(changed) + len(picked)
        head.objects -= len(picked)
        head.stored_bytes -= sum(one.size for one in picked)
        writing = txn.reserve(head, member_of(subject), parts)
        return WithdrawPlan(request, picked, changed, generation, writing)


@dataclass(slots=True)
class WithdrawPlan:
    """A decided withdrawal."""

    request: WithdrawRequest
    picked: list[Version]
    changed: list[tuple[Version, int]]
    generation: int
    writing: Writing

    @property
    def writings(self) -> tuple[Writing]:
        """The statements of one collection."""
        return (self.writing,)

    def apply(self, txn: Transaction) -> Withdrawn:
        """Write everything, its stamps being chosen."""
        writing, object_id, picked = self.writing, self.request.object_id, self.picked
        head, code = writing.head, txn.hash_of(writing.head, object_id)
        rows = tuple(
            Row(one.key, object_id, one.type, one.held.spec_version, one.version_text) for one in picked
        )
        txn.write_rows()
        txn.db.executemany("DELETE FROM object WHERE key = ?", [(one.key,) for one in picked])
        txn.insert(
            _ENTOMB,
            [
                (
                    head.number,
                    code,
                    object_id,
                    one.held.version,
                    one.version_text,
                    one.held.spec_version,
                    one.held.digest,
                    one.held.owner,
                    str(self.request.reason),
                    txn.now,
                )
                for one in picked
            ],
        )
        txn.change_classes(self.changed)
        txn.drop(
            head,
            self.generation,
            [one.key for one in picked] + [version.key for version, _ in self.changed],
        )
        event = self.request.render_event(rows)
        txn.append(writing, event.req)
        txn.keep_event(event)
        return Withdrawn(rows, event)


def _entombed(version: Version, request: WithdrawRequest) -> Version:
    """Return what is held of a version once it is withdrawn."""
    return Version(replace(version.held, withdrawn=request.reason), 0, 0, version.version_text, "", 0)


def _picked(version: Version, object_id: str, filters: Filters) -> bool:
    if (filters.ids and object_id not in filters.ids) or (
        filters.types and version.type not in filters.types
    ):
        return False
    if version.row_class in wanted(filters):
        return True
    shown = version.held.version or Instant(parse_instant(format_stamp(stamp_of(version.key))))
    return spec_passes(version.row_class, filters) and shown in filters.versions.instants
