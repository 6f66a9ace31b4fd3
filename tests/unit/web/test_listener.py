"""Connections: bounded in all and per address, handshakes and readers that stall cut off, two signals."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hubkit import HubKit, Served, make_hub
from lightship.web.limits import Bounds
from lightship.web.listener import Seats
from stixsamples import indicator

BIG = 7_200_000
"""A page of the collection has more bytes than this."""
ASK = b"GET /taxii2/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nAccept: */*\r\n\r\n"


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubKit]:
    with make_hub(tmp_path_factory.mktemp("listener"), "sqlite") as made:
        big = [indicator(description="x" * 60_000) for _ in range(120)]
        with made.client("uslgb") as client:
            answer = client.post(made.path("indicators", "objects/"), json={"objects": big})
        assert answer.status_code == 202
        yield made


def dial(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=10)


def closed(connection: socket.socket) -> bool:
    """Wait until the server closes without a word."""
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(1) == b""
    return True


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_seats_are_counted_in_all_and_per_address() -> None:
    seats = Seats(Bounds(connections=3, per_address=2))
    assert [seats.take(one) for one in ("a", "a", "a", "b", "c")] == [True, True, False, True, False]
    assert (seats.taken, seats.turned_away) == (3, 2)
    seats.leave("a")
    assert seats.take("c")
    for one in ("a", "b", "c"):
        seats.leave(one)
    assert seats.taken == 0
    assert seats.take("a")


def test_connections_beyond_the_bound_of_an_address_are_closed_and_a_free_place_is_taken(
    kit: HubKit,
) -> None:
    with kit.serve(bounds=Bounds(per_address=3), tls=False) as served, contextlib.ExitStack() as stack:
        held = [stack.enter_context(dial(served)) for _ in range(3)]
        asked = ASK % kit.secret("uslax").encode()
        for one in held:
            one.sendall(asked)
            assert one.recv(4096).startswith(b"HTTP/1.1 200")
        with dial(served) as refused:
            assert closed(refused)
        held[0].close()
        assert served.server is not None
        seats = served.server.seats
        assert within(5, lambda: seats.taken == 2)
        with dial(served) as again:
            again.sendall(asked)
            assert again.recv(4096).startswith(b"HTTP/1.1 200")
        assert seats.turned_away == 1


def test_a_connection_that_never_shakes_hands_is_ended_and_counted_out(kit: HubKit) -> None:
    with kit.serve(bounds=Bounds(handshake=0.3)) as served:
        assert served.server is not None
        seats = served.server.seats
        with dial(served) as silent, dial(served) as rude:
            assert within(5, lambda: seats.taken == 2)
            rude.sendall(b"GET / HTTP/1.1\r\n\r\n")
            rude.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                while rude.recv(4096):
                    pass
            begun = time.monotonic()
            assert closed(silent)
            assert time.monotonic() - begun < 3
        assert within(5, lambda: seats.taken == 0)
        assert seats.failed_handshakes == 2
        with served.client("uslax") as client:
            assert client.get("/taxii2/").status_code == 200


def test_half_open_handshakes_count_as_connections(kit: HubKit) -> None:
    with kit.serve(bounds=Bounds(connections=2, handshake=5)) as served, dial(served), dial(served):
        assert served.server is not None
        seats = served.server.seats
        assert within(5, lambda: seats.taken == 2)
        with dial(served) as refused:
            assert closed(refused)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_reader_that_stalls_is_cut_off_and_a_slow_one_is_not(kit: HubKit, tls: bool) -> None:
    bounds = Bounds(send_idle=0.4, idle=1)
    request = b"GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nAccept: */*\r\n\r\n" % (
        kit.path("indicators", "objects/").encode(),
        kit.secret("uslax").encode(),
    )
    with kit.serve(bounds=bounds, tls=tls) as served:
        assert served.server is not None
        seats = served.server.seats

        def connect() -> socket.socket:
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            raw.settimeout(10)
            raw.connect(("127.0.0.1", served.port))
            if not tls:
                return raw
            context = ssl.create_default_context(cafile=served.ca)
            return context.wrap_socket(raw, server_hostname="localhost")

        with connect() as stalled:
            stalled.sendall(request)
            assert stalled.recv(100).startswith(b"HTTP/1.1 200")
            assert within(8, lambda: seats.taken == 0)
        with connect() as slow:
            slow.sendall(request)
            head = slow.recv(300)
            total = len(head)
            for _ in range(8):  # longer than send_idle in all, never longer than it between two reads
                time.sleep(0.15)
                total += len(slow.recv(400_000))
            while piece := slow.recv(1 << 20):
                total += len(piece)
                if total > BIG:
                    break
        assert total > BIG


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_an_answer_that_is_being_taken_is_finished_when_the_server_ends(kit: HubKit, tls: bool) -> None:
    with contextlib.ExitStack() as stack, kit.serve(tls=tls) as served:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        raw.settimeout(10)
        raw.connect(("127.0.0.1", served.port))
        connection: socket.socket = raw
        if tls:
            context = ssl.create_default_context(cafile=served.ca)
            connection = context.wrap_socket(raw, server_hostname="localhost")
        stack.enter_context(connection)
        place = kit.path("indicators", "objects/").encode()
        connection.sendall((ASK % kit.secret("uslax").encode()).replace(b"/taxii2/", place))
        got = len(connection.recv(1000))
        assert served.server is not None
        served.server.stop()
        for _ in range(8):
            time.sleep(0.2)
            got += len(connection.recv(300_000))
        while got < BIG and (piece := connection.recv(1 << 20)):
            got += len(piece)
    assert got >= BIG


def test_too_many_header_fields_are_refused_by_number(kit: HubKit) -> None:
    with kit.serve(bounds=Bounds(headers=20), tls=False) as served, dial(served) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: 1\r\n" % n for n in range(21)) + b"\r\n")
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 431")
    assert b"Send 20 at most" in answer


SERVE = """
import sys
from pathlib import Path
from lightship.web.server import HubServer
from lightship.wiring import make_app, open_hub
hub = open_hub(Path(sys.argv[1]))
server = HubServer(make_app(hub, plain=True), host="127.0.0.1", port=0, tls=None,
                   stop_within=int(sys.argv[2]),
                   ready=lambda port: print(port, flush=True))
