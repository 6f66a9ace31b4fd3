"""Nothing is answered that was not logged before, and no effect is without its event."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from lightship.core.audit import AccessEvent, AuditQuery
from lightship.core.errors import Unavailable
from lightship.core.log.receipt import Sealed
from lightship.core.ports import Recorded
from lightship.core.time import format_stamp
from lightship.storage.memory_access import MemoryAccessLog
from lightship.wiring import make_app
from probehub import ProbeHub
from stixsamples import indicator
from taxiiprobe import Driver, Party

EVERYTHING = AuditQuery(limit=1000)


class FullDisk(MemoryAccessLog):
    """An access log whose disk is full until somebody makes room."""

    full = True

    def record(self, event: AccessEvent) -> Future[Sealed | None]:
        return self._full() if self.full else super().record(event)

    def record_all(self, events: Sequence[AccessEvent]) -> Future[Sequence[Recorded]]:
        return self._full() if self.full else super().record_all(events)

    @staticmethod
    def _full() -> Future[Any]:
        failed: Future[Any] = Future()
        failed.set_exception(Unavailable("The access log's disk is full", retry_after=7))
        return failed


@pytest.fixture
def full_disk(hub: ProbeHub) -> FullDisk:
    """Put the hub's application together anew, over a log that cannot be written."""
    assert hub.standing_object
    log = FullDisk()
    hub.driver.close()
    hub.hub = replace(hub.hub, access=log)
    hub.driver = Driver(make_app(hub.hub))
    return log


@pytest.mark.parametrize(
    "place",
    [
        *("/taxii2/", "root", "collections", "objects", "manifest", "object", "/nowhere/"),
        *("why", "audience", "audit", "staged", "checkpoint", "version"),
    ],
)
@pytest.mark.parametrize("party", ["publisher", "stranger", "nobody", "wrong secret"])
def test_what_cannot_be_logged_is_not_answered(
    hub: ProbeHub, full_disk: FullDisk, place: str, party: str
) -> None:
    reply = hub.party(party).get(hub.place(place))
    reply.advice(503)
    assert reply.headers["retry-after"] == "7"
    assert "Standing" not in reply.body.decode()
    assert list(full_disk.search(EVERYTHING)) == []


def test_a_write_that_could_not_be_logged_keeps_its_event_until_it_can(
    hub: ProbeHub, full_disk: FullDisk
) -> None:
    one = indicator()
    hub.lgb.post(one).advice(503)
    full_disk.full = False
    assert hub.lax.object(one["id"]).objects == [one]
    for _ in range(2):
        make_app(hub.hub)
        found = [event for event in full_disk.search(EVERYTHING) if event.act == "publish"]
        assert [(event.st, event.n, event.why) for event in found] == [(202, 1, "allow-publisher-publish")]


def test_the_event_of_a_write_says_how_many_and_which(hub: ProbeHub) -> None:
    posted = [indicator(), indicator(), {"type": "indicator"}]
    hub.lgb.post(*posted).ok()
    hub.lgb.post(posted[0]).ok()
    first, second = [event for event in hub.events() if event.act == "publish"]
    assert (first.n, second.n) == (2, 0)
    entries = hub.lax.manifest()
    assert (format_stamp(first.first), format_stamp(first.last)) == (entries.first, entries.last)
    assert (second.first, second.last) == (0, 0)


def test_every_event_has_an_id_of_its_own(hub: ProbeHub) -> None:
    replies = [hub.lax.objects() for _ in range(20)]
    ids = [event.req for event in hub.events()]
    assert len(set(ids)) == len(ids) == 20
    assert [reply.headers["x-request-id"] for reply in replies] == ids


def test_a_query_is_logged_as_it_was_sent_but_not_without_end(hub: ProbeHub) -> None:
    hub.lax.objects("match[type]=indicator&limit=3")
    hub.lax.objects("x=" + "y" * 10_000)
    short, long = hub.events()
    assert short.q == "match[type]=indicator&limit=3"
    assert len(long.q) <= 2_000


def test_nobody_else_can_be_named_in_an_event(hub: ProbeHub) -> None:
    party = Party(hub.driver, None, hub.lax.collection)
    party.get("/taxii2/", None, X_Forwarded_For="10.0.0.1", X_Request_ID="f" * 32, User_Agent="uslax")
    (event,) = hub.events()
    assert (event.who, event.cred, event.ip) == ("", "", "127.0.0.1")
    assert event.req != "f" * 32
