"""Marking definitions within an agreement: one digest an id, cited only while held, kept while cited.

They are looked up among objects and staged objects of all collections of the agreement, inside the
transaction. Several members may have other bytes staged under one id: what enters first is what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lightship.core.collection import Candidate, Verdict
from lightship.core.marks import Cited, MarkingSet
from lightship.storage.sqlite.marks import Counts
from lightship.storage.sqlite.transaction import Head, Transaction

DEFINITION = "marking-definition"

Judge = Callable[[Candidate], Verdict]


@dataclass(frozen=True, slots=True)
class _Found:
    """The digests under one id in an agreement; `staged` by (owner, collection)."""

    live: set[bytes] = field(default_factory=set)
    withdrawn: set[bytes] = field(default_factory=set)
    staged: dict[tuple[str, int], bytes] = field(default_factory=dict)


class Known:
    """What candidates of one request may cite: what is held, and what enters with them."""

    def __init__(self, txn: Transaction, head: Head) -> None:
        self._txn = txn
        self._numbers = txn.siblings(head.agreement)
        self._held: dict[Cited, bool] = {}
        self._entering: set[Cited] = set()

    def expect(self, posted: Sequence[tuple[Candidate, MarkingSet]], judge: Judge) -> None:
        """Learn which of the definitions posted together will enter: those that cite no stranger.

        Of several under one id only the first can.
        """
        cites: dict[Cited, tuple[Cited, ...]] = {}
        seen: set[str] = set()
        for one, marks in posted:
            if one.type == DEFINITION and one.id not in seen and judge(one) is Verdict.ADD:
                seen.add(one.id)
                cites[Cited(one.id, one.digest)] = marks.cites
        self._entering = set(cites)
        while lost := {one for one in self._entering if not self.all_of(cites[one])}:
            self._entering -= lost

    def all_of(self, cites: Iterable[Cited]) -> bool:
        """True if every one of these definitions is held, or enters with the request."""
        return all(one in self._entering or self._is_held(one) for one in cites)

    def _is_held(self, cited: Cited) -> bool:
        known = self._held.get(cited)
        if known is None:
            found = _found(self._txn, self._numbers, cited.id)
            waits = cited.digest in found.staged.values() and found.live | found.withdrawn <= {cited.digest}
            known = self._held[cited] = cited.digest in found.live or waits
        return known


def contradicts(txn: Transaction, head: Head, candidate: Candidate, member: str) -> bool:
    """True if a definition's id stands for other bytes: live, withdrawn, or staged by the same member.

    What somebody else has staged is not told, unless something live cites it already.
    """
    numbers = txn.siblings(head.agreement)
    found = _found(txn, numbers, candidate.id)
    same = {candidate.digest}
    own = {digest for (owner, _), digest in found.staged.items() if owner == member}
    if (found.live | found.withdrawn | own) - same:
        return True
    others = set(found.staged.values()) - same
    return bool(others) and any(
        Cited(candidate.id, one) in txn.held_sets.cited(numbers, live_only=True) for one in others
    )


def lost(txn: Transaction, agreement: str, gone: Counts, taken: Iterable[tuple[Cited, int]]) -> set[str]:
    """Return the definitions whose last copy would go while something that stays cites them.

    Args:
        gone: all that would go, by place.
        taken: (definition, copies that would go) of the definitions among it.
    """
    numbers = txn.siblings(agreement)
    last = {one for one, copies in taken if sum(_copies(txn, number, one) for number in numbers) <= copies}
    return {one.id for one in last & txn.held_sets.cited(numbers, gone)} if last else set()


def _found(txn: Transaction, numbers: Sequence[int], object_id: str) -> _Found:
    txn.load((number, object_id) for number in numbers)
    found = _Found()
    for number in numbers:
        for version in txn.versions(number, object_id):
            (found.live if version.held.withdrawn is None else found.withdrawn).add(version.held.digest)
        for one in txn.staging.of(number, object_id):
            found.staged[one.owner, number] = one.held.digest
    return found


def _copies(txn: Transaction, number: int, cited: Cited) -> int:
    live = sum(
        one.held.withdrawn is None and one.held.digest == cited.digest
        for one in txn.versions(number, cited.id)
    )
    return live + sum(one.held.digest == cited.digest for one in txn.staging.of(number, cited.id))
