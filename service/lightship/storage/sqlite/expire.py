"""Expiry as a job of a group: what retention or `share_until` ends goes out, some versions a transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lightship.core.collection import WithdrawReason, pack
from lightship.core.ports import Expired, ExpireRequest
from lightship.storage.sqlite.connection import select
from lightship.storage.sqlite.definitions import DEFINITION
from lightship.storage.sqlite.removal import Removal, lost_definitions
from lightship.storage.sqlite.transaction import Head, Transaction, Version, Writing

_OLD = """
SELECT key, id FROM object
WHERE key >= ? AND key < ? AND type IS NOT ? ORDER BY key LIMIT ?"""
_PAST = """
SELECT key, id FROM object INDEXED BY object_expires
WHERE collection = ? AND expires <= ? AND expires IS NOT NULL AND type IS NOT ? ORDER BY expires LIMIT ?"""
_OLD_DEFINITIONS = """
SELECT key, id FROM object INDEXED BY object_type WHERE type = ? AND key >= ? AND key < ? ORDER BY key"""
_PAST_DEFINITIONS = """
SELECT key, id FROM object INDEXED BY object_expires
WHERE collection = ? AND expires <= ? AND expires IS NOT NULL AND type = ? ORDER BY key"""


class Expire:
    """The job of one ExpireRequest. It MUST be alone in its transaction: it asks what is written."""

    def __init__(self, request: ExpireRequest) -> None:
        self.request = request
        self.weight = max(1, request.limit)

    def needs(self) -> tuple[tuple[int, str], ...]:
        """Nothing that is known before the rows are read."""
        return ()

    def status_ids(self) -> tuple[str, ...]:
        """None."""
        return ()

    def decide(self, txn: Transaction) -> ExpirePlan:
        """Pick what is due, definitions in use left alone, and take part in the working set."""
        request = self.request
        head = txn.enter(request.grant)
        due = self._due(txn, head)
        more = len(due) > request.limit
        removal = Removal(head, _live(txn, head, due[: request.limit]), [], WithdrawReason.EXPIRED)
        if not more and len(removal.live) < request.limit:
            more = self._with_definitions(txn, removal)
        parts = removal.parts()
        txn.check_room(head, parts)
        # From here on nothing fails.
        removal.take(txn)
        return ExpirePlan(request, removal, more, txn.reserve(head, "", parts))

    def _due(self, txn: Transaction, head: Head) -> list[tuple[int, str]]:
        """Return (key, id) of what is due but for definitions, one more than the limit at most."""
        request, want = self.request, self.request.limit + 1
        number = _definition_type(txn)
        found = []
        if request.added_before is not None:
            low, high = pack(head.number, 0), pack(head.number, request.added_before)
            found = select(txn.db, _OLD, (low, high, number, want))
        if len(found) < want:
            known = {row[0] for row in found}
            rows = select(txn.db, _PAST, (head.number, request.now, number, want))
            found += [row for row in rows if row[0] not in known][: want - len(found)]
        return found

    def _with_definitions(self, txn: Transaction, removal: Removal) -> bool:
        """Add the definitions that are due and in use no more; True if that may set others free."""
        request, head, number = self.request, removal.head, _definition_type(txn)
        if number is None:
            return False
        rows: list[tuple[Any, ...]] = []
        if request.added_before is not None:
            low, high = pack(head.number, 0), pack(head.number, request.added_before)
            rows = select(txn.db, _OLD_DEFINITIONS, (number, low, high))
        rows += select(txn.db, _PAST_DEFINITIONS, (head.number, request.now, number))
        due = _live(txn, head, sorted(dict(rows).items(), reverse=True))  # what cites others goes before them
        chosen = _unused(txn, removal, _unused(txn, removal, due)[: request.limit - len(removal.live)])
        removal.live += chosen
        return bool(chosen) and len(chosen) < len(due)


@dataclass(slots=True)
class ExpirePlan:
    """A decided expiry."""

    request: ExpireRequest
    removal: Removal
    more: bool
    writing: Writing

    @property
    def writings(self) -> tuple[Writing]:
        """The statements of one collection."""
        return (self.writing,)

    def apply(self, txn: Transaction) -> Expired:
        """Write everything, its stamps being chosen."""
        rows = self.removal.rows()
        if not rows:
            return Expired((), False, None)
        self.removal.write(txn)
        event = self.request.render_event(rows)
        txn.append(self.writing, event.req)
        txn.keep_event(event)
        return Expired(rows, self.more, event)


def _unused(txn: Transaction, removal: Removal, due: list[tuple[str, Version]]) -> list[tuple[str, Version]]:
    """Return the definitions that may go together with what `removal` takes."""
    while due:
        trial = Removal(removal.head, [*removal.live, *due], [], removal.reason)
        kept = lost_definitions(txn, removal.head.agreement, [trial])
        if not kept:
            break
        due = [pair for pair in due if pair[0] not in kept]
    return due


def _live(txn: Transaction, head: Head, due: Iterable[tuple[int, str]]) -> list[tuple[str, Version]]:
    """Return what the working set knows of these, in their order."""
    listed = list(due)
    txn.load((head.number, object_id) for _, object_id in listed)
    found: list[tuple[str, Version]] = []
    for key, object_id in listed:
        held = txn.versions(head.number, object_id)
        found += [(object_id, one) for one in held if one.key == key]
    return found


def _definition_type(txn: Transaction) -> int | None:
    rows = select(txn.db, "SELECT number FROM type WHERE name = ?", (DEFINITION,))
    return int(rows[0][0]) if rows else None
