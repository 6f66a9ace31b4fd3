"""A suspension stops at once and ends by itself: on open connections, over restarts, in a race, in logs."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import apsw
import pytest

from hubkit import HubKit, StoppedClock, Store, make_hub
from lightship.core import dsse
from lightship.core.agreement import suspension
from lightship.core.agreement.suspension import BadSuspension, Order, Refusal
from lightship.core.log import leaf
from lightship.core.log.findings import Failure
from lightship.core.time import Micros
from lightship.crypto import sign
from lightship.keys.hub_key import load_hub_key
from lightship.storage.fsck import fsck
from lightship.storage.fsck_log import HubKey
from lightship.storage.sqlite.store import open_store
from lightship.usecases.directory import Directory
from lightship.usecases.suspensions import Suspending
from logworld import Consumer
from simulator import AGREEMENT, Simulator
from simulator import indicator as logged
from stixsamples import indicator
from upkeeplab import held, ids, look, moment, post, staged, under

HOUR_S = 3_600


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


def suspending(kit: HubKit) -> Suspending:
    return Suspending(kit.hub.registry, kit.hub.directory, sign.verify, load_hub_key(kit.hub.dir))


def suspend(kit: HubKit, member: str = "", hours: int = 24) -> None:
    suspending(kit).suspend(
        kit.agreement, member, hours=hours, reason="Tested", req=uuid4().hex, now=kit.hub.clock.now()
    )


def resume(kit: HubKit, member: str = "") -> None:
    suspending(kit).resume(kit.agreement, member, reason="Over", req=uuid4().hex, now=kit.hub.clock.now())


def rights(kit: HubKit, client: Any) -> tuple[int, int]:
    """Return what a member gets for reading and publishing."""
    path = kit.path("indicators", "objects/")
    posted = client.post(path, json={"objects": [indicator()]})
    return client.get(path).status_code, posted.status_code


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("member", ["uslgb", ""])
def test_it_counts_at_once_on_an_open_connection_and_ends_by_itself(
    tmp_path: Path, clock: StoppedClock, store: Store, member: str
) -> None:
    with (
        make_hub(tmp_path, store, clock=clock) as kit,
        kit.serve() as served,
        served.client("uslgb") as stopped,
        served.client("uslax") as other,
    ):
        assert rights(kit, stopped) == (200, 202)
        suspend(kit, member)
        assert rights(kit, stopped) == (403, 403)
        assert rights(kit, other) == ((200, 202) if member else (403, 403))
        root = stopped.get(kit.root).json()["description"]
        assert "is suspended until" in root
        clock.advance(24 * HOUR_S - 1)
        assert rights(kit, stopped) == (403, 403)
        clock.advance(1)
        assert rights(kit, stopped) == (200, 202)
        assert "suspended" not in stopped.get(kit.root).json().get("description", "")


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_post_whose_body_trickles_in_past_the_suspension_is_not_taken(
    tmp_path: Path, clock: StoppedClock, store: Store
) -> None:
    """It began minutes before, by the clock of then; what counts is that it is written after."""
    with make_hub(tmp_path, store, clock=clock) as kit:
        body = json.dumps({"objects": [indicator()]}).encode()

        async def trickle() -> AsyncIterator[bytes]:
            yield body[:-1]
            clock.advance(240)
            suspend(kit, "uslgb")
            yield body[-1:]

        async def post_slowly() -> int:
            async with kit.async_client("uslgb") as client:
                answer = await client.post(kit.path("indicators", "objects/"), content=trickle())
                return answer.status_code

        assert kit.loop.run_until_complete(post_slowly()) == 403
        assert held(kit) == set()


def test_what_a_member_shared_stays_with_the_others_and_all_comes_back_when_it_is_ended(
    tmp_path: Path, clock: StoppedClock
) -> None:
    shared = indicator()
    with make_hub(tmp_path, clock=clock) as kit:
        post(kit, shared)
        suspend(kit, "uslgb")
        assert held(kit) == {shared["id"]}
        resume(kit, "uslgb")
        assert rights(kit, kit.client("uslgb")) == (200, 202)
        with pytest.raises(BadSuspension) as caught:
            suspend(kit, "uslgb")
        assert caught.value.refusal is Refusal.TOO_SOON


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("member", ["uslgb", ""])
def test_what_waits_is_not_released_meanwhile_and_goes_on_after(
    tmp_path: Path, clock: StoppedClock, store: Store, member: str
) -> None:
    with make_hub(tmp_path, store, clock=clock) as kit:
        waiting = under(kit, release_at=moment(clock, 60))
        post(kit, *waiting)
        suspend(kit, member, hours=1)
        clock.advance(120)
        assert look(kit) == HOUR_S - 120
        assert staged(kit).keys() == ids(waiting)
        rule = "deny-suspended" if member else "deny-agreement-not-in-force"
        assert all(rule in problem for problem in staged(kit).values())
        clock.advance(HOUR_S - 120)
        look(kit)
        assert staged(kit) == {}
        assert held(kit) == ids(waiting)


def test_it_survives_a_restart_and_fsck_verifies_it(tmp_path: Path, clock: StoppedClock) -> None:
    with make_hub(tmp_path, "sqlite", clock=clock) as kit:
        suspend(kit, "uslgb")
        key = load_hub_key(kit.hub.dir)
        again = replace(kit.hub.directory.view().agreements[kit.agreement])
        data = kit.hub.dir / "data"
    store = open_store(data, clock)
    try:
        found = Directory(store, sign.verify).view().agreements["exercise"]
    finally:
        store.close()
    assert found.suspensions == again.suspensions
    assert found.suspended("uslgb", clock.now()) is not None
    check = HubKey(key.public, sign.verify)
    assert fsck(data, key=check).findings == ()
    forged = envelope_of_a_stranger(found.hub, clock)
    with apsw.Connection(str(data / "hub.db")) as db:
        db.execute("UPDATE suspension SET envelope = ?", (forged,))
    text = " ".join(str(one) for one in fsck(data, key=check).findings)
    assert "suspensions of exercise" in text
    assert "its log names other suspensions" in text


def envelope_of_a_stranger(hub: str, clock: StoppedClock) -> bytes:
    key = sign.new_signing_key()
    at = Micros(clock.now())
    order = Order("exercise", hub, 1, 1, "", "uslax", at, Micros(at + 1_000_000), "Forged")
    return dsse.encode(suspension.sign(order, [(key.keyid, key.sign)]))


def test_no_post_is_taken_once_the_suspension_was_acknowledged(tmp_path: Path) -> None:
    """Posts go on from several connections; what is in the log after the suspension is of nobody stopped."""
    taken_after: list[str] = []
    with make_hub(tmp_path, "sqlite") as kit, kit.serve() as served:
        acknowledged, end = threading.Event(), threading.Event()

        def posts() -> None:
            with served.client("uslgb") as client:
                while not end.is_set():
                    late = acknowledged.is_set()
                    one = indicator()
                    path = kit.path("indicators", "objects/")
                    answer = client.post(path, json={"objects": [one]})
                    if late and answer.status_code != 403:
                        taken_after.append(one["id"])

        threads = [threading.Thread(target=posts) for _ in range(3)]
        for thread in threads:
            thread.start()
        threading.Event().wait(0.3)
        suspend(kit, "uslgb")
        acknowledged.set()
        threading.Event().wait(0.3)
        end.set()
        for thread in threads:
            thread.join(30)
        rows: Any = kit.hub.reader
        bodies = [(row.by, row.body) for row in rows.statements(1)]
    place = next(at for at, (_, body) in enumerate(bodies) if body.startswith(b'{"suspend":'))
    assert place > 1
    assert {by for by, _ in bodies[place:]} == {""}
    assert taken_after == []


# --- the log, as a consumer verifies it -----------------------------------------------------------------


def stop(simulated: Simulator, key: sign.SigningKey | None = None, **changes: Any) -> None:
    """Log a suspension of uslgb by the hub's key, or another."""
    at = Micros(simulated.at())
    version, until = len(simulated.digests), Micros(at + HOUR_S * 1_000_000)
    order = Order(AGREEMENT, simulated.digests[0], version, 1, "", "uslgb", at, until, "Tested")
    signer = key or simulated.key
    made = suspension.sign(replace(order, **changes), [(signer.keyid, signer.sign)])
    simulated.entries.append(leaf.suspension(version, at, made))


def test_a_verifier_takes_a_good_suspension_and_names_what_comes_in_spite_of_it(tmp_path: Path) -> None:
    hub = Simulator()
    hub.publish("uslgb", logged(1))
    stop(hub)
    hub.publish("uslax", logged(2))
    consumer = Consumer(hub, tmp_path / "state.json")
    assert consumer.failures() == set()
    consumer.pull()
    hub.publish("uslgb", logged(3))
    assert consumer.failures() == {Failure.SUSPENDED}  # by what it kept
    assert consumer.failures(fresh=True) == {Failure.SUSPENDED}


@pytest.mark.parametrize(
    "changes",
    [{}, {"hub": "0" * 64}, {"agreement": "another"}, {"member": "nobody"}, {"version": 9}],
    ids=["stranger's key", "other hub", "other agreement", "no member", "other version"],
)
def test_a_verifier_names_a_forged_suspension(tmp_path: Path, changes: dict[str, Any]) -> None:
    hub = Simulator()
    stop(hub, None if changes else sign.new_signing_key(), **changes)
    hub.publish("uslgb", logged(1))
    assert Consumer(hub, tmp_path / "state.json").failures() == {Failure.SUSPENSION}
