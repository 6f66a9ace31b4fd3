"""Taking one's own object, or versions of it, out of a collection (TAXII 2.1 section 5.7).

Needs the right to read and to write. What is taken out is gone from every read; that it was there stays on
record, under a statement of its own. What waits for its release and is the member's own is cancelled too. A
marking definition stays as long as something that is held cites it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lightship.core.access import Action, Grant
from lightship.core.audit import AccessEvent
from lightship.core.collection import WithdrawReason
from lightship.core.errors import Conflict, Refused
from lightship.core.ports import (
    Decisions,
    InUse,
    NotOwner,
    Reader,
    Row,
    Withdrawn,
    WithdrawRequest,
    Writer,
)
from lightship.core.query import Filters
from lightship.core.time import Micros
from lightship.usecases.directory import Directory
from lightship.usecases.entry import Place, permit_withdraw, under_current_rules

NAMED = 5
"""Citing objects that a refusal names at most."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a principal takes back: the versions of an object that `filters` pick."""

    place: Place
    object_id: str
    filters: Filters
    now: Micros
    event_of: Callable[[Sequence[Row]], AccessEvent]


async def take_back(
    directory: Directory,
    writer: Writer,
    permit: Callable[[Place, Micros], Grant],
    order: Order,
    *,
    staged_only: bool = False,
) -> Withdrawn:
    """Carry out an order under the rules of the moment at which it is written.

    Raises:
        NotOwner, InUse, NotFound, Unavailable: see `ports.Writer.withdraw`.
        Refused, Hidden, CredentialGone: see `permit` and `under_current_rules`.
    """

    async def write(place: Place) -> Withdrawn:
        request = WithdrawRequest(
            grant=permit(place, order.now),
            object_id=order.object_id,
            filters=order.filters,
            reason=WithdrawReason.PUBLISHER,
            render_event=order.event_of,
            now=order.now,
            staged_only=staged_only,
        )
        return await asyncio.wrap_future(writer.withdraw(request))

    return await under_current_rules(directory, order.place, order.now, write)


def in_use(reader: Reader, decisions: Decisions, place: Place, definition: str, now: Micros) -> Conflict:
    """Return the refusal to take back a definition; names what cites it and may be seen."""
    names: list[str] = []
    for collection in place.agreement.collections:
        read = decisions.decide(place.principal, Action.READ, collection, place.agreement, now)
        grant = Grant(place.principal, Action.READ, collection, place.epoch, read)
        sets = [
            one for one in reader.held_sets(grant) if any(cited.id == definition for cited in one.marks.cites)
        ]
        member = place.principal.member
        told = [one for one in sets if one.owner == member or (one.live and read.allowed)]
        found = reader.holding(grant, told, NAMED, staged_of=member)
        names += [f"{row.id} in {collection.alias}" for _, row in found.rows]
    shown = list(dict.fromkeys(names))[:NAMED]
    citing = f"{', '.join(shown)}, and perhaps more" if shown else "objects that you may not see"
    return Conflict(
        "The marking definition is in use",
        why=f"what it marks would stay without its meaning: {citing}",
        todo="Withdraw what cites it first, or publish new versions that do not cite it",
    )


class Withdraw:
    """Carries out deletes."""

    def __init__(self, *, reader: Reader, writer: Writer, decisions: Decisions, directory: Directory) -> None:
        self._reader = reader
        self._writer = writer
        self._decisions = decisions
        self._directory = directory

    def permit(self, place: Place, now: Micros) -> Grant:
        """Decide whether the principal may withdraw here.

        Raises:
            Refused, Hidden: it may not.
        """
        return permit_withdraw(self._decisions, place, now)

    async def __call__(
        self,
        place: Place,
        object_id: str,
        filters: Filters,
        now: Micros,
        event_of: Callable[[Sequence[Row]], AccessEvent],
    ) -> Withdrawn:
        """Take out the versions of an object that `filters` pick.

        Raises:
            Refused, Hidden, CredentialGone: no right, or the object is another member's; nothing was taken
                out.
            NotFound: no such object or version.
            Conflict: it is a marking definition that something cites; names what of it the principal may see.
            Unavailable: for now nothing can be written.
        """

        order = Order(place, object_id, filters, now, event_of)
        try:
            return await take_back(self._directory, self._writer, self.permit, order)
        except InUse:
            raise await asyncio.to_thread(
                in_use, self._reader, self._decisions, place, object_id, now
            ) from None
        except NotOwner:
            raise Refused(
                "The object is another member's",
                rule="deny-owner",
                why="Whoever posted an object first owns it in this collection (deny-owner)",
                todo="Ask its owner, or the hub's steward",
            ) from None
