"""TAXII 2.1 section 4.1: discovery at /taxii2/."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from conformance_clauses import clause
from probehub import ProbeHub


@clause("4.1-failures", "8.2.1-taxii2", "8.2.1-root")
def test_discovery_stands_at_taxii2_at_the_root_of_the_server(hub: ProbeHub) -> None:
    hub.lax.get("/taxii2/").ok()
    hub.nobody.get("/taxii2/").advice(401)
    hub.lax.get("/taxii2/", Accept="application/vnd.oasis.taxii+json; version=2.0").advice(406)


@clause("4.1.1-default")
def test_the_default_root_is_one_of_the_roots(hub: ProbeHub) -> None:
    for who in (hub.lax, hub.lgb, hub.stranger, hub.auditor):
        discovery = who.get("/taxii2/").ok().json
        assert discovery["default"] in discovery["api_roots"]


@clause("4.1.1-https", "4.1.1-relative", "4.1.1-not-parent", "4.1.1-no-query")
def test_roots_are_absolute_https_urls_under_the_public_url(hub: ProbeHub) -> None:
    for url in hub.lax.get("/taxii2/").json["api_roots"]:
        parts = urlsplit(url)
        assert (parts.scheme, parts.query, parts.fragment) == ("https", "", "")
        assert url.startswith(hub.public_url + "/")
        assert url.endswith("/")
        hub.lax.get(parts.path).ok()


@clause("4.1.1-https")
@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host", "Forwarded", "X-Forwarded-Proto"])
def test_no_header_of_the_request_gets_into_the_urls(hub: ProbeHub, name: str) -> None:
    value = "host=evil.example" if name == "Forwarded" else "evil.example"
    answer = hub.lax.ask("GET", "/taxii2/", headers={name: value}).ok()
    assert b"evil.example" not in answer.body
    assert answer.json == hub.lax.get("/taxii2/").json


def test_roots_are_those_of_the_principal(hub: ProbeHub) -> None:
    assert hub.lax.get("/taxii2/").json["api_roots"] == [f"{hub.public_url}{hub.root}"]
    assert hub.stranger.get("/taxii2/").json["api_roots"] == [f"{hub.public_url}{hub.other_root}"]
