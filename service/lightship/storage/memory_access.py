"""The access log in memory: the same contract as the SQLite one, for tests and for looking at one request.

Durable only as long as the process lives. Never writes a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from threading import Lock

from lightship.core.audit import AccessEvent, AuditQuery


class MemoryAccessLog:
    """`ports.Access` in memory; may be called from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._events: dict[str, AccessEvent] = {}

    def record(self, event: AccessEvent) -> Future[None]:
        """Keep an event unless its `req` is known already."""
        with self._lock:
            self._events.setdefault(event.req, event)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def search(self, query: AuditQuery) -> Iterator[AccessEvent]:
        """Yield matching events, oldest first, those of one microsecond in the order recorded."""
        with self._lock:
            events = [event for event in self._events.values() if _matches(event, query)]
        events.sort(key=lambda event: event.at)
        return iter(events[: max(query.limit, 0)])

    def close(self) -> None:
        """Nothing is held open."""


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
