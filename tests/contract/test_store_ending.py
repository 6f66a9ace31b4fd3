"""Contract of expiry (retention, `share_until`) and of what an agreement's change orders out or breaks."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from lightship.core.collection import Level, stamp_of
from lightship.core.marks import MarkingSet
from lightship.core.ports import EpochChanged, Expired, HeldSet, WouldBreak
from lightship.core.query import Filters
from lightship.core.time import Micros
from storekit import (
    ALICE,
    ALL,
    BOB,
    FIRST,
    SECOND,
    START,
    WAIT,
    HandClock,
    HubStore,
    activate,
    candidate,
    check_statements,
    event,
    expiring,
    grant,
    object_id,
    publish,
    pull,
    shown,
    signed,
    uuid_of,
    withdraw,
)

V1, V2, V3 = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"
ENDS = MarkingSet(Level.GREEN, share_until=Micros(START + SECOND))


def expire(
    store: HubStore, *, now: int = START, before: int | None = None, limit: int = 100, on: int = 1
) -> Expired:
    added_before = None if before is None else Micros(before)
    request = expiring(grant(store, None, on=on), now=Micros(now), added_before=added_before, limit=limit)
    return store.expire(request).result(WAIT)


def test_nothing_due_leaves_no_trace(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), marks=[ENDS])
    before = (hub_store.state(grant(hub_store)), hub_store.pending())
    assert expire(hub_store, now=START + SECOND - 1) == Expired((), False, None)
    assert (hub_store.state(grant(hub_store)), hub_store.pending()) == before


def test_share_until_ends_in_a_withdrawal_by_the_hub(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), candidate(2), marks=[ENDS, MarkingSet()])
    done = expire(hub_store, now=START + SECOND)
    assert [(row.id, row.body) for row in done.rows] == [(object_id(1), b"")]
    assert done.event in hub_store.pending()
    assert shown(hub_store) == [(object_id(2), V1)]
    last = check_statements(hub_store, 1)[-1]
    assert (last.by, orjson.loads(last.body)["withdraw"]) == ("", [[object_id(1), V1, "expired"]])


def test_it_never_comes_back(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), marks=[ENDS])
    expire(hub_store, now=START + SECOND)
    outcome = publish(hub_store, candidate(1)).outcome
    assert [str(item.verdict) for item in outcome.items] == ["withdrawn"]


def test_retention_takes_what_was_added_before_and_not_at_the_moment(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), candidate(2))
    publish(hub_store, candidate(1), on=2)
    second = stamp_of(pull(hub_store)[1].key)
    assert [row.id for row in expire(hub_store, before=second).rows] == [object_id(1)]
    assert shown(hub_store) == [(object_id(2), V1)]
    assert shown(hub_store, on=2) == [(object_id(1), V1)]


def test_what_remains_of_an_object_shows_as_after_a_withdrawal(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1, V3))
    publish(hub_store, candidate(1, V1), candidate(1, V2))
    generation = hub_store.state(grant(hub_store)).generation
    second = stamp_of(pull(hub_store, ALL)[1].key)
    gone = expire(hub_store, before=second)
    assert [row.version_text for row in gone.rows] == [V3]
    assert shown(hub_store) == [(object_id(1), V2)]
    assert shown(hub_store, Filters(versions=FIRST)) == [(object_id(1), V1)]
    dropped = hub_store.dropped_since(grant(hub_store), generation)
    assert dropped is not None
    assert {row.key for row in gone.rows} < set(dropped)


def test_a_few_at_a_time_until_all_are_gone(hub_store: HubStore) -> None:
    publish(hub_store, *[candidate(number) for number in range(10)], marks=[ENDS, MarkingSet()] * 5)
    counts = []
    while True:
        done = expire(hub_store, now=START + SECOND, before=START + 1, limit=2)
        counts.append(len(done.rows))
        if not done.more:
            break
    assert counts == [2, 2, 1]
    counts = []
    while (done := expire(hub_store, before=START + SECOND, limit=4)).rows:
        counts.append(len(done.rows))
    assert counts == [4, 1]
    check_statements(hub_store, 1)


def test_both_ends_at_once_take_each_version_once(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), candidate(2), marks=[ENDS, ENDS])
    done = expire(hub_store, now=START + SECOND, before=START + SECOND)
    assert [row.id for row in done.rows] == [object_id(1), object_id(2)]
    assert hub_store.state(grant(hub_store)).objects == 0


def test_a_withdrawal_in_the_same_group_comes_first(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), candidate(2), marks=[ENDS, ENDS])
    withdraw(hub_store, object_id(1))
    assert [row.id for row in expire(hub_store, now=START + SECOND).rows] == [object_id(2)]


def test_under_older_rules_nothing_goes(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), marks=[ENDS])
    request = expiring(grant(hub_store, None), now=Micros(START + SECOND))
    activate(hub_store, 1, 2, version=2)
    with pytest.raises(EpochChanged):
        hub_store.expire(request).result(WAIT)


def test_it_is_known_when_each_version_was_there(hub_store: HubStore, hub_clock: HandClock) -> None:
    publish(hub_store, candidate(1, V1), marks=[ENDS])
    publish(hub_store, candidate(1, V2))
    first, second = (stamp_of(row.key) for row in pull(hub_store, ALL))
    hub_clock.advance(SECOND)
    expire(hub_store, now=START + SECOND)
    allowed = grant(hub_store)
    assert hub_store.added(allowed, object_id(1)) == [(first, START + SECOND), (second, None)]
    assert not hub_store.added(allowed, object_id(2))
    assert not hub_store.added(grant(hub_store, on=2), object_id(1))


def test_a_change_is_asked_about_everything_its_collections_hold(hub_store: HubStore) -> None:
    waits = MarkingSet(Level.RED, release_at=Micros(START + SECOND))
    publish(hub_store, candidate(1, V1), candidate(1, V2), candidate(2), marks=[ENDS, ENDS, waits])
    publish(hub_store, candidate(3), on=2, member=BOB)
    asked: set[tuple[str, HeldSet]] = set()

    def admits(collection_id: str, held: HeldSet) -> bool:
        asked.add((collection_id, held))
        return held.marks != waits

    before = (hub_store.epoch(), hub_store.state(grant(hub_store)))
    with pytest.raises(WouldBreak) as caught:
        activate(hub_store, 1, 2, version=2, admits=admits)
    assert asked == {
        (uuid_of(1), HeldSet(ENDS, ALICE, 2, 0)),
        (uuid_of(1), HeldSet(waits, ALICE, 0, 1)),
        (uuid_of(2), HeldSet(MarkingSet(), BOB, 1, 0)),
    }
    assert caught.value.held == ((uuid_of(1), HeldSet(waits, ALICE, 0, 1)),)
    assert (hub_store.epoch(), hub_store.state(grant(hub_store))) == before
    assert len(hub_store.chain("exercise")) == 1


def test_collections_that_a_version_leaves_out_are_not_asked_about(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1))
    activate(hub_store, 2, version=2, admits=lambda collection_id, held: False)


def test_what_it_orders_out_goes_with_it_staged_ones_of_everybody_too(hub_store: HubStore) -> None:
    waits = MarkingSet(Level.RED, release_at=Micros(START + SECOND))
    publish(hub_store, candidate(1, V1), candidate(1, V2), candidate(2))
    publish(hub_store, candidate(3), marks=[waits], member=BOB)
    ordered = {1: [object_id(1), object_id(3), object_id(9)], 2: [object_id(2)]}
    activate(hub_store, 1, 2, version=2, withdraw=ordered, admits=lambda _, held: held.marks != waits)
    assert shown(hub_store, ALL) == [(object_id(2), V1)]
    assert not hub_store.staged(grant(hub_store), "")
    change, gone = check_statements(hub_store, 1)[-2:]
    assert orjson.loads(change.body)["agreement"] == 2
    assert (gone.by, gone.agreement) == ("", 2)
    assert orjson.loads(gone.body)["withdraw"] == [[object_id(1), one, "ordered"] for one in (V1, V2)]
    outcome = publish(hub_store, candidate(1, V1)).outcome
    assert [str(item.verdict) for item in outcome.items] == ["withdrawn"]


def test_an_agreements_own_rules_are_kept_with_it(hub_store: HubStore) -> None:
    rules = b"@id('rule-x')"
    hub_store.activate(
        replace(signed(2), rules=rules), [uuid_of(1)], event(), admits=lambda _, held: True, withdraw={}
    )
    assert [one.rules for one in hub_store.chain("exercise")] == [b"", rules]
