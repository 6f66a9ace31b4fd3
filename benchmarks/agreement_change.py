"""What a change of an agreement costs over a large collection: checking it, applying it, and who waits.

Run as `python -m benchmarks.agreement_change [--objects N] [--sets N]`: it fills a store of its own through
the store's port, with objects that carry so many different marking sets, ten of them TLP:RED. Then it checks
and applies changes while somebody publishes single objects as fast as they are taken. What was promised: a
change over a million objects with 50 sets within 5 s, writers blocked for less than 100 ms.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4

import orjson

from lightship.core.access import Action, Grant, Principal
from lightship.core.agreement.chain import key_text
from lightship.core.audit import AccessEvent
from lightship.core.collection import Candidate, Collection, Level
from lightship.core.marks import MarkingSet
from lightship.core.ports import EpochChanged, PublishRequest
from lightship.core.time import parse_instant
from lightship.crypto.sign import SigningKey, new_signing_key, verify
from lightship.data import policies_dir
from lightship.policy.engine import CedarRules
from lightship.policy.files import load_rules
from lightship.storage.sqlite.store import SqliteStore, open_store
from lightship.system_clock import SystemClock
from lightship.usecases import agreements
from lightship.usecases.directory import Directory
from lightship.usecases.draft import Draft, Ground

AGREEMENT = "bench"
BATCH = 1_000
VERSION = "2026-01-01T00:00:00.000Z"
PADDING = "x" * 400
MEMBERS = ("uslax", "uslgb", "jptyo")
SETTLE_S = 0.5
REDS = 10
RED = MarkingSet(Level.RED, red_members=frozenset({"uslax", "uslgb"}))


@dataclass(slots=True)
class Waits:
    """How long single publishes took, seconds."""

    quiet: list[float] = field(default_factory=list)
    during: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Figures:
    """One change. Times in seconds; `blocked` is the longest publish while it was applied, `usual` the median
    of those before."""

    name: str
    check: float
    apply: float
    usual: float
    blocked: float


class Place:
    """A store with one collection, its rules, and an agreement whose audience can change."""

    def __init__(self, directory: Path) -> None:
        self.clock = SystemClock()
        self.store: SqliteStore = open_store(directory, self.clock)
        self.key: SigningKey = new_signing_key()
        self.directory = Directory(self.store, verify)
        rules = CedarRules(load_rules(policies_dir() / "base"))
        self.ground = Ground(self.store, self.store, rules, verify, rules.read_agreement_rules)
        self.id = str(uuid4())
        self.identities = {name: f"identity--{uuid4()}" for name in MEMBERS}

    def text(self, *audience: str) -> str:
        """Return the agreement with this audience."""
        lines = [f'id = "{AGREEMENT}"', 'title = "Bench"', "[authority]", "threshold = 1"]
        lines.append(f'keys.hub = "{key_text(self.key.public)}"')
        for name, identity in self.identities.items():
            lines += [f"[members.{name}]", f'name = "{name}"', f'unlocode = "{name.upper()}"']
            lines += ['group = "port-authority"', 'roles = ["publisher", "consumer"]']
            lines.append(f'identities = ["{identity}"]')
        named = ", ".join(f'"{one}"' for one in audience)
        lines += ["[collections.all]", f'id = "{self.id}"', 'title = "All"', 'ceiling = "red"']
        lines += ['red = "audience"', f"audience = [{named}]"]
        return "\n".join(lines) + "\n"

    def check(self, text: str) -> agreements.Report:
        """Check a version."""
        draft = Draft(text, "agreement.toml")
        return agreements.check(self.ground, draft, hub_key=self.key.public, now=self.clock.now())

    def apply(self, text: str) -> None:
        """Put a version in force."""
        agreements.apply(
            self.ground,
            self.directory,
            Draft(text, "agreement.toml"),
            signer=self.key,
            req=uuid4().hex,
            now=self.clock.now(),
        )

    def grant(self) -> Grant:
        """Return a member's right to publish, under the version in force now."""
        view = self.directory.view()
        collection: Collection | None = view.collection(AGREEMENT, "all")
        assert collection is not None
        return Grant(Principal(AGREEMENT, "uslgb", "c", "c"), Action.PUBLISH, collection, view.epoch)

    def publish(self, first: int, marks: list[MarkingSet]) -> None:
        """Publish one object for each set, numbered from `first`."""
        status = str(uuid4())
        while True:
            request = PublishRequest(
                grant=self.grant(),
                candidates=tuple(_candidate(first + n) for n in range(len(marks))),
                marks=tuple(marks),
                status_id=status,
                render_status=lambda _: b"{}",
                render_event=lambda _: AccessEvent(uuid4().hex, self.clock.now(), "publish"),
                now=self.clock.now(),
            )
            try:
                self.store.publish(request).result(60)
            except EpochChanged:
                continue
            return


