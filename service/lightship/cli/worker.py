"""One of several processes that serve a hub: how it hears from the process that started it, and answers it.

Over one socket it says that it is ready, and gives its figures when it is asked. When the socket closes,
whoever started it is gone, so it finishes its requests and ends: no worker outlives its supervisor.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightship.api.figures import Figures
    from lightship.web.server import Alongside

READY, FIGURES = b"r", b"f"
LENGTH = 8
"""Bytes of the length that goes before the figures, big-endian."""


class Tie:
    """The worker's end of its socket; runs beside its server.

    Args:
        control: the socket.
        figures: what it gives when it is asked.
        beside: other work that runs beside the server.

    `stop` ends the server well; it is set once there is one.
    """

    def __init__(self, control: socket.socket, figures: Figures, beside: Alongside | None) -> None:
        self._control = control
        self._figures = figures
        self._beside = beside
        self.stop: Callable[[], None] = _nothing

    async def prepare(self) -> None:
        """Let the other work do what comes before connections are taken."""
        if self._beside is not None:
            await self._beside.prepare()

    async def run(self, end: asyncio.Event) -> None:
        """Serve the socket until the server ends."""
        work = None if self._beside is None else asyncio.create_task(self._beside.run(end))
        talk = asyncio.create_task(self._talk())
        try:
            await end.wait()
        finally:
            talk.cancel()
            with suppress(asyncio.CancelledError):
                await talk
            if work is not None:
                await work

    async def _talk(self) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=self._control)
        with suppress(ConnectionError):
            writer.write(READY)
            while await reader.read(1):
                text = await self._figures.text()
                writer.write(len(text).to_bytes(LENGTH, "big") + text)
                await writer.drain()
        self.stop()


def _nothing() -> None:
    """Do nothing."""
