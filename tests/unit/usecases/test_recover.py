"""Recovery at start: no effect is without its event, also after a crash between the two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from audit_samples import event
from fsckhub import DiskHub, stix
from lightship.core.audit import AccessEvent, AuditQuery
from lightship.core.errors import Unavailable
from lightship.core.log.receipt import Sealed
from lightship.storage.fsck import fsck
from lightship.storage.memory_access import MemoryAccessLog
from lightship.usecases.recover import recover


class Waiting:
    """The part of a writer that recovery uses."""

    def __init__(self, *events: AccessEvent) -> None:
        self.events = {one.req: one for one in events}

    def pending(self) -> Sequence[AccessEvent]:
        return list(self.events.values())

    def settle(self, reqs: Iterable[str]) -> None:
        for req in reqs:
            del self.events[req]


class Failing(MemoryAccessLog):
    """An access log that fails for one event."""

    def __init__(self, req: str) -> None:
        super().__init__()
        self.req = req

    def record(self, event: AccessEvent) -> Future[Sealed | None]:
        if event.req != self.req:
            return super().record(event)
        failed: Future[Sealed | None] = Future()
        failed.set_exception(Unavailable("The disk is full"))
        return failed


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[DiskHub]:
    made = DiskHub(tmp_path)
    made.activate(1, "")
    yield made
    made.close()


def test_events_left_pending_by_a_crash_reach_the_access_log(hub: DiskHub, tmp_path: Path) -> None:
    hub.publish(stix(1), log=False)
    hub.publish(stix(2), log=False)
    waiting = [one.req for one in hub.store.pending() if one.act == "publish"]
    recover(hub.store, hub.access)
    logged = [one.req for one in hub.access.search(AuditQuery(action="publish"))]
    assert sorted(logged) == sorted(waiting)
    assert len(logged) == 2
    hub.close()
    again = DiskHub(tmp_path)
    assert again.store.pending() == []
    again.close()
    assert fsck(tmp_path).findings == ()


def test_recovering_twice_leaves_one_event(hub: DiskHub) -> None:
    hub.publish(stix(1), log=False)
    recover(hub.store, hub.access)
    recover(hub.store, hub.access)
    assert len(list(hub.access.search(AuditQuery(action="publish")))) == 1


def test_what_cannot_be_recorded_stays_pending() -> None:
    writer, access = Waiting(event(1), event(2), event(3)), Failing(event(2).req)
    with pytest.raises(Unavailable):
        recover(writer, access)  # type: ignore[arg-type]  # the two methods that it uses
    assert list(writer.events) == [event(2).req]
    assert list(access.search(AuditQuery())) == [event(1), event(3)]


def test_with_nothing_pending_nothing_is_done() -> None:
    assert recover(Waiting(), MemoryAccessLog()) == 0  # type: ignore[arg-type]  # the two methods that it uses
