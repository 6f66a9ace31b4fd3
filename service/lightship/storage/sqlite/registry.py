"""Agreements, collection numbers and credentials: few rows, changed seldom, each change raises the epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apsw
import orjson

from lightship.core.access import Credential
from lightship.core.audit import AccessEvent
from lightship.core.collection import WithdrawReason
from lightship.core.errors import Conflict
from lightship.core.ids import MAX_COLLECTIONS
from lightship.core.ports import HeldSet, InUse, SignedAgreement, WouldBreak
from lightship.storage import statements
from lightship.storage.running import running
from lightship.storage.sqlite.changes import ChangeJob, ChangePlan
from lightship.storage.sqlite.connection import select
from lightship.storage.sqlite.marks import read_marks
from lightship.storage.sqlite.removal import Removal, gone_by_place, lost_definitions
from lightship.storage.sqlite.rosters import in_force
from lightship.storage.sqlite.suspensions import read_suspensions
from lightship.storage.sqlite.transaction import Head, Transaction

_CHAIN = """
SELECT id, version, payload, envelope, digest, activated, rules FROM agreement
WHERE id = ? ORDER BY version"""
_CREDENTIAL = """
SELECT id, agreement, member, name, digest, created, expires, revoked, allowed, profile, note, kind
FROM credential WHERE {} ORDER BY name"""
_PUT_CREDENTIAL = """
INSERT INTO credential
  (id, agreement, member, name, digest, created, expires, revoked, allowed, profile, note, kind)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET agreement = excluded.agreement, member = excluded.member, name = excluded.name,
  digest = excluded.digest, created = excluded.created, expires = excluded.expires,
  revoked = excluded.revoked, allowed = excluded.allowed, profile = excluded.profile, note = excluded.note
  WHERE kind = excluded.kind AND (revoked IS NULL OR excluded.revoked IS NOT NULL)
