"""A collection made while something is suspended: its log begins with that, for who verifies it alone.

What a hub repeats must be what a party signed, at the head of the log and nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from hubkit import StoppedClock
from lightship.client.following import first_look
from lightship.client.kept_log import Kept
from lightship.client.log_source import LogSource
from lightship.client.verifying import Report, pull
from lightship.core.access import Action, Grant, System
from lightship.core.agreement import Agreement
from lightship.core.agreement import suspension as orders
from lightship.core.agreement.chain import key_text
from lightship.core.agreement.suspension import LONGEST, Order
from lightship.core.log import leaf
from lightship.core.log.findings import Failure
from lightship.core.log.leaf import AgreementChange, RosterChange, Suspension
from lightship.core.log.statement import digest_of
from lightship.core.time import Micros
from lightship.crypto.sign import SigningKey, new_signing_key, verify
from lightship.storage import memory_registry
from lightship.storage.memory import MemoryStore
from lightship.storage.sqlite import registry
from logworld import Consumer
from signedhub import SignedHub
from simulator import AGREEMENT, SECOND, Simulator
from simulator import indicator as logged
from stixsamples import indicator
from suspendlab import HOUR_S, HOURS, TWO_O_CLOCK, resume, suspend, suspending, two_signers

NEW = "warnings"


@pytest.fixture(name="clock")
def _clock() -> StoppedClock:
    return StoppedClock(TWO_O_CLOCK)


@pytest.fixture(name="hub", params=["memory", "sqlite"])
def _hub(tmp_path: Path, clock: StoppedClock, request: pytest.FixtureRequest) -> Iterator[SignedHub]:
    with two_signers(tmp_path, request.param, clock) as made:
        yield made


def add_collection(hub: SignedHub, clock: StoppedClock, *names: str) -> None:
    """Put the next version of the agreement in force, with these collections beside the first one."""
    clock.advance(1)
    members = {slug: {"admin_key": key_text(one.public)} for slug, one in hub.admins.items()}
    collections: dict[str, dict[str, object]] = {name: {} for name in ("indicators", *names)}
    hub.kit.add_agreement(hub.kit.agreement, members=members, collections=collections)
    clock.advance(1)


def look(hub: SignedHub, name: str = NEW) -> tuple[Report, Kept]:
    """Pull as somebody who has only ever seen this collection's log."""
    with hub.connection("uslax") as connection:
        kept = first_look(LogSource(connection, hub.kit.agreement, hub.kit.collection(name)), verify)
        source = LogSource(connection, hub.kit.agreement, hub.kit.collection(name))
        with pull(connection, hub.kit.path(name), source, kept, hub.kit.hub.clock.now) as done:
            return done.report, done.kept


def kinds(hub: SignedHub, name: str = NEW) -> list[type]:
    """Return what the entries of a log are, in order."""
    grant = Grant(System("test"), Action.READ, hub.kit.collection_value(name), hub.kit.hub.registry.epoch())
    return [type(leaf.read(one)) for one in hub.kit.hub.logs.entries(grant, 0, 100)]


def post(hub: SignedHub, name: str = NEW) -> int:
    """Post what uslgb signs, in its name."""
    one, uuid = indicator(), hub.kit.collection(name)
    return hub.post("uslgb", hub.statement("uslgb", [one], collection=uuid), [one], uuid).status_code


BARE = [AgreementChange, RosterChange, RosterChange]


def test_the_log_of_a_collection_made_while_a_key_is_suspended_begins_with_that(
    hub: SignedHub, clock: StoppedClock
) -> None:
    suspend(hub, hub.keys["uslgb"])
    add_collection(hub, clock, NEW)
    assert kinds(hub) == [AgreementChange, Suspension, RosterChange, RosterChange]
    assert post(hub) == 403
    report, kept = look(hub)
    assert report.findings == ()
    (stop,) = kept.log.ledger.suspensions.stops
    assert (stop.key, stop.reason, stop.holds(clock.now())) == (
        hub.keys["uslgb"].keyid,
        "Stolen at 02:00",
        True,
    )
    clock.advance(HOURS * HOUR_S)
    assert post(hub) == 200
    assert look(hub)[0].ok
    assert hub.clean()


