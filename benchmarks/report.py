"""Results as JSON and as the page `docs/performance.md`. Writes only figures of the run it is given."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.bench import Outcome, Plan
from benchmarks.goals import GOALS, Results, judge
from benchmarks.load import Sample
from benchmarks.table import Row

HEAD = """# Performance

Made by `make bench` on {date}; every figure is of that one run. {runs}{breaks}
Compare ratios, not absolute figures: they hold for one machine. Nothing here is checked by a timed test.

{facts}

How it is measured: the servers run side by side on the loopback address, one worker each; the generator is a
process of its own. CPU is user and system time of the server's processes from `/proc`, children included,
divided by what the generator saw answered. Every read of Lightship is authenticated, decided and written to
its durable access log, unless the line says "no access log", and gives a line at level info on stderr, which
goes to a file (also without the access log, unless the line says "log level warning"); the peers and nginx
write no line a request. Every write is committed with `synchronous=FULL`
before it is answered. `gen` is the share of one core that the generator took: near 100% the rate is the
generator's and only the CPU columns speak.

Peers: medallion keeps everything in memory, loses it when it ends, and validates nothing; its first page
costs time that grows with the square of the collection, so that large pulls are cut off and give an upper
bound. It is loaded from its data file, since its POST scans all that it holds for each object.
Its MongoDB backend is not measured: Debian 12 has no MongoDB server and the package index ships none.
OpenTAXII 0.9.3 on SQLite validates with stix2; as released it answers each POST with 500 after storing the
objects (its issue 243), which is mended here by one line outside it; it is asked with a token, which
spares it a slow password hash on each request. nginx serves the bytes of Lightship's answer as a file.
"""


def to_json(facts: Mapping[str, str], plan: Mapping[str, Any], rows: Sequence[Row], results: Results) -> str:
    """Return everything that was measured as JSON."""
    verdicts = [judge(goal, results) for goal in GOALS]
    value = {
        "machine": dict(facts),
        "plan": dict(plan),
        "rows": [
            {
                "name": row.name,
                "title": row.title,
                "contestants": {name: asdict(outcome) for name, outcome in results[row.name].items()},
            }
            for row in rows
            if row.name in results
        ],
        "goals": [
            {
                "what": verdict.goal.what,
                "floor": verdict.goal.floor,
                "stretch": verdict.goal.stretch,
                "value": verdict.value,
                "verdict": verdict.text,
            }
            for verdict in verdicts
        ],
    }
    return json.dumps(value, indent=1) + "\n"


def page(
    date: str,
    plan: Plan,
    continued: int,
    facts: Mapping[str, str],
    rows: Sequence[Row],
    results: Results,
    reading: str,
) -> str:
    """Return the Markdown page.

    Args:
        continued: how often the run was taken up again after it had been stopped.
        reading: what was written by hand about where the time goes; stands at the end.
    """
    table = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    runs = (
        f"Lightship and nginx {_times(plan.runs)}, the middle one shown; the peers {_times(plan.peer_runs)}."
    )
    breaks = f" The run was stopped and continued {_times(continued)}." if continued else ""
    head = HEAD.format(date=date, runs=runs, breaks=breaks, facts=table)
    return "\n".join([head, goals_table(results), rows_table(rows, results), reading]).rstrip() + "\n"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def goals_table(results: Results) -> str:
    """Return the goals, floor and stretch, and how this run answers them."""
    lines = ["## Goals", "", "| what | floor | stretch | measured | |", "|---|---:|---:|---:|---|"]
    for goal in GOALS:
        verdict = judge(goal, results)
        value = "-" if verdict.value is None else _number(verdict.value) + goal.unit
        sign = "" if goal.rising else "<= "
        lines.append(
            f"| {goal.what} | {sign}{goal.floor:g}{goal.unit} | {sign}{goal.stretch:g}{goal.unit} "
            f"| {value} | {verdict.text} |"
        )
    return "\n".join(lines) + "\n"


def rows_table(rows: Sequence[Row], results: Results) -> str:
    """Return one line for each contestant of each row."""
    lines = [
        *("## Figures", ""),
        "| row | who | requests/s | objects/s | CPU us/request | CPU us/object | p50 ms | p99 ms "
        "| RSS MiB | gen | |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        for name, outcome in results.get(row.name, {}).items():
            lines.append(f"| {row.title} | {name} | {_figures(outcome)} |")
    return "\n".join(lines) + "\n"


def _figures(outcome: Outcome) -> str:
    if not outcome.samples:
        bound = "" if outcome.at_most is None else f"< {_number(outcome.at_most)}"
        reason = " ".join(outcome.reason.replace("|", "/").split())
        return f"- | {bound or '-'} | - | - | - | - | - | - | {reason}"
    cells = [
        _middle(outcome, lambda sample: sample.rate),
        _middle(outcome, lambda sample: sample.object_rate or None),
        _middle(outcome, lambda sample: sample.cpu_request_us or None),
        _middle(outcome, lambda sample: sample.cpu_object_us or None),
        _middle(outcome, lambda sample: sample.p50_ms),
        _middle(outcome, lambda sample: sample.p99_ms),
        _middle(outcome, lambda sample: sample.rss_mib or None),
        f"{statistics.median(sample.busy for sample in outcome.samples) * 100:.0f}%",
        outcome.reason,
    ]
    return " | ".join(cells)


def _middle(outcome: Outcome, value: Callable[[Sample], float | None]) -> str:
    found = [one for one in map(value, outcome.samples) if one is not None]
    return _number(statistics.median(found)) if found else "-"


def _number(value: float) -> str:
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
