"""The real server over real TLS: what it takes, what it cuts off, how it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubkit import HubKit, Served, make_hub
from lightship.core.errors import StewardError
from lightship.core.time import Micros
from lightship.data import cert_profile
from lightship.keys.authority import KeyMaker
from lightship.web import server
from lightship.web.limits import Bounds
from lightship.web.server import HubServer
from lightship.web.tls import LiveContext, TlsFiles, make_context
from stixsamples import indicator


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubKit]:
    with make_hub(tmp_path_factory.mktemp("served"), "sqlite") as made:
        yield made


@pytest.fixture(scope="module")
def served(kit: HubKit) -> Iterator[Served]:
    with kit.serve() as running:
        yield running


@contextlib.contextmanager
def connected(served: Served) -> Iterator[ssl.SSLSocket]:
    context = ssl.create_default_context(cafile=served.ca)
    with (
        socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as secure,
    ):
        yield secure


def everything(connection: ssl.SSLSocket) -> bytes:
    """Read until the server closes."""
    read = b""
    with contextlib.suppress(ssl.SSLEOFError, ConnectionResetError):
        while piece := connection.recv(65_536):
            read += piece
    return read


def test_publish_and_pull_over_tls(kit: HubKit, served: Served) -> None:
    one = indicator()
    with served.client("uslgb") as lgb, served.client("uslax") as lax:
        assert lgb.post(kit.path("indicators", "objects/"), json={"objects": [one]}).status_code == 202
        answer = lax.get(kit.path("indicators", "objects/"))
        assert one in answer.json()["objects"]
        assert "date" in answer.headers
        assert "server" not in answer.headers
        assert "strict-transport-security" not in answer.headers, "localhost is other programs' name too"


def test_head_and_304_have_no_body_and_keep_the_connection(kit: HubKit, served: Served) -> None:
    with served.client("uslax") as lax:
        shown = lax.get(kit.path("indicators", "objects/"))
        head = lax.head(kit.path("indicators", "objects/"))
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == shown.headers["content-length"]
        same = lax.get(kit.path("indicators", "objects/"), headers={"If-None-Match": shown.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")


def test_an_answer_before_the_body_reaches_a_client_that_is_still_sending(
    kit: HubKit, served: Served
) -> None:
    with served.client("uslgb") as lgb:
        answer = lgb.post(kit.path("indicators", "objects/"), content=b" " * 17_000_000)
    assert answer.status_code == 413
    assert answer.json()["details"]["max_content_length"] == "16777216"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\nY: b\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000, b"431"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 40_000, b"431"),
        (b"\x16\x03\x01 nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
    ],
    ids=[
        "long target",
        "long field",
        "endless field",
        "many fields",
        "nonsense",
        "two lengths",
        "length and chunks",
    ],
)
def test_what_is_no_request_gets_a_taxii_error_and_the_door(
    served: Served, sent: bytes, status: bytes
) -> None:
    with connected(served) as connection:
        with contextlib.suppress(OSError):  # the server may close while it is still being sent to
            connection.sendall(sent)
        read = everything(connection)
    assert read.startswith(b"HTTP/1.1 " + status), read[:200]
    assert b"content-type: application/taxii+json;version=2.1" in read
    assert b'"title"' in read


@pytest.mark.parametrize(
    ("version", "fields", "status"),
    [
        (b"1.1", b"", b"400"),
        (b"1.1", b"Host: a\r\nHost: a\r\n", b"400"),
        (b"1.1", b"Host: a/b\r\n", b"400"),
        (b"1.1", b"Host: a b\r\n", b"400"),
        (b"1.0", b"Host: a\r\nHost: b\r\n", b"400"),
        (b"1.1", b"Host:\r\n", b"401"),
        (b"1.1", b"HOST: [::1]:9443\r\n", b"401"),
        (b"1.0", b"", b"401"),
    ],
)
def test_a_request_names_one_host(
    kit: HubKit, served: Served, version: bytes, fields: bytes, status: bytes
) -> None:
    """RFC 9112 section 3.2; HTTP/1.0 knew no Host."""
    before = len(kit.events())
    with connected(served) as connection:
        connection.sendall(b"GET /taxii2/ HTTP/" + version + b"\r\n" + fields + b"Connection: close\r\n\r\n")
        read = everything(connection)
    assert read.startswith(b"HTTP/1.1 " + status), read[:200]
    assert (len(kit.events()) > before) is (status == b"401"), "what was no request makes no event"


def test_an_endless_trailer_is_cut_off(kit: HubKit, served: Served) -> None:
    with connected(served) as connection, contextlib.suppress(OSError):
        connection.sendall(
            b"POST /exercise/collections/indicators/objects/ HTTP/1.1\r\nHost: x\r\n"
            b"Content-Type: application/taxii+json\r\nTransfer-Encoding: chunked\r\n"
            b"Authorization: Bearer " + kit.secret("uslgb").encode() + b"\r\n\r\n2\r\n{}\r\n0\r\nX: "
        )
        for _ in range(100):
            connection.sendall(b"a" * 65_536)
        pytest.fail("six megabytes of a trailer were taken")


def test_headers_that_dribble_in_are_cut_off(kit: HubKit) -> None:
    with kit.serve(bounds=Bounds(headers_within=0.2)) as hasty, connected(hasty) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert everything(connection) == b""


def test_only_modern_tls_and_forward_secrecy(served: Served) -> None:
    for wanted in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=served.ca)
        context.minimum_version = context.maximum_version = wanted
        with (
            socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as secure,
        ):
            suite = secure.cipher()
            assert suite is not None
            assert "GCM" in suite[0] or "POLY1305" in suite[0]
    context = ssl.create_default_context(cafile=served.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA:AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256")
    with (
        socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        context.wrap_socket(raw, server_hostname="localhost")


def new_pair(kit: HubKit, folder: Path) -> TlsFiles:
    """Issue another server certificate, with another key, by the same authority."""
    tls = kit.hub.dir / "tls"
    authority = (tls / "ca.pem").read_bytes(), (tls / "ca.key").read_bytes()
    certificate, key = KeyMaker(cert_profile).server(authority, "localhost", Micros(time.time_ns() // 1000))
    folder.mkdir(exist_ok=True)
    files = TlsFiles(folder / "server.pem", folder / "server.key")
    files.cert.write_bytes(certificate)
    files.key.write_bytes(key)
    return files


def test_a_changed_certificate_is_taken_up_and_a_half_written_one_is_not(kit: HubKit, tmp_path: Path) -> None:
    files = new_pair(kit, tmp_path / "one")
    live = LiveContext(files)
    assert not live.refresh()
    first = handshake(live.context, kit)
    other = new_pair(kit, tmp_path / "two")
    shutil.copy(other.cert, files.cert)
    assert not live.refresh(), "certificate and key do not belong together"
    assert handshake(live.context, kit) == first
    files.key.write_text("half a ke")
    assert not live.refresh()
    shutil.copy(other.key, files.key)
    assert live.refresh()
    assert handshake(live.context, kit) == ssl.PEM_cert_to_DER_cert(other.cert.read_text()) != first
    files.cert.unlink()
    assert not live.refresh()


def handshake(context: ssl.SSLContext, kit: HubKit) -> bytes:
    """Shake hands in memory; return the server's certificate."""
    client_context = ssl.create_default_context(cafile=kit.hub.dir / "tls" / "ca.pem")
    ends = [ssl.MemoryBIO() for _ in range(4)]
    client = client_context.wrap_bio(ends[0], ends[1], server_hostname="localhost")
    accepted = context.wrap_bio(ends[2], ends[3], server_side=True)
    for _ in range(4):
        for side, out, into in ((client, ends[1], ends[2]), (accepted, ends[3], ends[0])):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
            into.write(out.read())
    certificate = client.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


