"""Where servers go wrong, 1: media types are read as HTTP reads them (TAXII 2.1 sections 1.6.8, 3.1)."""

from __future__ import annotations

import gzip
import json

import pytest

from probehub import ProbeHub
from stixsamples import indicator
from taxiiprobe import TAXII

TAKEN = [
    "application/taxii+json;version=2.1",
    "application/taxii+json; version=2.1",
    "application/taxii+json ; version = 2.1".replace(" = ", "="),
    "\tapplication/taxii+json;\tversion=2.1 ",
    'application/taxii+json; version="2.1"',
    "Application/TAXII+JSON; VERSION=2.1",
    "application/taxii+json",
    "application/*",
    "*/*",
    "*/*;q=0.1",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "application/vnd.oasis.taxii+json; version=2.0, application/taxii+json;version=2.1",
    "application/taxii+json;version=2.0, application/taxii+json;version=2.1",
    "application/taxii+json;version=2.0, */*",
    "application/taxii+json;version=2.1;q=0.001",
    "application/taxii+json;version=2.1;q=1.000",
    "application/taxii+json;version=2.2, application/taxii+json",
    ", ,application/taxii+json;version=2.1,,",
    'text/plain;x="a,b;c", application/taxii+json;version=2.1',
    "application/taxii+json;q=0, application/taxii+json;version=2.1",
    "application/taxii+json;version=2.1; charset=utf-8",
    None,
    "",
]

REFUSED = [
    "application/taxii+json;version=2.0",
    "application/vnd.oasis.taxii+json",
    "application/vnd.oasis.taxii+json; version=2.0",
    "application/vnd.oasis.stix+json; version=2.0",
    "application/stix+json;version=2.1",
    "application/json",
    "text/html",
    "application/taxii+json;version=2.1;q=0",
    "application/taxii+json;version=2.1;q=0, text/html",
    "*/*, application/taxii+json;version=2.1;q=0",
    "*/*;q=0",
    "application/taxii+jsonx",
    "application/taxii+json;version=2.10",
    "application/taxii+json;version=21",
]


@pytest.mark.parametrize("accept", TAKEN)
def test_accept_that_covers_taxii_2_1_is_served(hub: ProbeHub, accept: str | None) -> None:
    for path in ("/taxii2/", hub.lax.at("objects/"), hub.lax.at("manifest/")):
        reply = hub.lax.get(path, Accept=accept)
        assert reply.status == 200, (accept, reply.body)
        assert reply.headers["content-type"] == TAXII


@pytest.mark.parametrize("accept", REFUSED)
def test_accept_that_does_not_is_406_in_json_and_says_what_to_send(hub: ProbeHub, accept: str) -> None:
    for path in ("/taxii2/", hub.lax.at("objects/")):
        reply = hub.lax.get(path, Accept=accept)
        error = reply.error(406)
        reply.advice(406)
        assert TAXII in f"{error['title']} {error.get('description', '')}"


@pytest.mark.parametrize(
    "content_type",
    [
        *(
            "application/taxii+json;version=2.1",
            "application/taxii+json; version=2.1",
            "application/taxii+json",
        ),
        *("APPLICATION/TAXII+JSON", 'application/taxii+json; version="2.1"'),
        *("application/stix+json;version=2.1", "application/stix+json; version=2.1", "application/stix+json"),
        "application/taxii+json; charset=UTF-8; version=2.1",
    ],
)
def test_content_types_of_a_post(hub: ProbeHub, content_type: str) -> None:
    assert hub.lgb.post(indicator(), Content_Type=content_type).status == 202


@pytest.mark.parametrize(
    "content_type",
    [
        *(
            "application/json",
            "text/plain",
            "application/xml",
            "application/x-www-form-urlencoded",
            "",
            "/",
            "json",
        ),
        *(
            "application/taxii+json;version=2.0",
            "application/taxii+json;version=",
            "application/vnd.oasis.stix+json",
        ),
        *("application/taxii+json;charset=utf-16", "*/*"),
    ],
)
def test_other_content_types_are_415_and_leave_nothing(hub: ProbeHub, content_type: str) -> None:
    hub.lgb.post(indicator(), Content_Type=content_type).advice(415)
    assert hub.lax.objects().objects == []


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "x", "gzip, br", "gzip, gzip", "gzip;q=1"])
def test_a_body_in_another_encoding_is_415(hub: ProbeHub, encoding: str) -> None:
    hub.lgb.post(indicator(), Content_Encoding=encoding).advice(415)
    assert hub.lax.objects().objects == []


