"""What waits for its release: its publisher sees it and can take it back; for everybody else it is not there.

An object whose terms name a later `release_at` waits outside its collection. Who may withdraw from there may
look after what its own member has waiting, also where it may not read what others published.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from lightship.core.access import Action, Grant
from lightship.core.audit import AccessEvent
from lightship.core.collection import WithdrawReason
from lightship.core.ports import Decisions, Reader, Row, Staged, Withdrawn, WithdrawRequest, Writer
from lightship.core.query import Filters
from lightship.core.time import Micros
from lightship.usecases.directory import Directory
from lightship.usecases.entry import Place, permit, under_current_rules


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
        return permit(self._decisions, place, Action.WITHDRAW, now)

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
                staged_only=True,
            )
            return await asyncio.wrap_future(self._writer.withdraw(request))

        return await under_current_rules(self._directory, place, now, write)
