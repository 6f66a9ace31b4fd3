"""`POST /log/<collection>/publish`: whole or not at all, in its key's order, proved; what else is tried."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lightship.client.outbox import Proof, Refusal
from lightship.core.log import leaf, merkle, notes, statement
from lightship.core.log.roster import PublishKey
from lightship.core.time import format_stamp
from lightship.crypto.sign import new_signing_key
from lightship.storage.sqlite.groups import Nothing
from lightship.storage.sqlite.store import SqliteStore
from lightship.storage.sqlite.transaction import Transaction
from lightship.web.message import TAXII
from signedhub import SignedHub, draft, gone, now_of, signed_hub
from stixsamples import Stix, indicator, sharing_terms

SECOND = 1_000_000


@pytest.fixture(name="hub", params=["memory", "sqlite"])
def _hub(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SignedHub]:
    hub = signed_hub(tmp_path, request.param, collections={"indicators": {}, "small": {"max_objects": 2}})
    hub.enrol("uslgb")
    hub.enrol("uslax")
    yield hub
    hub.kit.close()


def later(one: Stix) -> Stix:
    """Return the next version of an object."""
    return {**one, "modified": "2026-06-01T00:00:00.000Z", "name": "changed"}


def shown(hub: SignedHub) -> set[str]:
    with hub.kit.client("uslax") as client:
        answer = client.get(hub.kit.path("indicators", "objects/"))
    return {one["id"] for one in answer.json().get("objects", [])}


def size(hub: SignedHub) -> int:
    return hub.consumer().pull().size


def failures(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"status"}
    status = answer.json()["status"]
    assert status["success_count"] == 0
    assert status["total_count"] == status["failure_count"] == len(status["failures"])
    return [one["message"] for one in status["failures"]]


def test_what_an_outbox_sends_is_logged_proved_and_verified_by_consumers(
    hub: SignedHub, tmp_path: Path
) -> None:
    box = hub.box("uslgb", tmp_path / "box")
    objects = [indicator(name=f"one {n}") for n in range(300)]
    box.put(*objects)
    sent = box.send()
    assert [(type(one.answer), one.seq, one.objects) for one in sent] == [(Proof, 1, 256), (Proof, 2, 44)]
    consumer = hub.consumer()
    assert consumer.proofs() == ["signed"] * 300
    assert shown(hub) == {one["id"] for one in objects}
    (first, second) = [one for one in hub.kit.events() if one.act == "publish-signed"]
    assert (first.n, first.st, first.why, first.who) == (256, 200, "allow-publisher-publish", "uslgb")
    assert (second.n, second.col) == (44, hub.uuid)
    assert hub.clean()


def test_the_leaf_is_the_envelope_as_it_came(hub: SignedHub) -> None:
    one = indicator()
    publication = hub.statement("uslgb", [one])
    answer = hub.post("uslgb", publication, [one]).json()
    entry = json.loads(b64decode(answer["leaf"]))
    assert entry["pub"] == publication
    assert entry["by"] == "uslgb"
    assert answer["status"]["successes"][0]["id"] == one["id"]


def test_a_payload_that_is_sent_again_gets_the_same_status_and_a_proof(hub: SignedHub) -> None:
    one = indicator()
    publication = hub.statement("uslgb", [one])
    first = hub.post("uslgb", publication, [one]).json()
    other = indicator()
    hub.post("uslax", hub.statement("uslax", [other]), [other])
    before = size(hub)
    again = hub.post("uslgb", publication, [one]).json()
    assert (again["status"], again["leaf"], again["index"]) == (
        first["status"],
        first["leaf"],
        first["index"],
    )
    assert again["checkpoint"] != first["checkpoint"]
    assert size(hub) == before


def test_the_answer_to_a_statement_is_for_its_member_alone(hub: SignedHub) -> None:
    one = indicator()
    publication = hub.statement("uslgb", [one])
    assert "leaf" in hub.post("uslgb", publication, [one]).json()
    again = hub.post("uslax", publication, [one])
    assert (again.status_code, "deny-publish-key" in again.text) == (403, True)


def test_a_lost_answer_is_asked_for_again_also_after_the_key_was_revoked(
    hub: SignedHub, tmp_path: Path
) -> None:
    box = hub.box("uslgb", tmp_path / "box")
    box.put(indicator())

    def lost(body: bytes, envelope: Any) -> Any:
        box.submit(body, envelope)
        raise ConnectionError("the answer was lost")

    with pytest.raises(ConnectionError):
        list(box.outbox.send(lost, hub.kit.hub.clock.now))
    hub.revoke("uslgb")
    (sent,) = box.send()
    assert isinstance(sent.answer, Proof)
    assert isinstance(box.publish(indicator()), Refusal)
    assert hub.consumer().proofs() == ["signed"]


def test_a_statement_is_taken_whole_or_not_at_all(hub: SignedHub, tmp_path: Path) -> None:
    box = hub.box("uslgb", tmp_path / "box")
    good, bad = indicator(), indicator(pattern="[no pattern")
    before = size(hub)
    refused = box.publish(good, bad)
    assert isinstance(refused, Refusal)
    named = {one[0]: one[2] for one in refused.failures}
    assert "whole" in named[good["id"]]
    assert "pattern" in named[bad["id"]]
    assert (shown(hub), size(hub)) == (set(), before)
    (event,) = [one for one in hub.kit.events() if one.act == "publish-signed"]
    assert (event.n, event.why) == (0, "deny-statement")
    assert isinstance(box.publish(good), Proof)  # under the number that the refused one did not use up
    assert box.outbox.head()[0] == 1


def test_conflicts_and_others_objects_refuse_the_whole_statement(hub: SignedHub, tmp_path: Path) -> None:
    lax, lgb = hub.box("uslax", tmp_path / "lax"), hub.box("uslgb", tmp_path / "lgb")
    theirs, mine = indicator(), indicator()
    lax.publish(theirs)
    lgb.publish(mine)
    changed, newer, fresh = {**mine, "name": "other"}, later(theirs), indicator()
    for bad, rule in ((changed, "deny-conflict"), (newer, "deny-owner")):
        refused = lgb.publish(fresh, bad)
        assert isinstance(refused, Refusal)
        assert {one[0] for one in refused.failures} == {fresh["id"], bad["id"]}
        assert any(rule in one[2] for one in refused.failures if one[0] == bad["id"])
    assert fresh["id"] not in shown(hub)


def test_a_duplicate_is_attested_once_more_and_changes_nothing(hub: SignedHub, tmp_path: Path) -> None:
    one, other = indicator(), indicator()
    with hub.kit.client("uslgb") as client:
        client.post(hub.kit.path("indicators", "objects/"), content=json.dumps({"objects": [one]}))
    lax = hub.box("uslax", tmp_path / "lax")
    assert isinstance(lax.publish(one, other), Proof)
    assert isinstance(lax.publish(other, later(other)), Proof)
    assert sorted(hub.consumer().proofs()) == ["hub-attested", "signed", "signed"]
    assert hub.clean()


def test_withdraw_and_add_in_one_statement_replace_at_once(hub: SignedHub, tmp_path: Path) -> None:
    box = hub.box("uslgb", tmp_path / "box")
    old, stays = indicator(), indicator()
    box.publish(old, stays)
    consumer = hub.consumer()
    consumer.pull()
    new = later(old)
    assert isinstance(box.publish(new, withdraw=[gone(old)]), Proof)
    report = consumer.pull()
    assert report.ok
    assert [(one.id, one.version, one.signed) for one in report.gone] == [(old["id"], old["modified"], True)]
    with hub.kit.client("uslax") as client:
        held = client.get(hub.kit.path("indicators", f"objects/{old['id']}/versions/")).json()["versions"]
    assert held == [new["modified"]]
    assert isinstance(box.publish(withdraw=[gone(new), gone(stays)]), Proof)
    assert shown(hub) == set()
    assert isinstance(box.publish(old), Proof)  # its publisher withdrew it, and may add it again
    assert hub.consumer().proofs() == ["signed"]
    assert hub.clean()


def test_a_replacement_needs_no_room_that_it_makes_itself(hub: SignedHub) -> None:
    small = hub.kit.collection("small")
    one, two, three = indicator(), indicator(), indicator()
    first = hub.statement("uslgb", [one, two], collection=small)
    assert "leaf" in hub.post("uslgb", first, [one, two], small).json()
    payload = statement.digest_of(b64decode(first["payload"]))
    full = hub.statement("uslgb", [three], 2, payload, collection=small)
    answer = hub.post("uslgb", full, [three], small)
    assert (answer.status_code, "deny-publish-quota" in answer.text) == (429, True)
    swap = hub.statement("uslgb", [three], 2, payload, [gone(one)], collection=small)
    assert "leaf" in hub.post("uslgb", swap, [three], small).json()


def test_a_withdrawal_of_what_is_not_there_or_anothers_refuses_the_whole(
    hub: SignedHub, tmp_path: Path
) -> None:
    lax = hub.box("uslax", tmp_path / "lax")
    theirs, fresh, never = indicator(), indicator(), indicator()
    lax.publish(theirs)
    for target, rule in ((theirs, "deny-owner"), (never, "deny-not-held")):
        answer = hub.post("uslgb", hub.statement("uslgb", [fresh], withdraw=[gone(target)]), [fresh])
        told = failures(answer)
        assert any(rule in one for one in told)
        assert any("whole" in one for one in told)
    assert shown(hub) == {theirs["id"]}


def test_two_statements_under_one_number_are_named_and_an_event(hub: SignedHub) -> None:
    one, two = indicator(), indicator()
    hub.post("uslgb", hub.statement("uslgb", [one]), [one])
    answer = hub.post("uslgb", hub.statement("uslgb", [two]), [two])
    assert answer.status_code == 409
    assert hub.keys["uslgb"].keyid in answer.text
    assert [one.why for one in hub.kit.events() if one.st == 409] == ["deny-equivocation"]
    assert shown(hub) == {one["id"]}


class Gate:
    """A job that keeps the writer busy until `open` is set, so that what comes meanwhile is one group."""

    weight = 1

    def __init__(self) -> None:
        self.open = threading.Event()

    def needs(self) -> tuple[()]:
        return ()

    def status_ids(self) -> tuple[()]:
        return ()

    def decide(self, txn: Transaction) -> Nothing:
        assert self.open.wait(30)
        return Nothing()


def in_one_group(hub: SignedHub, posts: Sequence[tuple[str, Any, Sequence[Stix]]]) -> list[httpx2.Response]:
    """Post in this order, all in one transaction; without a publication it is an unsigned post."""
    store, gate = hub.kit.hub.writer, Gate()
    assert isinstance(store, SqliteStore)
    plain = {"Accept": TAXII, "Content-Type": TAXII}
    signed = {"Accept": "application/json", "Content-Type": "application/json"}

    async def send() -> list[httpx2.Response]:
        store._commits.put(gate)
        tasks: list[asyncio.Task[httpx2.Response]] = []
        async with hub.kit.async_client("uslgb") as uslgb, hub.kit.async_client("uslax") as uslax:
            for member, publication, objects in posts:
                client = uslgb if member == "uslgb" else uslax
                body: dict[str, Any] = {"objects": list(objects)}
                path, headers = hub.kit.path("indicators", "objects/"), plain
                if publication is not None:
                    body, headers = {"publication": publication, **body}, signed
                    path = f"/log/{hub.uuid}/publish"
                tasks.append(
                    asyncio.create_task(client.post(path, headers=headers, content=json.dumps(body)))
                )
                async with asyncio.timeout(30):
                    while store.figures().waiting < len(tasks) + 1:
                        await asyncio.sleep(0.001)
            commits = sum(store.figures().sizes)
            gate.open.set()
            answers = await asyncio.gather(*tasks)
        assert sum(store.figures().sizes) == commits + 2  # the gate's, and theirs
        return answers

    return hub.kit.loop.run_until_complete(send())


def chained(hub: SignedHub, *contents: dict[str, Any]) -> list[dict[str, Any]]:
    """Return statements of one key, each after the one before."""
    made: list[dict[str, Any]] = []
    prev = ""
    for seq, content in enumerate(contents, 1):
        made.append(hub.statement("uslgb", seq=seq, prev=prev, **content))
        prev = statement.digest_of(b64decode(made[-1]["payload"]))
    return made


@pytest.mark.parametrize("hub", ["sqlite"], indirect=True)
def test_statements_of_one_transaction_follow_each_other_and_each_has_its_proof(hub: SignedHub) -> None:
    one, two, three, other, unsigned = (indicator() for _ in range(5))
    first, second, third = chained(
        hub, {"objects": [one, two]}, {"objects": [three], "withdraw": [gone(one)]}, {"objects": [one]}
    )
    theirs = hub.statement("uslax", [other])
    answers = in_one_group(
        hub,
        [
            ("uslgb", first, [one, two]),
            ("uslax", theirs, [other]),
            ("uslgb", second, [three]),
            ("uslax", None, [unsigned]),
            ("uslgb", first, [one, two]),  # again, before the first time is durable
            ("uslgb", third, [one]),  # what the second took away comes back
        ],
    )
    assert [answer.status_code for answer in answers] == [200, 200, 200, 202, 200, 200]
    index = [answer.json().get("index") for answer in answers]
    assert index == [index[0] + at if at is not None else None for at in (0, 1, 2, None, 0, 4)]
    assert answers[4].json()["leaf"] == answers[0].json()["leaf"]
    (note,) = {answer.json()["checkpoint"] for answer in answers if answer.status_code == 200}
    checkpoint = notes.parse_checkpoint(notes.parse_note(note.encode()).text)
    for answer in (one for one in answers if one.status_code == 200):
        leaf_hash = merkle.leaf_hash(b64decode(answer.json()["leaf"]))
        path = [b64decode(hashed) for hashed in answer.json()["proof"]]
        assert merkle.verify_inclusion(
            leaf_hash, answer.json()["index"], checkpoint.size, path, checkpoint.root
        )
    assert shown(hub) == {one["id"], two["id"], three["id"], other["id"], unsigned["id"]}
    assert hub.consumer().pull().ok
    assert hub.clean()


@pytest.mark.parametrize("hub", ["sqlite"], indirect=True)
def test_a_refused_statement_leaves_no_trace_in_its_transaction(hub: SignedHub) -> None:
    one, two, three, held = (indicator() for _ in range(4))
    hub.post("uslax", hub.statement("uslax", [held]), [held])
    other = {**held, "name": "other content under the same version"}
    first, bad, after_bad = chained(hub, {"objects": [one]}, {"objects": [two, other]}, {"objects": [three]})
    good = hub.statement("uslgb", [two], 2, statement.digest_of(b64decode(first["payload"])))
    answers = in_one_group(
        hub,
        [
            ("uslgb", first, [one]),
            ("uslgb", bad, [two, other]),
            ("uslgb", after_bad, [three]),  # so it follows nothing
            ("uslgb", good, [two]),
        ],
    )
    assert [answer.status_code for answer in answers] == [200, 200, 409, 200]
    assert failures(answers[1])
    assert answers[3].json()["index"] == answers[0].json()["index"] + 1
    assert shown(hub) == {held["id"], one["id"], two["id"]}


@pytest.mark.parametrize(("seq", "prev"), [(2, "0" * 64), (3, "1" * 64)])
def test_a_statement_that_does_not_follow_is_refused(hub: SignedHub, seq: int, prev: str) -> None:
    one, two = indicator(), indicator()
    hub.post("uslgb", hub.statement("uslgb", [one]), [one])
    answer = hub.post("uslgb", hub.statement("uslgb", [two], seq, prev), [two])
    assert answer.status_code == 409
    assert [one.why for one in hub.kit.events() if one.st == 409] == ["deny-sequence"]


def test_statements_at_once_under_one_number_leave_one_of_them(hub: SignedHub) -> None:
    objects = [indicator() for _ in range(8)]
    clients = [hub.kit.client("uslgb") for _ in objects]
    for client in clients:
        client.close()

    async def race() -> list[int]:
        async with hub.kit.async_client("uslgb") as client:
            answers = await asyncio.gather(
                *(
                    client.post(
                        f"/log/{hub.uuid}/publish",
                        headers={"Accept": "application/json", "Content-Type": "application/json"},
                        content=json.dumps({"publication": hub.statement("uslgb", [one]), "objects": [one]}),
                    )
                    for one in objects
                )
            )
        return sorted(one.status_code for one in answers)

    assert hub.kit.loop.run_until_complete(race()) == [200] + [409] * 7
    assert len(shown(hub)) == 1


CASES = {
    "another collection": "deny-other-place",
    "another hub": "deny-other-place",
    "unknown key": "deny-publish-key",
    "another member's key": "deny-publish-key",
    "revoked key": "deny-publish-key",
    "signature of another key": "deny-signature",
}


@pytest.mark.parametrize("case", CASES)
def test_a_statement_without_its_right_is_refused(hub: SignedHub, case: str) -> None:
    one = indicator()
    publication = hub.statement("uslgb", [one])
    match case:
        case "another collection":
            publication = hub.statement("uslgb", [one], collection=hub.kit.collection("small"))
        case "another hub":
            publication = hub.statement("uslgb", [one], hub="0" * 64)
        case "unknown key":
            publication = hub.statement("uslgb", [one], key=new_signing_key())
        case "another member's key":
            publication = hub.statement("uslax", [one])
        case "revoked key":
            hub.revoke("uslgb")
        case _:
            other = hub.statement("uslgb", [indicator()])
            publication["signatures"] = other["signatures"]
    before = size(hub)
    answer = hub.post("uslgb", publication, [one])
    assert (answer.status_code, CASES[case] in answer.text) == (403, True), answer.text
    (event,) = [found for found in hub.kit.events() if found.act == "publish-signed"]
    assert (event.st, event.why) == (403, CASES[case])
    assert (size(hub), shown(hub)) == (before, set())


def test_objects_must_be_those_that_were_signed(hub: SignedHub) -> None:
    one, two = indicator(), indicator()
    publication = hub.statement("uslgb", [one])
    assert "deny-statement" in failures(hub.post("uslgb", publication, [{**one, "name": "other"}]))[0]
    assert "deny-statement" in failures(hub.post("uslgb", publication, [two]))[0]
    for objects in ([], [one, two]):
        answer = hub.post("uslgb", publication, objects)
        assert (answer.status_code, "does not fit" in answer.text) == (400, True)


def _damaged(publication: dict[str, Any]) -> Iterator[Any]:
    yield None
    yield {}
    yield {**publication, "signatures": []}
    yield {**publication, "signatures": publication["signatures"] * 3}
    yield {**publication, "extra": 1}
    yield {**publication, "payloadType": "application/json"}
    yield {**publication, "payload": publication["payload"] + "="}
    yield {**publication, "payload": b64encode(b"{}").decode()}
    attested = json.loads(b64decode(publication["payload"])) | {"key": "", "seq": 0}
    yield {**publication, "payload": b64encode(json.dumps(attested).encode()).decode()}


def test_bodies_that_are_no_signed_publication_are_refused_by_name(hub: SignedHub) -> None:
    one = indicator()
    for damaged in _damaged(hub.statement("uslgb", [one])):
        answer = hub.post("uslgb", deepcopy(damaged), [one])
        assert answer.status_code == 400, answer.text
        assert answer.json()["description"]
    with hub.client("uslgb") as client:
        path = f"/log/{hub.uuid}/publish"
        for body in (b"", b"[]", b"{}", b'{"objects":[],"objects":[]}', b"\xff", b'{"objects":{}}'):
            assert client.post(path, content=body).status_code == 400, body
        assert client.post(path, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert shown(hub) == set()


def test_what_its_terms_hold_back_is_not_signed_for_yet(hub: SignedHub) -> None:
    terms = sharing_terms("exercise", release_at=format_stamp(now_of(hub) + 3_600 * SECOND))
    one = indicator(object_marking_refs=[terms["id"]])
    told = failures(hub.post("uslgb", hub.statement("uslgb", [terms, one]), [terms, one]))
    assert all("deny-held-back" in message for message in told)


def test_a_key_in_the_roster_of_a_member_that_may_only_read_publishes_nothing(tmp_path: Path) -> None:
    hub = signed_hub(tmp_path, collections={"indicators": {"publishers": ["uslgb"]}})
    try:
        key = new_signing_key()
        hub.apply(hub.next_roster("uslax", {key.keyid: PublishKey(key.public)}))
        one = indicator()
        answer = hub.post("uslax", hub.statement("uslax", [one], key=key), [one])
        assert answer.status_code == 403
    finally:
        hub.kit.close()


def test_withdrawals_have_the_first_stamps_of_their_leaf(hub: SignedHub) -> None:
    one, two = indicator(), indicator()
    first = hub.post("uslgb", hub.statement("uslgb", [one]), [one]).json()
    prev = statement.digest_of(b64decode(json.loads(_entry(first))["pub"]["payload"]))
    answer = hub.post("uslgb", hub.statement("uslgb", [two], 2, prev, [gone(one)]), [two]).json()
    found = leaf.read(_entry(answer))
    assert isinstance(found, leaf.Publication)
    assert len(leaf.stamps(found)) == 2
    with hub.kit.client("uslax") as client:
        listed = client.get(hub.kit.path("indicators", "manifest/")).json()["objects"]
    assert [item["date_added"] for item in listed] == [format_stamp(found.at)]
    assert draft(two).add.digest == found.statement.add[0].digest


def _entry(answer: dict[str, Any]) -> bytes:
    return b64decode(answer["leaf"])
