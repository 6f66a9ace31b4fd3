"""Runs the application on uvicorn: TLS in process, certificates renewed on the fly, a graceful end.

SIGTERM and SIGINT stop taking connections, let requests finish and end with code 0. Plain HTTP is for
loopback addresses only. Nothing names the server software in an answer.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from types import FrameType
from typing import Any

import uvicorn

from lightship.core.errors import StewardError
from lightship.web.protocol import BoundedProtocol
from lightship.web.tls import LiveContext, TlsFiles

KEEP_ALIVE_S = 65
GRACE_S = 30
TICKS_A_LOOK = 20
"""Ticks of a tenth of a second between two looks at the certificate files."""


class HubServer(uvicorn.Server):
    """A server for one application.

    Args:
        app: the ASGI application.
        host: address to bind.
        port: port to bind, 0 for a free one.
        tls: certificate files, or None for plain HTTP on a loopback address.
        ready: called with the bound port once connections are taken.

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
    ) -> None:
        if tls is None and not _is_loopback(host):
            raise StewardError(
                "Plain HTTP is for loopback addresses only",
                why=f"{host} is not one, and TAXII 2.1 needs HTTPS",
                todo="Listen on 127.0.0.1, or serve with TLS",
            )
        self._live = _live_context(tls) if tls is not None else None
        self._ready = ready
        live = self._live
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                http=BoundedProtocol,
                loop="uvloop",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
                ssl_context_factory=(lambda _config, _default: live.context) if live else None,
            )
        )

    @property
    def port(self) -> int:
        """The bound port; meaningful once the server is ready."""
        return int(self.servers[0].sockets[0].getsockname()[1])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, then say so."""
        await super().startup(sockets)
        if self._ready is not None and self.started:
            self._ready(self.port)

    async def on_tick(self, counter: int) -> bool:
        """Look at the certificate files every few seconds."""
        if self._live is not None and counter % TICKS_A_LOOK == 0:
            self._live.refresh()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT as the order to end well; a second SIGINT ends at once."""
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

    def _end(self, number: int, _: FrameType | None) -> None:
        if self.should_exit and number == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def _live_context(tls: TlsFiles) -> LiveContext:
    try:
        return LiveContext(tls)
    except OSError as error:  # ssl.SSLError is one
        raise StewardError(
            "The TLS certificate cannot be used",
            why=f"{tls.cert}, {tls.key}: {error}",
            todo="Check tls_cert and tls_key in lightship.toml",
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
