"""10,000 random requests: the rules decide as the independent oracle does, first time and from the cache."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from lightship.core.access import Decision, Principal
from lightship.policy.engine import CedarRules
from policy_oracle import Question, expected, first_refused, questions
from policy_rules import cedar_rules, shipped


def decide(rules: CedarRules, one: Question) -> Decision:
    if one.receiver:
        return rules.receive(one.receiver, one.collection, one.agreement, one.owner, one.marks)
    if one.candidate is not None and isinstance(one.subject, Principal):
        return rules.decide_object(one.subject, one.collection, one.agreement, one.candidate, one.marks)
    return rules.decide(one.subject, one.action, one.collection, one.agreement, one.now, signed=one.signed)


def test_ten_thousand_random_requests_agree_with_the_oracle() -> None:
    rules, seen = cedar_rules(), Counter[str]()
    for one in questions(seed=1, count=10_000):
        permits, forbids = expected(one)
        decision = decide(rules, one)
        assert decision.allowed is (bool(permits) and not forbids), one
        assert decision.rule in (forbids or permits or {"deny-default"}), one
        assert decision.say.endswith("."), one
        assert "{" not in decision.say, one
        assert decide(rules, one) == decision, one
        seen[decision.rule] += 1
    # The comparison means something only if every rule decided, and not once or twice.
    assert set(seen) == {*shipped().by_id, "deny-default"}
    assert min(seen.values()) >= 20, seen


def test_an_explanation_gives_the_same_decision_and_every_rule_that_holds() -> None:
    rules = cedar_rules()
    for one in questions(seed=2, count=1_000):
        permits, forbids = expected(one)
        if one.candidate is not None or one.receiver:
            continue
        found = rules.explain(
            one.subject, one.action, one.collection, one.agreement, one.now, signed=one.signed
        )
        assert found.decision == decide(rules, one)
        assert {reason.rule for reason in found.reasons} == (forbids or permits)
        assert {near.rule for near in found.permits if near.holds} == permits


def test_an_object_is_explained_as_it_is_decided() -> None:
    rules = cedar_rules()
    for one in questions(seed=3, count=800):
        if one.candidate is None or not isinstance(one.subject, Principal):
            continue
        asked = (one.subject, one.action, one.collection, one.agreement, one.now)
        if not rules.decide(*asked, signed=one.signed).allowed:
            continue
        found = rules.explain(*asked, one.candidate, one.marks, signed=one.signed)
        permits, forbids = expected(one)
        assert found.decision == decide(rules, one)
        assert {reason.rule for reason in found.reasons} == (forbids or permits)


def test_an_audience_is_admitted_exactly_if_each_of_its_members_may_receive() -> None:
    rules = cedar_rules()
    for one in questions(seed=4, count=1_000):
        if one.collection.agreement != one.agreement.id:
            continue
        refused = first_refused(one, one.owner)
        decision = rules.admits(one.collection, one.agreement, one.owner, one.marks)
        assert decision.allowed is (refused is None), one
        assert decision.rule in ((refused[1] or {"deny-default"}) if refused else {""}), one
        asked = (one.collection, one.agreement, one.owner, one.marks)
        each = [rules.receive(slug, *asked) for slug in sorted(one.collection.audience)]
        assert decision == next((found for found in each if not found.allowed), Decision(True, "", "")), one


def test_rules_of_an_agreements_own_never_allow_what_the_shipped_ones_refuse() -> None:
    strict, plain, refused = cedar_rules(), cedar_rules(), Counter[str]()
    for number, one in enumerate(questions(seed=5, count=2_000)):
        if number % 4 == 0:
            own = "".join(OWN[index] for index in range(len(OWN)) if (number // 4) >> index & 1)
            agreement = replace(one.agreement, rules=own)
        stricter = decide(strict, replace(one, agreement=agreement))
        decision = decide(plain, one)
        assert decision.allowed or not stricter.allowed, one
        if stricter.allowed:
            assert stricter == decision, one
        elif decision.allowed:
            refused[stricter.rule] += 1
    assert set(refused) == {f"rule-{number}" for number in range(len(OWN))}, refused


def test_members_are_answered_alike_only_where_no_rule_tells_them_apart() -> None:
    shared = cedar_rules()
    for number, one in enumerate(questions(seed=6, count=400)):
        if number % 4 == 0:
            own = "".join(OWN[index] for index in range(len(OWN)) if (number // 4) >> index & 1)
            agreement = replace(one.agreement, rules=own)
        for slug in sorted(agreement.members):
            asked = (slug, one.collection, agreement, one.owner, one.marks)
            assert shared.receive(*asked) == cedar_rules().receive(*asked), one


OWN = [
    f"""@id("rule-{number}") @say("No {number}.") forbid (principal, action, resource) {condition};"""
    for number, condition in enumerate(
        [
            'when { principal == Member::"mou/a" }',
            'unless { action in [Action::"read", Action::"receive", Action::"list"] }',
            "when { principal is Member && principal in resource.publishers }",
            'when { action == Action::"receive" && principal is Member && principal.country != "US" }',
            'when { principal is Member && principal.roles.contains("approver") }',
            'when { principal is Member && principal in Group::"mou/indicators/publishers" }',
        ]
    )
]
