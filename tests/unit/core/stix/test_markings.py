"""TLP: nine definitions, five levels, and no way to pass one off as another."""

# tables with one case a line

from __future__ import annotations

import json
from typing import Any

import pytest
import stix2

import stix_oracles
from lightship.core.collection import CollectionSettings, Level
from lightship.core.stix.ingest import Ingest
from lightship.core.stix.json import canonical
from lightship.core.stix.markings import LEVEL_OF, SHIPPED, TLP2_EXTENSION, TLP2_IDS, is_false_tlp, level_of
from lightship.core.time import Micros
from lightship.data import extension_schemas, stix_schemas

INGEST = Ingest(stix_schemas(), extension_schemas())
NOW = Micros(1_780_000_000_000_000)
STATEMENT = "marking-definition--12345678-1234-4234-8234-123456789abc"


def rules(value: dict[str, Any], **settings: Any) -> list[str]:
    items = INGEST.read_envelope(json.dumps({"objects": [value]}).encode())
    return [one.rule for one in INGEST.check(items, CollectionSettings(**settings), NOW)[1]]


@pytest.mark.parametrize("one", [stix2.TLP_WHITE, stix2.TLP_GREEN, stix2.TLP_AMBER, stix2.TLP_RED])
def test_tlp_1_is_what_stix_2_1_builds_in(one: Any) -> None:
    assert SHIPPED[one["id"]] == canonical(json.loads(one.serialize()))


def test_tlp_1_reads_as_the_level_of_its_colour() -> None:
    pairs = [("white", Level.CLEAR), ("green", Level.GREEN), ("amber", Level.AMBER), ("red", Level.RED)]
    colours = {
        json.loads(body)["definition"]["tlp"]: stix_id
        for stix_id, body in SHIPPED.items()
        if b'"tlp":' in body
    }
    assert {colour: LEVEL_OF[stix_id] for colour, stix_id in colours.items()} == dict(pairs)


@pytest.mark.parametrize("level", list(Level))
def test_tlp_2_is_the_published_extension(level: Level) -> None:
    value = json.loads(SHIPPED[TLP2_IDS[level]])
    assert value["extensions"] == {
        TLP2_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": level.value}
    }
    assert value["name"] == f"TLP:{level.value.upper()}"
    assert value["created"] == "2022-10-01T00:00:00.000Z"
    assert LEVEL_OF[value["id"]] is level
    assert stix_oracles.validator_takes(value)


@pytest.mark.parametrize("stix_id", SHIPPED)
@pytest.mark.parametrize("validation", ["strict", "lenient"])
def test_a_shipped_definition_is_taken_as_it_is_and_in_no_other_form(stix_id: str, validation: str) -> None:
    value = json.loads(SHIPPED[stix_id])
    assert rules(value, validation=validation) == []
    for change in (
        {"name": "TLP:CLEAR!"},
        {"x_note": 1},
        {"created": "2022-10-02T00:00:00.000Z"},
        {"definition": {"tlp": "x"}},
    ):
        assert rules({**value, **change}, validation=validation) == ["invalid-marking"]
    assert rules({**value, "id": STATEMENT}, validation=validation) == ["invalid-marking"]


def test_a_statement_is_no_tlp() -> None:
    value = {"type": "marking-definition", "id": STATEMENT, "definition_type": "statement"}
    assert not is_false_tlp(value, canonical(value))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"object_marking_refs": None},
        {"object_marking_refs": [1, None, STATEMENT]},
        {"granular_markings": 7},
        {"granular_markings": [None, {}, {"marking_ref": 1}, {"marking_ref": STATEMENT}]},
    ],
)
def test_what_carries_no_level_is_unmarked(value: dict[str, Any]) -> None:
    assert level_of(value) is None
