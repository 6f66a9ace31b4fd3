"""What is taken: objects of every type beside the oracles, ATT&CK for ICS, and what the STIX text permits
although the OASIS schemas refuse it."""

# ruff: noqa: E501  # tables with one case a line

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import stix2validator

import stix_makers
import stix_oracles
from lightship.core.collection import CollectionSettings, Level
from lightship.core.stix import schemas
from lightship.core.stix.amendments import AMENDMENTS
from lightship.core.stix.ingest import Ingest, Refusal
from lightship.core.stix.json import canonical
from lightship.core.time import Micros
from lightship.data import extension_schemas, stix_schemas

NOW = Micros(1_780_000_000_000_000)
INGEST = Ingest(stix_schemas(), extension_schemas())
OTHER = "12345678-1234-4234-8234-123456789abc"
DATA = Path(__file__).parents[5] / "shared" / "data" / "attack-ics"


def refusals(values: list[Any], ingest: Ingest = INGEST) -> list[Refusal]:
    items = ingest.read_envelope(json.dumps({"objects": values}).encode())
    candidates, refused = ingest.check(items, CollectionSettings(), NOW)
    assert len(candidates) + len(refused) == len(values)
    for candidate in candidates:
        assert candidate.body == canonical(values[candidate.position])
    return refused


@pytest.mark.parametrize("seed", range(4))
def test_made_objects_of_every_type_are_taken_as_the_oracles_take_them(seed: int) -> None:
    values = stix_makers.objects(seed, 12)
    assert len(values) == 12 * (len(stix_makers.SDO) + len(stix_makers.SCO) + 1)
    assert refusals(values) == []
    for value in values:
        assert stix_oracles.stix2_takes(value), value
        assert stix_oracles.validator_takes(value), value


def test_three_thousand_more_are_taken_as_stix2_takes_them() -> None:
    values = stix_makers.objects(99, 72)
    assert len(values) > 3000
    assert refusals(values) == []
    assert all(stix_oracles.stix2_takes(value) for value in values)


@pytest.mark.skipif(not DATA.is_dir(), reason="the ATT&CK for ICS releases are not beside this checkout")
@pytest.mark.parametrize(("release", "count"), [("17.1", 1651), ("18.1", 1826)])
def test_every_object_of_attack_for_ics_is_taken_strictly(release: str, count: int) -> None:
    body = (DATA / f"ics-attack-{release}.json").read_bytes()
    items = INGEST.read_envelope(body)
    candidates, refused = INGEST.check(items, CollectionSettings(unmarked=Level.CLEAR), NOW)
    assert refused == []
    assert len(candidates) == count
    sent = json.loads(body)["objects"]
    for candidate, value in zip(candidates, sent, strict=True):
        assert json.loads(candidate.body) == value
        assert candidate.spec_version == "2.1"
        assert candidate.version_text == value.get("modified", value["created"])
        assert candidate.level is None


EXAMPLES = sorted(Path(stix2validator.__file__).parent.glob("schemas-*/examples/**/*.json"))
CAPITAL_ID = "relationship--81f12913-1372-4c96-85ec-E9034ac98aba"  # in one published example


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: "/".join(path.parts[-2:]))
def test_the_published_examples_are_taken(path: Path) -> None:
    value = json.loads(path.read_bytes())
    values = [one for one in value.get("objects", [value]) if one["id"] != CAPITAL_ID]
    assert refusals(values) == []


def test_the_published_examples_are_there() -> None:
    assert len(EXAMPLES) == 14


TIMES = {"created": "2024-01-02T03:04:05.678Z", "modified": "2024-01-02T03:04:05.678Z"}
TOOL = {"type": "tool", "spec_version": "2.1", "id": f"tool--{OTHER}", "name": "x", **TIMES}
TOOL_20 = {"type": "tool", "id": f"tool--{OTHER}", "name": "x", "labels": ["remote-access"], **TIMES}
OBSERVED_20 = {
    "type": "observed-data",
    "id": f"observed-data--{OTHER}",
    "first_observed": "2024-01-01T00:00:00Z",
    "last_observed": "2024-01-01T00:00:00Z",
    "number_observed": 1,
    **TIMES,
}
GREEN = stix_makers.TLP_GREEN


def sco(stix_type: str, **more: Any) -> dict[str, Any]:
    return {"type": stix_type, "id": f"{stix_type}--{OTHER}", **more}


