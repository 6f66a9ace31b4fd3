"""TAXII 2.1 section 3.5: more, next and added_after as ways to the whole."""

from __future__ import annotations

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import indicator
from taxiiprobe import Party


def fill(hub: ProbeHub, count: int) -> list[str]:
    """Publish in uneven envelopes; return the ids in order."""
    posted = [indicator() for _ in range(count)]
    for start, end in ((0, 1), (1, 4), (4, count)):
        if posted[start:end]:
            hub.lgb.publish(*posted[start:end])
    return [one["id"] for one in posted]


def by_next(party: Party, limit: int) -> list[str]:
    return [one["id"] for one in party.all({"limit": limit})]


def by_last_header(party: Party, limit: int) -> list[str]:
    ids: list[str] = []
    params: dict[str, str | int] = {"limit": limit}
    while True:
        page = party.objects(params)
        ids += [one["id"] for one in page.objects]
        if not page.json.get("more"):
            return ids
        params["added_after"] = page.last


@clause("3.5-more")
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 100])
def test_both_ways_of_paging_give_each_object_once_in_order(hub: ProbeHub, limit: int) -> None:
    order = fill(hub, 10)
    assert by_next(hub.lax, limit) == order
    assert by_last_header(hub.lax, limit) == order


@clause("3.5-more")
@pytest.mark.parametrize("limit", [1, 2, 5, 10])
def test_more_is_not_said_on_an_exactly_full_last_page(hub: ProbeHub, limit: int) -> None:
    fill(hub, 10)
    params: dict[str, str | int] = {"limit": limit}
    pages = 0
    while True:
        page = hub.lax.objects(params)
        pages += 1
        assert len(page.objects) == limit
        if not page.json.get("more"):
            break
        params["next"] = page.json["next"]
    assert pages == 10 // limit
    assert "next" not in page.json


@clause("3.5-more")
def test_manifest_and_versions_page_with_next_too(hub: ProbeHub) -> None:
    order = fill(hub, 5)
    ids: list[str] = []
    params: dict[str, str | int] = {"limit": 2}
    while True:
        page = hub.lax.manifest(params)
        ids += [one["id"] for one in page.objects]
        if not page.json.get("more"):
            break
        params["next"] = page.json["next"]
    assert ids == order

    one = indicator()
    days = [f"2026-02-0{day}T00:00:00.000Z" for day in range(1, 6)]
    for day in days:
        hub.lgb.publish({**one, "modified": day})
    versions: list[str] = []
    params = {"limit": 2}
    while True:
        page = hub.lax.versions(one["id"], params)
        versions += page.json["versions"]
        if not page.json.get("more"):
            break
        params["next"] = page.json["next"]
    assert versions == days


@clause("3.5-more")
def test_a_page_cut_by_the_hub_itself_says_so(small_pages: ProbeHub) -> None:
    order = fill(small_pages, 25)
    page = small_pages.lax.objects()
    assert len(page.objects) == 10
    assert page.json["more"] is True
    clamped = small_pages.lax.objects({"limit": 5000})
    assert len(clamped.objects) == 20
    assert clamped.json["more"] is True
    assert [one["id"] for one in small_pages.lax.all()] == order


@clause("3.5-more")
def test_a_page_cut_by_its_bytes_says_so(small_pages: ProbeHub) -> None:
    wide = [indicator(description="w" * 9_000) for _ in range(8)]
    for one in wide:
        small_pages.lgb.publish(one)
    page = small_pages.lax.objects()
    assert 1 <= len(page.objects) < 8
    assert page.json["more"] is True
    assert [one["id"] for one in small_pages.lax.all()] == [one["id"] for one in wide]
