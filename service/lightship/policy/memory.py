"""What was decided, remembered by the identity of agreement and collection values.

Values never change, and those that an answer is for are kept alive, so that no other can take their
identity. A new version of an agreement is another value and makes everything be forgotten; a date that passes
or a suspension that begins or ends is another standing. So nothing outlives the epoch it was for. May be used
from several threads.
"""

from __future__ import annotations

import threading
from typing import Final, TypeVar

from lightship.core.access import Action, Decision
from lightship.core.agreement import Agreement, Member
from lightship.core.collection import Collection
from lightship.policy.cases import Verdict
from lightship.policy.facts import Asked, Facts, Kind, Received, Standing
from lightship.policy.rules import RuleSet

CACHED_DECISIONS: Final = 100_000
"""At most this many are kept; then all are forgotten."""
_NAMES_A_DECISION: Final = 4
"""A marking set with more names than this takes the place of several decisions."""

Crowd = tuple[tuple[Kind, tuple[Member, ...]], ...]
"""An audience by kind of member."""

_K = TypeVar("_K")
_V = TypeVar("_V")


class Memory:
    """Tables of answers; read them freely, write only by `keep`."""

    def __init__(self) -> None:
        self.actions: dict[tuple[int, int, str, Action, Standing], Decision] = {}
        self.objects: dict[tuple[int, int, str, Facts, Asked], Decision] = {}
        self.audiences: dict[tuple[int, int, str, Asked], Decision] = {}
        self.receipts: dict[tuple[int, int, Kind, Asked, Received], Verdict] = {}
        self.crowds: dict[tuple[int, int], Crowd] = {}
        self.owners: dict[int, dict[str, str]] = {}
        self.rules: dict[int, RuleSet] = {}
        self._tables = (
            *(self.actions, self.objects, self.audiences, self.receipts),
            *(self.crowds, self.owners, self.rules),
        )
        self._agreements: dict[str, Agreement] = {}
        self._collections: dict[int, Collection] = {}
        self._weight = 0
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """How many answers are held."""
        return len(self.actions) + len(self.objects) + len(self.audiences) + len(self.receipts)

    def keep(
        self,
        table: dict[_K, _V],
        key: _K,
        value: _V,
        agreement: Agreement,
        collection: Collection | None = None,
        asked: Asked | None = None,
    ) -> None:
        """Remember an answer, and the values that its key is about."""
        weight = 1 if asked is None else _weight(asked)
        with self._lock:
            self._hold(agreement, weight)
            if collection is not None:
                self._collections[id(collection)] = collection
            table[key] = value
            self._weight += weight

    def _hold(self, agreement: Agreement, weight: int) -> None:
        """Keep an agreement alive; forget everything if it replaces another version or too much is held.

        What is decided goes first, so that a reader never finds an answer whose values may be gone.
        """
        held = self._agreements.get(agreement.id)
        full = self._weight + weight > CACHED_DECISIONS
        if held is agreement and not full:
            return
        if held is not None or full:
            for table in self._tables:
                table.clear()
            self._collections.clear()
            self._agreements.clear()
            self._weight = 0
        self._agreements[agreement.id] = agreement


def _weight(asked: Asked) -> int:
    names = len(asked.recipients or ()) + len(asked.closed)
    return 1 + names // _NAMES_A_DECISION
