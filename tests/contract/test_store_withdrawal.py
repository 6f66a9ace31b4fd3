"""Contract of `ports.Writer.withdraw`. Both drivers."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import orjson
import pytest

from lightship.core.collection import WithdrawReason
from lightship.core.errors import NotFound
from lightship.core.ports import EpochChanged, NotOwner
from lightship.core.query import Filters, Versions
from lightship.core.time import parse_instant
from storekit import (
    ALICE,
    ALL,
    BOB,
    FIRST,
    WAIT,
    HubStore,
    activate,
    candidate,
    check_statements,
    grant,
    object_id,
    publish,
    publishing,
    pull,
    shown,
    signed,
    uuid_of,
    withdraw,
    withdrawing,
)

V1, V2, V3 = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"


def test_a_whole_object_goes_from_every_read(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1, V1), candidate(1, V2), candidate(2))
    gone = withdraw(hub_store, object_id(1))
    assert [(row.id, row.version_text, row.body) for row in gone.rows] == [
        (object_id(1), V1, b""),
        (object_id(1), V2, b""),
    ]
    for filters in (Filters(), ALL, Filters(ids=(object_id(1),)), Filters(types=("indicator",))):
        assert object_id(1) not in [row.id for row in pull(hub_store, filters)]
    assert gone.event in hub_store.pending()
    check_statements(hub_store, 1)


def test_last_and_first_move_to_what_remains(hub_store: HubStore) -> None:
    publish(hub_store, *[candidate(1, version) for version in (V1, V2, V3)])
    withdraw(hub_store, object_id(1), Filters())
    assert shown(hub_store) == [(object_id(1), V2)]
    withdraw(hub_store, object_id(1), Filters(versions=FIRST))
    assert shown(hub_store, Filters(versions=FIRST)) == shown(hub_store) == [(object_id(1), V2)]


def test_the_lower_spec_version_shows_again(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1, V1, spec="2.0"), candidate(1, V2, spec="2.1"))
    withdraw(hub_store, object_id(1), Filters(spec_versions=("2.1",)))
    assert shown(hub_store) == [(object_id(1), V1)]


def test_one_version_by_its_instant(hub_store: HubStore) -> None:
    publish(hub_store, *[candidate(1, version) for version in (V1, V2, V3)])
    asked = Versions(last=False, instants=frozenset({parse_instant("2026-02-01T00:00:00.000Z")}))
    assert [row.version_text for row in withdraw(hub_store, object_id(1), Filters(versions=asked)).rows] == [
        V2
    ]
    assert [version for _, version in shown(hub_store, ALL)] == [V1, V3]


def test_what_is_not_there_is_not_found(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1))
    before = hub_store.state(grant(hub_store))
    none = Versions(last=False, instants=frozenset({parse_instant(V3)}))
    for name, filters, number in (
        (object_id(2), ALL, 1),
        (object_id(1), Filters(versions=none), 1),
        (object_id(1), Filters(spec_versions=("2.0",)), 1),
        (object_id(1), ALL, 2),
        (object_id(1), ALL, 9),
    ):
        with pytest.raises(NotFound):
            withdraw(hub_store, name, filters, on=number)
    assert hub_store.state(grant(hub_store)) == before
    withdraw(hub_store, object_id(1))
    with pytest.raises(NotFound):
        withdraw(hub_store, object_id(1))


def test_another_members_object_stays(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1))
    before = hub_store.state(grant(hub_store))
    with pytest.raises(NotOwner):
        withdraw(hub_store, object_id(1), member=BOB)
    assert hub_store.state(grant(hub_store)) == before


def test_another_members_version_of_an_object_without_an_owner_stays(hub_store: HubStore) -> None:
    kind = "extension-definition"
    publish(hub_store, candidate(1, V1, type_name=kind, owned=False), member=ALICE)
    publish(hub_store, candidate(1, V2, type_name=kind, owned=False), member=BOB)
    with pytest.raises(NotOwner):
        withdraw(hub_store, object_id(1, kind), member=BOB)
    withdraw(hub_store, object_id(1, kind), Filters(), member=BOB)
    assert [version for _, version in shown(hub_store, ALL)] == [V1]


def test_the_hub_itself_withdraws_whatever_is_due(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1))
    withdraw(hub_store, object_id(1), member=None, reason=WithdrawReason.EXPIRED)
    row = hub_store.statements(1)[-1]
    assert (row.by, orjson.loads(row.body)["withdraw"]) == ("", [[object_id(1), V1, "expired"]])


def test_a_withdrawal_is_a_statement_whose_entries_take_stamps(hub_store: HubStore) -> None:
    published = publish(hub_store, candidate(1, V1), candidate(1, V2)).outcome
    withdraw(hub_store, object_id(1))
    row = hub_store.statements(1)[-1]
    assert (row.by, row.agreement) == (ALICE, 1)
    assert row.at - 1 > published.added_last
    assert orjson.loads(row.body) == {
        "add": [],
        "collection": uuid_of(1),
        "hub": signed(1).digest,
        "key": "",
        "prev": "",
        "seq": 0,
        "withdraw": [[object_id(1), V1, "publisher"], [object_id(1), V2, "publisher"]],
    }
    again = publish(hub_store, candidate(1, V1)).outcome
    assert again.added_first > row.at
    check_statements(hub_store, 1)


def test_a_large_withdrawal_is_split_like_a_publish(hub_store: HubStore) -> None:
    publish(hub_store, *[candidate(1, f"2026-01-01T00:00:00.{n:03}Z") for n in range(1, 301)])
    gone = withdraw(hub_store, object_id(1))
    assert len(gone.rows) == 300
    assert [len(orjson.loads(row.body)["withdraw"]) for row in hub_store.statements(1)[-2:]] == [256, 44]
    check_statements(hub_store, 1)


def test_a_grant_of_an_older_epoch_is_sent_back(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1))
    old = grant(hub_store)
    activate(hub_store, version=2)
    with pytest.raises(EpochChanged):
        hub_store.withdraw(withdrawing(old, object_id(1))).result(WAIT)
    assert len(pull(hub_store)) == 1


def test_publish_and_withdraw_sent_at_once_take_effect_in_order(hub_store: HubStore) -> None:
    allowed = grant(hub_store)
    futures: list[Future[Any]] = []
    for _ in range(12):
        futures.append(hub_store.publish(publishing(allowed, [candidate(1, V1), candidate(1, V2)])))
        futures.append(hub_store.publish(publishing(allowed, [candidate(1, V3)])))
        futures.append(hub_store.withdraw(withdrawing(allowed, object_id(1), Filters())))
        futures.append(hub_store.withdraw(withdrawing(allowed, object_id(1))))
    for future in futures:
        future.result(WAIT)
    assert pull(hub_store, ALL) == []
    state = hub_store.state(allowed)
    assert (state.objects, state.stored_bytes, state.size) == (0, 0, 49)
    publish(hub_store, candidate(1, V2))
    check_statements(hub_store, 1)
