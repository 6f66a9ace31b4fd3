"""Contract of `ports.Reader`: order, filters, ends of ranges, pages, caches. Both drivers."""

from __future__ import annotations

import pytest

from lightship.core.collection import pack, stamp_of
from lightship.core.query import DEFAULT_FILTERS, Filters, Query, Versions
from lightship.core.time import MAX_MICROS, Instant, Micros, format_stamp, parse_instant
from storekit import (
    ALL,
    EVERY,
    FIRST,
    HubStore,
    activate,
    candidate,
    check_statements,
    grant,
    object_id,
    publish,
    pull,
    shown,
    withdraw,
)

V1, V2, V3 = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00.5Z", "2026-03-01T00:00:00Z"
BIG = 1 << 24


def test_a_page_is_in_ascending_key_order_and_holds_each_row_once(hub_store: HubStore) -> None:
    publish(hub_store, *[candidate(n) for n in (5, 3, 9)])
    publish(hub_store, *[candidate(n) for n in (1, 7)])
    for limit in (1, 2, 5, 100):
        rows = pull(hub_store, limit=limit)
        assert [row.id for row in rows] == [object_id(n) for n in (5, 3, 9, 1, 7)]
        assert [row.key for row in rows] == sorted({row.key for row in rows})


def test_a_row_comes_back_as_it_was_put(hub_store: HubStore) -> None:
    one = candidate(1, V2, content="päivä", spec="2.0", type_name="x-berth")
    published = publish(hub_store, one)
    (row,) = pull(hub_store)
    assert (row.id, row.type, row.spec_version, row.version_text, row.body) == (
        one.id, "x-berth", "2.0", V2, one.body,
    )  # fmt: skip
    assert stamp_of(row.key) == published.outcome.items[0].stamp


def test_only_rows_of_the_granted_collection_are_returned(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), on=1)
    publish(hub_store, candidate(2), on=2)
    for filters in (DEFAULT_FILTERS, ALL, Filters(types=("indicator",)), Filters(versions=FIRST)):
        assert [row.id for row in pull(hub_store, filters, on=1)] == [object_id(1)]
        assert [row.id for row in pull(hub_store, filters, on=2)] == [object_id(2)]
    assert pull(hub_store, Filters(ids=(object_id(2),)), on=1) == []
    assert not hub_store.exists(grant(hub_store, on=1), object_id(2))


@pytest.mark.parametrize("after", [-(10**18), -1, 0])
def test_a_start_before_1970_never_reads_the_collection_before(hub_store: HubStore, after: int) -> None:
    publish(hub_store, candidate(1), on=1)
    publish(hub_store, candidate(2), on=2)
    for filters in (DEFAULT_FILTERS, ALL):
        page = hub_store.page(
            grant(hub_store, on=2), Query(filters, Micros(after)), bodies=True, max_bytes=BIG
        )
        assert [row.id for row in page.rows] == [object_id(2)]


@pytest.mark.parametrize("after", [MAX_MICROS, MAX_MICROS + 1, 10**18])
def test_a_start_after_2112_never_reads_the_next_collection(hub_store: HubStore, after: int) -> None:
    publish(hub_store, candidate(1), on=1)
    publish(hub_store, candidate(2), on=2)
    allowed = grant(hub_store, on=1)
    for filters in (DEFAULT_FILTERS, ALL):
        page = hub_store.page(allowed, Query(filters, Micros(after)), bodies=True, max_bytes=BIG)
        assert (page.rows, page.more) == ((), False)
        assert hub_store.first_after(allowed, filters, Micros(after)) is None


def test_added_after_is_exclusive(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), candidate(2))
    first, second = pull(hub_store)
    page = hub_store.page(grant(hub_store), Query(after=stamp_of(first.key)), bodies=False, max_bytes=BIG)
    assert [row.key for row in page.rows] == [second.key]


