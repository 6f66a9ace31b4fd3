"""Rules of an agreement's own: they can make it stricter, never looser, and a mistake has its line."""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path

import pytest

from lightship.core.access import Action, System
from lightship.core.collection import Level
from lightship.core.errors import BadFile
from lightship.core.marks import MarkingSet
from lightship.policy.engine import CedarRules
from lightship.policy.files import OWN_RULES
from lightship.policy.mutants import negations
from lightship.policy.rules import rule_set
from policy_rules import cedar_rules, shipped
from policy_worlds import NOW, PORTS, mou, place, who

RULES = cedar_rules()
SHARED = place()
LABOR = """// Nothing for labor, and none of it abroad.
@id("rule-no-red")
@say("This agreement takes no TLP:RED, whatever `{collection}` would.")
forbid (principal is Member, action == Action::"publishObject", resource)
when { context.object has level && context.object.level.rank > 2 };

@id("rule-bay-only")
@say("Only ports in the United States receive AMBER here, and `{member}` is in {country}.")
forbid (principal is Member, action == Action::"receive", resource)
when { context has level && context.level.rank == 2 && principal.country != "US" };

@id("rule-quiet-port")
@say("`{member}` reads nothing for now.")
forbid (principal == Member::"mou/uslgb", action == Action::"read", resource);
"""


def test_they_forbid_what_the_shipped_ones_allow_and_say_why() -> None:
    plain, strict = mou(SHARED), mou(SHARED, rules=LABOR, version=2)
    amber = MarkingSet(Level.AMBER)
    for world, allowed in ((plain, True), (strict, False)):
        rules = cedar_rules()
        assert rules.decide(who("uslgb"), Action.READ, SHARED, world, NOW).allowed is allowed
        assert rules.decide(who("uslax"), Action.READ, SHARED, world, NOW).allowed
        assert rules.admits(SHARED, world, "uslax", amber).allowed is allowed
        assert rules.receive("uslgb", SHARED, world, "uslax", amber).allowed
        assert rules.receive("jptyo", SHARED, world, "uslax", amber).allowed is allowed
    assert (
        RULES.decide(who("uslgb"), Action.READ, SHARED, strict, NOW).say == "`uslgb` reads nothing for now."
    )
    refused = RULES.admits(SHARED, strict, "uslax", amber)
    assert refused.rule == "rule-bay-only"
    assert refused.say.endswith("and `jptyo` is in JP.")
    found = RULES.explain(who("uslgb"), Action.READ, SHARED, strict, NOW)
    assert [reason.rule for reason in found.reasons] == ["rule-quiet-port"]


def test_they_bind_the_members_and_not_other_agreements() -> None:
    strict = mou(SHARED, rules=LABOR)
    rules = cedar_rules()
    assert not rules.decide(who("uslgb"), Action.READ, SHARED, strict, NOW).allowed
    other = mou(SHARED, version=2)
    assert rules.decide(who("uslgb"), Action.READ, SHARED, other, NOW).allowed


def test_they_are_parsed_once_for_a_version() -> None:
    rules, strict = cedar_rules(), mou(SHARED, rules=LABOR)
    taken = []
    for number in range(50):
        begin = time.perf_counter()
        rules.decide(who(f"stranger-{number}"), Action.READ, SHARED, strict, NOW)
        taken.append(time.perf_counter() - begin)
    # Parsing and checking three rules takes about 2 ms, a decision 0.15 ms.
    assert statistics.median(taken[1:]) < taken[0] / 2


@pytest.mark.parametrize(
    "text",
    [
        "forbid (",
        "permit (principal, action, resource);",
        '@id("rule-x") @say("No.") forbid (principal, action, resource) when { principal.salary > 1 };',
    ],
)
def test_rules_in_force_that_cannot_be_used_allow_members_nothing(text: str) -> None:
    broken = mou(SHARED, rules=text)
    for action in Action:
        decision = RULES.decide(who("uslax"), action, SHARED, broken, NOW)
        assert (decision.allowed, decision.rule) == (False, "deny-not-evaluated")
    assert not RULES.admits(SHARED, broken, "uslgb", MarkingSet(Level.CLEAR)).allowed
    assert RULES.decide(System("fsck"), Action.READ, SHARED, broken, NOW).allowed


