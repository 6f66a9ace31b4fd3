"""Floods without a credential: counted exactly once, few events, bounded memory, nobody else slowed down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubkit import HubKit, StoppedClock, Store, make_hub
from lightship.cli.main import execute
from lightship.core.audit import AccessEvent
from lightship.core.errors import Unavailable
from lightship.core.time import Micros
from lightship.web.floods import MINUTE, REST, Floods, Others, network_of
from lightship.wiring import make_app
from stixsamples import indicator

OWN = 3
ADDRESSES = [f"192.0.{net}.{host}" for net in range(4) for host in (1, 200)] + ["2001:db8::1", "", "x"]

# --- counting -------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["admit", "admit", "admit", "take", "fail"]),
            st.sampled_from(ADDRESSES),
            st.integers(-MINUTE, 2 * MINUTE) | st.just(0),
        ),
        max_size=120,
    ),
    st.integers(0, OWN),
    st.integers(1, 3),
)
def test_every_request_is_counted_exactly_once(
    steps: list[tuple[str, str, int]], own_events: int, networks: int
) -> None:
    floods = Floods(own_events, networks)
    requests = own = stood_for = 0
    at = 10 * MINUTE
    for what, address, passed in steps:
        at += passed
        if what == "admit":
            requests += 1
            own += floods.admit(address, Micros(at))
        else:
            owes = floods.owes
            taken = floods.take(Micros(at))
            assert owes or not taken
            assert all(one.n > 0 for one in taken)
            for one in taken:
                if what == "take":
                    stood_for += one.n
                else:
                    floods.give_back(one, Micros(at))
        assert len(floods) <= 2 * (networks + 1)
        assert floods.owes or own + stood_for == requests
    stood_for += sum(one.n for one in floods.take(None))
    assert own + stood_for == requests
    assert not floods.owes
    assert floods.take(None) == []


@given(
    st.lists(st.tuples(st.sampled_from(ADDRESSES), st.integers(0, MINUTE)), max_size=100), st.integers(1, OWN)
)
def test_a_network_has_so_many_events_a_minute_and_one_for_the_others(
    steps: list[tuple[str, int]], own_events: int
) -> None:
    floods = Floods(own_events)
    own: Counter[tuple[str, int]] = Counter()
    others: Counter[tuple[str, int]] = Counter()
    asked: Counter[tuple[str, int]] = Counter()
    at = 0
    for address, passed in steps:
        at += passed
        key = (network_of(address), at // MINUTE)
        asked[key] += 1
        own[key] += floods.admit(address, Micros(at))
        others.update((one.network, one.last // MINUTE) for one in floods.take(Micros(at)))
    others.update((one.network, one.last // MINUTE) for one in floods.take(None))
    assert all(own[key] == min(asked[key], own_events) for key in asked)
    assert others == Counter(key for key in asked if asked[key] > own_events)


def test_networks_beyond_those_kept_share_one_count() -> None:
    floods = Floods(1, networks=2)
    admitted = [floods.admit(f"192.0.{net}.1", Micros(0)) for net in range(5)]
    assert admitted == [True, True, True, False, False]
    assert floods.take(Micros(MINUTE)) == [Others(REST, 2, Micros(0))]


def test_a_network_is_a_24_or_a_56() -> None:
    assert network_of("192.0.2.7") == network_of("::ffff:192.0.2.250") == "192.0.2.0/24"
    assert network_of("2001:db8:1:2ff::9") == "2001:db8:1:200::/56"
    assert network_of("2001:db8:1:300::9") == "2001:db8:1:300::/56"
    assert network_of("::1") == "::/56"
    assert network_of("") == network_of("nonsense") == REST


# --- in a hub -------------------------------------------------------------------------------------


class HeldLog:
    """An access log that keeps its callers waiting, or fails, when it is told to."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.holds = False
        self.fails = False

    def record(self, event: AccessEvent) -> Future[Any]:
        return self._unless_held(self.inner.record, event)

    def record_all(self, events: Sequence[AccessEvent]) -> Future[Any]:
        return self._unless_held(self.inner.record_all, events)

    def _unless_held(self, record: Any, what: Any) -> Future[Any]:
        held: Future[Any] = Future()
        if self.fails:
            held.set_exception(Unavailable("The disk is full"))
        elif not self.holds:
            held = record(what)
        return held

    def search(self, query: Any) -> Any:
        return self.inner.search(query)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(at=1_790_000_040_000_000)