def _candidate(number: int) -> Candidate:
    name = f"indicator--{UUID(int=number, version=4)}"
    body = orjson.dumps({"id": name, "modified": VERSION, "x": PADDING})
    return Candidate(
        position=0,
        id=name,
        type="indicator",
        spec_version="2.1",
        version=parse_instant(VERSION),
        version_text=VERSION,
        digest=sha256(body).digest(),
        body=body,
    )


def sets_of(count: int) -> list[MarkingSet]:
    """Return different marking sets that every member may have."""
    codes = (f"{one}{other}" for one in "XQZ" for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return [MarkingSet(Level.AMBER, exclude_countries=frozenset({next(codes)})) for _ in range(count)]


def fill(place: Place, objects: int, sets: list[MarkingSet]) -> None:
    """Publish objects in batches, every set as often as every other, and ten that jptyo may not have."""
    for first in range(0, objects, BATCH):
        size = min(BATCH, objects - first)
        place.publish(first, [sets[(first + n) % len(sets)] for n in range(size)])
    place.publish(objects, [RED] * REDS)


@contextmanager
def publishing(place: Place, first: int, waits: Waits, busy: threading.Event) -> Iterator[None]:
    """Publish single objects one after the other, and note how long each took."""
    stop = threading.Event()

    def run() -> None:
        number = first
        while not stop.is_set():
            before, start = busy.is_set(), time.perf_counter()
            place.publish(number, [MarkingSet(Level.GREEN)])
            took = time.perf_counter() - start
            (waits.during if before or busy.is_set() else waits.quiet).append(took)
            number += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        time.sleep(SETTLE_S)
        yield
    finally:
        stop.set()
        thread.join()


def measured(
    place: Place, name: str, first: int, change: Callable[[], object], check: Callable[[], object]
) -> Figures:
    """Check, then apply under load; `change` may be refused."""
    start = time.perf_counter()
    check()
    checked = time.perf_counter() - start
    waits, busy = Waits(), threading.Event()
    with publishing(place, first, waits, busy):
        busy.set()
        start = time.perf_counter()
        with suppress(agreements.HeldForbids):
            change()
        applied = time.perf_counter() - start
        busy.clear()
    return Figures(name, checked, applied, statistics.median(waits.quiet), max(waits.during, default=0.0))


def measure(directory: Path, objects: int, sets: int) -> list[Figures]:
    """Return what changes cost: one is taken, one is refused, one withdraws what forbids it."""
    place = Place(directory)
    ports = place.text("uslax", "uslgb")
    place.apply(ports)
    fill(place, objects, sets_of(sets - 1))
    renamed = ports.replace('title = "All"', 'title = "Everything"')
    wide = place.text(*MEMBERS)
    ids = ", ".join(f'"indicator--{UUID(int=objects + n, version=4)}"' for n in range(REDS))
    listed = wide.replace("audience = [", f"withdraw = [{ids}]\naudience = [")
    changes = {"taken": renamed, "refused": wide, f"taken, withdraws {REDS} objects": listed}
    found = []
    for number, (name, text) in enumerate(changes.items(), 1):
        first = objects + number * 1_000_000
        found.append(measured(place, name, first, partial(place.apply, text), partial(place.check, text)))
    place.store.close()
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement_change", description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--sets", type=int, default=50)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(Path(directory), options.objects, options.sets)
    if options.json:
        print(orjson.dumps(figures).decode())
        return
    print(f"{options.objects:,} objects, {options.sets} marking sets")
    print(
        "| change | check, s | apply, s | a publish meanwhile, ms, at most | a publish before, ms, median |"
    )
    print("|---|---|---|---|---|")
    for one in figures:
        times = f"{one.check:.2f} | {one.apply:.2f} | {one.blocked * 1000:.0f} | {one.usual * 1000:.1f}"
        print(f"| {one.name} | {times} |")


if __name__ == "__main__":
    main()
