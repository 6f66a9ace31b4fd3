"""Releasing what was held back: each staged object is decided again, by the rules of the moment of release.

The publisher must still be one, the agreement in force, and every member of the audience of now must be
allowed to have the object. What the hub releases it attests itself, so that nothing is released where only
signed statements are taken. What may enter is added with the date of this moment; what may not stays staged,
with its problem for its publisher to read. Works in batches, each a transaction with its access event; what
another process released first is passed over. Never reads an object's content.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TypeVar

from lightship.core.access import Action, Decision, Grant, Principal, System
from lightship.core.agreement import Agreement
from lightship.core.audit import AccessEvent
from lightship.core.collection import Collection, Verdict
from lightship.core.ports import Decisions, PublishOutcome, Reader, ReleaseRequest, Staged, Writer
from lightship.core.time import Micros
from lightship.usecases.marks import past_sharing

T = TypeVar("T")

_log = logging.getLogger("lightship.upkeep")
BATCH = 256
"""Objects in one transaction at most: one statement."""
HUB = "hub"
"""Stands in access events for the credential of what the hub does by itself."""
MOST_NAMED = 2_000
"""Characters of object ids in an access event."""
_RULE = re.compile(r"\(([a-z0-9-]+)\)\.?$")
_SIGN = "Take it back, and publish it with `lightship publish --sign --at`."
_Decided = list[tuple[Staged, Decision]]
_Part = tuple[str, _Decided]


@dataclass(frozen=True, slots=True)
class Spot:
    """A collection of an agreement, under the rules of an epoch, at a moment."""

    agreement: Agreement
    collection: Collection
    epoch: int
    now: Micros

    def grant(self, reason: str, action: Action) -> Grant:
        """Return the grant of the hub itself, which is logged with its reason."""
        return Grant(System(reason), action, self.collection, self.epoch)

    def event(self, req: str, act: str, *, owner: str = "", ids: Sequence[str] = ()) -> AccessEvent:
        """Return what an access event of this work has in any case."""
        return AccessEvent(
            req=req,
            at=self.now,
            act=act,
            agr=self.agreement.id,
            who=owner,
            cred=HUB,
            col=self.collection.id,
            q=" ".join(ids)[:MOST_NAMED],
            st=200,
            n=len(ids),
        )


class Release:
    """Releases what is due in a collection.

    Args:
        reader, writer: the store.
        decisions: the rules.
        keep: records the access event of what was done; awaited after each write.
        new_request: gives a fresh request id a call.
    """

    def __init__(
        self,
        *,
        reader: Reader,
        writer: Writer,
        decisions: Decisions,
        keep: Callable[[AccessEvent], Awaitable[None]],
        new_request: Callable[[], str],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decisions = decisions
        self._keep = keep
        self._new_request = new_request
        self.released = 0
        self.refused = 0

    async def __call__(self, spot: Spot, *, failed: bool) -> None:
        """Release everything whose moment has come; with `failed` also what could not enter before.

        Raises:
            EpochChanged: the rules changed meanwhile; what is not done yet is to be decided anew.
            Unavailable: for now nothing can be written.
        """
        after = 0
        while True:
            due, parts = await asyncio.to_thread(self._decide, spot, failed, after)
            for owner, decided in parts:
                await self._write(spot, owner, decided)
            if len(due) < BATCH:
                return
            after = due[-1].number

    def _decide(self, spot: Spot, failed: bool, after: int) -> tuple[Sequence[Staged], list[_Part]]:
        """Return the next batch, and what came of it by owner; what fails as it did before is left out."""
        grant = spot.grant("release", Action.PUBLISH)
        due = self._reader.due(grant, spot.now, failed=failed, after=after, limit=BATCH)
        parts: dict[str, _Decided] = {}
        for one in due:
            decision = self._may_enter(spot, one)
            if decision.allowed or problem_of(decision) != one.problem:
                parts.setdefault(one.owner, []).append((one, decision))
        return due, list(parts.items())

    def _may_enter(self, spot: Spot, one: Staged) -> Decision:
        member = spot.agreement.members.get(one.owner)
        roles = member.roles if member is not None else frozenset[str]()
        # Whose credential or certificate counts is asked where something comes in; this came in then.
        principal = Principal(
            *(spot.agreement.id, one.owner, "", one.owner, roles), certificate=True, listed=True
        )
        right = self._decisions.decide(principal, Action.PUBLISH, spot.collection, spot.agreement, spot.now)
        if right.rule == "deny-unsigned":
            return replace(right, say=f"{right.say} {_SIGN}")
        if not right.allowed:
            return right
        late = past_sharing(one.marks, spot.now)
        if late is not None:
            return late
        decision = self._decisions.decide_object(
            principal, spot.collection, spot.agreement, one.candidate, one.marks
        )
        return right if decision.allowed else decision

    async def _write(self, spot: Spot, owner: str, decided: _Decided) -> None:
        """Write the refused ones of an owner, then those that may enter."""
        refused = {one.number: problem_of(why) for one, why in decided if not why.allowed}
        if refused:
            await self._submit(spot, owner, (), refused, "")
        entering = [(one.number, why.rule) for one, why in decided if why.allowed]
        if entering:
            await self._submit(spot, owner, tuple(number for number, _ in entering), {}, entering[0][1])

    async def _submit(
        self, spot: Spot, owner: str, numbers: tuple[int, ...], refused: Mapping[int, str], permit: str
    ) -> None:
        req = self._new_request()

        def event_of(outcome: PublishOutcome, failed: Sequence[Staged]) -> AccessEvent:
            added = [one.candidate.id for one in outcome.items if one.verdict is Verdict.ADD]
            if failed and not added:
                return _refusal(spot, req, owner, failed)
            event = spot.event(req, "release", owner=owner, ids=added)
            return replace(event, why=permit, first=outcome.added_first, last=outcome.added_last)

        request = ReleaseRequest(
            spot.grant("release", Action.PUBLISH), owner, numbers, refused, event_of, spot.now
        )
        done = await landed(self._writer.release(request))
        if done.event is None:
            return
        await self._keep(done.event)
        if done.failed and done.event.act == "release":  # only the store found out that these may not enter
            await self._keep(_refusal(spot, self._new_request(), owner, done.failed))
        added = sum(one.verdict is Verdict.ADD for one in done.outcome.items)
        self.released += added
        self.refused += len(done.failed)
        fields = {"collection": spot.collection.alias, "released": added, "refused": len(done.failed)}
        _log.info("staged objects were released", extra={"fields": fields})


def problem_of(decision: Decision) -> str:
    """Return what a publisher reads about a refused release."""
    return f"{decision.say} ({decision.rule})"


async def landed(future: Future[T]) -> T:
    """Return the result of a write; giving up the wait never takes the write back."""
    return await asyncio.shield(asyncio.wrap_future(future))


def _refusal(spot: Spot, req: str, owner: str, failed: Sequence[Staged]) -> AccessEvent:
    event = spot.event(req, "release-refused", owner=owner, ids=[one.candidate.id for one in failed])
    found = _RULE.search(failed[0].problem)
    return replace(event, st=403, why=found[1] if found else "")
