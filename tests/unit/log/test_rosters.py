"""Rosters on the hub: taken in order, signed with the admin key that the agreement names, shown, logged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lightship.client.following import follow
from lightship.core.access import Action, Grant, System
from lightship.core.agreement.chain import key_text
from lightship.core.errors import Conflict, Damaged, NotFound
from lightship.core.log import leaf
from lightship.core.log.roster import BadRoster, PublishKey
from lightship.core.ports import StoredRoster
from lightship.crypto.sign import new_signing_key, verify
from lightship.usecases.rosters import Current, RosterBook
from signedhub import SignedHub, signed_hub
from storekit import event


@pytest.fixture(name="hub", params=["memory", "sqlite"])
def _hub(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SignedHub]:
    hub = signed_hub(tmp_path, request.param, collections={"indicators": {}, "warnings": {}})
    yield hub
    hub.kit.close()


def rosters_in_log(hub: SignedHub) -> list[tuple[str, str]]:
    consumer = hub.consumer()
    log = consumer.kept.log
    applied = follow(consumer.source, log, hub.kit.hub.clock.now())
    assert not applied.findings
    return [(one.member, one.sha256) for one in applied.leaves if isinstance(one, leaf.RosterChange)]


def test_a_roster_is_in_every_log_and_shown_to_members(hub: SignedHub) -> None:
    key = hub.enrol("uslgb")
    assert [member for member, _ in rosters_in_log(hub)] == ["uslgb"]
    assert key.keyid in hub.last["uslgb"].keys
    warnings = hub.kit.hub.logs.entries(_grant(hub, "warnings"), 0, 10)
    assert [type(leaf.read(one)).__name__ for one in warnings] == ["AgreementChange", "RosterChange"]
    (applied,) = [one for one in hub.kit.hub.writer.pending() if one.act == "apply-roster"]
    assert (applied.agr, applied.who, applied.cred) == ("exercise", "uslgb", "steward")
    assert hub.clean()


def test_a_second_roster_follows_the_first(hub: SignedHub) -> None:
    hub.enrol("uslgb")
    hub.enrol("uslgb")
    hub.enrol("uslax")
    assert [member for member, _ in rosters_in_log(hub)] == ["uslgb", "uslgb", "uslax"]


def test_a_roster_is_verified_once_and_those_before_it_again_only_where_they_changed(
    hub: SignedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = list[bytes]()

    def counting(public: bytes, signature: bytes, message: bytes) -> bool:
        verified.append(message)
        return verify(public, signature, message)

    held = hub.kit.hub
    assert held.signing is not None
    book = RosterBook(held.signing, held.registry, counting)

    def look() -> Current:
        view = held.directory.view()
        return book.current(view.agreements[hub.kit.agreement], view.epoch)

    for _ in range(3):
        hub.enrol("uslgb")
    first = look()
    assert len(verified) == 3
    key = hub.enrol("uslgb")
    assert look().publish_key("uslgb", key.keyid) is not None
    assert first.publish_key("uslgb", key.keyid) is None, "whoever holds it keeps what it was"
    assert len(verified) == 4
    stored = tuple(held.signing.rosters(hub.kit.agreement))
    monkeypatch.setattr(held.signing, "rosters", lambda agreement: stored[1:])
    hub.kit.mint("uslgb", "another-epoch")
    with pytest.raises(Damaged):
        look()


def _apply_bad(hub: SignedHub, case: str) -> None:
    made = hub.next_roster("uslgb", {})
    match case:
        case "another key":
            hub.apply(made, hub.admins["uslax"])
        case "again":
            hub.apply(hub.last["uslgb"])
        case "skip":
            hub.apply(replace(made, version=3))
        case "other prev":
            hub.apply(replace(made, prev="0" * 64))
        case "others key":
            key = hub.keys["uslgb"]
            hub.apply(hub.next_roster("uslax", {key.keyid: PublishKey(key.public)}))
        case _:
            hub.revoke("uslgb", log=3)  # no such log


@pytest.mark.parametrize("case", ["another key", "again", "skip", "other prev", "others key", "distrust"])
def test_a_roster_that_must_not_be_taken_changes_nothing(hub: SignedHub, case: str) -> None:
    hub.enrol("uslgb")
    size, epoch = len(rosters_in_log(hub)), hub.kit.hub.registry.epoch()
    with pytest.raises(BadRoster) as refused:
        _apply_bad(hub, case)
    assert refused.value.why
    assert (len(rosters_in_log(hub)), hub.kit.hub.registry.epoch()) == (size, epoch)


def test_a_roster_for_an_agreement_that_is_not_here(hub: SignedHub) -> None:
    with pytest.raises(NotFound):
        hub.apply(replace(hub.next_roster("uslgb", {}), agreement="elsewhere"))


def test_the_store_takes_only_the_next_version_under_the_agreement_that_it_was_checked_under(
    hub: SignedHub,
) -> None:
    signing = hub.kit.hub.signing
    assert signing is not None
    for roster_version, agreement_version in ((2, 1), (1, 2)):
        with pytest.raises(Conflict):
            signing.apply_roster(
                StoredRoster("exercise", "uslgb", roster_version, "0" * 64, b"{}", agreement_version, "k"),
                event(),
                {},
            )
    with pytest.raises(NotFound):
        signing.apply_roster(StoredRoster("nowhere", "uslgb", 1, "0" * 64, b"{}", 1, "k"), event(), {})
    assert not signing.rosters("exercise")


def test_a_new_collection_begins_with_the_rosters_in_force(hub: SignedHub) -> None:
    hub.enrol("uslgb")
    hub.enrol("uslax")
    replaced = new_signing_key()
    members = {"uslgb": {"admin_key": key_text(hub.admins["uslgb"].public)}}
    members["uslax"] = {"admin_key": key_text(replaced.public)}
    collections: dict[str, dict[str, object]] = {"indicators": {}, "warnings": {}, "later": {}}
    hub.kit.add_agreement("exercise", members=members, collections=collections)
    entries = [leaf.read(one) for one in hub.kit.hub.logs.entries(_grant(hub, "later"), 0, 10)]
    assert [type(one).__name__ for one in entries] == ["AgreementChange", "RosterChange"]
    assert isinstance(entries[1], leaf.RosterChange)
    assert entries[1].member == "uslgb"  # the other one's admin key was replaced: it signs anew
    with pytest.raises(BadRoster):
        hub.enrol("uslax")
    hub.admins["uslax"] = replaced
    hub.enrol("uslax")
    assert hub.clean()


def test_members_alone_see_a_roster(hub: SignedHub) -> None:
    hub.enrol("uslgb")
    ((_, digest),) = rosters_in_log(hub)
    hub.kit.add_agreement("other", members=("jptyo",))
    path = f"/agreements/exercise/rosters/{digest}.json"
    for member, status in (("uslax", 200), ("uslgb", 200), ("other:jptyo", 404)):
        with hub.client(member) as client:
            assert client.get(path).status_code == status
            assert client.get(path.replace(digest, "0" * 64)).status_code == 404


def _grant(hub: SignedHub, alias: str) -> Grant:
    where = hub.kit.collection_value(alias)
    return Grant(System("test"), Action.READ, where, hub.kit.hub.registry.epoch())
