"""Contract of marking definitions: held before they are cited, one meaning an agreement, kept in use."""

from __future__ import annotations

import pytest

from lightship.core.collection import PROBLEMS, Candidate, Level, Verdict
from lightship.core.marks import Cited, MarkingSet
from lightship.core.ports import InUse, Published
from lightship.core.time import Micros
from storekit import (
    ALICE,
    BOB,
    SECOND,
    START,
    WAIT,
    HubStore,
    activate,
    candidate,
    check_statements,
    collection,
    expiring,
    grant,
    object_id,
    publish,
    publishing,
    releasing,
    shown,
    uuid_of,
    withdraw,
)

KIND = "marking-definition"
LATER = Micros(START + 2 * SECOND)


def definition(number: int = 1, content: str = "") -> Candidate:
    return candidate(number, content=content, type_name=KIND, owned=False)


def citing(
    *ones: Candidate, release_at: Micros | None = None, share_until: Micros | None = None
) -> MarkingSet:
    cites = tuple(sorted(Cited(one.id, one.digest) for one in ones))
    return MarkingSet(Level.AMBER, cites=cites, release_at=release_at, share_until=share_until)


def verdicts(done: Published) -> list[str]:
    return [str(item.verdict) for item in done.outcome.items]


NONE = MarkingSet(levelled=False)
D1, D2 = definition(1), definition(2)


def test_who_cites_what_nobody_holds_is_refused_and_nothing_is_kept(hub_store: HubStore) -> None:
    before = hub_store.state(grant(hub_store))
    done = publish(hub_store, candidate(1), candidate(2), marks=[citing(D1), citing(D1, release_at=LATER)])
    assert verdicts(done) == ["unknown-marking", "unknown-marking"]
    assert hub_store.state(grant(hub_store)) == before
    assert not hub_store.staged(grant(hub_store), "")


@pytest.mark.parametrize("order", [0, 1])
def test_it_may_stand_in_the_same_post_before_or_behind(hub_store: HubStore, order: int) -> None:
    posted = [(D1, NONE), (candidate(1), citing(D1))][:: -1 if order else 1]
    done = publish(hub_store, *[one for one, _ in posted], marks=[marks for _, marks in posted])
    assert verdicts(done) == ["add", "add"]


@pytest.mark.parametrize("on", [1, 2])
def test_it_may_be_held_in_any_collection_of_the_agreement(hub_store: HubStore, on: int) -> None:
    publish(hub_store, D1, marks=[NONE], on=on)
    assert verdicts(publish(hub_store, candidate(1), marks=[citing(D1)])) == ["add"]


def test_that_of_another_agreement_counts_for_nothing(hub_store: HubStore) -> None:
    activate(hub_store, 3, agreement="other")
    publish(hub_store, D1, marks=[NONE], on=collection(3, agreement="other"))
    assert verdicts(publish(hub_store, candidate(1), marks=[citing(D1)])) == ["unknown-marking"]


def test_the_digest_counts_and_not_the_id_alone(hub_store: HubStore) -> None:
    publish(hub_store, definition(1, "looser"), marks=[NONE])
    assert verdicts(publish(hub_store, candidate(1), marks=[citing(D1)])) == ["unknown-marking"]


def test_definitions_that_cite_a_stranger_do_not_enter_nor_what_cites_them(hub_store: HubStore) -> None:
    posted, marks = [candidate(1), D1, D2], [citing(D1), citing(D2), citing(definition(3))]
    assert verdicts(publish(hub_store, *posted, marks=marks)) == ["unknown-marking"] * 3
    marks[2] = NONE
    assert verdicts(publish(hub_store, *posted, marks=marks)) == ["add"] * 3


def test_two_meanings_in_one_post_are_one_and_a_conflict(hub_store: HubStore) -> None:
    other = definition(1, "looser")
    posted, marks = [D1, other, candidate(1), candidate(2)], [NONE, NONE, citing(D1), citing(other)]
    assert verdicts(publish(hub_store, *posted, marks=marks)) == ["add", "conflict", "add", "unknown-marking"]


@pytest.mark.parametrize("on", [1, 2])
@pytest.mark.parametrize("how", ["live", "withdrawn"])
def test_an_id_means_the_same_in_the_whole_agreement(hub_store: HubStore, on: int, how: str) -> None:
    publish(hub_store, D1, marks=[NONE], on=on)
    if how == "withdrawn":
        withdraw(hub_store, D1.id, on=on)
    other = definition(1, "looser")
    assert verdicts(publish(hub_store, other, marks=[NONE], member=BOB)) == ["conflict"]
    assert verdicts(publish(hub_store, D1, marks=[NONE], member=BOB, on=3 - on)) == ["add"]


