"""What was acknowledged survives kill -9: it is there, fsck is clean, no effect without its event.

The access log goes on from where every earlier check saw it, and holds what every receipt was given for.
"""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from livehub import LiveHub, live_hub
from traffic import Crew, Poller, Publisher


@dataclass
class Log:
    """What an auditor keeps of a hub's access log from check to check."""

    hub: LiveHub
    folder: Path
    receipts: list[str] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)

    def check(self) -> None:
        """Export the log and verify it against all that was kept."""
        out = self.folder / f"export-{len(self.kept)}"
        told = self.hub.command("audit", "export", self.hub.agreement, "--out", str(out), "--json")
        (self.folder / "hub.keys").write_text(json.loads(told)["key"])
        (self.folder / "receipts").write_text("\n".join([*self.receipts, ""]))
        since = [word for path in self.kept for word in ("--since", str(path))]
        given = ["--receipts", str(self.folder / "receipts")] if self.receipts else []
        said = self.hub.command("verify", str(out), "--root", str(self.folder / "hub.keys"), *since, *given)
        assert said.startswith("OK: ")
        (year,) = out.glob("20*")
        self.kept.append(year / "checkpoint")


def one_round(hub: LiveHub, path: str, number: int, receipts: list[str]) -> set[tuple[str, str]]:
    """Publish with four clients at once, kill the hub at a random moment, start it again."""
    stop = threading.Event()
    deadline = time.monotonic() + 60
    crew = Crew()
    publishers = [
        Publisher(hub, ("uslgb", "uslax")[n % 2], path, number * 100 + n, 10_000, 40) for n in range(4)
    ]
    for publisher in publishers:
        crew.start(publisher.run, deadline, stop)
    time.sleep(random.Random(number).uniform(0.02, 0.5))
    hub.kill()
    stop.set()
    hub.start()
    crew.join(deadline)
    receipts.extend(one for publisher in publishers for one in publisher.receipts)
    return {version for publisher in publishers for version in publisher.accepted}


def kill_loop(parent: Path, rounds: int, *, fsck_every: int) -> tuple[int, int]:
    """Return how many object versions were acknowledged and how many publishes were logged."""
    with live_hub(parent, sample="reference", members=("uslgb", "uslax")) as hub:
        path = f"collections/{hub.collection('public')}/objects/"
        poller = Poller(hub, "uslax", path, "next", 1000)
        acknowledged: set[tuple[str, str]] = set()
        log = Log(hub, parent)
        for number in range(rounds):
            acknowledged |= one_round(hub, path, number, log.receipts)
            log.check()
            if (number + 1) % fsck_every == 0:
                check(hub, poller, acknowledged)
        check(hub, poller, acknowledged)
        logged = hub.command("audit", "search", "--action", "publish", "--json", "--limit", "1000000")
        events = [json.loads(line) for line in logged.splitlines()]
    return len(acknowledged), len(events)


def check(hub: LiveHub, poller: Poller, acknowledged: set[tuple[str, str]]) -> None:
    with hub.client("uslax") as client:
        poller.drain(client, time.monotonic() + 60)
    assert not acknowledged - poller.seen.keys(), "an acknowledged object is gone"
    assert max(poller.seen.values()) == 1
    hub.command("fsck")


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    objects, events = kill_loop(tmp_path, 4, fsck_every=4)
    assert objects > 0
    assert events > 0


@pytest.mark.long
def test_what_was_acknowledged_survives_kill_9_in_200_rounds(tmp_path: Path) -> None:
    objects, events = kill_loop(tmp_path, 200, fsck_every=20)
    print(f"200 rounds, {objects} object versions acknowledged, {events} publishes logged")
