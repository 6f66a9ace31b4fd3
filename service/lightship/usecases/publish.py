"""Posting objects (TAXII 2.1 section 5.5): check each, decide each, add what may enter, report on all.

One object never spoils another: each has its entry in the status. What is reported as added is durable.
Rights are decided before the body is read, each object with its markings before the write, and the policy
epoch is compared inside the transaction; if it changed meanwhile everything is resolved and decided again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Protocol

from lightship.core.access import Action, Grant
from lightship.core.audit import AccessEvent
from lightship.core.collection import Candidate, CollectionSettings, Verdict
from lightship.core.errors import Refused, Unavailable
from lightship.core.ports import (
    Decisions,
    ItemOutcome,
    Published,
    PublishOutcome,
    PublishRequest,
    Reader,
    Writer,
)
from lightship.core.stix.ingest import Item, Refusal
from lightship.core.time import Micros
from lightship.usecases.directory import Directory
from lightship.usecases.entry import Place, permit, under_current_rules
from lightship.usecases.marks import PostedMarks
from lightship.usecases.status import Failure, render_status

INLINE_BYTES = 16_384
"""Bodies up to this size are checked in the event loop, larger ones in the executor."""
_TAKEN = {Verdict.ADD: "added", Verdict.DUPLICATE: "duplicate", Verdict.STAGED: "staged"}
_ENTERS = frozenset({Verdict.ADD, Verdict.STAGED})
_RULES = {
    Verdict.CONFLICT: "deny-conflict",
    Verdict.NOT_OWNER: "deny-owner",
    Verdict.WITHDRAWN: "deny-withdrawn",
    Verdict.UNKNOWN_MARKING: "deny-unknown-marking",
}

EventOf = Callable[[PublishOutcome], AccessEvent]
"""Makes the access event of what was done; runs inside the write's transaction."""


class Checks(Protocol):
    """The object checks (`lightship.core.stix.ingest.Ingest`)."""

    def read_envelope(self, body: bytes) -> list[Item]: ...

    def check(
        self, items: Sequence[Item], settings: CollectionSettings, now: Micros
    ) -> tuple[list[Candidate], list[Refusal]]: ...


@dataclass(frozen=True, slots=True)
class Post:
    """One body posted to a place, under a positive decision."""

    place: Place
    body: bytes
    status_id: str
    now: Micros
    event_of: EventOf


@dataclass(frozen=True, slots=True)
class Prepared:
    """What to write, and which objects were refused before, with the rule of each.

    `releases` maps the position of an object to the moment before which it is held back; `moment` is the
    next one of all terms.
    """

    request: PublishRequest
    failures: list[Failure]
    rules: list[str]
    releases: dict[int, Micros]
    moment: Micros | None


