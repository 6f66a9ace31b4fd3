"""TAXII 2.1 sections 5.1 and 5.2: collections."""

from __future__ import annotations

import json

import pytest

from conformance_clauses import clause
from lightship.taxii import resources
from probehub import ProbeHub
from stixsamples import indicator, indicator_20


@clause("5.1.1-omit")
def test_without_collections_the_answer_is_an_empty_object(hub: ProbeHub) -> None:
    """An agreement without collections is refused, so only the rendering can show it."""
    assert resources.collections([]) == b"{}"
    assert hub.lax.get(f"{hub.root}collections/").json["collections"]


@clause("5.2.1-alias")
def test_aliases_are_unique_and_work_in_place_of_the_id_in_every_path(hub: ProbeHub) -> None:
    listed = hub.lax.get(f"{hub.root}collections/").json["collections"]
    aliases = [one["alias"] for one in listed]
    assert len(set(aliases)) == len(aliases) >= 3
    one = indicator()
    hub.lgb.publish(one)
    for entry in listed:
        by_id, by_alias = (f"{hub.root}collections/{entry[name]}/" for name in ("id", "alias"))
        assert hub.lax.get(by_alias).json == hub.lax.get(by_id).json == entry
        for rest in ("objects/", "manifest/", f"objects/{one['id']}/", f"objects/{one['id']}/versions/"):
            same = (hub.lgb.get(by_id + rest), hub.lgb.get(by_alias + rest))
            assert same[0].status == same[1].status
            assert same[0].status == 404 or same[0].json == same[1].json


@clause("5.2.1-alias")
def test_an_alias_also_works_for_adding_and_deleting(hub: ProbeHub) -> None:
    one = indicator()
    below = f"{hub.root}collections/{hub.default_alias}/objects/"
    body = json.dumps({"objects": [one]}).encode()
    assert hub.lgb.ask("POST", below, body=body).json["success_count"] == 1
    assert hub.lgb.delete(f"{below}{one['id']}/").status == 200
    assert hub.lax.objects().objects == []


@clause("5.2.1-media-types")
def test_media_types_lists_all_that_a_collection_takes(hub: ProbeHub) -> None:
    entry = hub.lax.get(hub.lax.collection).json
    assert entry["media_types"] == ["application/stix+json;version=2.1", "application/stix+json;version=2.0"]
    hub.lgb.publish(indicator(), indicator_20())


def test_rights_in_the_list_are_those_of_the_principal(hub: ProbeHub) -> None:
    rights = {
        name: (one["can_read"], one["can_write"])
        for name, who in {"lgb": hub.lgb, "reader": hub.reader, "writer": hub.writer}.items()
        for one in [who.get(who.collection).ok().json]
    }
    assert rights == {"lgb": (True, True), "reader": (True, False), "writer": (False, True)}
    listed = {one["id"]: one for one in hub.reader.get(f"{hub.root}collections/").json["collections"]}
    assert not any(one["can_write"] for one in listed.values())


@pytest.mark.parametrize(
    "segment",
    ["x", "0", "nothing", "a932fcc6-e032-4f6c-826f-cb970a5a1ade", "%00", "%ff", "..", "INDICATORS", "'--"],
)
@pytest.mark.parametrize("rest", ["", "objects/", "manifest/"])
def test_a_collection_that_is_not_there_is_404(hub: ProbeHub, segment: str, rest: str) -> None:
    hub.lax.get(f"{hub.root}collections/{segment}/{rest}").error(404)
