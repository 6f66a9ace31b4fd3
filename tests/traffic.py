"""Publishers and pollers for the loss and kill -9 tests: HTTP clients that never give up."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx2

from livehub import TAXII, LiveHub

Version = tuple[str, str]
LAST = "X-TAXII-Date-Added-Last"


def indicator(rng: random.Random, stamp: str = "2026-03-01T00:00:00.000Z", name: str = "") -> dict[str, Any]:
    """Return a small valid indicator with a documentation address."""
    identity = uuid.UUID(int=rng.getrandbits(128), version=4)
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{identity}",
        "created": "2026-03-01T00:00:00.000Z",
        "modified": stamp,
        "name": name or f"exercise {identity}",
        "pattern": f"[domain-name:value = 'h{identity.hex}.example']",
        "pattern_type": "stix",
        "valid_from": "2026-03-01T00:00:00Z",
    }


def version_of(one: dict[str, Any]) -> Version:
    """Return id and version of an object; a definition's version is `created`."""
    return one["id"], one.get("modified") or one["created"]


def insist(act: Callable[[], httpx2.Response], deadline: float) -> httpx2.Response:
    """Repeat a request over outages of the hub until it is answered with a 2xx; fail on any other refusal."""
    while True:
        try:
            answer = act()
        except httpx2.TransportError:
            pass
        else:
            if answer.is_success:
                return answer
            assert answer.status_code == 503, f"{answer.status_code}: {answer.text[:400]}"
        assert time.monotonic() < deadline, "the hub did not come back in time"
        time.sleep(0.02)


@dataclass
class Publisher:
    """Posts envelopes of 1 to `largest` objects, one after another; keeps what was acknowledged."""

    hub: LiveHub
    member: str
    path: str
    seed: int
    envelopes: int
    largest: int
    accepted: set[Version] = field(default_factory=set)
    receipts: list[str] = field(default_factory=list)

    def run(self, deadline: float, stop: threading.Event | None = None) -> None:
        rng = random.Random(self.seed)
        with self.hub.client(self.member) as client:
            for _ in range(self.envelopes):
                if stop is not None and stop.is_set():
                    return
                size = rng.choice([1, 2, rng.randint(1, self.largest), rng.randint(1, self.largest)])
                objects = [indicator(rng) for _ in range(size)]
                second = {**objects[0], "modified": "2026-03-02T00:00:00.000Z", "name": "second version"}
                self.post(client, [*objects, second], deadline)

    def post(self, client: httpx2.Client, objects: list[dict[str, Any]], deadline: float) -> None:
        answer = insist(
            lambda: client.post(self.path, json={"objects": objects}, headers={"Content-Type": TAXII}),
            deadline,
        )
        status = answer.json()
        assert answer.status_code == 202
        assert status["success_count"] == status["total_count"] == len(objects), status.get("failures")
        self.accepted.update(version_of(one) for one in objects)
        self.receipts.append(answer.headers["Audit-Receipt"])


@dataclass
class Poller:
    """Follows a collection; `way` is `next`, `date` (the Last header) or `clock` (a minute's overlap)."""

    hub: LiveHub
    member: str
    path: str
    way: str
    limit: int
    position: str = ""
    seen: Counter[Version] = field(default_factory=Counter)

    def run(self, deadline: float, done: threading.Event) -> None:
        """Poll until `done` is set, and then once more to the end."""
        with self.hub.client(self.member) as client:
            while True:
                finished = done.is_set()
                self.drain(client, deadline)
                if finished:
                    return
                time.sleep(0.01)

    def drain(self, client: httpx2.Client, deadline: float) -> None:
        """One poll: all pages that are there now."""
        started = datetime.now(UTC)
        parameters = {"limit": str(self.limit), "match[version]": "all"}
        if self.position:
            parameters["added_after"] = self.position
        newest = self.position
        while True:
            query = dict(parameters)
            answer = insist(partial(client.get, self.path, params=query), deadline)
            page = answer.json()
            self.seen.update(version_of(one) for one in page.get("objects", []))
            newest = answer.headers.get(LAST, newest)
            assert page["more"] == ("next" in page), "more and next come together"
            assert not page["more"] or page.get("objects"), "an empty page said more"
            if not page["more"]:
                break
            if self.way == "next":
                parameters["next"] = page["next"]
            else:
                parameters["added_after"] = newest
        if self.way == "clock":
            self.position = (started - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        else:
            self.position = newest


class Crew:
    """Threads whose first failure is raised by `join`."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.failures: list[BaseException] = []

    def start(self, act: Callable[..., None], *arguments: object) -> None:
        def guarded() -> None:
            try:
                act(*arguments)
            except BaseException as error:
                self.failures.append(error)

        thread = threading.Thread(target=guarded, daemon=True)
        self.threads.append(thread)
        thread.start()

    def join(self, deadline: float) -> None:
        for thread in self.threads:
            thread.join(max(0.1, deadline - time.monotonic()))
            assert not thread.is_alive(), "a publisher or poller hangs"
        if self.failures:
            raise self.failures[0]
