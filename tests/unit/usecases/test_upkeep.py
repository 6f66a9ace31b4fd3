"""What the hub does by itself: each object released once at its moment, withdrawn at its end, on record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hubkit import Date, HubKit, StoppedClock, Store, make_hub
from lightship.core.audit import AccessEvent
from lightship.core.errors import NotFound, Unavailable
from lightship.core.ports import Row
from lightship.core.time import Micros, format_stamp
from lightship.usecases import upkeep as upkeep_module
from lightship.usecases.staged import cancel_for
from lightship.usecases.upkeep import Upkeep
from lightship.wiring import make_app, open_hub
from stixsamples import Stix, indicator, sharing_terms, statement_marking

STORES: tuple[Store, ...] = ("memory", "sqlite")
COLLECTIONS: Any = {"indicators": {}, "kept": {"retention_days": 7}}
DAY = 86_400
PLAIN = {"Accept": "application/json"}


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture(params=STORES)
def kit(request: pytest.FixtureRequest, tmp_path: Path, clock: StoppedClock) -> Iterator[HubKit]:
    with make_hub(tmp_path, request.param, collections=COLLECTIONS, clock=clock) as made:
        yield made


@pytest.fixture
def on_disk(tmp_path: Path, clock: StoppedClock) -> Iterator[HubKit]:
    with make_hub(tmp_path, "sqlite", collections=COLLECTIONS, clock=clock) as made:
        yield made


def moment(clock: StoppedClock, seconds: float) -> str:
    return format_stamp(clock.now() + int(seconds * 1_000_000))


def look(kit: HubKit) -> float:
    """Let the hub do what is due; return the seconds until the next moment that it knows of."""
    assert kit.app.upkeep is not None
    following = kit.loop.run_until_complete(kit.app.upkeep.round())
    return (following - kit.hub.clock.now()) / 1_000_000


def post(kit: HubKit, *objects: Stix, alias: str = "indicators", member: str = "uslgb") -> Any:
    answer = kit.client(member).post(kit.path(alias, "objects/"), json={"objects": list(objects)})
    assert answer.status_code == 202, answer.text
    return answer.json()


def held(kit: HubKit, alias: str = "indicators") -> set[str]:
    answer = kit.client("uslax").get(kit.path(alias, "objects/"), params={"limit": 5000})
    assert answer.status_code == 200, answer.text
    return {one["id"] for one in answer.json().get("objects", [])}


def staged(kit: HubKit, alias: str = "indicators", member: str = "uslgb") -> dict[str, str]:
    """Return id -> problem."""
    answer = kit.client(member).get(f"/staged/{kit.agreement}/{alias}/", headers=PLAIN)
    assert answer.status_code == 200, answer.text
    return {one["id"]: one["problem"] for one in answer.json()["staged"]}


def under(kit: HubKit, **terms: str) -> list[Stix]:
    """Return terms and an indicator under them."""
    marking = sharing_terms(kit.agreement, **terms)
    return [marking, indicator(object_marking_refs=[marking["id"]])]


def ids(objects: list[Stix]) -> set[str]:
    return {one["id"] for one in objects}


def acts(kit: HubKit, *names: str) -> list[AccessEvent]:
    return [one for one in kit.events() if one.act in names]


def owed(kit: HubKit) -> list[str]:
    """Return the acts whose effect is there and whose event is not in the log yet."""
    return [one.act for one in kit.hub.writer.pending() if one.cred == "hub"]


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
    marking = sharing_terms(kit.agreement, release_at=moment(clock, 1))
    many = [marking, *(indicator(object_marking_refs=[marking["id"]]) for _ in range(599))]
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


def test_share_until_ends_in_a_withdrawal_with_its_event(kit: HubKit, clock: StoppedClock) -> None:
    brief, stays = under(kit, share_until=moment(clock, 30)), indicator()
    post(kit, *brief, stays)
    assert look(kit) == 30
    assert held(kit) == ids(brief) | {stays["id"]}
    clock.advance(30)
    look(kit)
    assert held(kit) == {stays["id"]}
    events = acts(kit, "expire")
    assert {(one.why, one.cred, one.who) for one in events} == {("share-until", "hub", "")}
    assert sum(one.n for one in events) == 2
    again = post(kit, brief[1])
    assert again["failure_count"] == 1


def test_what_was_to_be_shared_until_before_now_never_enters(kit: HubKit, clock: StoppedClock) -> None:
    status = post(kit, *under(kit, share_until=moment(clock, -1)), indicator())
    assert status["success_count"] == 1
    assert all("(deny-share-until)" in one["message"] for one in status["failures"])
    assert len(status["failures"]) == 2


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


def test_retention_ends_in_a_withdrawal_and_spares_what_is_still_cited(
    kit: HubKit, clock: StoppedClock
) -> None:
    cited, old = statement_marking(), indicator()
    post(kit, cited, old, indicator(object_marking_refs=[cited["id"]]), alias="kept")
    post(kit, indicator(), alias="indicators")
    clock.advance(6 * DAY)
    young = indicator(object_marking_refs=[cited["id"]])
    post(kit, young, alias="kept")
    look(kit)
    assert len(held(kit, "kept")) == 4
    clock.advance(DAY + 1)
    look(kit)
    assert held(kit, "kept") == {cited["id"], young["id"]}
    assert len(held(kit)) == 1
    (event,) = acts(kit, "expire")
    assert (event.why, event.n) == ("retention", 2)
    clock.advance(7 * DAY)
    look(kit)
    look(kit)
    assert held(kit, "kept") == set()


def test_a_hub_that_was_away_catches_up_when_it_starts(on_disk: HubKit, clock: StoppedClock) -> None:
    kit = on_disk
    secret, brief = under(kit, release_at=moment(clock, 60)), under(kit, share_until=moment(clock, 60))
    post(kit, *secret, *brief)
    post(kit, indicator(), alias="kept")
    clock.advance(30 * DAY)
    hub = open_hub(kit.hub.dir, clock=clock)
    with HubKit(hub, make_app(hub), kit.agreement, kit.held) as reopened:
        look(reopened)
        assert held(reopened) == ids(secret)
        assert held(reopened, "kept") == set()


def test_what_ended_while_the_hub_was_away_is_out_before_anybody_is_served(
    on_disk: HubKit, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        """The work that goes on while the hub is served."""

    kit = on_disk
    brief, stays = under(kit, share_until=moment(clock, 60)), indicator()
    post(kit, *brief, stays)
    clock.advance(61)
    monkeypatch.setattr(Upkeep, "run", nothing)
    with kit.serve() as served, served.client("uslax") as client:
        assert client.get(kit.path("indicators", f"objects/{brief[1]['id']}/")).status_code == 404
        assert client.get(kit.path("indicators", f"objects/{stays['id']}/")).status_code == 200


def test_what_cannot_be_taken_out_at_the_start_is_tried_again(
    kit: HubKit, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(*_: object) -> None:
        raise Unavailable("The disk is full")

    brief = under(kit, share_until=moment(clock, 60))
    post(kit, *brief)
    clock.advance(61)
    assert kit.app.upkeep is not None
    with monkeypatch.context() as patch:
        patch.setattr("lightship.usecases.upkeep.Expire.__call__", full)
        kit.loop.run_until_complete(kit.app.upkeep.prepare())
    assert "could not be taken out: The disk is full" in caplog.text
    look(kit)
    assert held(kit) == set()


def test_two_processes_on_one_store_release_and_withdraw_once(on_disk: HubKit, clock: StoppedClock) -> None:
    kit = on_disk
    marking = sharing_terms(kit.agreement, release_at=moment(clock, 1))
    many = [marking, *(indicator(object_marking_refs=[marking["id"]]) for _ in range(400))]
    brief = under(kit, share_until=moment(clock, 1))
    post(kit, *many, *brief)
    clock.advance(2)
    other = open_hub(kit.hub.dir, clock=clock)
    second = make_app(other).upkeep
    assert kit.app.upkeep is not None
    assert second is not None

    async def both(one: Upkeep, two: Upkeep) -> None:
        await asyncio.gather(one.round(), two.round())

    kit.loop.run_until_complete(both(kit.app.upkeep, second))
    other.close()
    assert held(kit) == ids(many)
    counts = [kit.app.upkeep.counts, second.counts]
    assert sum(one["released"] for one in counts) == 401
    assert sum(one["expired"] for one in counts) == 2
    assert sum(one.n for one in acts(kit, "release")) == 401
    assert sum(one.n for one in acts(kit, "expire")) == 2


def test_an_event_that_could_not_be_recorded_is_recorded_later(
    kit: HubKit, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(kit, *under(kit, release_at=moment(clock, 1)))
    clock.advance(2)

    def full(event: AccessEvent) -> Future[None]:
        failed: Future[None] = Future()
        failed.set_exception(Unavailable("The disk is full"))
        return failed

    assert kit.app.upkeep is not None
    with monkeypatch.context() as patch:
        patch.setattr(kit.hub.access, "record", full)
        look(kit)
    assert owed(kit) == ["release"]
    assert acts(kit, "release") == []
    look(kit)
    assert len(acts(kit, "release")) == 1
    post(kit, indicator())  # the next write forgets what has reached the log
    assert owed(kit) == []


def test_a_fault_is_logged_and_it_goes_on(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    task, rounds = kit.app.upkeep, 0
    assert task is not None
    real = task.round

    end = asyncio.Event()

    async def sometimes(_: Any) -> Any:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise Unavailable("The disk is full")
        if rounds == 2:
            raise RuntimeError("unforeseen")
        end.set()
        return await real()

    monkeypatch.setattr(task, "round", sometimes)
    monkeypatch.setattr(upkeep_module, "LONGEST_SLEEP_S", 0.01)
    kit.loop.run_until_complete(asyncio.wait_for(task.run(end), 10))
    assert rounds == 3
    said = [one.getMessage() for one in caplog.records if one.name == "lightship.upkeep"]
    assert ["The disk is full" in said[0], "unforeseen" in said[1]] == [True, True]


def test_a_post_with_a_nearer_moment_and_a_change_of_rules_wake_it(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, rounds = kit.app.upkeep, 0
    assert task is not None

    async def nothing(_: Any) -> Any:
        nonlocal rounds
        rounds += 1
        return kit.hub.clock.now() + 30_000_000

    monkeypatch.setattr(task, "round", nothing)

    async def scenario() -> list[int]:
        end = asyncio.Event()
        running = asyncio.create_task(task.run(end))
        seen = []

        async def settle() -> None:
            for _ in range(20):
                await asyncio.sleep(0)
            seen.append(rounds)

        await settle()
        task.wake(Micros(kit.hub.clock.now() + 40_000_000))
        await settle()
        task.wake(Micros(kit.hub.clock.now() + 20_000_000))
        await settle()
        await asyncio.to_thread(kit.hub.directory.on_change)
        await settle()
        end.set()
        await asyncio.wait_for(running, 5)
        return seen

    assert kit.loop.run_until_complete(scenario()) == [1, 1, 2, 3]


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


def test_events_of_the_hub_itself_have_requests_of_their_own(kit: HubKit, clock: StoppedClock) -> None:
    for _ in range(3):
        post(kit, *under(kit, release_at=moment(clock, 1)))
        clock.advance(2)
        look(kit)
    reqs = [one.req for one in kit.events()]
    assert len(set(reqs)) == len(reqs)
    assert len(acts(kit, "release")) == 3


def test_the_steward_takes_back_what_anybody_has_waiting(kit: HubKit, clock: StoppedClock) -> None:
    terms, mine = under(kit, release_at=moment(clock, 5))
    post(kit, terms, mine)
    theirs = indicator(
        id=mine["id"], name="Another's", object_marking_refs=[own := terms_of_los_angeles(kit, clock)]
    )
    post(kit, theirs, member="uslax")
    hub, collection = kit.hub, kit.collection_value("indicators")

    def cancel(epoch: int) -> list[Row]:
        return cancel_for(
            hub.reader,
            hub.writer,
            collection,
            epoch,
            mine["id"],
            now=hub.clock.now(),
            new_request=lambda: uuid4().hex,
        )

    epoch = hub.registry.epoch()
    with pytest.raises(Unavailable, match="rules changed"):
        cancel(epoch - 1)
    assert [row.id for row in cancel(epoch)] == [mine["id"]] * 2
    with pytest.raises(NotFound):
        cancel(epoch)
    assert staged(kit).keys() == {terms["id"]}
    assert staged(kit, member="uslax").keys() == {own}
    pending = [one for one in hub.writer.pending() if one.act == "cancel-staged"]
    assert {(one.who, one.cred) for one in pending} == {("uslax", "steward"), ("uslgb", "steward")}


def terms_of_los_angeles(kit: HubKit, clock: StoppedClock) -> str:
    """Post terms of Los Angeles under an embargo; return their id."""
    terms = sharing_terms(kit.agreement, release_at=moment(clock, 50))
    post(kit, terms, member="uslax")
    return str(terms["id"])
