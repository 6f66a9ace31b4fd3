"""A collection's log as a consumer trusts it: the trust rules in one pure class.

It is fed what a hub says (agreement versions, checkpoints, entries, rosters) and takes nothing on the hub's
word: the agreement's chain from a pinned version, the checkpoint's signature and growth, the entries hashed
to its root before they are read (`checkpoint_check`), then each entry by what was in force at its place in
the log (`ledger`). What does not hold of the log as a whole is raised as `LogRefused`, what does not hold of
one entry is a `Finding`. Knows no network and no clock. After `LogRefused` an instance must not be used
any further.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lightship.core.agreement.chain import Chain, Link, Verify
from lightship.core.errors import CallerError
from lightship.core.log import leaf as leaves
from lightship.core.log import merkle
from lightship.core.log.checkpoint_check import goes_on, is_beginning, leads_to, open_checkpoint
from lightship.core.log.findings import Failure, Finding, LogRefused
from lightship.core.log.leaf import AgreementChange, Leaf, Publication, RosterChange, Suspension
from lightship.core.log.ledger import Gone, Ledger, Problem
from lightship.core.log.look import Aim, Applied, Batch
from lightship.core.log.merkle import Frontier
from lightship.core.log.notes import Checkpoint
from lightship.core.log.record import BadRecord
from lightship.core.log.shelf import Shelf
from lightship.core.log.terms import Terms, terms_of
from lightship.core.time import Micros, format_stamp

CLOCKS = Micros(5 * 60_000_000)
"""How far the hub's clock and the consumer's may differ before times are called wrong."""
MOST_TROUBLES = 20
"""Entries that contradict others, of which evidence can be made, that are remembered."""


class TrustedLog:
    """One collection's log.

    Args:
        agreement: id of the agreement.  collection: the collection's UUID.  origin: the log's name.
        verify: the signature check.
        pinned_key: key id that must have signed the agreement's version 1; empty takes any.
        hub: SHA-256 that version 1's payload must have; empty takes any.
        shelf: keeps what the entries lead to; None for one in memory.
    """

    def __init__(
        self,
        agreement: str,
        collection: str,
        origin: str,
        verify: Verify,
        *,
        pinned_key: str = "",
        hub: str = "",
        shelf: Shelf | None = None,
    ) -> None:
        self.agreement, self.collection, self.origin = agreement, collection, origin
        self.verify = verify
        self.chain = Chain(agreement, verify, pinned_key=pinned_key, hub=hub)
        self.envelopes: list[bytes] = []
        self.terms: list[Terms] = []
        self.ordered: frozenset[str] = frozenset()
        self.ledger = Ledger(collection, origin, agreement, "", verify, shelf)
        self.frontier = Frontier()
        self.note = b""
        self.aim: Aim | None = None
        self.version = 0
        self.last_at = Micros(0)
        self.seen = Micros(0)
        self.troubles: list[Finding] = []
        """Entries that contradict others, of this process's looks: what evidence is made of."""

    @property
    def size(self) -> int:
        """Entries that are trusted."""
        return self.frontier.size

    @property
    def promised(self) -> int:
        """Entries that the hub signed for, so far as was seen."""
        return self.size if self.aim is None else self.aim.checkpoint.size

    # --- the agreement ------------------------------------------------------------------------------

    def add_agreement(self, envelope: bytes) -> Link:
        """Take the next version of the agreement.

        Raises:
            LogRefused: it does not follow, or is not signed as it must be.
        """
        try:
            link = self.chain.append(envelope)
        except CallerError as error:
            raise LogRefused(Failure.AGREEMENT_FORGED, str(error)) from None
        terms = terms_of(link, self.collection, self.origin)
        if not self.terms:
            shelf = self.ledger.held.shelf
            self.ledger = Ledger(
                self.collection, self.origin, self.agreement, self.chain.hub, self.verify, shelf
            )
        self.terms.append(terms)
        self.envelopes.append(envelope)
        self.ordered |= terms.ordered
        return link

    # --- the checkpoint -----------------------------------------------------------------------------

    def open(self, note: bytes) -> Checkpoint:
        """Return the checkpoint in a note, if it is this log's and does not go back behind what is trusted.

        Raises:
            LogRefused: forged, another log's, older than what was seen, another root for the same size, or
                of more entries than a log can have.
        """
        checkpoint = self._opened(note, len(self.terms))
        known = [_checkpoint(self, self.frontier), *([self.aim.checkpoint] if self.aim else [])]
        goes_on(checkpoint, self.promised, known)
        return checkpoint

    def take_aim(self, note: bytes, checkpoint: Checkpoint, now: Micros) -> None:
        """Go for an opened checkpoint: `admit` and `apply` its entries, in as many parts as it takes."""
        self.aim = Aim(note, checkpoint, now, len(self.terms))

    def go_on(self, frontier: Frontier, note: bytes, aim: Aim | None) -> None:
        """Stand again where a kept log stood; called once, when the agreement's versions are in.

        Raises:
            ValueError, LogRefused: the hashes do not lead to the checkpoints, or these are not signed.
        """
        if note and aim is None and self._opened(note, len(self.terms)) != _checkpoint(self, frontier):
            raise ValueError("its hashes do not lead to its checkpoint")
        if aim is not None:
            if self._opened(aim.note, aim.versions) != aim.checkpoint:
                raise ValueError("it aims at another checkpoint than it says")
            if frontier.size and not is_beginning(frontier, aim.checkpoint, aim.proof):
                raise ValueError("its hashes do not lead to the checkpoint that it aims at")
        if not note and aim is None and frontier.size:
            raise ValueError("it has entries and no checkpoint")
        self.frontier, self.note, self.aim = frontier, note, aim

    def read_checkpoint(self, note: bytes) -> Checkpoint:
        """Return a genuine checkpoint of this log, whatever its size; nothing is changed.

        Raises:
            LogRefused: no key that the agreement ever named for this log signed it, or it is of another log.
        """
        for versions in range(len(self.terms), 1, -1):
            try:
                return self._opened(note, versions)
            except LogRefused:
                continue
        return self._opened(note, min(1, len(self.terms)))

    def _opened(self, note: bytes, versions: int) -> Checkpoint:
        keys = self.terms[versions - 1].log_keys if 0 < versions <= len(self.terms) else ()
        return open_checkpoint(note, self.origin, keys, self.verify)

    # --- entries ------------------------------------------------------------------------------------

    def admit(self, entries: Sequence[bytes], proof: Sequence[bytes] = ()) -> Batch:
        """Hash the next entries on top of what is trusted; read them only if that leads to the aim.

        Args:
            entries: from `size` on: all up to the aim, or a part of them.
            proof: with a part: that the tree up to its end is the beginning of the aim's (RFC 9162 2.1.4).

        Raises:
            LogRefused: too few or many, another root, or an entry that is none.
        """
        if self.aim is None:
            raise ValueError("there is no checkpoint to go for")
        frontier, _ = merkle.append(self.frontier, [merkle.leaf_hash(one) for one in entries])
        leads_to(self.aim.checkpoint, frontier, self.size, proof)
        found = []
        for index, entry in enumerate(entries, self.size):
            try:
                found.append(leaves.read(entry))
            except BadRecord as error:
                raise LogRefused(Failure.UNREADABLE, str(error), index) from None
        return Batch(frontier, tuple(found), tuple(proof))

    def apply(self, batch: Batch, rosters: Mapping[str, bytes], now: Micros) -> Applied:
        """Judge the entries of an admitted batch, in order, and trust the log up to them.

        Args:
            batch: from `admit`.
            rosters: SHA-256 of the payload -> envelope, of those that `batch.rosters` names.
            now: the consumer's clock, microseconds.

        Raises:
            LogRefused: the agreement's versions in the log are not those of the chain, or it is ahead of now.
        """
        findings: list[Finding] = []
        gone: list[Gone] = []
        first = self.size
        for index, one in enumerate(batch.leaves, first):
            problem = self._time(one, index, now)
            self.last_at = max(self.last_at, one.at)
            if isinstance(one, AgreementChange):
                self._agreement(one, index)
            elif self.version == 0:
                raise LogRefused(Failure.AGREEMENT_WITHHELD, "no agreement was in force yet", index)
            if isinstance(one, Publication):
                terms = self.terms[self.version - 1]
                found, left = self.ledger.publication(one, index, terms, self.ordered, problem)
                findings, gone = findings + found, gone + left
                continue
            if problem is not None:
                findings.append(Finding(problem[0], problem[1], index))
            if isinstance(one, RosterChange):
                terms = self.terms[self.version - 1]
                found, left = self.ledger.roster(one, index, terms, rosters.get(one.sha256))
                findings, gone = findings + found, gone + left
            elif isinstance(one, Suspension):
                findings += self.ledger.suspension(one, index, self.terms[: self.version])
        self.troubles += [one for one in findings if one.other >= 0][: MOST_TROUBLES - len(self.troubles)]
        self._stand(batch)
        return Applied(first, batch.leaves, tuple(gone), tuple(findings))

    def _stand(self, batch: Batch) -> None:
        """What was not there when a checkpoint was seen cannot be older: that holds once it is reached."""
        self.frontier = batch.frontier
        if self.aim is None:
            return
        if self.size == self.aim.checkpoint.size:
            self.note, self.seen, self.aim = self.aim.note, max(self.seen, self.aim.at), None
        else:
            self.aim = replace(self.aim, proof=batch.proof)

    def _time(self, one: Leaf, index: int, now: Micros) -> Problem | None:
        """Times must rise, and what was not there at the last look cannot be older than that look.

        Raises:
            LogRefused: it is in the future. That can be the fault of the clock here: nothing is kept of it.
        """
        written = format_stamp(one.at)
        if one.at - one.size + 1 <= self.last_at:
            return Failure.BACKDATED, f"its time {written} is not after the entry before"
        seen = min(self.seen, now)  # a look in the future was one with a wrong clock here
        if one.at < seen - CLOCKS:
            return Failure.BACKDATED, f"its time is {written}, but {format_stamp(seen)} it was not there"
        if one.at > now + CLOCKS:
            why = f"its time is {written}, here it is {format_stamp(now)}: is the clock here right?"
            raise LogRefused(Failure.FROM_THE_FUTURE, why, index)
        return None

    def _agreement(self, one: AgreementChange, index: int) -> None:
        number = one.agreement
        self._not_older(number, index)
        if number > len(self.terms):
            why = f"version {number} is in force, the chain that the hub shows ends with {len(self.terms)}"
            raise LogRefused(Failure.AGREEMENT_WITHHELD, why, index)
        self._no_skip(number, index)
        if one.sha256 != self.terms[number - 1].digest:
            raise LogRefused(
                Failure.AGREEMENT_FORGED, f"version {number} in the log is not the signed one", index
            )
        self.version = number

    def _not_older(self, number: int, index: int) -> None:
        if number <= self.version:
            raise LogRefused(
                Failure.AGREEMENT_ROLLBACK, f"version {number} comes after version {self.version}", index
            )

    def _no_skip(self, number: int, index: int) -> None:
        """Versions that had this collection must all be in its log."""
        if any(terms.present for terms in self.terms[self.version : number - 1]):
            raise LogRefused(
                Failure.AGREEMENT_SKIPPED, f"version {number} comes after version {self.version}", index
            )

    # --- how fresh it is ----------------------------------------------------------------------------

    def warnings(self, now: Micros) -> list[Finding]:
        """Return what a strict consumer does not put up with: age, no witnesses, an old agreement."""
        if not self.version:
            return []
        terms, found = self.terms[self.version - 1], []
        age = (now - self.last_at) // 1_000_000
        if terms.max_age_s is not None and age > terms.max_age_s:
            why = f"the newest entry is {age} s old, the agreement says at most {terms.max_age_s} s"
            found.append(Finding(Failure.STALE, why, warning=True))
        if terms.quorum:
            why = f"the agreement asks for {terms.quorum} witnesses, and cosignatures are not verified yet"
            found.append(Finding(Failure.NOT_WITNESSED, why, warning=True))
        if any(one.present for one in self.terms[self.version :]):
            why = f"version {len(self.terms)} of the agreement is not in this log yet"
            found.append(Finding(Failure.AGREEMENT_BEHIND, why, warning=True))
        return found


def _checkpoint(log: TrustedLog, frontier: Frontier) -> Checkpoint:
    return Checkpoint(log.origin, frontier.size, frontier.root)
