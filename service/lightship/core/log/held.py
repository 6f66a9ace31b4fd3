"""Which object versions a collection holds according to its log, and the rules of adding and withdrawing.

The same rules as the hub's own (`core.collection.judge`), worked out again from the log alone: one digest
for an id and version for ever, the first member to add an object owns it, and only what its publisher
withdrew may come back. An entry that breaks one changes nothing that was right before.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightship.core.collection import WithdrawReason
from lightship.core.ids import type_of
from lightship.core.log.findings import Failure
from lightship.core.log.shelf import LoggedVersion, MemoryShelf, Shelf
from lightship.core.log.statement import Add, Withdrawal
from lightship.core.time import NO_INSTANT, Instant, Micros

UNOWNED = frozenset({"marking-definition", "extension-definition"})


class Holdings:
    """All object versions of one collection, on a shelf."""

    def __init__(self, shelf: Shelf | None = None) -> None:
        self.shelf: Shelf = MemoryShelf() if shelf is None else shelf

    def __iter__(self) -> Iterator[LoggedVersion]:
        return self.shelf.after(Micros(-1))

    def add(
        self, add: Add, by: str, key: str, index: int, stamp: Micros, problem: Failure | None
    ) -> Failure | None:
        """Take an add; return what is wrong with it, or with its leaf."""
        instant = add.instant
        there = self.shelf.version(add.id, instant)
        held = None if there is None or there.problem is not None else there
        # what was wrong does not stand in the way of what is right
        failure = problem or self._refusal(add, instant, by, held)
        if failure is not None and held is not None:
            return failure
        if there is None:
            self.shelf.put(
                LoggedVersion(add.id, add.version, add.digest, by, key, index, stamp, failure), instant
            )
        elif held is None:
            there.version, there.digest, there.owner = add.version, add.digest, by
            there.problem, there.withdrawn, there.gone = failure, None, -1
            self._renew(there, key, index, stamp)
        elif held.withdrawn is not None:  # what has no owner may come back by another member
            held.owner, held.withdrawn, held.gone = by, None, -1
            self._renew(held, key, index, stamp)
        return failure

    def _renew(self, held: LoggedVersion, key: str, index: int, stamp: Micros) -> None:
        held.key, held.index, held.stamp, held.owed = key, index, stamp, False
        self.shelf.change(held)

    def _refusal(self, add: Add, instant: Instant, by: str, held: LoggedVersion | None) -> Failure | None:
        if held is not None:
            if held.digest != add.digest:
                return Failure.CONFLICT
            if held.withdrawn is None:
                return None  # a later attestation of the same, by anybody
            if held.withdrawn is not WithdrawReason.PUBLISHER:
                return Failure.ADDED_AFTER_WITHDRAWAL
        if instant == NO_INSTANT or type_of(add.id) in UNOWNED:
            return None
        first = self.shelf.first(add.id)
        return Failure.NOT_OWNER if first is not None and first.owner != by else None

    def withdraw(
        self, entry: Withdrawal, by: str, key: str, index: int, ordered: frozenset[str]
    ) -> LoggedVersion | Failure:
        """Take a withdrawal and return what left, or what is wrong with it (then nothing leaves)."""
        held = self.shelf.version(entry.id, entry.instant)
        if held is None or held.problem is not None:
            return Failure.NOTHING_TO_WITHDRAW
        if entry.reason is WithdrawReason.DISTRUSTED:
            # The roster took it out already; the hub's statement says so to those who do not verify.
            return held if held.withdrawn is WithdrawReason.DISTRUSTED else Failure.NOT_DISTRUSTED
        if held.withdrawn is not None:
            return Failure.NOTHING_TO_WITHDRAW
        by_publisher = bool(key) or entry.reason is WithdrawReason.PUBLISHER
        if by_publisher and held.owner != by:
            return Failure.NOT_OWNER
        if entry.reason is WithdrawReason.ORDERED and entry.id not in ordered:
            return Failure.NOT_ORDERED
        return self.take_out(held, entry.reason, index)

    def take_out(self, held: LoggedVersion, reason: WithdrawReason, index: int) -> LoggedVersion:
        """Let a version leave in the leaf `index`."""
        held.withdrawn, held.gone, held.owed = reason, index, False
        self.shelf.change(held)
        return held

    def distrust(self, key: str, first: int, index: int) -> list[LoggedVersion]:
        """Take out what a stolen key added from leaf `first` on; return it."""
        return [
            self.take_out(held, WithdrawReason.DISTRUSTED, index) for held in self.shelf.of_key(key, first)
        ]
