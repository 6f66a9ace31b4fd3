"""Withdrawing and replacing in signed statements, through the SDK: whole or not at all, each entry named."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from hubkit import HubKit
from lightship.client.hub import Client
from lightship.client.outbox import Proof, Refusal
from lightship.client.signing import SignedPublisher, outboxes_below
from lightship.core.collection import WithdrawReason
from lightship.core.errors import MalformedRequest, NotFound
from lightship.core.log.evidence import decode
from lightship.core.log.evidence_check import judge
from lightship.core.log.findings import Failure, LogRefused
from lightship.core.time import Micros
from lightship.crypto.sign import verify
from lightship.keys.hub_key import load_hub_key
from lightship.storage.fsck import fsck
from lightship.wiring import make_app, open_hub
from signedhub import SignedHub, now_of, signed_hub
from stixsamples import Stix, indicator

PUBLISHER, EXPIRED = WithdrawReason.PUBLISHER, WithdrawReason.EXPIRED


@pytest.fixture(name="hub")
def _hub(tmp_path: Path) -> Iterator[SignedHub]:
    hub = signed_hub(tmp_path)
    hub.enrol("uslgb")
    hub.enrol("uslax")
    yield hub
    hub.kit.close()


OPEN: list[SignedPublisher] = []


@pytest.fixture(name="desk")
def _desk(hub: SignedHub, tmp_path: Path) -> Iterator[SignedPublisher]:
    yield desk_of(hub, "uslgb", tmp_path)
    while OPEN:
        OPEN.pop().close()


def desk_of(hub: SignedHub, member: str, tmp_path: Path) -> SignedPublisher:
    client, name = Client(hub.connection(member)), f"{hub.kit.agreement}/indicators"
    made = SignedPublisher(client, name, hub.keys[member], tmp_path / "outbox", lambda: now_of(hub))
    OPEN.append(made)
    return made


def text(value: Stix) -> bytes:
    return json.dumps(value).encode()


def say(
    desk: SignedPublisher,
    *objects: Stix,
    gone: list[str] | None = None,
    reason: WithdrawReason = PUBLISHER,
) -> Any:
    """Put and send one statement; return its answer."""
    desk.put(map(text, objects), withdraw=desk.named(gone or [], reason))
    (sent,) = desk.send()
    return sent.answer


def shown(hub: SignedHub) -> dict[str, list[str]]:
    with hub.kit.client("uslax") as client:
        answer = client.get(hub.kit.path("indicators", "objects/"), params={"match[version]": "all"})
    found: dict[str, list[str]] = {}
    for one in answer.json().get("objects", []):
        found.setdefault(one["id"], []).append(one["modified"])
    return found


def newer(one: Stix, hour: int) -> Stix:
    return {**one, "modified": f"2026-07-01T{hour:02d}:00:00.000Z"}


def test_one_statement_puts_an_object_in_anothers_place_at_once(
    hub: SignedHub, desk: SignedPublisher
) -> None:
    old, new = indicator(), indicator()
    assert isinstance(say(desk, old), Proof)
    consumer = hub.consumer()
    assert consumer.pull().ok
    size = consumer.kept.log.size
    answer = say(desk_again(hub, desk), new, gone=[old["id"]])
    assert isinstance(answer, Proof)
    report = consumer.pull()
    assert report.ok
    assert report.size == size + 1
    assert [(one.id, one.signed, one.reason) for one in report.gone] == [(old["id"], True, "publisher")]
    assert shown(hub) == {new["id"]: [new["modified"]]}
    assert fsck(hub.kit.hub.dir / "data").findings == ()


def desk_again(hub: SignedHub, desk: SignedPublisher) -> SignedPublisher:
    """The next call of a tool, with what is on disk."""
    OPEN.remove(desk)
    desk.close()
    return desk_of(hub, "uslgb", desk.outbox.directory.parents[2])


def test_an_id_means_all_live_versions_and_a_version_is_the_same_in_any_writing(
    hub: SignedHub, desk: SignedPublisher
) -> None:
    one = indicator()
    versions = [newer(one, hour) for hour in (1, 2, 3)]
    say(desk, *versions)
    desk = desk_again(hub, desk)
    (picked,) = desk.named([f"{one['id']}@2026-07-01T02:00:00Z"], PUBLISHER)
    assert picked.version == "2026-07-01T02:00:00.000Z"
    assert isinstance(say(desk, gone=[f"{one['id']}@2026-07-01T02:00:00.000000Z"]), Proof)
    assert shown(hub) == {one["id"]: [versions[0]["modified"], versions[2]["modified"]]}
    desk = desk_again(hub, desk)
    assert isinstance(say(desk, gone=[one["id"]]), Proof)
    assert shown(hub) == {}


def test_what_nobody_published_is_named_before_anything_is_kept(desk: SignedPublisher) -> None:
    unknown = [indicator()["id"], indicator()["id"]]
    with pytest.raises(NotFound) as caught:
        desk.named(unknown, PUBLISHER)
    assert all(one in caught.value.why for one in unknown)
    for name in ("x", "indicator--1", f"{unknown[0]}@yesterday", f"{unknown[0]}@2026-02-30T00:00:00Z"):
        with pytest.raises(MalformedRequest):
            desk.named([name], PUBLISHER)
    assert desk.outbox.entries() == []


def test_another_members_object_refuses_all_by_name_and_uses_no_number(
    hub: SignedHub, desk: SignedPublisher, tmp_path: Path
) -> None:
    theirs, mine, new = indicator(), indicator(), indicator()
    say(desk_of(hub, "uslax", tmp_path / "lax"), theirs)
    say(desk, mine)
    desk = desk_again(hub, desk)
    answer = say(desk, new, gone=[theirs["id"], mine["id"]])
    assert isinstance(answer, Refusal)
    told = {one: message for one, _, message in answer.failures}
    assert told.keys() == {theirs["id"], mine["id"], new["id"]}
    assert "deny-owner" in told[theirs["id"]]
    assert all("deny-statement" in told[one["id"]] for one in (mine, new))
    assert shown(hub).keys() == {theirs["id"], mine["id"]}
    (kept,) = desk.outbox.entries()
    assert (kept.state, len(kept.withdraw)) == ("refused", 2)
    desk.put([text(new)], withdraw=desk.named([mine["id"]], PUBLISHER))
    (sent,) = desk.send()
    assert (sent.seq, isinstance(sent.answer, Proof)) == (2, True)
    assert hub.consumer().pull().ok


def test_what_is_not_held_refuses_all_by_name_and_uses_no_number(
    hub: SignedHub, desk: SignedPublisher
) -> None:
    gone, mine = indicator(), indicator()
    say(desk, mine)
    desk = desk_again(hub, desk)
    answer = say(desk, gone=[f"{gone['id']}@{gone['modified']}", mine["id"]])
    assert isinstance(answer, Refusal)
    told = {one: message for one, _, message in answer.failures}
    assert "deny-not-held" in told[gone["id"]]
    assert "deny-statement" in told[mine["id"]]
    desk.put(withdraw=desk.named([mine["id"]], PUBLISHER))
    (sent,) = desk.send()
    assert sent.seq == 2


def test_more_than_a_statement_holds_is_several_and_all_of_it_leaves(
    hub: SignedHub, desk: SignedPublisher
) -> None:
    objects = [indicator() for _ in range(300)]
    desk.put(map(text, objects))
    assert len(list(desk.send())) == 2
    desk = desk_again(hub, desk)
    desk.put(withdraw=desk.named([one["id"] for one in objects], PUBLISHER))
    assert [(one.objects, one.withdrawn) for one in desk.send()] == [(0, 256), (0, 44)]
    assert shown(hub) == {}
    report = hub.consumer().pull()
    assert report.ok
    assert len(report.gone) == 300


def test_what_expired_does_not_come_back_and_what_was_taken_back_may(
    hub: SignedHub, desk: SignedPublisher
) -> None:
    one, two = indicator(), indicator()
    say(desk, one, two)
    desk = desk_again(hub, desk)
    say(desk, gone=[one["id"]])
    say(desk, gone=[two["id"]], reason=EXPIRED)
    assert isinstance(say(desk, one), Proof)
    assert isinstance(say(desk, two), Refusal)
    assert hub.consumer().pull().ok


def test_withdrawals_wait_until_their_moment_too(hub: SignedHub, desk: SignedPublisher) -> None:
    one = indicator()
    say(desk, one)
    desk = desk_again(hub, desk)
    later = Micros(now_of(hub) + 3_600_000_000)
    desk.put(withdraw=desk.named([one["id"]], PUBLISHER), at=later)
    assert list(desk.send()) == []
    ((keyid, _, name, box),) = outboxes_below(desk.outbox.directory.parents[1])
    assert (keyid, name) == (hub.keys["uslgb"].keyid, f"{hub.kit.agreement}/indicators")
    assert [(entry.state, entry.until) for entry in box.entries()] == [("waiting", later)]
    assert shown(hub).keys() == {one["id"]}


def test_a_refusal_after_a_lost_answer_is_settled_by_the_verified_log(
    hub: SignedHub, desk: SignedPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub logged it, the answer was lost, then it refuses: the log says that it is there."""
    one = indicator()
    desk.put([text(one)])
    connection = desk._client.connection
    real = connection.post

    def refused_after(path: str, body: bytes, **more: Any) -> Any:
        real(path, body, **more)
        raise NotAllowed

    class NotAllowed(MalformedRequest):
        def __init__(self) -> None:
            super().__init__("Refused as a whole")

    monkeypatch.setattr(connection, "post", refused_after)
    with pytest.raises(Exception, match="It is in the log all the same"):
        list(desk.send())
    monkeypatch.undo()
    (sent,) = desk.send()
    assert isinstance(sent.answer, Proof)

    def never(path: str, body: bytes, **more: Any) -> Any:
        raise NotAllowed

    monkeypatch.setattr(connection, "post", never)
    desk.put([text(indicator())])
    (sent,) = desk.send()
    assert isinstance(sent.answer, Refusal)


