"""What was promised, as ratios, and how a run's figures answer: reached, missed by how much, or not measured.

A ratio is taken within each run, the middle one counts. Floors and stretch goals are fixed here, not fitted.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.bench import Outcome
from benchmarks.inside import ALLOWED
from benchmarks.load import Sample
from benchmarks.rows import SIGNED, TWO

Results = Mapping[str, Mapping[str, Outcome]]
Answer = tuple[float, str] | None


@dataclass(frozen=True, slots=True)
class Goal:
    """One promise. `rising` is True where more is better. `answer` gives the ratio and a remark, or None."""

    what: str
    floor: float
    stretch: float
    rising: bool
    unit: str
    answer: Callable[[Results], Answer]
    why_not: str = "not measured in this run"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal, its ratio, and the words for the table."""

    goal: Goal
    value: float | None
    text: str


def _outcome(results: Results, row: str, name: str) -> Outcome | None:
    return results.get(row, {}).get(name)


def _ratio(
    results: Results, above: tuple[str, str], below: tuple[str, str], value: Callable[[Sample], float]
) -> Answer:
    first, second = _outcome(results, *above), _outcome(results, *below)
    if first is None or second is None or not first.samples or not second.samples:
        return None
    if len(first.samples) != len(second.samples):  # a peer is measured less often
        other = statistics.median(map(value, second.samples))
        return (statistics.median(map(value, first.samples)) / other, "") if other else None
    pairs = zip(first.samples, second.samples, strict=True)
    ratios = [value(one) / value(other) for one, other in pairs if value(other)]
    return (statistics.median(ratios), "") if ratios else None


def _cpu(above: tuple[str, str], below: tuple[str, str]) -> Callable[[Results], Answer]:
    return lambda results: _ratio(results, above, below, lambda sample: sample.cpu_request_us)


def _pull(peer: str) -> Callable[[Results], Answer]:
    def answer(results: Results) -> Answer:
        ours = _outcome(results, "pull-100k-1000", "lightship")
        other = _outcome(results, "pull-100k-1000", peer)
        if ours is None or not ours.samples or other is None:
            return None
        if other.at_most is not None:
            rate = statistics.median(sample.object_rate for sample in ours.samples)
            return rate / other.at_most, f"at least; {other.reason}"
        found = _ratio(
            results, ("pull-100k-1000", "lightship"), ("pull-100k-1000", peer), lambda s: s.object_rate
        )
        return (found[0], other.reason) if found else None

    return answer


def _one(row: str, value: Callable[[Sample], float]) -> Callable[[Results], Answer]:
    def answer(results: Results) -> Answer:
        found = _outcome(results, row, "lightship")
        if found is None or not found.samples:
            return None
        return statistics.median(value(sample) for sample in found.samples), ""

    return answer


def _poll(results: Results) -> Answer:
    for large in ("10M", "1M", "100k"):
        row = f"poll-{large}"
        found = _ratio(
            results, (row, "lightship"), ("poll-1k", "lightship"), lambda sample: sample.cpu_request_us
        )
        if found is not None:
            return found[0], "" if large == "10M" else f"at {large}: 10M only with --large"
    return None


def _core(sample: Sample) -> float:
    return sample.objects / sample.cpu if sample.cpu else 0.0


NGINX, OURS, BARE = "nginx", "lightship", "lightship, no access log"

