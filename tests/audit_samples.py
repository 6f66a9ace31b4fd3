"""Access events and a clock that stands still, for the tests of the access log."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from lightship.core.audit import AccessEvent
from lightship.core.time import Micros

YEAR_2026 = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z in microseconds."""

MAY = YEAR_2026 + 120 * 86_400_000_000


class StillClock:
    """A clock that shows what it is told."""

    def __init__(self, now: int = MAY) -> None:
        self.micros = now

    def now(self) -> Micros:
        return Micros(self.micros)

    def monotonic(self) -> Micros:
        return Micros(self.micros)


SAMPLE = AccessEvent(
    req="",
    at=Micros(MAY),
    act="read-objects",
    agr="san-pedro-bay",
    who="uslax",
    cred="cred-1",
    col="col-1",
    q="added_after=2026-04-01T00:00:00Z",
    ip="192.0.2.7",
    st=200,
    why="allow-audience-read",
    n=3,
    first=MAY - 3,
    last=MAY - 1,
)


def event(number: int, **changes: object) -> AccessEvent:
    """Return event `number`: its own request id and microsecond, the rest as in SAMPLE."""
    req = UUID(int=(number << 64) | 0x4000_8000_0000_0000_0000, version=4).hex
    one = replace(SAMPLE, req=req, at=Micros(MAY + number))
    return replace(one, **changes)  # type: ignore[arg-type]  # the names are those of AccessEvent
