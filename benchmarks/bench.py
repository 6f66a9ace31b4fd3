"""One run: the plan (how large, how long), the servers it keeps, and measuring contestants side by side.

What takes long to make is made once and shared by the rows: a filled hub grows out of the next smaller one,
and a filled peer is kept below the work directory for later runs.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import objects, targets
from benchmarks.load import Sample, client
from benchmarks.processes import Failed, settle
from benchmarks.targets import HubDirectory, Running

Measure = Callable[[], Sample]


@dataclass(frozen=True, slots=True)
class Plan:
    """How large and how long.

    Args:
        runs: how often Lightship and nginx are measured; the peers, which lie far apart, `peer_runs` times.
        seconds: how long one measurement takes.
        sizes, pulls, hot, peer: objects of the hubs that are read, pulled, read hot, and of the peers.
        bound: seconds that a peer may take where it is slow.
        cold_pages: different pages that are asked for cold, by their limit.
        decisions: members and collections of an agreement whose decisions are asked for.
        changed: objects of the collection whose agreement changes.
        events: entries of the access log that is verified.
        statements: signed statements of 256 objects that each of four keys posts.
    """

    runs: int
    peer_runs: int
    seconds: float
    sizes: tuple[int, ...]
    pulls: tuple[int, ...]
    hot: int
    peer: int
    bound: float
    cold_pages: dict[int, int]
    decisions: tuple[int, int]
    changed: int
    events: int
    statements: int

    @property
    def middle(self) -> int:
        """The second size, for rows that are measured at one size only."""
        return self.sizes[min(1, len(self.sizes) - 1)]


FULL = Plan(
    runs=3,
    peer_runs=1,
    seconds=3,
    sizes=(1_000, 100_000, 1_000_000),
    pulls=(10_000, 100_000),
    hot=10_000,
    peer=1_000,
    bound=20,
    cold_pages={100: 60_000, 1000: 8_000},
    decisions=(500, 200),
    changed=1_000_000,
    events=1_000_000,
    statements=60,
)
QUICK = Plan(
    runs=1,
    peer_runs=1,
    seconds=1,
    sizes=(1_000, 10_000),
    pulls=(2_000,),
    hot=2_000,
    peer=200,
    bound=5,
    cold_pages={100: 7_000, 1000: 4_000},
    decisions=(50, 20),
    changed=10_000,
    events=10_000,
    statements=5,
)
REPLACED = {"no log": "without_log", "always allowed": "always_allowed"}
"""Which module serves a hub of this kind."""
PEERS = ("medallion", "opentaxii")
KEPT_FROM = 5_000
"""A filled OpenTAXII of this size on is kept for later runs: it takes minutes to fill."""


@dataclass
class Outcome:
    """What one contestant of one row did. `reason` says why there is no figure or what limits it.

    `at_most` is an upper bound of objects a second for one that did not finish in its time.
    """

    samples: list[Sample] = field(default_factory=list)
    reason: str = ""
    at_most: float | None = None


class TooSlow(Failed):
    """Nothing was finished in its time; `objects` were asked for within `seconds`."""

    def __init__(self, text: str, objects: int, seconds: float) -> None:
        super().__init__(text)
        self.at_most = objects / seconds


def label(count: int) -> str:
    """Return a size as the tables write it: 1k, 100k, 1M."""
    if count % 1_000_000 == 0:
        return f"{count // 1_000_000}M"
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)


class Bench:
    """Keeps what rows share: filled hubs by size, one directory to copy, the peers filled for reading."""

    def __init__(self, plan: Plan, work: Path, directory: Path) -> None:
        self.plan = plan
        self.work = work
        self.directory = directory
        self._blank: HubDirectory | None = None
        self._filled: dict[int, HubDirectory] = {}
        self._stamps: dict[int, list[str]] = {}
        self._served: dict[tuple[object, ...], Running] = {}
        self._started: list[Running] = []
        self._samples: dict[tuple[object, ...], Sample] = {}
        self._number = 0

    def place(self, name: str) -> Path:
        """Return a new path below the run's directory."""
        self._number += 1
        return self.directory / f"{self._number:03}-{name}"

    def started(self, running: Running) -> Running:
        """Note a server, so that it is ended with the run whatever happens."""
        self._started.append(running)
        return running

    def keep(self, key: tuple[object, ...], make: Callable[[], Running]) -> Running:
        """Return the server of this key, made on first use."""
        if key not in self._served:
            self._served[key] = make()
        return self._served[key]

    # --- Lightship

    def fresh_hub(self) -> Running:
        """Serve an empty hub; the caller stops it."""
        return self.started(targets.serve_hub(self.blank().copy(self.place("hub"))))

    def blank(self) -> HubDirectory:
        """Return the directory of an empty hub, to be copied."""
        if self._blank is None:
            self._blank = targets.make_hub(self.place("blank"))
        return self._blank

    def filled(self, count: int) -> HubDirectory:
        """Return the directory of a hub with this many objects, filled once, over HTTP, nobody serving it."""
        if count not in self._filled:
            smaller = max((one for one in self._filled if one < count), default=0)
            running = self._grow(smaller) if smaller else self.fresh_hub()
            try:
                self.fill(running, count - smaller)
                _, seen = client(running, "pull", limit=1000, seconds=3600, timeout=3700)
                self._stamps[count] = seen["stamps"]
                settle([running.pid])
            finally:
                running.stop()
            path = running.server.log.parent
            self._filled[count] = HubDirectory(path, self.blank().root, self.blank().headers)
        return self._filled[count]

    def _grow(self, count: int) -> Running:
        """Serve a copy of a filled hub that nobody serves."""
        served = self._served.pop(("hub", count), None)
        if served is not None:
            served.stop()
        return self.started(targets.serve_hub(self._filled[count].copy(self.place("hub"))))

    def hub(self, count: int) -> Running:
        """Return the plain hub with this many objects; stays up until the end of the run."""

        def make() -> Running:
            running = self.started(targets.serve_hub(self.filled(count)))
            running.stamps = self._stamps[count]
            return running

        return self.keep(("hub", count), make)

    def hub_again(self, count: int) -> Running:
        """Return the same hub in a new process: nothing in its cache."""
        self.hub(count).stop()
        del self._served["hub", count]
        return self.hub(count)

    def hub_of_workers(self, count: int, workers: int) -> Running:
        """Serve the same hub by so many processes, nothing in their caches; the caller stops it."""
        directory = self.filled(count)
        served = self._served.pop(("hub", count), None)
        if served is not None:
            served.stop()
        running = self.started(targets.serve_hub(directory, workers=workers))
        running.stamps = self._stamps[count]
        settle([running.pid])
        return running

    def hub_beside(self, count: int, kind: str) -> Running:
        """Return a hub over a copy of the filled directory.

        Args:
            count: its objects.
            kind: `no log` or `always allowed`, with `tls, ` or `quiet, ` before it, or one of these alone.
        """

        def make() -> Running:
            directory = self.filled(count)
            if ("hub", count) in self._served:
                self._served.pop(("hub", count)).stop()
            copy = directory.copy(self.place("hub-beside"))
            running = targets.serve_hub(
                copy,
                tls=kind.startswith("tls"),
                module=REPLACED.get(kind.removeprefix("tls, ").removeprefix("quiet, "), ""),
                settings={"LIGHTSHIP_LOG_LEVEL": "warning"} if kind.startswith("quiet") else {},
            )
            self.started(running)
            running.stamps = self._stamps[count]
            return running

        return self.keep((kind, count), make)

    # --- peers

    def medallion(self, count: int) -> Running:
        """Serve medallion with this many objects; the caller stops it."""
        return self.started(targets.serve_medallion(self.work, self.place("medallion"), count))

    def opentaxii(self, count: int = 0) -> Running:
        """Serve OpenTAXII, filled over HTTP, maybe by an earlier run; the caller stops it."""
        place = self.place("opentaxii")
        kept = self.work / "kept" / targets.kept_name("opentaxii", count)
        if count >= KEPT_FROM and kept.is_dir():
            shutil.copytree(kept, place)
        running = self.started(targets.serve_opentaxii(self.work, place))
        if count and not (count >= KEPT_FROM and kept.is_dir()):
            self.fill(running, count, connections=1, versioned_only=True)
            if count >= KEPT_FROM:
                running.stop()
                shutil.copytree(place, kept)
                running = self.started(targets.serve_opentaxii(self.work, place))
        return running

    def once(self, key: tuple[object, ...], make: Callable[[], Sample]) -> Sample:
        """Return the sample of this key, measured on first use: rows that would measure the same share it."""
        if key not in self._samples:
            self._samples[key] = make()
        return self._samples[key]

    def peers(self, count: int) -> dict[str, Callable[[], Running]]:
        """Return the peers with this many objects, kept until the end of the run."""
        return {
            "medallion": lambda: self.keep(("medallion", count), lambda: self.medallion(count)),
            "opentaxii": lambda: self.keep(("opentaxii", count), lambda: self.opentaxii(count)),
        }

    def fill(
        self, running: Running, count: int, *, connections: int = 4, versioned_only: bool = False
    ) -> Sample:
        """Post `count` objects in envelopes of 1000 at most, with a progress line."""
        began = time.monotonic()
        shown = [0]

        def progress(done: int) -> None:
            if done <= shown[0]:
                return
            shown[0] = done
            spent = time.monotonic() - began
            bar = "#" * (done * 30 // count)
            text = f"\r  fill {running.name:10} [{bar:30}] {done}/{count} in {spent:.0f} s"
            if sys.stderr.isatty() or done >= count:
                print(text, end="" if done < count else "\n", file=sys.stderr, flush=True)

        form = objects.template(min(1000, count), versioned_only=versioned_only).decode()
        sample, _ = client(
            running,
            "fill",
            timeout=7200,
            progress=progress,
            template=form,
            count=count,
            connections=connections,
        )
        return sample

    def close(self) -> None:
        """Stop every server and remove the run's directory."""
        for running in self._started:
            running.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def measure(
    contestants: dict[str, Measure], runs: int, peer_runs: int, say: Callable[[str], None]
) -> dict[str, Outcome]:
    """Measure all contestants, one after the other in each run, and return what each did.

    The peers take part in the first `peer_runs`. One that fails in a run is not asked again: its
    figures would stand for another number of runs.
    """
    found = {name: Outcome() for name in contestants}
    for number in range(max(runs, peer_runs)):
        for name, contestant in contestants.items():
            outcome = found[name]
            if number >= (peer_runs if name.startswith(PEERS) else runs):
                continue
            if outcome.reason and not outcome.samples:
                continue
            try:
                sample = contestant()
            except Failed as error:
                outcome.samples.clear()
                outcome.reason = str(error)
                outcome.at_most = getattr(error, "at_most", None)
                say(f"  {name:24} run {number + 1}: {outcome.reason[:300]}")
                continue
            outcome.samples.append(sample)
            outcome.reason = sample.note
            by_object = sample.cpu_object_us
            say(
                f"  {name:24} run {number + 1}: {sample.rate:9.1f} req/s"
                f"  {sample.cpu_request_us:10.1f} us CPU/req"
                + (f"  {sample.object_rate:9.0f} obj/s  {by_object:8.2f} us CPU/obj" if by_object else "")
                + (f"  p50 {sample.p50_ms:.2f} p99 {sample.p99_ms or 0:.2f} ms" if sample.p50_ms else "")
                + f"  {sample.rss_mib:.0f} MiB  gen {sample.busy * 100:.0f}%"
            )
    return found