@pytest.mark.parametrize("repeats", [True, False])
def test_who_knows_only_the_new_log_names_what_a_dishonest_hub_takes_from_the_suspended_key(
    hub: SignedHub, clock: StoppedClock, repeats: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the repeated suspension nobody could; then fsck says that it is missing."""
    suspend(hub, hub.keys["uslgb"])
    with monkeypatch.context() as patch:
        for store in () if repeats else (registry, memory_registry):
            patch.setattr(store, "running", lambda held, now: [])
        add_collection(hub, clock, NEW)
    assert hub.clean() is (repeats or isinstance(hub.kit.hub.registry, MemoryStore))
    monkeypatch.setattr(Agreement, "suspended", lambda *_: None)
    assert post(hub) == 200
    expected = [Failure.SUSPENDED_KEY] if repeats else []
    assert [one.failure for one in look(hub)[0].findings] == expected


def test_what_is_over_is_not_repeated(hub: SignedHub, clock: StoppedClock) -> None:
    suspend(hub, hub.keys["uslgb"], hours=1)
    clock.advance(HOUR_S)
    suspend(hub, hub.keys["uslax"])
    clock.advance(60)
    resume(hub, hub.keys["uslax"])
    add_collection(hub, clock, NEW)
    assert kinds(hub) == BARE
    assert look(hub)[0].ok
    assert hub.clean()


def test_all_that_came_after_is_repeated_and_the_chain_goes_on(hub: SignedHub, clock: StoppedClock) -> None:
    suspend(hub, hub.keys["uslgb"])
    suspend(hub, hub.keys["uslax"])
    clock.advance(60)
    resume(hub, hub.keys["uslax"])
    add_collection(hub, clock, NEW)
    assert kinds(hub) == [AgreementChange, *[Suspension] * 3, RosterChange, RosterChange]
    resume(hub, hub.keys["uslgb"])
    clock.advance(1)
    assert post(hub) == 200
    report, kept = look(hub)
    assert report.ok
    assert not any(one.holds(clock.now()) for one in kept.log.ledger.suspensions.stops)
    add_collection(hub, clock, NEW, "later")
    assert kinds(hub, "later") == BARE
    assert kinds(hub)[-1] is AgreementChange
    assert hub.clean()


def test_a_suspended_member_and_agreement_are_repeated_too(hub: SignedHub, clock: StoppedClock) -> None:
    held = hub.kit.hub
    use = suspending(hub)
    for number, member in enumerate(("uslgb", "")):
        now, req = held.clock.now(), uuid4().hex
        use.suspend(hub.kit.agreement, member, hours=2, reason=f"Drill {number}", req=req, now=now)
        clock.advance(1)
    add_collection(hub, clock, NEW)
    assert kinds(hub)[:3] == [AgreementChange, Suspension, Suspension]
    clock.advance(2 * HOUR_S)
    report, kept = look(hub)
    assert report.ok
    assert [one.member for one in kept.log.ledger.suspensions.stops] == ["uslgb", ""]


# --- what a dishonest hub puts there --------------------------------------------------------------

OURS = "cccccccc-cccc-4ccc-8ccc-cccccccccccc"


def order(hub: Simulator, number: int = 1, version: int = 1, late: int = 0, prev: str = "") -> Order:
    """Return a suspension of the key of uslgb, an hour long."""
    since = Micros(hub.now + late)
    until = Micros(since + HOUR_S * SECOND)
    key = hub.authors["uslgb"].key.keyid
    return Order(AGREEMENT, hub.digests[0], version, number, prev, "", since, until, "Stolen", key)


def begun(*wanted: Order, hub: Simulator, signer: SigningKey | None = None, after: int = 1) -> Simulator:
    """Let the log of a collection that version 2 made begin with these, after so many entries."""
    hub.agree(id=OURS)
    head = [leaf.agreement_change(2, hub.at(), hub.digests[1])]
    key = signer or hub.key
    head += [leaf.roster_change(2, hub.at(), *made) for made in rosters_of(hub)] if after > 1 else []
    for one in wanted:
        head.append(leaf.suspension(2, hub.at(), orders.sign(one, [(key.keyid, key.sign)])))
    head += [] if after > 1 else [leaf.roster_change(2, hub.at(), *made) for made in rosters_of(hub)]
    hub.entries = head
    return hub


def rosters_of(hub: Simulator) -> list[tuple[str, str]]:
    return [(one.member, hashlib.sha256(one.payload()).hexdigest()) for one in hub.last_roster.values()]


def test_a_repeated_suspension_counts_also_by_what_a_consumer_kept(tmp_path: Path) -> None:
    hub = Simulator(OURS)
    first = order(hub)
    begun(first, hub=hub)
    consumer = Consumer(hub, tmp_path / "state.json")
    assert consumer.failures() == set()
    consumer.pull()
    hub.publish("uslgb", logged(1))
    hub.publish("uslax", logged(2))
    assert consumer.failures() == {Failure.SUSPENDED_KEY}
    assert consumer.failures(fresh=True) == {Failure.SUSPENDED_KEY}
    hub.now += HOUR_S * SECOND
    hub.authors["uslgb"].seq, hub.authors["uslgb"].prev = 0, ""  # what was refused does not count
    hub.publish("uslgb", logged(3))
    assert len(consumer.look().findings) == 1


def refusals() -> dict[str, Callable[[Simulator], Simulator]]:
    return {
        "a stranger's": lambda hub: begun(order(hub), hub=hub, signer=new_signing_key()),
        "later in the log": lambda hub: begun(order(hub), hub=hub, after=3),
        "dated after its entry": lambda hub: begun(order(hub, late=HOUR_S * SECOND), hub=hub),
        "of a version to come": lambda hub: begun(order(hub, version=3), hub=hub),
        "one left out": lambda hub: begun(
            one := order(hub), replace(one, number=3, prev=digest_of(one.payload())), hub=hub
        ),
        "longer than 72 hours": lambda hub: begun(
            replace(order(hub), until=Micros(hub.now + LONGEST + SECOND)), hub=hub
        ),
    }


@pytest.mark.parametrize("which", refusals())
def test_what_is_repeated_must_be_signed_for_its_version_in_sequence_and_at_the_head(
    which: str, tmp_path: Path
) -> None:
    hub = refusals()[which](Simulator(OURS))
    assert Consumer(hub, tmp_path / "state.json").failures() == {Failure.SUSPENSION}
