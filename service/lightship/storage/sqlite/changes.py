"""Changes of agreements, rosters, suspensions and credentials: what their jobs have in common.

A change raises the policy epoch, leaves an access event, and may be an entry in every log of its agreement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lightship.core.audit import AccessEvent
from lightship.storage.sqlite.removal import Removal
from lightship.storage.sqlite.transaction import Transaction, Writing
from lightship.storage.statements import Part


class ChangeJob:
    """A job of which nothing has to be read beforehand, and that keeps no status.

    It MUST be alone in its transaction.
    """

    __slots__ = ()

    @property
    def weight(self) -> int:
        """It counts as one."""
        return 1

    def needs(self) -> Iterable[tuple[int, str]]:
        """No object."""
        return ()

    def status_ids(self) -> tuple[str, ...]:
        """None."""
        return ()


@dataclass(slots=True)
class ChangePlan:
    """A decided change: the epoch rises, the event waits for the access log."""

    event: AccessEvent
    writings: list[Writing] = field(default_factory=list)
    removals: Sequence[Removal] = ()

    def apply(self, txn: Transaction) -> None:
        """Write what was ordered out, the statements and the event."""
        for removal in self.removals:
            removal.write(txn)
        for writing in self.writings:
            txn.append(writing, self.event.req)
        txn.keep_event(self.event)


def in_every_log(txn: Transaction, agreement: str, part: Part) -> list[Writing]:
    """Raise the epoch and reserve a statement of the hub's own in each collection of an agreement.

    Raises:
        Unavailable: one of the logs has no room now; then nothing is changed.
    """
    heads = txn.heads_of(agreement)
    for head in heads:
        txn.check_room(head, [part])
    txn.epoch += 1
    return [txn.reserve(head, "", [part]) for head in heads]
