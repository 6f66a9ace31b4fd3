"""Nothing is ever lost by a poller: eight publishers, nine pollers, the hub killed with -9 twice a round."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from livehub import LiveHub, live_hub
from traffic import Crew, Poller, Publisher

WAYS = ("next", "date", "clock")
LIMITS = (7, 100, 1000)


def one_round(hub: LiveHub, path: str, pollers: list[Poller], number: int, envelopes: int) -> int:
    """Publish and poll at once, killing the hub twice; return how many versions were accepted."""
    deadline = time.monotonic() + 120
    done = threading.Event()
    rng = random.Random(number)
    publishers = [
        Publisher(hub, ("uslgb", "uslax")[n % 2], path, number * 100 + n, envelopes, 500) for n in range(8)
    ]
    publishing, polling = Crew(), Crew()
    for publisher in publishers:
        publishing.start(publisher.run, deadline)
    for poller in pollers:
        polling.start(poller.run, deadline, done)
    for _ in range(2):
        time.sleep(rng.uniform(0.1, 0.8))
        if hub.workers == 1:
            hub.kill()
            hub.start()
        elif workers := hub.worker_pids():  # it is started again by itself
            os.kill(rng.choice(workers), signal.SIGKILL)
    publishing.join(deadline)
    done.set()
    polling.join(deadline)
    accepted = {version for publisher in publishers for version in publisher.accepted}
    for poller in pollers:
        what = f"round {number}, {poller.way} at limit {poller.limit}"
        assert not accepted - poller.seen.keys(), f"{what} lost objects"
        if poller.way != "clock":
            assert max(poller.seen.values()) == 1, f"{what} got an object twice"
        poller.seen.clear()
    return len(accepted)


def loss_test(parent: Path, rounds: int, envelopes: int, workers: int = 1) -> int:
    with live_hub(parent, sample="reference", members=("uslgb", "uslax"), workers=workers) as hub:
        path = f"collections/{hub.collection('public')}/objects/"
        pollers = [Poller(hub, "uslax", path, way, limit) for way in WAYS for limit in LIMITS]
        accepted = sum(one_round(hub, path, pollers, number, envelopes) for number in range(rounds))
        hub.stop()
        hub.command("fsck")
    return accepted


def test_nothing_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    assert loss_test(tmp_path, rounds=1, envelopes=3) > 1000


def test_nothing_is_lost_by_two_processes_of_which_one_dies(tmp_path: Path) -> None:
    assert loss_test(tmp_path, rounds=1, envelopes=3, workers=2) > 1000


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_lost_and_nothing_comes_twice_in_20_rounds(tmp_path: Path, workers: int) -> None:
    accepted = loss_test(tmp_path, rounds=20, envelopes=4, workers=workers)
    print(f"20 rounds, {workers} at work, {accepted} object versions accepted, none lost, none twice")
