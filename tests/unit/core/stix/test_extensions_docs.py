"""docs/extensions.md: its examples go through the checks, and its lists are those of the schemas."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lightship.core.collection import CollectionSettings
from lightship.core.stix.extensions import ALLOWED_ON, MARITIME_CONTEXT, SHARING_TERMS
from lightship.core.stix.ingest import Ingest, Refusal
from lightship.core.time import Micros
from lightship.data import extension_schemas, stix_schemas

DOCS = Path(__file__).parents[4] / "docs"
PAGE = (DOCS / "extensions.md").read_text()
TAKEN = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
REFUSED = re.findall(r"`([a-z-]+)`:\n\n```json refused\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
INGEST = Ingest(stix_schemas(), extension_schemas())
CONTEXT = json.loads(extension_schemas()["maritime-context-1.0.json"])
TERMS = json.loads(extension_schemas()["sharing-terms-1.0.json"])


def check(text: str) -> tuple[int, list[Refusal]]:
    value = json.loads(text)
    values = value if isinstance(value, list) else [value]
    body = json.dumps({"objects": values}).encode()
    items = INGEST.read_envelope(body)
    taken, refused = INGEST.check(items, CollectionSettings(), Micros(1_790_000_000_000_000))
    assert len(taken) + len(refused) == len(values)
    return len(taken), refused


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
    assert [one.rule for one in refused] == [rule]


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
        "deny-embargo",
        "deny-refused-marking",
    ):
        assert f"`{rule}`" in PAGE
    for name in extension_schemas():
        assert name.removesuffix("-1.0.json") in PAGE
