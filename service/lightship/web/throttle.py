"""Counts failed logins per source in a sliding window, in bounded memory.

Only failures are counted, and only for sources that fail: whoever shows a valid credential is never asked
here, so nobody can lock out a member's tools by failing in its name. Refused attempts are not counted again,
so that a source is free when its window has passed. Times are those of a clock that never goes back.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from ipaddress import IPv6Address, ip_address

from lightship.core.time import Micros

SECOND = 1_000_000
MAX_SOURCES = 10_000
"""Sources kept; beyond that the one that failed longest ago is forgotten."""


class Throttle:
    """`limit` failures within `window_s` seconds are answered as usual, the next ones have to wait."""

    def __init__(self, limit: int, window_s: int, *, sources: int = MAX_SOURCES) -> None:
        self._limit = limit
        self._window = window_s * SECOND
        self._sources = sources
        self._failures: OrderedDict[str, deque[Micros]] = OrderedDict()

    def wait(self, source: str, now: Micros) -> int:
        """Return how many whole seconds this source has to wait, 0 if it may try."""
        failures = self._failures.get(source)
        if failures is None:
            return 0
        while failures and failures[0] <= now - self._window:
            failures.popleft()
        if not failures:
            del self._failures[source]
        if len(failures) < self._limit:
            return 0
        return max(1, -(-(failures[0] + self._window - now) // SECOND))

    def fail(self, source: str, now: Micros) -> None:
        """Count one failure of this source."""
        failures = self._failures.setdefault(source, deque(maxlen=self._limit))
        failures.append(now)
        self._failures.move_to_end(source)
        if len(self._failures) > self._sources:
            self._failures.popitem(last=False)

    def __len__(self) -> int:
        return len(self._failures)


def source_of(address: str) -> str:
    """Return what an address is counted as: an IPv6 one as its /64, which one customer has as a whole."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"address {address}"
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return f"address {parsed.ipv4_mapped}"
        return f"address {IPv6Address(int(parsed) >> 64 << 64)}/64"
    return f"address {parsed}"
