"""Reads of object versions, of what is staged and of what is held by marking set, and of status resources.

Every read takes a grant or a principal.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from lightship.core.access import Grant, Principal
from lightship.core.collection import Candidate
from lightship.core.marks import Definition, MarkingSet
from lightship.core.query import Filters, Query
from lightship.core.time import Micros


@dataclass(frozen=True, slots=True)
class Row:
    """One stored object version. `key` packs collection and `date_added` (collection.pack).

    `version_text` is empty for objects without a version: callers show `date_added` then.
    `body` is empty when it was not asked for.
    """

    key: int
    id: str
    type: str
    spec_version: str
    version_text: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in ascending key order; `more` is True exactly when a further row matches after the last one."""

    rows: tuple[Row, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class CollectionState:
    """The one row that every request reads.

    Args:
        epoch: policy epoch of the hub; changes with agreements, credentials, suspensions.
        generation: rises by one with each row of the collection whose visibility changed.
        size: statements so far (the later log's size).
        last: stamp of the newest row ever added, 0 if none (statements without objects take stamps too).
        objects: live object versions.  stored_bytes: sum of their bodies.
    """

    epoch: int
    generation: int
    size: int
    last: Micros
    objects: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class HeldSet:
    """How many object versions of one owner carry one marking set in a collection.

    `live` counts every version that can still be read, old ones too; `staged` what waits for its release.
    """

    marks: MarkingSet
    owner: str
    live: int
    staged: int


@dataclass(frozen=True, slots=True)
class Holding:
    """Object versions of some marking sets and owners: how many there are, and some, each with its set.

    Rows have no bodies. Those that are live come first, in key order, then staged ones (key 0).
    """

    total: int
    rows: tuple[tuple[HeldSet, Row], ...]


@dataclass(frozen=True, slots=True)
class Staged:
    """An object version that waits outside its collection for its release.

    `number` is the store's. `problem` says why its release failed; while it has not, `Reader.staged` says why
    it will.
    """

    number: int
    candidate: Candidate
    marks: MarkingSet
    owner: str
    posted: Micros
    release_at: Micros
    problem: str = ""


class Reader(Protocol):
    """Reads of object versions.

    - A read MUST see every write whose future had completed in any process before the read began.
    - One call MUST see one committed state, never half of a transaction.
    - `page` MUST return rows in ascending key order, each once, only of `grant.collection`, and MUST NOT
      return a row whose version is superseded under `filters`, withdrawn, or erased.
    - `page` MUST stop before `max_bytes` of bodies would be passed, but MUST return one row at least if
      one matches; its cost MUST NOT grow with the size of the collection (no COUNT, no OFFSET).
    - Callers MAY call from several threads at once.
    """

    def state(self, grant: Grant) -> CollectionState: ...

    def page(self, grant: Grant, query: Query, *, bodies: bool, max_bytes: int) -> Page: ...

    def first_after(self, grant: Grant, filters: Filters, after: Micros) -> int | None:
        """Return the key of the first matching row after `after`, so that equal pages share a cache key."""
        ...

    def dropped_since(self, grant: Grant, generation: int) -> Sequence[int] | None:
        """Return the keys whose visibility changed after `generation`, oldest first.

        Superseded and withdrawn rows are among them, and rows that a withdrawal made the latest again.

        None when the list no longer reaches back that far: the caller MUST then forget everything cached.
        """
        ...

    def exists(self, grant: Grant, object_id: str) -> bool:
        """True if any live version of the object is in the collection."""
        ...

    def added(self, grant: Grant, object_id: str) -> Sequence[tuple[Micros, Micros | None]]:
        """Return (date_added, when withdrawn or None) of every version of an object, oldest first.

        `date_added` is 0 for what a Lightship without this record withdrew.
        """
        ...

    def definitions(
        self, grant: Grant, collections: Sequence[int], ids: Sequence[str]
    ) -> Sequence[Definition]:
        """Return the marking definitions with these ids that these collections hold, live or staged.

        `collections` are numbers of the grant's agreement; its cost MUST NOT grow with what they hold.
        """
        ...

    def held_sets(self, grant: Grant) -> Sequence[HeldSet]:
        """Return what the grant's collection holds, by marking set and owner.

        Old versions and staged objects are included; its cost MUST NOT grow with the number of objects.
        """
        ...

    def holding(
        self,
        grant: Grant,
        sets: Sequence[HeldSet],
        limit: int,
        *,
        without: Collection[str] = (),
        staged_of: str = "",
    ) -> Holding:
        """Return how many versions of these sets and owners there are, and at most `limit` of them.

        They are for naming. One look for all sets: it may be slow, but nobody needs a second one.

        Args:
            without: ids of objects that do not count.
            staged_of: of what waits for its release only what this owner has ('' for all) counts.
        """
        ...

    def staged(self, grant: Grant, owner: str) -> Sequence[Staged]:
        """Return what `owner` ('' for all) has waiting in the grant's collection, by release, then by number.

        A `problem` MUST be told as soon as what is held rules its release out (`collection.foreseen`): its
        publisher then has time to go another way.
        `candidate.position` is 0 and `candidate.warnings` are empty.
        """
        ...

    def due(self, grant: Grant, now: Micros, *, failed: bool, after: int, limit: int) -> Sequence[Staged]:
        """Return at most `limit` staged objects of all owners whose release is not after `now`.

        By number, from the first number above `after` on. Those with a `problem` only where `failed` asks for
        them too.
        """
        ...

    def next_due(self, grants: Sequence[Grant], after: Micros) -> Micros | None:
        """Return the earliest moment after `after` at which something becomes due, None if nothing does.

        The release of a staged object (those that failed are not counted) or a live one's `share_until`, in
        any of these collections.
        """
        ...


class Statuses(Protocol):
    """Status resources, kept 24 h at least; a status belongs to the credential that posted it."""

    def status(self, principal: Principal, status_id: str) -> bytes | None:
        """Return the status JSON, None if there is none *for this principal*."""
        ...