def staged_by(store: HubStore, member: str) -> list[int]:
    return [one.number for one in store.staged(grant(store), member)]


def release(store: HubStore, member: str) -> dict[str, str]:
    """Release all that a member has waiting; return what became of each id."""
    request = releasing(grant(store, None), member, staged_by(store, member), now=LATER)
    done = store.release(request).result(WAIT)
    told = {item.candidate.id: str(item.verdict) for item in done.outcome.items}
    return told | {one.candidate.id: one.problem for one in done.failed}


@pytest.mark.parametrize("on", [1, 2])
def test_what_another_has_staged_is_not_told_by_posting_other_bytes_under_its_id(
    hub_store: HubStore, on: int
) -> None:
    publish(hub_store, D1, marks=[MarkingSet(release_at=LATER)], on=on)
    other = definition(1, "looser")
    assert verdicts(publish(hub_store, other, marks=[NONE], member=BOB)) == ["add"]
    assert verdicts(publish(hub_store, definition(1, "x"), marks=[NONE])) == ["conflict"]


def test_what_its_own_publisher_has_staged_keeps_its_meaning(hub_store: HubStore) -> None:
    publish(hub_store, D1, marks=[MarkingSet(release_at=LATER)], on=2)
    assert verdicts(publish(hub_store, definition(1, "looser"), marks=[NONE])) == ["conflict"]


def test_an_embargo_does_not_bring_in_a_second_meaning_nor_what_cites_it(hub_store: HubStore) -> None:
    waits = MarkingSet(levelled=False, release_at=LATER)
    posted = [candidate(1), D1]
    publish(hub_store, *posted, marks=[citing(D1, release_at=LATER), waits])
    other = definition(1, "looser")
    publish(hub_store, other, marks=[NONE], member=BOB)
    assert verdicts(publish(hub_store, candidate(2), marks=[citing(D1)])) == ["unknown-marking"]
    assert release(hub_store, ALICE) == {
        object_id(1): PROBLEMS[Verdict.UNKNOWN_MARKING],
        D1.id: PROBLEMS[Verdict.CONFLICT],
    }
    assert shown(hub_store) == [(D1.id, D1.version_text)]
    assert verdicts(publish(hub_store, candidate(3), marks=[citing(other)], member=BOB)) == ["add"]


def test_of_two_meanings_that_wait_the_first_to_enter_counts(hub_store: HubStore) -> None:
    other, waits = definition(1, "looser"), MarkingSet(levelled=False, release_at=LATER)
    for member, one, number in ((ALICE, D1, 1), (BOB, other, 2)):
        publish(
            hub_store,
            one,
            candidate(number),
            marks=[waits, citing(one, release_at=LATER)],
            member=member,
        )
    assert release(hub_store, BOB) == {D1.id: "add", object_id(2): "add"}
    assert set(release(hub_store, ALICE).values()) == {
        PROBLEMS[Verdict.CONFLICT],
        PROBLEMS[Verdict.UNKNOWN_MARKING],
    }


def test_what_is_cited_keeps_its_meaning_while_its_definition_still_waits(hub_store: HubStore) -> None:
    waits = MarkingSet(levelled=False, release_at=LATER)
    publish(hub_store, candidate(1), D1, marks=[citing(D1, release_at=LATER), waits])
    first, _ = staged_by(hub_store, ALICE)
    request = releasing(grant(hub_store, None), ALICE, [first], now=LATER)
    assert len(hub_store.release(request).result(WAIT).outcome.items) == 1
    other = definition(1, "looser")
    assert verdicts(publish(hub_store, other, marks=[NONE], member=BOB)) == ["conflict"]
    assert release(hub_store, ALICE) == {D1.id: "add"}


def test_a_copy_with_other_bytes_does_not_let_the_one_in_use_go(hub_store: HubStore) -> None:
    publish(hub_store, definition(1, "x"), marks=[MarkingSet(release_at=LATER)], member=BOB)
    publish(hub_store, D1, candidate(1), marks=[NONE, citing(D1)])
    with pytest.raises(InUse):
        withdraw(hub_store, D1.id)
    assert verdicts(publish(hub_store, candidate(2), marks=[citing(D1)])) == ["add"]


def test_posts_of_one_group_see_each_others_definitions(hub_store: HubStore) -> None:
    allowed = grant(hub_store)
    posts = [(D1, NONE), (candidate(1), citing(D1)), (definition(1, "x"), NONE), (candidate(2), citing(D2))]
    futures = [hub_store.publish(publishing(allowed, [one], marks=[marks])) for one, marks in posts]
    told = [verdicts(future.result(WAIT)) for future in futures]
    assert told == [["add"], ["add"], ["conflict"], ["unknown-marking"]]


