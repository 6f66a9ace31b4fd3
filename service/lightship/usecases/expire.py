"""Taking out what may stay no longer: past its `share_until`, or older than its collection keeps things.

A withdrawal as any other, with the reason `expired` and an access event, never in silence. Works in batches,
each a transaction. A marking definition that something still cites is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from lightship.core.access import Action
from lightship.core.audit import AccessEvent
from lightship.core.collection import stamp_of
from lightship.core.ports import ExpireRequest, Row, Writer
from lightship.core.time import Micros
from lightship.usecases.release import BATCH, Spot, landed

_log = logging.getLogger("lightship.upkeep")
SHARE_UNTIL, RETENTION = "share-until", "retention"
_DAY = 86_400 * 1_000_000


def cutoff_of(spot: Spot) -> Micros | None:
    """Return the moment before which added objects go; None where nothing is too old."""
    days = spot.collection.settings.retention_days
    return None if days is None else Micros(spot.now - days * _DAY)


class Expire:
    """Withdraws what is due in a collection.

    Args:
        writer: the store.
        keep: records the access event of what was done; awaited after each write.
        new_request: gives a fresh request id a call.
    """

    def __init__(
        self,
        *,
        writer: Writer,
        keep: Callable[[AccessEvent], Awaitable[None]],
        new_request: Callable[[], str],
    ) -> None:
        self._writer = writer
        self._keep = keep
        self._new_request = new_request
        self.expired = 0

    async def __call__(self, spot: Spot, reason: str) -> None:
        """Withdraw everything that is due for a reason, SHARE_UNTIL or RETENTION.

        Raises:
            EpochChanged: the rules changed meanwhile; what is not done yet is to be looked at anew.
            Unavailable: for now nothing can be written.
        """
        before = cutoff_of(spot) if reason == RETENTION else None
        more = True
        while more:
            more = await self._batch(spot, reason, before)

    async def _batch(self, spot: Spot, reason: str, before: Micros | None) -> bool:
        req = self._new_request()

        def event_of(rows: Sequence[Row]) -> AccessEvent:
            stamps = [stamp_of(row.key) for row in rows]
            event = spot.event(req, "expire", ids=[row.id for row in rows])
            return replace(event, why=reason, first=min(stamps, default=0), last=max(stamps, default=0))

        request = ExpireRequest(spot.grant(reason, Action.WITHDRAW), before, spot.now, BATCH, event_of)
        done = await landed(self._writer.expire(request))
        if done.event is not None:
            await self._keep(done.event)
            self.expired += len(done.rows)
            fields = {"collection": spot.collection.alias, "reason": reason, "objects": len(done.rows)}
            _log.info("objects were withdrawn", extra={"fields": fields})
        return done.more and bool(done.rows)
