"""Marking definitions within an agreement: one digest an id, cited only while held, kept while cited.

They are looked up among objects and staged objects of all collections of the agreement, inside the
transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lightship.core.collection import Candidate, Verdict
from lightship.core.marks import Cited, MarkingSet
from lightship.storage.sqlite.marks import Counts
from lightship.storage.sqlite.transaction import Head, Transaction

DEFINITION = "marking-definition"

Judge = Callable[[Candidate], Verdict]


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
            digests = _digests(self._txn, self._numbers, cited.id, withdrawn=False)
            known = self._held[cited] = cited.digest in digests
        return known


def contradicts(txn: Transaction, head: Head, candidate: Candidate) -> bool:
    """True if a definition's id stands for other bytes anywhere in the agreement, withdrawn or staged."""
    found = _digests(txn, txn.siblings(head.agreement), candidate.id, withdrawn=True)
    return bool(found - {candidate.digest})


def lost(txn: Transaction, agreement: str, gone: Counts, taken: Iterable[tuple[str, int]]) -> set[str]:
    """Return the definitions whose last copy would go while something that stays cites them.

    Args:
        gone: all that would go, by place.
        taken: (id, copies that would go) of the definitions among it.
    """
    numbers = txn.siblings(agreement)
    last = {
        object_id
        for object_id, copies in taken
        if sum(_copies(txn, number, object_id) for number in numbers) <= copies
    }
    return last & txn.held_sets.cited(numbers, gone) if last else set()


def _digests(txn: Transaction, numbers: Sequence[int], object_id: str, *, withdrawn: bool) -> set[bytes]:
    txn.load((number, object_id) for number in numbers)
    found = set()
    for number in numbers:
        for version in txn.versions(number, object_id):
            if withdrawn or version.held.withdrawn is None:
                found.add(version.held.digest)
        found.update(one.held.digest for one in txn.staging.of(number, object_id))
    return found


def _copies(txn: Transaction, number: int, object_id: str) -> int:
    live = sum(one.held.withdrawn is None for one in txn.versions(number, object_id))
    return live + len(txn.staging.of(number, object_id))
