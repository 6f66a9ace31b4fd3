"""Events on their way to the access log and back: gathered while the loop is busy, one batch at a time.

What a commit costs is shared by all that it records, so few large groups are cheaper than many small ones.
Events leave once a round of the loop has brought no further one, so one that is alone hardly waits, or when
MOST have gathered. What comes while a batch is being committed would only wait in the committer, and handing
it over would make both threads pass the interpreter's lock to and fro; so it gathers here until the batch has
landed. Who was just answered is likely to ask again at once, so what has gathered then waits until as many
have come, or a tick brought nobody more.

A batch has one future, and wakes the loop once. Of large answers only some megabytes are let go in each
round of the loop, so that they do not all lie in the sockets at once, and who has taken one can ask again
before the last is written. Cancelling a wait never cancels what is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from lightship.core.audit import AccessEvent
from lightship.core.ports import Recorded

MOST = 64
"""So many do not wait for the batch that is under way, nor for a quiet round."""
AT_ONCE = 4 * 1024 * 1024
"""Bytes of answers that are let go in one round of the loop."""
TICK_S = 0.002
MOST_TICKS = 3
"""Who was just answered is waited for as long as somebody comes in each tick; so many ticks at most."""
ROUNDS = 2
"""Rounds of the loop in which the last answers of a batch are written; only then is anybody waited for."""

RecordAll = Callable[[Sequence[AccessEvent]], Future[Sequence[Recorded]]]
_Wait = asyncio.Future[bytes]
_Waits = list[tuple[_Wait, int]]
"""What is awaited, with the size of the answer that it holds back, bytes."""


class Landing:
    """Hands events over and takes in what became of them; one object serves loops one after another.

    Args:
        record_all: see `ports.Access`.
    """

    def __init__(self, record_all: RecordAll) -> None:
        self._record_all = record_all
        self._strip: _Strip | None = None

    def wait(self, event: AccessEvent, size: int = 0) -> asyncio.Future[bytes]:
        """Return what to await until the event is durable; called in the running loop.

        Args:
            event: what is to be recorded.
            size: of the answer that waits for it, bytes.

        It gives the value of the header `Audit-Receipt`, empty where there is none. What it raises is what
        `record_all` says of the event, or raises.
        """
        loop = asyncio.get_running_loop()
        if self._strip is None or self._strip.loop is not loop:
            self._strip = _Strip(loop, self._record_all)
        waiting: _Wait = loop.create_future()
        self._strip.hand_in(event, waiting, size)
        return waiting


class _Strip:
    """What has not left yet, and what is under way, of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, record_all: RecordAll) -> None:
        self.loop = loop
        self._record_all = record_all
        self._events: list[AccessEvent] = []
        self._waits: _Waits = []
        self._under_way = 0  # batches that have not landed
        self._looking = False  # `_look` is called in the next round
        self._seen = self._ticks = 0  # events at the last look or tick; ticks so far
        self._expected = 0  # waited for; above 0 only while `_let_go`, `_answered` or `_tick` is to come
        self._late: asyncio.Handle | None = None  # the next tick

    def hand_in(self, event: AccessEvent, waiting: _Wait, size: int) -> None:
        """Let it leave soon."""
        self._events.append(event)
        self._waits.append((waiting, size))
        if self._looking or len(self._events) < self._expected:
            return
        self._looking, self._seen = True, 0
        self.loop.call_soon(self._look)

    def _look(self) -> None:
        """Let what has gathered leave if this round brought no more, unless a batch is under way."""
        count = len(self._events)
        if count < MOST:
            if self._under_way or not count:  # until it has landed; all has left
                self._looking = False
                return
            if count != self._seen:
                self._seen = count
                self.loop.call_soon(self._look)
                return
        self._looking = False
        self._leave()

    def _tick(self) -> None:
        """Let what has gathered leave although fewer came than before, unless they are still coming."""
        count = len(self._events)
        if count != self._seen and self._ticks < MOST_TICKS:
            self._seen, self._ticks = count, self._ticks + 1
            self._late = self.loop.call_later(TICK_S, self._tick)
            return
        self._late, self._expected = None, 0
        if count and not self._under_way:
            self._leave()

    def _leave(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
        self._expected = 0
        events, waits = self._events, self._waits
        self._events, self._waits = [], []
        try:
            future = self._record_all(events)
        except Exception as error:  # the waiters', whatever it is
            _fail(waits, error)
            return
        if future.done():
            _pass_on(waits, future)
            return
        self._under_way += 1
        future.add_done_callback(partial(self._land, waits))

    def _land(self, waits: _Waits, future: Future[Sequence[Recorded]]) -> None:
        """Take in a completed batch, in any thread, and wake the loop."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._landed, waits, future)

    def _landed(self, waits: _Waits, future: Future[Sequence[Recorded]]) -> None:
        self._under_way -= 1
        likely = not self._under_way and not self._looking
        if likely:  # those who are answered now are likely to ask again
            self._expected = min(len(self._events) + len(waits), MOST)
        self._let_go(waits, future, 0, likely)

    def _let_go(self, waits: _Waits, future: Future[Sequence[Recorded]], first: int, likely: bool) -> None:
        """Pass on the results from the place `first` on, as many as their answers are to leave at once."""
        after, size = first, 0
        while after < len(waits) and size < AT_ONCE:
            size += waits[after][1]
            after += 1
        _pass_on(waits, future, first, after)
        if after < len(waits):
            self.loop.call_soon(self._let_go, waits, future, after, likely)
        elif likely:
            self._answered(ROUNDS)

    def _answered(self, rounds: int) -> None:
        """Count the time from when the answers are written: large ones take longer than a tick."""
        if self._late is not None or not self._expected:  # it is counted already, or they have left
            return
        if rounds:
            self.loop.call_soon(self._answered, rounds - 1)
            return
        self._seen, self._ticks = len(self._events), 0
        self._late = self.loop.call_later(TICK_S, self._tick)


def _pass_on(
    waits: _Waits, future: Future[Sequence[Recorded]], first: int = 0, after: int | None = None
) -> None:
    """Pass on the results in the places from `first` up to `after`."""
    if future.cancelled():
        for waiting, _ in waits[first:after]:
            waiting.cancel()
        return
    error = future.exception()
    if error is not None:
        _fail(waits[first:after], error)
        return
    for (waiting, _), result in zip(waits[first:after], future.result()[first:after], strict=True):
        if waiting.done():  # its request was given up
            continue
        if isinstance(result, Exception):
            waiting.set_exception(result)
            continue
        try:
            waiting.set_result(result.header() if result is not None else b"")
        except Exception as fault:  # this waiter's; the others have theirs still to come
            waiting.set_exception(fault)


def _fail(waits: _Waits, error: BaseException) -> None:
    for waiting, _ in waits:
        if not waiting.done():
            waiting.set_exception(error)
