"""The machine's clocks: a machine that slept has not had its clock put forward."""

from __future__ import annotations

import time

import pytest

from lightship.core import stamps
from lightship.system_clock import SystemClock

HOUR = 3_600 * 1_000_000_000


def test_an_hour_of_sleep_is_no_jump_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """CLOCK_MONOTONIC stands still in a suspended machine, CLOCK_BOOTTIME goes on like the wall clock."""
    clock = SystemClock()
    wall, elapsed = clock.now(), clock.monotonic()
    now, boot = time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    read = time.clock_gettime_ns
    monkeypatch.setattr(time, "time_ns", lambda: now + HOUR)
    monkeypatch.setattr(
        time, "clock_gettime_ns", lambda which: boot + HOUR if which == time.CLOCK_BOOTTIME else read(which)
    )
    stamps.check_drift(clock.now() - wall, clock.monotonic() - elapsed)
