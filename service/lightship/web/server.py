"""Runs the application on uvicorn: TLS in process, certificates renewed on the fly, a graceful end.

SIGTERM and SIGINT stop taking connections, let requests finish within a bound and end with code 0; a second
one ends at once. Plain HTTP is for loopback addresses only, save for the figures, which may be served beside
on an address of their own. Nothing names the server software in an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from types import FrameType
from typing import Any, Protocol

import uvicorn
from uvicorn.server import ServerState

from lightship.core.errors import StewardError
from lightship.web.limits import Bounds
from lightship.web.listener import Left, Listener, Seats
from lightship.web.protocol import BoundedProtocol, ReadCertificate
from lightship.web.tls import LiveContext, TlsFiles

_log = logging.getLogger("lightship.web")
STOP_WITHIN_S = 30
BACKLOG = 2048
TICKS_A_LOOK = 20
"""Ticks of a tenth of a second between two looks at the certificate files."""


FEW = Bounds(connections=50, per_address=50, target=2048, header_bytes=16 * 1024)
"""What may come to the address of the figures."""


@dataclass(frozen=True, slots=True)
class Beside:
    """An application served by the same process on a socket of its own, as plain HTTP."""

    app: Any
    bound: socket.socket


class Alongside(Protocol):
    """Work in the server's event loop: `prepare` before connections are taken, `run` until `end`."""

    async def prepare(self) -> None: ...
    async def run(self, end: asyncio.Event) -> None: ...


class HubServer(uvicorn.Server):
    """A server for one application.

    Args:
        app: the ASGI application.
        host: address to bind.
        port: port to bind, 0 for a free one.
        tls: certificate files, or None for plain HTTP on a loopback address.
        ready: called with the bound port once connections are taken.
        bounds: what connections and requests may cost.
        stop_within: seconds that requests under way have when the server ends.
        beside: a further application.
        alongside: work that is done as long as it runs.
        certificate: what a client certificate (DER) comes to; without it none is looked at.

    Raises:
        StewardError: plain HTTP on another address than loopback, or a certificate that cannot be used.
    """

    def __init__(
        self,
        app: Any,
        *,
        host: str,
        port: int,
        tls: TlsFiles | None,
        ready: Callable[[int], None] | None = None,
        bounds: Bounds | None = None,
        stop_within: int = STOP_WITHIN_S,
        beside: Beside | None = None,
        alongside: Alongside | None = None,
        certificate: ReadCertificate | None = None,
    ) -> None:
        if tls is None and not _is_loopback(host):
            raise StewardError(
                "Plain HTTP is for loopback addresses only",
                why=f"{host} is not one, and TAXII 2.1 needs HTTPS",
                todo="Listen on 127.0.0.1, or serve with TLS",
            )
        self._live = _live_context(tls) if tls is not None else None
        self._ready = ready
        self._bounds = bounds or Bounds()
        self._beside = beside
        self._alongside = alongside
        self._certificate = certificate
        self._work: asyncio.Task[None] | None = None
        self._end_work = asyncio.Event()
        self.seats = Seats(self._bounds)
        super().__init__(_config(app, host=host, port=port, timeout_graceful_shutdown=stop_within))

    @property
    def port(self) -> int:
        """The bound port; meaningful once the server is ready."""
        return int(self.servers[0].sockets[0].getsockname()[1])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Prepare, bind, then say so."""
        if self._alongside is not None:
            await self._alongside.prepare()
        bound = sockets or [_bind(self.config.host, self.config.port)]
        context = self._live.now if self._live is not None else None
        listeners: list[Any] = [
            self._listen(one, self.config, self.server_state, self.seats, self._bounds, context)
            for one in bound
        ]
        if self._beside is not None:
            state, seats = ServerState(), Seats(FEW)
            config = _config(self._beside.app)
            config.load()
            listeners.append(self._listen(self._beside.bound, config, state, seats, FEW, None))
        self.servers = listeners
        self.started = True
        if self._alongside is not None:
            self._work = asyncio.create_task(self._alongside.run(self._end_work))
        _log.info("connections are taken", extra={"fields": {"port": self.port}})
        if self._ready is not None:
            self._ready(self.port)

    def _listen(
        self,
        bound: socket.socket,
        config: uvicorn.Config,
        state: ServerState,
        seats: Seats,
        bounds: Bounds,
        context: Callable[[], ssl.SSLContext] | None,
    ) -> Listener:
        make = partial(
            BoundedProtocol,
            bounds=bounds,
            certificate=self._certificate,
            config=config,
            server_state=state,
            app_state={},
        )

        def protocol(left: Left) -> BoundedProtocol:
            return make(left=left)

        return Listener(bound, protocol, seats, context=context, handshake=bounds.handshake)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: take nothing more, let requests finish within the bound."""
        _log.info("ending", extra={"fields": {"connections": len(self.server_state.connections)}})
        self._end_work.set()
        await super().shutdown(None)  # the listeners close their sockets themselves
        if self._work is not None:
            _, late = await asyncio.wait([self._work], timeout=self.config.timeout_graceful_shutdown)
            for work in late:
                work.cancel()
        _log.info("ended")

    async def on_tick(self, counter: int) -> bool:
        """Look at the certificate files every few seconds."""
        if self._live is not None and counter % TICKS_A_LOOK == 0:
            self._live.refresh()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT as the order to end well; a second one ends at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._end) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """Ask the server to end; may be called from any thread."""
        self.should_exit = True

    def _end(self, _: int, __: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def _config(app: Any, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        **more,
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def _live_context(tls: TlsFiles) -> LiveContext:
    try:
        return LiveContext(tls)
    except OSError as error:  # ssl.SSLError is one
        raise StewardError(
            "The TLS certificate cannot be used",
            why=f"{', '.join(str(one) for one in (tls.cert, tls.key, *tls.clients))}: {error}",
            todo="Check tls_cert, tls_key and tls_client_ca in lightship.toml",
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
