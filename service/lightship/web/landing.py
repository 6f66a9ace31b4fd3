"""Work of another thread for the event loop: handed over in one go, its results taken in one go.

A commit takes what waits and completes many futures at once. Handing over each event by itself wakes the
other thread in the midst of the loop's round, and both then pass the interpreter's lock to and fro; so what
one round hands in leaves together at its end. `asyncio.wrap_future` would wake the loop for each result;
here those of a commit wake it once. Cancelling a wait never cancels what is waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class Landing:
    """Hands over and takes in for the loop that waits; one object serves loops one after another."""

    def __init__(self) -> None:
        self._strip: _Strip | None = None

    def wait(self, start: Callable[[], Future[T]]) -> asyncio.Future[T]:
        """Return what to await for the result of what `start` begins; called in the running loop.

        `start` is called soon, in order, in the same thread; what it raises is raised by the wait.
        """
        loop = asyncio.get_running_loop()
        if self._strip is None or self._strip.loop is not loop:
            self._strip = _Strip(loop)
        waiting: asyncio.Future[T] = loop.create_future()
        self._strip.hand_in(start, waiting)
        return waiting


class _Strip:
    """What has not left yet, and what has landed and not been handed to its waiter yet, of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._leaving: list[tuple[Callable[[], Future[Any]], asyncio.Future[Any]]] = []
        self._landed: deque[tuple[asyncio.Future[Any], Future[Any]]] = deque()
        self._woken = False

    def hand_in(self, start: Callable[[], Future[Any]], waiting: asyncio.Future[Any]) -> None:
        """Let it leave at the end of this round of the loop."""
        if not self._leaving:
            self.loop.call_soon(self._leave)
        self._leaving.append((start, waiting))

    def _leave(self) -> None:
        leaving, self._leaving = self._leaving, []
        for start, waiting in leaving:
            try:
                future = start()
            except Exception as error:  # the waiter's, whatever it is; the others leave
                if not waiting.done():
                    waiting.set_exception(error)
            else:
                if future.done():
                    _pass_on(waiting, future)
                else:
                    future.add_done_callback(partial(self.land, waiting))

    def land(self, waiting: asyncio.Future[Any], future: Future[Any]) -> None:
        """Take in a completed future, in any thread; wake the loop unless that was done."""
        self._landed.append((waiting, future))
        if not self._woken:  # two threads may both wake it: once too often, never too seldom
            self._woken = True
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self.loop.call_soon_threadsafe(self._clear)

    def _clear(self) -> None:
        self._woken = False  # before looking: what lands from now on wakes the loop again
        while self._landed:
            _pass_on(*self._landed.popleft())


def _pass_on(waiting: asyncio.Future[Any], future: Future[Any]) -> None:
    if waiting.done():  # its request was given up
        return
    if future.cancelled():
        waiting.cancel()
    elif (error := future.exception()) is not None:
        waiting.set_exception(error)
    else:
        waiting.set_result(future.result())
