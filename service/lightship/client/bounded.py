"""Reading an answer within bounds: bytes after unpacking, and the time that they take.

A hub is not trusted to end an answer: one that goes on, unpacks to more than it can be (a gzip bomb) or drips
is given up with an error of its own name. Takes gzip (RFC 1952) and what is not packed, nothing else.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import httpx2

from lightship.client.errors import Unreachable

MOST = 64 * 1024 * 1024
"""Bytes of any answer, where no less is said."""
SLOWEST = 8 * 1024
"""Bytes a second that an answer must bring on average, after the time that it has anyhow."""
_GZIP = 16 + zlib.MAX_WBITS


class TooMuch(Unreachable):
    """An answer is larger than it can be: it does not end, or is a bomb (exit code 4)."""

    code = "answer-too-large"


class TooSlow(Unreachable):
    """An answer drips: it would take for ever (exit code 4)."""

    code = "answer-too-slow"


class BadPacking(Unreachable):
    """An answer is packed in a way that was not asked for, or its gzip is broken (exit code 4)."""

    code = "bad-packing"


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer, read to its end."""

    status_code: int
    headers: httpx2.Headers
    content: bytes
    url: str


def read_whole(response: httpx2.Response, most: int, patience_s: float, clock: Callable[[], float]) -> Whole:
    """Read a streamed answer to its end.

    Args:
        response: whose body was not read yet.
        most: bytes after unpacking.
        patience_s: seconds that it may take without bringing anything.
        clock: monotonic, seconds.

    Raises:
        TooMuch, TooSlow, BadPacking: see there.
        httpx2.TransportError: the network failed.
    """
    url = str(response.url)
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in {"identity", "", "gzip", "x-gzip"}:
        raise BadPacking("The answer is packed in an unknown way", why=f"{url} sent {packing[:40]!a}")
    unpack = _Gzip(url, most) if packing.endswith("gzip") else None
    parts: list[bytes] = []
    size, came, start = 0, 0, clock()
    if response.is_stream_consumed:  # a transport that hands over whole answers, unpacked
        return Whole(response.status_code, response.headers, response.content, url)
    for chunk in response.iter_raw():
        came += len(chunk)
        if clock() - start > patience_s + came / SLOWEST:
            raise TooSlow("The answer is too slow", why=f"{url} sent {came} bytes in {clock() - start:.0f} s")
        part = chunk if unpack is None else unpack.feed(chunk, most - size)
        size += len(part)
        if size > most:
            raise _too_much(url, most)
        parts.append(part)
    if unpack is not None:
        unpack.end()
    return Whole(response.status_code, response.headers, b"".join(parts), url)


class _Gzip:
    """Unpacks members one after the other, never more than is allowed."""

    def __init__(self, url: str, most: int) -> None:
        self._url, self._most = url, most
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False

    def feed(self, chunk: bytes, room: int) -> bytes:
        parts: list[bytes] = []
        while chunk:
            self._begun = True
            try:
                part = self._member.decompress(chunk, room + 1)
            except zlib.error as error:
                raise BadPacking("The answer is no gzip", why=f"{self._url}: {error}") from None
            room -= len(part)
            if room < 0:
                raise _too_much(self._url, self._most)
            parts.append(part)
            chunk = self._member.unconsumed_tail
            if self._member.eof:
                chunk, self._member = self._member.unused_data, zlib.decompressobj(_GZIP)
                self._begun = bool(chunk)
        return b"".join(parts)

    def end(self) -> None:
        if self._begun:
            raise BadPacking("The answer is no whole gzip", why=f"{self._url} ended in the middle")


def _too_much(url: str, most: int) -> TooMuch:
    return TooMuch("The answer is larger than it can be", why=f"{url} sent more than {most} bytes")
