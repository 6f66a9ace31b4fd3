"""kill -9 while objects wait and are released: nothing is lost, each enters once, with its event."""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from livehub import LiveHub, live_hub
from stixsamples import sharing_terms
from traffic import Crew, Poller, Publisher, indicator


@dataclass
class Embargoer(Publisher):
    """Posts objects of which each second one waits for a short while, under terms of the same envelope."""

    def run(self, deadline: float, stop: threading.Event | None = None) -> None:
        rng = random.Random(self.seed)
        with self.hub.client(self.member) as client:
            for _ in range(self.envelopes):
                if stop is not None and stop.is_set():
                    return
                moment = datetime.now(UTC) + timedelta(seconds=rng.uniform(0.02, 0.5))
                terms = sharing_terms(self.hub.agreement, release_at=moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
                under = {"object_marking_refs": [terms["id"]]}
                held = [indicator(rng) | under for _ in range(rng.randint(1, self.largest))]
                plain = [indicator(rng) for _ in held]
                self.post(client, [*held, terms, *plain], deadline)


def waiting(hub: LiveHub) -> int:
    found = 0
    for member in ("uslgb", "uslax"):
        with hub.client(member) as client:
            answer = client.get(
                f"{hub.url}/staged/{hub.agreement}/public/", headers={"Accept": "application/json"}
            )
        assert answer.status_code == 200, answer.text
        staged = answer.json()["staged"]
        assert all(one["problem"] == "" for one in staged)
        found += len(staged)
    return found


def one_round(hub: LiveHub, path: str, number: int) -> set[tuple[str, str]]:
    """Publish with four clients at once, kill the hub at a random moment, start it again."""
    stop, crew = threading.Event(), Crew()
    deadline = time.monotonic() + 60
    publishers = [
        Embargoer(hub, ("uslgb", "uslax")[n % 2], path, number * 100 + n, 10_000, 20) for n in range(4)
    ]
    for publisher in publishers:
        crew.start(publisher.run, deadline, stop)
    time.sleep(random.Random(number).uniform(0.1, 0.8))
    hub.kill()
    stop.set()
    hub.start()
    crew.join(deadline)
    return {version for publisher in publishers for version in publisher.accepted}


def kill_loop(parent: Path, rounds: int) -> tuple[int, int]:
    """Return how many object versions were acknowledged, and how many were released."""
    with live_hub(parent, sample="reference", members=("uslgb", "uslax")) as hub:
        path = f"collections/{hub.collection('public')}/objects/"
        poller = Poller(hub, "uslax", path, "next", 1000)
        acknowledged: set[tuple[str, str]] = set()
        for number in range(rounds):
            acknowledged |= one_round(hub, path, number)
            with hub.client("uslax") as client:
                poller.drain(client, time.monotonic() + 60)
        limit = time.monotonic() + 30
        while waiting(hub):
            assert time.monotonic() < limit, "something is never released"
            time.sleep(0.05)
        with hub.client("uslax") as client:
            poller.drain(client, time.monotonic() + 60)
        assert not acknowledged - poller.seen.keys(), "an acknowledged object is gone"
        assert max(poller.seen.values()) == 1, "an object entered twice"
        hub.stop()
        hub.command("fsck")
        entered = {}
        for act in ("publish", "release"):
            logged = hub.command("audit", "search", "--action", act, "--json", "--limit", "1000000")
            entered[act] = sum(json.loads(line)["objects"] for line in logged.splitlines())
        assert sum(entered.values()) == len(poller.seen), "an effect without its event, or an event too much"
        refused = hub.command("audit", "search", "--action", "release-refused", "--json")
        assert refused == ""
    return len(acknowledged), entered["release"]


def test_what_is_held_back_survives_kill_9_and_enters_once(tmp_path: Path) -> None:
    acknowledged, released = kill_loop(tmp_path, 4)
    assert acknowledged > 0
    assert released > 0


@pytest.mark.long
def test_what_is_held_back_survives_kill_9_in_100_rounds(tmp_path: Path) -> None:
    acknowledged, released = kill_loop(tmp_path, 100)
    print(f"100 rounds, {acknowledged} object versions acknowledged, {released} released")
