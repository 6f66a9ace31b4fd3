"""What the hub does by itself when a moment has come: it releases, and takes out what may stay no longer.

Runs beside the server, and catches up when it starts; what was to be shared until before then is out before
anybody is served. What a collection holds that its agreement has no more ends in its time too, by its
`share_until` and by the retention that was agreed last, so that nothing comes back with it. It sleeps until
the next known moment, a minute at most, since another process may have changed something. A post with a
nearer moment wakes it, and a change of the rules, after which everything that could not be released is tried
again. Several processes may do this on one store. Faults are logged and tried again; the event loop never
waits for the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from lightship.core.access import Action
from lightship.core.agreement import AgreementStatus
from lightship.core.agreement.suspension import Stop
from lightship.core.audit import AccessEvent
from lightship.core.collection import stamp_of
from lightship.core.errors import LightshipError
from lightship.core.ports import Access, Clock, Decisions, EpochChanged, Reader, Writer
from lightship.core.query import SPEC_VERSIONS, Filters, Versions
from lightship.core.time import Micros
from lightship.usecases.directory import Directory, HubView
from lightship.usecases.expire import RETENTION, SHARE_UNTIL, Expire, cutoff_of
from lightship.usecases.recover import recover
from lightship.usecases.release import Release, Spot, landed

_log = logging.getLogger("lightship.upkeep")
LONGEST_SLEEP_S = 60.0
SHORTEST_SLEEP_S = 0.01
"""A moment that lies between two ticks of the clock is not waited for in a circle."""
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_LOUD = frozenset({AgreementStatus.GRACE, AgreementStatus.EXPIRED, AgreementStatus.SUSPENDED})
"""While an agreement is like this the hub's log says so every day."""
_EVERYTHING = Filters(versions=Versions(last=False, every=True), spec_versions=SPEC_VERSIONS)
_EVER = Micros(-1)
_NEVER = Micros(1 << 62)
_Rules = tuple[int, list[tuple[AgreementStatus, tuple[Stop, ...]]]]


@dataclass(frozen=True, slots=True)
class _Due:
    """A collection with something to do: releases or share_until, retention."""

    spot: Spot
    timed: bool
    old: bool


