"""Contract of `Signing`: whole or not at all, in each key's order, rosters in every log. Both drivers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import orjson
import pytest

from lightship.core import dsse, stamps
from lightship.core.collection import Candidate, CollectionSettings, Verdict, WithdrawReason, stamp_of
from lightship.core.errors import Conflict, NotFound, Refused
from lightship.core.log import leaf, statement
from lightship.core.log.roster import BadRoster, Revoked
from lightship.core.log.statement import Add, Statement, Withdrawal
from lightship.core.marks import MarkingSet
from lightship.core.ports import (
    EpochChanged,
    Logged,
    NotTaken,
    OutOfSequence,
    SignedAgreement,
    SignedRequest,
    StoredRoster,
)
from lightship.storage.leaves import leaf_of
from storekit import (
    ALICE,
    ALL,
    BOB,
    START,
    WAIT,
    HubStore,
    activate,
    candidate,
    check_statements,
    collection,
    event,
    grant,
    publish,
    publishing,
    pull,
    shown,
    uuid_of,
    withdraw,
)

KEY, OTHER = "a" * 64, "b" * 64
HUB = "c" * 64
PUBLISHER = WithdrawReason.PUBLISHER


def statement_of(
    adds: Iterable[Candidate], withdrawn: Sequence[Withdrawal], seq: int, prev: str, key: str, on: int
) -> Statement:
    listed = tuple(Add(one.id, one.version_text, one.digest.hex()) for one in adds)
    return Statement(uuid_of(on), HUB, key, seq, prev, listed, tuple(withdrawn))


def envelope_of(made: Statement) -> dsse.Envelope:
    return dsse.Envelope(statement.PAYLOAD_TYPE, made.payload(), (dsse.Signature(made.key, b"s" * 64),))


class Key:
    """A publish key and what it had logged last; signatures are checked before the store."""

    def __init__(self, store: HubStore, member: str = ALICE, key: str = KEY, on: int = 1) -> None:
        self.store, self.member, self.key, self.on = store, member, key, on
        self.seq, self.prev = 0, ""

    def request(
        self,
        *adds: Candidate,
        gone: Sequence[Withdrawal] = (),
        seq: int | None = None,
        prev: str | None = None,
        marks: Sequence[MarkingSet] = (),
        settings: CollectionSettings | None = None,
    ) -> SignedRequest:
        where = collection(self.on, settings)
        made = statement_of(
            adds,
            gone,
            self.seq + 1 if seq is None else seq,
            self.prev if prev is None else prev,
            self.key,
            self.on,
        )
        posted = [one._replace(position=place) for place, one in enumerate(adds)]
        asked = publishing(grant(self.store, self.member, on=where), posted, marks=marks)
        return SignedRequest(asked, made, envelope_of(made))

    def post(self, *adds: Candidate, **more: Any) -> Logged:
        request = self.request(*adds, **more)
        done = self.store.publish_signed(request).result(WAIT)
        self.seq, self.prev = request.statement.seq, statement.digest_of(request.envelope.payload)
        return done


def gone(one: Candidate, reason: WithdrawReason = PUBLISHER) -> Withdrawal:
    return Withdrawal(one.id, one.version_text, reason)


def kept(store: HubStore, on: int = 1) -> Any:
    """Return all that must stay as it was when something is refused; the key's chain is tried elsewhere."""
    return store.epoch(), len(store.pending()), store.statements(on), shown(store, ALL, on=on)


def test_a_statement_is_a_leaf_as_it_came_and_its_objects_have_the_last_stamps(hub_store: HubStore) -> None:
    key = Key(hub_store)
    first = key.post(candidate(1), candidate(2))
    request = key.request(candidate(3), gone=[gone(candidate(1))])
    done = hub_store.publish_signed(request).result(WAIT)
    row = hub_store.statements(1)[-1]
    assert (done.index, row.idx, row.by) == (row.idx, first.index + 1, ALICE)
    read = leaf.read(leaf_of(row.at, row.by, row.agreement, row.body, row.signatures))
    assert isinstance(read, leaf.Publication)
    assert read.envelope == request.envelope
    assert [stamp_of(one.key) for one in pull(hub_store, ALL)][-1] == row.at
    assert [item.stamp for item in done.items] == [row.at]
    assert stamps.entry_stamps(row.at, 2)[-1] == row.at
    assert [name for name, _ in shown(hub_store, ALL)] == [candidate(2).id, candidate(3).id]
    assert hub_store.state(grant(hub_store)).last == row.at


