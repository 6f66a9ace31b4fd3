"""Versions of agreements in the store in memory: new collections, what is ordered out, what forbids it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lightship.core.collection import WithdrawReason
from lightship.core.errors import Conflict
from lightship.core.ids import MAX_COLLECTIONS
from lightship.core.ports import HeldSet, InUse, SignedAgreement, Staged, WouldBreak
from lightship.storage import memory_writes, statements
from lightship.storage.memory_rows import MemoryCollection, MemoryObject
from lightship.storage.memory_signed import in_force
from lightship.storage.memory_state import MemoryState, held_sets, keep
from lightship.storage.running import running


def activate(
    state: MemoryState,
    signed: SignedAgreement,
    collections: Sequence[str],
    admits: Callable[[str, HeldSet], bool],
    withdraw: Mapping[str, Sequence[str]],
) -> None:
    """Append a version to its chain and log it in each collection of the agreement."""
    chain = state.chains.get(signed.agreement, [])
    if signed.version != len(chain) + 1:
        raise Conflict("This is not the agreement's next version", why=f"{len(chain)} is in force")
    by_id = {one.id: one for one in state.collections.values()}
    new = [one for one in dict.fromkeys(collections) if one not in by_id]
    if any(by_id[one].agreement != signed.agreement for one in collections if one in by_id):
        raise Conflict("A collection of another agreement has this id")
    if len(by_id) + len(new) > MAX_COLLECTIONS:
        raise Conflict("A hub can have 2047 collections in its life")
    hub = chain[0].digest if chain else signed.digest
    made = [
        MemoryCollection(len(by_id) + index, one, signed.agreement, signed.version, hub)
        for index, one in enumerate(new, 1)
    ]
    theirs = [one for one in by_id.values() if one.agreement == signed.agreement] + made
    ordered = {one.number: memory_writes.ordered(one, withdraw.get(one.id, ())) for one in theirs}
    _check_held(state, signed.agreement, theirs, ordered, collections, admits)
    part = statements.agreement_change(signed.version, signed.digest)
    suspended = running(state.suspensions.get(signed.agreement, ()), signed.activated) if made else []
    fresh = {one.number: [*suspended, *in_force(state, signed)] for one in made}
    rows = []
    for one in theirs:
        out = memory_writes.withdrawal(one, ordered[one.number][0], WithdrawReason.ORDERED)
        rows.append(state.stamped(one, "", [part, *fresh.get(one.number, ()), *out], signed.version)[1])
    for one, some in zip(theirs, rows, strict=True):
        live, staged = ordered[one.number]
        one.take_out(live, WithdrawReason.ORDERED, state.clock.now())
        memory_writes.cancel(one, staged)
        one.agreement_version = signed.version
        keep(one, some)
        state.collections[one.number] = one
    state.chains[signed.agreement] = [*chain, signed]


def _check_held(
    state: MemoryState,
    agreement: str,
    heads: Sequence[MemoryCollection],
    ordered: Mapping[int, tuple[list[MemoryObject], list[Staged]]],
    collections: Sequence[str],
    admits: Callable[[str, HeldSet], bool],
) -> None:
    """Ask about everything that the collections of a new version will hold."""
    live = [one for some, _ in ordered.values() for one in some]
    staged = [one for _, some in ordered.values() for one in some]
    if state.lost(agreement, live, staged):
        raise InUse("Objects of this agreement are marked with a definition that it orders out")
    broken = [
        (head.id, one)
        for head in heads
        if head.id in collections
        for one in held_sets(head, gone=(*live, *staged))
        if not admits(head.id, one)
    ]
    if broken:
        raise WouldBreak(broken)
