"""What the access log as a log consists of: the leaves that it writes by itself, and the rule of their times.

An event's `at` is when it was handled, so events of one log stand nearly in order: one may be recorded up to
LATE after newer ones. What is recorded later (events of before a crash, a clock that was put right) comes
after a leaf `log-late` that says how many follow, so that nothing can be dated back unseen.
"""

from __future__ import annotations

LATE = 15 * 60 * 1_000_000
"""Microseconds by which an event may be older than the newest one before it."""

LOG = "log"
"""What stands as `cred` in a leaf that the log writes by itself."""
CONTINUED = "log-continued"
"""First leaf where there is a log of an earlier year: `why` is that log's signed checkpoint, `n` its size."""
LOG_LATE = "log-late"
"""The next `n` leaves are recorded late."""
