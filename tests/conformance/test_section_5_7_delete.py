"""TAXII 2.1 section 5.7: deleting an object, here a withdrawal that stays in the record."""

from __future__ import annotations

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import address, indicator

V1, V2, V3 = "2026-02-01T00:00:00.000Z", "2026-02-02T00:00:00.000Z", "2026-02-03T00:00:00.000Z"


def three_versions(hub: ProbeHub) -> list[dict[str, object]]:
    one = indicator(modified=V1)
    versions = [one, {**one, "modified": V2}, {**one, "modified": V3}]
    for version in versions:
        hub.lgb.publish(version)
    return versions


@clause("5.7-id", "5.7-gone", "5.7-not-listed")
def test_a_deleted_object_is_gone_from_everywhere(hub: ProbeHub) -> None:
    stix_id = str(three_versions(hub)[0]["id"])
    kept = indicator()
    hub.lgb.publish(kept)
    hub.lax.objects({"match[version]": "all"}).ok()
    reply = hub.lgb.withdraw(stix_id)
    assert reply.status == 200
    for params in (None, {"match[version]": "all"}, {"match[version]": V2}):
        hub.lax.object(stix_id, params).error(404)
        hub.lax.versions(stix_id).error(404)
        for read in (hub.lax.objects, hub.lax.manifest):
            assert stix_id not in {one["id"] for one in read(params).objects}
    assert hub.lax.objects().objects == [kept]


@clause("5.7-gone", "5.7-not-listed")
def test_a_deleted_version_is_gone_and_last_moves_back(hub: ProbeHub) -> None:
    versions = three_versions(hub)
    stix_id = str(versions[0]["id"])
    assert hub.lgb.withdraw(stix_id, {"match[version]": V3}).status == 200
    assert hub.lax.object(stix_id).objects == [versions[1]]
    assert hub.lax.versions(stix_id).json["versions"] == [V1, V2]
    assert [one["version"] for one in hub.lax.manifest({"match[version]": "all"}).objects] == [V1, V2]
    gone = hub.lax.object(stix_id, {"match[version]": V3})
    assert gone.status == 200
    assert "objects" not in gone.json


@clause("5.7-not-listed")
@pytest.mark.parametrize(
    ("match", "left"),
    [("last", [V1, V2]), ("first", [V2, V3]), (V2, [V1, V3]), (f"{V1},{V3}", [V2]), ("first,last", [V2])],
)
def test_key_words_pick_what_is_deleted(hub: ProbeHub, match: str, left: list[str]) -> None:
    stix_id = str(three_versions(hub)[0]["id"])
    assert hub.lgb.withdraw(stix_id, {"match[version]": match}).status == 200
    assert hub.lax.versions(stix_id).json["versions"] == left


@clause("5.7-gone")
def test_all_is_the_same_as_no_filter(hub: ProbeHub) -> None:
    stix_id = str(three_versions(hub)[0]["id"])
    assert hub.lgb.withdraw(stix_id, {"match[version]": "all"}).status == 200
    hub.lax.object(stix_id).error(404)


@clause("5.7-gone")
def test_an_observable_is_deleted_by_the_version_that_it_is_shown_with(hub: ProbeHub) -> None:
    seen = address()
    hub.lgb.publish(seen)
    version = hub.lax.manifest().objects[0]["version"]
    hub.lgb.withdraw(seen["id"], {"match[version]": "2020-01-01T00:00:00Z"}).error(404)
    assert hub.lgb.withdraw(seen["id"], {"match[version]": version}).status == 200
    hub.lax.object(seen["id"]).error(404)


@pytest.mark.parametrize(
    "query",
    [
        *("limit=1", "added_after=2026-01-01T00:00:00Z", "next=x", "match[type]=indicator"),
        *("version=2026-01-01T00:00:00Z", "Match[version]=last", "match[version=last"),
    ],
)
def test_a_filter_that_a_delete_does_not_have_deletes_nothing(hub: ProbeHub, query: str) -> None:
    """Ignoring it would take out more than was asked for."""
    stix_id = str(three_versions(hub)[0]["id"])
    hub.lgb.withdraw(stix_id, query).advice(400)
    assert hub.lax.versions(stix_id).json["versions"] == [V1, V2, V3]


@pytest.mark.parametrize(
    "query",
    [
        *("match[version]=junk", "match[version]=", "match[version]=all,last", "match[version]=last,last"),
        *("match[version]=last&match[version]=first", "match[spec_version]="),
    ],
)
def test_a_malformed_filter_deletes_nothing(hub: ProbeHub, query: str) -> None:
    stix_id = str(three_versions(hub)[0]["id"])
    hub.lgb.withdraw(stix_id, query).advice(400)
    assert hub.lax.versions(stix_id).json["versions"] == [V1, V2, V3]


def test_an_unknown_object_or_version_is_404(hub: ProbeHub) -> None:
    stix_id = str(three_versions(hub)[0]["id"])
    hub.lgb.withdraw(indicator()["id"]).error(404)
    hub.lgb.withdraw(stix_id, {"match[version]": "2020-01-01T00:00:00Z"}).error(404)
    assert hub.lgb.withdraw(stix_id).status == 200
    hub.lgb.withdraw(stix_id).error(404)


def test_another_members_object_is_not_deleted(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one)
    assert hub.lax.get(hub.lax.collection).json["can_write"] is True
    title = hub.lax.withdraw(one["id"]).advice(403)
    assert title
    assert hub.lax.object(one["id"]).objects == [one]


def test_a_withdrawn_version_can_be_added_again_but_never_with_other_content(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one)
    before = hub.lax.manifest().objects[0]["date_added"]
    assert hub.lgb.withdraw(one["id"]).status == 200
    changed = hub.lgb.post({**one, "name": "Another"}).json
    assert changed["failure_count"] == 1
    hub.lax.object(one["id"]).error(404)
    hub.lgb.publish(one)
    assert hub.lax.object(one["id"]).objects == [one]
    assert hub.lax.manifest().objects[0]["date_added"] > before


def test_a_poller_that_waits_at_the_end_is_not_thrown_back_by_a_withdrawal(hub: ProbeHub) -> None:
    one, two = indicator(), indicator()
    hub.lgb.publish(one)
    hub.lgb.publish(two)
    last = hub.lax.objects().last
    hub.lgb.withdraw(two["id"]).ok()
    three = indicator()
    hub.lgb.publish(three)
    assert hub.lax.objects({"added_after": last}).objects == [three]
