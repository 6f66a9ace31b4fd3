"""One request and its answer on a connection: head and body leave in one write.

uvicorn writes the head and the body of an answer one after the other: two system calls, two TLS records, two
segments that wake the client twice. Here the head is held until the first piece of the body is there. An
answer without Content-Length that has a body is left to uvicorn, which sends it in chunks. A name or value
that would end its line, or hold any control character, is refused (RFC 9110 section 5.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

from lightship.web.message import WHOLE, head_of

JOINED = 256 * 1024
"""Bytes up to which a body is copied behind its head; a larger one is handed over beside it."""
_NO_BODY = frozenset({204, 304})
_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})


class WholeCycle(RequestResponseCycle):
    """Answers one request."""

    _head: bytes | None = None

    async def send(self, message: Any) -> None:
        """Take one ASGI message."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if message["type"] == WHOLE and not self.response_started:
            if not self.disconnected:
                self._write_whole(message["status"], message["head"], message["body"])
            return
        if self._head is not None and message["type"] == "http.response.body":
            if not self.disconnected:
                self._write(self._head, message.get("body", b""), message.get("more_body", False))
            return
        if not self.response_started and not self.disconnected and message["type"] == "http.response.start":
            head = self._head_of(message["status"], message.get("headers", ()))
            if head is not None:
                self._head = head
                self.response_started = True
                self.waiting_for_100_continue = False
                return
        await super().send(message)

    def _head_of(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
        """Return status line and header fields, None if they do not tell where the body ends.

        Raises:
            RuntimeError: a name or value that no header field can have.
        """
        length: bytes | None = b"0" if status in _NO_BODY else None
        closes, lines = False, [STATUS_LINE[status][:-2]]
        for name, value in (*self.default_headers, *headers):
            field = _field(name)
            if field == b"content-length: ":
                length = value
            elif field == b"transfer-encoding: ":
                return None
            elif field == b"connection: " and b"close" in value.lower():
                closes = True
            lines.append(field + value)
        if length is None:
            return None
        if closes:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close")
        head = b"\r\n".join((*lines, b"", b""))
        if len(head) - len(head.translate(None, _CONTROLS)) != 2 * (len(lines) + 1):
            raise RuntimeError("Invalid HTTP header value.")
        self.chunked_encoding = False
        self.expected_content_length = int(length)
        return head

    def _write_whole(self, status: int, head: bytes, body: bytes) -> None:
        """Write a complete answer whose header fields are finished lines."""
        self.response_started = True
        self.waiting_for_100_continue = False
        first = _first_lines(status, *self.default_headers)
        last = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        if len(body) <= JOINED:
            self.transport.write(b"".join((first, head, last, body)))
        else:
            self.transport.writelines((b"".join((first, head, last)), body))
        self._done()

    def _write(self, head: bytes, body: bytes, more: bool) -> None:
        """Write the head with what there is of the body.

        Raises:
            RuntimeError: the body is not as long as its head says.
        """
        if self.scope["method"] == "HEAD":
            self.expected_content_length, body = 0, b""
        left = self.expected_content_length - len(body)
        if left < 0 or (left and not more):
            raise RuntimeError("The body is not as long as Content-Length says")
        self._head = None
        self.expected_content_length = left
        if not body:
            self.transport.write(head)
        elif len(body) <= JOINED:
            self.transport.write(head + body)
        else:
            self.transport.writelines((head, body))
        if not more:
            self._done()

    def _done(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


@lru_cache(maxsize=128)
def _first_lines(status: int, *headers: tuple[bytes, bytes]) -> bytes:
    """Return the status line and the server's own header fields, which change once a second."""
    return STATUS_LINE[status] + head_of(headers)


@lru_cache(maxsize=128)
def _field(name: bytes) -> bytes:
    """Return how a header field begins.

    Raises:
        RuntimeError: the name is none.
    """
    if HEADER_RE.search(name):
        raise RuntimeError("Invalid HTTP header name.")
    return name.lower() + b": "