def test_more_is_true_exactly_when_a_further_row_matches(hub_store: HubStore) -> None:
    publish(hub_store, *[candidate(n) for n in range(1, 5)])
    publish(hub_store, candidate(1, V3), candidate(9, type_name="malware"))
    for filters in (DEFAULT_FILTERS, ALL, Filters(types=("indicator",)), Filters(versions=FIRST)):
        count = len(pull(hub_store, filters))
        for limit in range(1, count + 2):
            page = hub_store.page(grant(hub_store), Query(filters, limit=limit), bodies=True, max_bytes=BIG)
            assert len(page.rows) == min(limit, count)
            assert page.more is (limit < count)


def test_a_page_stops_before_max_bytes_but_holds_one_row_at_least(hub_store: HubStore) -> None:
    publish(hub_store, *[candidate(n, size=1000) for n in range(1, 6)])
    size = len(pull(hub_store)[0].body)
    allowed = grant(hub_store)
    for filters in (DEFAULT_FILTERS, Filters(types=("indicator",))):
        query = Query(filters)
        pages = [
            hub_store.page(allowed, query, bodies=True, max_bytes=n) for n in (1, 2 * size, 3 * size - 1)
        ]
        assert [(len(page.rows), page.more) for page in pages] == [(1, True), (2, True), (2, True)]
        whole = hub_store.page(allowed, query, bodies=True, max_bytes=5 * size)
        assert (len(whole.rows), whole.more) == (5, False)


def test_bodies_are_left_out_when_not_asked_for(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1, size=5000), candidate(2, size=5000))
    for filters in (DEFAULT_FILTERS, ALL):
        page = hub_store.page(grant(hub_store), Query(filters), bodies=False, max_bytes=1)
        assert [row.body for row in page.rows] == [b"", b""]


def test_versions_that_arrive_out_of_order_are_ranked_by_instant(hub_store: HubStore) -> None:
    for version in (V2, V3, V1):
        publish(hub_store, candidate(1, version))
    assert shown(hub_store) == [(object_id(1), V3)]
    assert shown(hub_store, Filters(versions=FIRST)) == [(object_id(1), V1)]
    assert [version for _, version in shown(hub_store, Filters(versions=EVERY))] == [V2, V3, V1]
    both = Filters(versions=Versions(last=True, first=True))
    assert [version for _, version in shown(hub_store, both)] == [V3, V1]


def test_fractions_of_seconds_are_compared_as_time_not_as_text(hub_store: HubStore) -> None:
    versions = ["2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00Z"]
    publish(hub_store, *[candidate(1, version) for version in versions])
    assert shown(hub_store) == [(object_id(1), versions[1])]
    assert shown(hub_store, Filters(versions=FIRST)) == [(object_id(1), versions[2])]


def test_match_version_by_instant_ignores_how_it_was_written(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1, "2026-01-01T00:00:00.000Z"), candidate(1, V3), candidate(2, V3))
    asked = Versions(last=False, instants=frozenset({parse_instant("2026-01-01T00:00:00Z")}))
    assert shown(hub_store, Filters(versions=asked)) == [(object_id(1), "2026-01-01T00:00:00.000Z")]
    united = Versions(last=True, instants=asked.instants)
    for more in (Filters(versions=united), Filters(versions=united, types=("indicator",))):
        assert len(shown(hub_store, more)) == 3
    only = Filters(ids=(object_id(1),), versions=united)
    assert [version for _, version in shown(hub_store, only)] == ["2026-01-01T00:00:00.000Z", V3]


def test_the_version_of_an_observable_is_its_date_added(hub_store: HubStore) -> None:
    name = "ipv4-addr"
    published = publish(hub_store, candidate(1, "", type_name=name, owned=False), candidate(2))
    added = published.outcome.items[0].stamp
    instant = parse_instant(format_stamp(added))
    asked = Versions(last=False, instants=frozenset({instant}))
    for filters in (
        Filters(versions=asked),
        Filters(versions=asked, types=(name,)),
        Filters(versions=asked, ids=(object_id(1, name),)),
    ):
        assert [(row.id, row.version_text) for row in pull(hub_store, filters)] == [(object_id(1, name), "")]
    assert pull(hub_store, Filters(versions=asked, types=("indicator",))) == []
    # A version's instant that happens to be another object's date_added is no match.
    finer = Versions(last=False, instants=frozenset({Instant(instant + "0001")}))
    assert pull(hub_store, Filters(versions=finer)) == []


