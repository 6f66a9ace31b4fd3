"""Counts requests that nobody's credential came with, so that a stranger cannot fill the access log.

Of one source network (IPv4 /24, IPv6 /56) so many a minute have an event of their own; what comes beyond is
counted, and one event `others` says how many there were once the minute is over. Each request is counted
exactly once. Memory is bounded: networks beyond those that are kept share one count, with an empty name.
Requests of a member are never asked about here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import wait
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from uuid import UUID

from lightship.core.audit import AccessEvent
from lightship.core.ports import Access
from lightship.core.time import Micros

MINUTE = 60_000_000
OWN_EVENTS = 1_000
"""Events of its own that a network has in a minute."""
MAX_NETWORKS = 4_096
"""Networks told apart in a minute."""
REST = ""
"""The name of all networks beyond these."""
_STATUS = 429
"""What an event `others` has as its status, since it stands for several: it counts as refused."""


@dataclass(frozen=True, slots=True)
class Others:
    """`n` requests of one network without an event of their own, the last one at `last`."""

    network: str
    n: int
    last: Micros

    def event(self, req: str) -> AccessEvent:
        """Return the access event that stands for them."""
        return AccessEvent(
            req=req, at=self.last, act="others", ip=self.network, st=_STATUS, why="flood", n=self.n
        )


@dataclass(slots=True)
class _Count:
    own: int = 0
    others: int = 0
    last: Micros = Micros(0)

    def add(self, n: int, last: Micros) -> None:
        self.others += n
        self.last = max(self.last, last)


class Floods:
    """The counts of one process; for one thread. Times are the wall clock's, also where it is set back.

    `owes` is True as long as there are requests that an event `others` has yet to stand for.
    """

    def __init__(self, own_events: int = OWN_EVENTS, networks: int = MAX_NETWORKS) -> None:
        self._own_events = own_events
        self._networks = networks
        self._minute = -1
        self._now: dict[str, _Count] = {}
        self._ended: dict[str, _Count] = {}
        self._others_now = False
        self.owes = False

    def admit(self, address: str, at: Micros) -> bool:
        """Count a request; return whether it has an event of its own."""
        self._turn(at // MINUTE)
        count = self._of(self._now, network_of(address))
        if count.own < self._own_events:
            count.own += 1
            return True
        count.add(1, at)
        self._others_now = self.owes = True
        return False

    def take(self, at: Micros | None) -> list[Others]:
        """Return what is owed of the minutes that are over at `at`; with None of all. It is owed no more."""
        self._turn(-1 if at is None else at // MINUTE)
        taken = [Others(network, count.others, count.last) for network, count in self._ended.items()]
        self._ended = {}
        self.owes = self._others_now
        return taken

    def give_back(self, others: Others, at: Micros) -> None:
        """Owe again what could not be recorded: it is counted with the minute of `at`."""
        self._turn(at // MINUTE)
        self._of(self._now, others.network).add(others.n, others.last)
        self._others_now = self.owes = True

    def _turn(self, minute: int) -> None:
        if minute == self._minute:
            return
        for network, count in self._now.items():
            if count.others:
                self._of(self._ended, network).add(count.others, count.last)
        self._minute, self._now, self._others_now = minute, {}, False

    def _of(self, counts: dict[str, _Count], network: str) -> _Count:
        found = counts.get(network)
        if found is None:
            found = counts.setdefault(network if len(counts) < self._networks else REST, _Count())
        return found

    def __len__(self) -> int:
        return len(self._now) + len(self._ended)


def record(owed: Iterable[Others], access: Access, new_id: Callable[[], UUID]) -> list[Others]:
    """Record the events of what is owed, and wait; return what could not be recorded."""
    recording = [(one, access.record(one.event(new_id().hex))) for one in owed]
    wait(done for _, done in recording)
    return [one for one, done in recording if done.exception() is not None]


def network_of(address: str) -> str:
    """Return the network of an address: the /24 of an IPv4 one, the /56 of an IPv6 one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return REST
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(IPv6Network((int(parsed) >> 72 << 72, 56)))
        parsed = parsed.ipv4_mapped
    return str(IPv4Network((int(parsed) >> 8 << 8, 24)))
