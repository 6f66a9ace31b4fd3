"""uvicorn's HTTP/1.1 protocol with bounds where it has none, and TAXII errors for bytes that are no request.

The request line and header fields are bounded while they arrive, and they have to arrive in time; so a client
that dribbles or floods headers is cut off before any memory or task is spent on it. What is answered here was
never a request, so it makes no access event.
"""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from http import HTTPStatus

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lightship.core.errors import LightshipError, MalformedRequest
from lightship.web.limits import MAX_HEADERS, MAX_TARGET, check_sizes
from lightship.web.message import TAXII
from lightship.web.problems import status_of

HEADERS_WITHIN_S = 20.0
"""Seconds from the first byte of a request, or from the connection, to the end of its header fields."""
MAX_UNUSED = MAX_TARGET + MAX_HEADERS
"""Bytes that the parser may hold back at a time."""
LINGER_S = 1.0
"""Seconds that an ending server gives a client to take its last answer and close."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _timer: TimerHandle | None = None
    _header_bytes = 0
    _unused = 0
    _ending = False
    _refusal: LightshipError | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as in the base class
        """Give the client some time for its first request."""
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

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

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request line."""
        if len(self.url) + len(url) > MAX_TARGET:
            self._refuse(MAX_TARGET + 1, 0)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADERS:
            self._refuse(0, self._header_bytes)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request over."""
        self._unused = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Go on to the next request, or end if the server is ending."""
        super().on_response_complete()
        if self._ending:
            self.loop.call_later(LINGER_S, self._cut_off)

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
            self.loop.call_later(LINGER_S if self.transport.get_write_buffer_size() else 0, self._cut_off)

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

    def _refuse(self, target: int, headers: int) -> None:
        try:
            check_sizes(target, headers)
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
        self._stop_waiting()
        self._timer = self.loop.call_later(HEADERS_WITHIN_S, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        self._cut_off()

    def _cut_off(self) -> None:
        self.transport.abort()
