"""The exercise scenario is valid STIX 2.1, made up from end to end, and the same everywhere."""

from __future__ import annotations

import ipaddress
import json
import re
import uuid
from typing import Any

import pytest
import stix2
from stix2validator import ValidationOptions, validate_instance

from lightship.core.collection import CollectionSettings
from lightship.core.stix.extensions import MARITIME_CONTEXT, SHARING_TERMS
from lightship.core.stix.ingest import Ingest
from lightship.core.time import Micros
from lightship.data import extension_definitions, extension_schemas, policies_dir, stix_schemas
from lightship_feeds.stix_bundle import StixBundle

FOLDER = policies_dir() / "exercise"
NAMES = ("incidents", "indicators", "sightings", "warnings")
INCIDENT_CORE = "extension-definition--ef765651-680c-498d-9894-99799f2fa126"
AMBER_STRICT = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
DOCUMENTATION = [
    ipaddress.ip_network(one)
    for one in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
OBSERVABLES = {"ipv4-addr", "ipv6-addr", "domain-name", "file", "url"}


def bundle(name: str) -> list[dict[str, Any]]:
    with (FOLDER / f"{name}.json").open("rb") as file:
        return [json.loads(draft.raw) for draft in StixBundle().read(file, name)]


def everything() -> dict[str, dict[str, Any]]:
    return {one["id"]: one for name in NAMES for one in bundle(name)}


OBJECTS = everything()


def test_there_is_one_bundle_for_each_collection_of_the_exercise() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(NAMES)
    assert 30 <= len(OBJECTS) <= 60
    assert {one["type"] for one in OBJECTS.values()} >= {
        *{"identity", "indicator", "malware", "intrusion-set", "attack-pattern", "infrastructure"},
        *{"observed-data", "relationship", "sighting", "incident", "course-of-action", "report"},
        *{"grouping", "note", "location", "extension-definition", "marking-definition"},
    }


def test_an_object_says_the_same_in_every_bundle() -> None:
    for name in NAMES:
        for one in bundle(name):
            assert one == OBJECTS[one["id"]]


@pytest.mark.parametrize("one", OBJECTS.values(), ids=OBJECTS)
def test_every_object_passes_stix2_and_the_validator(one: dict[str, Any]) -> None:
    stix2.parse(one, allow_custom=True)
    result = validate_instance(one, ValidationOptions(version="2.1"))
    assert result.is_valid, [str(error) for error in result.errors]


def test_every_reference_leads_to_an_object_of_the_scenario() -> None:
    for one in OBJECTS.values():
        for found in re.findall(r'"([a-z0-9-]+--[0-9a-f-]{36})"', json.dumps(one)):
            assert found in OBJECTS or found in {
                INCIDENT_CORE,
                "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d",
            }


def test_what_is_held_back_is_a_fixed_indicator_for_the_ports_alone() -> None:
    one = json.loads((FOLDER / "embargo" / "indicator.json").read_text())
    stix2.parse(one)
    assert validate_instance(one, ValidationOptions(version="2.1")).is_valid
    assert uuid.UUID(one["id"].split("--")[1]).version == 5
    assert one["id"] not in OBJECTS
    assert one["created_by_ref"] in OBJECTS
    assert one["object_marking_refs"] == [AMBER_STRICT]
    assert one["created"] == one["modified"] < "2026-03-31"
    assert one["description"].startswith("EXERCISE")
    (address,) = re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", one["pattern"])
    assert any(ipaddress.ip_address(address) in net for net in DOCUMENTATION)


def test_ids_of_observables_are_those_that_stix_prescribes() -> None:
    seen = 0
    for one in OBJECTS.values():
        if one["type"] in OBSERVABLES:
            without = {key: value for key, value in one.items() if key != "id"}
            assert stix2.parse(without, allow_custom=True)["id"] == one["id"]
            seen += 1
    assert seen >= 4


def test_other_ids_are_fixed_and_times_lie_in_the_past() -> None:
    for one in OBJECTS.values():
        version = uuid.UUID(one["id"].split("--")[1]).version
        assert (
            version == 5
            or one["type"] in {"marking-definition", "extension-definition"}
            or one["name"] == "Lightship"
        )
        if "created" in one:
            assert one["created"] <= one.get("modified", one["created"]) <= "2026-03-31"


def test_everything_is_made_up() -> None:
    text = json.dumps(list(OBJECTS.values()))
    for found in re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", text):
        assert any(ipaddress.ip_address(found) in net for net in DOCUMENTATION), found
    for found in re.findall(r"2001:[0-9a-f:]+", text):
        assert ipaddress.ip_address(found.rstrip(":")) in DOCUMENTATION[3]
    for found in re.findall(r"\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|example)\b", text):
        assert found.endswith((".example.com", ".example")) or found == "example.com", found
    for one in OBJECTS.values():
        said = one.get("description", "EXERCISE")
        assert "EXERCISE" in said or one["created"] == "2026-01-05T00:00:00.000Z"


def test_markings_are_tlp_2_and_within_the_ceilings() -> None:
    import tomllib

    sample = tomllib.loads((policies_dir() / "agreements/exercise/agreement.toml").read_text())
    levels = ["clear", "green", "amber", "amber+strict", "red"]
    named = {GREEN: "green", AMBER_STRICT: "amber+strict"}
    terms = {one["id"] for one in OBJECTS.values() if SHARING_TERMS in one.get("extensions", {})}
    assert set(sample["collections"]) == set(NAMES)
    for name in NAMES:
        ceiling = levels.index(sample["collections"][name]["ceiling"])
        for one in bundle(name):
            cited = [mark for mark in one.get("object_marking_refs", []) if mark not in terms]
            marks = [named[mark] for mark in cited]
            assert marks or one["type"] == "marking-definition"
            assert all(levels.index(mark) <= ceiling for mark in marks)


def test_the_extensions_are_the_shipped_ones_and_used() -> None:
    for shipped in json.loads(extension_definitions())["objects"]:
        assert OBJECTS[shipped["id"]] == shipped
    users = [one for one in OBJECTS.values() if MARITIME_CONTEXT in one.get("extensions", {})]
    assert len(users) >= 10
    known = set(json.loads(extension_schemas()["maritime-context-1.0.json"])["properties"])
    used = {name for one in users for name in one["extensions"][MARITIME_CONTEXT]}
    assert len(used) >= 8
    assert used <= known


def test_terms_of_sharing_are_defined_and_cited() -> None:
    (marking,) = [one for one in OBJECTS.values() if SHARING_TERMS in one.get("extensions", {})]
    assert marking["type"] == "marking-definition"
    cited = [one["type"] for one in OBJECTS.values() if marking["id"] in one.get("object_marking_refs", [])]
    assert cited == ["incident"]


def test_every_object_passes_the_checks_of_its_collection() -> None:
    checks = Ingest(stix_schemas(), extension_schemas())
    for name in NAMES:
        items = checks.read_envelope((FOLDER / f"{name}.json").read_bytes())
        taken, refused = checks.check(items, CollectionSettings(), Micros(1_780_000_000_000_000))
        assert not refused
        assert len(taken) == len(items) == len(bundle(name))
