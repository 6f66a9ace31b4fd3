"""All that the store in memory holds, and what its writes ask of an agreement as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lightship.core import collection as rules
from lightship.core import stamps
from lightship.core.access import Credential, Grant, Principal
from lightship.core.audit import AccessEvent
from lightship.core.errors import Conflict, NotFound
from lightship.core.marks import Cited, Definition, MarkingSet
from lightship.core.ports import (
    Clock,
    EpochChanged,
    HeldSet,
    SignedAgreement,
    SignedSuspension,
    Staged,
    StoredRoster,
)
from lightship.core.time import Micros
from lightship.storage.memory_rows import MemoryCollection, MemoryObject
from lightship.storage.statements import Part, Statement

DEFINITION = "marking-definition"


@dataclass(slots=True)
class MemoryState:
    """What is held. `started` is what the two clocks said when it began."""

    clock: Clock
    started: tuple[Micros, Micros]
    epoch: int = 0
    collections: dict[int, MemoryCollection] = field(default_factory=dict)
    chains: dict[str, list[SignedAgreement]] = field(default_factory=dict)
    suspensions: dict[str, list[SignedSuspension]] = field(default_factory=dict)
    rosters: dict[str, list[StoredRoster]] = field(default_factory=dict)
    """By agreement, in the order in which they were applied."""
    credentials: dict[str, Credential] = field(default_factory=dict)
    statuses: dict[str, tuple[Principal, bytes]] = field(default_factory=dict)
    pending: dict[str, AccessEvent] = field(default_factory=dict)
    numbers: int = 0
    """The newest number that a staged object got."""

    def entered(self, grant: Grant) -> MemoryCollection:
        """Return the collection that a grant speaks of."""
        if grant.epoch != self.epoch:
            raise EpochChanged
        held = self.collections.get(grant.collection.number)
        if held is None:
            raise NotFound("No such collection")
        return held

    def siblings(self, agreement: str) -> list[MemoryCollection]:
        """Return all collections that an agreement ever had."""
        return [one for one in self.collections.values() if one.agreement == agreement]

    def meanings(self, agreement: str, object_id: str, member: str) -> set[bytes]:
        """Return the digests that a definition's id stands for, for a member.

        What is or was live, what live objects cite, and what the member itself has staged.
        """
        found = self._in_force(agreement, object_id)
        for held in self.siblings(agreement):
            found |= {cite.digest for one in held.live for cite in one.marks.cites if cite.id == object_id}
            found |= {
                one.candidate.digest
                for one in held.staged
                if one.candidate.id == object_id and one.owner == member
            }
        return found

    def is_held(self, agreement: str, cited: Cited) -> bool:
        """True if a definition is live, or staged where its id never stood for other bytes."""
        for held in self.siblings(agreement):
            if any(_same(one, cited) for one in held.live):
                return True
        staged = [one for held in self.siblings(agreement) for one in held.staged]
        return any(_same(one, cited) for one in staged) and (
            self._in_force(agreement, cited.id) <= {cited.digest}
        )

    def _in_force(self, agreement: str, object_id: str) -> set[bytes]:
        found = set()
        for held in self.siblings(agreement):
            found |= {one.candidate.digest for one in held.live if one.candidate.id == object_id}
            found |= {tomb.held.digest for (id_, _), tomb in held.withdrawn.items() if id_ == object_id}
        return found

    def lost(self, agreement: str, live: Sequence[MemoryObject], staged: Sequence[Staged]) -> set[str]:
        """Return the definitions whose last copy would go while something that stays cites them."""
        gone = {id(one) for one in live} | {id(one) for one in staged}
        stays = [one for held in self.siblings(agreement) for one in everything(held) if id(one) not in gone]
        cited = {cite for one in stays for cite in one.marks.cites}
        left = {Cited(one.candidate.id, one.candidate.digest) for one in stays}
        taken: list[MemoryObject | Staged] = [*live, *staged]
        going = {
            Cited(one.candidate.id, one.candidate.digest) for one in taken if one.candidate.type == DEFINITION
        }
        return {one.id for one in going & cited - left}

    def stamped(
        self, held: MemoryCollection, by: str, parts: Sequence[Part], version: int = 0
    ) -> tuple[list[Micros], list[Statement]]:
        """Return the stamps of all entries, and the statement rows; nothing is kept yet."""
        now, passed = self.clock.now(), self.clock.monotonic() - self.started[1]
        stamps.check_drift(now - self.started[0], passed)
        if not parts:
            return [], []
        ats = list(stamps.assign([part.size for part in parts], held.last, Micros(now + rules.LEAD)))
        ats[-1] = stamps.round_up(ats[-1], now)
        stamps.check_backlog(ats[-1], now)
        size = len(held.statements)
        rows = [
            Statement(
                *(held.number, size + index, at, by, version or held.agreement_version),
                part.body,
                part.signatures,
            )
            for index, (at, part) in enumerate(zip(ats, parts, strict=True))
        ]
        entries = [
            Micros(stamp)
            for at, part in zip(ats, parts, strict=True)
            for stamp in stamps.entry_stamps(at, part.size)
        ]
        return entries, rows

    def put_credential(self, credential: Credential) -> None:
        """Insert a credential, or replace it by its id; raises Conflict as `ports.Registry` says."""
        for one in self.credentials.values():
            if one.id != credential.id and (one.name == credential.name or one.digest == credential.digest):
                raise Conflict("Another credential has this name, secret or key")
        held = self.credentials.get(credential.id)
        back = held is not None and held.revoked is not None and credential.revoked is None
        if held is not None and (back or held.kind != credential.kind):
            raise Conflict("The credential was revoked meanwhile, or is of another kind")
        self.credentials[credential.id] = credential

    def note(self, event: AccessEvent) -> None:
        """Keep an event until somebody settles it."""
        self.pending.setdefault(event.req, event)


def _same(one: MemoryObject | Staged, cited: Cited) -> bool:
    return (one.candidate.id, one.candidate.digest) == (cited.id, cited.digest)


def everything(held: MemoryCollection) -> list[MemoryObject | Staged]:
    """Return what is live and what is staged."""
    return [*held.live, *held.staged]


def keep(held: MemoryCollection, rows: Sequence[Statement]) -> None:
    """Append statement rows."""
    held.statements += rows
    held.last = rows[-1].at if rows else held.last


def held_sets(held: MemoryCollection, *, gone: Iterable[MemoryObject | Staged] = ()) -> list[HeldSet]:
    """Count what a collection holds by set and owner, less what is `gone`."""
    left_out = {id(one) for one in gone}
    counts: dict[tuple[MarkingSet, str], tuple[int, int]] = {}
    for one in everything(held):
        if id(one) not in left_out:
            live, staged = counts.get((one.marks, one.owner), (0, 0))
            is_live = isinstance(one, MemoryObject)
            counts[one.marks, one.owner] = live + is_live, staged + (not is_live)
    return [HeldSet(*place, *some) for place, some in counts.items()]


def definitions(held: MemoryCollection, ids: Sequence[str]) -> list[Definition]:
    """Return the marking definitions with these ids that a collection holds, live or staged."""
    return [
        Definition(
            one.candidate.id,
            one.candidate.digest,
            one.candidate.body,
            one.owner,
            held.number,
            isinstance(one, Staged),
        )
        for one in everything(held)
        if one.candidate.type == DEFINITION and one.candidate.id in ids
    ]
