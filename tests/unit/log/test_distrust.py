"""A stolen publish key, before and after `distrust_from`: what the thief added leaves, and never comes back.

A real hub on one side, a consumer that verifies on the other: both must work out the same from the same log.
"""

from __future__ import annotations

import hashlib
import json
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubkit import StoppedClock
from lightship.client.outbox import Proof, Refusal
from lightship.core import dsse
from lightship.core.access import Action, Grant, System
from lightship.core.log import leaf, roster
from lightship.core.log.findings import Failure
from lightship.core.log.held import Holdings
from lightship.core.log.roster import BadRoster, PublishKey, Revoked, Rosters
from lightship.core.time import Micros
from lightship.crypto.sign import SigningKey, verify
from lightship.storage.fsck import fsck
from lightship.storage.sqlite import distrust
from lightship.usecases.rosters import AppliedRoster, apply_roster, preview_roster, trace_key
from signedhub import Desk, SignedHub, gone, signed_hub
from stixsamples import Stix, address, indicator, statement_marking
from upkeeplab import held, ids

Patch = pytest.MonkeyPatch
ALL = {roster.EVERYWHERE: 0}


@pytest.fixture(name="hub")
def _hub(tmp_path: Path) -> Iterator[SignedHub]:
    hub = signed_hub(tmp_path, collections={"indicators": {}, "warnings": {}}, clock=StoppedClock())
    hub.enrol("uslgb")
    hub.enrol("uslax")
    yield hub
    hub.kit.close()


@pytest.fixture(name="desk")
def _desk(hub: SignedHub, tmp_path: Path) -> Desk:
    return hub.box("uslgb", tmp_path / "desk")


def origin(hub: SignedHub) -> str:
    return f"localhost:9443/c/{hub.uuid}"


def envelope_of(
    hub: SignedHub, member: str, key: SigningKey, since: dict[str, int], *more: PublishKey
) -> bytes:
    """Sign the member's next roster: this key revoked and distrusted, further ones added."""
    gone_key = PublishKey(key.public, Revoked("stolen", since))
    keys = dict(hub.last[member].keys) | {key.keyid: gone_key}
    keys |= {dsse.key_id(one.public): one for one in more}
    made = hub.next_roster(member, keys)
    return dsse.encode(roster.sign(made, hub.admins[member].keyid, hub.admins[member].sign))


def apply(hub: SignedHub, envelope: bytes) -> AppliedRoster:
    inside = hub.kit.hub
    assert inside.signing is not None
    view, now = inside.directory.view(), inside.clock.now()
    req = uuid.uuid4().hex
    done = apply_roster(inside.signing, inside.registry, view, envelope, verify=verify, req=req, now=now)
    hub.last[done.roster.member] = done.roster
    return done


def distrust_key(hub: SignedHub, member: str, since: dict[str, int]) -> AppliedRoster:
    return apply(hub, envelope_of(hub, member, hub.keys[member], since))


def entry_of(sent: Proof | Refusal) -> int:
    assert isinstance(sent, Proof)
    return sent.index


def leaves(hub: SignedHub, alias: str = "indicators") -> list[leaf.Leaf]:
    where = hub.kit.collection_value(alias)
    grant = Grant(System("test"), Action.READ, where, hub.kit.hub.registry.epoch())
    return [leaf.read(one) for one in hub.kit.hub.logs.entries(grant, 0, 10_000)]


def plain(hub: SignedHub, *objects: Stix, member: str = "uslgb") -> Any:
    with hub.kit.client(member) as client:
        return client.post(hub.kit.path("indicators", "objects/"), json={"objects": list(objects)}).json()


def clean(hub: SignedHub) -> bool:
    return fsck(hub.kit.hub.dir / "data").findings == ()


# --- stolen publish key, before and after distrust_from --------------------------------------------


def test_stolen_publish_key_before_and_after_distrust_from(hub: SignedHub, desk: Desk) -> None:
    """Until the roster the thief's objects stand; with it they are gone, and what came before stays."""
    honest = [indicator(), indicator()]
    assert isinstance(desk.publish(*honest), Proof)
    stolen = [indicator() for _ in range(3)]
    first = entry_of(desk.publish(*stolen))
    consumer = hub.consumer()
    assert consumer.proofs() == ["signed"] * 5
    before = len(leaves(hub))
    done = distrust_key(hub, "uslgb", {origin(hub): first})
    assert [(one.alias, one.first, one.versions) for one in done.withdrawn] == [("indicators", first, 3)]
    assert held(hub.kit) == ids(honest)
    change, statement = leaves(hub)[before:]
    assert isinstance(change, leaf.RosterChange)
    assert isinstance(statement, leaf.Publication)
    assert (statement.by, statement.statement.key) == ("", "")
    assert {(one.id, str(one.reason)) for one in statement.statement.withdraw} == {
        (one, "distrusted") for one in ids(stolen)
    }
    report = consumer.pull()
    assert report.ok, report.findings
    assert {(one.id, one.reason) for one in report.gone} == {(one, "distrusted") for one in ids(stolen)}
    refused = desk.publish(indicator())
    assert isinstance(refused, Refusal)
    assert clean(hub)