@pytest.fixture
def kit(tmp_path: Path, clock: StoppedClock) -> Iterator[HubKit]:
    with flooded(tmp_path, clock) as made:
        yield made


def flooded(tmp_path: Path, clock: StoppedClock, store: Store = "memory") -> HubKit:
    """Return a hub where a network has three events a minute without a credential."""
    kit = make_hub(tmp_path, store, clock=clock)
    kit.hub = replace(kit.hub, floods=Floods(OWN))
    kit.app = make_app(kit.hub)
    return kit


def events(kit: HubKit) -> list[AccessEvent]:
    return [one for one in kit.events() if one.ip]


def test_a_flood_without_a_credential_costs_few_events(kit: HubKit, clock: StoppedClock) -> None:
    for number in range(12):
        stranger = kit.client(None, address=f"192.0.2.{number}")
        asked = [("/taxii2/", 401), ("/nothing/here", 404), ("/taxii2/?limit=x", 401)]
        for path, status in asked:
            answer = stranger.get(path, headers={"Authorization": "Bearer wrong"} if number % 2 else {})
            assert answer.status_code in {status, 429}
    assert [one.act for one in events(kit)] == ["discover", "unknown-path", "discover"]
    assert kit.client(None, address="198.51.100.1").get("/taxii2/").status_code == 401
    assert len(events(kit)) == OWN + 1, "another network has events of its own"
    clock.advance(60)
    assert kit.client("uslax", address="192.0.2.1").get("/taxii2/").status_code == 200
    others, member = events(kit)[-2:]
    assert (others.act, others.why, others.n, others.ip) == ("others", "flood", 33, "192.0.2.0/24")
    assert (others.outcome, others.agr, others.who, others.q) == ("refused", "hub", "", "")
    assert others.at == clock.at - 60_000_000
    assert member.who == "uslax"
    assert kit.client("uslax").get("/taxii2/").status_code == 200
    assert sum(one.act == "others" for one in events(kit)) == 1


def test_members_and_writes_have_their_events_whatever_floods_come(kit: HubKit) -> None:
    for _ in range(OWN + 5):
        kit.client(None).get("/taxii2/")
    before = len(events(kit))
    for _ in range(OWN + 5):
        assert kit.client("uslax").get(kit.path("indicators", "objects/?limit=x")).status_code == 400
        sent = kit.client("uslgb").post(kit.path("indicators", "objects/"), json={"objects": [indicator()]})
        assert sent.status_code == 202
    assert len(events(kit)) == before + 2 * (OWN + 5)


def test_what_has_no_event_of_its_own_waits_for_no_log(kit: HubKit) -> None:
    log = HeldLog(kit.hub.access)
    kit.app = make_app(replace(kit.hub, access=log))
    for _ in range(OWN):
        kit.client(None).get("/taxii2/")
    log.holds = True
    assert kit.client(None).get("/taxii2/").status_code == 401


def test_others_that_could_not_be_recorded_are_counted_with_the_next_minute(
    kit: HubKit, clock: StoppedClock
) -> None:
    log = HeldLog(kit.hub.access)
    kit.app = make_app(replace(kit.hub, access=log))
    for _ in range(OWN + 4):
        kit.client(None).get("/taxii2/")
    clock.advance(60)
    log.fails = True
    assert kit.client("uslax").get("/taxii2/").status_code == 503
    log.fails = False
    for _ in range(OWN + 2):
        kit.client(None).get("/taxii2/")
    clock.advance(60)
    assert kit.client("uslax").get("/taxii2/").status_code == 200
    assert [one.n for one in events(kit) if one.act == "others"] == [6]


def test_a_graceful_stop_records_the_others_and_auditors_find_them(
    tmp_path: Path, clock: StoppedClock, capsys: pytest.CaptureFixture[str]
) -> None:
    with flooded(tmp_path, clock, "sqlite") as kit:
        for _ in range(OWN + 9):
            kit.client(None, address="2001:db8::7").get("/taxii2/")
        assert all(one.act != "others" for one in kit.events())
    hub = ["--hub", str(kit.hub.dir), "--json"]
    capsys.readouterr()
    assert execute(["audit", "search", "--action", "others", "--outcome", "refused", *hub]) == 0
    (found,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (found["act"], found["rule"], found["objects"]) == ("others", "flood", 9)
    assert found["address"] == "2001:db8::/56"
    assert execute(["fsck", *hub]) == 0
