"""Signed statements and rosters in the store in memory: each works out everything first, then changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from lightship.core import stamps as stamping
from lightship.core.access import Principal
from lightship.core.collection import Candidate, Verdict, WithdrawReason, pack, stamp_of
from lightship.core.errors import Conflict, NotFound
from lightship.core.log import statement
from lightship.core.log.roster import BadRoster, Revoked
from lightship.core.log.statement import Withdrawal, digest_of
from lightship.core.marks import MarkingSet
from lightship.core.ports import (
    ItemOutcome,
    KeyTrace,
    Logged,
    NotTaken,
    OutOfSequence,
    PublishOutcome,
    SignedAgreement,
    SignedRequest,
    StoredRoster,
)
from lightship.core.time import Micros
from lightship.storage import statements
from lightship.storage.leaves import encode_signatures
from lightship.storage.memory_rows import MemoryCollection, MemoryObject
from lightship.storage.memory_state import MemoryState, keep
from lightship.storage.memory_writes import Entering, cancel, check_quota, withdrawal
from lightship.storage.statements import Part, Statement

MOST = 50_000
_TAKEN = frozenset({Verdict.ADD, Verdict.DUPLICATE})
Item = tuple[Candidate, Verdict, MarkingSet]
Origin = Callable[[MemoryCollection], str]
"""The name of a collection's log, empty where nothing is signed."""


def publish(state: MemoryState, request: SignedRequest) -> Logged:
    """Take a statement whole.

    Raises:
        NotTaken: an add or a withdrawal cannot be done.
        OutOfSequence: it does not follow what the key had logged last.
    """
    asked, said = request.publish, request.statement
    held = state.entered(asked.grant)
    digest = digest_of(request.envelope.payload)
    if digest in held.signed:
        return held.signed[digest]
    _follows(held, request)
    subject = asked.grant.subject
    member = subject.member if isinstance(subject, Principal) else ""
    entering = Entering(state, held, member, asked.now)
    posted = list(zip(asked.candidates, asked.marks, strict=True))
    entering.expect(posted)
    items: list[Item] = []
    for one, marks in posted:
        verdict = entering.judge(one)
        items.append((one, entering.enter(one, marks) if verdict is Verdict.ADD else verdict, marks))
    leaving, problems = _leaving(state, held, member, request)
    if problems or any(verdict not in _TAKEN for _, verdict, _ in items):
        raise NotTaken([ItemOutcome(one, verdict, 0) for one, verdict, _ in items], problems)
    if entering.added:
        check_quota(asked.grant, entering, [one for some in leaving.values() for one in some])
    part = Part(request.envelope.payload, said.size, encode_signatures(request.envelope.signatures))
    entries, rows = state.stamped(held, member, [part])
    if asked.status_id in state.statuses:
        raise Conflict("This status id is taken")
    # From here on nothing fails.
    for reason, some in leaving.items():
        held.take_out(some, reason, state.clock.now())
    adds = entries[len(said.withdraw) :]
    new = [
        MemoryObject(pack(held.number, stamp), one, member, marks)
        for stamp, (one, verdict, marks) in zip(adds, items, strict=True)
        if verdict is Verdict.ADD
    ]
    held.let_in(new)
    cancel(held, entering.gone)
    held.last_added = adds[-1] if adds else held.last_added
    index = len(held.statements)
    keep(held, rows)
    outcome = _outcome(held, items, new)
    status, event = asked.render_status(outcome), asked.render_event(outcome)
    held.chains[said.key] = (said.seq, digest)
    held.signed[digest] = Logged(index, status)
    state.note(event)
    return Logged(index, status, outcome.items, event)


def apply_roster(
    state: MemoryState, roster: StoredRoster, distrust: Mapping[str, Revoked], origin: Origin
) -> dict[str, int]:
    """Store a member's next roster, log it, take out what it distrusts; return how much left, by collection.

    Raises:
        NotFound: there is no such agreement.
        Conflict: it is not the member's next roster, or the agreement changed meanwhile.
        BadRoster: what it distrusts cannot be taken out.
    """
    version, known = len(state.chains.get(roster.agreement, [])), state.rosters.get(roster.agreement, [])
    if not version:
        raise NotFound(f"There is no agreement `{roster.agreement}`")
    last = max((one.version for one in known if one.member == roster.member), default=0)
    if (roster.agreement_version, roster.version) != (version, last + 1):
        raise Conflict("The roster is not applied: something changed meanwhile", why=f"{last} is the newest")
    theirs = state.siblings(roster.agreement)
    leaving = _distrusted(state, roster.agreement, theirs, distrust, origin)
    part = statements.roster_change(roster.member, roster.digest)
    rows = []
    for one in theirs:
        out = withdrawal(one, leaving.get(one.number, []), WithdrawReason.DISTRUSTED)
        rows.append(state.stamped(one, "", [part, *out])[1])
    for one, some in zip(theirs, rows, strict=True):
        one.take_out(leaving.get(one.number, []), WithdrawReason.DISTRUSTED, state.clock.now())
        keep(one, some)
    state.rosters[roster.agreement] = [*known, roster]
    return {one.id: len(leaving[one.number]) for one in theirs if leaving.get(one.number)}


