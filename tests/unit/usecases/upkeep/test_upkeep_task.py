"""The task that releases and withdraws: woken in time, in several processes, after faults and restarts."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

import pytest

from hubkit import Date, HubKit, StoppedClock
from lightship.core.audit import AccessEvent
from lightship.core.errors import Unavailable
from lightship.core.time import Micros
from lightship.usecases import upkeep as upkeep_module
from lightship.usecases.upkeep import Upkeep
from lightship.wiring import make_app, open_hub
from stixsamples import indicator
from upkeeplab import (
    COLLECTIONS,
    DAY,
    acts,
    held,
    ids,
    look,
    moment,
    owed,
    post,
    under,
)


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


def test_an_agreement_that_runs_out_is_loud_in_the_log_when_it_begins_and_every_day(
    kit: HubKit, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    def said() -> list[str]:
        found = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
        caplog.clear()
        return found

    kit.add_agreement(kit.agreement, collections=COLLECTIONS, not_after=Date("2026-10-05"))
    kit.add_agreement("later", not_before=Date("2099-01-01"))
    look(kit)
    assert said() == []
    clock.advance(20 * DAY)
    look(kit)
    look(kit)
    (once,) = said()
    assert once.startswith(f"The agreement {kit.agreement} ended before 2026-10-06; publishing stops on")
    clock.advance(DAY)
    look(kit)
    assert said() == [once]
    clock.advance(30 * DAY)
    look(kit)
    assert [one.endswith("nothing can be published until it is renewed") for one in said()] == [True]
    kit.add_agreement(kit.agreement, collections=COLLECTIONS, not_after=Date("2027-10-05"))
    look(kit)
    assert said() == []


def test_two_processes_on_one_store_release_and_withdraw_once(on_disk: HubKit, clock: StoppedClock) -> None:
    kit = on_disk
    many = under(kit, 400, release_at=moment(clock, 1))
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


def test_events_of_the_hub_itself_have_requests_of_their_own(kit: HubKit, clock: StoppedClock) -> None:
    for _ in range(3):
        post(kit, *under(kit, release_at=moment(clock, 1)))
        clock.advance(2)
        look(kit)
    reqs = [one.req for one in kit.events()]
    assert len(set(reqs)) == len(reqs)
    assert len(acts(kit, "release")) == 3