RETURNING id"""


def read_chain(db: apsw.Connection, agreement: str) -> tuple[SignedAgreement, ...]:
    """Return all versions of an agreement, oldest first."""
    return tuple(SignedAgreement(*row) for row in select(db, _CHAIN, (agreement,)))


def read_credentials(db: apsw.Connection, where: str, values: tuple[Any, ...]) -> list[Credential]:
    """Return the credentials for which an SQL condition holds, by name."""
    rows = select(db, _CREDENTIAL.format(where), values)
    return [Credential(*(*row[:8], tuple(orjson.loads(row[8])), *row[9:])) for row in rows]


@dataclass(frozen=True, slots=True)
class Activate(ChangeJob):
    """The job of a new agreement version. It MUST be alone in its transaction."""

    signed: SignedAgreement
    collections: Sequence[str]
    event: AccessEvent
    admits: Callable[[str, HeldSet], bool]
    withdraw: Mapping[str, Sequence[str]]

    def decide(self, txn: Transaction) -> ChangePlan:
        """Append the version, number new collections, plan a statement in each collection.

        Raises:
            Conflict: it is not the next version, or a collection cannot have its number.
            WouldBreak: something that a collection would hold forbids it.
            InUse: a definition is ordered out that something held cites.
        """
        signed = self.signed
        chain = read_chain(txn.db, signed.agreement)
        if signed.version != len(chain) + 1:
            raise Conflict(
                "This is not the agreement's next version",
                why=f"version {len(chain)} is the newest here and this is version {signed.version}",
                todo=f"Sign it as version {len(chain) + 1}",
            )
        known = _owners(txn.db)
        new = [one for one in dict.fromkeys(self.collections) if one not in known]
        if any(known.get(one, signed.agreement) != signed.agreement for one in self.collections):
            raise Conflict("A collection of another agreement has this id", todo="Give it a new UUIDv4")
        if len(known) + len(new) > MAX_COLLECTIONS:
            raise Conflict(
                "The hub has no collection numbers left",
                why=f"it can have {MAX_COLLECTIONS} collections in its life",
                todo="Host further agreements on another hub",
            )
        part = statements.agreement_change(signed.version, signed.digest)
        theirs = txn.heads_of(signed.agreement)
        hub = chain[0].digest if chain else signed.digest
        for number, one in enumerate(new, len(known) + 1):
            theirs.append(txn.adopt((number, one, signed.agreement, signed.version, hub, 0, 0, 0, 0, 0, 0)))
        removals = [self._ordered(txn, head) for head in theirs if self.withdraw.get(head.id)]
        self._check_held(txn, theirs, removals)
        parts = {one.head.number: one.parts() for one in removals}
        if new:
            suspended = running(read_suspensions(txn.db, signed.agreement), signed.activated)
            first = [*suspended, *in_force(txn.db, signed.agreement, signed.payload)]
            parts |= {head.number: first for head in theirs[len(theirs) - len(new) :]}
        for head in theirs:
            txn.check_room(head, [part, *parts.get(head.number, ())])
        # From here on nothing fails.
        self._write(txn, theirs[len(theirs) - len(new) :])
        writings = []
        for removal in removals:
            removal.take(txn)
        for head in theirs:
            head.agreement_version = signed.version
            writings.append(txn.reserve(head, "", [part, *parts.get(head.number, ())]))
        txn.epoch += 1
        return ChangePlan(self.event, writings, removals)

    def _ordered(self, txn: Transaction, head: Head) -> Removal:
        """Return what the version orders out of one collection: all versions, staged ones of everybody."""
        ids = tuple(dict.fromkeys(self.withdraw[head.id]))
        txn.load((head.number, one) for one in ids)
        live = [
            (one, version)
            for one in ids
            for version in sorted(txn.versions(head.number, one), key=lambda version: version.key)
            if version.held.withdrawn is None
        ]
        staged = [waiting for one in ids for waiting in txn.staging.of(head.number, one)]
        return Removal(head, live, staged, WithdrawReason.ORDERED)

    def _check_held(self, txn: Transaction, heads: Sequence[Head], removals: Sequence[Removal]) -> None:
        """Ask about everything that the collections of this version will hold."""
        if lost_definitions(txn, self.signed.agreement, removals):
            raise InUse("Objects of this agreement are marked with a definition that it orders out")
        ids = {head.number: head.id for head in heads if head.id in self.collections}
        held = txn.held_sets.counts(ids, gone_by_place(txn, removals))
        asked = [
            (ids[number], HeldSet(read_marks(txn.db, marks), owner, live, staged))
            for (number, marks, owner), (live, staged) in sorted(held.items())
        ]
        broken = [one for one in asked if not self.admits(*one)]
        if broken:
            raise WouldBreak(broken)

    def _write(self, txn: Transaction, new: Sequence[Head]) -> None:
        signed = self.signed
        txn.db.execute(
            "INSERT INTO agreement (id, version, payload, envelope, digest, activated, rules) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                signed.agreement,
                signed.version,
                signed.payload,
                signed.envelope,
                signed.digest,
                signed.activated,
                signed.rules,
            ),
        )
        txn.db.executemany(
            "INSERT INTO collection (number, id, agreement, agreement_version, hub) VALUES (?, ?, ?, ?, ?)",
            [(one.number, one.id, one.agreement, one.agreement_version, one.hub) for one in new],
        )


@dataclass(frozen=True, slots=True)
class PutCredential(ChangeJob):
    """The job of a credential minted, changed or revoked. It MUST be alone in its transaction."""

    credential: Credential
    event: AccessEvent

    def decide(self, txn: Transaction) -> ChangePlan:
        """Write the row."""
        one = self.credential
        values = (one.id, one.agreement, one.member, one.name, one.digest, one.created, one.expires)
        try:
            written = select(
                txn.db,
                _PUT_CREDENTIAL,
                (*values, one.revoked, orjson.dumps(one.allowed).decode(), one.profile, one.note, one.kind),
            )
        except apsw.ConstraintError:
            raise Conflict(
                "Another credential has this name, secret or key",
                todo="Take another name, or revoke that one",
            ) from None
        if not written:
            raise Conflict(
                "The credential was revoked meanwhile, or is of another kind", todo="Mint one with a new name"
            )
        txn.epoch += 1
        return ChangePlan(self.event)


def _owners(db: apsw.Connection) -> dict[str, str]:
    return {row[0]: row[1] for row in select(db, "SELECT id, agreement FROM collection")}
