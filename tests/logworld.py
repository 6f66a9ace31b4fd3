"""A consumer that verifies, in front of a simulated hub: it pulls and keeps its state in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from lightship.client.connection import Connection, Limits
from lightship.client.following import first_look
from lightship.client.kept_log import Kept, load
from lightship.client.log_source import LogSource
from lightship.client.verifying import Report, VerifiedPull, pull
from lightship.core.log.findings import Failure, LogRefused
from lightship.crypto.sign import verify
from simulator import AGREEMENT, Simulator

Off = Callable[[], None]


def connect(hub: Simulator) -> Connection:
    """Return a connection to a simulated hub."""
    return Connection(
        "https://hub.test",
        "uslax-desk",
        "secret",
        limits=Limits(attempts=1),
        transport=httpx2.MockTransport(hub),
        sleep=lambda seconds: None,
    )


class Consumer:
    """Pulls with its kept state; what `pull` brought is kept, what `look` saw is not."""

    def __init__(self, hub: Simulator, state: Path) -> None:
        self.hub, self.state = hub, state
        self.connection = connect(hub)
        self.source = LogSource(self.connection, AGREEMENT, hub.collection)
        self.got: list[bytes] = []

    @contextmanager
    def kept(self, *, fresh: bool = False) -> Iterator[Kept]:
        """The state, or as of somebody who never looked before; what is not kept is forgotten."""
        known = None if fresh else load(self.state, verify)
        with known or first_look(self.source, verify, path=None if fresh else self.state) as kept:
            yield kept

    def pull(self) -> Report:
        """Pull, take what may be used, keep the state."""
        with self.kept() as kept, self._part(kept) as part:
            self.got += list(part.bodies())
            part.keep()
            return part.report

    def look(self, *, fresh: bool = False) -> Report:
        """Pull and keep nothing; `fresh` as somebody who never looked before."""
        with self.kept(fresh=fresh) as kept, self._part(kept) as part:
            return part.report

    def _part(self, kept: Kept) -> VerifiedPull:
        path = f"/{AGREEMENT}/collections/{self.hub.collection}/"
        return pull(self.connection, path, self.source, kept, self.hub.clock)

    def failures(self, *, fresh: bool = False, strict: bool = False) -> set[Failure]:
        """Pull, keep nothing, and return the names of everything that is wrong."""
        try:
            report = self.look(fresh=fresh)
        except LogRefused as error:
            return {error.finding.failure}
        found = {one.failure for one in report.findings}
        found |= {one.result for one in report.failures if isinstance(one.result, Failure)}
        found |= {Failure.MISSING} if report.missing else set()
        return found | ({one.failure for one in report.warnings} if strict else set())
