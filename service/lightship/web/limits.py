"""What a request may cost before it is understood: sizes, times, and a bounded drain of unread bodies.

A body is counted as it comes, whatever Content-Length says, and again while it is unpacked, so that neither a
chunked body nor a gzip bomb passes `max_content_length` (TAXII 2.1 section 4.2.1). An answer that is given
before the body was read is followed by a bounded drain of it: a client that is still sending reads the
answer instead of a broken connection.
"""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass

from lightship.core.errors import MalformedRequest, TooLarge
from lightship.web.message import Request
from lightship.web.negotiate import body_is_gzip
from lightship.web.problems import HeadersTooLarge, SlowBody, TargetTooLong

MAX_TARGET = 64 * 1024
"""Bytes of path and query together."""
MAX_HEADERS = 64 * 1024
"""Bytes of all header names and values together."""
MAX_FIELDS = 100
"""Header fields of a request."""
_UNPACK_STEP = 1 << 16
_MAX_MEMBERS = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds. `body_idle` may pass between two pieces, `body_total` in all.

    After `body_grace` a body has to have come with `body_rate` bytes a second on average.
    """

    body: int = 16 * 1024 * 1024
    body_idle: float = 30.0
    body_total: float = 300.0
    body_rate: int = 1024
    body_grace: float = 10.0
    drain: int = 64 * 1024 * 1024
    drain_total: float = 10.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What connections may cost. Sizes in bytes, times in seconds.

    Args:
        connections, per_address: at a time; what comes beyond is closed.
        target, header_bytes, headers: of one request.
        handshake: from the connection to the end of the TLS handshake.
        headers_within: from a request's first byte, or the connection, to the end of its header fields.
        idle: between two requests.
        send_idle: without the client reading on while an answer waits for it.
    """

    connections: int = 10_000
    per_address: int = 1_000
    target: int = MAX_TARGET
    header_bytes: int = MAX_HEADERS
    headers: int = MAX_FIELDS
    handshake: float = 10.0
    headers_within: float = 20.0
    idle: int = 65
    send_idle: float = 60.0


class ClientGone(Exception):
    """The client went away before its body had come."""


def check_sizes(
    target: int, headers: int, *, max_target: int = MAX_TARGET, max_headers: int = MAX_HEADERS
) -> None:
    """Refuse a request line or header fields beyond what is read.

    Raises:
        TargetTooLong, HeadersTooLarge: one of them (414, 431).
    """
    if target > max_target:
        raise TargetTooLong(
            "Path and query are too long", todo=f"Ask in several requests of {max_target} bytes at most"
        )
    if headers > max_headers:
        raise HeadersTooLarge("The header fields are too large", todo="Send fewer or shorter header fields")


async def read_body(request: Request, limits: Limits) -> bytes:
    """Return the body, unpacked.

    Raises:
        UnsupportedMedia: a Content-Encoding that is not taken.
        TooLarge: more than `limits.body`, as sent or unpacked.
        SlowBody: it did not come in time.
        MalformedRequest: not gzip although it says so.
        ClientGone: nobody is there to answer.
    """
    packed = body_is_gzip(request.headers.get(b"content-encoding"))
    announced = request.headers.get(b"content-length", b"")
    if announced.isdigit() and (len(announced) > 18 or int(announced) > limits.body):
        raise _too_large(limits)
    try:
        body = await _collect(request, limits)
    except TimeoutError:
        raise SlowBody("The body did not come in time", todo="Send it again, in smaller envelopes") from None
    return await asyncio.to_thread(unpack, body, limits) if packed else body


async def _collect(request: Request, limits: Limits) -> bytes:
    pieces: list[bytes] = []
    size = 0
    now = asyncio.get_running_loop().time
    begun = now()
    last = begun + limits.body_total
    async with asyncio.timeout_at(min(begun + limits.body_idle, last)) as patience:
        more = not request.body_ended
        while more:
            piece = await _piece(request)
            size += len(piece)
            if size > limits.body:
                raise _too_large(limits)
            pieces.append(piece)
            more = not request.body_ended
            at = now()
            if more:
                patience.reschedule(min(at + limits.body_idle, last))
            passed = at - begun
            if more and passed > limits.body_grace and size < passed * limits.body_rate:
                raise SlowBody(
                    "The body comes too slowly",
                    why=f"{limits.body_rate} bytes a second are the least",
                    todo="Send it again, in smaller envelopes, or over a better line",
                )
    return b"".join(pieces)


async def _piece(request: Request) -> bytes:
    request.body_begun = True
    message = await request.receive()
    if message["type"] != "http.request":
        raise ClientGone
    request.body_ended = not message.get("more_body", False)
    body: bytes = message.get("body", b"")
    return body


def unpack(body: bytes, limits: Limits) -> bytes:
    """Return a gzip body unpacked, members joined (RFC 1952 section 2.2), never more than `limits.body`."""
    pieces: list[bytes] = []
    room, place, members = limits.body, 0, 0
    member = None
    try:
        while place < len(body):
            if member is None:
                member, members = zlib.decompressobj(16 + zlib.MAX_WBITS), members + 1
                if members > _MAX_MEMBERS:
                    raise zlib.error(f"it has more than {_MAX_MEMBERS} members")
            chunk = body[place : place + _UNPACK_STEP]
            piece = member.decompress(chunk, room + 1)
            room -= len(piece)
            if room < 0:
                raise _too_large(limits)
            pieces.append(piece)
            place += len(chunk) - len(member.unused_data)
            if member.eof:
                member = None
        if member is not None or not pieces:
            raise zlib.error("it ends too early")
    except zlib.error as error:
        raise MalformedRequest(
            "The body is not gzip", why=str(error), todo="Send it plain, or leave out Content-Encoding"
        ) from None
    return b"".join(pieces)


def _too_large(limits: Limits) -> TooLarge:
    return TooLarge(
        "The body is larger than max_content_length",
        why=f"{limits.body} bytes are taken at most, also after unpacking",
        todo="Split the envelope into smaller ones",
        details={"max_content_length": str(limits.body)},
    )


async def drain(request: Request, limits: Limits) -> None:
    """Read on what the client still sends, up to a size and a time; whatever is left is cut off."""
    size = 0
    try:
        async with asyncio.timeout(limits.drain_total):
            while not request.body_ended and size <= limits.drain:
                size += len(await _piece(request))
    except (TimeoutError, ClientGone):
        return
