"""Taking one's own object, or versions of it, out of a collection (TAXII 2.1 section 5.7).

Needs the right to read and to write. What is taken out is gone from every read; that it was there stays on
record, under a statement of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from lightship.core.access import Grant
from lightship.core.audit import AccessEvent
from lightship.core.collection import WithdrawReason
from lightship.core.errors import Refused
from lightship.core.ports import Decisions, NotOwner, Row, Withdrawn, WithdrawRequest, Writer
from lightship.core.query import Filters
from lightship.core.time import Micros
from lightship.usecases.directory import Directory
from lightship.usecases.entry import Place, permit_withdraw, under_current_rules


class Withdraw:
    """Carries out deletes."""

    def __init__(self, *, writer: Writer, decisions: Decisions, directory: Directory) -> None:
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
            Unavailable: for now nothing can be written.
        """

        async def write(place: Place) -> Withdrawn:
            request = WithdrawRequest(
                grant=self.permit(place, now),
                object_id=object_id,
                filters=filters,
                reason=WithdrawReason.PUBLISHER,
                render_event=event_of,
                now=now,
            )
            return await asyncio.wrap_future(self._writer.withdraw(request))

        try:
            return await under_current_rules(self._directory, place, now, write)
        except NotOwner:
            raise Refused(
                "The object is another member's",
                rule="deny-owner",
                why="Whoever posted an object first owns it in this collection (deny-owner)",
                todo="Ask its owner, or the hub's steward",
            ) from None
