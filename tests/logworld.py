"""A consumer that verifies, in front of a simulated hub: it pulls and keeps its state in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx2

from lightship.client.connection import Connection, Limits
from lightship.client.kept_log import load, save
from lightship.client.log_source import LogSource
from lightship.client.verifying import Report, VerifiedPull, first_look, pull
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

    def _pull(self, *, fresh: bool = False) -> VerifiedPull:
        kept = (None if fresh else load(self.state, verify)) or first_look(self.source, verify)
        path = f"/{AGREEMENT}/collections/{self.hub.collection}/"
        return pull(self.connection, path, self.source, kept, self.hub.clock)

    def pull(self) -> Report:
        """Pull, take what may be used, keep the state."""
        with self._pull() as done:
            self.got += list(done.bodies())
            save(self.state, done.kept)
            return done.report

    def look(self, *, fresh: bool = False) -> Report:
        """Pull and keep nothing; `fresh` as somebody who never looked before."""
        with self._pull(fresh=fresh) as done:
            return done.report

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
