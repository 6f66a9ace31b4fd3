"""Withdrawals and objects across crashes: a tool that takes in what it is handed ends with what is live.

Whatever is published, withdrawn, put back, and wherever the consumer dies: nothing is lost, and what comes
again is told by (entry, id, version).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.client.verifying import VerifiedPull, pull_parts
from logworld import Consumer
from simulator import AGREEMENT, Simulator, indicator, withdrawal_of

Feed = list[tuple[int, str, str]]


@dataclass
class Tool:
    """A block list: forgets first, then stores; keeps every withdrawal that it was ever told."""

    stored: dict[str, str] = field(default_factory=dict)
    told: Feed = field(default_factory=list)

    def take(self, part: VerifiedPull) -> None:
        for one in part.report.gone:
            self.told.append((one.index, one.id, one.version))
            if self.stored.get(one.id) == one.digest:
                del self.stored[one.id]
        for body in part.bodies():
            self.stored[json.loads(body)["id"]] = hashlib.sha256(body).hexdigest()


def parts_of(consumer: Consumer, part: int) -> Iterator[VerifiedPull]:
    path = f"/{AGREEMENT}/collections/{consumer.hub.collection}/"
    with consumer.kept() as kept:
        yield from pull_parts(
            *(consumer.connection, path, consumer.source, kept, consumer.hub.clock), part=part, strict=False
        )


class World:
    """A hub, its objects that are live, and every withdrawal there was."""

    def __init__(self) -> None:
        self.hub = Simulator()
        self.live: set[int] = set()
        self.gone: Feed = []

    def step(self, number: int) -> None:
        """Publish an object that is not there, else withdraw it."""
        one = indicator(number)
        if number in self.live:
            index = self.hub.attest("uslgb", withdraw=[withdrawal_of(one)])
            self.gone.append((index, one["id"], one["modified"]))
            self.live.remove(number)
        else:
            self.hub.attest("uslgb", one)
            self.live.add(number)

    def ids(self) -> set[str]:
        return {indicator(number)["id"] for number in self.live}


CRASH = st.sampled_from(["no", "before", "after", "between"])
ROUND = st.tuples(st.lists(st.integers(0, 7), max_size=8), st.integers(1, 4), CRASH, st.integers(0, 7))


@settings(max_examples=60, deadline=None)
@given(st.lists(ROUND, min_size=1, max_size=6))
def test_no_withdrawal_is_lost_and_repeats_can_be_told(
    rounds: list[tuple[list[int], int, str, int]],
) -> None:
    world, tool = World(), Tool()
    with tempfile.TemporaryDirectory() as folder:
        consumer = Consumer(world.hub, Path(folder) / "state")
        for steps, part, crash, late in [*rounds, ([], 3, "no", -1), ([], 3, "no", -1)]:
            for number in steps:
                world.step(number)
            if late >= 0:
                world.hub.between = lambda late=late: world.step(late)
            for one in parts_of(consumer, part):
                assert one.report.ok, (one.report.findings, one.report.failures, one.report.missing)
                if crash == "before":
                    break
                tool.take(one)
                if crash == "after":
                    break
                one.keep()
                if crash == "between":
                    break
            world.hub.between = None
    assert sorted(set(tool.told)) == sorted(world.gone)
    assert tool.stored.keys() == world.ids()


def test_killed_between_handing_on_and_keeping(tmp_path: Path) -> None:
    """The process is killed with -9 after it wrote the feed and before it kept the state, ten times."""
    world, feed = World(), tmp_path / "feed"
    consumer = Consumer(world.hub, tmp_path / "state")
    for number in range(6):
        world.step(number)
    for round_ in range(10):
        world.step(round_ % 6)
        child = os.fork()
        if child == 0:
            for part in parts_of(consumer, 2):
                with feed.open("a") as file:
                    for one in part.report.gone:
                        file.write(json.dumps([one.index, one.id, one.version]) + "\n")
                if round_ % 3 != 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                part.keep()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in {0, -signal.SIGKILL}
    for part in parts_of(consumer, 100):
        with feed.open("a") as file:
            for one in part.report.gone:
                file.write(json.dumps([one.index, one.id, one.version]) + "\n")
        part.keep()
    lines = [tuple(json.loads(line)) for line in feed.read_text().splitlines()]
    assert len(lines) > len(world.gone)
    assert sorted(set(lines)) == sorted(world.gone)