def test_identity_encoding_is_no_encoding(hub: ProbeHub) -> None:
    assert hub.lgb.post(indicator(), Content_Encoding="identity").status == 202


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", " gzip "])
def test_a_gzip_body_is_unpacked(hub: ProbeHub, encoding: str) -> None:
    one = indicator()
    body = gzip.compress(json.dumps({"objects": [one]}).encode())
    assert hub.lgb.send(body, Content_Encoding=encoding).status == 202
    assert hub.lax.objects().objects == [one]


def test_a_body_that_is_not_the_gzip_it_says_is_400(hub: ProbeHub) -> None:
    hub.lgb.post(indicator(), Content_Encoding="gzip").advice(400)
    assert hub.lax.objects().objects == []


def test_head_is_get_without_a_body(hub: ProbeHub) -> None:
    for place in (
        "/taxii2/",
        "root",
        "collections",
        "collection",
        "objects",
        "manifest",
        "object",
        "versions",
    ):
        path = hub.place(place)
        head, get = hub.lgb.ask("HEAD", path), hub.lgb.get(path)
        assert (head.status, head.body) == (200, b"")
        varying = {"date", "x-request-id", "audit-receipt"}
        assert {k: v for k, v in head.headers.items() if k not in varying} == {
            k: v for k, v in get.headers.items() if k not in varying
        }
    assert hub.lgb.ask("HEAD", "/nowhere/").status == 404
    assert hub.lgb.ask("HEAD", "/nowhere/").body == b""


def test_options_names_the_methods(hub: ProbeHub) -> None:
    reply = hub.lgb.ask("OPTIONS", hub.place("objects"))
    assert reply.status in {200, 204}
    assert {one.strip() for one in reply.headers["allow"].split(",")} >= {"GET", "HEAD", "POST", "OPTIONS"}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "X"])
def test_other_methods_are_405_with_allow(hub: ProbeHub, method: str) -> None:
    reply = hub.lgb.ask(method, hub.place("objects"))
    reply.error(405)
    assert "GET" in reply.headers["allow"]


def test_etag_and_304(hub: ProbeHub) -> None:
    hub.lgb.publish(indicator())
    for read in (hub.lax.objects, hub.lax.manifest):
        first = read()
        tag = first.headers["etag"]
        for value in (tag, f'"x", {tag}', "*", tag if tag.startswith("W/") else f"W/{tag}"):
            again = read(None, If_None_Match=value)
            assert (again.status, again.body) == (304, b""), value
            assert again.headers["etag"] == tag
        assert read(None, If_None_Match='"other"').status == 200
        hub.lgb.publish(indicator())
        assert read(None, If_None_Match=tag).status == 200


def test_an_etag_is_not_shared_between_encodings_or_queries(hub: ProbeHub) -> None:
    hub.lgb.publish(*(indicator(description="b" * 400) for _ in range(8)))
    tags = [
        hub.lax.objects().headers["etag"],
        hub.lax.objects(None, Accept_Encoding="gzip").headers["etag"],
        hub.lax.objects({"limit": 3}).headers["etag"],
        hub.lax.manifest().headers["etag"],
    ]
    assert len(set(tags)) == 4


def test_gzip_is_sent_to_those_who_take_it(hub: ProbeHub) -> None:
    hub.lgb.publish(*(indicator(description="b" * 400) for _ in range(8)))
    plain = hub.lax.objects()
    assert "content-encoding" not in plain.headers
    assert "accept-encoding" in plain.headers["vary"].lower()
    for accepted in ("gzip", "br, gzip;q=0.5", "*", "GZIP"):
        packed = hub.lax.objects(None, Accept_Encoding=accepted)
        assert packed.headers["content-encoding"] == "gzip", accepted
        assert gzip.decompress(packed.body) == plain.body
    for refused in ("identity", "gzip;q=0", "br", ""):
        assert "content-encoding" not in hub.lax.objects(None, Accept_Encoding=refused).headers