def test_a_payload_that_is_logged_is_answered_as_it_was_and_changes_nothing(hub_store: HubStore) -> None:
    key = Key(hub_store)
    request = key.request(candidate(1))
    first = hub_store.publish_signed(request).result(WAIT)
    before = kept(hub_store)
    again = hub_store.publish_signed(request).result(WAIT)
    assert (again.index, again.status, again.event, again.items) == (first.index, first.status, None, ())
    digest = statement.digest_of(request.envelope.payload)
    known = hub_store.logged(grant(hub_store), digest)
    assert known is not None
    assert (known.index, known.status) == (first.index, first.status)
    assert hub_store.logged(grant(hub_store, on=2), digest) is None
    assert kept(hub_store) == before


@pytest.mark.parametrize(
    ("seq", "prev", "rule"),
    [
        (1, "", "deny-equivocation"),
        (2, "d" * 64, "deny-sequence"),
        (3, None, "deny-sequence"),
    ],
)
def test_what_does_not_follow_is_refused_by_name(
    hub_store: HubStore, seq: int, prev: str | None, rule: str
) -> None:
    key = Key(hub_store)
    key.post(candidate(1))
    before = kept(hub_store)
    with pytest.raises(OutOfSequence) as caught:
        hub_store.publish_signed(key.request(candidate(2), seq=seq, prev=prev)).result(WAIT)
    assert caught.value.rule == rule
    assert kept(hub_store) == before
    assert key.post(candidate(2)).items[0].verdict is Verdict.ADD


def test_each_key_counts_for_itself_in_each_collection(hub_store: HubStore) -> None:
    one, two, elsewhere = Key(hub_store), Key(hub_store, BOB, OTHER), Key(hub_store, on=2)
    for number, key in enumerate((one, two, elsewhere, one, two, elsewhere), 1):
        key.post(candidate(number))
    assert {one.seq, two.seq, elsewhere.seq} == {2}


def test_one_refused_object_refuses_all_and_uses_no_number(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), member=BOB)
    key = Key(hub_store)
    before = kept(hub_store)
    with pytest.raises(NotTaken) as caught:
        key.post(candidate(2), candidate(1, content="other"))
    verdicts = [item.verdict for item in caught.value.items]
    assert (verdicts, caught.value.withdrawals) == ([Verdict.ADD, Verdict.CONFLICT], {})
    assert kept(hub_store) == before
    assert key.post(candidate(2)).index == before[2][-1].idx + 1


def test_withdrawals_of_what_is_not_held_or_anothers_refuse_all_by_their_index(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), member=BOB)
    key = Key(hub_store)
    key.post(candidate(2))
    before = kept(hub_store)
    with pytest.raises(NotTaken) as caught:
        key.post(candidate(3), gone=[gone(candidate(2)), gone(candidate(1)), gone(candidate(9))])
    assert set(caught.value.withdrawals) == {1, 2}
    assert "deny-owner" in caught.value.withdrawals[1]
    assert "deny-not-held" in caught.value.withdrawals[2]
    assert kept(hub_store) == before
    assert key.post(candidate(3), gone=[gone(candidate(2))]).index == before[2][-1].idx + 1


def test_what_is_withdrawn_stays_known_by_its_reason(hub_store: HubStore) -> None:
    key = Key(hub_store)
    key.post(candidate(1), candidate(2))
    key.post(gone=[gone(candidate(1)), gone(candidate(2), WithdrawReason.EXPIRED)])
    assert shown(hub_store, ALL) == []
    assert key.post(candidate(1)).items[0].verdict is Verdict.ADD
    with pytest.raises(NotTaken):
        key.post(candidate(2))


