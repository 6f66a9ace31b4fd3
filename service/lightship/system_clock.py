"""The machine's clocks behind `ports.Clock`."""

from __future__ import annotations

import time

from lightship.core.time import Micros

_ELAPSED: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's clocks."""

    def now(self) -> Micros:
        """Return the wall clock's time."""
        return Micros(time.time_ns() // 1000)

    def monotonic(self) -> Micros:
        """Return a time that never goes back, and goes on while the machine sleeps as the wall clock does."""
        return Micros(time.clock_gettime_ns(_ELAPSED) // 1000)
