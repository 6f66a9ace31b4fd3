"""One run: the plan (how large, how long), the servers it keeps, and measuring contestants side by side."""

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
    """How large and how long. `bound` is how many seconds a peer may take where it is slow."""

    runs: int
    seconds: float
    sizes: tuple[int, ...]
    pulls: tuple[int, ...]
    hot: int
    peer: int
    bound: float
    cold_pages: int

    @property
    def middle(self) -> int:
        """The second size, for rows that are measured at one size only."""
        return self.sizes[min(1, len(self.sizes) - 1)]


FULL = Plan(3, 5, (1_000, 100_000, 1_000_000), (10_000, 100_000), 10_000, 1_000, 60, 8_000)
QUICK = Plan(1, 1, (1_000, 10_000), (2_000,), 2_000, 200, 5, 1_000)


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
        if self._blank is None:
            self._blank = targets.make_hub(self.place("blank"))
        return self.started(targets.serve_hub(self._blank.copy(self.place("hub"))))

    def filled(self, count: int) -> HubDirectory:
        """Return the directory of a hub with this many objects, filled once, over HTTP, nobody serving it."""
        if count not in self._filled:
            running = self.fresh_hub()
            try:
                self.fill(running, count)
                _, seen = client(running, "pull", limit=1000, seconds=3600, timeout=3700)
                self._stamps[count] = seen["stamps"]
                settle([running.pid])
            finally:
                running.stop()
            assert self._blank is not None
            path = running.server.log.parent
            self._filled[count] = HubDirectory(path, self._blank.root, self._blank.headers)
        return self._filled[count]

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

    def hub_beside(self, count: int, kind: str) -> Running:
        """Return a hub over a copy of the filled directory: `tls`, `no log`, `tls, no log` or `quiet`."""

        def make() -> Running:
            directory = self.filled(count)
            if ("hub", count) in self._served:
                self._served.pop(("hub", count)).stop()
            copy = directory.copy(self.place("hub-beside"))
            running = targets.serve_hub(
                copy,
                tls=kind.startswith("tls"),
                without_log=kind.endswith("no log"),
                settings={"LIGHTSHIP_LOG_LEVEL": "warning"} if kind == "quiet" else {},
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
        """Serve OpenTAXII, filled over HTTP; the caller stops it."""
        running = self.started(targets.serve_opentaxii(self.work, self.place("opentaxii")))
        if count:
            self.fill(running, count, connections=1, versioned_only=True)
        return running

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


def measure(contestants: dict[str, Measure], runs: int, say: Callable[[str], None]) -> dict[str, Outcome]:
    """Measure all contestants, one after the other in each run, and return what each did.

    One that fails in a run is not asked again: its figures would stand for another number of runs.
    """
    found = {name: Outcome() for name in contestants}
    for number in range(runs):
        for name, contestant in contestants.items():
            outcome = found[name]
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
