"""The steward's word for a log that is not what the hub signed last: one job that signs its head as it is.

Whether it may be given is the caller's to find out (`lightship collection vouch` checks everything first).
"""

from __future__ import annotations

from dataclasses import dataclass

import apsw

from lightship.core.access import Grant
from lightship.core.audit import AccessEvent
from lightship.core.errors import Damaged
from lightship.core.log.merkle import Frontier
from lightship.storage.sqlite.changes import ChangeJob, ChangePlan
from lightship.storage.sqlite.collection_log import read_head
from lightship.storage.sqlite.transaction import Transaction


def read_tree(db: apsw.Connection, number: int) -> Frontier:
    """Return the tree of a log as its head says.

    Raises:
        Damaged: the head cannot be read.
    """
    try:
        return read_head(db, number).tree
    except ValueError as error:
        raise Damaged(
            "The head of a log cannot be read",
            why=f"collection {number}: {error}",
            todo="Run `lightship fsck`, then restore a backup",
        ) from None


@dataclass(frozen=True, slots=True)
class Vouch(ChangeJob):
    """The job. `size` and `root` are of the head that was looked at: another one is not signed."""

    grant: Grant
    size: int
    root: bytes
    event: AccessEvent

    def decide(self, txn: Transaction) -> ChangePlan:
        """Sign; the event goes with it.

        Raises:
            Conflict: the head is another one by now.
        """
        head = txn.enter(self.grant)
        txn.growth.vouch(head.number, head.id, self.size, self.root)
        return ChangePlan(self.event)
