"""uvicorn's HTTP/1.1 protocol with bounds where it has none, and TAXII errors for bytes that are no request.

The request line and header fields are bounded while they arrive, and they have to arrive in time; so a client
that dribbles or floods headers is cut off before any memory or task is spent on it. So is one that asks for
much and then does not read on. What is answered here was never a request, so it makes no access event.

A connection has one timer, which is moved only when it fires or comes too late: a request costs none.
"""

from __future__ import annotations

from asyncio import Event, TimerHandle, Transport
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lightship.core.access import ClientCertificate
from lightship.core.errors import LightshipError, MalformedRequest
from lightship.web.cycle import WholeCycle
from lightship.web.limits import MAX_HEADERS, MAX_TARGET, Bounds, check_sizes
from lightship.web.message import CERTIFICATE, TAXII, WHOLE
from lightship.web.problems import HeadersTooLarge, status_of
from lightship.web.taken import outstanding, taken

STANDARD = Bounds()
MAX_UNUSED = MAX_TARGET + MAX_HEADERS
"""Bytes that the parser may hold back at a time."""
_EXTENSIONS: dict[str, Any] = {WHOLE: {}}
_IN_HOST = bytes(range(0x21, 0x7F)).translate(None, b'"#/<>?@\\^`{|}')
"""Bytes that a host and a port are written with (RFC 3986 section 3.2.2)."""
ReadCertificate = Callable[[bytes], ClientCertificate]
LINGER_S = 1.0
"""Seconds that an ending server gives a client to take its last answer and close."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        bounds: what it may cost.
        left: called once when the connection is lost.
        certificate: what a client certificate (DER) comes to; asked once, when the connection is made.
        others: what uvicorn gives to a protocol.
    """

    _timer: TimerHandle | None = None
    _due = 0.0
    _idle = False
    _header_bytes = 0
    _unused = 0
    _ending = False
    _refusal: LightshipError | None = None
    _sending: TimerHandle | None = None
    _taken = 0

    def __init__(
        self,
        *,
        bounds: Bounds = STANDARD,
        left: Callable[[], None] | None = None,
        certificate: ReadCertificate | None = None,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        self.timeout_keep_alive = bounds.idle
        self._bounds = bounds
        self._left = left
        self._certificate = certificate
        self._extensions = _EXTENSIONS

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as in the base class
        """Give the client some time for its first request."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object") if self._certificate is not None else None
        shown = tls.getpeercert(binary_form=True) if tls is not None else None
        if shown is not None and self._certificate is not None:
            self._extensions = {WHOLE: {}, CERTIFICATE: self._certificate(shown)}
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)
        if self._left is not None:
            self._left()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; it may keep only so much of what is neither complete header fields nor body."""
        self._unused += len(data)
        super().data_received(data)
        if self._unused > MAX_UNUSED and not self.transport.is_closing():
            self._flooded()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._unused = 0
        super().on_body(body)

    def on_message_begin(self) -> None:
        """Start counting a request's bytes and seconds."""
        self._header_bytes = 0
        self._await_headers()
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request line."""
        if len(self.url) + len(url) > self._bounds.target:
            self._refuse(len(self.url) + len(url), 0)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self._bounds.header_bytes:
            self._refuse(0, self._header_bytes)
        if len(self.headers) >= self._bounds.headers:
            self._refusal = HeadersTooLarge(
                "There are too many header fields", todo=f"Send {self._bounds.headers} at most"
            )
            raise self._refusal
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request over."""
        self._unused = 0
        self._due = 0.0
        self._check_host()
        version = self.parser.get_http_version()
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope: Any = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        before: RequestResponseCycle | None = self.cycle
        self.cycle = WholeCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_response_complete(self) -> None:
        """Go on to the next request, or end if the server is ending."""
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())
            elif not self._due:  # else the next request has begun
                self._wait(self.timeout_keep_alive, idle=True)
        if self._ending:
            self._taken = taken(self.transport)
            self.loop.call_later(LINGER_S, self._end)

    def pause_writing(self) -> None:
        """Give the client some time to read on."""
        super().pause_writing()
        self._watch()

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection; one that is still taking its answer is not idle."""
        if outstanding(self.transport):
            self._watch()
            self._wait(self.timeout_keep_alive, idle=True)
        else:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """End, after the request at hand if there is one.

        An idle TLS client does not answer the closing alert, so its connection is cut off at once.
        """
        self._ending = True
        super().shutdown()
        cycle: RequestResponseCycle | None = (
            self.cycle
        )  # None before the first request, whatever its type says
        if cycle is None or cycle.response_complete:
            self._taken = taken(self.transport)
            self.loop.call_later(LINGER_S if outstanding(self.transport) else 0, self._end)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, in TAXII's error shape, and close."""
        error = self._refusal or MalformedRequest(
            "These bytes are no HTTP/1.1 request", todo="Send a well-formed request"
        )
        status = status_of(error)
        body = orjson.dumps(
            {"title": f"{error.title}. {error.todo}", "error_code": error.code, "http_status": str(status)}
        )
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {TAXII}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

    def _check_host(self) -> None:
        """Refuse a request without Host, with several, or with one that is no host (RFC 9112 section 3.2)."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) == 1 and not hosts[0].translate(None, _IN_HOST):
            return
        if hosts or self.parser.get_http_version() != "1.0":
            self._refusal = MalformedRequest(
                "A request names one host", todo="Send one Host field with the hub's name"
            )
            raise self._refusal

    def _refuse(self, target: int, headers: int) -> None:
        try:
            check_sizes(
                target, headers, max_target=self._bounds.target, max_headers=self._bounds.header_bytes
            )
        except LightshipError as error:
            self._refusal = error
            raise

    def _flooded(self) -> None:
        """End a connection whose endless header field, trailer or chunk extension fills the parser."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._cut_off()
            return
        try:
            check_sizes(0, self._unused)
        except LightshipError as error:
            self._refusal = error
            self.send_400_response(str(error))

    def _await_headers(self) -> None:
        self._wait(self._bounds.headers_within, idle=False)

    def _wait(self, seconds: float, *, idle: bool) -> None:
        """Look at the connection in so many seconds, unless something else is awaited by then."""
        self._due, self._idle = self.loop.time() + seconds, idle
        if self._timer is not None:
            if self._timer.when() <= self._due:
                return
            self._timer.cancel()
        self._timer = self.loop.call_at(self._due, self._look_at_time)

    def _look_at_time(self) -> None:
        """End the connection if what it waited for is due; else look again then."""
        self._timer = None
        if not self._due:
            return
        if self.loop.time() < self._due:
            self._timer = self.loop.call_at(self._due, self._look_at_time)
            return
        self._due = 0.0
        if self._idle:
            self.timeout_keep_alive_handler()
        else:
            self._cut_off()

    def _stop_waiting(self) -> None:
        self._due = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        if self._sending is None:
            self._taken = taken(self.transport)
            self._sending = self.loop.call_later(self._bounds.send_idle, self._look_again)

    def _look_again(self) -> None:
        """Cut off a client that has taken nothing since the last look."""
        self._sending = None
        if not outstanding(self.transport):
            return
        if taken(self.transport) == self._taken:
            self._cut_off()
        else:
            self._watch()

    def _stop_watching(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _end(self) -> None:
        """End, unless the client is taking its answer; the server bounds how long that may last."""
        now = taken(self.transport)
        if outstanding(self.transport) and now != self._taken:
            self._taken = now
            self.loop.call_later(LINGER_S, self._end)
        else:
            self._cut_off()

    def _cut_off(self) -> None:
        self.transport.abort()
