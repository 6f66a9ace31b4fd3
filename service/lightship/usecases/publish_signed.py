"""Signed publications: a statement with its objects, taken whole or not at all, answered with its proof.

Everything that a TAXII post is asked is asked of each object here too. Beyond that: the statement is for this
collection of this hub, its key is the acting member's under the rosters in force, the key signed it, and it
lists exactly the objects that came. Rosters raise the policy epoch, which the write compares in its
transaction, so a key counts by its place in the log. What the log holds already is answered as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from lightship.core import dsse
from lightship.core.access import Grant
from lightship.core.agreement import Verify
from lightship.core.collection import STATEMENT_ENTRIES, Candidate, Verdict
from lightship.core.errors import Damaged, MalformedRequest, Refused
from lightship.core.log import leaf, merkle, notes, statement
from lightship.core.log.statement import Add, Statement
from lightship.core.ports import (
    Decisions,
    ItemOutcome,
    Logged,
    Logs,
    NotTaken,
    PublishOutcome,
    SignedRequest,
    Signing,
)
from lightship.core.stix.ingest import Item
from lightship.core.stix.json import decode_listing
from lightship.core.time import Micros, format_stamp
from lightship.usecases.directory import Directory
from lightship.usecases.entry import Place, permit_withdraw, under_current_rules
from lightship.usecases.publish import Post, Prepared, Publish
from lightship.usecases.rosters import RosterBook
from lightship.usecases.status import Failure, render_status

_LATEST = 1_000_000
"""The largest version of an agreement, which makes the longest leaf."""
_TAKEN = frozenset({Verdict.ADD, Verdict.DUPLICATE})
_UNTOUCHED = "Not taken, since a signed statement is taken whole or not at all (deny-statement)"


@dataclass(frozen=True, slots=True)
class Proven:
    """A statement in the log, and how that is proved."""

    logged: Logged
    leaf: bytes
    path: tuple[bytes, ...]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Declined:
    """A statement of which nothing was taken: the status resource that names each object's reason."""

    status: bytes


@dataclass(frozen=True, slots=True)
class _Read:
    """A body: the statement, verified in nothing, and the objects that came with it."""

    envelope: dsse.Envelope
    statement: Statement
    items: tuple[Item, ...]

    @property
    def digest(self) -> str:
        return statement.digest_of(self.envelope.payload)


