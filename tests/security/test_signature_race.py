"""No unsigned statement stands in a log behind the version of the agreement that asks for signatures.

A post is decided before it is written. In between the agreement may change: what was decided under the
version before is then decided anew, since the write compares the policy epoch.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hubkit import HubKit, StoppedClock, make_hub
from lightship.core.access import Action, Grant, System
from lightship.core.log import leaf
from lightship.storage.sqlite.transaction import Head, Transaction
from stixsamples import Stix, indicator
from upkeeplab import look, moment, post, staged, under

Patch = pytest.MonkeyPatch


def switch(kit: HubKit, *, on: bool) -> None:
    """Put the next version in force."""
    kit.add_agreement(kit.agreement, collections={"indicators": {"require_signature": on}})


def unsigned_behind(kit: HubKit) -> list[int]:
    """Return the indexes of unsigned adds and withdrawals that stand where signatures are asked for."""
    required = {}
    for version in kit.hub.registry.chain(kit.agreement):
        required[version.version] = b'"require_signature":true' in version.payload
    where = kit.collection_value("indicators")
    grant = Grant(System("test"), Action.READ, where, kit.hub.registry.epoch())
    found, in_force, first = list[int](), 0, 0
    while batch := kit.hub.logs.entries(grant, first, 1_000):
        for index, entry in enumerate(batch, first):
            one = leaf.read(entry)
            if isinstance(one, leaf.AgreementChange):
                in_force = one.agreement
            elif (
                isinstance(one, leaf.Publication) and one.by and not one.statement.key and required[in_force]
            ):
                found.append(index)
        first += len(batch)
    return found


def blind() -> Callable[[Transaction, Grant], Head]:
    """Return an `enter` that lets writes in whatever epoch they were decided under."""
    enter = Transaction.enter

    def anyway(self: Transaction, grant: Grant) -> Head:
        late = Grant(grant.subject, grant.action, grant.collection, self.epoch, grant.decision)
        return enter(self, late)

    return anyway


@contextmanager
def holding(tmp_path: Path, clock: StoppedClock) -> Iterator[tuple[HubKit, Stix]]:
    """A hub that holds an object, and others whose release waits for a minute."""
    with make_hub(tmp_path, "sqlite", clock=clock) as kit:
        held = indicator()
        post(kit, held)
        post(kit, *under(kit, release_at=moment(clock, 60)))
        yield kit, held


def between(kit: HubKit, monkeypatch: Patch, write: str) -> None:
    """Change the agreement once a write has been decided and before the store has it."""
    held: Any = kit.hub.writer
    original, done = getattr(held, write), list[int]()

    def late(request: Any) -> Any:
        if not done:
            done.append(1)
            switch(kit, on=True)
        return original(request)

    monkeypatch.setattr(held, write, late)


def act(kit: HubKit, clock: StoppedClock, write: str, held: Stix) -> int:
    """Do what leads to this kind of write; return the HTTP status, 0 where there is none."""
    path = kit.path("indicators", "objects/")
    if write == "release":
        clock.advance(61)
        look(kit)
        look(kit)  # what was decided under the other version is decided anew
        return 0
    with kit.client("uslgb") as client:
        if write == "publish":
            return client.post(path, json={"objects": [indicator()]}).status_code
        return client.delete(f"{path}{held['id']}/").status_code


@pytest.mark.parametrize("write", ["publish", "withdraw", "release"])
def test_a_write_decided_before_the_switch_is_decided_anew(
    tmp_path: Path, monkeypatch: Patch, write: str
) -> None:
    clock = StoppedClock()
    with holding(tmp_path, clock) as (kit, held):
        between(kit, monkeypatch, write)
        assert act(kit, clock, write, held) in {0, 403}
        assert unsigned_behind(kit) == []
        problems = staged(kit).values()
        assert write != "release" or all("deny-unsigned" in one for one in problems)
        assert len(problems) == 2


@pytest.mark.parametrize("write", ["publish", "withdraw", "release"])
def test_without_the_comparison_of_epochs_it_would_stand_behind_the_switch(
    tmp_path: Path, monkeypatch: Patch, write: str
) -> None:
    clock = StoppedClock()
    with holding(tmp_path, clock) as (kit, held):
        monkeypatch.setattr(Transaction, "enter", blind())
        between(kit, monkeypatch, write)
        act(kit, clock, write, held)
        assert len(unsigned_behind(kit)) == 1


def run_rounds(tmp_path: Path, rounds: int) -> tuple[int, int]:
    """Switch so often while three clients post; return how many posts were taken and how many refused."""
    dice, end, answers = random.Random(41), threading.Event(), list[int]()

    def publish(url: Any) -> None:
        with url.client("uslgb") as client:
            path = kit.path("indicators", "objects/")
            while not end.is_set():
                one = indicator()
                answers.append(client.post(path, json={"objects": [one]}).status_code)
                if answers[-1] == 202 and len(answers) % 3 == 0:
                    client.delete(f"{path}{one['id']}/")

    with make_hub(tmp_path, "sqlite") as kit, kit.serve() as url:
        clients = [threading.Thread(target=publish, args=(url,)) for _ in range(3)]
        for one in clients:
            one.start()
        try:
            for number in range(rounds):
                switch(kit, on=number % 2 == 0)
                time.sleep(dice.uniform(0.005, 0.04))
        finally:
            end.set()
            for one in clients:
                one.join(30)
        assert unsigned_behind(kit) == []
    assert set(answers) <= {202, 403}
    return answers.count(202), answers.count(403)


def test_no_unsigned_statement_stands_behind_the_switch_in_a_race(tmp_path: Path) -> None:
    assert min(run_rounds(tmp_path, 60)) > 5


@pytest.mark.long
def test_the_race_of_signatures_in_600_switches(tmp_path: Path) -> None:
    taken, refused = run_rounds(tmp_path, 600)
    print(f"posts taken: {taken}, refused: {refused}")
    assert min(taken, refused) > 200
