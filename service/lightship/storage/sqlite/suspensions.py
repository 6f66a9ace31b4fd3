"""Suspensions in the hub's file: one numbered chain for each agreement, and an entry in each of its logs."""

from __future__ import annotations

from dataclasses import dataclass

import apsw

from lightship.core.audit import AccessEvent
from lightship.core.errors import Conflict, NotFound
from lightship.core.ports import SignedSuspension
from lightship.storage import statements
from lightship.storage.sqlite.changes import ChangeJob, ChangePlan, in_every_log
from lightship.storage.sqlite.connection import select
from lightship.storage.sqlite.transaction import Transaction

_ALL = """
SELECT agreement, number, agreement_version, digest, envelope, applied FROM suspension
WHERE agreement = ? ORDER BY number"""
_NEWEST = """
SELECT (SELECT max(version) FROM agreement WHERE id = ?1),
  (SELECT coalesce(max(number), 0) FROM suspension WHERE agreement = ?1)"""
_PUT = """
INSERT INTO suspension (agreement, number, agreement_version, digest, envelope, applied)
VALUES (?, ?, ?, ?, ?, ?)"""


def read_suspensions(db: apsw.Connection, agreement: str) -> tuple[SignedSuspension, ...]:
    """Return all suspensions of an agreement, by number."""
    return tuple(SignedSuspension(*row) for row in select(db, _ALL, (agreement,)))


@dataclass(frozen=True, slots=True)
class Suspend(ChangeJob):
    """The job of the next suspension of an agreement. It MUST be alone in its transaction."""

    signed: SignedSuspension
    event: AccessEvent

    def decide(self, txn: Transaction) -> ChangePlan:
        """Compare numbers, write the row, plan a statement in each collection; the epoch rises.

        Raises:
            NotFound: there is no such agreement.
            Conflict: it is not the next one, or not of the version in force.
        """
        one = self.signed
        version, number = select(txn.db, _NEWEST, (one.agreement,))[0]
        if version is None:
            raise NotFound(f"There is no agreement `{one.agreement}`")
        if (one.version, one.number) != (version, number + 1):
            raise Conflict(
                "This is not the agreement's next suspension",
                why=f"version {version} of the agreement is in force, number {number} the newest suspension",
                todo="Try again",
            )
        writings = in_every_log(txn, one.agreement, statements.suspension(one.envelope))
        txn.db.execute(_PUT, (one.agreement, one.number, one.version, one.digest, one.envelope, one.applied))
        return ChangePlan(self.event, writings)
