"""The machine's clock jumps by an hour, forth or back, while the hub serves: stamps stay right, none is lost.

The hub sees the jump against the clock that cannot jump and stops publishing, with a text that says so;
reading goes on. It publishes again when the clock is right again, or after a restart when it stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubkit import HubKit, StoppedClock, make_hub
from lightship.core.time import format_stamp
from lightship.storage.fsck import fsck
from lightship.system_clock import SystemClock
from lightship.wiring import make_app, open_hub
from stixsamples import indicator

HOUR = 3600 * 1_000_000
DATE = "x-taxii-date-added-last"


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(SystemClock().now())


@pytest.fixture
def kit(tmp_path: Path, clock: StoppedClock) -> Iterator[HubKit]:
    with make_hub(tmp_path, "sqlite", clock=clock) as made:
        held, agreement, hub_dir = made.held, made.agreement, made.hub.dir
    with reopened(hub_dir, clock, agreement, held) as again:
        yield again


def reopened(hub_dir: Path, clock: StoppedClock, agreement: str, held: Any) -> HubKit:
    hub = open_hub(hub_dir, clock=clock)
    return HubKit(hub, make_app(hub), agreement, held)


def post(kit: HubKit) -> Any:
    with kit.client("uslgb") as client:
        one = indicator()
        answer = client.post(kit.path("indicators", "objects/"), json={"objects": [one]})
    if answer.status_code == 202:
        assert answer.json()["success_count"] == 1
    return answer


def dates(kit: HubKit) -> list[str]:
    with kit.client("uslax") as client:
        answer = client.get(kit.path("indicators", "manifest/"))
    assert answer.status_code == 200
    return [one["date_added"] for one in answer.json().get("objects", [])]


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["an hour ahead", "an hour back"])
def test_a_jump_stops_publishing_and_says_so_and_reading_goes_on(
    kit: HubKit, clock: StoppedClock, jump: int
) -> None:
    assert post(kit).status_code == 202
    clock.advance(1)
    before = dates(kit)
    clock.at += jump
    answer = post(kit)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) == 60
    told = answer.json()
    assert told["title"].startswith("Publishing has stopped: the hub's clock has jumped. Set the clock right")
    assert f"{jump // 1_000_000:+d} s" in told["description"]
    assert dates(kit) == before
    clock.at -= jump
    clock.advance(1)
    assert post(kit).status_code == 202
    after = dates(kit)
    assert after[:-1] == before
    assert after == sorted(set(after))
    near = format_stamp(clock.at + 2_000_000)
    assert after[-1] < near


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["an hour ahead", "an hour back"])
def test_a_process_that_starts_after_the_jump_does_not_take_the_wrong_clock_for_right(
    kit: HubKit, clock: StoppedClock, jump: int
) -> None:
    """A command of the steward's, or a worker that was started again, while another process serves."""
    assert post(kit).status_code == 202
    clock.at += jump
    for _ in range(2):
        with reopened(kit.hub.dir, clock, "exercise", kit.held) as late:
            answer = post(late)
            assert answer.status_code == 503
            assert "the hub's clock has jumped" in answer.json()["title"]
    assert post(kit).status_code == 503
    clock.at -= jump
    clock.advance(1)
    with reopened(kit.hub.dir, clock, "exercise", kit.held) as right:
        assert post(right).status_code == 202
    assert not fsck(kit.hub.dir / "data").findings


def test_after_a_restart_with_the_clock_an_hour_ahead_it_publishes_with_that_clock(
    kit: HubKit, clock: StoppedClock
) -> None:
    assert post(kit).status_code == 202
    held, hub_dir = kit.held, kit.hub.dir
    kit.close()
    clock.at += HOUR
    with reopened(hub_dir, clock, "exercise", held) as ahead:
        assert post(ahead).status_code == 202
        first, second = dates(ahead)
        assert second > format_stamp(clock.at) > first


def test_after_a_restart_with_the_clock_an_hour_back_it_waits_rather_than_stamp_ahead(
    kit: HubKit, clock: StoppedClock
) -> None:
    """Stamps rise strictly, so the next one would lie an hour in the future: it waits for the clock."""
    assert post(kit).status_code == 202
    held, hub_dir, before = kit.held, kit.hub.dir, dates(kit)
    kit.close()
    clock.at -= HOUR
    with reopened(hub_dir, clock, "exercise", held) as behind:
        answer = post(behind)
        assert answer.status_code == 503
        assert "waits for the clock" in answer.json()["title"]
        assert 3000 < int(answer.headers["retry-after"]) <= 3600
        assert dates(behind) == before
        clock.advance(int(answer.headers["retry-after"]))
        assert post(behind).status_code == 202
        after = dates(behind)
        assert after[0] == before[0] < after[1]
    assert not fsck(hub_dir / "data").findings


def test_a_poller_misses_nothing_over_a_jump_and_its_end(kit: HubKit, clock: StoppedClock) -> None:
    """By `added_after` from the last header, as clients do."""
    seen: list[str] = []
    place, after = kit.path("indicators", "objects/"), ""

    def poll() -> None:
        nonlocal after
        with kit.client("uslax") as client:
            answer = client.get(place, params={"added_after": after} if after else {})
        assert answer.status_code == 200
        seen.extend(one["id"] for one in answer.json().get("objects", []))
        after = answer.headers.get(DATE, after)

    accepted = 0
    for jump in (0, HOUR, -HOUR, -HOUR, HOUR):
        clock.at += jump
        for _ in range(3):
            accepted += post(kit).status_code == 202
            clock.advance(0.5)
            poll()
    assert accepted == 9, "at the first, third and fifth place the clock is right"
    assert len(seen) == len(set(seen)) == 9


def test_the_access_log_goes_on_over_a_jump(kit: HubKit, clock: StoppedClock) -> None:
    count = len(kit.events())
    for jump in (HOUR, -2 * HOUR, HOUR):
        clock.at += jump
        dates(kit)
        post(kit)
    found = [event for event in kit.events() if event.act != "log-late"]  # says which ones were out of order
    assert len(found) == count + 6
    assert sorted(event.st for event in found)[-2:] == [503, 503]
