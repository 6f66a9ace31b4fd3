"""Rows about what no peer has: what rules cost, what a change of an agreement costs, verifying the log."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, Measure
from benchmarks.load import HERE, Sample, fast
from benchmarks.processes import run

ALLOWED = "lightship, no access log, always allowed"


def authorised(limit: int, connections: int) -> Callable[[Bench], dict[str, Measure]]:
    """The same hot page with the rules' decision and with one that costs nothing; both without the log."""

    def contestants(bench: Bench) -> dict[str, Measure]:
        def page(kind: str) -> Sample:
            running = bench.hub_beside(bench.plan.hot, kind)
            path = f"{running.root}objects/?limit={limit}"
            return fast(running, [path], seconds=bench.plan.seconds, connections=connections, objects=limit)

        return {"lightship": partial(page, "no log"), ALLOWED: partial(page, "always allowed")}

    return contestants


def decisions(bench: Bench) -> dict[str, Measure]:
    """Decisions that were never made before; p50 and p99 are of single ones."""

    def measured() -> Sample:
        members, collections = bench.plan.decisions
        found = _said("decisions", ["--members", members, "--collections", collections])
        return _sample(
            found["decisions"], 0, found["seconds"], found["cpu"], found["p50_ms"], found["p99_ms"]
        )

    return {"lightship": measured}


CHANGES = {
    "lightship": "taken, withdraws 10 objects",
    "lightship, a title": "taken",
    "lightship, refused": "refused",
}


def agreement_change(bench: Bench) -> dict[str, Measure]:
    """Changes of an agreement over a large collection while single objects are published."""

    def figures() -> Mapping[str, Mapping[str, float]]:
        found: list[dict[str, Any]] = _said("agreement_change", ["--objects", bench.plan.changed, "--json"])
        return {one["name"]: one for one in found}

    kept: dict[str, Mapping[str, float]] = {}

    def measured(change: str) -> Sample:
        if not kept:
            kept.update(figures())
        one = kept[change]
        times = f"checked in {one['check']:.2f} s, applied in {one['apply']:.2f} s"
        note = f"{change}: {times}; p50, p99: a publish before, the slowest publish meanwhile"
        return _sample(
            1, bench.plan.changed, one["apply"], 0, one["usual"] * 1000, one["blocked"] * 1000, note=note
        )

    return {name: partial(measured, change) for name, change in CHANGES.items()}


def verify(bench: Bench) -> dict[str, Measure]:
    """`lightship verify` of an exported access log."""

    def measured() -> Sample:
        count = bench.plan.events
        hub = bench.blank().copy(bench.place("audited"))
        out = bench.place("export")
        _run("audit_export", ["--hub", hub.path, "--out", out, "--events", count], timeout=1800)
        command: list[str | Path] = [
            Path(sys.executable).parent / "lightship",
            "verify",
            out,
            "--root",
            out.with_suffix(".keys"),
        ]
        began, spent = time.perf_counter(), _children()
        run(command, timeout=1800)
        return _sample(1, count, time.perf_counter() - began, _children() - spent)

    return {"lightship": measured}


def said_by(module: str, arguments: Sequence[object]) -> str:
    """Run a module of this package and return the last line that it printed."""
    return _run(module, arguments, timeout=1800).splitlines()[-1].decode()


def _said(module: str, arguments: Sequence[object]) -> Any:
    return json.loads(said_by(module, arguments))


def _run(module: str, arguments: Sequence[object], *, timeout: float) -> bytes:
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    roots = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    return run(command, environment={"PYTHONPATH": roots, "NO_COLOR": "1"}, timeout=timeout)


def _children() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def _sample(
    requests: int,
    objects: int,
    seconds: float,
    cpu: float,
    p50_ms: float | None = None,
    p99_ms: float | None = None,
    *,
    note: str = "",
) -> Sample:
    return Sample(requests, objects, seconds, cpu, 0, p50_ms, p99_ms, 0, 0, note)