GOALS: tuple[Goal, ...] = (
    Goal(
        *("hot 1000-page with the access log, CPU, nginx / ours", 0.5, 0.75, True, ""),
        _cpu(("hot-1000", NGINX), ("hot-1000", OURS)),
    ),
    Goal(
        *("hot 1000-page, TLS 1.3, stored gzip, access log, CPU, nginx / ours", 0.3, 0.45, True, ""),
        _cpu(("hot-1000-tls", NGINX), ("hot-1000-tls", OURS)),
    ),
    Goal(
        *("hot 100-page without the access log, CPU, nginx / ours", 0.2, 0.4, True, ""),
        _cpu(("hot-100", NGINX), ("hot-100", BARE)),
    ),
    Goal(
        *("hot 100-page with the access log, CPU, nginx / ours", 0.12, 0.25, True, ""),
        _cpu(("hot-100", NGINX), ("hot-100", OURS)),
    ),
    Goal("empty poll, CPU, 10M / 1k rows", 1.25, 1.1, False, "", _poll),
    Goal("full pull of 100k, objects/s, ours / medallion", 20, 100, True, "x", _pull("medallion")),
    Goal("full pull of 100k, objects/s, ours / OpenTAXII", 20, 100, True, "x", _pull("opentaxii")),
    Goal(
        "durable ingest, empty store, objects/s a core", 8_000, 12_000, True, "", _one("ingest-fresh", _core)
    ),
    Goal("durable ingest at 1M, objects/s a core", 6_000, 10_000, True, "", _one("ingest-1M", _core)),
    Goal(
        *("publish of 1000, objects/s, ours / OpenTAXII", 20, 60, True, "x"),
        lambda results: _ratio(
            results, ("publish-1000", OURS), ("publish-1000", "opentaxii"), lambda sample: sample.object_rate
        ),
    ),
    Goal(
        *("single publishes, 64 publishers / 1", 4, 6, True, "x"),
        lambda results: _ratio(
            results, ("publishers-64", OURS), ("publishers-1", OURS), lambda sample: sample.rate
        ),
    ),
    Goal(
        *("two workers / one, cold 1000-pages, requests/s", 1.8, 1.95, True, "x"),
        lambda results: _ratio(results, ("workers", TWO), ("workers", OURS), lambda sample: sample.rate),
    ),
    Goal(
        *("price of the access log, hot 1000-page, CPU with / without", 1.3, 1.15, False, ""),
        _cpu(("hot-1000", OURS), ("hot-1000", BARE)),
    ),
    Goal(
        *("signed statements of 256 / posts of 256, objects/s a core", 0.8, 0.95, True, ""),
        lambda results: _ratio(results, ("signed", SIGNED), ("signed", OURS), _core),
    ),
    Goal(
        *("authorised hot 100-page, CPU, rules asked / allowed always", 1.1, 1.05, False, ""),
        _cpu(("authorised-100", OURS), ("authorised-100", ALLOWED)),
    ),
    Goal(
        *("decision never made before, 500 members x 200 collections, ms, 99 of 100", 2, 1, False, " ms"),
        _one("decisions", lambda sample: sample.p99_ms or 0.0),
    ),
    Goal(
        *("change of an agreement over 1M objects, s", 5, 2, False, " s"),
        _one("change", lambda sample: sample.seconds),
    ),
    Goal(
        *("writers blocked by it, ms at most", 100, 50, False, " ms"),
        _one("change", lambda sample: sample.p99_ms or 0.0),
    ),
    Goal(
        *("verify of an access log of 1M entries, s", 60, 30, False, " s"),
        _one("verify", lambda sample: sample.seconds),
    ),
    Goal(
        *("memory with 1M objects after a full pull, MiB", 400, 400, False, " MiB"),
        _one("memory-1M", lambda sample: sample.rss_mib),
    ),
)


def judge(goal: Goal, results: Results) -> Verdict:
    """Return how this run answers a goal."""
    found = goal.answer(results)
    if found is None:
        return Verdict(goal, None, goal.why_not)
    value, remark = found
    reached = value >= goal.floor if goal.rising else value <= goal.floor
    beyond = value >= goal.stretch if goal.rising else value <= goal.stretch
    times = (value / goal.floor if goal.rising else goal.floor / value) if value else 0.0
    if beyond:
        text = f"stretch reached ({times:.2f} x the floor)"
    elif reached:
        text = f"floor reached ({times:.2f} x)"
    else:
        text = f"floor missed ({times:.2f} of it)"
    return Verdict(goal, value, f"{text}; {remark}" if remark else text)
