"""Where servers go wrong, 6 to 8 and 10: versions as times, duplicates, STIX 2.0, custom content."""

from __future__ import annotations

import asyncio
import json

import pytest

from probehub import ProbeHub
from stixsamples import (
    address,
    custom,
    extension_definition,
    identity,
    indicator,
    indicator_20,
    malware,
    software,
    statement_marking,
)
from taxiiprobe import TAXII


def test_versions_may_arrive_in_any_order(hub: ProbeHub) -> None:
    one = indicator()
    arrival = [
        "2026-02-10T00:00:00Z",
        "2026-02-09T23:59:59.999Z",
        "2026-02-10T00:00:00.000001Z",
        "2026-01-06T00:00:00Z",
    ]
    for modified in arrival:
        hub.lgb.publish({**one, "modified": modified})
    assert hub.lax.object(one["id"]).objects[0]["modified"] == arrival[2]
    assert hub.lax.object(one["id"], {"match[version]": "first"}).objects[0]["modified"] == arrival[3]
    assert hub.lax.versions(one["id"]).json["versions"] == arrival


def test_neighbours_by_a_microsecond_are_two_versions(hub: ProbeHub) -> None:
    one = indicator(modified="2026-02-10T00:00:00.000001Z")
    two = {**one, "modified": "2026-02-10T00:00:00.000002Z"}
    hub.lgb.publish(one, two)
    for version in (one, two):
        assert hub.lax.object(one["id"], {"match[version]": version["modified"]}).objects == [version]


def test_one_instant_in_two_spellings_is_one_version(hub: ProbeHub) -> None:
    one = indicator(modified="2026-02-10T00:00:00Z")
    hub.lgb.publish(one)
    status = hub.lgb.post({**one, "modified": "2026-02-10T00:00:00.000Z"}).json
    assert status["failure_count"] == 1
    assert hub.lax.objects({"match[version]": "all"}).objects == [one]


def test_objects_with_a_property_named_version(hub: ProbeHub) -> None:
    tool, extension = software(), extension_definition()
    scan = {
        "type": "malware-analysis",
        "spec_version": "2.1",
        "id": malware()["id"].replace("malware--", "malware-analysis--"),
        "created": "2026-01-05T08:00:00.000Z",
        "modified": "2026-01-06T08:00:00.000Z",
        "product": "scanner",
        "version": "5.1",
        "result": "benign",
    }
    hub.lgb.publish(tool, extension, scan)
    entries = {one["id"]: one for one in hub.lax.manifest().objects}
    assert entries[tool["id"]]["version"] == entries[tool["id"]]["date_added"]
    assert entries[extension["id"]]["version"] == extension["modified"]
    assert entries[scan["id"]]["version"] == scan["modified"]
    assert hub.lax.objects().objects == [tool, extension, scan]


@pytest.mark.parametrize("same", [indicator(), address(), statement_marking(), indicator_20(), custom()])
def test_eight_clients_post_the_same_at_once_without_an_error(hub: ProbeHub, same: dict[str, object]) -> None:
    body = json.dumps({"objects": [same, same]}).encode()

    async def everybody() -> list[tuple[int, int]]:
        asked = []
        for party in [hub.lgb, hub.lax] * 4:
            headers = [
                ("Accept", TAXII),
                ("Content-Type", TAXII),
                ("Authorization", str(party.authorization)),
            ]
            asked.append(hub.driver.request("POST", party.at("objects/"), headers=headers, body=body))
        replies = await asyncio.gather(*asked)
        return [(reply.json["success_count"], reply.json["failure_count"]) for reply in replies]

    assert hub.driver.loop.run_until_complete(everybody()) == [(2, 0)] * 8
    assert hub.lax.objects({"match[version]": "all"}).objects == [same]


def test_stix_2_0_objects_are_taken_and_nothing_is_added_to_them(hub: ProbeHub) -> None:
    posted = [indicator_20(), {**identity(), "type": "identity"}]
    del posted[1]["spec_version"]
    hub.lgb.publish(*posted)
    assert hub.lax.objects().objects == posted
    assert {one["media_type"] for one in hub.lax.manifest().objects} == {"application/stix+json;version=2.0"}


def test_stix_2_0_objects_are_checked_by_their_own_rules(hub: ProbeHub) -> None:
    bad = indicator_20()
    del bad["labels"]
    assert hub.lgb.post(bad).json["failure_count"] == 1


def test_an_observable_without_spec_version_is_taken_as_it_is(hub: ProbeHub) -> None:
    seen = address()
    del seen["spec_version"]
    hub.lgb.publish(seen)
    assert hub.lax.objects().objects == [seen]
    assert hub.lax.manifest().objects[0]["media_type"] == "application/stix+json;version=2.1"


def test_custom_types_properties_and_extensions_are_taken_as_they_are(hub: ProbeHub) -> None:
    key = extension_definition()["id"]
    posted = [
        custom(x_list=[1, "a", None, {"id": "no id", "type": 7, "modified": "no time", "created": []}]),
        indicator(extensions={key: {"extension_type": "property-extension", "berth": {"modified": "?"}}}),
        indicator(x_objects=[{"id": "indicator--x", "spec_version": 3}]),
    ]
    hub.lgb.publish(*posted)
    assert hub.lax.objects().objects == posted


def test_an_observable_from_another_member_with_other_content_is_a_conflict(hub: ProbeHub) -> None:
    seen = address()
    hub.lgb.publish(seen)
    hub.lax.publish(seen)
    (failure,) = hub.lax.post({**seen, "defanged": True}).json["failures"]
    assert failure["id"] == seen["id"]
    assert hub.lax.object(seen["id"]).objects == [seen]
