"""A hub whose access log keeps nothing: only to measure what the access log costs. Never for use.

Run as `python -m benchmarks.without_log --hub DIR ...`: the very command `lightship serve` with the same
options and settings; only the port `Access` is replaced.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from lightship import wiring
from lightship.cli.main import main as lightship
from lightship.core.audit import AccessEvent, AuditQuery
from lightship.core.log.receipt import Sealed
from lightship.core.ports import Recorded


class NoLog:
    """Takes every event and forgets it."""

    def record(self, event: AccessEvent) -> Future[Sealed | None]:
        """Return a completed future."""
        done: Future[Sealed | None] = Future()
        done.set_result(None)
        return done

    def record_all(self, events: Sequence[AccessEvent]) -> Future[Sequence[Recorded]]:
        """Return a completed future."""
        done: Future[Sequence[Recorded]] = Future()
        done.set_result([None] * len(events))
        return done

    def search(self, query: AuditQuery) -> Iterator[AccessEvent]:
        """Yield nothing."""
        return iter(())


def open_without_log(*arguments: Any, **named: Any) -> wiring.Hub:
    """Open a hub as the command does, then put the forgetful log in the place of its own."""
    return dataclasses.replace(open_hub(*arguments, **named), access=NoLog())


open_hub = wiring.open_hub

if __name__ == "__main__":
    wiring.open_hub = open_without_log
    sys.argv = ["lightship", "serve", *sys.argv[1:]]
    lightship()
