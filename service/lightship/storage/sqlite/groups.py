"""How a group of writes becomes one transaction: decide all, choose stamps late, write all.

Stamps lie ahead of the clock at COMMIT, so that no object becomes visible with a stamp that a poller's
clock has passed: a group that took too long is rolled back and gets new ones (TAXII 2.1 section 3.3).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import apsw

from lightship.core import stamps
from lightship.core.collection import LEAD, LEAST_LEAD, MAX_BACKLOG
from lightship.core.errors import Unavailable
from lightship.core.ports import Clock
from lightship.core.time import Micros
from lightship.storage.sqlite.access_tree import Sealer
from lightship.storage.sqlite.collection_vouch import Known, Vouching
from lightship.storage.sqlite.committer import Failed
from lightship.storage.sqlite.connection import FATAL
from lightship.storage.sqlite.transaction import Transaction, Writing

MAX_TRIES = 6
MAX_LEAD = MAX_BACKLOG // 2
"""A group that needs a longer lead than this, microseconds, is given up."""
ROW_MICROS = 15
"""About how long writing one object takes: the lead of a large group grows by it, so that one try does."""
LARGE = 1_000
"""Objects from which on a group is large."""


class Plan(Protocol):
    """A decided job."""

    @property
    def writings(self) -> Sequence[Writing]: ...

    def apply(self, txn: Transaction) -> object: ...


class Step(Protocol):
    """A job. `decide` may raise, and then MUST have left the working set and the rows as they were."""

    @property
    def weight(self) -> int: ...

    def needs(self) -> Iterable[tuple[int, str]]: ...

    def status_ids(self) -> Iterable[str]: ...

    def decide(self, txn: Transaction) -> Plan: ...


@dataclass(slots=True)
class Nothing:
    """A step that writes nothing, and its plan: what is settled is forgotten with it."""

    weight: int = 1
    writings: Sequence[Writing] = ()

    def needs(self) -> Iterable[tuple[int, str]]:
        """No object."""
        return ()

    def status_ids(self) -> Iterable[str]:
        """None."""
        return ()

    def decide(self, txn: Transaction) -> Plan:
        """Nothing to decide."""
        return self

    def apply(self, txn: Transaction) -> None:
        """Nothing to write."""


class Groups:
    """Runs groups of steps, and forgets settled events with them.

    `since` is wall clock and monotonic clock when the clock was right; by default now.
    """

    def __init__(
        self, clock: Clock, sealer: Sealer | None = None, since: tuple[Micros, Micros] | None = None
    ) -> None:
        self._clock = clock
        self._vouching = None if sealer is None else Vouching(sealer)
        self._grown: Mapping[int, Known] = {}
        self._started = since or (clock.now(), clock.monotonic())
        self._settled: deque[str] = deque()
        self._forgetting = 0

    def settle(self, reqs: Iterable[str]) -> None:
        """Note events that the next group forgets; never blocks."""
        self._settled.extend(reqs)

    def committed(self) -> None:
        """The group is durable: what it forgot needs no second time, what it wrote to the logs is known."""
        for _ in range(self._forgetting):
            self._settled.popleft()
        self._forgetting = 0
        if self._vouching is not None:
            self._vouching.learn(self._grown)

    def closing(self) -> Step | None:
        """Return a step for a last group if settled events wait for one."""
        return Nothing() if self._settled else None

    def run(self, db: apsw.Connection, steps: Sequence[Step]) -> list[object]:
        """Run a group inside the open transaction; one result or `Failed` for each step."""
        self._grown = {}
        self._forget(db)
        results: list[object] = [None] * len(steps)
        alive = list(range(len(steps)))
        lead = LEAD + ROW_MICROS * max(0, sum(step.weight for step in steps) - LARGE)
        tries = 0
        db.execute("SAVEPOINT steps")
        while tries < MAX_TRIES and lead <= MAX_LEAD:
            now = self._clock.now()
            passed = (now - self._started[0], self._clock.monotonic() - self._started[1])
            txn = Transaction(db, now, passed, self._vouching)
            plans = _decide(txn, steps, alive, results)
            target = Micros(self._clock.now() + lead)
            stamped = _stamp([one for plan in plans.values() for one in plan.writings], target, now)
            broken = _apply(txn, plans, results)
            if broken is None:
                txn.flush()
                finished = self._clock.now()
                if not stamped or finished + LEAST_LEAD <= target:
                    db.execute("RELEASE steps")
                    self._grown = txn.growth.grown
                    return results
                tries += 1
                lead = LEAD + 2 * (finished - now)
            else:
                alive.remove(broken)
            db.execute("ROLLBACK TO steps")
        raise Unavailable(
            "The hub is too busy to publish", why="stamps grew old before they were durable", todo="Try again"
        )

    def _forget(self, db: apsw.Connection) -> None:
        self._forgetting = len(self._settled)
        if self._forgetting:
            reqs = [(self._settled[index],) for index in range(self._forgetting)]
            db.executemany("DELETE FROM pending_event WHERE req = ?", reqs)


def _decide(
    txn: Transaction, steps: Sequence[Step], alive: Sequence[int], results: list[object]
) -> dict[int, Plan]:
    txn.load(pair for index in alive for pair in steps[index].needs())
    txn.load_statuses(one for index in alive for one in steps[index].status_ids())
    plans = {}
    for index in alive:
        try:
            plans[index] = steps[index].decide(txn)
        except FATAL:
            raise
        except Exception as error:
            results[index] = Failed(error)
    return plans


def _stamp(writings: Sequence[Writing], target: Micros, now: Micros) -> bool:
    """Choose the stamps of a transaction: each collection's last statement ends on a whole millisecond."""
    last_of = {one.head.number: one for one in writings if one.parts}
    for one in writings:
        if one.parts:
            ats = stamps.assign([part.size for part in one.parts], one.head.last, target)
            if last_of[one.head.number] is one:
                ats = (*ats[:-1], stamps.round_up(ats[-1], now))
            one.ats, one.head.last = ats, ats[-1]
    return bool(last_of)


def _apply(txn: Transaction, plans: dict[int, Plan], results: list[object]) -> int | None:
    """Write all plans in order. Returns the one that failed alone: the group is run again without it."""
    for index, plan in plans.items():
        try:
            results[index] = plan.apply(txn)
        except FATAL:
            raise
        except Exception as error:
            if not txn.db.in_transaction:
                raise
            results[index] = Failed(error)
            return index
    return None
