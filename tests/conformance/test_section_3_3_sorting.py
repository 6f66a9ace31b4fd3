"""TAXII 2.1 section 3.3: the order of what is returned."""

from __future__ import annotations

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import indicator


@clause("3.3-ascending")
def test_objects_and_manifest_come_in_the_order_they_were_added(hub: ProbeHub) -> None:
    newest_first = [indicator(modified=f"2026-03-{day:02}T00:00:00.000Z") for day in range(20, 10, -1)]
    for one in newest_first[:5]:
        hub.lgb.publish(one)
    hub.lgb.publish(*newest_first[5:])
    order = [one["id"] for one in newest_first]
    assert [one["id"] for one in hub.lax.objects().objects] == order
    entries = hub.lax.manifest().objects
    assert [one["id"] for one in entries] == order
    added = [one["date_added"] for one in entries]
    assert added == sorted(set(added)), "date_added is unique and rises"


@clause("3.3-ascending")
def test_versions_of_one_object_come_in_the_order_they_were_added(hub: ProbeHub) -> None:
    one = indicator(modified="2026-03-09T00:00:00.000Z")
    older = {**one, "modified": "2026-03-01T00:00:00.000Z"}
    hub.lgb.publish(one)
    hub.lgb.publish(older)
    assert hub.lax.versions(one["id"]).json["versions"] == [one["modified"], older["modified"]]
    found = hub.lax.object(one["id"], {"match[version]": "all"}).objects
    assert [each["modified"] for each in found] == [one["modified"], older["modified"]]


@clause("3.3-collections")
def test_collections_come_in_one_order(hub: ProbeHub) -> None:
    path = f"{hub.root}collections/"
    orders = [[one["id"] for one in hub.lax.get(path).json["collections"]] for _ in range(5)]
    assert len(orders[0]) >= 3
    assert all(one == orders[0] for one in orders)
    shared = set(orders[0])
    others = [one["id"] for one in hub.lgb.get(path).json["collections"] if one["id"] in shared]
    assert others == [one for one in orders[0] if one in others]
