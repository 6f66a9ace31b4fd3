"""A signed statement as a job: taken whole, with its withdrawals before its adds, or not at all.

Several may share a transaction: a key's chain goes on from the working set, or else from the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import apsw

from lightship.core.collection import Verdict, WithdrawReason, stamp_of
from lightship.core.errors import Unavailable
from lightship.core.log.statement import Withdrawal, digest_of
from lightship.core.ports import (
    ItemOutcome,
    Logged,
    NotTaken,
    OutOfSequence,
    SignedRequest,
)
from lightship.storage.leaves import encode_signatures
from lightship.storage.sqlite.adding import Adding
from lightship.storage.sqlite.connection import select
from lightship.storage.sqlite.publish import (
    Item,
    NewlyStaged,
    check_quota,
    forget,
    judge_all,
    outcome_of,
    settle_staged,
)
from lightship.storage.sqlite.removal import Removal, lost_definitions
from lightship.storage.sqlite.transaction import Head, Transaction, Version, Writing, member_of
from lightship.storage.statements import Part

_KNOWN = "SELECT idx, status FROM signed_statement WHERE collection = ? AND digest = ?"
_CHAIN = "SELECT seq, digest FROM publish_key WHERE collection = ? AND key = ?"
_SAVE_CHAIN = """
INSERT INTO publish_key (collection, key, seq, digest) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (collection, key) DO UPDATE SET seq = ?3, digest = ?4"""
_KEEP = "INSERT INTO signed_statement (collection, digest, idx, status) VALUES (?, ?, ?, ?)"
_TAKEN = frozenset({Verdict.ADD, Verdict.DUPLICATE})


def read_logged(db: apsw.Connection, number: int, digest: str) -> Logged | None:
    """Return what was answered to a payload in a collection, None if it is not logged."""
    rows = select(db, _KNOWN, (number, digest))
    return Logged(*rows[0]) if rows else None


@dataclass(slots=True)
class Again:
    """The plan of a statement that is logged already, or is logged by a job before it in the group."""

    number: int
    digest: str
    known: Logged | None
    writings: Sequence[Writing] = ()

    def apply(self, txn: Transaction) -> Logged:
        """Nothing to write.

        Raises:
            Unavailable: the job before it failed after all.
        """
        known = self.known or read_logged(txn.db, self.number, self.digest)
        if known is None:
            raise Unavailable("The statement was not logged", todo="Send it again")
        return known


class PublishSigned:
    """The job of one SignedRequest."""

    def __init__(self, request: SignedRequest) -> None:
        self.request = request
        self.weight = max(1, request.statement.size)

    def needs(self) -> list[tuple[int, str]]:
        """Return the (collection, id) that it will ask about."""
        number, statement = self.request.publish.grant.collection.number, self.request.statement
        ids = [one.id for one in statement.add] + [one.id for one in statement.withdraw]
        return [(number, one) for one in ids]

    def status_ids(self) -> tuple[str, ...]:
        """Return the status id that it will take."""
        return (self.request.publish.status_id,)

    def decide(self, txn: Transaction) -> SignedPlan | Again:
        """Judge everything, then take part in the working set, or raise and leave no trace.

        Raises:
            NotTaken: an add or a withdrawal cannot be done.
            OutOfSequence: it does not follow what the key had logged last.
        """
        request, publish = self.request, self.request.publish
        head = txn.enter(publish.grant)
        digest = digest_of(request.envelope.payload)
        known = read_logged(txn.db, head.number, digest)
        if known is not None or (head.number, digest) in txn.signed:
            return Again(head.number, digest, known)
        self._follows(txn, head)
        judging, staged = Adding(txn, head, member_of(publish.grant.subject)), NewlyStaged()
        items = judge_all(judging, staged, publish)
        removals, problems = self._removals(txn, head, judging.member)
        if problems or any(verdict not in _TAKEN for _, verdict, _ in items):
            told = [ItemOutcome(one, verdict, 0) for one, verdict, _ in items]
            raise NotTaken(told, problems)
        gone = [version for removal in removals for _, version in removal.live]
        if judging.added:
            check_quota(
                publish.grant.collection.settings,
                judging,
                -len(gone) - len(staged.gone),
                staged.size - sum(version.size for version in gone),
            )
        signatures = encode_signatures(request.envelope.signatures)
        parts = [Part(request.envelope.payload, request.statement.size, signatures)]
        txn.check_room(head, parts, adds=True)
        txn.take_status(publish.status_id)
        # From here on nothing fails.
        entering, entered = judging, items
        if removals:  # what enters stands beside what is left, not beside what was judged against
            for removal in removals:
                removal.take(txn)
            entering, entered = Adding(txn, head, judging.member), []
            for (one, verdict, held), marks in zip(items, publish.marks, strict=True):
                entered.append((one, verdict, entering.add(one, marks) if verdict is Verdict.ADD else held))
        entering.settle()
        settle_staged(txn, head, staged)
        txn.chains[head.number, request.statement.key] = request.statement.seq, digest
        txn.signed.add((head.number, digest))
        writing = txn.reserve(head, entering.member, parts)
        return SignedPlan(request, entered, removals, entering, staged, writing)

    def _follows(self, txn: Transaction, head: Head) -> None:
        one = self.request.statement
        last = txn.chains.get((head.number, one.key))
        if last is None:
            rows = select(txn.db, _CHAIN, (head.number, one.key))
            last = rows[0] if rows else (0, "")
        seq, digest = last
        if one.seq <= seq:
            raise OutOfSequence(
                "The key has signed another statement under this number",
                rule="deny-equivocation",
                why=f"statement {one.seq} of key {one.key} is logged here with another content",
                todo="Give each machine a publish key of its own; if it was none of yours, revoke the key",
            )
        if one.seq != seq + 1 or one.prev != digest:
            raise OutOfSequence(
                "The statement does not follow what the key had logged before",
                rule="deny-sequence",
                why=f"statement {seq + 1} must come next, after {digest or 'none'}; this is {one.seq}",
                todo="Send the statements in between first, with the outbox that signed them",
            )

    def _removals(self, txn: Transaction, head: Head, member: str) -> tuple[list[Removal], dict[int, str]]:
        """Return what goes, by reason, and what is wrong with withdrawals, by their index."""
        found: dict[WithdrawReason, list[tuple[str, Version]]] = {}
        problems: dict[int, str] = {}
        listed = self.request.statement.withdraw
        for index, entry in enumerate(listed):
            version = _live(txn, head, entry)
            if version is None:
                problems[index] = "this version is not held here, so it cannot be withdrawn (deny-not-held)"
            elif version.held.owner != member:
                problems[index] = "it is another member's (deny-owner)"
            else:
                found.setdefault(entry.reason, []).append((entry.id, version))
        removals = [Removal(head, live, [], reason) for reason, live in found.items()]
        cited = {cite.id for marks in self.request.publish.marks for cite in marks.cites}
        in_use = cited | lost_definitions(txn, head.agreement, removals)
        for index, entry in enumerate(listed):
            if entry.id in in_use:
                problems[index] = "objects here are marked with this definition (in-use)"
        return removals, problems


@dataclass(slots=True)
class SignedPlan:
    """A decided statement."""

    request: SignedRequest
    items: list[Item]
    removals: list[Removal]
    entering: Adding
    staged: NewlyStaged
    writing: Writing

    @property
    def writings(self) -> tuple[Writing]:
        """The statement."""
        return (self.writing,)

    def apply(self, txn: Transaction) -> Logged:
        """Write everything, its stamps being chosen: withdrawals have the first ones."""
        request, publish, head = self.request, self.request.publish, self.writing.head
        index = self.writing.first_idx
        keys = self.writing.entry_keys()[len(request.statement.withdraw) :]
        for removal in self.removals:
            removal.write(txn)
        taken = [key for key, (_, verdict, _) in zip(keys, self.items, strict=True) if verdict is Verdict.ADD]
        self.entering.stamp(taken)
        if taken:
            self.entering.write()
        if keys:
            head.last_added = stamp_of(keys[-1])
        forget(txn, head, self.staged.gone)
        outcome = outcome_of(self.items, taken)
        status, event = publish.render_status(outcome), publish.render_event(outcome)
        txn.append(self.writing, event.req)
        txn.keep_event(event)
        payload = digest_of(request.envelope.payload)
        number, one = head.number, request.statement
        txn.db.execute(_SAVE_CHAIN, (number, one.key, one.seq, payload))
        txn.db.execute(_KEEP, (number, payload, index, status))
        return Logged(index, status, outcome.items, event, txn.growth.prove(number, index))


def _live(txn: Transaction, head: Head, entry: Withdrawal) -> Version | None:
    """Return the live version that an entry names, written as in the object."""
    for version in txn.versions(head.number, entry.id):
        if version.held.withdrawn is None and version.version_text == entry.version:
            return version
    return None
