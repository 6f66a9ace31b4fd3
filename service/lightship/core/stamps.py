"""Which `date_added` objects get: pure arithmetic over integers (TAXII 2.1 section 3.3).

Stamps of a collection are unique and strictly rising in commit order. A statement has one stamp `at`;
object i of its n has `at - (n-1-i)` microseconds. Some consumers keep cursors in milliseconds, so the last
statement of a transaction ends on a whole one, unless stamps would outrun the clock. Never reads a clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from lightship.core.collection import MAX_BACKLOG
from lightship.core.errors import Unavailable
from lightship.core.time import MAX_MICROS, Micros

MILLISECOND = 1_000
ROUNDING_LIMIT = Micros(1_000_000)
"""Rounding must not put a stamp further ahead of the clock than this."""
MAX_DRIFT = Micros(60_000_000)
"""How far wall clock and monotonic clock may disagree about the time that has passed."""


def assign(sizes: Sequence[int], last: Micros, target: Micros) -> tuple[Micros, ...]:
    """Return the `at` of each statement of one collection, in order.

    Args:
        sizes: stamps that each statement takes, at least 1 each.
        last: the collection's newest stamp.
        target: no stamp is less than this, microseconds.
    """
    stamp = max(last, target - 1, 0)
    ats = []
    for size in sizes:
        stamp += max(size, 1)
        ats.append(Micros(stamp))
    return tuple(ats)


def entry_stamps(at: int, size: int) -> range:
    """Return the stamps of a statement's entries, in their order."""
    return range(at - size + 1, at + 1)


def round_up(at: Micros, now: Micros) -> Micros:
    """Return `at` raised to a whole millisecond, or as it is if that is over a second ahead of `now`."""
    whole = Micros(-(-at // MILLISECOND) * MILLISECOND)
    return whole if whole <= now + ROUNDING_LIMIT else at


def check_backlog(at: Micros, now: Micros) -> None:
    """Raise Unavailable if a stamp lies further ahead of the clock than MAX_BACKLOG."""
    ahead = at - now
    if ahead > MAX_BACKLOG or at > MAX_MICROS:
        raise Unavailable(
            "Publishing waits for the clock",
            retry_after=max(1, min(3_600, -(-(ahead - MAX_BACKLOG) // 1_000_000))),
            why=f"the collection's newest stamp would be {ahead // 1_000_000} s ahead of the hub's clock",
            todo="Try again later; if it stays, check the hub's clock",
        )


def check_drift(wall: int, monotonic: int) -> None:
    """Raise Unavailable if two clocks disagree by over MAX_DRIFT about the time passed, microseconds."""
    if abs(wall - monotonic) > MAX_DRIFT:
        raise Unavailable(
            "Publishing has stopped: the hub's clock has jumped",
            retry_after=60,
            why=f"it moved {(wall - monotonic) / 1_000_000:+.0f} s against the time that has passed",
            todo="Set the clock right; if it is right now, restart the hub",
        )
