"""Which object versions a collection holds according to its log, and the rules of adding and withdrawing.

The same rules as the hub's own (`core.collection.judge`), worked out again from the log alone: one digest
for an id and version for ever, the first member to add an object owns it, and only what its publisher
withdrew may come back. An entry that breaks one changes nothing that was right before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from lightship.core.collection import WithdrawReason
from lightship.core.ids import type_of
from lightship.core.log.findings import Failure
from lightship.core.log.statement import Add, Withdrawal
from lightship.core.time import NO_INSTANT, Instant, Micros

UNOWNED = frozenset({"marking-definition", "extension-definition"})


@dataclass(slots=True)
class Held:
    """One object version as the log has it.

    Args:
        digest: hex SHA-256 of its JCS bytes.  owner: the member that added it.
        key: the publish key that signed its add, empty if the hub attests it.
        index: the leaf of its (last) add.  stamp: its `date_added`.
        problem: what is wrong with that leaf, None if nothing.
        withdrawn: why it left, None while it is live.  gone: the leaf in which it left.
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

    @property
    def live(self) -> bool:
        """Whether readers must get it."""
        return self.withdrawn is None and self.problem is None


class Holdings:
    """All object versions of one collection, by id and version."""

    def __init__(self) -> None:
        self._versions: dict[str, dict[Instant, Held]] = {}
        self._order: list[tuple[Micros, Held]] = []

    def __iter__(self) -> Iterator[Held]:
        for versions in self._versions.values():
            yield from versions.values()

    def of(self, object_id: str) -> list[Held]:
        """Return what is known of an object, the first version added first."""
        return list(self._versions.get(object_id, {}).values())

    def after(self, stamp: Micros) -> Iterator[Held]:
        """Yield the versions whose last add has a later stamp, in order of the stamps."""
        start = bisect_right(self._order, stamp, key=lambda one: one[0])
        for added, held in self._order[start:]:
            if held.stamp == added:
                yield held

    def put(self, held: Held, instant: Instant) -> None:
        """Put a version in as it is (also when a kept state is loaded, in order of the stamps)."""
        self._versions.setdefault(held.id, {})[instant] = held
        self._order.append((held.stamp, held))

    def add(
        self, add: Add, by: str, key: str, index: int, stamp: Micros, problem: Failure | None
    ) -> Failure | None:
        """Take an add; return what is wrong with it, or with its leaf."""
        instant = add.instant
        held = self._versions.get(add.id, {}).get(instant)
        if held is not None and held.problem is not None:
            held = None  # what was wrong does not stand in the way of what is right
        failure = problem or self._refusal(add, instant, by, held)
        if failure is not None and held is not None:
            return failure
        if held is None:
            fresh = Held(add.id, add.version, add.digest, by, key, index, stamp, failure)
            self.put(fresh, instant)
        elif held.withdrawn is not None:
            held.key, held.index, held.stamp, held.withdrawn, held.gone = key, index, stamp, None, -1
            self._order.append((stamp, held))
        return failure

    def _refusal(self, add: Add, instant: Instant, by: str, held: Held | None) -> Failure | None:
        if held is not None:
            if held.digest != add.digest:
                return Failure.CONFLICT
            if held.withdrawn is None:
                return None  # a later attestation of the same, by anybody
            if held.withdrawn is not WithdrawReason.PUBLISHER:
                return Failure.ADDED_AFTER_WITHDRAWAL
        if instant == NO_INSTANT or type_of(add.id) in UNOWNED:
            return None
        first = next((one for one in self.of(add.id) if one.problem is None), None)
        return Failure.NOT_OWNER if first is not None and first.owner != by else None

    def withdraw(
        self, entry: Withdrawal, by: str, key: str, index: int, ordered: frozenset[str]
    ) -> Held | Failure:
        """Take a withdrawal and return what left, or what is wrong with it (then nothing leaves)."""
        held = self._versions.get(entry.id, {}).get(entry.instant)
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
        held.withdrawn, held.gone = entry.reason, index
        return held

    def distrust(self, key: str, first: int, index: int) -> list[Held]:
        """Take out what a stolen key added from leaf `first` on; return it."""
        taken = [held for held in self if held.key == key and held.index >= first and held.live]
        for held in taken:
            held.withdrawn, held.gone = WithdrawReason.DISTRUSTED, index
        return taken