def test_without_taking_them_out_every_consumer_would_refuse_them(
    hub: SignedHub, desk: Desk, monkeypatch: Patch
) -> None:
    """The negative control: a hub that only stores the roster goes on handing out what is distrusted."""
    monkeypatch.setattr("lightship.storage.sqlite.rosters.distrusted", lambda *_: {})
    first = entry_of(desk.publish(indicator()))
    distrust_key(hub, "uslgb", {origin(hub): first})
    report = hub.consumer().pull()
    assert {one.result for one in report.failures} == {Failure.DISTRUSTED}
    monkeypatch.setattr(Holdings, "distrust", lambda *_: [])
    assert not hub.consumer().pull().failures


def test_a_consumer_that_first_looks_afterwards_agrees_too(
    hub: SignedHub, desk: Desk, tmp_path: Path
) -> None:
    desk.publish(indicator())
    stays = indicator()
    hub.box("uslax", tmp_path / "lax").publish(stays)
    distrust_key(hub, "uslgb", ALL)
    consumer = hub.consumer()
    assert consumer.proofs() == ["signed"]
    assert held(hub.kit) == {stays["id"]}


def test_all_means_every_log_of_the_agreement(hub: SignedHub, desk: Desk, tmp_path: Path) -> None:
    desk.publish(indicator())
    warnings = hub.kit.collection("warnings")
    one = indicator()
    posted = hub.statement("uslgb", [one], collection=warnings)
    assert "leaf" in hub.post("uslgb", posted, [one], warnings).json()
    done = distrust_key(hub, "uslgb", ALL)
    assert {(one.alias, one.versions) for one in done.withdrawn} == {("indicators", 1), ("warnings", 1)}
    assert held(hub.kit) == held(hub.kit, "warnings") == set()
    assert clean(hub)


def test_a_revoked_key_can_be_distrusted_later_and_further_back(hub: SignedHub, desk: Desk) -> None:
    """Revoke at night, distrust once it is known since when; what is gone does not come back."""
    objects = [indicator() for _ in range(3)]
    entries = [entry_of(desk.publish(one)) for one in objects]
    consumer = hub.consumer()
    consumer.pull()
    assert not distrust_key(hub, "uslgb", {}).withdrawn
    for number in (2, 1):
        done = distrust_key(hub, "uslgb", {origin(hub): entries[number]})
        assert [one.versions for one in done.withdrawn] == [1]
        assert held(hub.kit) == ids(objects[:number])
        assert consumer.pull().ok
    assert not distrust_key(hub, "uslgb", {origin(hub): entries[2]}).withdrawn
    assert held(hub.kit) == ids(objects[:1])
    assert consumer.pull().ok
    assert clean(hub)