# fmt: off
AMENDED: list[tuple[str, dict[str, Any]]] = [
    ("2.9 UUID version 7", {**TOOL, "id": "tool--0190163d-8694-739b-aea5-966c26f8ad91"}),
    ("2.9 UUID version 1 of another variant", {**TOOL, "id": "tool--81f12913-1372-0c96-05ec-e9034ac98aba"}),
    ("2.0 2.7 UUID version 5", {**TOOL_20, "id": "tool--81f12913-1372-5c96-85ec-e9034ac98aba"}),
    ("2.16 created without a fraction", {**TOOL, "created": "2024-01-02T03:04:05Z"}),
    ("2.16 modified with one digit", {**TOOL, "modified": "2024-01-02T03:04:05.9Z"}),
    ("2.0 2.11 nine digits", {**TOOL_20, "modified": "2024-01-02T03:04:05.678912345Z"}),
    ("2.5 a CVE id of another source", {**TOOL, "external_references": [{"source_name": "nvd", "external_id": "CVE-2024-12345"}]}),
    ("2.0 2.5 a CVE id of another source", {**TOOL_20, "external_references": [{"source_name": "nvd", "external_id": "CVE-2024-12345"}]}),
    ("7.3 extension key with UUID version 7", {**TOOL, "extensions": {"extension-definition--0190163d-8694-739b-aea5-966c26f8ad91": {"extension_type": "property-extension", "port": "USLGB"}}}),
    ("7.2.3 granular language", {**TOOL, "granular_markings": [{"selectors": ["name"], "lang": "de"}]}),
    ("7.2.3.1 selector of a dictionary key", sco("file", hashes={"MD5": "a" * 32}, granular_markings=[{"selectors": ["hashes.MD5"], "marking_ref": GREEN}])),
    ("6.9 IPv4-mapped IPv6", sco("ipv6-addr", value="::ffff:192.0.2.128")),
    ("2.0 part 4 2.7 CIDR block", {**OBSERVED_20, "objects": {"0": {"type": "ipv4-addr", "value": "192.0.2.0/24"}}}),
    ("2.0 part 4 2.8 CIDR block", {**OBSERVED_20, "objects": {"0": {"type": "ipv6-addr", "value": "2001:db8::/32"}}}),
    ("6.4 underscore in a domain name", sco("domain-name", value="_dmarc.example.com")),
    ("6.4 unicode domain name", sco("domain-name", value="münchen.example")),
    ("6.5 unicode e-mail address", sco("email-addr", value="jürgen@münchen.example")),
    ("6.17 only modified_time", sco("windows-registry-key", modified_time="2024-01-01T00:00:00Z")),
    ("6.13 only created_time", sco("process", created_time="2024-01-01T00:00:00Z")),
    ("6.17 a hive's abbreviation inside a key", sco("windows-registry-key", key="HKEY_USERS\\S-1\\Software\\HKCU backup")),
    ("6.6 header field of one value", sco("email-message", is_multipart=False, additional_header_fields={"Reply-To": ["a@example.com"]})),
    ("10.7 TLSH of version 4", sco("file", hashes={"TLSH": "T1" + "A" * 70})),
    ("11.2 custom type that ends like a standard one", {**OBSERVED_20, "objects": {"0": {"type": "x-my-directory", "x_note": "y"}}}),
    ("2.0 process arguments", {**OBSERVED_20, "objects": {"0": {"type": "process", "arguments": ["--a b", "'", "x=y z"]}}}),
    ("2.0 url", {**OBSERVED_20, "objects": {"0": {"type": "url", "value": "https://[2001:db8::1]:8443/a"}}}),
]
# fmt: on


@pytest.mark.parametrize(("name", "value"), AMENDED, ids=[name for name, _ in AMENDED])
def test_what_the_text_permits_is_taken(name: str, value: dict[str, Any]) -> None:
    assert refusals([value]) == []


WIDE_BEFORE = {"6.4 unicode domain name"}  # the engine's own format takes it; ours must not lose it


@pytest.mark.parametrize(("name", "value"), AMENDED, ids=[name for name, _ in AMENDED])
def test_without_the_amendments_it_would_be_refused(
    name: str, value: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemas, "AMENDMENTS", ())
    plain = Ingest(stix_schemas(), extension_schemas())
    try:
        taken = refusals([value], plain) == []
    except ValueError as error:  # a 2.0 schema holds a pattern that a linear engine cannot run
        taken = "regex" not in str(error)
    assert taken == (name in WIDE_BEFORE)


def test_every_amendment_names_its_clause() -> None:
    assert all(amendment.clause and amendment.file for amendment in AMENDMENTS)
    assert len({(amendment.file, amendment.pointer) for amendment in AMENDMENTS}) == len(AMENDMENTS)


@pytest.mark.parametrize(
    "value",
    [
        {"type": "x-crane", "spec_version": "2.1", "id": f"x-crane--{OTHER}", "x_any": {"NULL": None, "é": [], "n": 1.5}, **TIMES},
        {"type": "x-crane", "id": f"x-crane--{OTHER}", "speed": 3},
        {**TOOL, "x_port": {"Any Name": None, "": [], "é": {"deep": [[[]]]}}},
        {"type": "marking-definition", "spec_version": "2.1", "id": f"marking-definition--{OTHER}", "created": TIMES["created"], "definition_type": "x-iep", "definition": {"a": None}},
        {**TOOL_20, "x_port": "USLGB"},
        {"type": "x-crane", "id": f"x-crane--{OTHER}", **TIMES},
    ],
)  # fmt: skip
def test_names_inside_custom_values_are_nobodys_business(value: dict[str, Any]) -> None:
    assert refusals([value]) == []
