"""A hub that allows everything without asking its rules: only to measure what asking costs. Never for use.

Run as `python -m benchmarks.always_allowed --hub DIR ...`: the command `lightship serve`. The access log
keeps nothing, as in `benchmarks.without_log`, and `decide` always gives the same answer; the rest is the
hub's own.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from benchmarks.without_log import open_without_log
from lightship import wiring
from lightship.cli.main import main as lightship
from lightship.core.access import Decision

YES = Decision(True, "allow-audience-read", "")


class AlwaysAllowed:
    """Rules that say yes; what is not a decision on an action is left to the real ones."""

    def __init__(self, rules: Any) -> None:
        self._rules = rules

    def decide(self, *_: object, **__: object) -> Decision:
        """Allow."""
        return YES

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rules, name)


def open_allowed(*arguments: Any, **named: Any) -> wiring.Hub:
    """Open a hub without a log, then put the stub in the place of its rules."""
    hub = open_without_log(*arguments, **named)
    decisions: Any = AlwaysAllowed(hub.decisions)
    return dataclasses.replace(hub, decisions=decisions)


if __name__ == "__main__":
    wiring.open_hub = open_allowed
    sys.argv = ["lightship", "serve", *sys.argv[1:]]
    lightship()