class Upkeep:
    """The task. `run` it in the server's loop; `round` does what is due now, once.

    Args:
        reader, writer, access: the stores.
        decisions, directory: the rules, and what there is.
        clock: the wall clock counts.
        new_request: gives a fresh request id a call.
    """

    def __init__(
        self,
        *,
        reader: Reader,
        writer: Writer,
        access: Access,
        decisions: Decisions,
        directory: Directory,
        clock: Clock,
        new_request: Callable[[], str],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._access = access
        self._directory = directory
        self._clock = clock
        self._release = Release(
            reader=reader, writer=writer, decisions=decisions, keep=self._keep, new_request=new_request
        )
        self._expire = Expire(writer=writer, keep=self._keep, new_request=new_request)
        self._rules: _Rules | None = None
        self._warned: dict[str, tuple[str, int]] = {}
        self._next = _NEVER
        self._owes_events = False
        self._sleepers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def counts(self) -> Mapping[str, int]:
        """Objects so far, by what became of them."""
        return {
            "released": self._release.released,
            "release-refused": self._release.refused,
            "expired": self._expire.expired,
        }

    async def prepare(self) -> None:
        """Take out what was to be shared until before now; done before anybody is served.

        What fails is logged, and `run` tries it again.
        """
        try:
            view = await asyncio.to_thread(self._directory.view)
            now = self._clock.now()
            spots = self._spots(view, now) + await asyncio.to_thread(self._removed, view, now)
            for one in await asyncio.to_thread(self._look, spots, False):
                if one.timed:
                    await self._expire(one.spot, SHARE_UNTIL)
        except (EpochChanged, LightshipError) as error:
            _log.error("what has expired could not be taken out: %s", error)

    async def run(self, end: asyncio.Event) -> None:
        """Do what is due and sleep until the next moment, until `end`; then finish what is under way."""
        woken, failures = asyncio.Event(), 0
        sleeper = (asyncio.get_running_loop(), woken)
        ended = asyncio.ensure_future(end.wait())
        ended.add_done_callback(lambda _: woken.set())
        self._sleepers.add(sleeper)
        try:
            while not end.is_set():
                woken.clear()
                failures = await self._turn(end, failures)
                pause = (self._next - self._clock.now()) / _SECOND
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(max(pause, SHORTEST_SLEEP_S), LONGEST_SLEEP_S)):
                        await woken.wait()
        finally:
            ended.cancel()
            self._sleepers.discard(sleeper)

    async def _turn(self, end: asyncio.Event, failures: int) -> int:
        """Do what is due once, whatever comes of it; return how often it failed one after another."""
        self._next = _NEVER  # whatever comes while it works wakes it
        try:
            self._next = await self.round(end)
        except Exception as error:  # whatever it is, it is tried again: nothing else does this work
            self._next = Micros(self._clock.now() + (2 * _SECOND << min(failures, 5)))
            known = isinstance(error, LightshipError)
            _log.error("what is due could not be done: %s", error, exc_info=None if known else error)
            return failures + 1
        return 0

    def wake(self, moment: Micros = _EVER) -> None:
        """Look again at this moment at the latest, at once without one; from any thread."""
        if moment < self._next:
            for loop, woken in tuple(self._sleepers):
                with suppress(RuntimeError):  # the loop is closed: its server has ended
                    loop.call_soon_threadsafe(woken.set)

    async def round(self, end: asyncio.Event | None = None) -> Micros:
        """Do everything that is due, or what can be before `end`; return the next moment of something to do.

        Raises:
            Unavailable: for now something cannot be read or written.
        """
        if self._owes_events:
            self._owes_events = False
            try:
                await asyncio.to_thread(recover, self._writer, self._access)
            except LightshipError:
                self._owes_events = True
                raise
        view = await asyncio.to_thread(self._directory.view)
        now = self._clock.now()
        self._warn(view, now)
        rules = (view.epoch, [(one.status(now), one.stops(now)) for one in view.agreements.values()])
        again = rules != self._rules
        spots = self._spots(view, now)
        removed = await asyncio.to_thread(self._removed, view, now)
        try:
            for one in await asyncio.to_thread(self._look, removed, False):
                for work in self._ends(one):
                    await work()
            for one in await asyncio.to_thread(self._look, spots, again):
                for work in self._works(one, again):
                    if end is not None and end.is_set():
                        return _EVER
                    await work()
        except EpochChanged:
            return _EVER
        self._rules = rules
        ends = [stop.until for one in view.agreements.values() for stop in one.stops(now)]
        return min([await asyncio.to_thread(self._following, spots + removed, now), *ends])

    def _warn(self, view: HubView, now: Micros) -> None:
        """Say in the hub's log what its steward should act on: when it begins, and once a day."""
        for one in view.agreements.values():
            due = one.status(now) in _LOUD or bool(one.stops(now))
            text = one.notice(now) if due else ""
            if text and self._warned.get(one.id) != (text, now // _DAY):
                _log.warning("%s", text, extra={"fields": {"agreement": one.id}})
            self._warned[one.id] = (text, now // _DAY)

    def _spots(self, view: HubView, now: Micros) -> list[Spot]:
        return [
            Spot(agreement, collection, view.epoch, now)
            for agreement in view.agreements.values()
            for collection in agreement.collections
        ]

    def _removed(self, view: HubView, now: Micros) -> list[Spot]:
        pairs = self._directory.removed(view)
        return [Spot(agreement, collection, view.epoch, now) for agreement, collection in pairs]

    def _works(self, due: _Due, again: bool) -> Iterator[Callable[[], Awaitable[None]]]:
        if due.timed:
            yield partial(self._release, due.spot, failed=again)
        yield from self._ends(due)

    def _ends(self, due: _Due) -> Iterator[Callable[[], Awaitable[None]]]:
        if due.timed:
            yield partial(self._expire, due.spot, SHARE_UNTIL)
        if due.old:
            yield partial(self._expire, due.spot, RETENTION)

    def _look(self, spots: Sequence[Spot], again: bool) -> list[_Due]:
        """Return where something is due."""
        found = [self._due(spot, again) for spot in spots]
        return [one for one in found if one.timed or one.old]

    def _following(self, spots: Sequence[Spot], now: Micros) -> Micros:
        """Return the next moment at which something will be due."""
        moment = self._reader.next_due([spot.grant("release", Action.READ) for spot in spots], now)
        return _NEVER if moment is None else moment

    def _due(self, spot: Spot, again: bool) -> _Due:
        grant = spot.grant("release", Action.READ)
        moment = self._reader.next_due([grant], _EVER)
        timed = moment is not None and moment <= spot.now
        if again and not timed:  # what failed before is not counted among the moments
            timed = bool(self._reader.due(grant, spot.now, failed=True, after=0, limit=1))
        cutoff, old = cutoff_of(spot), False
        if cutoff is not None:
            first = self._reader.first_after(grant, _EVERYTHING, _EVER)
            old = first is not None and stamp_of(first) < cutoff
        return _Due(spot, timed, old)

    async def _keep(self, event: AccessEvent) -> None:
        """Record an event; while the log cannot be written it stays with its effect in the store."""
        try:
            await landed(self._access.record(event))
        except LightshipError as error:
            self._owes_events = True
            _log.error("event %s could not be recorded: %s", event.req, error)
        else:
            self._writer.settle([event.req])