def test_what_is_held_already_is_attested_again_and_uses_its_stamp(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), member=BOB)
    (live,) = pull(hub_store, ALL)
    done = Key(hub_store).post(candidate(1), candidate(2))
    assert [item.verdict for item in done.items] == [Verdict.DUPLICATE, Verdict.ADD]
    assert done.items[0].stamp == stamp_of(live.key)
    row = hub_store.statements(1)[-1]
    assert stamp_of(pull(hub_store, ALL)[-1].key) == row.at


def test_a_full_collection_takes_a_replacement_and_nothing_more(hub_store: HubStore) -> None:
    settings = CollectionSettings(max_objects=2)
    key = Key(hub_store)
    key.post(candidate(1), candidate(2), settings=settings)
    with pytest.raises(Refused):
        key.post(candidate(3), settings=settings)
    key.post(candidate(3), gone=[gone(candidate(1))], settings=settings)
    assert [name for name, _ in shown(hub_store, ALL)] == [candidate(2).id, candidate(3).id]


def test_what_was_permitted_before_the_rules_changed_is_decided_again(hub_store: HubStore) -> None:
    request = Key(hub_store).request(candidate(1))
    hub_store.apply_roster(roster(), event(), {})
    with pytest.raises(EpochChanged):
        hub_store.publish_signed(request).result(WAIT)


def test_signed_and_unsigned_statements_are_one_log(hub_store: HubStore) -> None:
    key = Key(hub_store)
    for number in range(1, 6):
        key.post(candidate(2 * number))
        publish(hub_store, candidate(2 * number + 1), member=BOB)
    withdraw(hub_store, candidate(2).id)
    check_statements(hub_store, 1)


# --- rosters --------------------------------------------------------------------------------------


def roster(member: str = ALICE, version: int = 1, agreement_version: int = 1, **more: str) -> StoredRoster:
    digest = sha256(f"{member}{version}".encode()).hexdigest()
    fields = {"agreement": "exercise", "admin_key": "ed25519:x"} | more
    return StoredRoster(
        fields["agreement"], member, version, digest, b"{}", agreement_version, fields["admin_key"]
    )


def change_of(store: HubStore, on: int, at: int = -1) -> Any:
    row = store.statements(on)[at]
    return leaf.read(leaf_of(row.at, row.by, row.agreement, row.body, row.signatures))


def test_a_roster_is_stored_logged_everywhere_and_raises_the_epoch(hub_store: HubStore) -> None:
    before = hub_store.epoch()
    assert dict(hub_store.apply_roster(roster(), event("one"), {})) == {}
    hub_store.apply_roster(roster(BOB), event("two"), {})
    hub_store.apply_roster(roster(ALICE, 2), event("three"), {})
    assert list(hub_store.rosters("exercise")) == [roster(), roster(BOB), roster(ALICE, 2)]
    assert hub_store.epoch() == before + 3
    assert {"one", "two", "three"} <= {one.req for one in hub_store.pending()}
    for on in (1, 2):
        found = change_of(hub_store, on)
        assert isinstance(found, leaf.RosterChange)
        assert (found.member, found.sha256) == (ALICE, roster(ALICE, 2).digest)
    assert list(hub_store.rosters("another")) == []


@pytest.mark.parametrize("wrong", [roster(version=2), roster(version=0), roster(agreement_version=2)])
def test_what_is_not_the_members_next_one_changes_nothing(hub_store: HubStore, wrong: StoredRoster) -> None:
    before = kept(hub_store)
    with pytest.raises(Conflict):
        hub_store.apply_roster(wrong, event(), {})
    assert kept(hub_store) == before
    assert list(hub_store.rosters("exercise")) == []


def test_without_the_agreement_there_is_no_roster(hub_store: HubStore) -> None:
    with pytest.raises(NotFound):
        hub_store.apply_roster(roster(agreement="another"), event(), {})


