"""The writes of the store in memory. Each works out everything first, then changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lightship.core.access import Grant, Principal
from lightship.core.collection import (
    FULL,
    PROBLEMS,
    Candidate,
    Verdict,
    WithdrawReason,
    judge,
    pack,
    stamp_of,
)
from lightship.core.errors import Conflict, NotFound, Refused
from lightship.core.marks import Cited, MarkingSet
from lightship.core.ports import (
    Expired,
    ExpireRequest,
    InUse,
    ItemOutcome,
    NotOwner,
    Published,
    PublishOutcome,
    PublishRequest,
    Released,
    ReleaseRequest,
    SignedSuspension,
    Staged,
    Withdrawn,
    WithdrawRequest,
)
from lightship.core.time import Micros
from lightship.storage import statements
from lightship.storage.memory_rows import MemoryCollection, MemoryObject, as_held, held_of, matches
from lightship.storage.memory_state import DEFINITION, MemoryState, keep


@dataclass(slots=True)
class Entering:
    """What one request lets in or stages, judged one after the other."""

    state: MemoryState
    held: MemoryCollection
    member: str
    now: Micros
    added: list[tuple[Candidate, MarkingSet]] = field(default_factory=list)
    staged: list[tuple[Candidate, MarkingSet]] = field(default_factory=list)
    gone: list[Staged] = field(default_factory=list)
    entering: set[Cited] = field(default_factory=set)

    def judge(self, one: Candidate) -> Verdict:
        """Judge against what is live and withdrawn, and what was added before."""
        known = held_of(self.held, one.id)
        known += [as_held(other, self.member) for other, _ in self.added if other.id == one.id]
        verdict = judge(known, one, self.member)
        if verdict is Verdict.ADD and one.type == DEFINITION:
            digests = self.state.meanings(self.held.agreement, one.id, self.member)
            digests |= {other.digest for other, _ in (*self.added, *self.staged) if other.id == one.id}
            if digests - {one.digest}:
                return Verdict.CONFLICT
        return verdict

    def expect(self, posted: Sequence[tuple[Candidate, MarkingSet]]) -> None:
        """Learn which of the posted definitions enter: the first of an id, if it cites no stranger."""
        cites: dict[Cited, tuple[Cited, ...]] = {}
        for one, marks in posted:
            seen = {cited.id for cited in cites}
            if one.type == DEFINITION and one.id not in seen and self.judge(one) is Verdict.ADD:
                cites[Cited(one.id, one.digest)] = marks.cites
        self.entering = set(cites)
        while lost := {one for one in self.entering if not self.known(cites[one])}:
            self.entering -= lost

    def known(self, cites: Sequence[Cited]) -> bool:
        """True if every one is held in the agreement or enters with this request."""
        return all(one in self.entering or self.state.is_held(self.held.agreement, one) for one in cites)

    def enter(self, one: Candidate, marks: MarkingSet) -> Verdict:
        """Add or stage what nothing live stands against."""
        mine = [
            staged
            for staged in self.held.staged
            if staged.owner == self.member
            and (staged.candidate.id, staged.candidate.version) == (one.id, one.version)
        ]
        waiting = [(staged.candidate, staged.marks) for staged in mine] + [
            pair for pair in self.staged if (pair[0].id, pair[0].version) == (one.id, one.version)
        ]
        if any(other.digest != one.digest for other, _ in waiting):
            return Verdict.CONFLICT
        if not self.known(marks.cites):
            return Verdict.UNKNOWN_MARKING
        if marks.release_at is None or marks.release_at <= self.now:
            self.added.append((one, marks))
            self.gone += mine
            self.staged = [pair for pair in self.staged if pair not in waiting]
            return Verdict.ADD
        if not waiting:
            self.staged.append((one, marks))
        return Verdict.STAGED


def publish(state: MemoryState, request: PublishRequest) -> Published:
    """Judge and add objects."""
    grant = request.grant
    held = state.entered(grant)
    member = grant.subject.member if isinstance(grant.subject, Principal) else ""
    entering = Entering(state, held, member, request.now)
    posted = list(zip(request.candidates, request.marks, strict=True))
    entering.expect(posted)
    verdicts = []
    for one, marks in posted:
        verdict = entering.judge(one)
        verdicts.append(entering.enter(one, marks) if verdict is Verdict.ADD else verdict)
    check_quota(grant, entering)
    new, rows, outcome = _stamped(
        state, held, member, entering, list(zip(request.candidates, verdicts, strict=True))
    )
    status, event = request.render_status(outcome), request.render_event(outcome)
    if request.status_id in state.statuses:
        raise Conflict("This status id is taken")
    # From here on nothing fails.
    _let_in(held, entering, new, rows)
    for one, marks in entering.staged:
        state.numbers += 1
        plain = one._replace(position=0, warnings=())
        at = marks.release_at or Micros(0)
        held.staged.append(Staged(state.numbers, plain, marks, member, request.now, at))
    if isinstance(grant.subject, Principal):
        state.statuses[request.status_id] = (grant.subject, status)
    state.note(event)
    return Published(outcome, status, event)


def release(state: MemoryState, request: ReleaseRequest) -> Released:
    """Let staged objects enter, or say why they cannot."""
    held = state.entered(request.grant)
    entering = Entering(state, held, request.owner, request.now)
    asked = {*request.numbers, *request.refused}
    found = [
        one
        for one in sorted(held.staged, key=lambda one: (one.release_at, one.number))
        if one.number in asked and one.owner == request.owner and one.release_at <= request.now
    ]
    told: list[tuple[Candidate, Verdict]] = []
    failed: list[Staged] = []
    for one in found:
        problem = request.refused.get(one.number, "")
        verdict = entering.judge(one.candidate)
        if not problem and verdict is Verdict.ADD and not entering.known(one.marks.cites):
            verdict = Verdict.UNKNOWN_MARKING
        if not problem and verdict is Verdict.ADD and not _has_room(request.grant, entering, one.candidate):
            problem = FULL
        if problem or verdict in PROBLEMS:
            failed.append(replace(one, problem=problem or PROBLEMS[verdict]))
            continue
        told.append((one.candidate, verdict))
        entering.gone.append(one)
        if verdict is Verdict.ADD:
            entering.added.append((one.candidate, one.marks))
    new, rows, outcome = _stamped(state, held, request.owner, entering, told)
    event = request.render_event(outcome, failed) if found else None
    _let_in(held, entering, new, rows)
    by_number = {one.number: one for one in failed}
    held.staged = [by_number.get(one.number, one) for one in held.staged]
    if event is not None:
        state.note(event)
    return Released(outcome, tuple(failed), event)


def withdraw(state: MemoryState, request: WithdrawRequest) -> Withdrawn:
    """Take versions of one object out."""
    held = state.entered(request.grant)
    subject = request.grant.subject
    group = [] if request.staged_only else held.of(request.object_id)
    picked = sorted((one for one in group if matches(one, group, request.filters)), key=lambda one: one.key)
    cancelled: list[Staged] = []
    if isinstance(subject, Principal):
        mine = {
            one.number: (one, MemoryObject(0, one.candidate, one.owner, one.marks))
            for one in held.staged
            if one.owner == subject.member and one.candidate.id == request.object_id
        }
        rows_of, filters = [row for _, row in mine.values()], request.filters
        if group:  # `first` and `last` speak of what is live
            filters = replace(filters, versions=filters.versions.without_ends())
        cancelled = [one for one, row in mine.values() if matches(row, rows_of, filters)]
    if not picked and not cancelled:
        raise NotFound("No such object in this collection")
    if isinstance(subject, Principal) and any(one.owner != subject.member for one in picked):
        if not cancelled:
            raise NotOwner("This object belongs to another member")
        picked = []
    if state.lost(held.agreement, picked, cancelled):
        raise InUse("Objects of this agreement are marked with this definition")
    by = subject.member if isinstance(subject, Principal) else ""
    _, rows = state.stamped(held, by, withdrawal(held, picked, request.reason))
    taken = tuple(one.row() for one in picked)
    others = tuple(MemoryObject(0, one.candidate, one.owner, one.marks).row() for one in cancelled)
    event = request.render_event((*taken, *others))
    held.take_out(picked, request.reason, state.clock.now())
    cancel(held, cancelled)
    keep(held, rows)
    state.note(event)
    return Withdrawn(taken, event, others)


def expire(state: MemoryState, request: ExpireRequest) -> Expired:
    """Take out what retention or `share_until` ends, definitions last and only if nothing cites them."""
    held = state.entered(request.grant)
    due = [one for one in held.live if _is_due(one, request)]
    plain = sorted((one for one in due if one.candidate.type != DEFINITION), key=lambda one: one.key)
    old = [one for one in plain if _is_old(one, request)]
    plain = old + sorted(
        (one for one in plain if one not in old), key=lambda one: (one.marks.share_until or 0, one.key)
    )
    picked, more = plain[: request.limit], len(plain) > request.limit
    if len(picked) < request.limit:
        listed = sorted((one for one in due if one.candidate.type == DEFINITION), key=lambda one: -one.key)
        free = _unused(state, held, picked, listed)
        free = _unused(state, held, picked, free[: request.limit - len(picked)])
        picked, more = picked + free, bool(free) and len(free) < len(listed)
    if not picked:
        return Expired((), False, None)
    _, rows = state.stamped(held, "", withdrawal(held, picked, WithdrawReason.EXPIRED))
    taken = tuple(one.row() for one in picked)
    event = request.render_event(taken)
    held.take_out(picked, WithdrawReason.EXPIRED, state.clock.now())
    keep(held, rows)
    state.note(event)
    return Expired(taken, more, event)


def withdrawal(
    held: MemoryCollection, picked: Sequence[MemoryObject], reason: WithdrawReason
) -> list[statements.Part]:
    """Return the statements of a withdrawal."""
    entries = [(one.candidate.id, one.candidate.version_text, str(reason)) for one in picked]
    return statements.publication(held.id, held.hub, withdraw=entries)


def cancel(held: MemoryCollection, gone: Sequence[Staged]) -> None:
    """Forget staged objects."""
    numbers = {one.number for one in gone}
    held.staged = [one for one in held.staged if one.number not in numbers]


def _stamped(
    state: MemoryState,
    held: MemoryCollection,
    member: str,
    entering: Entering,
    told: Sequence[tuple[Candidate, Verdict]],
) -> tuple[list[MemoryObject], list[statements.Statement], PublishOutcome]:
    """Return what enters with its keys, the statement rows and what is told; nothing is kept yet."""
    entries = [(one.id, one.version_text, one.digest.hex()) for one, _ in entering.added]
    stamps, rows = state.stamped(held, member, statements.publication(held.id, held.hub, add=entries))
    new = [
        MemoryObject(pack(held.number, stamp), one, member, marks)
        for (one, marks), stamp in zip(entering.added, stamps, strict=True)
    ]
    live = {(one.candidate.id, one.candidate.version): one.key for one in (*held.live, *new)}
    items = tuple(
        ItemOutcome(
            one,
            verdict,
            stamp_of(live[one.id, one.version]) if verdict in {Verdict.ADD, Verdict.DUPLICATE} else 0,
        )
        for one, verdict in told
    )
    outcome = PublishOutcome(items, *((stamps[0], stamps[-1]) if stamps else (Micros(0), Micros(0))))
    return new, rows, outcome


def _let_in(
    held: MemoryCollection,
    entering: Entering,
    new: Sequence[MemoryObject],
    rows: Sequence[statements.Statement],
) -> None:
    held.let_in(new)
    cancel(held, entering.gone)
    keep(held, rows)
    held.last_added = stamp_of(new[-1].key) if new else held.last_added


def _is_old(one: MemoryObject, request: ExpireRequest) -> bool:
    return request.added_before is not None and stamp_of(one.key) < request.added_before


def _is_due(one: MemoryObject, request: ExpireRequest) -> bool:
    until = one.marks.share_until
    return _is_old(one, request) or (until is not None and until <= request.now)


def _unused(
    state: MemoryState, held: MemoryCollection, picked: list[MemoryObject], due: list[MemoryObject]
) -> list[MemoryObject]:
    while kept := state.lost(held.agreement, picked + due, []):
        due = [one for one in due if one.candidate.id not in kept]
    return due


def _has_room(grant: Grant, entering: Entering, one: Candidate) -> bool:
    settings, held = grant.collection.settings, entering.held
    bodies = [live.candidate.body for live in held.live] + [added.body for added, _ in entering.added]
    size = sum(map(len, bodies)) + len(one.body)
    return (settings.max_objects is None or len(bodies) < settings.max_objects) and (
        settings.max_bytes is None or size <= settings.max_bytes
    )


def check_quota(grant: Grant, entering: Entering, leaving: Sequence[MemoryObject] = ()) -> None:
    """Refuse what the collection has no room for, once what is `leaving` has left."""
    settings, held = grant.collection.settings, entering.held
    gone = {one.number for one in entering.gone}
    out = {one.key for one in leaving}
    bodies = [one.candidate.body for one in held.live if one.key not in out]
    bodies += [
        one.candidate.body for one in held.staged if one.owner == entering.member and one.number not in gone
    ]
    bodies += [one.body for one, _ in (*entering.added, *entering.staged)]
    over_objects = settings.max_objects is not None and len(bodies) > settings.max_objects
    over_bytes = settings.max_bytes is not None and sum(map(len, bodies)) > settings.max_bytes
    if (entering.added or entering.staged) and (over_objects or over_bytes):
        raise Refused("The collection is full", rule="deny-publish-quota")


def suspend(state: MemoryState, signed: SignedSuspension) -> None:
    """Append to an agreement's suspensions and log it in each of its collections."""
    held = state.suspensions.get(signed.agreement, [])
    version = len(state.chains.get(signed.agreement, []))
    if not version:
        raise NotFound(f"There is no agreement `{signed.agreement}`")
    if (signed.version, signed.number) != (version, len(held) + 1):
        raise Conflict("This is not the agreement's next suspension", why=f"{len(held)} is the newest")
    theirs = state.siblings(signed.agreement)
    rows = [state.stamped(one, "", [statements.suspension(signed.envelope)])[1] for one in theirs]
    for one, some in zip(theirs, rows, strict=True):
        keep(one, some)
    state.suspensions[signed.agreement] = [*held, signed]


def ordered(held: MemoryCollection, ids: Sequence[str]) -> tuple[list[MemoryObject], list[Staged]]:
    """Return what is live and what is staged of the objects that a version of an agreement orders out."""
    live = [one for name in dict.fromkeys(ids) for one in sorted(held.of(name), key=lambda one: one.key)]
    return live, [one for one in held.staged if one.candidate.id in ids]
