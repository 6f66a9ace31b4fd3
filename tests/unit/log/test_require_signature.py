"""Collections that take only what a publish key signed: what is refused, what goes on, what verifiers see."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubkit import StoppedClock
from lightship.client.outbox import Proof
from lightship.core.access import Action, Grant, System
from lightship.core.agreement.chain import key_text
from lightship.core.log import leaf
from lightship.core.log.findings import Failure
from lightship.core.log.ledger import Ledger
from lightship.core.time import format_stamp
from lightship.crypto.sign import new_signing_key
from lightship.policy.engine import CedarRules
from lightship.storage.fsck import fsck
from signedhub import SignedHub, draft, gone, signed_hub
from stixsamples import Stix, indicator, sharing_terms
from upkeeplab import acts, held, ids, look, staged

DAY = 86_400


@pytest.fixture(name="clock")
def _clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture(name="hub")
def _hub(tmp_path: Path, clock: StoppedClock) -> Iterator[SignedHub]:
    hub = signed_hub(tmp_path, clock=clock)
    hub.enrol("uslgb")
    hub.enrol("uslax")
    yield hub
    hub.kit.close()


def switch(hub: SignedHub, **settings: Any) -> None:
    """Put the next version of the agreement in force, with these keys of its collection."""
    members = {slug: {"admin_key": key_text(one.public)} for slug, one in hub.admins.items()}
    hub.kit.add_agreement(hub.kit.agreement, members=members, collections={"indicators": settings})


def plain(hub: SignedHub, *objects: Stix, member: str = "uslgb") -> Any:
    """Post over TAXII."""
    with hub.kit.client(member) as client:
        return client.post(hub.kit.path("indicators", "objects/"), json={"objects": list(objects)})


def delete(hub: SignedHub, one: Stix, member: str = "uslgb") -> Any:
    with hub.kit.client(member) as client:
        return client.delete(hub.kit.path("indicators", f"objects/{one['id']}/"))


def publications(hub: SignedHub) -> list[leaf.Publication]:
    """Return the statements of the log, in order."""
    found = [leaf.read(one) for one in entries(hub)]
    return [one for one in found if isinstance(one, leaf.Publication)]


def entries(hub: SignedHub) -> list[bytes]:
    where = hub.kit.collection_value("indicators")
    grant = Grant(System("test"), Action.READ, where, hub.kit.hub.registry.epoch())
    return list(hub.kit.hub.logs.entries(grant, 0, 10_000))


# --- what is refused, and what goes on ------------------------------------------------------------


def test_an_unsigned_post_is_refused_with_its_rule_and_what_to_do(hub: SignedHub) -> None:
    switch(hub, require_signature=True)
    before = len(entries(hub))
    answer = plain(hub, indicator())
    assert answer.status_code == 403
    assert "deny-unsigned" in answer.json()["description"]
    assert "lightship publish --sign" in answer.text
    assert len(entries(hub)) == before
    (event,) = acts(hub.kit, "publish")
    assert (event.st, event.why) == (403, "deny-unsigned")


def test_an_unsigned_withdrawal_is_refused_likewise_and_the_object_stays(hub: SignedHub) -> None:
    one = indicator()
    assert plain(hub, one).status_code == 202
    switch(hub, require_signature=True)
    answer = delete(hub, one)
    assert (answer.status_code, "deny-unsigned" in answer.text) == (403, True)
    assert held(hub.kit) == {one["id"]}


def test_taxii_says_that_nobody_can_write_there(hub: SignedHub) -> None:
    def rights() -> tuple[bool, bool]:
        with hub.kit.client("uslgb") as client:
            found = client.get(hub.kit.path("indicators")).json()
        return found["can_read"], found["can_write"]

    assert rights() == (True, True)
    switch(hub, require_signature=True)
    assert rights() == (True, False)
    switch(hub)
    assert rights() == (True, True)


def test_what_a_publish_key_signs_goes_on_withdrawals_too(hub: SignedHub, tmp_path: Path) -> None:
    switch(hub, require_signature=True)
    box, one, two = hub.box("uslgb", tmp_path / "box"), indicator(), indicator()
    assert isinstance(box.publish(one), Proof)
    assert isinstance(box.publish(two, withdraw=[gone(one)]), Proof)
    assert held(hub.kit) == {two["id"]}
    assert hub.consumer().proofs() == ["signed"]


def test_a_signature_that_does_not_hold_is_none(hub: SignedHub) -> None:
    """The door opens for a statement; it must then be one, by a key of this member's roster."""
    switch(hub, require_signature=True)
    one = indicator()
    forged = hub.statement("uslgb", [one])
    forged["signatures"][0]["sig"] = "A" * 86 + "=="
    strange = hub.statement("uslgb", [one], key=new_signing_key())
    bare = hub.statement("uslgb", [one])
    bare["signatures"] = []
    for publication, status in ((forged, 403), (strange, 403), (bare, 400)):
        assert hub.post("uslgb", publication, [one]).status_code == status
    assert not publications(hub)
    assert held(hub.kit) == set()


