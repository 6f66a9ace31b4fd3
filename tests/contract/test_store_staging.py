"""Contract of staging: what has a `release_at` to come waits outside its collection until its release."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lightship.core.collection import FULL, PROBLEMS, Candidate, CollectionSettings, Level, Verdict
from lightship.core.errors import NotFound, Refused
from lightship.core.marks import MarkingSet
from lightship.core.ports import EpochChanged, HeldSet, Holding, NotOwner, Published, Released
from lightship.core.query import Filters, Versions
from lightship.core.time import Micros
from storekit import (
    ALICE,
    BOB,
    SECOND,
    START,
    WAIT,
    HandClock,
    HubStore,
    activate,
    candidate,
    check_statements,
    collection,
    grant,
    object_id,
    publish,
    publishing,
    pull,
    releasing,
    shown,
    withdraw,
    withdrawing,
)

V1, V2 = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
LATER = Micros(START + 2 * SECOND)
LAST, FIRST = Filters(), Filters(versions=Versions(last=False, first=True))
WAITS = MarkingSet(Level.AMBER, release_at=LATER)


def stage(store: HubStore, *ones: Candidate, member: str = ALICE, on: int = 1) -> Published:
    return publish(store, *ones, member=member, on=on, marks=[WAITS] * len(ones))


def release(
    store: HubStore,
    *numbers: int,
    owner: str = ALICE,
    refused: dict[int, str] | None = None,
    now: int = LATER,
) -> Released:
    request = releasing(grant(store, None), owner, numbers, refused, now=Micros(now))
    return store.release(request).result(WAIT)


def verdicts(done: Published | Released) -> list[str]:
    return [str(item.verdict) for item in done.outcome.items]


def numbers(store: HubStore) -> list[int]:
    return [one.number for one in store.staged(grant(store), "")]


def test_it_is_seen_by_no_reader_and_takes_no_stamp(hub_store: HubStore) -> None:
    before = hub_store.state(grant(hub_store))
    done = stage(hub_store, candidate(1))
    assert verdicts(done) == ["staged"]
    assert [item.stamp for item in done.outcome.items] == [0]
    assert (done.outcome.added_first, done.outcome.added_last) == (0, 0)
    assert hub_store.state(grant(hub_store)) == before
    assert not pull(hub_store)
    assert not hub_store.exists(grant(hub_store), object_id(1))
    assert done.event in hub_store.pending()


def test_its_publisher_sees_it_whole_and_nobody_elses(hub_store: HubStore) -> None:
    one = candidate(1)._replace(
        created_by="identity--x",
        level=Level.AMBER,
        cites=("a", "b"),
        warnings=("w",),
        position=3,
    )
    stage(hub_store, one)
    stage(hub_store, candidate(2), member=BOB)
    (mine,) = hub_store.staged(grant(hub_store), ALICE)
    assert mine.candidate == one._replace(position=0, warnings=())
    assert (mine.marks, mine.owner, mine.posted, mine.release_at, mine.problem) == (
        WAITS,
        ALICE,
        START,
        LATER,
        "",
    )
    assert [one.owner for one in hub_store.staged(grant(hub_store), "")] == [ALICE, BOB]
    assert not hub_store.staged(grant(hub_store, on=2), "")


def test_posted_again_it_is_still_staged_once(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1))
    assert verdicts(stage(hub_store, candidate(1), candidate(1))) == ["staged", "staged"]
    assert len(numbers(hub_store)) == 1


def test_other_bytes_under_its_version_conflict_for_its_publisher_alone(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1))
    assert verdicts(stage(hub_store, candidate(1, content="x"))) == ["conflict"]
    assert verdicts(publish(hub_store, candidate(1, content="x"))) == ["conflict"]
    assert verdicts(publish(hub_store, candidate(1, content="x"), member=BOB)) == ["add"]


def test_what_others_have_staged_changes_no_verdict(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1), candidate(2))
    assert verdicts(publish(hub_store, candidate(1), member=BOB)) == ["add"]
    assert verdicts(stage(hub_store, candidate(2, content="x"), member=BOB)) == ["staged"]


def test_a_release_adds_it_with_a_new_stamp_under_its_owner(
    hub_store: HubStore, hub_clock: HandClock
) -> None:
    publish(hub_store, candidate(5))
    stage(hub_store, candidate(1), candidate(2))
    hub_clock.advance(2 * SECOND)
    publish(hub_store, candidate(6))
    last = hub_store.state(grant(hub_store)).last
    done = release(hub_store, *numbers(hub_store))
    assert verdicts(done) == ["add", "add"]
    assert done.outcome.added_first > last
    assert done.event in hub_store.pending()
    assert not numbers(hub_store)
    assert [row.id for row in pull(hub_store)] == [object_id(number) for number in (5, 6, 1, 2)]
    assert check_statements(hub_store, 1)[-1].by == ALICE
    withdraw(hub_store, object_id(1), member=ALICE)


def test_it_is_never_released_before_its_time_nor_by_another_name(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1))
    before = hub_store.pending()
    for done in (
        release(hub_store, 1, now=LATER - 1),
        release(hub_store, 1, owner=BOB),
        release(hub_store, 99),
    ):
        assert (done.outcome.items, done.failed, done.event) == ((), (), None)
    assert hub_store.pending() == before
    assert not pull(hub_store)
    assert numbers(hub_store)


def test_a_release_under_older_rules_does_nothing(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1))
    request = releasing(grant(hub_store, None), ALICE, [1], now=LATER)
    activate(hub_store, 1, 2, version=2)
    with pytest.raises(EpochChanged):
        hub_store.release(request).result(WAIT)
    assert numbers(hub_store)


def test_released_twice_it_is_added_once(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1))
    allowed = grant(hub_store, None)
    futures = [hub_store.release(releasing(allowed, ALICE, [1], now=LATER)) for _ in range(3)]
    events = [future.result(WAIT).event for future in futures]
    assert [one is None for one in events] == [False, True, True]
    assert len(pull(hub_store)) == 1


def test_what_may_not_enter_stays_with_its_problem(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1), candidate(2), candidate(3), candidate(4))
    publish(hub_store, candidate(2, V2), member=BOB)
    publish(hub_store, candidate(3, content="x"), member=BOB)
    first, second, third, fourth = numbers(hub_store)
    done = release(hub_store, first, second, third, refused={fourth: "not any more"})
    assert verdicts(done) == ["add"]
    problems = {
        second: PROBLEMS[Verdict.NOT_OWNER],
        third: PROBLEMS[Verdict.CONFLICT],
        fourth: "not any more",
    }
    assert {one.number: one.problem for one in done.failed} == problems
    assert {one.number: one.problem for one in hub_store.staged(grant(hub_store), ALICE)} == problems


def test_who_loses_a_name_to_somebody_else_reads_it_before_its_moment(hub_store: HubStore) -> None:
    """Knowing the id is enough to publish under it: its publisher still has time to take another."""
    stage(hub_store, candidate(1), candidate(2), candidate(3), candidate(4))
    assert {one.problem for one in hub_store.staged(grant(hub_store), ALICE)} == {""}
    publish(hub_store, candidate(1, V2), candidate(2, content="x"), member=BOB)
    publish(hub_store, candidate(3), member=BOB)
    first, second, *others = numbers(hub_store)
    told = {one.number: one.problem for one in hub_store.staged(grant(hub_store), ALICE)}
    assert told == {
        first: PROBLEMS[Verdict.NOT_OWNER],
        second: PROBLEMS[Verdict.CONFLICT],
        **dict.fromkeys(others, ""),
    }
    assert {one.problem for one in hub_store.staged(grant(hub_store), "")} == {"", *told.values()}
    due = hub_store.due(grant(hub_store), LATER, failed=False, after=0, limit=9)
    assert [one.number for one in due] == [first, second, *others], "each is tried at its moment, and logged"


def test_what_failed_is_due_only_for_who_asks_and_may_enter_later(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1), candidate(2))
    first, second = numbers(hub_store)
    release(hub_store, refused={first: "later"})
    allowed = grant(hub_store)
    assert [one.number for one in hub_store.due(allowed, LATER, failed=False, after=0, limit=9)] == [second]
    assert [one.number for one in hub_store.due(allowed, LATER, failed=True, after=0, limit=1)] == [first]
    assert [one.number for one in hub_store.due(allowed, LATER, failed=True, after=first, limit=9)] == [
        second
    ]
    assert not hub_store.due(allowed, Micros(LATER - 1), failed=True, after=0, limit=9)
    assert verdicts(release(hub_store, first)) == ["add"]


def test_a_duplicate_is_forgotten_at_its_release(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1))
    publish(hub_store, candidate(1), member=BOB)
    done = release(hub_store, *numbers(hub_store))
    assert verdicts(done) == ["duplicate"]
    assert not numbers(hub_store)
    assert len(pull(hub_store)) == 1
    check_statements(hub_store, 1)


def test_posted_after_its_time_it_enters_and_the_staged_one_is_forgotten(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1))
    done = publish(hub_store, candidate(1), marks=[WAITS], now=LATER)
    assert verdicts(done) == ["add"]
    assert not numbers(hub_store)


def test_its_publisher_takes_it_back_without_a_statement(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1, V1), candidate(1, V2))
    size = hub_store.state(grant(hub_store)).size
    gone = withdraw(hub_store, object_id(1))
    assert not gone.rows
    assert [(row.key, row.version_text, row.body) for row in gone.cancelled] == [(0, V1, b""), (0, V2, b"")]
    assert gone.event.n == 2
    assert hub_store.state(grant(hub_store)).size == size
    assert verdicts(stage(hub_store, candidate(1, content="x"))) == ["staged"]


def test_nobody_else_can_take_it_back_or_learn_of_it(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1))
    with pytest.raises(NotFound):
        withdraw(hub_store, object_id(1), member=BOB)
    assert numbers(hub_store)


def test_a_withdrawal_takes_live_and_staged_versions(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1, V1))
    stage(hub_store, candidate(1, V2))
    gone = withdraw(hub_store, object_id(1))
    assert [row.version_text for row in gone.rows] == [V1]
    assert [row.version_text for row in gone.cancelled] == [V2]
    check_statements(hub_store, 1)


@pytest.mark.parametrize("pick", [LAST, FIRST], ids=["last", "first"])
def test_last_and_first_of_what_is_live_never_cancel_what_waits(hub_store: HubStore, pick: Filters) -> None:
    publish(hub_store, candidate(1, V1))
    stage(hub_store, candidate(1, V2))
    gone = withdraw(hub_store, object_id(1), pick)
    assert ([row.version_text for row in gone.rows], gone.cancelled) == ([V1], ())
    assert len(numbers(hub_store)) == 1
    gone = withdraw(hub_store, object_id(1), pick)  # now they can speak of nothing else
    assert (gone.rows, [row.version_text for row in gone.cancelled]) == ((), [V2])


def test_last_of_anothers_live_object_cancels_nothing(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1, V2))
    publish(hub_store, candidate(1, V1), member=BOB)
    with pytest.raises(NotOwner):
        withdraw(hub_store, object_id(1), LAST)
    assert len(numbers(hub_store)) == 1


def test_anothers_live_object_stays_when_ones_own_staged_one_is_taken_back(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1))
    publish(hub_store, candidate(1, V2), member=BOB)
    assert len(withdraw(hub_store, object_id(1)).cancelled) == 1
    with pytest.raises(NotOwner):
        withdraw(hub_store, object_id(1))
    assert shown(hub_store) == [(object_id(1), V2)]


def test_staged_only_leaves_what_is_live(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1, V1))
    stage(hub_store, candidate(1, V2))
    request = withdrawing(grant(hub_store), object_id(1), staged_only=True)
    assert len(hub_store.withdraw(request).result(WAIT).cancelled) == 1
    assert shown(hub_store) == [(object_id(1), V1)]
    with pytest.raises(NotFound):
        hub_store.withdraw(request).result(WAIT)


def test_posts_and_cancellations_of_one_group_see_each_other(hub_store: HubStore) -> None:
    allowed, futures = grant(hub_store), []
    for number in range(1, 9):
        hub_store.publish(publishing(allowed, [candidate(number)], marks=[WAITS]))
        if number % 2:
            futures.append(hub_store.withdraw(withdrawing(allowed, object_id(number))))
    assert [len(future.result(WAIT).cancelled) for future in futures] == [1, 1, 1, 1]
    publish(hub_store, candidate(9))
    waiting = [one.candidate.id for one in hub_store.staged(allowed, ALICE)]
    assert waiting == [object_id(number) for number in (2, 4, 6, 8)]


def test_what_waits_counts_against_the_quota_of_its_owner_alone(hub_store: HubStore) -> None:
    small = collection(1, CollectionSettings(max_objects=2))
    publish(hub_store, candidate(1), candidate(2), on=small, marks=[WAITS, WAITS])
    with pytest.raises(Refused):
        publish(hub_store, candidate(3), on=small)
    publish(hub_store, candidate(3), candidate(4), on=small, member=BOB)
    request = releasing(grant(hub_store, None, on=small), ALICE, numbers(hub_store), now=LATER)
    done = hub_store.release(request).result(WAIT)
    assert [one.problem for one in done.failed] == [FULL, FULL]
    withdraw(hub_store, object_id(3), member=BOB)
    done = hub_store.release(replace(request, numbers=tuple(numbers(hub_store)))).result(WAIT)
    assert (len(done.outcome.items), len(done.failed)) == (1, 1)


def test_sets_are_counted_live_and_staged(hub_store: HubStore) -> None:
    stage(hub_store, candidate(1, V1), candidate(1, V2))
    publish(hub_store, candidate(2), candidate(3), member=BOB)

    def counted() -> set[tuple[MarkingSet, str, int, int]]:
        return {(one.marks, one.owner, one.live, one.staged) for one in hub_store.held_sets(grant(hub_store))}

    assert counted() == {(WAITS, ALICE, 0, 2), (MarkingSet(), BOB, 2, 0)}
    release(hub_store, numbers(hub_store)[0])
    assert counted() == {(WAITS, ALICE, 1, 1), (MarkingSet(), BOB, 2, 0)}
    withdraw(hub_store, object_id(1))
    withdraw(hub_store, object_id(2), member=BOB)
    assert counted() == {(MarkingSet(), BOB, 1, 0)}
    (held,) = hub_store.held_sets(grant(hub_store))
    found = hub_store.holding(grant(hub_store), [held], 5)
    assert (found.total, [(one, row.id) for one, row in found.rows]) == (1, [(held, object_id(3))])
    assert hub_store.holding(grant(hub_store), [replace(held, owner=ALICE)], 5) == Holding(0, ())


def test_one_look_counts_and_names_what_several_sets_hold(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), candidate(2), member=BOB)
    publish(hub_store, candidate(3), candidate(4), marks=[MarkingSet(Level.GREEN)] * 2)
    publish(hub_store, candidate(5), marks=[MarkingSet(Level.RED)])
    stage(hub_store, candidate(6), candidate(7))
    here = grant(hub_store)
    sets = {(one.marks.level, one.owner): one for one in hub_store.held_sets(here)}
    plain, green, waits = sets[None, BOB], sets[Level.GREEN, ALICE], sets[WAITS.level, ALICE]

    def look(*asked: HeldSet, limit: int = 9, **more: Any) -> tuple[int, list[tuple[HeldSet, int, bool]]]:
        found = hub_store.holding(here, asked, limit, **more)
        rows = [(one, int(row.id[-2:], 16), row.key == 0) for one, row in found.rows]
        return found.total, rows

    every = [(plain, 1, False), (plain, 2, False), (green, 3, False), (green, 4, False)]
    every += [(waits, 6, True), (waits, 7, True)]
    assert look(plain, green, waits) == (6, every)
    assert look(green, waits) == (4, every[2:])
    for limit in range(6):
        assert look(plain, green, waits, limit=limit) == (6, every[:limit])
    gone = [object_id(1), object_id(4), object_id(5), object_id(6), object_id(9)]
    left = [every[1], every[2], every[5]]
    assert look(plain, green, waits, without=gone) == (3, left)
    assert look(plain, green, waits, without=gone, limit=1) == (3, left[:1])
    assert look(waits, without=[object_id(6), object_id(7)]) == (0, [])
    assert look(green, waits, staged_of=ALICE) == (4, every[2:])
    assert look(green, waits, staged_of=BOB) == (2, every[2:4])
    assert look(green, waits, staged_of=BOB, without=gone) == (1, [every[2]])
    assert look() == (0, [])


def test_the_next_thing_due_is_a_release_or_an_end(hub_store: HubStore) -> None:
    ends = MarkingSet(share_until=Micros(START + SECOND))
    both = [grant(hub_store), grant(hub_store, on=2)]
    assert hub_store.next_due(both, START) is None
    stage(hub_store, candidate(1))
    assert hub_store.next_due(both, START) == LATER
    publish(hub_store, candidate(2), on=2, marks=[ends])
    assert hub_store.next_due(both, START) == ends.share_until
    assert hub_store.next_due(both[:1], START) == LATER
    assert hub_store.next_due(both, Micros(START + SECOND)) == LATER
    release(hub_store, refused={numbers(hub_store)[0]: "no"})
    assert hub_store.next_due(both, Micros(START + SECOND)) is None
