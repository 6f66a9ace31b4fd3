"""Who may have an object: the audience as a whole, one member, its sentences, and what a new set costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cedarpy import AuthzResult, PolicySet

from lightship.core.access import Action, Decision
from lightship.core.agreement import Member
from lightship.core.collection import Level
from lightship.core.marks import UNMARKED, MarkingSet, marking_set, usable
from lightship.core.stix.extensions import SHARING_TERMS
from lightship.core.stix.markings import TLP2_IDS
from lightship.policy.cases import Case
from policy_rules import cedar_rules
from policy_worlds import LAX, LGB, NOW, PORTS, TYO, candidates, mou, place, who
from stixsamples import indicator, statement_marking

EVERYBODY = Decision(True, "", "")
BAY = frozenset({"uslax", "uslgb"})
SHARED, BILATERAL = place(), place(BAY, alias="bilateral", number=2)
MOU = mou(SHARED, BILATERAL)
RULES = cedar_rules()


def test_an_audience_that_may_have_it_names_no_rule() -> None:
    assert RULES.admits(SHARED, MOU, "uslax", MarkingSet(Level.AMBER)) == EVERYBODY


@pytest.mark.parametrize(
    ("marks", "rule", "say"),
    [
        (
            MarkingSet(Level.RED),
            "deny-receive-red",
            "The object is TLP:RED, and `jptyo`, who reads `indicators`, is not among those that it is for: "
            "name its recipients in sharing-terms, and post it where nobody else reads.",
        ),
        (
            MarkingSet(Level.AMBER, recipients=frozenset({LGB})),
            "deny-receive-recipients",
            "The object is for named recipients, and `jptyo`, who reads `indicators`, is not among them: "
            "post it where nobody else reads.",
        ),
        (
            MarkingSet(Level.AMBER, exclude_countries=frozenset({"JP"})),
            "deny-receive-country-excluded",
            "The object is not for JP, the country of `jptyo`, who reads `indicators`: "
            "post it where nobody of an excluded country reads.",
        ),
        (
            MarkingSet(Level.AMBER, only_countries=frozenset({"US"})),
            "deny-receive-country",
            "The object is for certain countries, and JP, the country of `jptyo`, who reads `indicators`, "
            "is not among them: post it where nobody else reads.",
        ),
    ],
)
def test_a_refusal_names_the_first_reader_that_may_not_have_it(
    marks: MarkingSet, rule: str, say: str
) -> None:
    for _ in range(2):
        assert RULES.admits(SHARED, MOU, "uslax", marks) == Decision(False, rule, say)
    assert RULES.receive("jptyo", SHARED, MOU, "uslax", marks) == Decision(False, rule, say)


def test_whoever_posted_it_may_have_it() -> None:
    for marks in (UNMARKED, MarkingSet(Level.RED), MarkingSet(Level.CLEAR, recipients=frozenset())):
        assert RULES.receive("jptyo", SHARED, MOU, "jptyo", marks).rule == "allow-receive-own"
    alone = place(frozenset({"jptyo"}))
    assert RULES.admits(alone, MOU, "jptyo", MarkingSet(Level.RED)) == EVERYBODY


def test_it_is_the_owner_who_may_have_it_and_not_who_asks() -> None:
    marks = MarkingSet(Level.AMBER, recipients=frozenset({LAX}))
    assert RULES.admits(BILATERAL, MOU, "uslgb", marks) == EVERYBODY
    assert RULES.admits(BILATERAL, MOU, "uslax", marks).rule == "deny-receive-recipients"


def test_what_is_marked_red_to_its_audience_is_refused_to_whoever_joins_later() -> None:
    marks = MarkingSet(Level.RED, red_members=BAY)
    assert RULES.admits(BILATERAL, MOU, "uslax", marks) == EVERYBODY
    wider = replace(BILATERAL, audience=PORTS)
    assert "`jptyo`" in RULES.admits(wider, mou(wider, version=2), "uslax", marks).say


def test_an_unmarked_object_counts_as_what_the_collection_takes_it_for() -> None:
    assert RULES.admits(place(unmarked=Level.GREEN), MOU, "uslax", UNMARKED) == EVERYBODY
    assert RULES.admits(place(unmarked=Level.RED), MOU, "uslax", UNMARKED).rule == "deny-receive-red"
    assert RULES.admits(place(), MOU, "uslax", UNMARKED).rule == "deny-receive-unmarked"


def test_a_reader_that_is_no_member_and_a_collection_elsewhere_give_nothing() -> None:
    gone = place(PORTS | {"former"})
    assert RULES.admits(gone, MOU, "uslax", MarkingSet(Level.CLEAR)).rule == "deny-outsider"
    assert RULES.receive("former", gone, MOU, "uslax", MarkingSet(Level.CLEAR)).rule == "deny-outsider"
    elsewhere = replace(SHARED, agreement="other")
    assert RULES.admits(elsewhere, MOU, "uslax", MarkingSet(Level.CLEAR)).rule == "deny-default"


def test_an_object_enters_only_if_every_reader_may_have_it() -> None:
    terms = statement_marking(
        extensions={
            SHARING_TERMS: {
                "extension_type": "property-extension",
                "agreement": "mou",
                "recipient_refs": [LGB],
            }
        }
    )
    value = indicator(object_marking_refs=[TLP2_IDS[Level.AMBER], terms["id"]])
    posted = candidates(value, terms)
    for where, rule in ((SHARED, "deny-receive-recipients"), (BILATERAL, "allow-publisher-publish")):
        marks = marking_set(posted[0], where, usable([], posted, "uslax", set()))
        for _ in range(2):
            assert RULES.decide_object(who("uslax"), where, MOU, posted[0], marks).rule == rule
        found = RULES.explain(who("uslax"), Action.PUBLISH, where, MOU, NOW, posted[0], marks)
        assert found.decision == RULES.decide_object(who("uslax"), where, MOU, posted[0], marks)
        assert [one.rule for one in found.reasons] == [rule]


def test_no_member_is_asked_for_another_that_the_rules_can_tell_apart() -> None:
    marks = MarkingSet(Level.AMBER, only_countries=frozenset({"US"}), recipients=frozenset({LAX, TYO}))
    for order in (("uslax", "uslgb", "jptyo"), ("jptyo", "uslgb", "uslax")):
        rules = cedar_rules()
        found = {slug: rules.receive(slug, SHARED, MOU, "watch", marks).rule for slug in order}
        assert found == {
            "uslax": "allow-receive-amber",
            "uslgb": "deny-receive-recipients",
            "jptyo": "deny-receive-country",
        }


def test_many_names_take_the_place_of_many_answers() -> None:
    rules = cedar_rules()
    for number in range(30):
        names = frozenset(f"identity--{number}-{one}" for one in range(50_000))
        assert not rules.admits(SHARED, MOU, "uslax", MarkingSet(Level.AMBER, recipients=names)).allowed
    assert rules.remembered < 30


# --- cost -----------------------------------------------------------------------------------------


def test_500_readers_are_decided_by_kind_and_not_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Case] = []
    ask = Case._ask

    def counted(case: Case, policies: PolicySet) -> AuthzResult:
        asked.append(case)
        return ask(case, policies)

    monkeypatch.setattr(Case, "_ask", counted)
    countries = ("US", "JP", "CN", "SG")
    members = {
        f"m{number}": Member(
            f"m{number}",
            "",
            "",
            countries[number % 4],
            f"group-{number}",
            frozenset({"consumer", f"role-{number}"}),
            frozenset({f"identity--{number}"}),
        )
        for number in range(500)
    }
    places = [place(frozenset(members), alias=f"c{number}", number=number) for number in range(200)]
    world, rules = mou(*places, members=members), cedar_rules()
    known = MarkingSet(Level.GREEN, exclude_countries=frozenset({"KP"}))
    assert rules.admits(places[0], world, "m0", known) == EVERYBODY
    # One answer a country, one for the publisher itself; the audience's is made of them.
    assert rules.remembered == len(countries) + 2
    assert len(asked) == len(countries) + 1
    asked.clear()
    for number, where in enumerate(places[1:]):
        rules.receive(f"m{number}", where, world, "m0", MarkingSet(Level.AMBER))
    assert len(asked) == len(places) - 1
    asked.clear()
    assert rules.admits(places[0], world, "m0", MarkingSet(Level.RED, red_members=frozenset(members))).allowed
    assert len(asked) == len(countries) + 1
