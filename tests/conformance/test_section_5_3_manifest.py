"""TAXII 2.1 section 5.3: the manifest."""

from __future__ import annotations

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import address, indicator, indicator_20, malware, software, statement_marking


@clause("5.3.1-omit")
def test_without_entries_the_key_is_left_out(hub: ProbeHub) -> None:
    assert hub.lax.manifest().ok().json in ({}, {"more": False})


@clause("5.3-filters-objects")
def test_filters_look_at_the_object_behind_the_entry(hub: ProbeHub) -> None:
    one, two = indicator(), malware()
    hub.lgb.publish(one, two)
    assert [entry["id"] for entry in hub.lax.manifest({"match[type]": "malware"}).objects] == [two["id"]]


@clause("5.3.1-id", "5.3.1-version-created", "5.3.1-version-own")
def test_each_version_has_an_entry_of_its_own(hub: ProbeHub) -> None:
    one, mark, seen, tool = indicator(), statement_marking(), address(), software()
    hub.lgb.publish(one, mark, seen, tool)
    hub.lgb.publish({**one, "modified": "2026-02-01T00:00:00.000Z"})
    entries = hub.lax.manifest({"match[version]": "all"}).objects
    assert [(entry["id"], entry["version"]) for entry in entries] == [
        (one["id"], one["modified"]),
        (mark["id"], mark["created"]),
        (seen["id"], entries[2]["date_added"]),
        (tool["id"], entries[3]["date_added"]),
        (one["id"], "2026-02-01T00:00:00.000Z"),
    ]


@clause("5.3.1-version-own")
def test_the_version_of_an_observable_is_the_same_every_time(hub: ProbeHub) -> None:
    seen = address()
    hub.lgb.publish(seen)
    version = hub.lax.manifest().objects[0]["version"]
    again = hub.lax.post(seen).ok().json
    assert again["successes"] == [{"id": seen["id"], "version": version}] or (
        again["successes"][0]["version"] == version
    )
    assert hub.lax.manifest().objects[0]["version"] == version
    assert hub.lax.objects({"match[version]": version}).objects == [seen]


@clause("5.3.1-media-type")
def test_media_type_is_one_of_the_collections(hub: ProbeHub) -> None:
    hub.lgb.publish(indicator(), indicator_20())
    media = [entry["media_type"] for entry in hub.lax.manifest().objects]
    assert media == ["application/stix+json;version=2.1", "application/stix+json;version=2.0"]
    assert set(media) <= set(hub.lax.get(hub.lax.collection).json["media_types"])
