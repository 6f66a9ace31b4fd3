"""What may stay no longer is withdrawn by the hub itself, with its event, and before anybody is served."""

from __future__ import annotations

import pytest

from hubkit import HubKit, StoppedClock
from lightship.core.access import Action, Grant, System
from lightship.core.collection import Collection
from lightship.core.errors import NotFound, Unavailable
from lightship.usecases.staged import all_staged, waiting_place
from lightship.usecases.upkeep import Upkeep
from stixsamples import indicator, statement_marking
from upkeeplab import (
    COLLECTIONS,
    DAY,
    PLAIN,
    acts,
    cancel,
    held,
    ids,
    look,
    moment,
    post,
    prepare,
    under,
)


def test_share_until_ends_in_a_withdrawal_with_its_event(kit: HubKit, clock: StoppedClock) -> None:
    brief, stays = under(kit, share_until=moment(clock, 30)), indicator()
    post(kit, *brief, stays)
    assert look(kit) == 30
    assert held(kit) == ids(brief) | {stays["id"]}
    clock.advance(30)
    look(kit)
    assert held(kit) == {stays["id"]}
    events = acts(kit, "expire")
    assert {(one.why, one.cred, one.who) for one in events} == {("share-until", "hub", "")}
    assert sum(one.n for one in events) == 2
    again = post(kit, brief[1])
    assert again["failure_count"] == 1


def take_away(kit: HubKit) -> str:
    """Put a version without `indicators` in force; return the id that it had."""
    collection = kit.collection_value("indicators").id
    kit.add_agreement(kit.agreement, collections={"kept": COLLECTIONS["kept"]})
    return collection


def statements(kit: HubKit, collection: Collection) -> int:
    """Return the size of a collection's log, which nobody can ask for over HTTP once it is removed."""
    return kit.hub.reader.state(Grant(System("test"), Action.READ, collection, 0)).size


def bring_back(kit: HubKit, collection: str) -> None:
    kit.add_agreement(kit.agreement, collections={**COLLECTIONS, "indicators": {"id": collection}})
    assert kit.collection_value("indicators").id == collection


def test_what_ends_in_a_collection_that_was_removed_does_not_come_back_with_it(
    kit: HubKit, clock: StoppedClock
) -> None:
    brief, stays = under(kit, share_until=moment(clock, 30)), indicator()
    post(kit, *brief, stays)
    collection = take_away(kit)
    assert look(kit) == 30
    clock.advance(30)
    look(kit)
    assert {(one.why, one.col) for one in acts(kit, "expire")} == {("share-until", collection)}
    bring_back(kit, collection)  # nothing is looked at between this and reading
    assert held(kit) == {stays["id"]}


def test_retention_goes_on_in_a_collection_that_was_removed_as_it_was_agreed_last(
    kit: HubKit, clock: StoppedClock
) -> None:
    """Removing a collection keeps nothing longer than was agreed, and its log says what went."""
    kept = kit.collection_value("kept").id
    cited, old = statement_marking(), indicator()
    post(kit, cited, old, indicator(object_marking_refs=[cited["id"]]), alias="kept")
    longer = {**COLLECTIONS, "kept": {"id": kept, "retention_days": 9}}
    kit.add_agreement(kit.agreement, collections=longer)
    where = kit.collection_value("kept")
    kit.add_agreement(kit.agreement, collections={"indicators": COLLECTIONS["indicators"]})
    clock.advance(8 * DAY)
    look(kit)
    assert acts(kit, "expire") == []
    clock.advance(DAY + 1)
    before = statements(kit, where)
    look(kit)
    look(kit)
    assert {(one.why, one.col) for one in acts(kit, "expire")} == {("retention", kept)}
    assert sum(one.n for one in acts(kit, "expire")) == 3
    assert before + 1 <= statements(kit, where) <= before + 2, "its log goes on"
    kit.add_agreement(kit.agreement, collections=longer)
    assert held(kit, "kept") == set()


def test_what_ended_there_while_the_hub_was_away_is_out_before_it_serves(
    kit: HubKit, clock: StoppedClock
) -> None:
    brief, stays = under(kit, share_until=moment(clock, 30)), indicator()
    post(kit, *brief, stays)
    collection = take_away(kit)
    clock.advance(31)
    prepare(kit)
    bring_back(kit, collection)
    assert held(kit) == {stays["id"]}


