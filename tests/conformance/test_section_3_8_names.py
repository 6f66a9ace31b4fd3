"""TAXII 2.1 section 3.8: names and literals, and 7.1.1: the hub adds no properties of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import indicator

RESOURCES: dict[str, tuple[set[str], set[str]]] = {
    "discovery": ({"title"}, {"description", "contact", "default", "api_roots"}),
    "api-root": ({"title", "versions", "max_content_length"}, {"description"}),
    "collections": (set(), {"collections"}),
    "collection": ({"id", "title", "can_read", "can_write"}, {"description", "alias", "media_types"}),
    "envelope": (set(), {"more", "next", "objects"}),
    "manifest": (set(), {"more", "next", "objects"}),
    "manifest-record": ({"id", "date_added", "version"}, {"media_type"}),
    "versions": (set(), {"more", "next", "versions"}),
    "status": (
        {"id", "status", "total_count", "success_count", "failure_count", "pending_count"},
        {"request_timestamp", "successes", "failures", "pendings"},
    ),
    "status-details": ({"id", "version"}, {"message"}),
    "error": (
        {"title"},
        {"description", "error_id", "error_code", "http_status", "external_details", "details"},
    ),
}
"""Required and optional properties. `next` of manifest and versions is not in their tables; the standard
pages these endpoints with it all the same, and clients read it there."""


def samples(hub: ProbeHub, name: str) -> list[dict[str, Any]]:
    """Return resources of one kind as the hub sends them."""
    one = indicator()
    status = hub.lgb.post(one, {"type": "indicator"}, indicator()).ok().json
    hub.lgb.publish({**one, "modified": "2026-02-01T00:00:00.000Z"})
    collections = hub.lax.get(f"{hub.root}collections/").json
    manifests = [hub.lax.manifest({"limit": 1}).json, hub.lax.manifest().json]
    return {
        "discovery": [hub.lax.get("/taxii2/").json],
        "api-root": [hub.lax.get(hub.root).json],
        "collections": [collections],
        "collection": [*collections["collections"], hub.lax.get(hub.lax.collection).json],
        "envelope": [hub.lax.objects({"limit": 1}).json, hub.lax.objects().json],
        "manifest": manifests,
        "manifest-record": [one for page in manifests for one in page["objects"]],
        "versions": [hub.lax.versions(one["id"]).json, hub.lax.versions(one["id"], {"limit": 1}).json],
        "status": [status],
        "status-details": [*status["successes"], *status["failures"]],
        "error": [hub.lax.get("/nowhere/").json, hub.nobody.get("/taxii2/").json],
    }[name]


@clause("3.8-names", "3.8-names-json", "3.8-required", "8.1.2-required")
@clause("7.1.1-ascii", "7.1.1-letters", "7.1.1-prefix", "7.1.1-min", "7.1.1-max", "7.1.1-x", "7.1.1-needed")
@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_properties_are_the_defined_ones_and_no_others(hub: ProbeHub, name: str) -> None:
    required, optional = RESOURCES[name]
    found = samples(hub, name)
    assert found
    for one in found:
        assert required <= set(one) <= required | optional


@clause("3.8-names")
def test_literals_are_spelled_as_defined(hub: ProbeHub) -> None:
    assert samples(hub, "status")[0]["status"] in {"complete", "pending"}
    media = samples(hub, "collection")[0]["media_types"]
    assert set(media) <= {"application/stix+json;version=2.1", "application/stix+json;version=2.0"}
    for spelling in ("Last", "FIRST", "ALL"):
        hub.lax.objects({"match[version]": spelling}).error(400)


def test_unknown_properties_of_a_posted_envelope_are_not_stored(hub: ProbeHub) -> None:
    one = indicator()
    body = b'{"x_example_com_note":{"a":1},"objects":[%s]}' % _dumps(one)
    assert hub.lgb.send(body).status in {202, 422}
    assert "x_example_com_note" not in hub.lax.objects().json


def _dumps(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()
