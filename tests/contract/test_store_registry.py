"""Contract of `ports.Registry` and `ports.Statuses`. Both drivers."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from lightship.core.errors import Conflict
from lightship.core.time import Micros
from storekit import (
    ALICE,
    BOB,
    START,
    HubStore,
    activate,
    candidate,
    check_statements,
    credential,
    event,
    grant,
    object_id,
    principal,
    publish,
    pull,
    signed,
    uuid_of,
)


def test_a_new_store_knows_nothing(empty_store: HubStore) -> None:
    assert empty_store.epoch() == 0
    assert list(empty_store.agreement_ids()) == []
    assert list(empty_store.chain("exercise")) == []
    assert dict(empty_store.collection_numbers()) == {}
    assert list(empty_store.credentials()) == []
    assert empty_store.credential_by_digest(b"x" * 32) is None
    assert list(empty_store.pending()) == []


def test_a_chain_comes_back_as_it_was_signed(empty_store: HubStore) -> None:
    activate(empty_store, 1)
    activate(empty_store, 1, version=2)
    activate(empty_store, 5, agreement="a-port")
    assert list(empty_store.chain("exercise")) == [signed(1), signed(2)]
    assert list(empty_store.agreement_ids()) == ["a-port", "exercise"]


@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_version_that_is_not_the_next_one_is_a_conflict(hub_store: HubStore, version: int) -> None:
    before = (hub_store.epoch(), len(hub_store.pending()), len(hub_store.statements(1)))
    with pytest.raises(Conflict):
        activate(hub_store, 1, 2, 3, version=version)
    assert (hub_store.epoch(), len(hub_store.pending()), len(hub_store.statements(1))) == before
    assert uuid_of(3) not in hub_store.collection_numbers()
    assert len(hub_store.chain("exercise")) == 1


def test_the_first_version_is_one(empty_store: HubStore) -> None:
    with pytest.raises(Conflict):
        activate(empty_store, 1, version=2)
    assert empty_store.epoch() == 0


def test_a_collection_of_another_agreement_is_a_conflict(hub_store: HubStore) -> None:
    with pytest.raises(Conflict):
        activate(hub_store, 9, 1, agreement="other")
    assert list(hub_store.agreement_ids()) == ["exercise"]
    assert uuid_of(9) not in hub_store.collection_numbers()


def test_a_change_raises_the_epoch_with_its_event(empty_store: HubStore) -> None:
    activate(empty_store, 1, req="a")
    assert empty_store.epoch() == 1
    empty_store.put_credential(credential(), event("b"))
    assert empty_store.epoch() == 2
    assert sorted(one.req for one in empty_store.pending()) == ["a", "b"]
    assert empty_store.state(grant(empty_store)).epoch == 2


def test_collections_are_numbered_in_order_and_never_again(empty_store: HubStore) -> None:
    activate(empty_store, 7, 3)
    activate(empty_store, 4, agreement="other")
    activate(empty_store, version=2)  # its collections are gone from the agreement
    activate(empty_store, 3, 8, version=3)
    numbers = {uuid_of(7): 1, uuid_of(3): 2, uuid_of(4): 3, uuid_of(8): 4}
    assert dict(empty_store.collection_numbers()) == numbers


def test_a_hub_has_2047_collections_in_its_life(empty_store: HubStore) -> None:
    activate(empty_store, *range(1, 2047))
    activate(empty_store, 5000, agreement="last")
    with pytest.raises(Conflict):
        activate(empty_store, 5001, agreement="other")
    publish(empty_store, candidate(1), on=1)
    assert max(empty_store.collection_numbers().values()) == 2047
    assert [row.id for row in pull(empty_store, on=1)] == [object_id(1)]


def test_an_agreement_change_is_a_statement_in_each_of_its_collections(empty_store: HubStore) -> None:
    activate(empty_store, 1, 2)
    activate(empty_store, 3, agreement="other")
    activate(empty_store, 2, 4, version=2)
    bodies = {
        number: [orjson.loads(row.body) for row in empty_store.statements(number)] for number in (1, 2, 3, 4)
    }
    one = {"agreement": 1, "sha256": signed(1).digest}
    two = {"agreement": 2, "sha256": signed(2).digest}
    theirs = {"agreement": 1, "sha256": signed(1, "other").digest}
    assert bodies == {1: [one, two], 2: [one, two], 3: [theirs], 4: [two]}
    for number in (1, 2, 3, 4):
        rows = check_statements(empty_store, number)
        assert {row.by for row in rows} == {""}
    assert [row.agreement for row in empty_store.statements(2)] == [1, 2]
    assert empty_store.statements(1)[0].body == orjson.dumps(one)


def test_the_stamp_of_an_agreement_change_belongs_to_no_object(hub_store: HubStore) -> None:
    first = publish(hub_store, candidate(1)).outcome.added_last
    activate(hub_store, version=2)
    change = hub_store.statements(1)[-1].at
    second = publish(hub_store, candidate(2)).outcome.added_first
    assert first < change < second
    assert hub_store.statements(1)[-1].at == hub_store.state(grant(hub_store)).last


def test_a_credential_comes_back_whole(hub_store: HubStore) -> None:
    one = replace(
        credential(),
        expires=Micros(START + 5),
        revoked=Micros(START + 1),
        allowed=("192.0.2.0/24", "2001:db8::/32"),
        profile="empty-list",
        note="for the SOC",
    )
    hub_store.put_credential(one, event())
    assert list(hub_store.credentials()) == [one]
    assert hub_store.credential_by_digest(one.digest) == one


def test_a_credential_is_replaced_by_its_id(hub_store: HubStore) -> None:
    one = credential()
    hub_store.put_credential(one, event())
    changed = replace(one, digest=b"y" * 32, revoked=Micros(START), name="other")
    hub_store.put_credential(changed, event())
    assert list(hub_store.credentials()) == [changed]
    assert hub_store.credential_by_digest(one.digest) is None
    assert hub_store.credential_by_digest(changed.digest) == changed


def test_a_name_or_secret_that_another_credential_has_is_a_conflict(hub_store: HubStore) -> None:
    one, two = credential("splunk", 1), credential("misp", 2)
    hub_store.put_credential(one, event())
    hub_store.put_credential(two, event())
    before = (hub_store.epoch(), len(hub_store.pending()))
    for bad in (
        credential("splunk", 3),
        replace(credential("new", 3), digest=one.digest),
        replace(two, name="splunk"),
        replace(two, digest=one.digest),
    ):
        with pytest.raises(Conflict):
            hub_store.put_credential(bad, event())
    assert (hub_store.epoch(), len(hub_store.pending())) == before
    assert list(hub_store.credentials()) == [two, one]


def test_a_rotation_that_races_a_revocation_does_not_bring_the_credential_back(hub_store: HubStore) -> None:
    one = credential()
    hub_store.put_credential(one, event())
    revoked = replace(one, revoked=Micros(START))
    hub_store.put_credential(revoked, event())
    before = (hub_store.epoch(), len(hub_store.pending()))
    with pytest.raises(Conflict):
        hub_store.put_credential(replace(one, digest=b"z" * 32), event())
    assert list(hub_store.credentials()) == [revoked]
    assert (hub_store.epoch(), len(hub_store.pending())) == before


def test_the_two_kinds_of_credentials_are_never_found_in_place_of_each_other(hub_store: HubStore) -> None:
    secret, pinned = credential("splunk", 1), replace(credential("misp", 2), kind="certificate")
    for one in (secret, pinned):
        hub_store.put_credential(one, event())
    assert list(hub_store.credentials()) == [pinned, secret]
    assert hub_store.credential_by_digest(pinned.digest) is None
    assert hub_store.credential_by_digest(pinned.digest, "certificate") == pinned
    assert hub_store.credential_by_digest(secret.digest, "certificate") is None
    assert (secret.pin, pinned.pin) == ("", pinned.digest.hex())


def test_a_credential_stays_of_its_kind_and_a_digest_is_one_credentials(hub_store: HubStore) -> None:
    one = credential()
    hub_store.put_credential(one, event())
    before = (hub_store.epoch(), len(hub_store.pending()))
    for bad in (
        replace(one, kind="certificate"),
        replace(one, kind="certificate", digest=b"y" * 32),
        replace(credential("new", 3), digest=one.digest, kind="certificate"),
    ):
        with pytest.raises(Conflict):
            hub_store.put_credential(bad, event())
    assert list(hub_store.credentials()) == [one]
    assert (hub_store.epoch(), len(hub_store.pending())) == before


def test_credentials_are_listed_by_agreement(hub_store: HubStore) -> None:
    one, two = credential("b", 1), credential("a", 2, agreement="other")
    hub_store.put_credential(one, event())
    hub_store.put_credential(two, event())
    assert list(hub_store.credentials("exercise")) == [one]
    assert list(hub_store.credentials("other")) == [two]
    assert list(hub_store.credentials()) == [two, one]


def test_a_status_is_only_for_the_credential_that_posted(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), status_id=uuid_of(50))
    assert hub_store.status(principal(ALICE), uuid_of(50)) is not None
    assert hub_store.status(principal(ALICE, "another-tool"), uuid_of(50)) is None
    assert hub_store.status(principal(BOB), uuid_of(50)) is None
    assert hub_store.status(principal(ALICE, agreement="other"), uuid_of(50)) is None
    assert hub_store.status(principal(ALICE), uuid_of(51)) is None