def test_the_last_word_of_later_rosters_would_be_lost_if_only_the_first_counted(
    hub: SignedHub, desk: Desk, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(Rosters, "_says_more", lambda self, keyid, one: keyid not in self._revoked)
    first = entry_of(desk.publish(indicator()))
    distrust_key(hub, "uslgb", {})
    assert not distrust_key(hub, "uslgb", {origin(hub): first}).withdrawn
    assert len(held(hub.kit)) == 1


# --- what else has touched the same versions --------------------------------------------------------


def test_the_add_that_made_a_version_live_decides_not_a_later_attestation(
    hub: SignedHub, desk: Desk, tmp_path: Path
) -> None:
    """Another member attests what the thief put in: it leaves. The thief attests another's: it stays."""
    theirs, ours = address("192.0.2.77"), indicator()
    lax = hub.box("uslax", tmp_path / "lax")
    assert isinstance(lax.publish(ours), Proof)
    first = entry_of(desk.publish(theirs, ours))
    assert isinstance(lax.publish(theirs), Proof)
    assert plain(hub, theirs)["success_count"] == 1
    consumer = hub.consumer()
    consumer.pull()
    distrust_key(hub, "uslgb", {origin(hub): first})
    assert held(hub.kit) == {ours["id"]}
    report = consumer.pull()
    assert report.ok, report.findings
    assert hub.consumer().proofs() == ["signed"]


def test_what_was_withdrawn_and_added_again_counts_by_its_last_add(hub: SignedHub, desk: Desk) -> None:
    early, late = indicator(), indicator()
    desk.publish(early, late)
    desk.publish(indicator(), withdraw=[gone(early), gone(late)])
    assert plain(hub, early)["success_count"] == 1  # by plain TAXII: not by the key any more
    again = entry_of(desk.publish(late))
    consumer = hub.consumer()
    consumer.pull()
    distrust_key(hub, "uslgb", {origin(hub): again})
    assert late["id"] not in held(hub.kit)
    assert early["id"] in held(hub.kit)
    assert consumer.pull().ok
    distrust_key(hub, "uslgb", ALL)
    assert held(hub.kit) == {early["id"]}
    assert consumer.pull().ok
    assert clean(hub)


def test_a_distrusted_version_never_comes_back_and_its_next_version_may(
    hub: SignedHub, desk: Desk, tmp_path: Path
) -> None:
    one = indicator()
    desk.publish(one)
    distrust_key(hub, "uslgb", ALL)
    assert "deny-withdrawn" in plain(hub, one)["failures"][0]["message"]
    hub.enrol("uslgb")
    fresh = hub.box("uslgb", tmp_path / "fresh")
    refused = fresh.publish(one)
    assert isinstance(refused, Refusal)
    assert "deny-withdrawn" in refused.failures[0][2]
    newer = {**one, "modified": "2026-06-01T00:00:00.000Z"}
    assert isinstance(fresh.publish(newer), Proof)
    assert hub.consumer().proofs() == ["signed"]


def test_what_a_key_withdrew_stays_withdrawn(hub: SignedHub, desk: Desk) -> None:
    """Only adds are undone: a version that is gone is erased, and its publisher adds it again."""
    one = indicator()
    plain(hub, one)
    first = entry_of(desk.publish(indicator(), withdraw=[gone(one)]))
    distrust_key(hub, "uslgb", {origin(hub): first})
    assert held(hub.kit) == set()
    assert plain(hub, one)["success_count"] == 1
    assert hub.consumer().proofs() == ["hub-attested"]


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "words"),
    [
        ({"elsewhere/c/1": 0}, "none of this agreement"),
        ({"HERE": 99}, "whose last one is"),
        ({roster.EVERYWHERE: 99}, "whose last one is"),
    ],
)
def test_an_unknown_log_or_an_entry_behind_its_end_is_refused_and_nothing_changes(
    hub: SignedHub, desk: Desk, since: dict[str, int], words: str
) -> None:
    one = indicator()
    desk.publish(one)
    size, epoch = len(leaves(hub)), hub.kit.hub.registry.epoch()
    named = {origin(hub) if key == "HERE" else key: value for key, value in since.items()}
    with pytest.raises(BadRoster) as refused:
        distrust_key(hub, "uslgb", named)
    assert words in refused.value.why
    assert refused.value.todo
    assert (len(leaves(hub)), hub.kit.hub.registry.epoch()) == (size, epoch)
    assert held(hub.kit) == {one["id"]}
    assert isinstance(desk.publish(indicator()), Proof)


def test_a_definition_that_what_stays_cites_is_named_and_the_key_can_be_revoked_without(
    hub: SignedHub, desk: Desk
) -> None:
    marking = statement_marking()
    first = entry_of(desk.publish(marking))
    stays = indicator(object_marking_refs=[marking["id"]])
    assert plain(hub, stays)["success_count"] == 1
    with pytest.raises(BadRoster) as refused:
        distrust_key(hub, "uslgb", {origin(hub): first})
    assert marking["id"] in refused.value.why
    assert "without `distrust_from`" in refused.value.todo
    assert held(hub.kit) == ids([marking, stays])
    distrust_key(hub, "uslgb", {})
    with hub.kit.client("uslgb") as client:
        assert client.delete(hub.kit.path("indicators", f"objects/{stays['id']}/")).status_code == 200
    distrust_key(hub, "uslgb", {origin(hub): first})
    assert held(hub.kit) == set()
    assert hub.consumer().pull().ok


