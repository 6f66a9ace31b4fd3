"""What the store in memory keeps, and which rows pass a filter: said once more, as plainly as possible.

Nothing is indexed, counted or flagged, so that it can judge the embedded store's indexes, counts and flags.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from lightship.core.collection import Candidate, Held, WithdrawReason, foreseen, stamp_of
from lightship.core.marks import MarkingSet
from lightship.core.ports import HeldSet, Logged, Row, Staged
from lightship.core.query import Filters
from lightship.core.time import Instant, Micros, format_stamp, parse_instant
from lightship.storage.statements import Statement

KEPT_DROPS = 10_000


@dataclass(frozen=True, slots=True)
class MemoryObject:
    """A live object version and who added it; key 0 for one that is staged."""

    key: int
    candidate: Candidate
    owner: str
    marks: MarkingSet

    def row(self, *, body: bool = False) -> Row:
        """Return the row that readers get, with its body or without."""
        one = self.candidate
        return Row(self.key, one.id, one.type, one.spec_version, one.version_text, one.body if body else b"")


@dataclass(frozen=True, slots=True)
class Tomb:
    """A withdrawn version: what stays known of it, when it was added and when withdrawn."""

    held: Held
    added: Micros
    at: Micros


@dataclass(slots=True)
class MemoryCollection:
    """What a collection holds; `dropped` are (generation, key), oldest first."""

    number: int
    id: str
    agreement: str
    agreement_version: int
    hub: str
    generation: int = 0
    last: Micros = Micros(0)
    last_added: Micros = Micros(0)
    live: list[MemoryObject] = field(default_factory=list)
    staged: list[Staged] = field(default_factory=list)
    withdrawn: dict[tuple[str, str], Tomb] = field(default_factory=dict)
    dropped: list[tuple[int, int]] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    chains: dict[str, tuple[int, str]] = field(default_factory=dict)
    """`seq` and payload digest of what each publish key had logged last."""
    signed: dict[str, Logged] = field(default_factory=dict)
    """Payload digest -> what was answered."""

    def of(self, object_id: str) -> list[MemoryObject]:
        """Return the live versions of an object."""
        return [one for one in self.live if one.candidate.id == object_id]

    def visibility(self, ids: Iterable[str]) -> dict[int, tuple[bool, bool, bool]]:
        """Return (last, first, of the highest spec_version) of each live version of objects, by key."""
        found = {}
        for object_id in set(ids):
            rows = self.of(object_id)
            for one in rows:
                found[one.key] = (_is_last(one, rows), _is_first(one, rows), _is_top(one, rows))
        return found

    def drop(self, before: dict[int, tuple[bool, bool, bool]], ids: Iterable[str]) -> None:
        """Record the rows of these objects whose visibility is another one than `before`."""
        after = self.visibility(ids)
        for key in sorted(key for key, seen in before.items() if after.get(key) != seen):
            self.generation += 1
            self.dropped.append((self.generation, key))
        del self.dropped[:-KEPT_DROPS]

    def take_out(self, picked: Sequence[MemoryObject], reason: WithdrawReason, at: Micros) -> None:
        """Erase versions; what they were stays known."""
        ids = [one.candidate.id for one in picked]
        before = self.visibility(ids)
        gone = {one.key for one in picked}
        self.live = [one for one in self.live if one.key not in gone]
        for one in picked:
            tomb = Tomb(as_held(one.candidate, one.owner, reason), stamp_of(one.key), at)
            self.withdrawn[one.candidate.id, one.candidate.version] = tomb
        self.drop(before, ids)

    def let_in(self, added: Sequence[MemoryObject]) -> None:
        """Add versions."""
        ids = [one.candidate.id for one in added]
        before = self.visibility(ids)
        for one in added:
            self.live.append(one)
            self.withdrawn.pop((one.candidate.id, one.candidate.version), None)
        self.drop(before, ids)


def as_held(one: Candidate, owner: str, reason: WithdrawReason | None = None) -> Held:
    """Return what is held of a version."""
    return Held(one.spec_version, one.version, one.digest, owner, reason)


def held_of(held: MemoryCollection, object_id: str) -> list[Held]:
    """Return all that is held of an object, live versions first."""
    live = [as_held(one.candidate, one.owner) for one in held.of(object_id)]
    return live + [one.held for (id_, _), one in held.withdrawn.items() if id_ == object_id]


def holding(
    held: MemoryCollection, sets: Sequence[HeldSet], without: AbstractSet[str], staged_of: str
) -> list[tuple[HeldSet, Row]]:
    """Return the rows of some sets and owners in key order, then staged ones."""
    wanted = {(one.marks, one.owner): one for one in sets}
    rows = sorted(held.live, key=lambda one: one.key)
    rows += [
        MemoryObject(0, one.candidate, one.owner, one.marks)
        for one in held.staged
        if staged_of in ("", one.owner)
    ]
    return [
        (wanted[one.marks, one.owner], one.row())
        for one in rows
        if (one.marks, one.owner) in wanted and one.candidate.id not in without
    ]


def waiting(held: MemoryCollection, owner: str) -> list[Staged]:
    """Return what an owner ('' for all) has staged, by release, with what rules its release out."""
    found = []
    for one in held.staged:
        if owner in ("", one.owner):
            known = held_of(held, one.candidate.id)
            found.append(replace(one, problem=one.problem or foreseen(known, one.candidate, one.owner)))
    return sorted(found, key=lambda one: (one.release_at, one.number))


def _is_last(one: MemoryObject, rows: list[MemoryObject]) -> bool:
    same = [row.candidate for row in rows if row.candidate.spec_version == one.candidate.spec_version]
    return one.candidate.version == max(row.version for row in same)


def _is_first(one: MemoryObject, rows: list[MemoryObject]) -> bool:
    same = [row.candidate for row in rows if row.candidate.spec_version == one.candidate.spec_version]
    return one.candidate.version == min(row.version for row in same)


def _is_top(one: MemoryObject, rows: list[MemoryObject]) -> bool:
    return one.candidate.spec_version == max(row.candidate.spec_version for row in rows)


def matches(one: MemoryObject, rows: list[MemoryObject], filters: Filters) -> bool:
    """True if a row passes; `rows` are all rows of the same object that count."""
    candidate, versions = one.candidate, filters.versions
    if filters.ids and candidate.id not in filters.ids:
        return False
    if filters.types and candidate.type not in filters.types:
        return False
    if filters.spec_versions and candidate.spec_version not in filters.spec_versions:
        return False
    if not filters.spec_versions and not _is_top(one, rows):
        return False
    shown = candidate.version or Instant(parse_instant(format_stamp(stamp_of(one.key))))
    return (
        versions.every
        or (versions.last and _is_last(one, rows))
        or (versions.first and _is_first(one, rows))
        or shown in versions.instants
    )
