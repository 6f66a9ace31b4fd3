"""How answers leave: whole, in one piece where they fit, never with a header field that is none."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from lightship.web.cycle import JOINED
from lightship.web.limits import Bounds
from lightship.web.message import WHOLE, Receive, Scope, Send, head_of
from lightship.web.server import HubServer

GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = bytes(range(256)) * (JOINED // 128)
ANSWERS: dict[str, tuple[int, list[tuple[bytes, bytes]], bytes]] = {
    "/small": (200, [(b"Content-Length", b"5")], b"hello"),
    "/large": (200, [(b"content-length", b"%d" % len(LARGE))], LARGE),
    "/nothing": (204, [], b""),
    "/chunks": (200, [], b"hello"),
    "/short": (200, [(b"content-length", b"6")], b"hello"),
    "/long": (200, [(b"content-length", b"4")], b"hello"),
    "/value": (200, [(b"content-length", b"5"), (b"x", b"a\r\nx-evil: yes")], b"hello"),
    "/name": (200, [(b"content-length", b"5"), (b"x: y\r\nx-evil", b"yes")], b"hello"),
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    status, headers, body = ANSWERS[scope["path"].removeprefix("/whole")]
    if scope["path"].startswith("/whole"):
        assert WHOLE in scope["extensions"]
        await send({"type": WHOLE, "status": status, "head": head_of(headers), "body": body})
        return
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


@contextlib.contextmanager
def serving(bounds: Bounds | None = None) -> Iterator[int]:
    up = threading.Event()
    server = HubServer(app, host="127.0.0.1", port=0, tls=None, ready=lambda _: up.set(), bounds=bounds)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert up.wait(20)
        yield server.port
    finally:
        server.stop()
        thread.join(20)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as number:
        yield number


def ask(port: int, sent: bytes) -> bytes:
    """Return all that comes back to bytes whose last answer ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent)
        got = b""
        while piece := connection.recv(1 << 20):
            got += piece
        return got


def last(path: bytes) -> bytes:
    return GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") % path


@pytest.mark.parametrize("path", [b"small", b"large"])
def test_an_answer_that_is_handed_over_whole_is_the_same_on_the_wire(port: int, path: bytes) -> None:
    apart, whole = (ask(port, GET % one + last(one)) for one in (path, b"whole/" + path))
    for got in (apart, whole):
        assert got.count(b"HTTP/1.1 200 OK\r\n") == 2
        assert got.count(b"\r\nconnection: close\r\n") == 1
    lines = [
        sorted(line for line in got.lower().split(b"\r\n") if not line.startswith(b"date: "))
        for got in (apart, whole)
    ]
    assert lines[0] == lines[1]


def test_lines_of_header_fields_hold_no_control_character() -> None:
    assert head_of([(b"a", b"b"), (b"c", b"d\te")]) == b"a: b\r\nc: d\te\r\n"
    for bad in ((b"a", b"b\r\nevil: yes"), (b"a\r\nevil", b"b"), (b"a", b"\x00")):
        with pytest.raises(ValueError, match="control character"):
            head_of([bad])


def test_head_and_body_come_in_one_piece(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for _ in range(20):
            connection.sendall(GET % b"small")
            got = connection.recv(65_536)
            assert got.startswith(b"HTTP/1.1 200 OK\r\n")
            assert got.endswith(b"content-length: 5\r\n\r\nhello")


def test_a_large_body_comes_whole(port: int) -> None:
    head, _, body = ask(port, last(b"large")).partition(b"\r\n\r\n")
    assert body == LARGE
    assert b"connection: close" in head


def test_head_and_204_have_no_body(port: int) -> None:
    got = ask(port, last(b"small").replace(b"GET", b"HEAD"))
    assert got.endswith(b"\r\n\r\n")
    assert b"content-length: 5\r\n" in got
    got = ask(port, last(b"nothing"))
    assert got.startswith(b"HTTP/1.1 204 ")
    assert got.endswith(b"\r\n\r\n")


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    got = ask(port, GET % b"small" + GET % b"nothing" + last(b"small"))
    starts = [got.index(b"HTTP/1.1 200"), got.index(b"HTTP/1.1 204"), got.rindex(b"HTTP/1.1 200")]
    assert starts == sorted(set(starts))
    assert got.count(b"hello") == 2


def test_a_body_of_unknown_length_comes_in_chunks(port: int) -> None:
    got = ask(port, last(b"chunks"))
    assert b"transfer-encoding: chunked\r\n" in got
    assert got.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")


@pytest.mark.parametrize("path", [b"short", b"long"])
def test_a_body_that_is_not_as_long_as_announced_is_not_sent(port: int, path: bytes) -> None:
    assert ask(port, GET % path) == b""


@pytest.mark.parametrize("path", [b"value", b"name"])
def test_no_header_field_can_be_smuggled_into_an_answer(port: int, path: bytes) -> None:
    got = ask(port, GET % path)
    assert got.startswith(b"HTTP/1.1 500 ")
    assert b"evil" not in got


def test_http_1_0_gets_an_answer_and_the_end(port: int) -> None:
    got = ask(port, b"GET /small HTTP/1.0\r\n\r\n")
    assert b"connection: close\r\n" in got
    assert got.endswith(b"hello")


def test_an_idle_connection_ends_and_one_that_asks_does_not() -> None:
    with (
        serving(Bounds(idle=1, headers_within=30.0)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
    ):
        begun = time.monotonic()
        while time.monotonic() < begun + 1.5:
            connection.sendall(GET % b"small")
            assert connection.recv(65_536)
            time.sleep(0.02)
        assert connection.recv(1) == b""
        assert time.monotonic() > begun + 2


def test_a_request_half_sent_ends_in_time_though_one_before_it_was_answered() -> None:
    with (
        serving(Bounds(idle=60, headers_within=1.0)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
    ):
        connection.sendall(GET % b"small" + b"GET /small HTTP/1.1\r\nHo")
        assert connection.recv(65_536).endswith(b"hello")
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