class PublishSigned:
    """Carries out signed posts.

    Args:
        publish: what a post without a signature is asked.
        signing, logs: the store.  rosters: whose keys are whose.
        verify: the signature check.
    """

    def __init__(
        self,
        *,
        publish: Publish,
        signing: Signing,
        logs: Logs,
        rosters: RosterBook,
        decisions: Decisions,
        directory: Directory,
        verify: Verify,
        executor: Executor,
    ) -> None:
        self._publish = publish
        self._signing = signing
        self._logs = logs
        self._rosters = rosters
        self._decisions = decisions
        self._directory = directory
        self._verify = verify
        self._executor = executor

    def permit(self, place: Place, now: Micros) -> Grant:
        """Decide, before the body is read, whether the principal may post signed statements here.

        Raises:
            Refused, Hidden: it may not.  Unavailable: nothing is published for now.
        """
        return self._publish.permit(place, now, signed=True)

    async def __call__(self, post: Post) -> Proven | Declined:
        """Check, decide, write, prove.

        Raises:
            MalformedRequest, BadRecord: the body or the statement cannot be read.
            Refused, Hidden, CredentialGone: a right is missing; nothing was written.
            OutOfSequence: the statement does not follow what its key had logged last.
            Unavailable: for now nothing can be written.
        """
        return await under_current_rules(
            self._directory, post.place, post.now, lambda place: self._write(replace(post, place=place))
        )

    async def _write(self, post: Post) -> Proven | Declined:
        grant = self.permit(post.place, post.now)
        loop = asyncio.get_running_loop()
        prepared = await loop.run_in_executor(self._executor, self._prepare, post, grant)
        if isinstance(prepared, Logged):
            return await loop.run_in_executor(self._executor, self._prove, grant, prepared)
        request, checked = prepared
        whole = request.statement
        early = [one for one in checked.releases if checked.releases[one] > post.now]
        if checked.failures or early:
            failures = [*checked.failures, *(_held_back(checked, one) for one in early)]
            self._publish.count([], checked.rules + ["deny-held-back"] * len(early))
            return Declined(_declined(post, whole, checked, failures))
        try:
            logged = await asyncio.wrap_future(self._signing.publish_signed(request))
        except NotTaken as refused:
            self._publish.count([one.verdict for one in refused.items if one.verdict not in _TAKEN], [])
            failures = [_withdrawal(whole, index, why) for index, why in refused.withdrawals.items()]
            return Declined(_declined(post, whole, checked, failures, refused.items))
        if logged.event is not None:
            self._publish.done(logged.items, checked)
        return await loop.run_in_executor(self._executor, self._prove, grant, logged)

    # --- before the write ---------------------------------------------------------------------------

    def _prepare(self, post: Post, grant: Grant) -> Logged | tuple[SignedRequest, Prepared]:
        read = _read(post.body)
        known = self._signing.logged(grant, read.digest)
        if known is not None and self._is_mine(post, grant, known):
            return known
        self._authorised(post, read)
        if read.statement.withdraw:
            permit_withdraw(self._decisions, post.place, post.now, signed=True)
        checked = self._publish.prepare(post, grant, read.items)
        taken = {one.position: one for one in checked.request.candidates}
        for position, add in enumerate(read.statement.add):
            if position in taken and not _same(taken[position], add):
                checked.rules.append("deny-statement")
                checked.failures.append(
                    Failure(
                        position,
                        add.id,
                        add.version,
                        "The statement names another id, version or digest than this object has"
                        " (deny-statement); sign the canonical form of what is sent",
                    )
                )
        return SignedRequest(checked.request, read.statement, read.envelope), checked

    def _is_mine(self, post: Post, grant: Grant, known: Logged) -> bool:
        """The answer of the first time is for the member whose statement it was."""
        for entry in self._logs.entries(grant, known.index, 1):
            found = leaf.read(entry)
            return isinstance(found, leaf.Publication) and found.by == post.place.principal.member
        return False

    def _authorised(self, post: Post, read: _Read) -> None:
        """Is it for this place, is the key the member's, and did it sign?"""
        place, one = post.place, read.statement
        if one.collection != place.collection.id or one.hub != place.agreement.hub:
            raise Refused(
                "The statement is for another place",
                rule="deny-other-place",
                why=f"it names collection {one.collection} of hub {one.hub}, this is collection"
                f" {place.collection.id} of hub {place.agreement.hub} (deny-other-place)",
                todo="Sign it for this collection",
            )
        member = place.principal.member
        key = self._rosters.current(place.agreement, place.epoch).publish_key(member, one.key)
        if key is None or key.revoked is not None:
            state = "is not listed in" if key is None else "is revoked by"
            raise Refused(
                "The key may not sign here",
                rule="deny-publish-key",
                why=f"key {one.key} {state} the roster of {member} that is in force (deny-publish-key)",
                todo="Have the holder of the admin key sign a roster with it: lightship roster sign",
            )
        stop = place.agreement.suspended("", post.now, one.key)
        if stop is not None:
            raise Refused(
                "The key is suspended",
                rule="deny-suspended",
                why=f"key {one.key} of {member} is suspended by {stop.party} until"
                f" {format_stamp(stop.until)[:16]}Z: {stop.reason} (deny-suspended)",
                todo="Publish it again after that; if the key was stolen, have a roster revoke it",
            )
        message = read.envelope.signed_bytes
        if not any(self._verify(key.public, held.sig, message) for held in read.envelope.signatures):
            raise Refused(
                "The statement is not signed with its key",
                rule="deny-signature",
                why=f"no signature of it is one by key {one.key} (deny-signature)",
                todo="Sign it anew; if that does not help, the file of the key is another one",
            )

    # --- after the write ----------------------------------------------------------------------------

    def _prove(self, grant: Grant, logged: Logged) -> Proven:
        """Return a committed statement with the proof of its transaction, else one under the newest head."""
        entries = self._logs.entries(grant, logged.index, 1)
        fresh = logged.proof
        if fresh is not None and fresh.checkpoint and entries:
            return Proven(logged, entries[0], fresh.path, fresh.checkpoint)
        note = self._logs.checkpoint(grant)
        size = notes.parse_checkpoint(notes.parse_note(note).text).size

        def hashes(level: int, first: int, count: int) -> Sequence[bytes]:
            return self._logs.hashes(grant, level, first, count)

        if not entries or not logged.index < size:
            raise Damaged(
                "The log of this collection does not hold what was logged", todo="Run `lightship fsck`"
            )
        return Proven(logged, entries[0], tuple(merkle.inclusion(hashes, logged.index, size)), note)