def test_a_running_server_takes_up_a_changed_certificate(
    kit: HubKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "TICKS_A_LOOK", 1)
    files = new_pair(kit, tmp_path / "one")
    up = threading.Event()
    running = HubServer(kit.app, host="127.0.0.1", port=0, tls=files, ready=lambda _: up.set())
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    assert up.wait(20)
    asked = Served(kit, "", running.port, kit.hub.dir / "tls" / "ca.pem")
    with connected(asked) as connection:
        first = connection.getpeercert(binary_form=True)
    other = new_pair(kit, tmp_path / "two")
    shutil.copy(other.key, files.key)
    shutil.copy(other.cert, files.cert)
    deadline, now = time.monotonic() + 10, first
    while now == first and time.monotonic() < deadline:
        time.sleep(0.05)
        with connected(asked) as connection:
            now = connection.getpeercert(binary_form=True)
    assert now != first
    running.stop()
    thread.join(20)
    assert not thread.is_alive()


def test_plain_http_is_for_loopback_only(kit: HubKit) -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::", "hub.example"):
        with pytest.raises(StewardError, match="loopback"):
            HubServer(kit.app, host=host, port=0, tls=None)
    HubServer(kit.app, host="::1", port=0, tls=None)


def test_a_certificate_that_cannot_be_used_says_so(kit: HubKit, tmp_path: Path) -> None:
    files = TlsFiles(tmp_path / "no.pem", tmp_path / "no.key")
    with pytest.raises(StewardError, match="TLS certificate cannot be used"):
        HubServer(kit.app, host="127.0.0.1", port=0, tls=files)
    files.cert.write_text("x")
    files.key.write_text("x")
    with pytest.raises(StewardError):
        HubServer(kit.app, host="127.0.0.1", port=0, tls=files)
    assert make_context(new_pair(kit, tmp_path / "good")).minimum_version is ssl.TLSVersion.TLSv1_2


def test_an_idle_client_does_not_hold_up_the_end(kit: HubKit) -> None:
    with contextlib.ExitStack() as stack:
        with kit.serve() as running:
            client = stack.enter_context(running.client("uslax"))
            assert client.get("/taxii2/").status_code == 200
            begun = time.monotonic()
        assert time.monotonic() - begun < 5


SERVE = """
import sys
from pathlib import Path
from lightship.web.server import HubServer
from lightship.wiring import make_app, open_hub
hub = open_hub(Path(sys.argv[1]))
server = HubServer(make_app(hub, plain=True), host="127.0.0.1", port=0, tls=None,
                   ready=lambda port: print(port, flush=True))
server.run()
hub.close()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well_and_requests_are_finished(kit: HubKit, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(kit.hub.dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LIGHTSHIP_TITLE": "Served"},
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
            time.sleep(0.2)  # the request is being read when the signal comes
            process.send_signal(number)
            time.sleep(0.3)
            raw.sendall(b"}")
            assert raw.recv(4096).startswith(b"HTTP/1.1 422")
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, b"", b"")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def test_plain_discovery_gives_roots_as_paths(kit: HubKit) -> None:
    from lightship.wiring import make_app

    app, kit.app = kit.app, make_app(kit.hub, plain=True)
    try:
        answer = kit.client("uslax").get("/taxii2/")
        assert answer.json()["api_roots"] == ["/exercise/"]
        assert "strict-transport-security" not in answer.headers
    finally:
        kit.app = app
