"""The shipped rules for tests: parsed once, since they are the same for every hub."""

from __future__ import annotations

from functools import cache

from lightship.data import policies_dir
from lightship.policy.engine import CedarRules
from lightship.policy.files import load_rules
from lightship.policy.rules import RuleSet


@cache
def shipped() -> RuleSet:
    """Return the shipped set of rules."""
    return load_rules(policies_dir() / "base")


def cedar_rules() -> CedarRules:
    """Return an engine of its own over the shipped rules."""
    return CedarRules(shipped())
