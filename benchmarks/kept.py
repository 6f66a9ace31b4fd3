"""A run that was stopped: what it measured so far, so that it can be continued with the same plan.

Written after every row. A row is kept whole or not at all, so every ratio is of figures taken side by side.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from benchmarks.bench import Outcome, Plan
from benchmarks.load import Sample

Results = dict[str, dict[str, Outcome]]


def save(path: Path, plan: Plan, facts: dict[str, str], continued: int, results: Results) -> None:
    """Write what was measured so far."""
    value = {
        "plan": _plain(plan),
        "facts": facts,
        "continued": continued,
        "results": {
            row: {name: dataclasses.asdict(one) for name, one in found.items()}
            for row, found in results.items()
        },
    }
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value))
    fresh.replace(path)


def load(path: Path, plan: Plan, facts: dict[str, str]) -> tuple[int, Results]:
    """Return how often the run was continued before, and what it measured.

    Raises:
        ValueError: there is none, or it had another plan or was of other versions or another machine.
    """
    if not path.exists():
        raise ValueError("there is no run to continue")
    value = json.loads(path.read_text())
    if value["plan"] != _plain(plan):
        raise ValueError("the run that was stopped had another plan: begin anew")
    if value["facts"] != facts:
        raise ValueError("the run that was stopped was of other versions or another machine: begin anew")
    results = {
        row: {name: _outcome(one) for name, one in found.items()} for row, found in value["results"].items()
    }
    return int(value["continued"]), results


def _plain(plan: Plan) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(plan)))


def _outcome(value: dict[str, Any]) -> Outcome:
    samples = [Sample(**one) for one in value["samples"]]
    return Outcome(samples, value["reason"], value["at_most"])