def trace(state: MemoryState, agreement: str, key: str, origin: Origin) -> list[KeyTrace]:
    """Return what a key has logged, collection by collection."""
    return [
        KeyTrace(
            one.id,
            origin(one),
            len(one.statements),
            tuple((row.idx, row.at, len(_put_in(one, row))) for row in _signed_by(one, key)),
        )
        for one in state.siblings(agreement)
    ]


def in_force(state: MemoryState, signed: SignedAgreement) -> list[Part]:
    """Return the statements with which a new collection's log goes on after a version of the agreement."""
    newest = {one.member: one for one in state.rosters.get(signed.agreement, [])}
    if not newest:
        return []
    members: Mapping[str, Any] = orjson.loads(signed.payload)["members"]
    return [
        statements.roster_change(member, one.digest)
        for member, one in sorted(newest.items())
        if members.get(member, {}).get("admin_key") == one.admin_key
    ]


def _follows(held: MemoryCollection, request: SignedRequest) -> None:
    one = request.statement
    seq, digest = held.chains.get(one.key, (0, ""))
    if one.seq <= seq:
        raise OutOfSequence(
            "The key has signed another statement under this number",
            rule="deny-equivocation",
            why=f"statement {one.seq} of key {one.key} is logged here with another content",
        )
    if (one.seq, one.prev) != (seq + 1, digest):
        raise OutOfSequence(
            "The statement does not follow what the key had logged before",
            rule="deny-sequence",
            why=f"statement {seq + 1} must come next, after {digest or 'none'}; this is {one.seq}",
        )


def _leaving(
    state: MemoryState, held: MemoryCollection, member: str, request: SignedRequest
) -> tuple[dict[WithdrawReason, list[MemoryObject]], dict[int, str]]:
    """Return what goes, by reason, and what is wrong with withdrawals, by their index."""
    found: dict[WithdrawReason, list[MemoryObject]] = {}
    problems: dict[int, str] = {}
    listed = request.statement.withdraw
    for index, entry in enumerate(listed):
        live = _live(held, entry)
        if live is None:
            problems[index] = "this version is not held here, so it cannot be withdrawn (deny-not-held)"
        elif live.owner != member:
            problems[index] = "it is another member's (deny-owner)"
        else:
            found.setdefault(entry.reason, []).append(live)
    in_use = {cite.id for marks in request.publish.marks for cite in marks.cites}
    in_use |= state.lost(held.agreement, [one for some in found.values() for one in some], [])
    for index, entry in enumerate(listed):
        if entry.id in in_use:
            problems[index] = "objects here are marked with this definition (in-use)"
    return found, problems


def _live(held: MemoryCollection, entry: Withdrawal) -> MemoryObject | None:
    """Return the live version that an entry names, written as in the object."""
    return next((one for one in held.of(entry.id) if one.candidate.version_text == entry.version), None)


def _outcome(held: MemoryCollection, items: Sequence[Item], new: Sequence[MemoryObject]) -> PublishOutcome:
    keys = {(one.candidate.id, one.candidate.version): one.key for one in held.live}
    told = tuple(
        ItemOutcome(one, verdict, stamp_of(keys.get((one.id, one.version), 0))) for one, verdict, _ in items
    )
    if not new:
        return PublishOutcome(told, Micros(0), Micros(0))
    return PublishOutcome(told, stamp_of(new[0].key), stamp_of(new[-1].key))


def _distrusted(
    state: MemoryState,
    agreement: str,
    theirs: Sequence[MemoryCollection],
    distrust: Mapping[str, Revoked],
    origin: Origin,
) -> dict[int, list[MemoryObject]]:
    """Return what has to leave, by number of the collection."""
    if not distrust:
        return {}
    sizes = {origin(one) or one.id: len(one.statements) for one in theirs}
    for why in distrust.values():
        why.check(sizes)
    found: dict[int, list[MemoryObject]] = {}
    for one in theirs:
        wanted = {
            live.key: live
            for key, why in distrust.items()
            if (since := why.first_in(origin(one))) is not None
            for row in _signed_by(one, key)
            if row.idx >= since
            for live in _put_in(one, row)
        }
        if wanted:
            found[one.number] = [wanted[key] for key in sorted(wanted)]
    total = sum(map(len, found.values()))
    if total > MOST:
        raise BadRoster("The roster distrusts too much at once", why=f"{total} versions would leave")
    if lost := state.lost(agreement, [one for some in found.values() for one in some], []):
        raise BadRoster(
            "The roster is refused",
            why=f"what stays is marked with definitions that the key added: {', '.join(sorted(lost)[:5])}",
        )
    return found


def _signed_by(held: MemoryCollection, key: str) -> list[Statement]:
    """Return the statements of a key, in order."""
    return [row for row in held.statements if row.signatures and statement.read_payload(row.body).key == key]


def _put_in(held: MemoryCollection, row: Statement) -> list[MemoryObject]:
    """Return the live versions that have the stamps of a statement's adds."""
    one = statement.read_payload(row.body)
    added = set(stamping.entry_stamps(row.at, one.size)[len(one.withdraw) :])
    return [live for live in held.live if stamp_of(live.key) in added]
