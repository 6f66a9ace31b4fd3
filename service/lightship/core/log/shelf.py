"""Where what a log says is put: object versions and the statements of keys, found by what they are asked for.

The rules stand in `held` and `ledger`; a shelf only keeps. `MemoryShelf` keeps in memory, a consumer's file
keeps what is larger than that. No method is slower for an id with many versions than for one with few.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from lightship.core.collection import WithdrawReason
from lightship.core.log.findings import Failure
from lightship.core.time import Instant, Micros


@dataclass(slots=True)
class LoggedVersion:
    """One object version as the log has it.

    Args:
        digest: hex SHA-256 of its JCS bytes.  owner: the member that added it.
        key: the publish key that signed its add, empty if the hub attests it.
        index: the leaf of its (last) add.  stamp: its `date_added`.
        problem: what is wrong with that leaf, None if nothing.
        withdrawn: why it left, None while it is live.  gone: the leaf in which it left.
        place: its number on the shelf, in the order of first adds; given by the shelf.
        owed: whether the hub has not handed it out although it must.
    """

    id: str
    version: str
    digest: str
    owner: str
    key: str
    index: int
    stamp: Micros
    problem: Failure | None = None
    withdrawn: WithdrawReason | None = None
    gone: int = -1
    place: int = 0
    owed: bool = False

    @property
    def live(self) -> bool:
        """Whether readers must get it."""
        return self.withdrawn is None and self.problem is None


class Shelf(Protocol):
    """What a shelf does. What it gives is a copy or not: a change counts once `change` was called."""

    def version(self, object_id: str, instant: Instant) -> LoggedVersion | None:
        """Return a version of an object, None if no entry ever added it."""

    def of(self, object_id: str) -> Iterator[LoggedVersion]:
        """Yield the versions of an object, the first added first; there may be many."""

    def first(self, object_id: str) -> LoggedVersion | None:
        """Return the version that was added first of those with no problem."""

    def knows(self, object_id: str) -> bool:
        """True if any version of it was added, rightly or not."""

    def put(self, held: LoggedVersion, instant: Instant) -> None:
        """Put a version in that is not there."""

    def change(self, held: LoggedVersion) -> None:
        """Keep what a version has become; id and instant are the same as before."""

    def after(self, stamp: Micros) -> Iterator[LoggedVersion]:
        """Yield the versions whose (last) add has a later stamp, in order of the stamps."""

    def of_key(self, key: str, first: int) -> Iterator[LoggedVersion]:
        """Yield the live versions that a key added from leaf `first` on; they may be changed meanwhile."""

    def owed(self) -> Micros | None:
        """Return the stamp of the first live version that is owed, None if nothing is."""

    def statement(self, key: str, seq: int) -> tuple[str, int] | None:
        """Return the payload digest and leaf of what a key had logged under a number."""

    def put_statement(self, key: str, seq: int, digest: str, index: int) -> None:
        """Keep what a key had logged under a number that was free."""

    def last_statement(self, key: str) -> tuple[int, str]:
        """Return the highest number of a key and its payload digest; (0, "") before the first."""


class MemoryShelf:
    """A shelf in memory."""

    def __init__(self) -> None:
        self._versions: dict[str, dict[Instant, LoggedVersion]] = {}
        self._first: dict[str, LoggedVersion] = {}
        self._order: list[tuple[Micros, LoggedVersion]] = []
        self._statements: dict[str, dict[int, tuple[str, int]]] = {}
        self._places = 0

    def __iter__(self) -> Iterator[LoggedVersion]:
        for versions in self._versions.values():
            yield from versions.values()

    def version(self, object_id: str, instant: Instant) -> LoggedVersion | None:
        """As `Shelf`."""
        return self._versions.get(object_id, {}).get(instant)

    def of(self, object_id: str) -> Iterator[LoggedVersion]:
        """As `Shelf`."""
        yield from self._versions.get(object_id, {}).values()

    def first(self, object_id: str) -> LoggedVersion | None:
        """As `Shelf`."""
        return self._first.get(object_id)

    def knows(self, object_id: str) -> bool:
        """As `Shelf`."""
        return object_id in self._versions

    def put(self, held: LoggedVersion, instant: Instant) -> None:
        """As `Shelf`."""
        self._places += 1
        held.place = self._places
        self._versions.setdefault(held.id, {})[instant] = held
        self.change(held)

    def change(self, held: LoggedVersion) -> None:
        """As `Shelf`."""
        if held.problem is None:
            first = self._first.get(held.id)
            if first is None or held.place < first.place:
                self._first[held.id] = held
        if not self._order or self._order[-1][1] is not held or self._order[-1][0] != held.stamp:
            self._order.append((held.stamp, held))
            if len(self._order) > 1 and self._order[-2][0] > held.stamp:
                self._order.sort(key=lambda one: one[0])

    def after(self, stamp: Micros) -> Iterator[LoggedVersion]:
        """As `Shelf`."""
        seen = set()
        for added, held in self._order[bisect_right(self._order, stamp, key=lambda one: one[0]) :]:
            if held.stamp == added and held.place not in seen:
                seen.add(held.place)
                yield held

    def of_key(self, key: str, first: int) -> Iterator[LoggedVersion]:
        """As `Shelf`."""
        yield from [held for held in self if held.key == key and held.index >= first and held.live]

    def owed(self) -> Micros | None:
        """As `Shelf`."""
        return min((held.stamp for held in self if held.owed and held.live), default=None)

    def statement(self, key: str, seq: int) -> tuple[str, int] | None:
        """As `Shelf`."""
        return self._statements.get(key, {}).get(seq)

    def put_statement(self, key: str, seq: int, digest: str, index: int) -> None:
        """As `Shelf`."""
        self._statements.setdefault(key, {})[seq] = (digest, index)

    def last_statement(self, key: str) -> tuple[int, str]:
        """As `Shelf`."""
        logged = self._statements.get(key, {})
        last = max(logged, default=0)
        return last, logged[last][0] if last else ""
