"""10,000 random requests: the rules decide as the independent oracle does, first time and from the cache."""

from __future__ import annotations

from collections import Counter

from lightship.core.access import Decision, Principal
from lightship.policy.engine import CedarRules
from policy_oracle import Question, expected, questions
from policy_rules import cedar_rules, shipped


def decide(rules: CedarRules, one: Question) -> Decision:
    if one.candidate is not None and isinstance(one.subject, Principal):
        return rules.decide_object(one.subject, one.collection, one.agreement, one.candidate)
    return rules.decide(one.subject, one.action, one.collection, one.agreement, one.now)


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
        if one.candidate is not None:
            continue
        found = rules.explain(one.subject, one.action, one.collection, one.agreement, one.now)
        assert found.decision == decide(rules, one)
        assert {reason.rule for reason in found.reasons} == (forbids or permits)
        assert {near.rule for near in found.permits if near.holds} == permits
