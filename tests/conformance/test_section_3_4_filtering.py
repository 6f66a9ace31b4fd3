"""TAXII 2.1 section 3.4: added_after, limit, next and match."""

from __future__ import annotations

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import address, indicator, malware

FOUR = ["objects", "manifest", "object", "versions"]


@clause("3.4-malformed")
@pytest.mark.parametrize("place", FOUR)
@pytest.mark.parametrize("query", ["limit=x", "added_after=yesterday", "next=junk"])
def test_a_malformed_parameter_is_400_on_each_filtering_endpoint(
    hub: ProbeHub, place: str, query: str
) -> None:
    title = hub.lgb.get(hub.place(place), query).advice(400)
    assert query.partition("=")[0] in title


@clause("3.4-added-after-once", "3.4-added-after-one")
@pytest.mark.parametrize(
    "query",
    [
        "added_after=2026-01-01T00:00:00Z&added_after=2026-01-01T00:00:00Z",
        "added_after=2026-01-01T00:00:00Z&limit=5&added_after=2026-02-01T00:00:00Z",
        "added_after=2026-01-01T00:00:00Z,2026-02-01T00:00:00Z",
    ],
)
def test_added_after_is_one_timestamp(hub: ProbeHub, query: str) -> None:
    assert "added_after" in hub.lax.objects(query).advice(400)


@clause("3.4-oldest-first")
def test_without_added_after_the_oldest_come_first(hub: ProbeHub) -> None:
    posted = [indicator() for _ in range(5)]
    for one in posted:
        hub.lgb.publish(one)
    assert [one["id"] for one in hub.lax.objects({"limit": 2}).objects] == [one["id"] for one in posted[:2]]


@clause("3.4-added-after-one")
def test_added_after_is_exclusive_and_about_arrival_not_content(hub: ProbeHub) -> None:
    old, new = indicator(modified="2026-04-01T00:00:00Z"), indicator(modified="2026-01-06T00:00:00Z")
    hub.lgb.publish(old)
    hub.lgb.publish(new)
    first = hub.lax.objects({"limit": 1}).last
    assert [one["id"] for one in hub.lax.objects({"added_after": first}).objects] == [new["id"]]
    last = hub.lax.objects().last
    assert hub.lax.objects({"added_after": last}).objects == []


@clause("3.4-limit-positive")
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "", "x", "1e3", "0x10", "+5", " 5", "%D9%A1", "--"])
def test_limit_is_an_integer_above_zero(hub: ProbeHub, value: str) -> None:
    assert "limit" in hub.lax.objects(f"limit={value}").advice(400)


@clause("3.4-limit-kept", "3.4-limit-more")
@pytest.mark.parametrize("limit", [1, 2, 6])
def test_a_page_never_has_more_than_limit_and_says_that_there_is_more(hub: ProbeHub, limit: int) -> None:
    hub.lgb.publish(*(indicator() for _ in range(7)))
    for read in (hub.lax.objects, hub.lax.manifest):
        page = read({"limit": limit}).json
        assert len(page["objects"]) == limit
        assert page["more"] is True
        assert page["next"]


@clause("3.4-limit-kept", "3.4-limit-more")
def test_limit_also_holds_for_one_object_and_its_versions(hub: ProbeHub) -> None:
    one = indicator()
    for day in range(1, 5):
        hub.lgb.publish({**one, "modified": f"2026-02-0{day}T00:00:00.000Z"})
    page = hub.lax.object(one["id"], {"match[version]": "all", "limit": 3}).json
    assert (len(page["objects"]), page["more"]) == (3, True)
    versions = hub.lax.versions(one["id"], {"limit": 3}).json
    assert (len(versions["versions"]), versions["more"]) == (3, True)
    rest = hub.lax.versions(one["id"], {"limit": 3, "next": versions["next"]}).json
    assert rest["versions"] == ["2026-02-04T00:00:00.000Z"]
    assert not rest.get("more")


@clause("3.4-limit-all")
@pytest.mark.parametrize("limit", [7, 8, 5000, 99999999999999999999])
def test_what_fits_is_returned_whole(hub: ProbeHub, limit: int) -> None:
    hub.lgb.publish(*(indicator() for _ in range(7)))
    for read in (hub.lax.objects, hub.lax.manifest):
        page = read({"limit": limit}).json
        assert len(page["objects"]) == 7
        assert not page.get("more")
        assert "next" not in page


@clause("3.4-match-fields")
def test_objects_and_manifest_take_all_four_fields(hub: ProbeHub) -> None:
    keep, other = indicator(), malware()
    hub.lgb.publish(keep, other)
    narrow = {
        "match[id]": keep["id"],
        "match[type]": "indicator",
        "match[version]": keep["modified"],
        "match[spec_version]": "2.1",
    }
    for params in (
        {},
        *({name: value} for name, value in narrow.items() if name != "match[version]"),
        narrow,
    ):
        for read in (hub.lax.objects, hub.lax.manifest):
            assert keep["id"] in [one["id"] for one in read(params).objects]
    for read in (hub.lax.objects, hub.lax.manifest):
        assert [one["id"] for one in read(narrow).objects] == [keep["id"]]


@clause("3.4-match-fields")
def test_object_takes_version_and_spec_version_and_versions_takes_spec_version(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one)
    hub.lgb.publish({**one, "modified": "2026-02-01T00:00:00.000Z"})
    assert len(hub.lax.object(one["id"], {"match[version]": "all"}).objects) == 2
    assert len(hub.lax.object(one["id"], {"match[spec_version]": "2.1"}).objects) == 1
    assert hub.lax.object(one["id"], {"match[spec_version]": "2.0"}).objects == []
    assert len(hub.lax.versions(one["id"], {"match[spec_version]": "2.1"}).json["versions"]) == 2
    assert "versions" not in hub.lax.versions(one["id"], {"match[spec_version]": "2.0"}).ok().json


@clause("3.4-match-once")
@pytest.mark.parametrize(
    "query",
    [
        "match[type]=indicator&match[type]=malware",
        "match[id]=indicator--a932fcc6-e032-4f6c-826f-cb970a5a1ade&match[id]=indicator--a932fcc6-e032-4f6c-826f-cb970a5a1ade",
        "match[version]=last&match[version]=first",
        "match[spec_version]=2.1&match[spec_version]=2.0",
        "match%5Btype%5D=indicator&match[type]=malware",
        "limit=1&limit=2",
    ],
)
def test_a_parameter_stands_in_a_request_once(hub: ProbeHub, query: str) -> None:
    hub.lax.objects(query).advice(400)


@clause("3.4-match-or")
def test_values_are_alternatives_and_fields_narrow(hub: ProbeHub) -> None:
    one, two, three = indicator(), malware(), address()
    hub.lgb.publish(one, two, three)
    both = hub.lax.objects({"match[type]": "indicator,malware"}).objects
    assert [each["id"] for each in both] == [one["id"], two["id"]]
    narrowed = hub.lax.objects(
        {"match[type]": "indicator,malware", "match[id]": f"{two['id']},{three['id']}"}
    )
    assert [each["id"] for each in narrowed.objects] == [two["id"]]
    escaped = hub.lax.objects(f"match%5Btype%5D=malware%2Cipv4-addr&match[id]={three['id']}")
    assert [each["id"] for each in escaped.objects] == [three["id"]]


def test_match_fields_that_are_not_known_are_ignored(hub: ProbeHub) -> None:
    hub.lgb.publish(indicator())
    assert len(hub.lax.objects({"match[confidence]": "100", "colour": "red"}).objects) == 1
