"""Where servers go wrong, 11: TLS versions, bodies refused unread, Date, plain HTTP, and clocks that jump."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import warnings
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import pytest
import rfc8785

from hubkit import Served, make_hub
from lightship.settings import Settings
from lightship.wiring import make_app
from probehub import ProbeHub
from stixsamples import indicator
from taxiiprobe import TAXII, Driver, Party, basic

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A hub that serves on a loopback port, with a stranger to its agreement."""
    with make_hub(tmp_path_factory.mktemp("tls")) as kit:
        kit.add_agreement("tokyo", members=("jptyo",))
        with kit.serve() as served:
            yield served


def connect(tls: Served) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(tls.ca))
    plain = socket.create_connection(("127.0.0.1", tls.port), timeout=20)
    return context.wrap_socket(plain, server_hostname="localhost")


def answer_of(connection: ssl.SSLSocket) -> http.client.HTTPResponse:
    reply = http.client.HTTPResponse(connection)
    reply.begin()
    return reply


def post_head(tls: Served, member: str, *more: str) -> bytes:
    """Return the head of a POST to the hub's collection."""
    name, secret = tls.kit.credential(member)
    lines = [
        f"POST {tls.kit.path('indicators', 'objects/')} HTTP/1.1",
        "Host: localhost",
        f"Authorization: {basic(name, secret)}",
        f"Content-Type: {TAXII}",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_tls_before_1_2_is_refused(tls: Served, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=str(tls.ca))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        socket.create_connection(("127.0.0.1", tls.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost"),
    ):
        pass


@pytest.mark.parametrize(
    ("member", "length", "status"),
    [("tokyo:jptyo", 3 * MIB, 404), ("tokyo:jptyo", 20 * MIB, 404), ("uslgb", 20 * MIB, 413)],
)
def test_an_answer_before_the_body_was_read_still_arrives(
    tls: Served, member: str, length: int, status: int
) -> None:
    """The client sends all of its body before it reads: a hub that just closed would break the connection."""
    with connect(tls) as connection:
        connection.sendall(post_head(tls, member, f"Content-Length: {length}"))
        piece = b" " * 65_536
        for _ in range(length // len(piece)):
            connection.sendall(piece)
        reply = answer_of(connection)
        assert reply.status == status
        assert json.loads(reply.read())["http_status"] == str(status)


def test_a_client_that_waits_for_100_continue_is_told_no_at_once(tls: Served) -> None:
    with connect(tls) as connection:
        head = post_head(tls, "tokyo:jptyo", "Expect: 100-continue", f"Content-Length: {MIB}")
        connection.sendall(head)
        assert answer_of(connection).status == 404


def test_a_chunked_body_over_the_limit_is_413(tls: Served) -> None:
    with connect(tls) as connection:
        connection.sendall(post_head(tls, "uslgb", "Transfer-Encoding: chunked"))
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        for _ in range(17 * MIB // 65_536):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
        assert answer_of(connection).status == 413


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /taxii2/ HTTP/9.9\r\n\r\n",
        b"GET /taxii2/ HTTP/1.1\r\n\r\n",
        b"GET /taxii2/ HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /taxii2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_what_is_no_http_harms_nobody(tls: Served, head: bytes) -> None:
    with connect(tls) as connection:
        connection.settimeout(5)
        try:
            connection.sendall(head)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65_536)
        except (OSError, ssl.SSLError):
            answer = b""
    assert not answer.startswith(b"HTTP/1.1 2")
    assert b"Traceback" not in answer
    with tls.client("uslax") as client:
        assert client.get("/taxii2/").status_code == 200


def test_date_is_sent_once_and_right(tls: Served) -> None:
    with tls.client("uslax") as client:
        for path in ("/taxii2/", "/nowhere/", tls.kit.path("indicators", "objects/")):
            dates = client.get(path).headers.get_list("date")
            assert len(dates) == 1
            assert parsedate_to_datetime(dates[0]).year >= 2024


def test_plain_http_has_path_roots_and_no_strict_transport(hub: ProbeHub) -> None:
    driver = Driver(make_app(hub.hub, plain=True), hub.driver.loop)
    plain = Party(driver, hub.lax.authorization, hub.lax.collection)
    reply = plain.get("/taxii2/")
    assert reply.json["api_roots"] == [reply.json["default"]] == [hub.root]
    assert "strict-transport-security" not in reply.headers


def test_the_default_of_max_content_length_is_16_mib() -> None:
    assert Settings.model_fields["max_content_length"].default == 16 * MIB
    assert Settings.model_fields["page_default"].default >= 1000


def test_objects_go_out_as_canonical_bytes(hub: ProbeHub) -> None:
    posted = [
        indicator(x_numbers=[1.0, 0.000001, 1e21, -0.0], x_names={"b": 1, "é": 2, "a": 3}) for _ in range(3)
    ]
    hub.lgb.publish(*posted)
    body = hub.lax.objects().body
    for one in posted:
        assert rfc8785.dumps(one) in body


def test_a_clock_that_jumps_stops_publishing_with_503_and_nothing_else(hub: ProbeHub) -> None:
    kept = indicator()
    hub.lgb.publish(kept)
    hub.clock.jump(3_600 * 1_000_000)
    reply = hub.lgb.post(indicator())
    reply.advice(503)
    assert int(reply.headers["retry-after"]) >= 1
    assert hub.lax.objects().objects == [kept]
    hub.clock.jump(-3_600 * 1_000_000)
    hub.lgb.publish(indicator())
    assert len(hub.lax.objects().objects) == 2