server.run()
hub.close()
"""


@contextlib.contextmanager
def stuck(kit: HubKit, stop_within: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server with one request under way that will not finish."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(kit.hub.dir), str(stop_within)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(
                b"POST /exercise/collections/indicators/objects/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                b"Content-Type: application/taxii+json\r\n"
                b"Authorization: Bearer " + kit.secret("uslgb").encode() + b"\r\n\r\n{"
            )
            time.sleep(0.3)
            yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def test_requests_have_only_so_long_to_finish_when_it_ends(kit: HubKit) -> None:
    with stuck(kit, 1) as process:
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert 0.9 < time.monotonic() - begun < 8


def test_a_second_signal_ends_it_at_once(kit: HubKit) -> None:
    with stuck(kit, 60) as process:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert time.monotonic() - begun < 5


def test_a_descriptor_shortage_pauses_accepting_and_ends_by_itself(kit: HubKit, tmp_path: Path) -> None:
    """With no descriptor left new connections wait; those that are open are served; then it goes on."""
    import resource

    asked = ASK % kit.secret("uslax").encode()
    with kit.serve(tls=False) as served, dial(served) as known:
        known.sendall(asked)
        assert known.recv(4096).startswith(b"HTTP/1.1 200")
        late = socket.socket()
        late.settimeout(10)
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(late.fileno())
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, before[1]))
        try:
            late.connect(("127.0.0.1", served.port))
            late.sendall(asked)
            for _ in range(3):
                known.sendall(asked)
                assert known.recv(4096).startswith(b"HTTP/1.1 200")
                time.sleep(0.1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert late.recv(4096).startswith(b"HTTP/1.1 200")
        late.close()