RULE = '@id("rule-{}") @say("No.") forbid (principal, action, resource);\n'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\n\npermit (principal, action, resource);", 3, "The rule permits something"),
        ('@id("allow-all") @say("Yes.") permit (principal, action, resource);', 1, "write `forbid`"),
        ('@id("rule-all") @say("Yes.") permit (principal, action, resource);', 1, "can only forbid"),
        (
            '// note\n@id("deny-all") @say("No.") forbid (principal, action, resource);',
            2,
            'begins with "rule-"',
        ),
        ('@id("rule-") @say("No.") forbid (principal, action, resource);', 1, "no proper @id"),
        ('@id("rule-Loud") @say("No.") forbid (principal, action, resource);', 1, "no proper @id"),
        ("forbid (principal, action, resource);", 1, "no proper @id"),
        ('@id("rule-x") forbid (principal, action, resource);', 1, "has no @say"),
        ('@id("rule-x") @say("No") forbid (principal, action, resource);', 1, "has no @say"),
        ('@id("rule-x") @say("No {salary}.") forbid (principal, action, resource);', 1, "names {salary}"),
        (RULE.format("a") + RULE.format("b") + RULE.format("a"), 3, "Two rules are named `rule-a`"),
        (RULE.format("a") + "forbid (principal", 2, "The rule is not Cedar"),
        (
            RULE.format("a") + '\n@id("rule-x") @say("No.")\nforbid (principal is Crane, action, resource);',
            3,
            "does not fit the schema",
        ),
        (
            '@id("rule-x") @say("No.") forbid (principal, action == Action::"sail", resource);',
            1,
            "does not fit the schema",
        ),
        (
            '@id("rule-x") @say("No.") forbid (principal is Member, action, resource) when { context.x };',
            1,
            "does not fit the schema",
        ),
        ("".join(RULE.format(number) for number in range(OWN_RULES + 1)), OWN_RULES + 1, "too many rules"),
    ],
)
def test_a_mistake_is_refused_with_its_line_and_what_to_do(text: str, line: int, words: str) -> None:
    with pytest.raises(BadFile) as caught:
        RULES.read_agreement_rules(text, "agreements/mou/rules.cedar")
    assert (caught.value.path, caught.value.line) == ("agreements/mou/rules.cedar", line)
    assert words in str(caught.value)
    assert "the rules in use stay as they are" in str(caught.value)


def test_good_rules_come_back_in_their_order() -> None:
    found = RULES.read_agreement_rules(LABOR, "rules.cedar")
    assert [(one.id, one.line) for one in found] == [
        ("rule-no-red", 2),
        ("rule-bay-only", 7),
        ("rule-quiet-port", 12),
    ]
    assert RULES.read_agreement_rules("// nothing yet\n", "rules.cedar") == ()


def test_wrong_versions_of_them_are_never_looser_than_the_shipped_rules() -> None:
    world = mou(SHARED)
    asked = [(slug, MarkingSet(level)) for slug in sorted(PORTS) for level in (None, *Level)]
    base = shipped()
    wrong = [
        changed for rule in RULES.read_agreement_rules(LABOR, "rules.cedar") for _, changed in negations(rule)
    ]
    assert len(wrong) >= 7
    for one in wrong:
        mutant = CedarRules(rule_set([*base.rules, one], base.schema))
        for slug, marks in asked:
            allowed = RULES.receive(slug, SHARED, world, "uslax", marks).allowed
            assert allowed or not mutant.receive(slug, SHARED, world, "uslax", marks).allowed


@pytest.mark.parametrize("page", ["policy.md", "agreements.md"])
def test_the_examples_of_the_docs_are_rules_that_an_agreement_can_have(page: str) -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / page).read_text()
    examples = re.findall(r"^```cedar\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert examples
    assert all(RULES.read_agreement_rules(one, page) for one in examples)
