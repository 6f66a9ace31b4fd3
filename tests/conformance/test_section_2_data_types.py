"""TAXII 2.1 section 2: the types of what the hub sends, looked for in every resource that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import address, indicator, statement_marking
from taxiiprobe import STAMP, UUID4

BOOLEANS = {"can_read", "can_write", "more"}
IDENTIFIERS = ("status", "collection")
INTEGERS = {"max_content_length", "total_count", "success_count", "failure_count", "pending_count"}
STRINGS = {
    "title",
    "description",
    "contact",
    "default",
    "alias",
    "id",
    "version",
    "media_type",
    "message",
    "next",
}
LISTS_OF_STRINGS = {"api_roots", "versions", "media_types"}
LISTS_OF_OBJECTS = {"collections", "objects", "successes", "failures", "pendings"}
STAMPS = {"date_added", "request_timestamp"}


@pytest.fixture
def resources(hub: ProbeHub) -> dict[str, dict[str, Any]]:
    """One of each resource that the hub sends; STIX content is left out of the envelope."""
    one, mark = indicator(), statement_marking()
    status = hub.lgb.post(one, mark, address(), {"type": "indicator", "id": "nonsense"}).ok().json
    assert status["failure_count"] == 1
    found = {
        "discovery": hub.lax.get("/taxii2/").ok().json,
        "api-root": hub.lax.get(hub.root).ok().json,
        "collections": hub.lax.get(f"{hub.root}collections/").ok().json,
        "collection": hub.lax.get(hub.lax.collection).ok().json,
        "manifest": hub.lax.manifest({"limit": 1}).ok().json,
        "versions": hub.lax.versions(one["id"]).ok().json,
        "envelope": {**hub.lax.objects({"limit": 1}).ok().json},
        "status": status,
        "status again": hub.lgb.get(f"{hub.root}status/{status['id']}/").ok().json,
    }
    assert found["envelope"].pop("objects")
    return found


def every_member(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each property name with its value, however deep."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, inner
            yield from every_member(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from every_member(inner)


@clause("2-boolean", "8.2.1-types")
def test_booleans_are_json_literals(resources: dict[str, Any]) -> None:
    found = [value for name, value in every_member(list(resources.values())) if name in BOOLEANS]
    assert len(found) >= 6
    assert all(type(value) is bool for value in found)


@clause("2-identifier")
def test_collection_and_status_ids_are_random_uuids(resources: dict[str, Any]) -> None:
    assert UUID4.fullmatch(resources["status"]["id"])
    assert UUID4.fullmatch(resources["collection"]["id"])
    assert all(UUID4.fullmatch(one["id"]) for one in resources["collections"]["collections"])


@clause("2-integer", "8.2.1-types")
def test_integers_are_whole_and_fit_in_54_bits(resources: dict[str, Any]) -> None:
    found = [value for name, value in every_member(list(resources.values())) if name in INTEGERS]
    assert len(found) >= 9
    assert all(type(value) is int and abs(value) < 2**53 for value in found)


@clause("2-list-type", "8.2.1-types")
def test_lists_hold_one_type(resources: dict[str, Any]) -> None:
    seen = set()
    for name, value in every_member(list(resources.values())):
        if name in LISTS_OF_STRINGS:
            assert all(isinstance(one, str) for one in value)
        elif name in LISTS_OF_OBJECTS:
            assert all(isinstance(one, dict) for one in value)
        elif name in STRINGS:
            assert isinstance(value, str), name
        else:
            continue
        seen.add(name)
    assert seen >= {"api_roots", "versions", "media_types", "collections", "successes", "failures"}


@clause("2-list-one", "2-list-not-empty")
def test_no_list_is_ever_empty(hub: ProbeHub, resources: dict[str, Any]) -> None:
    nothing = {"match[type]": "x-nothing"}
    some = hub.lax.objects().objects[0]["id"]
    sparse = [
        hub.lax.objects(nothing).json,
        hub.lax.manifest(nothing).json,
        hub.lax.versions(some, {"added_after": "2100-01-01T00:00:00Z"}).json,
        hub.lgb.post(indicator()).json,
        hub.lgb.post({"type": "indicator"}).json,
        hub.stranger.get("/taxii2/").json,
    ]
    for _, value in every_member([*resources.values(), *sparse]):
        assert value != []


@clause("2-list-required", "4.2.1-versions-21")
def test_the_required_list_of_versions_is_there(resources: dict[str, Any]) -> None:
    assert len(resources["api-root"]["versions"]) >= 1


@clause("2-timestamp-rfc3339", "2-timestamp-micros", "2-timestamp-utc", "2-timestamp-z")
def test_timestamps_are_utc_with_six_digits_and_z(resources: dict[str, Any]) -> None:
    found = [value for name, value in every_member(list(resources.values())) if name in STAMPS]
    assert len(found) >= 2
    assert all(STAMP.fullmatch(value) for value in found)
    year = re.compile(r"20[2-9]\d-")
    assert all(year.match(value) for value in found)
