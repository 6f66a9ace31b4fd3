"""Waiting in the event loop for futures that another thread completes, with one wake-up for many.

A commit completes many futures at once. `asyncio.wrap_future` would wake the loop for each of them: a write
to its pipe, a callback and a turn of the interpreter's lock. Cancelling a wait never cancels what is
waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class Landing:
    """Where completed futures come in, for the loop that waits; one object serves loops one after another."""

    def __init__(self) -> None:
        self._strip: _Strip | None = None

    def wait(self, future: Future[T]) -> asyncio.Future[T]:
        """Return what to await for `future`'s result; called in the running loop."""
        loop = asyncio.get_running_loop()
        if self._strip is None or self._strip.loop is not loop:
            self._strip = _Strip(loop)
        waiting: asyncio.Future[T] = loop.create_future()
        if future.done():
            _pass_on(waiting, future)
        else:
            future.add_done_callback(partial(self._strip.land, waiting))
        return waiting


class _Strip:
    """What has landed and not yet been handed to its waiter, of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._landed: deque[tuple[asyncio.Future[Any], Future[Any]]] = deque()
        self._woken = False

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