def test_two_tools_at_once_take_turns(hub: SignedHub, desk: SignedPublisher, tmp_path: Path) -> None:
    """A job and a person publish at the same time with one key: neither is turned away."""
    began, sent = threading.Event(), list[int]()

    def second() -> None:
        began.set()
        with desk_of(hub, "uslgb", tmp_path) as other:
            other.put([text(indicator())])
            sent.extend(one.seq for one in other.send())

    tool = threading.Thread(target=second)
    tool.start()
    assert began.wait(10)
    tool.join(0.3)
    assert tool.is_alive()
    assert isinstance(say(desk, indicator()), Proof)
    OPEN.remove(desk)
    desk.close()
    tool.join(60)
    assert not tool.is_alive()
    assert sent == [2]


def test_a_statement_that_is_proved_to_its_publisher_and_kept_from_everybody_else(tmp_path: Path) -> None:
    """The operator answers with a proof, puts the database of before back and goes on, with the hub's key."""
    hub = signed_hub(tmp_path)
    hub.enrol("uslgb")
    desk = desk_of(hub, "uslgb", tmp_path)
    assert isinstance(say(desk, indicator()), Proof)
    desk = desk_again(hub, desk)
    data, before = hub.kit.hub.dir / "data", tmp_path / "before.db"
    with closing(apsw.Connection(str(data / "hub.db"))) as db:
        db.execute("VACUUM INTO ?", (str(before),))
    assert isinstance(say(desk, indicator()), Proof)
    OPEN.remove(desk)
    desk.close()
    hub.kit.close()
    for path in data.glob("hub.db*"):
        path.unlink()
    before.rename(data / "hub.db")
    again = open_hub(hub.kit.hub.dir, clock=hub.kit.hub.clock)
    hub.kit = HubKit(again, make_app(again), hub.kit.agreement, hub.kit.held)
    with hub.kit:
        place = hub.kit.path("indicators", "objects/")
        with hub.kit.client("uslax") as client:
            sent = client.post(place, json={"objects": [indicator()]})
        assert sent.status_code == 202
        with pytest.raises(LogRefused, match="statement 2 of the key") as caught:
            desk_of(hub, "uslgb", tmp_path)
        assert caught.value.finding.failure is Failure.SPLIT_VIEW
        file = Path(caught.value.details["evidence"])
        found = judge(decode(file.read_bytes()), [load_hub_key(again.dir).keyid], verify)
        assert found.proved, found.verdict
        assert hub.consumer().pull().ok  # who kept nothing cannot know
