"""Wrong versions of a set of rules: each rule left out, each part of each condition turned around.

The tables must fail for every one of them; a table that passes with a wrong rule set protects nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from lightship.policy.rules import Json, Rule, RuleSet, condition_text, rule_set


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule set that is wrong in one place, and in words where."""

    what: str
    rules: RuleSet


def mutants(rules: RuleSet) -> Iterator[Mutant]:
    """Yield every rule-deletion and every condition-negation mutant, in the order of the rules."""
    for place, rule in enumerate(rules.rules):
        before, after = rules.rules[:place], rules.rules[place + 1 :]
        yield Mutant(f"without {rule.id}", rule_set([*before, *after], rules.schema))
        for what, wrong in negations(rule):
            yield Mutant(f"{rule.id} with {what} negated", rule_set([*before, wrong, *after], rules.schema))


def negations(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Yield (what, the rule with one part of one condition negated), for every part."""
    clauses = rule.body["conditions"]
    for number, clause in enumerate(clauses):
        for part, body in _negated(clause["body"]):
            changed = [*clauses[:number], {**clause, "body": body}, *clauses[number + 1 :]]
            yield condition_text(part), replace(rule, body={**rule.body, "conditions": changed})


def _negated(body: Json) -> Iterator[tuple[Json, Json]]:
    """Yield (part, whole with that part negated) for an expression and every truth value inside it."""
    yield body, {"!": {"arg": body}}
    ((operator, held),) = body.items()
    if operator in {"&&", "||"}:
        for side in ("left", "right"):
            for part, changed in _negated(held[side]):
                yield part, _with(operator, held, side, changed)
    elif operator == "!":
        # Two negations would be none: what is inside is only taken apart further.
        for part, changed in _negated(held["arg"]):
            if part is not held["arg"]:
                yield part, _with("!", held, "arg", changed)


def _with(operator: str, held: Json, side: str, changed: Json) -> dict[str, Any]:
    return {operator: {**held, side: changed}}
