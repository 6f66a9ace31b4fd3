"""Where servers go wrong, 3 and 4: stamps in commit order; `next` stateless, bound and repeatable."""

from __future__ import annotations

import asyncio
import json

import pytest

from probehub import ProbeHub
from stixsamples import indicator, malware
from taxiiprobe import TAXII


def ids(found: list[dict[str, object]]) -> list[object]:
    return [one["id"] for one in found]


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_stamps_are_distinct_also_within_one_envelope(hub: ProbeHub, limit: int) -> None:
    for size in (1, 5, 30):
        hub.lgb.publish(*(indicator() for _ in range(size)))
    stamps = [one["date_added"] for one in hub.lax.manifest({"limit": 1000}).objects]
    assert stamps == sorted(set(stamps))
    assert len(stamps) == 36
    assert len(hub.lax.all({"limit": limit})) == 36


def test_the_last_stamp_of_a_transaction_is_a_whole_millisecond(hub: ProbeHub) -> None:
    for size in (1, 2, 9):
        hub.lgb.publish(*(indicator() for _ in range(size)))
        assert hub.lax.objects().last.endswith("000Z")


def test_a_cursor_cut_to_milliseconds_loses_and_repeats_nothing(hub: ProbeHub) -> None:
    seen: list[object] = []
    cursor = "2026-01-01T00:00:00.000Z"
    for size in (1, 4, 9):
        posted = [indicator() for _ in range(size)]
        hub.lgb.publish(*posted)
        page = hub.lax.objects({"added_after": cursor})
        assert ids(page.objects) == ids(posted)
        seen += ids(page.objects)
        cursor = page.last[:23] + "Z"
    assert len(seen) == len(set(seen)) == 14


def test_publishers_at_once_get_stamps_in_the_order_that_readers_see(hub: ProbeHub) -> None:
    bodies = [json.dumps({"objects": [indicator() for _ in range(5)]}).encode() for _ in range(8)]
    headers = [("Accept", TAXII), ("Content-Type", TAXII), ("Authorization", str(hub.lgb.authorization))]

    async def everybody() -> list[int]:
        path = hub.lgb.at("objects/")
        asked = [hub.driver.request("POST", path, headers=headers, body=body) for body in bodies]
        return [reply.status for reply in await asyncio.gather(*asked)]

    assert hub.driver.loop.run_until_complete(everybody()) == [202] * 8
    entries = hub.lax.manifest().objects
    stamps = [one["date_added"] for one in entries]
    assert stamps == sorted(set(stamps))
    assert len(stamps) == 40
    assert ids(hub.lax.all({"limit": 7})) == ids(entries)


def test_next_is_repeatable_and_takes_any_limit(hub: ProbeHub) -> None:
    order = [indicator() for _ in range(9)]
    hub.lgb.publish(*order)
    given = hub.lax.objects({"limit": 3}).json["next"]
    for limit in (1, 2, 6, 50):
        for _ in range(2):
            assert ids(hub.lax.objects({"next": given, "limit": limit}).objects) == ids(order[3 : 3 + limit])
    assert ids(hub.lax.objects({"next": given}).objects) == ids(order[3:])


def test_next_holds_for_weeks_and_over_new_objects_and_withdrawals(hub: ProbeHub) -> None:
    order = [indicator() for _ in range(5)]
    hub.lgb.publish(*order)
    given = hub.lax.objects({"limit": 2}).json["next"]
    hub.lgb.withdraw(order[0]["id"]).ok()
    hub.lgb.withdraw(order[3]["id"]).ok()
    hub.advance(21 * 86_400)
    late = indicator()
    hub.lgb.publish(late)
    assert ids(hub.lax.objects({"next": given}).objects) == [order[2]["id"], order[4]["id"], late["id"]]


def test_next_carries_its_filters_when_only_next_and_limit_are_sent(hub: ProbeHub) -> None:
    wanted = [indicator() for _ in range(6)]
    hub.lgb.publish(
        *(one for pair in zip(wanted, (malware() for _ in range(6)), strict=True) for one in pair)
    )
    page = hub.lax.objects({"match[type]": "indicator", "limit": 2}).json
    found = ids(page["objects"])
    while page.get("more"):
        page = hub.lax.objects({"next": page["next"], "limit": 2}).json
        found += ids(page["objects"])
    assert found == ids(wanted)


def test_next_and_added_after_together_mean_the_later(hub: ProbeHub) -> None:
    order = [indicator() for _ in range(6)]
    for one in order:
        hub.lgb.publish(one)
    stamps = [one["date_added"] for one in hub.lax.manifest().objects]
    given = hub.lax.objects({"limit": 2}).json["next"]
    assert ids(hub.lax.objects({"next": given, "added_after": stamps[0]}).objects) == ids(order[2:])
    assert ids(hub.lax.objects({"next": given, "added_after": stamps[3]}).objects) == ids(order[4:])
    from_middle = hub.lax.objects({"limit": 1, "added_after": stamps[2]}).json["next"]
    assert ids(hub.lax.objects({"next": from_middle}).objects) == ids(order[4:])


def test_next_of_objects_pages_the_manifest_of_the_same_collection_or_is_400(hub: ProbeHub) -> None:
    order = [indicator() for _ in range(4)]
    hub.lgb.publish(*order)
    given = hub.lax.objects({"limit": 2}).json["next"]
    reply = hub.lax.manifest({"next": given})
    if reply.status == 200:
        assert ids(reply.objects) == ids(order[2:])
    else:
        reply.advice(400)


def test_more_and_next_come_both_or_neither(hub: ProbeHub) -> None:
    hub.lgb.publish(*(indicator() for _ in range(6)))
    for limit in range(1, 9):
        for read in (hub.lax.objects, hub.lax.manifest):
            page = read({"limit": limit}).json
            assert bool(page.get("more")) == ("next" in page)


def test_no_page_with_more_is_empty(hub: ProbeHub) -> None:
    order = [indicator() for _ in range(6)]
    hub.lgb.publish(*order)
    given = hub.lax.objects({"limit": 2}).json["next"]
    for one in order[2:]:
        hub.lgb.withdraw(one["id"]).ok()
    page = hub.lax.objects({"next": given})
    assert page.objects == []
    assert not page.json.get("more")


def test_a_page_without_limit_holds_a_thousand(hub: ProbeHub) -> None:
    order = [malware() for _ in range(1001)]
    hub.lgb.publish(*order)
    page = hub.lax.objects()
    assert len(page.objects) == 1000
    assert page.json["more"] is True
    assert len(hub.lax.objects({"limit": 5000}).objects) == 1001


def test_superseded_versions_leave_the_default_view_and_pages_at_once(hub: ProbeHub) -> None:
    order = [indicator() for _ in range(4)]
    hub.lgb.publish(*order)
    assert ids(hub.lax.objects().objects) == ids(order)
    newer = {**order[1], "modified": "2026-02-01T00:00:00.000Z"}
    hub.lgb.publish(newer)
    assert hub.lax.objects().objects == [order[0], order[2], order[3], newer]
    assert [one["version"] for one in hub.lax.manifest().objects][-1] == newer["modified"]
