"""Verified pulls while others publish, supersede and withdraw: an honest hub is never called dishonest."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightship.client import Client, Connection
from lightship.client.following import first_look
from lightship.client.kept_log import Kept, load
from lightship.client.kept_shelf import FileShelf
from lightship.client.log_source import LogSource
from lightship.client.verifying import pull
from lightship.core.time import Micros
from lightship.crypto.sign import verify
from livehub import TAXII, LiveHub, live_hub
from stixsamples import indicator

AMBER_STRICT = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
SECONDS = 6.0


@pytest.fixture(name="hub")
def _hub(tmp_path: Path) -> Iterator[LiveHub]:
    with live_hub(tmp_path, sample="exercise", members=("uslax", "uslgb")) as hub:
        yield hub


def shelf_of(kept: Kept) -> FileShelf:
    shelf = kept.log.ledger.held.shelf
    assert isinstance(shelf, FileShelf)
    return shelf


class Writer(threading.Thread):
    """A member's tool that publishes, makes new versions, withdraws and publishes again, without a pause."""

    def __init__(self, hub: LiveHub, member: str, stop: threading.Event) -> None:
        super().__init__()
        self.hub, self.member, self.end = hub, member, stop
        self.failure: BaseException | None = None
        self.writes = 0

    def run(self) -> None:
        try:
            with self.hub.client(self.member) as client:
                while not self.end.is_set():
                    self.round(client)
        except BaseException as error:
            self.failure = error

    def round(self, client: Any) -> None:
        made = [indicator(name=f"n {n}", object_marking_refs=[AMBER_STRICT]) for n in range(5)]
        newer = [one | {"modified": "2026-03-01T00:00:00.000Z"} for one in made[:2]]
        for objects in (made, newer):
            self.post(client, objects)
        for one in (made[0], made[2]):
            self.send(client.delete(f"collections/indicators/objects/{one['id']}/"))
        self.post(client, made[:1])

    def post(self, client: Any, objects: list[Any]) -> None:
        body = json.dumps({"objects": objects})
        self.send(
            client.post("collections/indicators/objects/", content=body, headers={"Content-Type": TAXII})
        )

    def send(self, answer: Any) -> None:
        assert answer.status_code < 300, answer.text
        self.writes += 1


def test_pulls_while_others_write(hub: LiveHub, tmp_path: Path) -> None:
    stop, state = threading.Event(), tmp_path / "state"
    writers = [Writer(hub, member, stop) for member in ("uslax", "uslgb")]
    user, secret = hub.secrets["uslax"]
    got: dict[tuple[str, str], int] = {}
    left: set[tuple[str, str]] = set()
    pulls = 0
    with Connection(hub.url, user, secret, ca=Path(hub.ca)) as connection:
        target = Client(connection).collection("exercise/indicators")
        source = LogSource(connection, target.root, target.id)
        for one in writers:
            one.start()
        end = time.monotonic() + SECONDS
        try:
            last = False
            while not last:
                last = time.monotonic() > end
                if last:
                    stop.set()
                    for one in writers:
                        one.join(timeout=30)
                kept = load(state, verify) or first_look(source, verify, path=state)
                clock = lambda: Micros(time.time_ns() // 1000)  # noqa: E731 -- read at several places of one pull
                with kept, pull(connection, target.path, source, kept, clock) as done:
                    assert done.report.ok, (done.report.findings, done.report.failures, done.report.missing)
                    for outcome in done.report.delivered:
                        key = (outcome.id, outcome.digest)
                        got[key] = got.get(key, 0) + 1
                    left |= {(one.id, one.digest) for one in done.report.gone}
                    done.keep()
                    live = {(one.id, one.digest) for one in shelf_of(kept) if one.live}
                pulls += 1
        finally:
            stop.set()
    assert not [one.failure for one in writers if one.failure]
    assert min(one.writes for one in writers) > 5
    assert pulls > 2
    assert live <= got.keys()
    assert {got[key] for key in live - left} == {1}
