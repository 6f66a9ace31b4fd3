"""What is held back is released once at its moment, by the rules of then, on record; or taken back before."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubkit import Date, HubKit, StoppedClock, make_hub
from lightship.core.errors import NotFound, Unavailable
from stixsamples import indicator, sharing_terms
from upkeeplab import (
    COLLECTIONS,
    DAY,
    PLAIN,
    acts,
    cancel,
    held,
    ids,
    look,
    moment,
    owed,
    post,
    staged,
    under,
)


def test_an_object_enters_with_the_date_of_its_release(kit: HubKit, clock: StoppedClock) -> None:
    secret = under(kit, release_at=moment(clock, 10))
    status = post(kit, *secret)
    assert status["success_count"] == 2
    assert all("held back until" in one["message"].lower() for one in status["successes"])
    assert held(kit) == set()
    assert look(kit) == 10
    assert held(kit) == set()
    clock.advance(10)
    released = moment(clock, 0)
    look(kit)
    assert held(kit) == ids(secret)
    manifest = kit.client("uslax").get(kit.path("indicators", "manifest/")).json()["objects"]
    assert all(released <= one["date_added"] <= moment(clock, 1) for one in manifest)
    assert staged(kit) == {}


def test_a_release_leaves_one_event_and_happens_once(kit: HubKit, clock: StoppedClock) -> None:
    secret = under(kit, release_at=moment(clock, 1))
    post(kit, *secret)
    clock.advance(2)
    for _ in range(3):
        look(kit)
    (event,) = acts(kit, "release")
    assert (event.who, event.cred, event.n, event.st) == ("uslgb", "hub", 2, 200)
    assert event.why == "allow-publisher-publish"
    assert set(event.q.split()) == ids(secret)
    assert 0 < event.first < event.last
    post(kit, indicator())  # the next write forgets what has reached the log
    assert owed(kit) == []


def test_more_than_a_batch_is_released_whole(kit: HubKit, clock: StoppedClock) -> None:
    many = under(kit, 599, release_at=moment(clock, 1))
    post(kit, *many)
    clock.advance(1)
    look(kit)
    assert held(kit) == ids(many)
    assert [one.n for one in acts(kit, "release")] == [256, 256, 88]


def test_who_lost_the_right_to_publish_is_told_and_it_is_tried_again_under_new_rules(
    kit: HubKit, clock: StoppedClock
) -> None:
    secret = under(kit, release_at=moment(clock, 5))
    post(kit, *secret)
    kit.add_agreement(kit.agreement, collections={**COLLECTIONS, "indicators": {"publishers": ["uslax"]}})
    clock.advance(6)
    for _ in range(3):
        look(kit)
    assert held(kit) == set()
    (event,) = acts(kit, "release-refused")
    assert (event.who, event.n, event.st, event.outcome) == ("uslgb", 2, 403, "refused")
    assert event.why == "deny-default"
    kit.add_agreement(
        kit.agreement, collections={**COLLECTIONS, "indicators": {"publishers": ["uslax", "uslgb"]}}
    )
    problems = staged(kit)
    assert problems.keys() == ids(secret)
    assert all("not a publisher" in one for one in problems.values())
    look(kit)
    assert held(kit) == ids(secret)
    assert staged(kit) == {}


def test_after_its_grace_an_agreement_releases_nothing(tmp_path: Path, clock: StoppedClock) -> None:
    end = moment(clock, 10 * DAY)[:10]
    with make_hub(tmp_path, clock=clock, not_after=Date(end), collections=COLLECTIONS) as kit:
        in_grace, after = (
            under(kit, release_at=moment(clock, 20 * DAY)),
            under(kit, release_at=moment(clock, 60 * DAY)),
        )
        post(kit, *in_grace, *after)
        clock.advance(61 * DAY)
        look(kit)
        assert held(kit) == set()
        assert all("(deny-agreement-not-in-force)" in one for one in staged(kit).values())
        assert len(staged(kit)) == 4


def test_within_the_grace_it_does(tmp_path: Path, clock: StoppedClock) -> None:
    end = moment(clock, 10 * DAY)[:10]
    with make_hub(tmp_path, clock=clock, not_after=Date(end), collections=COLLECTIONS) as kit:
        secret = under(kit, release_at=moment(clock, 20 * DAY))
        post(kit, *secret)
        clock.advance(20 * DAY)
        look(kit)
        assert held(kit) == ids(secret)


def test_what_another_member_posted_meanwhile_is_not_overwritten(kit: HubKit, clock: StoppedClock) -> None:
    terms, mine = under(kit, release_at=moment(clock, 5))
    post(kit, terms, mine)
    theirs = indicator(id=mine["id"], name="Another's")
    assert post(kit, theirs, member="uslax")["success_count"] == 1
    clock.advance(6)
    look(kit)
    assert held(kit) == {terms["id"], mine["id"]}
    problems = staged(kit)
    assert problems.keys() == {mine["id"]}
    assert "(deny-conflict)" in problems[mine["id"]]
    assert [one.why for one in acts(kit, "release-refused")] == ["deny-conflict"]
    assert [(one.act, one.n) for one in acts(kit, "release", "release-refused")] == [
        ("release", 1),
        ("release-refused", 1),
    ]
    (shown,) = [
        one
        for one in kit.client("uslgb").get(kit.path("indicators", "objects/")).json()["objects"]
        if one["id"] == mine["id"]
    ]
    assert shown["name"] == "Another's"


def test_what_may_not_be_shared_any_more_when_its_moment_comes_stays_outside(
    kit: HubKit, clock: StoppedClock
) -> None:
    late = sharing_terms(kit.agreement, release_at=moment(clock, 20))
    brief = sharing_terms(kit.agreement, share_until=moment(clock, 25))
    both = indicator(object_marking_refs=[late["id"], brief["id"]])
    post(kit, late, brief, both)
    clock.advance(30)
    look(kit)
    assert both["id"] not in held(kit)
    assert "(deny-share-until)" in staged(kit)[both["id"]]


def test_terms_that_end_before_they_begin_are_refused_at_once_and_nothing_waits(
    kit: HubKit, clock: StoppedClock
) -> None:
    late = sharing_terms(kit.agreement, release_at=moment(clock, 20))
    brief = sharing_terms(kit.agreement, share_until=moment(clock, 20))
    both = indicator(object_marking_refs=[late["id"], brief["id"]])
    status = post(kit, late, brief, both)
    assert status["success_count"] == 2
    (refused,) = status["failures"]
    assert refused["id"] == both["id"]
    assert "nobody could ever have it" in refused["message"]
    assert "(deny-share-until)" in refused["message"]
    assert staged(kit).keys() == {late["id"]}


def test_what_is_cancelled_before_its_moment_never_enters(kit: HubKit, clock: StoppedClock) -> None:
    terms, mine = under(kit, release_at=moment(clock, 5))
    post(kit, terms, mine)
    path = f"/staged/{kit.agreement}/indicators/{mine['id']}/"
    answer = kit.client("uslgb").delete(path, headers=PLAIN)
    assert answer.status_code == 200, answer.text
    assert [one["id"] for one in answer.json()["cancelled"]] == [mine["id"]]
    assert kit.client("uslgb").delete(path, headers=PLAIN).status_code == 404
    clock.advance(6)
    look(kit)
    assert held(kit) == {terms["id"]}
    assert [(one.who, one.n, one.st) for one in acts(kit, "cancel-staged")] == [
        ("uslgb", 1, 200),
        ("uslgb", 0, 404),
    ]


def test_cancelling_leaves_what_the_collection_holds(kit: HubKit, clock: StoppedClock) -> None:
    first = indicator()
    post(kit, first)
    terms = sharing_terms(kit.agreement, release_at=moment(clock, 5))
    later = {**first, "modified": "2026-03-01T00:00:00.000Z", "object_marking_refs": [terms["id"]]}
    post(kit, terms, later)
    kit.client("uslgb").delete(f"/staged/{kit.agreement}/indicators/{first['id']}/", headers=PLAIN)
    assert held(kit) == {first["id"]}
    assert staged(kit).keys() == {terms["id"]}


def test_a_taxii_delete_cancels_what_waits_too(kit: HubKit, clock: StoppedClock) -> None:
    terms, mine = under(kit, release_at=moment(clock, 5))
    post(kit, terms, mine)
    assert kit.client("uslgb").delete(kit.path("indicators", f"objects/{mine['id']}/")).status_code == 200
    assert staged(kit).keys() == {terms["id"]}
    (event,) = acts(kit, "withdraw")
    assert (event.n, event.first, event.last) == (1, 0, 0)


def test_the_steward_takes_back_what_anybody_has_waiting(kit: HubKit, clock: StoppedClock) -> None:
    terms, mine = under(kit, release_at=moment(clock, 5))
    post(kit, terms, mine)
    theirs = indicator(
        id=mine["id"], name="Another's", object_marking_refs=[own := terms_of_los_angeles(kit, clock)]
    )
    post(kit, theirs, member="uslax")
    hub, collection = kit.hub, kit.collection_value("indicators")
    epoch = hub.registry.epoch()
    with pytest.raises(Unavailable, match="rules changed"):
        cancel(kit, collection, epoch - 1, mine["id"])
    assert [row.id for row in cancel(kit, collection, epoch, mine["id"])] == [mine["id"]] * 2
    with pytest.raises(NotFound):
        cancel(kit, collection, epoch, mine["id"])
    assert staged(kit).keys() == {terms["id"]}
    assert staged(kit, member="uslax").keys() == {own}
    pending = [one for one in hub.writer.pending() if one.act == "cancel-staged"]
    assert {(one.who, one.cred) for one in pending} == {("uslax", "steward"), ("uslgb", "steward")}


def terms_of_los_angeles(kit: HubKit, clock: StoppedClock) -> str:
    """Post terms of Los Angeles under an embargo; return their id."""
    terms = sharing_terms(kit.agreement, release_at=moment(clock, 50))
    post(kit, terms, member="uslax")
    return str(terms["id"])
