"""Which markings a post may cite: own ones, those that ship, those of the same post, those of anybody."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubkit import HubKit, Store, make_hub
from lightship.core.access import Action, Decision, Grant, Principal
from lightship.core.marks import UNMARKED
from lightship.core.stix import terms as terms_module
from lightship.usecases.marks import MOST_ASKED, PostedMarks
from stixsamples import Stix, indicator, new_id, sharing_terms, statement_marking

STORES: tuple[Store, ...] = ("memory", "sqlite")
COLLECTIONS: Any = {
    "indicators": {"authors": "not-others"},
    "other": {"authors": "not-others"},
    "mirror": {"authors": "any"},
}
UNKNOWN = "(deny-unknown-marking)"


@pytest.fixture(params=STORES)
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HubKit]:
    with make_hub(tmp_path, request.param, collections=COLLECTIONS) as made:
        yield made


def post(kit: HubKit, *objects: Stix, alias: str = "indicators", member: str = "uslgb") -> dict[str, str]:
    """Return what was refused: id -> message."""
    answer = kit.client(member).post(kit.path(alias, "objects/"), json={"objects": list(objects)})
    assert answer.status_code == 202, answer.text
    return {one["id"]: one["message"] for one in answer.json().get("failures", [])}


def citing(*markings: Stix | str, **over: Any) -> Stix:
    refs = [one if isinstance(one, str) else one["id"] for one in markings]
    return indicator(object_marking_refs=refs, **over)


def test_an_unknown_marking_is_refused_with_what_to_do(kit: HubKit) -> None:
    one, marking = citing(statement_marking()), new_id("marking-definition")
    other = indicator(granular_markings=[{"marking_ref": marking, "selectors": ["name"]}])
    refused = post(kit, one, other, indicator())
    assert refused.keys() == {one["id"], other["id"]}
    assert all(UNKNOWN in text and "Publish the marking-definition" in text for text in refused.values())
    assert "/object_marking_refs/0" in refused[one["id"]]
    assert marking in refused[other["id"]]
    assert "/granular_markings/0" in refused[other["id"]]


def test_a_definition_may_stand_anywhere_in_the_same_post(kit: HubKit) -> None:
    marking = statement_marking()
    assert post(kit, citing(marking), marking, citing(marking)) == {}


def test_an_own_definition_is_known_in_every_collection_of_the_agreement(kit: HubKit) -> None:
    marking = statement_marking()
    assert post(kit, marking, alias="other") == {}
    assert post(kit, citing(marking)) == {}


def test_another_members_definition_is_not_taken_for_known(kit: HubKit) -> None:
    marking = sharing_terms(kit.agreement, onward="none")
    assert post(kit, marking, member="uslax") == {}
    assert UNKNOWN in post(kit, one := citing(marking))[one["id"]]
    assert post(kit, marking, citing(marking)) == {}, "posted by oneself, with the same bytes, it counts"


def test_a_definition_that_stands_where_anybody_posts_is_known_to_all(kit: HubKit) -> None:
    marking = statement_marking()
    assert post(kit, marking, alias="mirror", member="uslax") == {}
    assert post(kit, citing(marking)) == {}


def test_an_id_that_was_posted_first_with_looser_terms_makes_a_conflict_not_a_rule(kit: HubKit) -> None:
    strict = sharing_terms(kit.agreement, exclude_countries=["JP"])
    loose = {**sharing_terms(kit.agreement, onward="community"), "id": strict["id"]}
    assert post(kit, loose, alias="mirror", member="uslax") == {}
    refused = post(kit, strict, one := citing(strict))
    assert "(deny-conflict)" in refused[strict["id"]]
    assert UNKNOWN in refused[one["id"]]


def test_a_definition_refused_in_the_same_post_takes_with_it_what_cites_it(kit: HubKit) -> None:
    hidden = sharing_terms(kit.agreement, publisher_visibility="hidden")
    chain = [statement_marking() for _ in range(4)]
    chain[0]["object_marking_refs"] = [new_id("marking-definition")]
    for before, one in itertools.pairwise(chain):
        one["object_marking_refs"] = [before["id"]]
    last, good = citing(chain[-1]), statement_marking()
    kept = citing(good)
    refused = post(kit, citing(hidden), last, *reversed(chain), hidden, good, kept)
    assert len(refused) == 7
    assert not refused.keys() & {good["id"], kept["id"]}
    assert UNKNOWN in refused[last["id"]]


def test_a_definition_in_use_stays_until_nothing_cites_it(kit: HubKit) -> None:
    marking = statement_marking()
    one = citing(marking)
    post(kit, marking)
    post(kit, one, alias="other")
    client = kit.client("uslgb")
    refused = client.delete(kit.path("indicators", f"objects/{marking['id']}/"))
    assert refused.status_code == 409, refused.text
    assert f"{one['id']} in other" in refused.json()["description"]
    assert "Withdraw what cites it first" in refused.json()["title"]
    assert client.get(kit.path("indicators", f"objects/{marking['id']}/")).status_code == 200
    assert client.delete(kit.path("other", f"objects/{one['id']}/")).status_code == 200
    assert client.delete(kit.path("indicators", f"objects/{marking['id']}/")).status_code == 200


def test_a_definition_in_use_names_nothing_that_its_owner_may_not_see(tmp_path: Path) -> None:
    hidden: Any = {"audience": ["uslax"], "publishers": ["uslax"], "authors": "any"}
    with make_hub(tmp_path, collections={"mirror": {}, "closed": hidden}) as kit:
        marking = statement_marking()
        post(kit, marking, alias="mirror")
        one = citing(marking)
        assert post(kit, one, alias="closed", member="uslax") == {}
        refused = kit.client("uslgb").delete(kit.path("mirror", f"objects/{marking['id']}/"))
        assert refused.status_code == 409
        assert one["id"] not in refused.text
        assert "closed" not in refused.text


class Counting:
    """The part of a reader that is used."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def definitions(self, grant: Grant, collections: Any, ids: Any) -> list[Any]:
        self.asked.append(list(ids))
        return []