def test_one_in_use_cannot_be_withdrawn_until_nothing_cites_it(hub_store: HubStore) -> None:
    publish(hub_store, D1, candidate(1), marks=[NONE, citing(D1)])
    before = hub_store.state(grant(hub_store))
    with pytest.raises(InUse):
        withdraw(hub_store, D1.id)
    assert hub_store.state(grant(hub_store)) == before
    withdraw(hub_store, object_id(1))
    assert len(withdraw(hub_store, D1.id).rows) == 1
    check_statements(hub_store, 1)


def test_what_waits_uses_it_too_and_so_do_other_collections(hub_store: HubStore) -> None:
    publish(hub_store, D1, marks=[NONE])
    publish(hub_store, candidate(1), marks=[citing(D1, release_at=LATER)], on=2, member=BOB)
    with pytest.raises(InUse):
        withdraw(hub_store, D1.id)
    withdraw(hub_store, object_id(1), on=2, member=BOB)
    withdraw(hub_store, D1.id)


def test_one_of_two_copies_may_go(hub_store: HubStore) -> None:
    publish(hub_store, D1, candidate(1), marks=[NONE, citing(D1)])
    publish(hub_store, D1, marks=[NONE], on=2)
    withdraw(hub_store, D1.id)
    with pytest.raises(InUse):
        withdraw(hub_store, D1.id, on=2)


def test_a_staged_definition_is_kept_for_what_waits_with_it(hub_store: HubStore) -> None:
    waits = MarkingSet(levelled=False, release_at=LATER)
    publish(hub_store, D1, candidate(1), marks=[waits, citing(D1, release_at=LATER)])
    with pytest.raises(InUse):
        withdraw(hub_store, D1.id)
    staged = hub_store.staged(grant(hub_store), ALICE)
    request = releasing(grant(hub_store, None), ALICE, [one.number for one in staged], now=LATER)
    assert [str(item.verdict) for item in hub_store.release(request).result(WAIT).outcome.items] == [
        "add"
    ] * 2


def test_they_are_found_by_id_live_and_staged_in_the_collections_asked_for(hub_store: HubStore) -> None:
    publish(hub_store, D1, candidate(1), marks=[NONE, NONE])
    publish(hub_store, D2, marks=[MarkingSet(release_at=LATER)], member=BOB, on=2)
    allowed = grant(hub_store)
    found = hub_store.definitions(allowed, [1, 2], [D1.id, D2.id, object_id(1), object_id(9)])
    assert [(one.id, one.digest, one.body, one.owner, one.collection) for one in found] == [
        (D1.id, D1.digest, D1.body, ALICE, 1),
        (D2.id, D2.digest, D2.body, BOB, 2),
    ]
    assert [one.id for one in hub_store.definitions(allowed, [2], [D1.id, D2.id])] == [D2.id]
    assert not hub_store.definitions(allowed, [], [D1.id])
    assert not hub_store.definitions(allowed, [1], [])


def test_expiry_leaves_one_in_use_until_its_last_user_goes(hub_store: HubStore) -> None:
    ends, ends_later = Micros(START + SECOND), Micros(START + 3 * SECOND)
    users = [citing(D1, share_until=ends), citing(D2, share_until=ends_later)]
    publish(hub_store, D1, D2, candidate(1), candidate(2), marks=[NONE, NONE, *users])
    newest = hub_store.state(grant(hub_store)).last  # all but the second object are older

    def expire(now: int) -> list[str]:
        request = expiring(grant(hub_store, None), now=Micros(now), added_before=newest, limit=9)
        return sorted(row.type for row in hub_store.expire(request).result(WAIT).rows)

    assert expire(START) == ["indicator", KIND]
    assert shown(hub_store) == [(D2.id, D2.version_text), (object_id(2), "2026-01-01T00:00:00Z")]
    assert expire(START) == []
    assert expire(ends_later) == ["indicator", KIND]


def test_an_agreement_cannot_order_out_one_in_use_but_with_its_users(hub_store: HubStore) -> None:
    publish(hub_store, D1, candidate(1), marks=[NONE, citing(D1)])
    with pytest.raises(InUse):
        activate(hub_store, 1, 2, version=2, withdraw={1: [D1.id]})
    assert len(hub_store.chain("exercise")) == 1
    activate(hub_store, 1, 2, version=2, withdraw={1: [D1.id, object_id(1)]})
    assert not shown(hub_store)


def test_collections_asked_about_need_not_be_known(hub_store: HubStore) -> None:
    assert not hub_store.definitions(grant(hub_store), [7], [uuid_of(1)])
