"""Kept pages: whatever was written, withdrawn and shown again, a kept page equals one that is read anew."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lightship.wiring as wiring
from hubkit import HubKit, Store, make_hub
from lightship.core.access import Action, Decision, Grant, System
from lightship.core.collection import pack
from lightship.core.ports import CollectionState
from lightship.core.query import DEFAULT_FILTERS, Endpoint, Filters
from lightship.core.time import Micros
from lightship.usecases.pages import PageBody, PageKey, Pages, etag_of
from stixsamples import indicator

IDS = [indicator()["id"] for _ in range(6)]
QUERIES = [
    *("objects/", "objects/?limit=1", "objects/?limit=3", "objects/?match[version]=all&limit=2"),
    *("objects/?match[version]=first", f"objects/?match[id]={IDS[0]},{IDS[1]}&limit=1", "manifest/?limit=2"),
    *(f"objects/{IDS[0]}/", f"objects/{IDS[0]}/?match[version]=all&limit=1", f"objects/{IDS[0]}/versions/"),
]

steps = st.lists(
    st.one_of(
        st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), min_size=1, max_size=3),
        st.tuples(st.integers(0, 5), st.sampled_from(["", "last", "first", "all"])),
    ),
    min_size=2,
    max_size=7,
)


def versioned(number: int, version: int) -> dict[str, Any]:
    return indicator(id=IDS[number], modified=f"2026-02-0{version}T00:00:00.000Z", description="x" * 200)


def pages_of(client: httpx2.Client, path: str) -> list[tuple[int, Any]]:
    """Read all pages by following `next`; also by HEAD and again with the validator."""
    found: list[tuple[int, Any]] = []
    token, sign = "", "&" if "?" in path else "?"
    for _ in range(60):
        url = path + (f"{sign}next={token}" if token else "")
        answer = client.get(url)
        body = answer.json()
        body.pop("error_id", None)
        found.append((answer.status_code, body))
        if answer.status_code == 200:
            same = client.get(url, headers={"If-None-Match": answer.headers["etag"]})
            assert same.status_code == 304
            assert ("x-taxii-date-added-last" in answer.headers) is any(
                key in body for key in ("objects", "versions")
            )
        if not body.get("more"):
            return found
        assert body.get("objects") or body.get("versions"), "empty with more"
        token = body["next"]
    raise AssertionError("the pages never end")


def check_plan(store: Store, plan: list[Any]) -> None:
    with TemporaryDirectory() as folder, make_hub(Path(folder), store) as kit:
        lgb = kit.client("uslgb")
        etags: dict[tuple[str, str], bytes] = {}
        for step in plan:
            if isinstance(step, list):
                sent = [versioned(*one) for one in step]
                assert lgb.post(kit.path("indicators", "objects/"), json={"objects": sent}).status_code == 202
            else:
                number, version = step
                rest = f"objects/{IDS[number]}/" + (f"?match[version]={version}" if version else "")
                assert lgb.delete(kit.path("indicators", rest)).status_code in {200, 404}
            for query in QUERIES:
                compare(kit, lgb, query, etags)


@settings(max_examples=8, deadline=None)
@given(plan=steps)
@example(plan=[[(0, 1)], [(1, 1)], [(0, 2)], (0, "last"), [(2, 1)], (1, "")])
@example(plan=[[(0, 2), (1, 1)], [(0, 1)], (0, "last"), [(0, 3)], (0, "first"), (1, "all")])
def test_a_kept_page_equals_one_that_is_read_anew(plan: list[Any]) -> None:
    check_plan("memory", plan)


def test_a_kept_page_equals_one_that_is_read_anew_from_sqlite() -> None:
    check_plan(
        "sqlite", [[(5, 1)], [(0, 1), (1, 1)], [(0, 2)], [(4, 1)], (0, "last"), (1, ""), [(1, 2)], (0, "")]
    )


def compare(kit: HubKit, client: httpx2.Client, query: str, etags: dict[tuple[str, str], bytes]) -> None:
    """Compare an application with warm pages to one that has none; equal validators mean equal bytes."""
    path = kit.path("indicators", query)
    warm = pages_of(client, path)
    shown = client.get(path)
    if shown.status_code == 200:
        assert etags.setdefault((path, shown.headers["etag"]), shown.content) == shown.content
    app, kit.app = kit.app, wiring.make_app(kit.hub)
    try:
        assert pages_of(kit.client("uslgb"), path) == warm, query
    finally:
        kit.app = app


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[HubKit]:
    with make_hub(tmp_path) as made:
        yield made


class Counting:
    """The real reader; counts the pages that are read."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.pages = 0

    def page(self, *args: Any, **named: Any) -> Any:
        self.pages += 1
        return self.inner.page(*args, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def counted(kit: HubKit) -> Counting:
    reader = Counting(kit.hub.reader)
    behind: Any = reader
    kit.app = wiring.make_app(replace(kit.hub, reader=behind))
    return reader


def test_readers_share_a_page_whatever_they_call_its_beginning(kit: HubKit) -> None:
    reader = counted(kit)
    sent = [indicator() for _ in range(5)]
    kit.client("uslgb").post(kit.path("indicators", "objects/"), json={"objects": sent})
    path = kit.path("indicators", "objects/?limit=3")
    bodies = {
        kit.client(member).get(path + more).content
        for member in ("uslax", "uslgb")
        for more in ("", "&added_after=1999-01-01T00:00:00Z", "&match[version]=last")
    }
    assert len(bodies) == 1
    assert reader.pages == 1


def test_a_full_page_survives_what_is_added_behind_it(kit: HubKit) -> None:
    reader = counted(kit)
    lgb = kit.client("uslgb")
    path = kit.path("indicators", "objects/")
    sent = [indicator() for _ in range(5)]
    lgb.post(path, json={"objects": sent})
    lgb.get(path + "?limit=3")
    lgb.post(path, json={"objects": [indicator()]})
    assert lgb.get(path + "?limit=3").json()["objects"] == sent[:3]
    assert reader.pages == 1
    lgb.post(path, json={"objects": [{**sent[1], "modified": "2026-03-01T00:00:00.000Z"}]})
    assert lgb.get(path + "?limit=3").json()["objects"] == [sent[0], sent[2], sent[3]]
    assert reader.pages == 2


def test_more_ends_when_what_came_after_the_page_was_withdrawn(kit: HubKit) -> None:
    lgb = kit.client("uslgb")
    path = kit.path("indicators", "objects/")
    one, two = indicator(), indicator()
    lgb.post(path, json={"objects": [one, two]})
    assert lgb.get(path + "?limit=1").json()["more"] is True
    lgb.delete(f"{path}{two['id']}/")
    assert lgb.get(path + "?limit=1").json() == {"more": False, "objects": [one]}


def test_what_another_process_wrote_is_seen_at_once(tmp_path: Path) -> None:
    with make_hub(tmp_path, "sqlite") as kit:
        path = kit.path("indicators", "objects/")
        other = wiring.open_hub(kit.hub.dir)
        try:
            app, there = kit.app, wiring.make_app(other)
            one = indicator()
            for modified in ("2026-02-01T00:00:00.000Z", "2026-02-02T00:00:00.000Z"):
                kit.app = there
                kit.client("uslgb").post(path, json={"objects": [{**one, "modified": modified}]})
                kit.app = app
                (shown,) = kit.client("uslax").get(path).json()["objects"]
                assert shown["modified"] == modified
            kit.app = there
            kit.client("uslgb").delete(f"{path}{one['id']}/")
            kit.app = app
            assert kit.client("uslax").get(path).json() == {"more": False}
        finally:
            other.close()


def test_many_readers_at_once_of_a_cold_page_get_the_same(kit: HubKit) -> None:
    sent = [indicator() for _ in range(300)]
    kit.client("uslgb").post(kit.path("indicators", "objects/"), json={"objects": sent})

    async def run() -> list[httpx2.Response]:
        async with kit.async_client("uslax") as lax:
            path = kit.path("indicators", "objects/?limit=299")
            return await asyncio.gather(*(lax.get(path) for _ in range(20)))

    answers = asyncio.run(run())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["objects"] == sent[:299]


# --- the bound ----------------------------------------------------------------------------------


class Still:
    """A reader of a collection where nothing happens."""

    def dropped_since(self, grant: Grant, generation: int) -> list[int]:
        return []

    def first_after(self, grant: Grant, filters: Filters, after: Micros) -> int:
        return 1


def page(kit: HubKit, number: int, body: bytes, state: CollectionState) -> PageBody:
    key = PageKey(
        kit.collection_value("indicators").number, Endpoint.OBJECTS, DEFAULT_FILTERS, pack(1, number), 1
    )
    return PageBody(
        key, body, pack(1, number), 1, False, state.last, state.generation, etag_of(key, 1, 1, False, state)
    )


def test_memory_is_bounded_and_the_least_used_page_goes_first(kit: HubKit) -> None:
    reader: Any = Still()
    pages = Pages(reader, gzip.compress, 100_000)
    collection = kit.collection_value("indicators")
    grant = Grant(System("test"), Action.READ, collection, 0, Decision(True, "", ""))
    state = CollectionState(0, 0, 1, Micros(99), 1, 1)
    made = [page(kit, number, b"x" * 9_000, state) for number in range(50)]
    assert pages.find(grant, state, made[0].key) is None
    for one in made:
        pages.keep(one)
        assert pages.find(grant, state, made[0].key) is made[0], "the one in use stays"
        assert pages.bytes <= 100_000
    assert pages.find(grant, state, made[49].key) is made[49]
    assert pages.find(grant, state, made[5].key) is None
    assert gzip.decompress(pages.pack(made[49])) == made[49].body
    assert pages.pack(made[49]) is pages.pack(made[49])
    assert pages.bytes <= 100_000
    huge = page(kit, 60, b"x" * 90_000, state)
    pages.keep(huge)
    assert pages.find(grant, state, huge.key) is None, "one page may not push out the others"
