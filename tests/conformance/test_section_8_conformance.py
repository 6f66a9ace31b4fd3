"""TAXII 2.1 section 8: what makes a server conform, over real TLS where it is about TLS."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator

import pytest

import conformance_docs
from conformance_clauses import BY_KEY, CLAUSES, SECTIONS, clause
from hubkit import Served, make_hub
from probehub import ProbeHub
from stixsamples import indicator
from taxiiprobe import TAXII, basic

OPENSSL = shutil.which("openssl")
BLOCKED_SUITES = "AES128-SHA:AES256-SHA:AES128-SHA256:AES256-SHA256:AES128-GCM-SHA256:AES256-GCM-SHA384"
BLOCKED_ECDHE = (
    "ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA:ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA384:"
    "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384"
)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A hub that serves on a loopback port with its own private authority."""
    with make_hub(tmp_path_factory.mktemp("tls")) as kit, kit.serve() as served:
        yield served


def context(tls: Served, version: ssl.TLSVersion | None = None, ciphers: str = "") -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(tls.ca))
    if version is not None:
        made.minimum_version = made.maximum_version = version
    if ciphers:
        made.set_ciphers(ciphers)
    return made


def negotiated(tls: Served, wanted: ssl.SSLContext) -> tuple[str, str]:
    """Return (TLS version, suite) of one handshake."""
    with (
        socket.create_connection(("127.0.0.1", tls.port), timeout=10) as plain,
        wanted.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        cipher = secure.cipher()
        assert cipher is not None
        return str(secure.version()), cipher[0]


@clause("8.1.1-server", "8.1.2-sections", "8.1.2-features")
def test_every_clause_that_binds_the_hub_has_a_test() -> None:
    tests = conformance_docs.tests_by_clause()
    missing = [one.key for one in CLAUSES if not one.why_not and not tests.get(one.key)]
    assert missing == []


def test_the_clause_table_is_well_formed() -> None:
    assert len(BY_KEY) == len(CLAUSES)
    assert {one.section for one in CLAUSES} == set(SECTIONS)


def test_the_conformance_page_is_up_to_date() -> None:
    made, held = conformance_docs.page(), conformance_docs.PAGE.read_text("utf-8")
    assert made == held, "run: python tests/conformance_docs.py"


@clause("8.2.1-user-agent")
def test_a_request_without_user_agent_is_served(hub: ProbeHub) -> None:
    for agent in (None, ""):
        hub.lax.get("/taxii2/", User_Agent=agent).ok()
        assert hub.lgb.post(indicator(), User_Agent=agent).status == 202


@clause("8.2.1-valid", "8.2.1-types")
def test_what_is_sent_over_tls_is_valid_taxii(tls: Served) -> None:
    connection = http.client.HTTPSConnection("localhost", tls.port, timeout=10, context=context(tls))
    connection.request(
        "GET", "/taxii2/", headers={"Accept": TAXII, "Authorization": basic(*tls.kit.credential("uslax"))}
    )
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == TAXII
    assert json.loads(answer.read())["api_roots"]
    connection.close()


@clause("8.2.2-https", "8.2.2-tls12", "8.2.2-tls13")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_taken(tls: Served, version: ssl.TLSVersion) -> None:
    assert negotiated(tls, context(tls, version))[0] == version.name.replace("_", ".")


@clause("8.2.2-suites")
@pytest.mark.parametrize("ciphers", [BLOCKED_SUITES, BLOCKED_ECDHE])
def test_no_suite_of_the_block_list_is_taken(tls: Served, ciphers: str) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        negotiated(tls, context(tls, ssl.TLSVersion.TLSv1_2, ciphers))


@clause("8.2.2-suites")
def test_what_tls_1_2_negotiates_is_forward_secret_and_aead(tls: Served) -> None:
    suite = negotiated(tls, context(tls, ssl.TLSVersion.TLSv1_2))[1]
    assert suite.startswith(("ECDHE-", "DHE-"))
    assert "GCM" in suite or "CHACHA20" in suite


@clause("8.2.2-0rtt")
@pytest.mark.skipif(OPENSSL is None, reason="needs the openssl command: ssl does not show early data")
def test_session_tickets_announce_no_early_data(tls: Served) -> None:
    """RFC 8446 section 4.6.1: a ticket says how much early data may follow; ours allow none."""
    answer = subprocess.run(
        [str(OPENSSL), "s_client", "-connect", f"127.0.0.1:{tls.port}", "-tls1_3", "-CAfile", str(tls.ca)],
        input=b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        capture_output=True,
        timeout=30,
        check=False,
    )
    limits = [line for line in answer.stdout.decode().splitlines() if "Max Early Data" in line]
    assert "TLSv1.3" in answer.stdout.decode()
    assert all(line.split(":")[1].strip() == "0" for line in limits)
    assert "Early data was accepted" not in answer.stdout.decode()


@clause("8.2.2-https")
def test_plain_http_on_the_tls_port_is_not_served(tls: Served) -> None:
    with socket.create_connection(("127.0.0.1", tls.port), timeout=10) as plain:
        plain.sendall(b"GET /taxii2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        plain.settimeout(10)
        try:
            answer = plain.recv(4096)
        except ConnectionError:
            answer = b""
    assert not answer.startswith(b"HTTP/1.1 2")
