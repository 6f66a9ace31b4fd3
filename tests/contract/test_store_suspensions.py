"""Contract of `Registry.suspend` and `suspensions`. Both drivers."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from lightship.core import dsse
from lightship.core.agreement.suspension import PAYLOAD_TYPE, Order, sign
from lightship.core.errors import Conflict, NotFound
from lightship.core.log import leaf
from lightship.core.ports import EpochChanged, SignedSuspension
from lightship.core.time import Micros
from lightship.storage.leaves import leaf_of
from storekit import START, WAIT, HubStore, activate, candidate, event, grant, publishing


def envelope(number: int) -> bytes:
    return dsse.encode(dsse.Envelope(PAYLOAD_TYPE, b'{"n":%d}' % number, (dsse.Signature("k", b"s"),)))


def suspension(number: int, version: int = 1) -> SignedSuspension:
    return SignedSuspension(
        "exercise", number, version, hashlib.sha256(b"%d" % number).hexdigest(), envelope(number), START
    )


def test_suspensions_come_back_as_they_were_signed(hub_store: HubStore) -> None:
    assert list(hub_store.suspensions("exercise")) == []
    before = hub_store.epoch()
    hub_store.suspend(suspension(1), event("one"))
    hub_store.suspend(suspension(2), event("two"))
    assert list(hub_store.suspensions("exercise")) == [suspension(1), suspension(2)]
    assert hub_store.epoch() == before + 2
    assert {"one", "two"} <= {one.req for one in hub_store.pending()}
    assert list(hub_store.suspensions("another")) == []


def test_each_collection_of_the_agreement_names_it_in_its_log(hub_store: HubStore) -> None:
    hub_store.suspend(suspension(1), event())
    for number in (1, 2):
        row = hub_store.statements(number)[-1]
        assert (row.by, row.agreement) == ("", 1)
        read = leaf.read(leaf_of(row.at, row.by, row.agreement, row.body))
        assert isinstance(read, leaf.Suspension)
        assert dsse.encode(read.envelope) == envelope(1)


@pytest.mark.parametrize("wrong", [suspension(2), suspension(0), suspension(1, 2)])
def test_what_is_not_the_next_one_is_a_conflict_and_changes_nothing(
    hub_store: HubStore, wrong: SignedSuspension
) -> None:
    before = (hub_store.epoch(), len(hub_store.pending()), len(hub_store.statements(1)))
    with pytest.raises(Conflict):
        hub_store.suspend(wrong, event())
    assert (hub_store.epoch(), len(hub_store.pending()), len(hub_store.statements(1))) == before
    assert list(hub_store.suspensions("exercise")) == []


def test_without_the_agreement_there_is_nothing_to_suspend(hub_store: HubStore) -> None:
    with pytest.raises(NotFound):
        hub_store.suspend(replace(suspension(1), agreement="another"), event())


def test_a_post_that_was_permitted_before_is_decided_again(hub_store: HubStore) -> None:
    early = publishing(grant(hub_store), [candidate(1)])
    hub_store.suspend(suspension(1), event())
    with pytest.raises(EpochChanged):
        hub_store.publish(early).result(WAIT)


def test_a_new_collection_begins_with_the_first_one_in_effect_and_all_after_it(hub_store: HubStore) -> None:
    for number, (member, until) in enumerate((("a", START), ("b", START + 9), ("c", START)), 1):
        times = Micros(START - 9), Micros(until)
        order = Order("exercise", "a" * 64, 1, number, "", member, *times, "A drill")
        made = dsse.encode(sign(order, [("f" * 64, lambda message: b"s" * 64)]))
        hub_store.suspend(replace(suspension(number), envelope=made), event(str(number)))
    activate(hub_store, 1, 2, 3, version=2)
    first, *rest = hub_store.statements(3)
    assert b'"agreement":2' in first.body
    repeated = [one for one in rest if b"suspend" in one.body]
    assert [(one.by, one.agreement) for one in repeated] == [("", 2)] * 2
    assert repeated == rest[:2]
    assert [one.body for one in repeated] == [one.body for one in hub_store.statements(1)[2:4]]
    assert not [one for one in hub_store.statements(1)[4:] if b"suspend" in one.body]


def test_it_follows_the_agreement_when_that_changes(hub_store: HubStore) -> None:
    hub_store.suspend(suspension(1), event())
    activate(hub_store, 1, 2, version=2)
    with pytest.raises(Conflict):
        hub_store.suspend(suspension(2), event())
    hub_store.suspend(suspension(2, 2), event())
    assert [one.version for one in hub_store.suspensions("exercise")] == [1, 2]
