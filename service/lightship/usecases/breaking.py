"""What is held that a new version of an agreement would show to somebody it was not meant for.

An object is in a collection only if its markings allow every member of the audience to have it. That is
decided at the door, and again for everything held, old versions and staged objects too, when an agreement
changes: once a marking set and owner, never once an object. Only this counts for what is held; a lower
ceiling, other authors and other settings are about what is posted from now on. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lightship.core.access import Action, Decision, Grant, System
from lightship.core.agreement import Agreement
from lightship.core.collection import Collection
from lightship.core.marks import MarkingSet
from lightship.core.ports import Decisions, HeldSet, Reader, Registry, Row
from lightship.core.time import Micros

NAMED = 20
"""Objects that are named, of those that would break the rule."""
NAMED_MEMBERS = 5
"""Members that a sentence names, of those that may not have one object."""
_READER = System("agreement check")

Listed = Mapping[str, Sequence[str]]
"""Collection id -> ids of the objects that the change itself withdraws."""


@dataclass(frozen=True, slots=True)
class Breach:
    """An object version that `members` may not have, and why; `collection` is the alias.

    `owner` is the member that posted it; `staged` says that it still waits for its release.
    """

    collection: str
    object_id: str
    type: str
    version: str
    owner: str
    members: tuple[str, ...]
    rule: str
    why: str
    staged: bool

    @property
    def who(self) -> str:
        """The members by name; of many the first."""
        more = len(self.members) - NAMED_MEMBERS
        named = ", ".join(self.members[:NAMED_MEMBERS])
        return f"{named} and {more} more" if more > 0 else named


@dataclass(frozen=True, slots=True)
class Breaches:
    """How many object versions would break the rule, and the first of them."""

    total: int = 0
    named: tuple[Breach, ...] = ()

    def sentences(self) -> list[str]:
        """Say it in words: one sentence an object, and how many more there are."""
        said = []
        for one in self.named:
            staged = ", staged" if one.staged else ""
            version = f" version {one.version}" if one.version else ""
            said.append(
                f"`{one.collection}`: {one.object_id}{version} (of `{one.owner}`{staged}) is not for"
                f" {one.who}: {one.why} ({one.rule})"
            )
        if self.total > len(self.named):
            said.append(f"{self.total - len(self.named)} more object versions are not for members either")
        return said


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """An object that the change withdraws, and how many of its versions are held, staged ones included."""

    collection: str
    object_id: str
    versions: int


@dataclass(frozen=True, slots=True)
class Stranded:
    """A staged object that would not be released any more: its collection takes only signed statements.

    `collection` is the alias, `owner` its member, `release_at` in microseconds.
    """

    collection: str
    object_id: str
    version: str
    owner: str
    release_at: Micros


class Admission:
    """Decides about what is held under one version of an agreement; what was asked before comes back at once.

    Args:
        decisions: the rules.
        agreement: the version that would be in force; the numbers of its collections do not matter.
    """

    def __init__(self, decisions: Decisions, agreement: Agreement) -> None:
        self._decisions = decisions
        self._agreement = agreement
        self._collections = {one.id: one for one in agreement.collections}
        self._known: dict[tuple[str, str, MarkingSet], Decision] = {}

    def __call__(self, collection: str, held: HeldSet) -> bool:
        """True if every member of the audience may have it."""
        return self.decision(collection, held).allowed

    def decision(self, collection: str, held: HeldSet) -> Decision:
        """Return the decision about a set that the collection with this id holds."""
        key = (collection, held.owner, held.marks)
        found = self._known.get(key)
        if found is None:
            place = self._collections[collection]
            found = self._decisions.admits(place, self._agreement, held.owner, held.marks)
            self._known[key] = found
        return found

    def excluded(self, collection: str, held: HeldSet) -> tuple[str, ...]:
        """Return the members of the audience that may not have it."""
        place = self._collections[collection]
        return tuple(
            member
            for member in sorted(place.audience)
            if not self._decisions.receive(member, place, self._agreement, held.owner, held.marks).allowed
        )


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the collections of one version of an agreement hold now, and what of it the change withdraws."""

    reader: Reader
    grants: Mapping[str, Grant]
    listed: Listed

    def sets(self) -> list[tuple[str, HeldSet]]:
        """Return (collection id, set) of all that is held."""
        return [(key, one) for key, grant in self.grants.items() for one in self.reader.held_sets(grant)]

    def breaches(self, admission: Admission, sets: Sequence[tuple[str, HeldSet]]) -> Breaches:
        """Return what of these sets would break the rule, without what the change withdraws."""
        total, named = 0, list[Breach]()
        refused: dict[str, list[HeldSet]] = {}
        for key, held in sets:
            if not admission(key, held):
                refused.setdefault(key, []).append(held)
        for key, theirs in refused.items():
            gone = self.listed.get(key, ())
            found = self.reader.holding(self.grants[key], theirs, NAMED - len(named), without=gone)
            total += found.total  # what was withdrawn meanwhile breaks nothing
            members: dict[HeldSet, tuple[str, ...]] = {}
            for held, row in found.rows:
                if held not in members:
                    members[held] = admission.excluded(key, held)
                named.append(self._breach(admission.decision(key, held), key, held, row, members[held]))
        return Breaches(total, tuple(named))

    def withdrawals(self) -> tuple[Withdrawal, ...]:
        """Return what the change withdraws, object by object; what is not held has no versions."""
        found = []
        for key, ids in self.listed.items():
            grant = self.grants.get(key)
            staged = self._staged(grant) if grant else []
            alias = grant.collection.alias if grant else ""
            for one in ids:
                live = self._versions(grant, one) if grant else 0
                found.append(Withdrawal(alias, one, live + staged.count(one)))
        return tuple(found)

    def stranded(self, since: Mapping[str, bool]) -> tuple[Stranded, ...]:
        """Return what waits where only signed statements will be taken, and is not withdrawn by the change.

        `since`: collection id -> whether it takes only these already.
        """
        found = []
        for key, grant in self.grants.items():
            place = grant.collection
            if place.settings.require_signature and not since.get(key, False):
                listed = frozenset(self.listed.get(key, ()))
                found += [
                    Stranded(
                        place.alias, one.candidate.id, one.candidate.version_text, one.owner, one.release_at
                    )
                    for one in self.reader.staged(grant, "")
                    if one.candidate.id not in listed
                ]
        return tuple(found)

    def _breach(
        self, decision: Decision, key: str, held: HeldSet, row: Row, members: tuple[str, ...]
    ) -> Breach:
        return Breach(
            collection=self.grants[key].collection.alias,
            object_id=row.id,
            type=row.type,
            version=row.version_text,
            owner=held.owner,
            members=members,
            rule=decision.rule,
            why=decision.say,
            staged=row.key == 0,
        )

    def _versions(self, grant: Grant, object_id: str) -> int:
        return sum(gone is None for _, gone in self.reader.added(grant, object_id))

    def _staged(self, grant: Grant) -> list[str]:
        return [one.candidate.id for one in self.reader.staged(grant, "")]


def holdings(registry: Registry, reader: Reader, new: Agreement, listed: Listed) -> Holdings:
    """Return what the collections of `new` hold, as far as they are known to the store already.

    Args:
        registry, reader: the store.
        new: the version that would be in force.
        listed: what the change withdraws.
    """
    numbers, epoch = registry.collection_numbers(), registry.epoch()
    known: list[Collection] = [
        replace(one, number=numbers[one.id]) for one in new.collections if one.id in numbers
    ]
    grants = {one.id: Grant(_READER, Action.READ, one, epoch) for one in known}
    return Holdings(reader, grants, listed)
