"""TAXII 2.1 section 3.1: what holds for every endpoint."""

from __future__ import annotations

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import indicator
from taxiiprobe import TAXII, Reply

READS = [
    "/taxii2/",
    "root",
    "collections",
    "collection",
    "manifest",
    "objects",
    "object",
    "versions",
    "status",
]


@clause("3.1-body", "8.2.1-valid")
@pytest.mark.parametrize(
    ("place", "required"),
    [
        ("/taxii2/", {"title", "api_roots"}),
        ("root", {"title", "versions", "max_content_length"}),
        ("collections", {"collections"}),
        ("collection", {"id", "title", "can_read", "can_write"}),
        ("manifest", {"objects"}),
        ("objects", {"objects"}),
        ("object", {"objects"}),
        ("versions", {"versions"}),
        ("status", {"id", "status", "total_count", "success_count", "failure_count", "pending_count"}),
    ],
)
def test_each_success_has_the_body_of_its_endpoint(hub: ProbeHub, place: str, required: set[str]) -> None:
    assert set(hub.lgb.get(hub.place(place)).ok().json) >= required


@clause("3.1-content-type")
@pytest.mark.parametrize("place", READS)
def test_each_answer_names_media_type_and_version(hub: ProbeHub, place: str) -> None:
    answers: list[Reply] = [
        hub.lgb.get(hub.place(place)),
        hub.nobody.get(hub.place(place)),
        hub.stranger.get(hub.place(place)),
        hub.lgb.get(hub.place(place), Accept="text/html"),
        hub.lgb.ask("PUT", hub.place(place), body=b"{}"),
    ]
    assert [one.status for one in answers][3:] == [406, 405]
    assert {one.headers["content-type"] for one in answers} == {TAXII}


@clause("3.1-no-406")
@pytest.mark.parametrize(
    "accept",
    [
        "application/taxii+json;version=2.1",
        "application/taxii+json; version=2.1",
        "application/taxii+json",
        "APPLICATION/TAXII+JSON;VERSION=2.1",
        'application/taxii+json;version="2.1"',
        "application/taxii+json;version=2.1,application/stix+json;version=2.1",
        "text/html, application/taxii+json;version=2.1;q=0.1",
    ],
)
@pytest.mark.parametrize("place", READS)
def test_a_defined_accept_is_never_406(hub: ProbeHub, place: str, accept: str) -> None:
    hub.lgb.get(hub.place(place), Accept=accept).ok()


@clause("3.1-no-415")
@pytest.mark.parametrize(
    "content_type",
    [
        "application/taxii+json;version=2.1",
        "application/taxii+json; version=2.1",
        "application/taxii+json",
        "Application/TAXII+JSON; Version=2.1",
        'application/taxii+json;version="2.1"',
        "application/taxii+json;version=2.1; charset=utf-8",
    ],
)
def test_a_defined_content_type_is_never_415(hub: ProbeHub, content_type: str) -> None:
    assert hub.lgb.post(indicator(), Content_Type=content_type).status == 202


@clause("3.1-filter")
def test_every_filtering_endpoint_filters(hub: ProbeHub) -> None:
    keep, drop = indicator(), indicator(modified="2026-02-01T00:00:00Z")
    hub.lgb.publish(keep)
    hub.lgb.publish(drop)
    first = hub.lax.manifest({"match[id]": keep["id"]}).json["objects"][0]["date_added"]
    later = {"added_after": first}
    assert [one["id"] for one in hub.lax.objects(later).objects] == [drop["id"]]
    assert [one["id"] for one in hub.lax.manifest(later).objects] == [drop["id"]]
    assert hub.lax.object(keep["id"], later).objects == []
    assert hub.lax.versions(keep["id"], later).ok().json.get("versions") is None


@clause("3.1-methods", "8.1.2-sections")
@pytest.mark.parametrize("place", READS)
def test_methods_are_those_of_the_tables(hub: ProbeHub, place: str) -> None:
    path = hub.place(place)
    allowed = {one.strip() for one in hub.lgb.ask("PUT", path).headers["allow"].split(",")}
    assert allowed - {"HEAD", "OPTIONS"} == {
        "objects": {"GET", "POST"},
        "object": {"GET", "DELETE"},
    }.get(place, {"GET"})
    for method in {"POST", "DELETE", "PUT", "PATCH", "TRACE"} - allowed:
        hub.lgb.ask(method, path, body=b"{}" if method == "POST" else b"").advice(405)