def test_nothing_is_released_into_a_collection_that_was_removed(kit: HubKit, clock: StoppedClock) -> None:
    secret = under(kit, release_at=moment(clock, 5))
    post(kit, *secret)
    collection = take_away(kit)
    clock.advance(6)
    look(kit)
    assert acts(kit, "release", "release-refused") == []
    bring_back(kit, collection)
    assert held(kit) == set()
    look(kit)
    assert held(kit) == ids(secret)


def test_what_waits_in_a_collection_that_was_removed_can_be_taken_back_by_the_steward(
    kit: HubKit, clock: StoppedClock
) -> None:
    """Its publisher finds no such collection any more; what it holds back must not lie there for ever."""
    terms, one = under(kit, release_at=moment(clock, 5))
    post(kit, terms, one)
    there = waiting_place(kit.hub.directory, f"{kit.agreement}/indicators")
    assert there == (kit.collection_value("indicators"), kit.hub.directory.view().epoch)
    collection = take_away(kit)
    assert kit.client("uslgb").get(f"/staged/{kit.agreement}/indicators/", headers=PLAIN).status_code == 404
    for name in ("indicators", collection):
        place, epoch = waiting_place(kit.hub.directory, f"{kit.agreement}/{name}")
        assert [each.owner for each in all_staged(kit.hub.reader, place, epoch)] == ["uslgb", "uslgb"]
    for stix_id in (one["id"], terms["id"]):
        cancel(kit, place, epoch, stix_id)
    assert not all_staged(kit.hub.reader, place, epoch)
    with pytest.raises(NotFound):
        waiting_place(kit.hub.directory, f"{kit.agreement}/never")


def test_what_was_to_be_shared_until_before_now_never_enters(kit: HubKit, clock: StoppedClock) -> None:
    status = post(kit, *under(kit, share_until=moment(clock, -1)), indicator())
    assert status["success_count"] == 1
    assert all("(deny-share-until)" in one["message"] for one in status["failures"])
    assert len(status["failures"]) == 2


def test_retention_ends_in_a_withdrawal_and_spares_what_is_still_cited(
    kit: HubKit, clock: StoppedClock
) -> None:
    cited, old = statement_marking(), indicator()
    post(kit, cited, old, indicator(object_marking_refs=[cited["id"]]), alias="kept")
    post(kit, indicator(), alias="indicators")
    clock.advance(6 * DAY)
    young = indicator(object_marking_refs=[cited["id"]])
    post(kit, young, alias="kept")
    look(kit)
    assert len(held(kit, "kept")) == 4
    clock.advance(DAY + 1)
    look(kit)
    assert held(kit, "kept") == {cited["id"], young["id"]}
    assert len(held(kit)) == 1
    (event,) = acts(kit, "expire")
    assert (event.why, event.n) == ("retention", 2)
    clock.advance(7 * DAY)
    look(kit)
    look(kit)
    assert held(kit, "kept") == set()


def test_what_ended_while_the_hub_was_away_is_out_before_anybody_is_served(
    on_disk: HubKit, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        """The work that goes on while the hub is served."""

    kit = on_disk
    brief, stays = under(kit, share_until=moment(clock, 60)), indicator()
    post(kit, *brief, stays)
    clock.advance(61)
    monkeypatch.setattr(Upkeep, "run", nothing)
    with kit.serve() as served, served.client("uslax") as client:
        assert client.get(kit.path("indicators", f"objects/{brief[1]['id']}/")).status_code == 404
        assert client.get(kit.path("indicators", f"objects/{stays['id']}/")).status_code == 200


def test_what_cannot_be_taken_out_at_the_start_is_tried_again(
    kit: HubKit, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(*_: object) -> None:
        raise Unavailable("The disk is full")

    brief = under(kit, share_until=moment(clock, 60))
    post(kit, *brief)
    clock.advance(61)
    with monkeypatch.context() as patch:
        patch.setattr("lightship.usecases.upkeep.Expire.__call__", full)
        prepare(kit)
    assert "could not be taken out: The disk is full" in caplog.text
    look(kit)
    assert held(kit) == set()
