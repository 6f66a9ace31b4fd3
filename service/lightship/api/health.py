"""Whether the hub lives and whether it can do its work, for supervisors and load balancers; no credential.

`/healthz` answers as long as the process does. `/readyz` says whether requests can be answered: the store
and the access log can be written, the certificate holds, there is free disk. Neither tells a stranger more
than yes or no: the reasons stand in the hub's log and in its figures. The checks run at most every few
seconds, however often somebody asks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from lightship.core.errors import Unavailable

_log = logging.getLogger("lightship.ready")
FRESH_S = 10.0
"""Seconds for which a good result is given again; a bad one for a tenth of it."""
WITHIN_S = 5.0
"""Seconds after which a check that has not come back has failed."""
Check = Callable[[], object]
"""Raises if something is wrong; may block."""


class Health(BaseModel):
    """The answer of a hub that lives."""

    status: Literal["ok"]


class Readiness:
    """Runs the checks in threads, one round at a time, and remembers what failed.

    Args:
        checks: name -> check.
        now: a clock in seconds that never goes back.
    """

    def __init__(self, checks: Mapping[str, Check], now: Callable[[], float] = time.monotonic) -> None:
        self._checks = checks
        self._now = now
        self._until = float("-inf")
        self._round: asyncio.Future[None] | None = None
        self._running: dict[str, asyncio.Future[object]] = {}
        self.failed: Mapping[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all checks."""
        return tuple(self._checks)

    async def __call__(self) -> bool:
        """Return whether every check passed, not more than FRESH_S ago."""
        if self._round is None and self._now() >= self._until:
            self._round = asyncio.ensure_future(self._look())
            self._round.add_done_callback(self._looked)
        if self._round is not None:
            await asyncio.shield(self._round)
        return not self.failed

    def _looked(self, done: asyncio.Future[None]) -> None:
        self._round = None

    async def _look(self) -> None:
        for name, check in self._checks.items():
            if name not in self._running or self._running[name].done():  # a check that hangs is not doubled
                self._running[name] = asyncio.ensure_future(asyncio.to_thread(check))
        await asyncio.wait(self._running.values(), timeout=WITHIN_S)
        before, self.failed = (
            self.failed,
            {name: reason for name, one in self._running.items() if (reason := _reason(one))},
        )
        self._until = self._now() + (FRESH_S / 10 if self.failed else FRESH_S)
        for name, reason in self.failed.items():
            if name not in before:
                _log.error("not ready: %s", reason, extra={"fields": {"check": name}})
        for name in before:
            if name not in self.failed:
                _log.warning("ready again", extra={"fields": {"check": name}})


def _reason(check: asyncio.Future[object]) -> str:
    if not check.done():
        return "the check has not come back"
    error = check.exception()
    return "" if error is None else str(error) or type(error).__name__


def health_router(ready: Readiness) -> APIRouter:
    """Return the router of `/healthz` and `/readyz`."""
    router = APIRouter()

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", summary="Alive")
    async def healthz() -> Health:
        """Answer."""
        return Health(status="ok")

    @router.head("/readyz", include_in_schema=False)
    @router.get(
        "/readyz", summary="Ready", responses={503: {"description": "Not now; the hub's log says why"}}
    )
    async def readyz() -> Health:
        """Answer if requests can be answered."""
        if not await ready():
            raise Unavailable(
                "The hub is not ready", todo="Try again later; its steward finds why in its log"
            )
        return Health(status="ok")

    return router
