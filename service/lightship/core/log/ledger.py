"""What the entries of a collection's log mean, judged in order: keys, statements, what is held.

Each statement is judged by the terms and rosters in force at its place: is it for this place, may this
member make it, is the key the member's, did it sign, does it follow what the key signed before, and is each
entry allowed by what is held. A statement with a problem takes out nothing, and its objects are kept by
that name only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightship.core import dsse
from lightship.core.agreement.chain import Verify
from lightship.core.agreement.suspension import Suspensions, read_payload
from lightship.core.collection import WithdrawReason
from lightship.core.errors import CallerError
from lightship.core.log import leaf as leaves
from lightship.core.log.findings import Failure, Finding
from lightship.core.log.held import Holdings
from lightship.core.log.leaf import Publication, RosterChange, Suspension
from lightship.core.log.roster import PublishKey, Revoked, Rosters
from lightship.core.log.shelf import LoggedVersion, Shelf
from lightship.core.log.statement import Add, digest_of
from lightship.core.log.terms import Terms
from lightship.core.time import Micros

Problem = tuple[Failure, str] | tuple[Failure, str, int]
"""What is wrong with a whole statement, why, and which entry it contradicts, if there is one."""


@dataclass(frozen=True, slots=True)
class Gone:
    """An object version that left the collection: for a deletion feed. `at` is the time of the entry.

    `index`, `id` and `version` together name it: by them a feed that is given it again drops it.
    """

    id: str
    version: str
    digest: str
    reason: str
    at: Micros
    index: int
    signed: bool


class Ledger:
    """The state that the entries lead to.

    Args:
        collection: its UUID.  origin: the log's.
        agreement: its id.  hub: hex SHA-256 of the payload of the agreement's version 1.
        verify: the signature check.
        shelf: keeps what is held, and what keys had logged; None for one in memory.
    """

    def __init__(
        self,
        collection: str,
        origin: str,
        agreement: str,
        hub: str,
        verify: Verify,
        shelf: Shelf | None = None,
    ) -> None:
        self.collection, self.origin, self.hub = collection, origin, hub
        self.verify = verify
        self.rosters = Rosters(agreement, hub, verify, anywhere=True)
        self.applied_rosters: list[tuple[int, bytes]] = []
        """(version of the agreement in force, envelope) of each roster taken."""
        self.suspensions = Suspensions(agreement, hub, verify, anywhere=True)
        self.applied_suspensions: list[tuple[int, Micros, dsse.Envelope]] = []
        """(version of the agreement and time by which it was judged, envelope) of each suspension taken."""
        self.held = Holdings(shelf)

    def publication(
        self, one: Publication, index: int, terms: Terms, ordered: frozenset[str], problem: Problem | None
    ) -> tuple[list[Finding], list[Gone]]:
        """Take a statement.

        Args:
            one, index: the leaf and its place.
            terms: in force there.
            ordered: objects that a version of the agreement orders withdrawn.
            problem: what is wrong with the leaf already.
        """
        found = problem or self._place(one, terms) or self._rights(one, terms)
        if found is None and one.statement.key:
            found = self._signature(one, terms) or self._sequence(one, index)
        findings = [] if found is None else [_finding(found, index)]
        gone: list[Gone] = []
        if found is None:
            findings += self._withdrawals(one, index, ordered, gone)
        findings += self._adds(one, index, found)
        return findings, gone

    def roster(
        self, one: RosterChange, index: int, terms: Terms, envelope: bytes | None
    ) -> tuple[list[Finding], list[Gone]]:
        """Take a member's roster; what a stolen key added leaves."""
        if envelope is None:
            return [Finding(Failure.ROSTER, f"the hub does not show the roster of {one.member}", index)], []
        try:
            revoked = self.take_roster(envelope, terms, (one.member, one.sha256))
        except CallerError as error:
            return [Finding(Failure.ROSTER, str(error), index)], []
        gone = []
        for keyid, why in revoked.items():
            since = why.first_in(self.origin)
            if since is not None:
                gone += [_gone(held, one.at, signed=True) for held in self.held.distrust(keyid, since, index)]
        return [], gone

    def suspension(self, one: Suspension, index: int, versions: Sequence[Terms]) -> list[Finding]:
        """Take a suspension or its end; `versions` of the agreement, up to the one in force."""
        terms = versions[-1]
        if one.agreement != terms.version:
            why = f"it names version {one.agreement}, in force is {terms.version}"
            return [Finding(Failure.WRONG_AGREEMENT, why, index)]
        try:
            self.take_suspension(one.envelope, *self._signed_under(one, index, versions))
        except CallerError as error:
            return [Finding(Failure.SUSPENSION, str(error), index)]
        return []

    def _signed_under(self, one: Suspension, index: int, versions: Sequence[Terms]) -> tuple[Terms, Micros]:
        """Return the version by which a suspension is judged, and the moment: those of its entry.

        But a log that begins while something is suspended repeats it, right after its first entry: that was
        taken before, under the version that it names, at the moment from which it holds.
        """
        order = read_payload(one.envelope.payload)
        repeated = index == 1 + len(self.applied_suspensions) and order.version < versions[-1].version
        if repeated and order.since <= one.at:
            return versions[order.version - 1], order.since
        return versions[-1], one.at

    def take_suspension(self, envelope: dsse.Envelope, terms: Terms, at: Micros) -> None:
        """Take a suspension or its end.

        Raises:
            CallerError: it is refused.
        """
        self.suspensions.take(envelope, terms.root, terms.version, terms.members, at)
        self.applied_suspensions.append((terms.version, at, envelope))

    def take_roster(
        self, envelope: bytes, terms: Terms, expected: tuple[str, str] | None = None
    ) -> dict[str, Revoked]:
        """Take a roster and return the keys that it newly revokes; what they added stays.

        Raises:
            CallerError: it is refused.
        """
        _, revoked = self.rosters.apply(envelope, terms.admin_keys, expected=expected)
        self.applied_rosters.append((terms.version, envelope))
        return revoked

    def _place(self, one: Publication, terms: Terms) -> Problem | None:
        """Is it a statement for this place?"""
        if one.agreement != terms.version:
            return Failure.WRONG_AGREEMENT, f"it names version {one.agreement}, in force is {terms.version}"
        if one.statement.collection != self.collection:
            return Failure.OTHER_COLLECTION, f"it is a statement for collection {one.statement.collection}"
        if one.statement.hub != self.hub:
            return Failure.OTHER_HUB, "it is a statement for another agreement or hub"
        return None

    def _rights(self, one: Publication, terms: Terms) -> Problem | None:
        """May this member make such a statement here?"""
        statement = one.statement
        own = any(entry.reason is WithdrawReason.PUBLISHER for entry in statement.withdraw)
        if (statement.add and one.by not in terms.publishers) or (own and one.by not in terms.members):
            return Failure.NOT_A_PUBLISHER, f"{one.by or 'the hub'} may not publish here"
        if (statement.add or own) and not statement.key and terms.require_signature:
            return Failure.UNSIGNED, "this collection takes signed statements only"
        if (statement.add or own) and any(
            stop.of_member(one.by) and stop.holds(one.at) for stop in self.suspensions.stops
        ):
            return Failure.SUSPENDED, f"{one.by} was suspended"
        return None

    def _signature(self, one: Publication, terms: Terms) -> Problem | None:
        """Is the key the member's at this place of the log, and did it sign?"""
        keyid = one.statement.key
        key = self.rosters.publish_key(one.by, keyid)
        if key is not None and not self._in_force(one.by, terms):
            return Failure.UNKNOWN_KEY, f"the agreement names another admin key of {one.by} than its roster's"
        if key is None:
            owner = self.rosters.member_of(keyid)
            if owner and owner != one.by:
                return Failure.IMPERSONATION, f"the key is of {owner}, the entry says {one.by}"
            return Failure.UNKNOWN_KEY, f"no roster of {one.by} lists the key {keyid}"
        return _revoked(key) or self._stopped(one) or self._signed(one, key)

    def _in_force(self, member: str, terms: Terms) -> bool:
        """A roster counts as long as the agreement names the admin key that signed it."""
        current = self.rosters.current(member)
        return current is not None and current.admin_key == terms.admin_keys.get(member)

    def _stopped(self, one: Publication) -> Problem | None:
        """From the entry of its suspension on, until the moment that ends it, a key signs nothing."""
        keyid = one.statement.key
        if any(stop.key == keyid and stop.holds(one.at) for stop in self.suspensions.stops):
            return Failure.SUSPENDED_KEY, f"the key {keyid} was suspended"
        return None

    def _signed(self, one: Publication, key: PublishKey) -> Problem | None:
        message = one.envelope.signed_bytes
        if not any(self.verify(key.public, held.sig, message) for held in one.envelope.signatures):
            return Failure.FORGED, f"no signature is that of the key {one.statement.key}"
        return None

    def _sequence(self, one: Publication, index: int) -> Problem | None:
        """Does it follow what this key signed before? Two statements under one number are evidence."""
        statement, shelf = one.statement, self.held.shelf
        digest = digest_of(one.envelope.payload)
        known = shelf.statement(statement.key, statement.seq)
        if known is not None:
            if known[0] == digest:
                return Failure.REPLAYED, f"it is the statement of entry {known[1]} again", known[1]
            why = f"the key signed another statement {statement.seq}, entry {known[1]}"
            return Failure.EQUIVOCATION, why, known[1]
        last, before = shelf.last_statement(statement.key)
        shelf.put_statement(statement.key, statement.seq, digest, index)
        if statement.seq != last + 1 or statement.prev != before:
            return Failure.GAP, f"statement {last + 1} of the key must come here, not this {statement.seq}"
        return None

    def _withdrawals(
        self, one: Publication, index: int, ordered: frozenset[str], gone: list[Gone]
    ) -> list[Finding]:
        findings = []
        for entry in one.statement.withdraw:
            held = self.held.withdraw(entry, one.by, one.statement.key, index, ordered)
            if isinstance(held, Failure):
                why = f"the withdrawal of version {entry.version or '-'} does not hold"
                findings.append(Finding(held, why, index, entry.id))
            elif entry.reason is not WithdrawReason.DISTRUSTED:  # those left with the roster
                gone.append(_gone(held, one.at, signed=bool(one.statement.key)))
        return findings

    def _against(self, failure: Failure, add: Add) -> int:
        """Return the entry that has another digest for the version."""
        held = self.held.shelf.version(add.id, add.instant) if failure is Failure.CONFLICT else None
        return -1 if held is None else held.index

    def _adds(self, one: Publication, index: int, problem: Problem | None) -> list[Finding]:
        findings = []
        mark = None if problem is None else problem[0]
        for stamp, add in zip(leaves.add_stamps(one), one.statement.add, strict=True):
            failure = self.held.add(add, one.by, one.statement.key, index, Micros(stamp), mark)
            if failure is not None and problem is None:
                why = f"the add of version {add.version or '-'} does not hold"
                findings.append(Finding(failure, why, index, add.id, other=self._against(failure, add)))
        return findings


def _finding(problem: Problem, index: int) -> Finding:
    other = problem[2] if len(problem) == 3 else -1
    return Finding(problem[0], problem[1], index, other=other)


def _revoked(key: PublishKey) -> Problem | None:
    if key.revoked is None:
        return None
    return Failure.REVOKED_KEY, f"the key was revoked before: {key.revoked.reason}"


def _gone(held: LoggedVersion, at: Micros, *, signed: bool) -> Gone:
    return Gone(held.id, held.version, held.digest, str(held.withdrawn), at, held.gone, signed)
