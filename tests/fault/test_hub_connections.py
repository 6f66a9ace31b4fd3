"""Thousands of idle connections, and clients that send a byte a second: the hub answers everybody else."""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from livehub import LiveHub, live_hub

FEW, MANY = 400, 5_000


@contextlib.contextmanager
def hub_with(parent: Path, **settings: int) -> Iterator[LiveHub]:
    with live_hub(parent, sample="reference", members=("uslgb", "uslax")) as hub:
        hub.stop()
        with (hub.dir / "lightship.toml").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
            file.write('log_level = "warning"\n')
        hub.start()
        yield hub


@contextlib.contextmanager
def open_files(number: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < number:
        pytest.skip(f"the hard limit of open files is {hard}, {number} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory(hub: LiveHub) -> int:
    """Return the resident bytes of the server."""
    assert hub.process is not None
    pages = int(Path(f"/proc/{hub.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def dial(hub: LiveHub, address: str = "127.0.0.2") -> socket.socket:
    return socket.create_connection(("127.0.0.1", hub.port), timeout=20, source_address=(address, 0))


def request(hub: LiveHub, head: str = "GET", *more: str) -> bytes:
    login = b64encode(":".join(hub.secrets["uslax"]).encode()).decode()
    lines = [f"{head} /{hub.agreement}/ HTTP/1.1", "Host: localhost", "Accept: */*", *more]
    return "\r\n".join([*lines, f"Authorization: Basic {login}", "", ""]).encode()


def answered(connection: socket.socket) -> None:
    """Read one whole answer."""
    read = connection.recv(4096)
    assert read.startswith(b"HTTP/1.1 200"), read
    while not read.endswith(b"}"):
        piece = connection.recv(4096)
        assert piece, read
        read += piece


def hold_idle(hub: LiveHub, number: int) -> str:
    """Hold connections that have asked once; return what they cost and how others fared meanwhile."""
    context = ssl.create_default_context(cafile=hub.ca)
    asked = request(hub)
    with contextlib.ExitStack() as stack:
        valid = stack.enter_context(hub.client("uslgb"))
        assert valid.get("").status_code == 200
        for _ in range(20):  # what the first connections load stays out of the sum
            with context.wrap_socket(dial(hub), server_hostname="localhost") as first:
                first.sendall(asked)
                answered(first)
        before, begun = memory(hub), time.monotonic()
        held = []
        for _ in range(number):
            one = stack.enter_context(context.wrap_socket(dial(hub), server_hostname="localhost"))
            one.sendall(asked)
            answered(one)
            held.append(one)
        took, cost = time.monotonic() - begun, (memory(hub) - before) / number
        waits = []
        for _ in range(50):
            at = time.monotonic()
            assert valid.get("").status_code == 200
            waits.append(time.monotonic() - at)
        for one in (held[0], held[number // 2], held[-1]):
            one.sendall(asked)
            answered(one)
        assert cost < 64 * 1024
        assert sorted(waits)[25] < 0.5
    return (
        f"{number} idle TLS connections: {cost / 1024:.1f} KiB each, opened in {took:.1f} s; "
        f"another client's request {sorted(waits)[25] * 1000:.1f} ms at the median, "
        f"{max(waits) * 1000:.0f} ms at most"
    )


def test_hundreds_of_idle_connections_cost_little_and_hold_up_nobody(tmp_path: Path) -> None:
    with open_files(FEW + 500), hub_with(tmp_path, keep_alive_s=600) as hub:
        print(hold_idle(hub, FEW))
        assert hub.stop() == 0


@pytest.mark.long
def test_five_thousand_idle_connections_cost_little_and_hold_up_nobody(tmp_path: Path) -> None:
    settings = {"keep_alive_s": 600, "max_connections_per_address": MANY + 100}
    with open_files(MANY + 500), hub_with(tmp_path, **settings) as hub:
        print(hold_idle(hub, MANY))
        begun = time.monotonic()
        assert hub.stop() == 0
        assert time.monotonic() - begun < 20


class Loris:
    """Connections that send a byte at a time, in turn, and see whether they are still open."""

    def __init__(self, hub: LiveHub, number: int) -> None:
        self.context = ssl.create_default_context(cafile=hub.ca)
        self.selector = selectors.DefaultSelector()
        self.open: dict[socket.socket, bytes] = {}
        slow_body = request(hub, "POST", "Content-Type: application/taxii+json", "Content-Length: 100000")
        slow_body = slow_body.replace(b"/reference/ ", b"/reference/collections/public/objects/ ")
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500
        for index in range(number):
            raw = dial(hub, f"127.0.0.{2 + index % 4}")
            if index % 3 == 0:
                self._hold(raw, hello)
                continue
            secure = self.context.wrap_socket(raw, server_hostname="localhost")
            if index % 3 == 1:
                self._hold(secure, request(hub))
            else:
                secure.sendall(slow_body)
                self._hold(secure, b" " * 100_000)

    def _hold(self, connection: socket.socket, left: bytes) -> None:
        connection.setblocking(False)
        self.open[connection] = left
        self.selector.register(connection, selectors.EVENT_READ)

    def send(self) -> None:
        """Send one byte on each connection that is still open."""
        for key, _ in self.selector.select(0):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            try:
                while connection.recv(65_536):
                    pass
            except (ssl.SSLWantReadError, BlockingIOError):
                continue
            except OSError:
                pass
            self._drop(connection)
        for connection, left in list(self.open.items()):
            try:
                connection.send(left[:1])
                self.open[connection] = left[1:]
            except (ssl.SSLWantWriteError, BlockingIOError):
                continue
            except OSError:
                self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        self.selector.unregister(connection)
        del self.open[connection]
        connection.close()

    def close(self) -> None:
        for connection in list(self.open):
            self._drop(connection)
        self.selector.close()


def test_clients_that_send_a_byte_at_a_time_do_not_stop_a_valid_one_and_are_ended(tmp_path: Path) -> None:
    """Over the handshake, over the header fields and over the body, from several addresses."""
    settings = {"handshake_timeout_s": 2, "header_timeout_s": 2, "body_timeout_s": 3}
    number = 150
    with hub_with(tmp_path, **settings) as hub, hub.client("uslgb") as valid, contextlib.ExitStack() as stack:
        loris = Loris(hub, number)
        stack.callback(loris.close)
        began_with, waits = len(loris.open), []
        deadline = time.monotonic() + 15
        while loris.open and time.monotonic() < deadline:
            loris.send()
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                at = time.monotonic()
                assert valid.get("").status_code == 200
                with hub.client("uslax") as fresh:
                    assert fresh.get("").status_code == 200
                waits.append(time.monotonic() - at)
        assert began_with == number
        assert not loris.open, "some were never ended"
        most = max(waits) * 1000
        print(f"{number} slow clients: {len(waits)} pairs of requests meanwhile, {most:.0f} ms at most")
        assert max(waits) < 5
        assert hub.stop() == 0


def test_one_address_that_takes_all_its_places_leaves_the_others_theirs(tmp_path: Path) -> None:
    with hub_with(tmp_path, max_connections_per_address=50) as hub, contextlib.ExitStack() as stack:
        for _ in range(80):
            stack.enter_context(dial(hub))
        time.sleep(0.3)
        with dial(hub) as refused, contextlib.suppress(ConnectionResetError):
            assert refused.recv(1) == b""
        with hub.client("uslax") as elsewhere:
            assert elsewhere.get("").status_code == 200
        until = time.monotonic() + 10  # the log is written by a thread of its own
        while "connections are turned away" not in (hub.dir / "serve.log").read_text():
            assert time.monotonic() < until, "nothing was logged"
            time.sleep(0.05)