def test_an_instant_equal_to_a_versioned_objects_date_added_is_no_match(hub_store: HubStore) -> None:
    published = publish(hub_store, candidate(1))
    instant = parse_instant(format_stamp(published.outcome.items[0].stamp))
    assert pull(hub_store, Filters(versions=Versions(last=False, instants=frozenset({instant})))) == []


def test_the_default_shows_the_highest_spec_version_only(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1, V3, spec="2.0"), candidate(2, V1, spec="2.0"))
    publish(hub_store, candidate(1, V1, spec="2.1"), candidate(1, V2, spec="2.1"))
    assert shown(hub_store) == [(object_id(2), V1), (object_id(1), V2)]
    assert shown(hub_store, Filters(spec_versions=("2.0",))) == [(object_id(1), V3), (object_id(2), V1)]
    assert shown(hub_store, Filters(spec_versions=("2.1",))) == [(object_id(1), V2)]
    both = Filters(spec_versions=("2.0", "2.1"))
    assert shown(hub_store, both) == [(object_id(1), V3), (object_id(2), V1), (object_id(1), V2)]
    assert len(shown(hub_store, Filters(versions=EVERY))) == 3
    assert len(shown(hub_store, ALL)) == 4


def test_first_and_last_are_taken_within_one_spec_version(hub_store: HubStore) -> None:
    publish(hub_store, *[candidate(1, version, spec="2.0") for version in (V2, V1)])
    publish(hub_store, candidate(1, V3, spec="2.1"))
    first = Filters(versions=FIRST, spec_versions=("2.0", "2.1"))
    last = Filters(spec_versions=("2.0", "2.1"))
    assert [version for _, version in shown(hub_store, first)] == [V1, V3]
    assert [version for _, version in shown(hub_store, last)] == [V2, V3]


def test_fields_are_anded_and_values_ored_in_key_order(hub_store: HubStore) -> None:
    publish(
        hub_store,
        *[candidate(n, type_name=kind) for n in range(1, 9) for kind in ("malware", "tool", "indicator")],
    )
    types = Filters(types=("indicator", "malware"))
    rows = pull(hub_store, types, limit=3)
    assert [row.type for row in rows] == ["malware", "indicator"] * 8
    assert [row.key for row in rows] == sorted(row.key for row in rows)
    ids = (object_id(7, "tool"), object_id(2, "malware"), object_id(3, "tool"), object_id(99))
    assert [row.id for row in pull(hub_store, Filters(ids=ids))] == [ids[1], ids[2], ids[0]]
    assert [row.id for row in pull(hub_store, Filters(ids=ids, types=("tool",)))] == [ids[2], ids[0]]
    assert pull(hub_store, Filters(types=("never-seen",))) == []
    assert pull(hub_store, Filters(ids=(object_id(1, "tool"),), types=("never-seen",))) == []


def test_first_after_is_the_first_row_of_the_page(hub_store: HubStore) -> None:
    publish(hub_store, *[candidate(n) for n in range(1, 4)], candidate(1, V3), candidate(4, type_name="tool"))
    allowed = grant(hub_store)
    for filters in (DEFAULT_FILTERS, ALL, Filters(types=("tool",)), Filters(ids=(object_id(2),))):
        for after in [Micros(-1), *[stamp_of(row.key) for row in pull(hub_store, ALL)]]:
            page = hub_store.page(allowed, Query(filters, after, 1), bodies=False, max_bytes=BIG)
            expected = page.rows[0].key if page.rows else None
            assert hub_store.first_after(allowed, filters, after) == expected


