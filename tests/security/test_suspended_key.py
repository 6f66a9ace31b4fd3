"""A stolen publish key is stopped at 02:00, before its owner wakes: at the hub, and for whoever verifies.

Hub and verifiers go by the same: the entry of the suspension in the log, and the moment that ends it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hubkit import StoppedClock
from lightship.cli.verified import Total
from lightship.core.agreement import Agreement
from lightship.core.agreement import suspension as orders
from lightship.core.agreement.suspension import Order
from lightship.core.errors import NotFound
from lightship.core.log import leaf
from lightship.core.log.findings import Failure
from lightship.core.log.ledger import Ledger
from lightship.core.log.statement import digest_of, read_envelope
from lightship.core.time import Micros
from lightship.crypto.sign import SigningKey, new_signing_key
from logworld import Consumer
from signedhub import SignedHub
from simulator import AGREEMENT, Simulator
from simulator import indicator as logged
from stixsamples import indicator
from suspendlab import HOUR_S, HOURS, TWO_O_CLOCK, resume, suspend, suspending, two_signers


@pytest.fixture(name="clock")
def _clock() -> StoppedClock:
    return StoppedClock(TWO_O_CLOCK - 60_000_000)


@pytest.fixture(name="hub", params=["memory", "sqlite"])
def _hub(tmp_path: Path, clock: StoppedClock, request: pytest.FixtureRequest) -> Iterator[SignedHub]:
    with two_signers(tmp_path, request.param, clock) as made:
        yield made


class Thief:
    """Who holds the key and a credential of uslgb, and keeps to the key's chain."""

    def __init__(self, hub: SignedHub, member: str = "uslgb") -> None:
        self.hub, self.member, self.seq, self.prev = hub, member, 0, ""

    def post(self) -> Any:
        one = indicator()
        publication = self.hub.statement(self.member, [one], self.seq + 1, self.prev)
        answer = self.hub.post(self.member, publication, [one])
        if "leaf" in answer.text:
            self.seq += 1
            self.prev = digest_of(read_envelope(publication, signed=True)[0].payload)
        return answer


def failures(hub: SignedHub) -> set[Failure]:
    return {one.failure for one in hub.consumer().pull().findings}


def test_stolen_publish_key_suspended_at_02_00(hub: SignedHub, clock: StoppedClock) -> None:
    thief = Thief(hub)
    assert thief.post().status_code == 200
    clock.advance(60)
    taken = suspend(hub, hub.keys["uslgb"])
    assert taken.owner == "uslgb"
    refused = thief.post()
    assert refused.status_code == 403
    for said in ("deny-suspended", "Stolen at 02:00", "until 2026-09-22T14:00Z"):
        assert said in refused.text
    event = hub.kit.events()[-1]
    assert (event.act, event.st, event.why) == ("publish-signed", 403, "deny-suspended")
    size = hub.consumer().pull().size
    clock.advance(HOURS * HOUR_S - 1)
    assert thief.post().status_code == 403
    assert hub.consumer().pull().size == size
    clock.advance(1)
    assert thief.post().status_code == 200  # by itself, and its number was not used up
    assert hub.consumer().proofs() == ["signed"] * 2
    assert hub.clean()


def test_a_suspended_key_stops_nothing_else(hub: SignedHub, clock: StoppedClock) -> None:
    suspend(hub, hub.keys["uslgb"])
    clock.advance(1)
    assert Thief(hub, "uslax").post().status_code == 200
    one = indicator()
    with hub.kit.client("uslgb") as client:
        assert client.post(hub.kit.path("indicators", "objects/"), json={"objects": [one]}).status_code == 202
        assert client.get(hub.kit.path("indicators", "objects/")).status_code == 200
    old = hub.keys["uslgb"]
    hub.enrol("uslgb")  # another key of the same member
    assert hub.keys["uslgb"].keyid != old.keyid
    assert Thief(hub).post().status_code == 200
    assert hub.consumer().pull().ok


def test_what_was_signed_before_stays_and_is_answered_again(hub: SignedHub, clock: StoppedClock) -> None:
    one = indicator()
    publication = hub.statement("uslgb", [one])
    first = hub.post("uslgb", publication, [one]).json()
    suspend(hub, hub.keys["uslgb"])
    again = hub.post("uslgb", publication, [one]).json()
    assert again["leaf"] == first["leaf"]
    assert hub.consumer().proofs() == ["signed"]


def test_ended_early_it_signs_again(hub: SignedHub, clock: StoppedClock) -> None:
    key, thief = hub.keys["uslgb"], Thief(hub)
    suspend(hub, key)
    clock.advance(HOUR_S)
    assert thief.post().status_code == 403
    resume(hub, key)
    clock.advance(1)
    assert thief.post().status_code == 200
    assert hub.consumer().proofs() == ["signed"]