def test_without_the_rule_the_hub_would_log_what_every_consumer_refuses(
    hub: SignedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of the tests above: the setting is there, and nothing enforces it."""
    decide = CedarRules.decide

    def lenient(self: CedarRules, *asked: Any, **more: Any) -> Any:
        return decide(self, *asked, **more | {"signed": True})

    switch(hub, require_signature=True)
    monkeypatch.setattr(CedarRules, "decide", lenient)
    assert plain(hub, indicator()).status_code == 202
    assert {one.failure for one in hub.consumer().pull().findings} == {Failure.UNSIGNED}
    monkeypatch.setattr(Ledger, "_rights", lambda *_: None)
    assert not hub.consumer().pull().findings


# --- what waits for its release -------------------------------------------------------------------


def under(hub: SignedHub, clock: StoppedClock, seconds: float) -> list[Stix]:
    terms = sharing_terms(hub.kit.agreement, release_at=format_stamp(clock.now() + int(seconds * 1e6)))
    return [terms, indicator(object_marking_refs=[terms["id"]])]


def test_what_was_staged_before_the_switch_is_not_released_and_its_publisher_is_told(
    hub: SignedHub, clock: StoppedClock
) -> None:
    secret = under(hub, clock, 60)
    assert plain(hub, *secret).status_code == 202
    switch(hub, require_signature=True)
    clock.advance(61)
    for _ in range(3):
        look(hub.kit)
    assert held(hub.kit) == set()
    assert not publications(hub)
    problems = staged(hub.kit)
    assert problems.keys() == ids(secret)
    assert all("(deny-unsigned)" in one and "publish --sign --at" in one for one in problems.values())
    (event,) = acts(hub.kit, "release-refused")
    assert (event.who, event.n, event.why) == ("uslgb", 2, "deny-unsigned")
    switch(hub)
    look(hub.kit)
    assert held(hub.kit) == ids(secret)
    assert sorted(hub.consumer().proofs()) == ["hub-attested", "hub-attested"]


def test_nothing_new_is_staged_there(hub: SignedHub, clock: StoppedClock) -> None:
    switch(hub, require_signature=True)
    assert plain(hub, *under(hub, clock, 60)).status_code == 403
    assert staged(hub.kit) == {}


def test_what_is_staged_there_can_still_be_taken_back(hub: SignedHub, clock: StoppedClock) -> None:
    secret = under(hub, clock, 60)
    plain(hub, *secret)
    switch(hub, require_signature=True)
    with hub.kit.client("uslgb", headers={"Accept": "application/json"}) as client:
        for one in reversed(secret):
            path = f"/staged/{hub.kit.agreement}/indicators/{one['id']}/"
            assert client.delete(path).status_code == 200
    assert staged(hub.kit) == {}


# --- the hub's own work ---------------------------------------------------------------------------


def test_expiry_retention_and_orders_go_on_and_consumers_agree(
    hub: SignedHub, clock: StoppedClock, tmp_path: Path
) -> None:
    now = clock.now()
    short = sharing_terms(hub.kit.agreement, share_until=format_stamp(now + 100_000_000))
    until, old, ordered = indicator(object_marking_refs=[short["id"]]), indicator(), indicator()
    plain(hub, short, until, old, ordered)
    consumer = hub.consumer()
    consumer.pull()
    switch(hub, require_signature=True, retention_days=7)
    clock.advance(101)
    look(hub.kit)
    assert held(hub.kit) == ids([old, ordered])
    switch(hub, require_signature=True, retention_days=7, withdraw=[ordered["id"]])
    assert held(hub.kit) == {old["id"]}
    clock.advance(8 * DAY)
    look(hub.kit)
    assert held(hub.kit) == set()
    assert isinstance(hub.box("uslgb", tmp_path / "box").publish(indicator()), Proof)
    report = consumer.pull()
    assert report.ok, report.findings
    reasons = {one.id: one.reason for one in report.gone}
    assert reasons == dict.fromkeys(ids([short, until, old]), "expired") | {ordered["id"]: "ordered"}
    assert fsck(hub.kit.hub.dir / "data").findings == ()


# --- the hub and its verifiers --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_log_of_a_hub_that_is_switched_on_and_off_verifies_and_holds_what_it_shows(
    hub: SignedHub, clock: StoppedClock, tmp_path: Path, seed: int
) -> None:
    """Random acts, plain and signed, with the setting changed in between: the consumer never objects."""
    dice = random.Random(seed)
    boxes = {member: hub.box(member, tmp_path / member) for member in ("uslax", "uslgb")}
    consumer, required, live = hub.consumer(), False, dict[str, tuple[str, Stix]]()
    taken: dict[str, int] = dict.fromkeys(("plain", "signed", "refused"), 0)
    for _ in range(40):
        clock.advance(dice.uniform(0, 5))
        member, one = dice.choice(list(boxes)), indicator()
        mine = [held for owner, held in live.values() if owner == member]
        match dice.choice(("post", "post", "sign", "sign", "delete", "replace", "switch", "stage", "pull")):
            case "post":
                status = plain(hub, one, member=member).status_code
                assert status == (403 if required else 202)
                taken["refused" if required else "plain"] += 1
                live |= {} if required else {one["id"]: (member, one)}
            case "sign":
                assert isinstance(boxes[member].publish(one), Proof)
                live[one["id"]] = (member, one)
                taken["signed"] += 1
            case "delete" if mine:
                victim = dice.choice(mine)
                assert delete(hub, victim, member).status_code == (403 if required else 200)
                if not required:
                    del live[victim["id"]]
            case "replace" if mine:
                victim = dice.choice(mine)
                assert isinstance(boxes[member].publish(one, withdraw=[gone(victim)]), Proof)
                del live[victim["id"]]
                live[one["id"]] = (member, one)
            case "switch":
                required = not required
                switch(hub, require_signature=required)
            case "stage":
                plain(hub, *under(hub, clock, dice.uniform(1, 30)), member=member)
            case "pull":
                report = consumer.pull()
                assert report.ok, report.findings
        look(hub.kit)
    report = consumer.pull()
    assert report.ok, report.findings
    assert min(taken.values()) > 0
    shown = held(hub.kit)
    assert shown >= set(live)
    assert {one.id for one in consumer.kept.log.ledger.held if one.live} == shown


# --- client certificates, which are asked for in the same way ---------------------------------------


def test_where_a_certificate_is_asked_for_a_secret_alone_writes_nothing_and_releases_go_on(
    hub: SignedHub, clock: StoppedClock
) -> None:
    one, secret = indicator(), under(hub, clock, 60)
    plain(hub, one)
    plain(hub, *secret)
    switch(hub, require_certificate_to_write=True)
    more = indicator()
    for answer in (
        plain(hub, more),
        delete(hub, one),
        hub.post("uslgb", hub.statement("uslgb", [more]), [more]),
    ):
        assert answer.status_code == 403
        assert "deny-no-certificate" in answer.text
        assert "certificate" in answer.json()["description"]
    with hub.kit.client("uslgb") as client:
        found = client.get(hub.kit.path("indicators")).json()
    assert (found["can_read"], found["can_write"]) == (True, False)
    clock.advance(61)
    look(hub.kit)
    assert held(hub.kit) == ids([one, *secret])


# --- what is said before ---------------------------------------------------------------------------


def test_why_and_audience_tell_before_anything_is_sent(hub: SignedHub) -> None:
    switch(hub, require_signature=True)
    where = f"{hub.kit.agreement}/indicators/"
    body = json.dumps({"objects": [indicator()]})
    with hub.client("uslgb") as client:
        bare = client.get(f"/why/{where}?action=publish").json()
        assert (bare["allowed"], bare["rule"]) == (False, "deny-unsigned")
        assert client.get(f"/why/{where}?action=withdraw").json()["rule"] == "deny-unsigned"
        assert client.get(f"/why/{where}?action=publish&signed=true").json()["allowed"]
        assert client.get(f"/why/{where}?action=publish&signed=perhaps").status_code == 400
        (one,) = client.post(f"/why/{where}", content=body).json()["objects"]
        assert one["rule"] == "deny-unsigned"
        (one,) = client.post(f"/why/{where}?signed=true", content=body).json()["objects"]
        assert one["allowed"]
        (one,) = client.post(f"/audience/{where}", content=body).json()["objects"]
        assert (one["taken_from"], [refused["rule"] for refused in one["refused"]]) == ([], ["deny-unsigned"])
        (one,) = client.post(f"/audience/{where}?signed=true", content=body).json()["objects"]
        assert one["taken_from"] == ["uslgb"]


def test_drafts_of_what_is_signed_are_the_ones_that_enter(hub: SignedHub, tmp_path: Path) -> None:
    """Both ways in give an object the same digest, so a plain copy of a signed object is a duplicate."""
    one = indicator()
    assert isinstance(hub.box("uslgb", tmp_path / "box").publish(one), Proof)
    assert plain(hub, one).json()["success_count"] == 1
    (found,) = publications(hub)[0].statement.add
    assert found == draft(one).add
