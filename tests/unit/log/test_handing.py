"""`POST /agreements/<agreement>/rosters`: a member's own next roster, in force when the answer comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubkit import StoppedClock
from lightship.client.outbox import Proof, Refusal
from lightship.core import dsse
from lightship.core.log import roster
from lightship.core.log.roster import MAX_ROSTER, PublishKey, Revoked, Roster
from lightship.crypto.sign import SigningKey, new_signing_key
from lightship.log import handing
from lightship.storage.fsck import fsck
from signedhub import SignedHub, signed_hub
from stixsamples import indicator


@pytest.fixture(name="hub")
def _hub(tmp_path: Path) -> Iterator[SignedHub]:
    hub = signed_hub(tmp_path, collections={"indicators": {}})
    yield hub
    hub.kit.close()


def sealed(hub: SignedHub, made: Roster, signer: SigningKey | None = None) -> bytes:
    signer = signer or hub.admins[made.member]
    return dsse.encode(roster.sign(made, signer.keyid, signer.sign))


def hand_in(hub: SignedHub, envelope: bytes, by: str = "uslgb", agreement: str = "") -> Any:
    with hub.client(by) as client:
        return client.post(f"/agreements/{agreement or hub.kit.agreement}/rosters", content=envelope)


def with_key(hub: SignedHub, member: str = "uslgb") -> tuple[SigningKey, Roster]:
    key = new_signing_key()
    return key, hub.next_roster(member, {key.keyid: PublishKey(key.public)})


def test_a_member_hands_in_its_roster_itself_and_signs_with_it_at_once(
    hub: SignedHub, tmp_path: Path
) -> None:
    key, made = with_key(hub)
    answer = hand_in(hub, sealed(hub, made))
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["member"], said["version"], said["keys"], said["revoked"]) == ("uslgb", 1, [key.keyid], [])
    hub.keys["uslgb"], hub.last["uslgb"] = key, made
    box = hub.box("uslgb", tmp_path / "box")
    assert isinstance(box.publish(indicator()), Proof)
    gone = hub.next_roster("uslgb", {key.keyid: PublishKey(key.public, Revoked("stolen", {}))})
    answer = hand_in(hub, sealed(hub, gone))
    assert (answer.status_code, answer.json()["revoked"]) == (200, [key.keyid])
    refused = box.publish(indicator())
    assert isinstance(refused, Refusal)
    assert "deny-publish-key" in refused.why
    assert hub.consumer().proofs() == ["signed"]
    assert fsck(hub.kit.hub.dir / "data").findings == ()


def test_it_is_an_access_event_of_the_member_and_of_its_credential(hub: SignedHub) -> None:
    _, made = with_key(hub)
    answer = hand_in(hub, sealed(hub, made))
    (event,) = [one for one in hub.kit.events() if one.act == "apply-roster"]
    assert (event.st, event.who, event.agr, event.why) == (
        200,
        "uslgb",
        hub.kit.agreement,
        "allow-member-list",
    )
    assert event.cred != "steward"
    assert event.q == answer.json()["sha256"]
    assert event.req == answer.headers["x-request-id"]
    assert "audit-receipt" in answer.headers


def test_nobody_hands_in_anothers_roster_however_well_it_is_signed(hub: SignedHub) -> None:
    _, made = with_key(hub)
    answer = hand_in(hub, sealed(hub, made), by="uslax")
    assert answer.status_code == 403
    assert "deny-other-member" in answer.json()["description"]
    elsewhere = Roster("another", hub.hub, "uslgb", 1, "", dict(made.keys))
    answer = hand_in(hub, sealed(hub, elsewhere))
    assert answer.status_code == 403
    assert hand_in(hub, sealed(hub, made), agreement="another").status_code == 404
    assert [one.st for one in hub.kit.events() if one.act == "apply-roster"] == [403, 403, 404]
    assert hub.kit.hub.signing is not None
    assert list(hub.kit.hub.signing.rosters(hub.kit.agreement)) == []


def test_a_roster_counts_by_its_admin_key_and_its_place_not_by_who_brings_it(hub: SignedHub) -> None:
    _, made = with_key(hub)
    for envelope in (
        sealed(hub, made, signer=new_signing_key()),
        sealed(hub, made, signer=hub.admins["uslax"]),
        sealed(hub, Roster(made.agreement, made.hub, "uslgb", 2, "0" * 64, dict(made.keys))),
        sealed(hub, Roster(made.agreement, "0" * 64, "uslgb", 1, "", dict(made.keys))),
    ):
        answer = hand_in(hub, envelope)
        assert answer.status_code == 400, answer.text
    assert hand_in(hub, sealed(hub, made)).status_code == 200
    again = hand_in(hub, sealed(hub, made))
    assert again.status_code == 400, "one version once"
    assert hub.consumer().pull().ok


def test_rosters_without_end_wait_and_a_stolen_credential_keeps_no_officer_from_revoking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing, "MOST", 3)
    clock = StoppedClock()
    hub = signed_hub(tmp_path, clock=clock)

    def next_one(member: str = "uslgb", signer: SigningKey | None = None) -> Any:
        _, made = with_key(hub, member)
        answer = hand_in(hub, sealed(hub, made, signer), by=member)
        if answer.status_code == 200:
            hub.last[member] = made
        return answer

    with hub.kit:
        assert {next_one(signer=new_signing_key()).status_code for _ in range(5)} == {400}
        assert [next_one().status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = next_one()
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "3600")
        assert next_one("uslax").status_code == 200
        clock.advance(3_600)
        assert next_one().status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"[]", 400), (b'{"payload":1}', 400), (b"\xff", 400), (b" " * (2 * MAX_ROSTER + 1), 413)],
    ids=["nothing", "a list", "no envelope", "no UTF-8", "too much"],
)
def test_what_is_no_roster_is_refused_in_words(hub: SignedHub, body: bytes, status: int) -> None:
    answer = hand_in(hub, body)
    assert answer.status_code == status
    assert answer.json()["title"]


def test_what_a_roster_distrusts_has_left_when_it_is_answered(hub: SignedHub, tmp_path: Path) -> None:
    key, made = with_key(hub)
    assert hand_in(hub, sealed(hub, made)).json()["withdrawn"] == []
    hub.keys["uslgb"], hub.last["uslgb"] = key, made
    proof = hub.box("uslgb", tmp_path / "box").publish(indicator(), indicator())
    assert isinstance(proof, Proof)
    stolen = Revoked("stolen", {"*": 0})
    gone = hub.next_roster("uslgb", {key.keyid: PublishKey(key.public, stolen)})
    (left,) = hand_in(hub, sealed(hub, gone)).json()["withdrawn"]
    assert (left["collection"], left["alias"], left["versions"]) == (hub.uuid, "indicators", 2)
    assert set(left) == {"collection", "alias", "origin", "first", "versions"}
    with hub.kit.client("uslax") as client:
        assert client.get(hub.kit.path("indicators", "objects/")).json().get("objects", []) == []


def test_who_verifies_leaves_no_refusal_in_the_access_log(hub: SignedHub) -> None:
    consumer = hub.consumer()
    for _ in range(2):
        assert consumer.pull().ok
    asked = [one for one in hub.kit.events() if one.act == "read-agreement"]
    assert {one.st for one in asked} == {200, 204}
    assert [one for one in hub.kit.events() if one.outcome != "ok"] == []
    with hub.client("uslax") as client:
        assert client.get(f"/agreements/{hub.kit.agreement}/99.json").status_code == 404