def _read(body: bytes) -> _Read:
    """Return what a body says.

    Raises:
        MalformedRequest: it has not exactly the two members, or not an object for each add.
        BadRecord: its statement has not the form of one, or would not fit the log.
    """
    listing = decode_listing(body, "objects")
    if not listing.is_object or not listing.is_array or listing.items is None:
        raise MalformedRequest(
            "The body is no signed publication",
            why="it is not an object with a list `objects`",
            todo='Send {"publication": <DSSE envelope>, "objects": [...]}',
        )
    if set(listing.members) != {"publication"}:
        raise MalformedRequest(
            "The body is no signed publication",
            why="it needs exactly the members `publication` and `objects`",
            todo='Send {"publication": <DSSE envelope>, "objects": [...]}',
        )
    envelope, found = statement.read_envelope(listing.members["publication"], signed=True)
    if len(listing.items) != len(found.add):
        raise MalformedRequest(
            "The statement does not fit its objects",
            why=f"it adds {len(found.add)}, and {len(listing.items)} came (at most {STATEMENT_ENTRIES})",
            todo="Send the objects that it adds, in its order",
        )
    leaf.publication(_LATEST, 0, "m" * 63, envelope)
    items = tuple(Item(position, content) for position, content in enumerate(listing.items))
    return _Read(envelope, found, items)


def _same(one: Candidate, add: Add) -> bool:
    return (one.id, one.version_text, one.digest.hex()) == (add.id, add.version, add.digest)


def _held_back(checked: Prepared, position: int) -> Failure:
    one = next(held for held in checked.request.candidates if held.position == position)
    return Failure(
        position,
        one.id,
        one.version_text,
        "Its terms hold it back, and a signed statement takes effect at once (deny-held-back); let the outbox"
        " keep it until then: lightship publish --sign --at",
    )


def _withdrawal(whole: Statement, index: int, why: str) -> Failure:
    entry = whole.withdraw[index]
    return Failure(len(whole.add) + index, entry.id, entry.version, f"Withdrawal refused: {why}")


def _declined(
    post: Post,
    whole: Statement,
    checked: Prepared,
    failures: Sequence[Failure],
    judged: Sequence[ItemOutcome] = (),
) -> bytes:
    """Return the status resource of a statement of which nothing was taken: every object is a failure."""
    named = {one.position for one in failures}
    refused = [one for one in judged if one.verdict not in _TAKEN and one.candidate.position not in named]
    named |= {one.candidate.position for one in refused}
    others = [
        Failure(position, add.id, add.version, _UNTOUCHED)
        for position, add in enumerate(whole.add)
        if position not in named
    ]
    others += [
        Failure(len(whole.add) + index, entry.id, entry.version, _UNTOUCHED)
        for index, entry in enumerate(whole.withdraw)
        if len(whole.add) + index not in named
    ]
    outcome = PublishOutcome(tuple(refused), Micros(0), Micros(0))
    return render_status(post.status_id, post.now, outcome, [*failures, *others], checked.releases)