def test_too_much_for_one_transaction_is_done_in_steps(
    hub: SignedHub, desk: Desk, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(distrust, "MOST", 2)
    entries = [entry_of(desk.publish(indicator(), indicator())) for _ in range(2)]
    consumer = hub.consumer()
    with pytest.raises(BadRoster, match="too much at once"):
        distrust_key(hub, "uslgb", ALL)
    assert len(held(hub.kit)) == 4
    distrust_key(hub, "uslgb", {origin(hub): entries[1]})
    distrust_key(hub, "uslgb", {origin(hub): entries[0]})
    assert held(hub.kit) == set()
    assert consumer.pull().ok


# --- beforehand -------------------------------------------------------------------------------------


def test_a_preview_says_what_would_go_and_changes_nothing(hub: SignedHub, desk: Desk) -> None:
    objects = [indicator() for _ in range(3)]
    entries = [entry_of(desk.publish(one)) for one in objects]
    inside = hub.kit.hub
    assert inside.signing is not None
    made = envelope_of(hub, "uslgb", hub.keys["uslgb"], {origin(hub): entries[1]})
    size = len(leaves(hub))
    told = preview_roster(inside.signing, inside.registry, inside.directory.view(), made, verify=verify)
    assert [(one.alias, one.first, one.versions) for one in told.withdrawn] == [("indicators", entries[1], 2)]
    assert (len(leaves(hub)), held(hub.kit)) == (size, ids(objects))
    assert apply(hub, made).withdrawn == told.withdrawn
    bad = envelope_of(hub, "uslgb", hub.keys["uslgb"], {origin(hub): 999})
    with pytest.raises(BadRoster):
        preview_roster(inside.signing, inside.registry, inside.directory.view(), bad, verify=verify)


def test_a_trace_lists_what_a_key_logged_and_from_which_entry_on(hub: SignedHub, desk: Desk) -> None:
    clock, inside = hub.kit.hub.clock, hub.kit.hub
    assert isinstance(clock, StoppedClock)
    assert inside.signing is not None
    one = indicator()
    first = entry_of(desk.publish(one, indicator()))
    clock.advance(3600)
    middle = clock.now()
    clock.advance(3600)
    second = entry_of(desk.publish(indicator(), withdraw=[gone(one)]))
    view, key = inside.directory.view(), hub.keys["uslgb"].keyid
    (whole,) = trace_key(inside.signing, view, "exercise", key, Micros(0))
    assert (whole.first, whole.statements, whole.versions, whole.origin) == (first, 2, 2, origin(hub))
    (late,) = trace_key(inside.signing, view, "exercise", key, middle)
    assert (late.first, late.statements, late.versions) == (second, 1, 1)
    assert trace_key(inside.signing, view, "exercise", hub.keys["uslax"].keyid, middle) == []


# --- hub and verifier, whatever happens -------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_hub_and_verifier_agree_about_what_a_distrusted_key_leaves_behind(
    hub: SignedHub, tmp_path: Path, seed: int
) -> None:
    """Random adds, duplicates of others' observables, replacements, plain posts; then keys are distrusted."""
    dice = random.Random(seed)
    desks = {member: hub.box(member, tmp_path / member) for member in ("uslax", "uslgb")}
    shared = [address(f"192.0.2.{number}") for number in range(6)]
    mine: dict[str, list[Stix]] = {"uslax": [], "uslgb": []}
    consumer, withdrawn = hub.consumer(), 0
    for turn in range(45):
        member = dice.choice(list(desks))
        one = dice.choice([*shared, indicator(), indicator()])
        match dice.choice(("sign", "sign", "sign", "plain", "replace", "distrust", "pull")):
            case "sign":
                desks[member].publish(one)
                mine[member] += [one] if one["type"] == "indicator" else []
            case "plain":
                plain(hub, one, member=member)
            case "replace" if mine[member]:
                victim = mine[member].pop(dice.randrange(len(mine[member])))
                desks[member].publish(indicator(), withdraw=[gone(victim)])
            case "distrust" if turn > 8:
                size = len(leaves(hub))
                done = distrust_key(hub, member, {origin(hub): dice.randrange(size)})
                withdrawn += sum(each.versions for each in done.withdrawn)
                hub.enrol(member)
                desks[member] = hub.box(member, tmp_path / f"{member}-{turn}")
                mine[member].clear()
            case "pull":
                report = consumer.pull()
                assert report.ok, (report.findings, report.failures)
    for watching in (consumer, hub.consumer()):
        report = watching.pull()
        assert report.ok, (report.findings, report.failures)
        assert {held.id for held in watching.kept.log.ledger.held if held.live} == held(hub.kit)
    assert withdrawn > 0
    assert clean(hub)


def test_the_distrust_is_an_event_and_stands_in_what_the_member_signed(hub: SignedHub, desk: Desk) -> None:
    desk.publish(indicator())
    done = distrust_key(hub, "uslgb", ALL)
    applied = [one for one in hub.kit.hub.writer.pending() if one.act == "apply-roster"]
    digest = hashlib.sha256(done.roster.payload()).hexdigest()
    assert [(one.who, one.agr, one.cred) for one in applied if one.q == digest] == [
        ("uslgb", "exercise", "steward")
    ]
    listed = json.loads(done.roster.payload())["keys"][hub.keys["uslgb"].keyid]["revoked"]
    assert listed == {"distrust_from": {"*": 0}, "reason": "stolen"}
