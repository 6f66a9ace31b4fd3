"""Rosters in the hub's file: each member's versions, applied one after another and named in every log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apsw
import orjson

from lightship.core.audit import AccessEvent
from lightship.core.errors import Conflict, NotFound
from lightship.core.log.roster import Revoked
from lightship.core.ports import StoredRoster
from lightship.storage import statements
from lightship.storage.sqlite.changes import ChangeJob, ChangePlan
from lightship.storage.sqlite.connection import select
from lightship.storage.sqlite.distrust import distrusted
from lightship.storage.sqlite.transaction import Transaction, Writing

_ALL = """
SELECT agreement, member, version, digest, envelope, agreement_version, admin_key FROM roster
WHERE agreement = ? ORDER BY applied, agreement_version, version, member"""
_LAST = "SELECT max(version) FROM roster WHERE agreement = ? AND member = ?"
_VERSION = "SELECT max(version) FROM agreement WHERE id = ?"
_PUT = """
INSERT INTO roster (agreement, member, version, digest, envelope, agreement_version, admin_key, applied)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_NEWEST = """
SELECT r.member, r.digest, r.admin_key FROM roster AS r WHERE r.agreement = ?1 AND r.version =
  (SELECT max(version) FROM roster WHERE agreement = ?1 AND member = r.member) ORDER BY r.member"""


def read_rosters(db: apsw.Connection, agreement: str) -> list[StoredRoster]:
    """Return all rosters of an agreement's members, each member's in order."""
    return [StoredRoster(*row) for row in select(db, _ALL, (agreement,))]


def in_force(db: apsw.Connection, agreement: str, payload: bytes) -> list[statements.Part]:
    """Return the statements with which a new collection's log goes on after the agreement.

    A roster whose admin key this version of the agreement does not name any more is not in force.
    """
    rows = select(db, _NEWEST, (agreement,))
    if not rows:
        return []
    members: Mapping[str, Any] = orjson.loads(payload)["members"]
    return [
        statements.roster_change(member, digest)
        for member, digest, admin_key in rows
        if members.get(member, {}).get("admin_key") == admin_key
    ]


@dataclass(frozen=True, slots=True)
class ApplyRoster(ChangeJob):
    """The job of a member's next roster. It MUST be alone in its transaction."""

    roster: StoredRoster
    event: AccessEvent
    distrust: Mapping[str, Revoked]
    expected: int
    """About how many versions leave by it: the stamps of a large change are chosen further ahead."""

    @property
    def weight(self) -> int:
        """What leaves counts too: taking a version out costs about as much as adding three."""
        return 1 + 3 * self.expected

    def decide(self, txn: Transaction) -> RosterPlan:
        """Compare versions, write the row, plan the statements of each collection; the epoch rises.

        Raises:
            NotFound: there is no such agreement.
            Conflict: it is not the member's next roster, or the agreement changed meanwhile.
            BadRoster: what it distrusts cannot be taken out.
        """
        one = self.roster
        version = select(txn.db, _VERSION, (one.agreement,))[0][0]
        if version is None:
            raise NotFound(f"There is no agreement `{one.agreement}`")
        last = select(txn.db, _LAST, (one.agreement, one.member))[0][0] or 0
        if version != one.agreement_version or one.version != last + 1:
            raise Conflict(
                "The roster is not applied: something changed meanwhile",
                why=f"the agreement has version {version}, the newest roster of {one.member} version {last}",
                todo="Try again",
            )
        heads = txn.heads_of(one.agreement)
        removals = distrusted(txn, one.agreement, heads, self.distrust)
        part = statements.roster_change(one.member, one.digest)
        parts = {number: removal.parts() for number, removal in removals.items()}
        for head in heads:
            txn.check_room(head, [part, *parts.get(head.number, ())])
        # From here on nothing fails.
        for removal in removals.values():
            removal.take(txn)
        writings = [txn.reserve(head, "", [part, *parts.get(head.number, ())]) for head in heads]
        txn.epoch += 1
        txn.db.execute(
            _PUT,
            (
                one.agreement,
                one.member,
                one.version,
                one.digest,
                one.envelope,
                one.agreement_version,
                one.admin_key,
                txn.now,
            ),
        )
        return RosterPlan(ChangePlan(self.event, writings, tuple(removals.values())))


@dataclass(slots=True)
class RosterPlan:
    """A decided roster."""

    change: ChangePlan

    @property
    def writings(self) -> Sequence[Writing]:
        """The statements of every collection."""
        return self.change.writings

    def apply(self, txn: Transaction) -> dict[str, int]:
        """Write it; return collection id -> how many versions leave."""
        self.change.apply(txn)
        return {one.head.id: len(one.live) for one in self.change.removals}
