"""Takes connections: counted in all and per address before TLS costs anything, the handshake bounded in time.

uvicorn learns of a connection only after its handshake, so nothing of it could bound connections that never
finish one. What comes beyond a bound is closed at once, unanswered. When the process runs out of file
descriptors accepting pauses; connections that are open go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

from lightship.web.limits import Bounds
from lightship.web.throttle import source_of

_log = logging.getLogger("lightship.web")
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
PAUSE_S = 0.2
"""Seconds without accepting after the process ran out of descriptors or memory."""
SAY_AGAIN_S = 60.0
"""Seconds between two lines of one kind in the log."""

Left = Callable[[], None]
MakeProtocol = Callable[[Left], asyncio.Protocol]
"""Makes the protocol of one connection; it calls `Left` when the connection is lost."""


class Seats:
    """Who is connected: counts in all and per address, and how many were turned away."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._of: dict[str, int] = {}
        self.taken = 0
        self.turned_away = 0
        self.failed_handshakes = 0

    def take(self, source: str) -> bool:
        """Count a connection in; False if there is no place for it."""
        mine = self._of.get(source, 0)
        if self.taken >= self._bounds.connections or mine >= self._bounds.per_address:
            self.turned_away += 1
            return False
        self._of[source] = mine + 1
        self.taken += 1
        return True

    def leave(self, source: str) -> None:
        """Count it out."""
        self.taken -= 1
        left = self._of[source] - 1
        if left:
            self._of[source] = left
        else:
            del self._of[source]


class Listener:
    """Accepts on one socket until `close`; looks like an `asyncio.Server` to who ends it.

    Args:
        bound: the listening socket.
        make: makes the protocol of a connection.
        seats: who is connected.
        context: gives the TLS context of now, asked for each connection; None for plain HTTP.
        handshake: seconds that one may take.
    """

    def __init__(
        self,
        bound: socket.socket,
        make: MakeProtocol,
        seats: Seats,
        *,
        context: Callable[[], ssl.SSLContext] | None,
        handshake: float,
    ) -> None:
        bound.setblocking(False)
        self.sockets = (bound,)
        self._make = make
        self._seats = seats
        self._context, self._handshake = context, handshake
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._said: dict[str, float] = {}
        self._accepting = self._loop.create_task(self._accept(bound))

    def close(self) -> None:
        """Accept nothing more and give up handshakes under way; open connections go on."""
        self._accepting.cancel()
        for task in self._opening:
            task.cancel()
        self.sockets[0].close()

    async def wait_closed(self) -> None:
        """Wait until accepting has ended."""
        with contextlib.suppress(asyncio.CancelledError):
            await self._accepting
        await asyncio.gather(*self._opening, return_exceptions=True)

    async def _accept(self, bound: socket.socket) -> None:
        while True:
            try:
                connection, peer = await self._loop.sock_accept(bound)
            except OSError as error:  # the peer has gone again, or something is scarce
                if error.errno == errno.EBADF:
                    return
                if error.errno in _SCARCE:
                    self._say("connections wait: %s", error.strerror)
                await asyncio.sleep(PAUSE_S if error.errno in _SCARCE else 0)
                continue
            source = source_of(peer[0])
            if not self._seats.take(source):
                self._say("connections are turned away: %d are open", self._seats.taken)
                connection.close()
                continue
            task = self._loop.create_task(self._open(connection, source))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket, source: str) -> None:
        """Shake hands and hand the connection over to its protocol."""
        seated = True

        def left() -> None:
            nonlocal seated
            if seated:
                seated = False
                self._seats.leave(source)

        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            protocol = self._make(left)
            tls: dict[str, Any] = {}
            if self._context is not None:
                tls = {"ssl": self._context(), "ssl_handshake_timeout": self._handshake}
            await self._loop.connect_accepted_socket(lambda: protocol, connection, **tls)
        except OSError as error:  # ssl.SSLError and timeouts are some
            self._seats.failed_handshakes += 1
            if isinstance(error, ssl.SSLCertVerificationError):
                said = f"{source}: {error.verify_message}"
                self._say("client certificates are refused in the handshake, the last from %s", said)
            left()
            connection.close()
        except BaseException:
            left()
            connection.close()
            raise

    def _say(self, text: str, value: object) -> None:
        now = self._loop.time()
        if now - self._said.get(text, -SAY_AGAIN_S) >= SAY_AGAIN_S:
            self._said[text] = now
            _log.warning(text, value)
