"""docs/extensions.md: its examples go through the checks, and its lists are those of the schemas."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lightship.core.marks import OtherAgreement, UnknownMarking, marking_set, usable
from lightship.core.stix.extensions import ALLOWED_ON, MARITIME_CONTEXT, SHARING_TERMS
from lightship.core.time import Micros
from lightship.data import extension_schemas
from policy_rules import cedar_rules
from policy_worlds import INGEST, mou, place, who

DOCS = Path(__file__).parents[4] / "docs"
PAGE = (DOCS / "extensions.md").read_text()
TAKEN = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
REFUSED = re.findall(r"`([a-z-]+)`:\n\n```json refused\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
RULES, WHERE = cedar_rules(), place()
CONTEXT = json.loads(extension_schemas()["maritime-context-1.0.json"])
TERMS = json.loads(extension_schemas()["sharing-terms-1.0.json"])


def check(text: str) -> tuple[int, list[str]]:
    """Return how many objects of an example are taken, and the rules that refuse the others."""
    value = json.loads(text)
    values = value if isinstance(value, list) else [value]
    body = json.dumps({"objects": values}).encode()
    items = INGEST.read_envelope(body)
    taken, refused = INGEST.check(items, WHERE.settings, Micros(1_790_000_000_000_000))
    rules = [one.rule for one in refused]
    known = usable([], taken, "uslax", set())
    for one in taken:
        decision = RULES.decide_object(who("uslax"), WHERE, mou(WHERE), one, marking_set(one, WHERE, known))
        if not decision.allowed:
            rules.append(decision.rule)
    return len(values) - len(rules), rules


def test_there_are_examples_of_both_extensions_and_of_a_refusal() -> None:
    assert len(TAKEN) >= 4
    assert MARITIME_CONTEXT in TAKEN[0]
    assert SHARING_TERMS in TAKEN[-1]
    assert REFUSED


@pytest.mark.parametrize("text", TAKEN)
def test_an_example_is_taken(text: str) -> None:
    taken, refused = check(text)
    assert not refused
    assert taken


@pytest.mark.parametrize(("rule", "text"), REFUSED)
def test_a_refused_example_is_refused_by_the_rule_that_is_named(rule: str, text: str) -> None:
    taken, refused = check(text)
    assert not taken
    assert refused == [rule]


def test_the_examples_use_every_property_or_the_table_names_it() -> None:
    for schema, heading in ((CONTEXT, "## maritime-context"), (TERMS, "## sharing-terms")):
        section = PAGE.split(heading)[1].split("\n## ")[0]
        table = section.split("```")[0]
        for word in words(schema):
            assert f"`{word}`" in table, word


def words(schema: dict[str, Any]) -> set[str]:
    """Return every property name and every value of a vocabulary in a schema, countries aside."""
    found: set[str] = set()
    for key, one in schema.items():
        if key == "properties":
            found |= set(one) - {"extension_type"}
        if key in {"enum", "examples"} and len(one) < 100:
            found |= {value for value in one if isinstance(value, str)} - {"property-extension"}
        if isinstance(one, dict):
            found |= words(one)
    return found


def test_the_page_names_ids_types_and_rules() -> None:
    for extension, types in ALLOWED_ON.items():
        assert f"| `{extension}` | {', '.join(sorted(types))} |" in PAGE
    for rule in (
        "invalid-extension",
        "deny-ssi",
        "deny-hidden-publisher",
        "deny-share-until",
        UnknownMarking.rule,
        OtherAgreement.rule,
        *("deny-receive-recipients", "deny-receive-red", "deny-receive-ssi", "deny-receive-iep"),
        *("deny-receive-country", "deny-receive-country-excluded", "deny-classified"),
    ):
        assert f"`{rule}`" in PAGE
    for name in extension_schemas():
        assert name.removesuffix("-1.0.json") in PAGE
