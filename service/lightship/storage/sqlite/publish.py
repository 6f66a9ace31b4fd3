"""A publish as a job of a group: first decided against the working set, then written with its stamps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lightship.core.access import Principal
from lightship.core.collection import Candidate, CollectionSettings, Verdict, stamp_of
from lightship.core.errors import Refused
from lightship.core.marks import MarkingSet
from lightship.core.ports import ItemOutcome, Published, PublishOutcome, PublishRequest
from lightship.core.time import Micros
from lightship.storage.sqlite import definitions, staging
from lightship.storage.sqlite.adding import Adding
from lightship.storage.sqlite.staging import Waiting, as_waiting
from lightship.storage.sqlite.transaction import Head, Transaction, Version, Writing, member_of

Item = tuple[Candidate, Verdict, Version | None]


@dataclass(slots=True)
class NewlyStaged:
    """What one request stages, and what it forgets because it enters at last."""

    new: list[tuple[Candidate, MarkingSet, Waiting]] = field(default_factory=list)
    gone: list[Waiting] = field(default_factory=list)
    touched: dict[str, list[Waiting]] = field(default_factory=dict)

    def forget(self, one: Waiting) -> None:
        """Take back what was staged, by this request or by one before."""
        kept = [entry for entry in self.new if entry[2] is not one]
        if len(kept) == len(self.new):
            self.gone.append(one)
        self.new = kept

    @property
    def size(self) -> int:
        """By how many bytes more is staged than before."""
        return sum(one.size for _, _, one in self.new) - sum(one.size for one in self.gone)


class Publish:
    """The job of one PublishRequest."""

    def __init__(self, request: PublishRequest) -> None:
        self.request = request
        self.weight = max(1, len(request.candidates))

    def needs(self) -> list[tuple[int, str]]:
        """Return the (collection, id) that it will ask about."""
        number = self.request.grant.collection.number
        return [(number, one.id) for one in self.request.candidates]

    def status_ids(self) -> tuple[str, ...]:
        """Return the status id that it will take."""
        return (self.request.status_id,)

    def decide(self, txn: Transaction) -> PublishPlan:
        """Judge every candidate and take part in the working set, or raise and leave no trace."""
        request = self.request
        head = txn.enter(request.grant)
        adding = Adding(txn, head, member_of(request.grant.subject))
        staged = NewlyStaged()
        items = judge_all(adding, staged, request)
        if adding.added or staged.new:
            check_quota(
                request.grant.collection.settings, adding, len(staged.new) - len(staged.gone), staged.size
            )
        parts = adding.parts()
        txn.check_room(head, parts, adds=True)
        txn.take_status(request.status_id)
        # From here on nothing fails.
        adding.settle()
        settle_staged(txn, head, staged)
        return PublishPlan(request, items, adding, staged, txn.reserve(head, adding.member, parts))


@dataclass(slots=True)
class PublishPlan:
    """A decided publish."""

    request: PublishRequest
    items: list[Item]
    adding: Adding
    staged: NewlyStaged
    writing: Writing

    @property
    def writings(self) -> tuple[Writing]:
        """The statements of one collection."""
        return (self.writing,)

    def apply(self, txn: Transaction) -> Published:
        """Write everything, its stamps being chosen."""
        writing, request = self.writing, self.request
        head = writing.head
        keys = writing.entry_keys()
        self.adding.stamp(keys)
        outcome = outcome_of(self.items, keys)
        if keys:
            self.adding.write()
            head.last_added = outcome.added_last
        if self.staged.touched:
            self._write_staged(txn, head)
        status, event = request.render_status(outcome), request.render_event(outcome)
        txn.append(writing, event.req)
        if isinstance(request.grant.subject, Principal):
            txn.keep_status(request.grant.subject, request.status_id, status)
        txn.keep_event(event)
        return Published(outcome, status, event)

    def _write_staged(self, txn: Transaction, head: Head) -> None:
        forget(txn, head, self.staged.gone)
        txn.insert(
            staging.INSERT,
            [
                (
                    head.number,
                    one.owner,
                    one.release_at,
                    self.request.now,
                    one.marks,
                    txn.type_number(candidate.type),
                    candidate.spec_version,
                    candidate.version,
                    candidate.version_text,
                    txn.hash_of(head, candidate.id),
                    candidate.id,
                    candidate.digest,
                    staging.about(candidate),
                    candidate.body,
                )
                for candidate, _, one in self.staged.new
            ],
        )


def outcome_of(items: Sequence[Item], keys: Sequence[int]) -> PublishOutcome:
    """Return what is told about items once their versions have keys."""
    told = tuple(
        ItemOutcome(one, verdict, stamp_of(version.key) if version is not None else 0)
        for one, verdict, version in items
    )
    if not keys:
        return PublishOutcome(told, Micros(0), Micros(0))
    return PublishOutcome(told, stamp_of(keys[0]), stamp_of(keys[-1]))


def forget(txn: Transaction, head: Head, gone: Sequence[Waiting]) -> None:
    """Delete staged rows, also those that an earlier job of the group has just written."""
    if gone:
        txn.write_rows()
        txn.db.executemany(
            staging.DELETE,
            [(txn.hash_of(head, one.id), one.owner, one.held.version, head.number, one.id) for one in gone],
        )


def check_quota(settings: CollectionSettings, adding: Adding, waiting: int = 0, size: int = 0) -> None:
    """Refuse what the collection has no room for: live objects and what the same member has staged.

    Args:
        waiting, size: by how many versions and bytes more than now will be staged.
    """
    if settings.max_objects is None and settings.max_bytes is None:
        return
    head = adding.head
    used = adding.txn.staging.used(head.number, adding.member)
    objects, stored = head.objects + used[0], head.stored_bytes + used[1]
    if settings.max_objects is not None and objects + len(adding.added) + waiting > settings.max_objects:
        raise Refused(
            "The collection is full",
            rule="deny-publish-quota",
            why=f"it may hold {settings.max_objects} object versions and holds {objects}",
            todo="Withdraw old objects, or ask the steward for a larger quota",
        )
    if settings.max_bytes is not None and stored + adding.size + size > settings.max_bytes:
        raise Refused(
            "The collection is full",
            rule="deny-publish-quota",
            why=f"it may hold {settings.max_bytes} bytes and holds {stored}",
            todo="Withdraw old objects, or ask the steward for a larger quota",
        )


def judge_all(adding: Adding, staged: NewlyStaged, request: PublishRequest) -> list[Item]:
    """Judge every candidate of a request, in order; what enters or waits is in `adding` and `staged`."""
    posted = list(zip(request.candidates, request.marks, strict=True))
    known: definitions.Known | None = None
    if any(marks.cites for _, marks in posted):
        known = definitions.Known(adding.txn, adding.head)
        known.expect(posted, adding.judge)
    items: list[Item] = []
    for one, marks in posted:
        held = adding.held(one.id)
        verdict = adding.judge(one, held)
        version: Version | None = None
        if verdict is Verdict.DUPLICATE:
            version = adding.same(one)
        elif verdict is Verdict.ADD:
            verdict = _enter(adding, staged, one, marks, known, held, request.now)
            version = adding.added[-1][2] if verdict is Verdict.ADD else None
        items.append((one, verdict, version))
    return items


def _enter(
    adding: Adding,
    staged: NewlyStaged,
    one: Candidate,
    marks: MarkingSet,
    known: definitions.Known | None,
    held: list[Version],
    now: Micros,
) -> Verdict:
    """Add or stage what nothing live stands against."""
    waiting = staged.touched.get(one.id)
    if waiting is None:
        waiting = adding.txn.staging.of(adding.head.number, one.id)
    mine = None
    if waiting:
        mine = next((w for w in waiting if w.owner == adding.member and w.held.version == one.version), None)
    if mine is not None and mine.held.digest != one.digest:
        return Verdict.CONFLICT
    if known is not None and not known.all_of(marks.cites):
        return Verdict.UNKNOWN_MARKING
    if marks.release_at is None or marks.release_at <= now:
        adding.add(one, marks, held)
        if mine is not None:
            staged.forget(mine)
            staged.touched[one.id] = [w for w in waiting if w is not mine]
        return Verdict.ADD
    if mine is None:
        made = as_waiting(one, adding.member, 0, marks.release_at)
        staged.new.append((one, marks, made))
        adding.note(one)
        staged.touched[one.id] = [*waiting, made]
    return Verdict.STAGED


def settle_staged(txn: Transaction, head: Head, staged: NewlyStaged) -> None:
    """Let what is staged, or waits no more, take part in the working set; nothing fails from here on."""
    for _, marks, one in staged.new:
        one.marks = txn.held_sets.number_of(marks)
        txn.held_sets.change((head.number, one.marks, one.owner), staged=1)
    for one in staged.gone:
        txn.held_sets.change((head.number, one.marks, one.owner), staged=-1)
    for object_id, waiting in staged.touched.items():
        txn.staging.hold(head.number, object_id, waiting)
