"""What was answered, counted by action, method and class of status, with how long it took; a line a request.

Plain integers in the event loop's thread, about a microsecond a request; they become an exposition format
only when somebody asks. Nothing here holds an address, a query, an object or a secret.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lightship.web.message import Request

BOUNDS = (
    *(1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000),
    *(1_000_000, 2_500_000, 5_000_000, 10_000_000),
)
"""Upper bounds of the histogram of durations, microseconds."""
Kind = tuple[str, str, int]
"""Action, HTTP method, first digit of the status."""
Line = Callable[[Request, int, int], None]
"""Takes a request, the status of its answer and the microseconds that it took; must not block."""


@dataclass(slots=True)
class Count:
    """Requests of one kind: `counts[i]` took at most `BOUNDS[i]`, the last one longer; `micros` in all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    micros: int = 0


class Traffic:
    """The counts of one process. `line` is told of every request if it is set."""

    def __init__(self) -> None:
        self._kinds: dict[Kind, Count] = {}
        self.line: Line | None = None

    def done(self, request: Request, status: int, micros: int) -> None:
        """Count a request that was answered."""
        kind = (request.act, request.method, status // 100)
        count = self._kinds.get(kind)
        if count is None:
            count = self._kinds[kind] = Count()
        count.counts[bisect_left(BOUNDS, micros)] += 1
        count.micros += micros
        if self.line is not None:
            self.line(request, status, micros)

    def counts(self) -> Mapping[Kind, Count]:
        """Return what was counted so far."""
        return dict(self._kinds)