class Permissive:
    """Rules that let everything in, and count how often they are asked."""

    def __init__(self) -> None:
        self.asked = 0

    def decide_object(self, *_: Any) -> Decision:
        self.asked += 1
        return Decision(True, "allow", "")


def resolved(
    kit: HubKit, objects: list[Stix], rules: Permissive | None = None
) -> tuple[Any, Counting, Permissive]:

    collection = kit.collection_value("indicators")
    agreement = kit.hub.directory.view().agreements[kit.agreement]
    who = Principal(kit.agreement, "uslgb", "", "uslgb")
    grant = Grant(who, Action.PUBLISH, collection, 1)
    items = kit.hub.ingest.read_envelope(json.dumps({"objects": objects}).encode())
    now = kit.hub.clock.now()
    candidates, refused = kit.hub.ingest.check(items, collection.settings, now)
    assert refused == []
    reader, rules = Counting(), rules or Permissive()
    store: Any = reader
    decisions: Any = rules
    return PostedMarks(store, decisions, grant, who, agreement, candidates, now).resolved(), reader, rules


def test_plain_objects_need_no_look_into_the_store_and_one_decision(kit: HubKit) -> None:
    found, reader, rules = resolved(kit, [indicator() for _ in range(50)])
    assert reader.asked == []
    assert rules.asked == 1
    assert found.marks == [UNMARKED] * 50


def test_a_large_definition_is_read_once_however_many_objects_cite_it(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A post of 16 MiB would hold the hub for minutes otherwise: each author is decided by itself."""
    read: list[int] = []

    def counting(body: bytes, known: Any = terms_module.read_terms) -> Any:
        read.append(len(body))
        return known(body)

    monkeypatch.setattr(terms_module, "read_terms", counting)
    for large in (
        statement_marking(definition={"statement": "x" * 10_000}),
        {**sharing_terms(kit.agreement, onward="none"), "name": "x" * 10_000},
        {**sharing_terms("another", onward="none"), "name": "x" * 10_000},
    ):
        many = [{**citing(large), "created_by_ref": new_id("identity")} for _ in range(50)]
        found, _, rules = resolved(kit, [large, *many])
        assert len(found.taken) + len(found.refused) == 51
        assert len(found.taken) in (0, 51)
        assert rules.asked in (0, 51)
    assert len(read) == 2, "terms of another agreement are not even read"


def test_refused_objects_ask_other_collections_a_bounded_number_of_times(kit: HubKit) -> None:
    class Never(Permissive):
        def decide(self, *args: Any) -> Decision:
            self.asked += 1
            return Decision(False, "deny-default", "no")

        def decide_object(self, *args: Any) -> Decision:
            return Decision(False, "deny-publish-ceiling", "no")

    rules = Never()
    many = [indicator(created_by_ref=new_id("identity")) for _ in range(MOST_ASKED + 10)]
    found, _, _ = resolved(kit, many, rules)
    assert len(found.refused) == len(many)
    assert rules.asked == MOST_ASKED


def test_definitions_are_read_once_a_post(kit: HubKit) -> None:
    first, second = statement_marking(), statement_marking()
    objects = [first, *(citing(first, second) for _ in range(20))]
    found, reader, _ = resolved(kit, objects)
    assert [sorted(one) for one in reader.asked] == [sorted([first["id"], second["id"]])]
    assert [one.id for one in found.taken] == [first["id"]]
    assert len(found.refused) == 20


def test_a_long_chain_of_definitions_that_falls_apart_is_decided_in_short_time(kit: HubKit) -> None:
    chain = [statement_marking() for _ in range(800)]
    chain[0]["object_marking_refs"] = [new_id("marking-definition")]
    for before, one in itertools.pairwise(chain):
        one["object_marking_refs"] = [before["id"]]
    found, _, rules = resolved(kit, list(reversed(chain)))
    assert found.taken == []
    assert rules.asked < 2 * len(chain)