class Publish:
    """Carries out posts.

    `on_terms` is told the next moment at which something of a post enters or goes; `room` gives the bytes
    that the disk has left beyond what is kept for the access log.
    """

    def __init__(
        self,
        *,
        reader: Reader,
        writer: Writer,
        checks: Checks,
        decisions: Decisions,
        directory: Directory,
        executor: Executor,
        on_terms: Callable[[Micros], None] = lambda moment: None,
        room: Callable[[], int] = lambda: 0,
    ) -> None:
        self._room = room
        self._reader = reader
        self._writer = writer
        self._checks = checks
        self._decisions = decisions
        self._directory = directory
        self._executor = executor
        self._on_terms = on_terms
        self.counts = dict.fromkeys(_TAKEN.values(), 0)
        """Objects taken so far, by what became of them."""
        self.refused: dict[str, int] = {}
        """Objects refused so far, by rule."""
        self.violations: dict[str, int] = {}
        """Objects that a lenient collection took so far, by the rule by which a strict one refuses them."""

    def permit(self, place: Place, now: Micros, *, signed: bool = False) -> Grant:
        """Decide, before anything of the body is read, whether the principal may post here.

        `signed`: a statement that a publish key signed, to be verified before the write.

        Raises:
            Refused, Hidden: it may not.  Unavailable: nothing is published for now.
        """
        grant = permit(self._decisions, place, Action.PUBLISH, now, signed=signed)
        if self._room() < 0:
            raise Unavailable(
                "The disk is nearly full: nothing is published",
                why="what is left is kept for the access log",
                todo="Try again later, or tell the hub's steward",
                retry_after=60,
            )
        return grant

    async def __call__(self, post: Post) -> Published:
        """Check, decide, write.

        Raises:
            MalformedRequest, Unprocessable: the body as a whole cannot be read.
            Refused, Hidden, CredentialGone: the right was lost meanwhile, or a quota is full; nothing was
                written.
            Unavailable: for now nothing can be written.
        """
        return await under_current_rules(
            self._directory, post.place, post.now, lambda place: self._write(replace(post, place=place))
        )

    async def _write(self, post: Post) -> Published:
        grant = self.permit(post.place, post.now)
        prepared = await self._prepared(post, grant)
        try:
            published = await asyncio.wrap_future(self._writer.publish(prepared.request))
        except Refused as refused:
            number = len(prepared.request.candidates)
            self.refused[refused.rule] = self.refused.get(refused.rule, 0) + number
            raise
        self.done(published.outcome.items, prepared)
        return published

    def done(self, items: Sequence[ItemOutcome], prepared: Prepared) -> None:
        """Count what became of a post that was carried out, and wait for what its terms say."""
        if prepared.moment is not None:
            self._on_terms(prepared.moment)
        self.count([item.verdict for item in items], prepared.rules)
        for item in items:
            if item.candidate.violation is not None and item.verdict in _ENTERS:
                rule, _ = item.candidate.violation
                self.violations[rule] = self.violations.get(rule, 0) + 1

    def count(self, verdicts: Sequence[Verdict], rules: Sequence[str]) -> None:
        """Count what became of objects: verdicts of the store, and rules by which others were refused."""
        for verdict, word in _TAKEN.items():
            self.counts[word] += verdicts.count(verdict)
        for verdict, rule in _RULES.items():
            if number := verdicts.count(verdict):
                self.refused[rule] = self.refused.get(rule, 0) + number
        for rule in rules:
            self.refused[rule] = self.refused.get(rule, 0) + 1

    async def _prepared(self, post: Post, grant: Grant) -> Prepared:
        if len(post.body) <= INLINE_BYTES:
            return self._prepare(post, grant)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._prepare, post, grant)

    def _prepare(self, post: Post, grant: Grant) -> Prepared:
        return self.prepare(post, grant, self._checks.read_envelope(post.body))

    def prepare(self, post: Post, grant: Grant, items: Sequence[Item]) -> Prepared:
        """Check and decide each object."""
        checked, refusals = self._checks.check(items, grant.collection.settings, post.now)
        failures = [
            Failure(one.position, one.id, one.version_text, f"{one.message} ({one.rule})") for one in refusals
        ]
        rules = [one.rule for one in refusals]
        place = post.place
        resolved = PostedMarks(
            self._reader,
            self._decisions,
            grant,
            place.principal,
            place.agreement,
            checked,
            post.now,
            {one.id for one in refusals},
        ).resolved()
        for one, _, decision in resolved.refused:
            rules.append(decision.rule)
            message = f"{decision.say} ({decision.rule})"
            failures.append(Failure(one.position, one.id, one.version_text, message))
        releases = {
            candidate.position: marks.release_at
            for candidate, marks in zip(resolved.taken, resolved.marks, strict=True)
            if marks.release_at is not None
        }
        read = self._decisions.decide(
            place.principal, Action.READ, place.collection, place.agreement, post.now
        )
        request = PublishRequest(
            grant=grant,
            candidates=tuple(resolved.taken),
            marks=tuple(resolved.marks),
            status_id=post.status_id,
            render_status=lambda outcome: render_status(
                post.status_id, post.now, outcome, failures, releases, may_read=read.allowed
            ),
            render_event=post.event_of,
            now=post.now,
        )
        ends = [one.share_until for one in resolved.marks if one.share_until is not None]
        moment = min((*releases.values(), *ends), default=None)
        return Prepared(request, failures, rules, releases, moment)
