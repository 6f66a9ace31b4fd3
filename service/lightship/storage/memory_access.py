"""The access log in memory: the same contract as the SQLite one, for tests and for looking at one request.

Durable only as long as the process lives. Never writes a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from threading import Lock

from lightship.core.audit import AccessEvent, AuditQuery
from lightship.core.log.receipt import Sealed
from lightship.core.ports import Recorded
from lightship.storage.event_leaf import salted


class MemoryAccessLog:
    """`ports.Access` in memory; may be called from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._events: dict[str, AccessEvent] = {}

    def record(self, event: AccessEvent) -> Future[Sealed | None]:
        """Keep an event unless its `req` is known already; there are no receipts."""
        with self._lock:
            self._events.setdefault(event.req, event)
        done: Future[Sealed | None] = Future()
        done.set_result(None)
        return done

    def record_all(self, events: Sequence[AccessEvent]) -> Future[Sequence[Recorded]]:
        """Keep events as `record` does each."""
        done: Future[Sequence[Recorded]] = Future()
        done.set_result([self.record(event).result() for event in events])
        return done

    def search(self, query: AuditQuery) -> Iterator[AccessEvent]:
        """Yield matching events, oldest first, those of one microsecond in the order recorded."""
        with self._lock:
            events = [_salted(event) for event in self._events.values() if _matches(event, query)]
        events.sort(key=lambda event: event.at)
        return iter(events[: max(query.limit, 0)])

    def close(self) -> None:
        """Nothing is held open."""


def _salted(event: AccessEvent) -> AccessEvent:
    """Return an event as a search gives it: with digests, whose salts nobody keeps here."""
    salt = event.req.encode()
    return replace(event, q_digest=salted(salt, event.q), ip_digest=salted(salt, event.ip))


def _matches(event: AccessEvent, query: AuditQuery) -> bool:
    wanted = (
        (query.agreement, event.agr),
        (query.member, event.who),
        (query.principal, event.cred),
        (query.collection, event.col),
        (query.outcome, event.outcome),
        (query.action, event.act),
    )
    return (
        all(not value or value == found for value, found in wanted)
        and event.at >= query.since
        and (query.until is None or event.at < query.until)
    )
