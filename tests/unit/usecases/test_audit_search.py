"""An auditor may name a credential as people know it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_samples import event
from lightship.core.audit import AuditQuery
from lightship.storage.memory import MemoryStore
from lightship.storage.memory_access import MemoryAccessLog
from lightship.usecases.audit import search
from lightship.usecases.review import Scope, within
from storekit import ALICE, HandClock, activate, credential
from storekit import event as any_event


@pytest.mark.parametrize("text", ["uslax-splunk", "uslax/splunk", credential().id])
def test_a_principal_is_found_by_name_by_member_and_name_and_by_id(text: str) -> None:
    store, access = MemoryStore(HandClock()), MemoryAccessLog()
    activate(store, 1)
    store.put_credential(credential("uslax-splunk"), any_event())
    store.put_credential(credential("uslax-other", 2), any_event())
    access.record(event(1, cred=credential().id))
    access.record(event(2, cred=credential("uslax-other", 2).id))
    assert list(search(access, store, AuditQuery(principal=text))) == [event(1, cred=credential().id)]


@pytest.mark.parametrize("minted", [True, False])
def test_a_client_is_found_by_its_pin_whether_the_steward_or_a_roster_lists_it(minted: bool) -> None:
    store, access = MemoryStore(HandClock()), MemoryAccessLog()
    activate(store, 1)
    client = replace(credential("uslax-siem"), kind="certificate")
    if minted:
        store.put_credential(client, any_event())
    mine = event(1, cred=client.id if minted else client.pin, agr="exercise", who=ALICE)
    access.record(mine)
    access.record(event(2, cred="another", agr="exercise", who=ALICE))
    asked = AuditQuery(principal=client.pin)
    assert list(search(access, store, asked)) == [mine]
    narrowed = within(Scope("exercise", ALICE, False, "allow-own-audit"), asked, store)
    assert narrowed is not None
    assert list(access.search(narrowed)) == [mine]


def test_who_acts_without_a_credential_is_found_as_it_stands() -> None:
    store, access = MemoryStore(HandClock()), MemoryAccessLog()
    access.record(event(1, cred="steward"))
    access.record(event(2))
    assert list(search(access, store, AuditQuery(principal="steward"))) == [event(1, cred="steward")]


def test_without_a_principal_everything_is_found() -> None:
    store, access = MemoryStore(HandClock()), MemoryAccessLog()
    access.record(event(1))
    assert list(search(access, store, AuditQuery())) == [event(1)]