def test_a_new_collections_log_begins_with_the_rosters_in_force(empty_store: HubStore) -> None:
    def version(number: int, collections: list[int], **keys: str) -> None:
        members = {member: {"admin_key": key} for member, key in keys.items()}
        payload = orjson.dumps({"id": "exercise", "version": number, "members": members})
        signed = SignedAgreement("exercise", number, payload, b"{}", sha256(payload).hexdigest(), START)
        ids = [uuid_of(one) for one in collections]
        empty_store.activate(signed, ids, event(), admits=lambda *_: True, withdraw={})

    version(1, [1], **{ALICE: "ed25519:x", BOB: "ed25519:x"})
    empty_store.apply_roster(roster(ALICE), event(), {})
    empty_store.apply_roster(roster(BOB), event(), {})
    empty_store.apply_roster(roster(ALICE, 2), event(), {})
    version(2, [1, 2], **{ALICE: "ed25519:x", BOB: "ed25519:replaced"})
    assert [type(change_of(empty_store, 2, at)) for at in (0, 1)] == [leaf.AgreementChange, leaf.RosterChange]
    assert change_of(empty_store, 2, 1).sha256 == roster(ALICE, 2).digest
    assert len(empty_store.statements(2)) == 2  # Bob's counts no more: another admin key is named
    assert isinstance(change_of(empty_store, 1), leaf.AgreementChange)


# --- a key that is not trusted any more -----------------------------------------------------------


def since(index: int, on: int = 1) -> dict[str, Revoked]:
    """Return a revocation from an entry on; without a sealer a log has its collection's name."""
    return {KEY: Revoked("stolen", {"*": index})}


def test_what_a_distrusted_key_put_in_from_an_entry_on_leaves_with_the_roster(hub_store: HubStore) -> None:
    key, other = Key(hub_store), Key(hub_store, BOB, OTHER)
    key.post(candidate(1))
    first = key.post(candidate(2), candidate(3)).index
    other.post(candidate(4))
    key.post(candidate(4), candidate(5))  # 4 is attested only: it stays
    key.post(gone=[gone(candidate(3))])
    for number in range(10):
        publish(hub_store, candidate(50 + number), on=2)
    assert dict(hub_store.apply_roster(roster(), event(), since(first))) == {uuid_of(1): 2}
    assert [name for name, _ in shown(hub_store, ALL)] == [candidate(1).id, candidate(4).id]
    rows = hub_store.statements(1)
    assert isinstance(change_of(hub_store, 1, -2), leaf.RosterChange)
    body = orjson.loads(rows[-1].body)
    assert {entry[2] for entry in body["withdraw"]} == {"distrusted"}
    assert (rows[-1].by, body["key"]) == ("", "")
    check_statements(hub_store, 1)


def test_what_was_distrusted_does_not_come_back(hub_store: HubStore) -> None:
    key = Key(hub_store)
    key.post(candidate(1))
    hub_store.apply_roster(roster(), event(), since(0))
    assert shown(hub_store, ALL) == []
    with pytest.raises(NotTaken):
        Key(hub_store, ALICE, OTHER).post(candidate(1))


def test_a_roster_that_distrusts_what_is_not_there_changes_nothing(hub_store: HubStore) -> None:
    Key(hub_store).post(candidate(1))
    before = kept(hub_store)
    for wrong in ({"*": 99}, {"nowhere/c/x": 0}):
        with pytest.raises(BadRoster):
            hub_store.apply_roster(roster(), event(), {KEY: Revoked("stolen", wrong)})
    assert kept(hub_store) == before
    assert list(hub_store.rosters("exercise")) == []


def test_the_trace_of_a_key_names_its_statements_and_what_of_them_is_live(hub_store: HubStore) -> None:
    key, elsewhere = Key(hub_store), Key(hub_store, on=2)
    one = key.post(candidate(1), candidate(2)).index
    publish(hub_store, candidate(7), member=BOB)
    two = key.post(candidate(3), gone=[gone(candidate(1))]).index
    three = elsewhere.post(candidate(1)).index
    found = {each.collection: each for each in hub_store.trace("exercise", KEY)}
    assert found.keys() == {uuid_of(1), uuid_of(2)}
    rows = hub_store.statements(1)
    assert found[uuid_of(1)].statements == ((one, rows[one].at, 1), (two, rows[two].at, 1))
    assert found[uuid_of(1)].size == len(rows)
    assert [index for index, _, _ in found[uuid_of(2)].statements] == [three]
    assert all(each.statements == () for each in hub_store.trace("exercise", OTHER))
    activate(hub_store, 1, version=2)  # a collection that is left is named still
    assert len(hub_store.trace("exercise", KEY)) == 2