def test_a_statement_whose_body_trickles_in_past_the_suspension_is_not_taken(
    hub: SignedHub, clock: StoppedClock
) -> None:
    one = indicator()
    body = json.dumps({"publication": hub.statement("uslgb", [one]), "objects": [one]}).encode()
    headers = {"Accept": "application/json", "Content-Type": "application/json"}

    async def trickle() -> AsyncIterator[bytes]:
        yield body[:-1]
        clock.advance(240)
        suspend(hub, hub.keys["uslgb"])
        yield body[-1:]

    async def post_slowly() -> int:
        async with hub.kit.async_client("uslgb", headers=headers) as client:
            return (await client.post(f"/log/{hub.uuid}/publish", content=trickle())).status_code

    assert hub.kit.loop.run_until_complete(post_slowly()) == 403
    assert hub.consumer().pull().delivered == ()


def test_only_a_key_that_a_roster_lists_can_be_suspended(hub: SignedHub) -> None:
    with pytest.raises(NotFound, match="no member's roster"):
        suspend(hub, new_signing_key())


def test_a_client_pin_of_a_roster_can_be_suspended_too(hub: SignedHub) -> None:
    last, pin = hub.last["uslgb"], "c" * 64
    made = hub.next_roster("uslgb", dict(last.keys))
    hub.apply(replace(made, clients=(pin,)))
    now = hub.kit.hub.clock.now()
    taken = suspending(hub).suspend(
        hub.kit.agreement, "", key=pin, hours=1, reason="Lost", req=uuid4().hex, now=now
    )
    assert taken.owner == "uslgb"
    assert taken.agreement.suspended("", now, pin) is not None


# --- a hub that takes it all the same -------------------------------------------------------------


def test_a_verifier_names_what_a_dishonest_hub_takes_from_a_suspended_key(
    hub: SignedHub, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every moment the verifier says what an honest hub would have answered."""
    thief, key = Thief(hub), hub.keys["uslgb"]
    real = Agreement.suspended
    expected: list[bool] = []

    def step() -> None:
        view = hub.kit.hub.directory.view().agreements[hub.kit.agreement]
        expected.append(real(view, "", clock.now(), key.keyid) is not None)
        monkeypatch.setattr(Agreement, "suspended", lambda *_: None)
        assert thief.post().status_code == 200
        monkeypatch.setattr(Agreement, "suspended", real)

    step()
    suspend(hub, key)
    step()
    clock.advance(HOURS * HOUR_S - 1)
    step()
    clock.advance(1)
    step()
    report = hub.consumer().pull()
    assert expected == [False, True, True, False]
    stopped = [one for one in report.findings if one.failure is Failure.SUSPENDED_KEY]
    assert len(stopped) == 2
    assert len(report.failures) + len(report.delivered) == 4
    monkeypatch.setattr(Ledger, "_stopped", lambda *_: None)
    assert not failures(hub)


def stop(simulated: Simulator, keyid: str, signer: SigningKey, hours: int = 1) -> None:
    at = Micros(simulated.at())
    until = Micros(at + hours * HOUR_S * 1_000_000)
    version = len(simulated.digests)
    order = Order(AGREEMENT, simulated.digests[0], version, 1, "", "", at, until, "Stolen", keyid)
    made = orders.sign(order, [(signer.keyid, signer.sign)])
    simulated.entries.append(leaf.suspension(version, at, made))


def test_by_what_a_consumer_kept_it_names_it_as_well(tmp_path: Path) -> None:
    hub = Simulator()
    key = hub.authors["uslgb"].key
    hub.publish("uslgb", logged(1))
    stop(hub, key.keyid, hub.key)
    consumer = Consumer(hub, tmp_path / "state.json")
    assert consumer.failures() == set()
    consumer.pull()
    hub.publish("uslgb", logged(2))
    hub.publish("uslax", logged(3))
    assert consumer.failures() == {Failure.SUSPENDED_KEY}
    assert consumer.failures(fresh=True) == {Failure.SUSPENDED_KEY}


def test_a_strangers_suspension_of_a_key_stops_nothing(tmp_path: Path) -> None:
    """Or a hub could silence a publisher whose statements it does not like."""
    hub = Simulator()
    stop(hub, hub.authors["uslgb"].key.keyid, new_signing_key())
    hub.publish("uslgb", logged(1))
    assert Consumer(hub, tmp_path / "state.json").failures() == {Failure.SUSPENSION}


def test_a_key_of_somebody_else_under_the_name_of_a_suspended_one_is_named_as_that(tmp_path: Path) -> None:
    hub = Simulator()
    stranger = new_signing_key()
    stop(hub, hub.authors["uslgb"].key.keyid, hub.key)
    hub.authors["uslgb"].key = stranger
    hub.publish("uslgb", logged(1))
    assert Consumer(hub, tmp_path / "state.json").failures() == {Failure.UNKNOWN_KEY}


def test_a_verified_pull_says_what_is_suspended(hub: SignedHub, clock: StoppedClock) -> None:
    """Nothing is wrong with the log, and who relies on the publisher reads it all the same."""
    suspend(hub, hub.keys["uslgb"])
    consumer = hub.consumer()
    total = Total("exercise/indicators")
    total.add(consumer.pull())
    total.stops = [one for one in consumer.kept.log.ledger.suspensions.stops if one.holds(clock.now())]
    assert not total.failed(strict=False)
    (stop,) = total.summary()["suspensions"]
    assert (stop["key"], stop["member"], stop["reason"]) == (
        hub.keys["uslgb"].keyid,
        None,
        "Stolen at 02:00",
    )