def test_superseded_and_withdrawn_rows_are_told_to_caches(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1, V1), candidate(2, V1))
    allowed = grant(hub_store)
    keys = [row.key for row in pull(hub_store)]
    assert hub_store.state(allowed).generation == 0
    assert hub_store.dropped_since(allowed, 0) == []
    publish(hub_store, candidate(1, V2))
    assert hub_store.state(allowed).generation == 1
    assert hub_store.dropped_since(allowed, 0) == [keys[0]]
    withdraw(hub_store, object_id(2))
    assert hub_store.state(allowed).generation == 2
    assert hub_store.dropped_since(allowed, 0) == keys
    assert hub_store.dropped_since(allowed, 1) == [keys[1]]
    assert hub_store.dropped_since(allowed, 2) == []


def test_a_row_that_shows_again_is_told_to_caches(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1, V1))
    publish(hub_store, candidate(1, V2))
    old, new = pull(hub_store, ALL)
    allowed = grant(hub_store)
    before = hub_store.state(allowed).generation
    withdraw(hub_store, object_id(1), Filters(versions=Versions()))
    assert [row.key for row in pull(hub_store)] == [old.key]
    assert sorted(hub_store.dropped_since(allowed, before) or ()) == [old.key, new.key]


def test_each_superseded_row_raises_the_generation_by_one(hub_store: HubStore) -> None:
    publish(hub_store, *[candidate(n, V1) for n in range(1, 5)])
    publish(hub_store, *[candidate(n, V2) for n in range(1, 5)])
    allowed = grant(hub_store)
    assert hub_store.state(allowed).generation == 4
    for generation in range(5):
        assert len(hub_store.dropped_since(allowed, generation) or ()) == 4 - generation


@pytest.mark.parametrize("generation", [1, 99])
def test_a_generation_that_the_store_never_had_means_forget_everything(
    hub_store: HubStore, generation: int
) -> None:
    assert hub_store.dropped_since(grant(hub_store), generation) is None


def test_the_state_of_a_collection_adds_up(hub_store: HubStore) -> None:
    state = hub_store.state(grant(hub_store))
    assert (state.epoch, state.size, state.last, state.objects, state.stored_bytes) == (1, 1, 0, 0, 0)
    published = publish(hub_store, candidate(1), candidate(2))
    state = hub_store.state(grant(hub_store))
    assert state.last == published.outcome.added_last
    assert (state.size, state.objects) == (2, 2)
    withdraw(hub_store, object_id(2))
    after = hub_store.state(grant(hub_store))
    assert (after.size, after.objects, after.last) == (3, 1, state.last)
    check_statements(hub_store, 1)


def test_a_collection_that_was_never_activated_is_empty(empty_store: HubStore) -> None:
    activate(empty_store, 1)
    allowed = grant(empty_store, on=7)
    state = empty_store.state(allowed)
    assert (state.epoch, state.objects, state.size, state.last) == (1, 0, 0, 0)
    assert pull(empty_store, on=7) == []
    assert empty_store.dropped_since(allowed, 0) == []


def test_exists_speaks_of_live_versions(hub_store: HubStore) -> None:
    allowed = grant(hub_store)
    assert not hub_store.exists(allowed, object_id(1))
    publish(hub_store, candidate(1, V1), candidate(1, V2))
    assert hub_store.exists(allowed, object_id(1))
    withdraw(hub_store, object_id(1), Filters(versions=Versions()))
    assert hub_store.exists(allowed, object_id(1))
    withdraw(hub_store, object_id(1))
    assert not hub_store.exists(allowed, object_id(1))


def test_a_publish_is_visible_as_soon_as_its_future_completes(hub_store: HubStore) -> None:
    for number in range(1, 30):
        publish(hub_store, candidate(number))
        assert len(pull(hub_store)) == number
        assert hub_store.state(grant(hub_store)).objects == number


def test_the_key_of_a_row_packs_its_collection_and_stamp(hub_store: HubStore) -> None:
    published = publish(hub_store, candidate(1), on=2)
    (row,) = pull(hub_store, on=2)
    assert row.key == pack(2, published.outcome.items[0].stamp)
