"""Time as a port."""

from __future__ import annotations

from typing import Protocol

from lightship.core.time import Micros


class Clock(Protocol):
    """Time from outside. `now` is the wall clock, `monotonic` never goes back; both in microseconds."""

    def now(self) -> Micros: ...
    def monotonic(self) -> Micros: ...
