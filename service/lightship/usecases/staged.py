"""What waits for its release: its publisher sees it and can take it back; for everybody else it is not there.

An object whose terms name a later `release_at` waits outside its collection. A member may look after what is
its own there as long as it is one, also where it may not read, or not publish any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from lightship.core.access import Action, Grant, Principal, System
from lightship.core.audit import STEWARD, AccessEvent
from lightship.core.collection import Collection, WithdrawReason
from lightship.core.errors import Conflict, NotFound, Unavailable
from lightship.core.ports import (
    Decisions,
    EpochChanged,
    InUse,
    Reader,
    Row,
    Staged,
    Withdrawn,
    WithdrawRequest,
    Writer,
)
from lightship.core.query import SPEC_VERSIONS, Filters, Versions
from lightship.core.time import Micros
from lightship.usecases.directory import Directory
from lightship.usecases.entry import Place, permit
from lightship.usecases.explain import find_spot
from lightship.usecases.withdraw import Order, in_use, take_back

EVERYTHING = Filters(versions=Versions(last=False, every=True), spec_versions=SPEC_VERSIONS)


class StagedObjects:
    """Lists and cancels."""

    def __init__(self, *, reader: Reader, writer: Writer, decisions: Decisions, directory: Directory) -> None:
        self._reader = reader
        self._writer = writer
        self._decisions = decisions
        self._directory = directory

    def permit(self, place: Place, now: Micros) -> Grant:
        """Decide whether the principal may look after staged objects here.

        Raises:
            Refused, Hidden: it may not.
        """
        return permit(self._decisions, place, Action.LIST, now)

    async def list(self, place: Place, now: Micros) -> Sequence[Staged]:
        """Return what the principal's member has waiting here, by release.

        Raises:
            Refused, Hidden: no right.
        """
        grant = self.permit(place, now)
        return await asyncio.to_thread(self._reader.staged, grant, place.principal.member)

    async def cancel(
        self,
        place: Place,
        object_id: str,
        filters: Filters,
        now: Micros,
        event_of: Callable[[Sequence[Row]], AccessEvent],
    ) -> Withdrawn:
        """Take back the member's own staged versions of an object that `filters` pick.

        What is in the collection already stays there.

        Raises:
            Refused, Hidden, CredentialGone: no right.
            NotFound: nothing of it waits (any more).
            Conflict: it is a marking definition that something cites; names what of it the principal may see.
            Unavailable: for now nothing can be written.
        """
        order = Order(place, object_id, filters, now, event_of)
        try:
            return await take_back(self._directory, self._writer, self.permit, order, staged_only=True)
        except InUse:
            raise await asyncio.to_thread(
                in_use, self._reader, self._decisions, place, object_id, now
            ) from None


def waiting_place(directory: Directory, name: str) -> tuple[Collection, int]:
    """Return the collection named `AGREEMENT/ALIAS` or `AGREEMENT/ID`, and the policy epoch, for the steward.

    Also one that its agreement has no more: what waits there cannot be looked after by its publisher.

    Raises:
        NotFound: there never was one.
    """
    view = directory.view()
    root, _, alias = name.partition("/")
    for agreement, one in directory.removed(view):
        if agreement.id == root and alias in {one.alias, one.id} and view.collection(root, alias) is None:
            return one, view.epoch
    spot = find_spot(view, name)
    return spot.collection, spot.epoch


def all_staged(reader: Reader, collection: Collection, epoch: int) -> Sequence[Staged]:
    """Return what everybody has waiting in a collection, for the hub's steward, by release."""
    grant = Grant(System("staged list"), Action.READ, collection, epoch)
    return reader.staged(grant, "")


def cancel_for(
    reader: Reader,
    writer: Writer,
    collection: Collection,
    epoch: int,
    object_id: str,
    *,
    now: Micros,
    new_request: Callable[[], str],
) -> list[Row]:
    """Take back, as the hub's steward, whatever waits of an object, whoever published it.

    Raises:
        NotFound: nothing of it waits.
        Conflict: it is a marking definition that something cites.
        Unavailable: the rules changed meanwhile, or nothing can be written; nothing more was taken back.
    """
    waiting = [one for one in all_staged(reader, collection, epoch) if one.candidate.id == object_id]
    if not waiting:
        raise NotFound(f"Nothing of {object_id} waits in {collection.agreement}/{collection.alias}")
    cancelled: list[Row] = []
    for owner in sorted({one.owner for one in waiting}):
        req = new_request()

        def event_of(rows: Sequence[Row], owner: str = owner, req: str = req) -> AccessEvent:
            return AccessEvent(
                req=req,
                at=now,
                act="cancel-staged",
                agr=collection.agreement,
                who=owner,
                cred=STEWARD,
                col=collection.id,
                q=object_id,
                why=STEWARD,
                n=len(rows),
            )

        principal = Principal(collection.agreement, owner, STEWARD, STEWARD)
        request = WithdrawRequest(
            grant=Grant(principal, Action.WITHDRAW, collection, epoch),
            object_id=object_id,
            filters=EVERYTHING,
            reason=WithdrawReason.ORDERED,
            render_event=event_of,
            now=now,
            staged_only=True,
        )
        try:
            cancelled += writer.withdraw(request).result().cancelled
        except EpochChanged:
            raise Unavailable("The hub's rules changed meanwhile", todo="Try again") from None
        except InUse:
            raise Conflict(
                "The marking definition is in use",
                why="what it marks would stay without its meaning",
                todo="Cancel what cites it first",
            ) from None
    return cancelled
