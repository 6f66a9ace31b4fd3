"""maritime-context and sharing-terms: what is taken, what is refused and where, and what is left alone."""

# ruff: noqa: E501  # tables with one case a line

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
import stix2
from stix2validator import ValidationOptions, validate_instance

from lightship.core.collection import Candidate, CollectionSettings
from lightship.core.errors import BadFile, StewardError
from lightship.core.stix.extensions import ALLOWED_ON, MARITIME_CONTEXT, SHARING_TERMS, Extensions
from lightship.core.stix.ingest import Ingest, Refusal
from lightship.core.stix.json import canonical
from lightship.core.time import Micros
from lightship.data import extension_definitions, extension_schemas, stix_schemas
from stix_makers import objects
from stixsamples import indicator, malware, new_id, statement_marking

NOW = Micros(1_780_000_000_000_000)  # 2026-05-28T20:26:40Z
INGEST = Ingest(stix_schemas(), extension_schemas())
STRICT, LENIENT = CollectionSettings(), CollectionSettings(validation="lenient")
LOCATION = "location--4637fe09-e590-5eef-8a5f-c1e80bca4773"
IDENTITY = "identity--101ab058-78ed-5190-8d79-7330a1feb086"
TIME, LATER = "2026-03-09T12:10:00.000Z", "2026-03-10T06:00:00Z"

MARITIME: dict[str, Any] = {
    "unlocodes": ["USLAX", "USLGB", "CN239"],
    "facilities": [
        {"unlocode": "USLGB"},
        {"unlocode": "USLAX", "terminal_name": "Pier Z", "smdg_terminal_code": "PIZ9", "imo_port_facility_number": "USLAX-0001", "berth": "Z-1", "location_ref": LOCATION},
    ],
    "stakeholder_groups": ["port-authority", "marine-terminal", "shipping-line", "drayage", "railroad", "labor", "cargo-owner", "pilot-tug", "vts", "customs-government", "supplier", "chassis-provider"],
    "system_classes": ["tos", "gate-ocr", "a-thing-that-is-not-listed", "5g"],
    "operational_impacts": [
        {"function": "gate", "level": "manual-fallback", "start_time": TIME, "end_time": LATER, "teu_delayed": 2400.5, "vessels_delayed": 1, "truck_turns_delayed": 0},
        *({"level": level} for level in ("none", "degraded", "stopped", "safety-affected", "unknown")),
        {"start_time": TIME, "end_time": TIME},
    ],
    "security_level": {"scheme": "uscg-marsec", "level": 3, "directive": "MARSEC 105-1"},
    "vessel": {"imo_number": "9321483", "mmsi": "563000000", "flag": "SG", "class_notation": "+A1 Container Carrier"},
    "navigation_interference": {"kind": "gnss-spoofing", "constellations": ["gps", "beidou"], "location_ref": LOCATION, "radius_nm": 0.5},
    "equipment": [{"system_class": "crane-plc", "vendor": "V", "product": "P", "version": "1", "remote_access": one} for one in ("none", "vpn", "cellular-modem", "vendor-cloud", "unknown")],
    "reporting": {"regimes": ["33 CFR 6.16-1"], "reported": True, "reported_at": TIME},
}  # fmt: skip
TERMS: dict[str, Any] = {
    "recipient_refs": [IDENTITY],
    "exclude_countries": ["CN", "GB", "XK"],
    "only_countries": ["US", "JP"],
    "release_at": TIME,
    "share_until": "2027-01-01T00:00:00Z",
    "publisher_visibility": "named",
    "sensitive_security_information": False,
    "onward": "same-agreement",
}


def context(**content: Any) -> dict[str, Any]:
    return {MARITIME_CONTEXT: {"extension_type": "property-extension", **content}}


def terms(**content: Any) -> dict[str, Any]:
    return {SHARING_TERMS: {"extension_type": "property-extension", "agreement": "la-lb-mou", **content}}


def marking(**content: Any) -> dict[str, Any]:
    """Return a marking-definition with sharing terms and no other content."""
    made = statement_marking(extensions=terms(**content), name="Terms")
    return {key: one for key, one in made.items() if not key.startswith("definition")}


def check(*values: Any, settings: CollectionSettings = STRICT) -> tuple[list[Candidate], list[Refusal]]:
    items = INGEST.read_envelope(json.dumps({"objects": values}).encode())
    return INGEST.check(items, settings, NOW)


def taken(value: Any, settings: CollectionSettings = STRICT) -> None:
    candidates, refusals = check(value, settings=settings)
    assert not refusals
    assert [one.body for one in candidates] == [canonical(value)]


def refused(value: Any, settings: CollectionSettings = STRICT) -> Refusal:
    candidates, refusals = check(value, settings=settings)
    assert not candidates
    (refusal,) = refusals
    return refusal


# --- taken ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MARITIME)
def test_each_property_of_maritime_context_alone_is_taken(name: str) -> None:
    taken(indicator(extensions=context(**{name: MARITIME[name]})))


@pytest.mark.parametrize("name", TERMS)
def test_each_sharing_term_alone_is_taken(name: str) -> None:
    taken(marking(**{name: TERMS[name]}))


def test_all_properties_together_are_taken_and_none_is_missing_here() -> None:
    taken(indicator(extensions=context(**MARITIME)))
    taken(marking(**TERMS))
    shared = {"extension_type", "agreement"}
    for name, known in (("maritime-context-1.0.json", MARITIME), ("sharing-terms-1.0.json", TERMS)):
        assert set(json.loads(extension_schemas()[name])["properties"]) - shared == set(known)


@pytest.mark.parametrize("level", ["none", "own-organisation", "own-clients", "same-agreement", "community"])
def test_each_way_to_pass_it_on_is_taken(level: str) -> None:
    taken(marking(onward=level))


@pytest.mark.parametrize("stix_type", sorted(ALLOWED_ON[MARITIME_CONTEXT] - {"incident"}))
def test_maritime_context_on_every_type_that_may_have_it(stix_type: str) -> None:
    value = next(one for one in objects(7, 1) if one["type"] == stix_type)
    taken({**value, "extensions": context(unlocodes=["USLAX"])})


def test_maritime_context_on_an_incident() -> None:
    value = {key: one for key, one in malware(name="Gate down").items() if key != "is_family"}
    taken({**value, "type": "incident", "id": new_id("incident"), "extensions": context(unlocodes=["USLGB"])})


def test_extensions_of_others_are_carried_unchanged() -> None:
    unknown = {
        new_id("extension-definition"): {"extension_type": "property-extension", "unlocodes": "at will"},
        **context(unlocodes=["USLGB"]),
    }
    for settings in (STRICT, LENIENT):
        taken(indicator(extensions=unknown), settings)


# --- refused by form ------------------------------------------------------------------------------

BAD_CONTEXT: list[tuple[dict[str, Any], str, str]] = [
    ({}, "", "says nothing"),
    ({"unlocode": "USLAX"}, "", '"unlocode" is not allowed'),
    ({"extension_type": "toplevel-property-extension", "unlocodes": ["USLAX"]}, "/extension_type", "property-extension"),
    ({"unlocodes": "USLAX"}, "/unlocodes", "must be of type array"),
    ({"unlocodes": []}, "/unlocodes", "must not be empty"),
    ({"unlocodes": ["USLAX", "USLAX"]}, "/unlocodes", "the same thing twice"),
    ({"unlocodes": ["USLAX", "uslgb"]}, "/unlocodes/1", "does not have the form"),
    ({"unlocodes": ["US LAX"]}, "/unlocodes/0", "does not have the form"),
    ({"unlocodes": ["USLA1"]}, "/unlocodes/0", "does not have the form"),
    ({"unlocodes": ["USLAX\n"]}, "/unlocodes/0", "does not have the form"),
    ({"unlocodes": [7]}, "/unlocodes/0", "must be of type string"),
    ({"facilities": [{"terminal_name": "Pier Z"}]}, "/facilities/0", "'unlocode' is missing"),
    ({"facilities": [{"unlocode": "USLGB", "pier": "Z"}]}, "/facilities/0", '"pier" is not allowed'),
    ({"facilities": [{"unlocode": "USLGB", "terminal_name": ""}]}, "/facilities/0/terminal_name", "length"),
    ({"facilities": [{"unlocode": "USLGB", "smdg_terminal_code": "too long"}]}, "/facilities/0/smdg_terminal_code", "form"),
    ({"facilities": [{"unlocode": "USLGB", "imo_port_facility_number": "0001"}]}, "/facilities/0/imo_port_facility_number", "form"),
    ({"facilities": [{"unlocode": "USLGB", "berth": 7}]}, "/facilities/0/berth", "type string"),
    ({"facilities": [{"unlocode": "USLGB", "location_ref": IDENTITY}]}, "/facilities/0/location_ref", "form ^location--"),
    ({"facilities": {"unlocode": "USLGB"}}, "/facilities", "type array"),
    ({"stakeholder_groups": ["port"]}, "/stakeholder_groups/0", 'must be one of "port-authority"'),
    ({"stakeholder_groups": ["labor", "labor"]}, "/stakeholder_groups", "twice"),
    ({"system_classes": ["Gate OCR"]}, "/system_classes/0", "form"),
    ({"system_classes": ["-tos"]}, "/system_classes/0", "form"),
    ({"system_classes": ["t" * 64]}, "/system_classes/0", "form"),
    ({"system_classes": ["tos", "tos"]}, "/system_classes", "twice"),
    ({"operational_impacts": [{}]}, "/operational_impacts/0", "must not be empty"),
    ({"operational_impacts": [{"level": "bad"}]}, "/operational_impacts/0/level", "must be one of"),
    ({"operational_impacts": [{"function": ""}]}, "/operational_impacts/0/function", "length"),
    ({"operational_impacts": [{"start_time": "2026-03-09"}]}, "/operational_impacts/0/start_time", "UTC timestamp"),
    ({"operational_impacts": [{"start_time": "2026-02-30T00:00:00Z"}]}, "/operational_impacts/0/start_time", "a date that exists"),
    ({"operational_impacts": [{"level": "none"}, {"start_time": LATER, "end_time": TIME}]}, "/operational_impacts/1/end_time", "is earlier than start_time"),
    ({"operational_impacts": [{"teu_delayed": -1}]}, "/operational_impacts/0/teu_delayed", "less than 0"),
    ({"operational_impacts": [{"vessels_delayed": 0.5}]}, "/operational_impacts/0/vessels_delayed", "type integer"),
    ({"operational_impacts": [{"truck_turns_delayed": "9"}]}, "/operational_impacts/0/truck_turns_delayed", "type integer"),
    ({"security_level": {"scheme": "marsec"}}, "/security_level/scheme", "must be one of"),
    ({"security_level": {"level": 4}}, "/security_level/level", "must be one of 1, 2, 3"),
    ({"security_level": {"level": 0}}, "/security_level/level", "must be one of"),
    ({"security_level": {}}, "/security_level", "must not be empty"),
    ({"security_level": {"level": 1, "since": TIME}}, "/security_level", "not allowed"),
    ({"vessel": {"imo_number": "IMO9321483"}}, "/vessel/imo_number", "form"),
    ({"vessel": {"imo_number": 9321483}}, "/vessel/imo_number", "type string"),
    ({"vessel": {"mmsi": "56300000"}}, "/vessel/mmsi", "form"),
    ({"vessel": {"flag": "sg"}}, "/vessel/flag", "form"),
    ({"vessel": {"name": "Ever Z"}}, "/vessel", "not allowed"),
    ({"vessel": []}, "/vessel", "type object"),
    ({"navigation_interference": {"kind": "jamming"}}, "/navigation_interference/kind", "must be one of"),
    ({"navigation_interference": {"constellations": ["GPS"]}}, "/navigation_interference/constellations/0", "form"),
    ({"navigation_interference": {"location_ref": "bay"}}, "/navigation_interference/location_ref", "form"),
    ({"navigation_interference": {"radius_nm": 0}}, "/navigation_interference/radius_nm", "less than 0"),
    ({"equipment": [{"remote_access": "modem"}]}, "/equipment/0/remote_access", "must be one of"),
    ({"equipment": [{"system_class": "TOS"}]}, "/equipment/0/system_class", "form"),
    ({"equipment": [{"vendor": ["A"]}]}, "/equipment/0/vendor", "type string"),
    ({"equipment": [{"serial": "1"}]}, "/equipment/0", "not allowed"),
    ({"reporting": {"reported": "yes"}}, "/reporting/reported", "type boolean"),
    ({"reporting": {"reported_at": "yesterday"}}, "/reporting/reported_at", "UTC timestamp"),
    ({"reporting": {"regimes": []}}, "/reporting/regimes", "must not be empty"),
]  # fmt: skip
BAD_TERMS: list[tuple[dict[str, Any], str, str]] = [
    ({"agreement": None}, "/agreement", "type string"),
    ({"agreement": "LA LB"}, "/agreement", "form"),
    ({"recipients": [IDENTITY]}, "", "not allowed"),
    ({"recipient_refs": IDENTITY}, "/recipient_refs", "type array"),
    ({"recipient_refs": []}, "/recipient_refs", "must not be empty"),
    ({"recipient_refs": [LOCATION]}, "/recipient_refs/0", "form ^identity--"),
    ({"recipient_refs": [IDENTITY.replace("--", "--0")]}, "/recipient_refs/0", "form"),
    ({"recipient_refs": [IDENTITY, IDENTITY]}, "/recipient_refs", "twice"),
    ({"exclude_countries": ["UK"]}, "/exclude_countries/0", '"UK" is none of the 250 values'),
    ({"exclude_countries": ["us"]}, "/exclude_countries/0", "none of"),
    ({"only_countries": ["USA"]}, "/only_countries/0", "none of"),
    ({"only_countries": []}, "/only_countries", "must not be empty"),
    ({"release_at": "soon"}, "/release_at", "UTC timestamp"),
    ({"release_at": "2026-06-31T00:00:00Z"}, "/release_at", "a date that exists"),
    ({"release_at": 1780000000}, "/release_at", "type string"),
    ({"release_at": None}, "/release_at", "type string"),
    ({"share_until": "2026-12-31T00:00:00+01:00"}, "/share_until", "UTC timestamp"),
    ({"release_at": LATER, "share_until": TIME}, "/share_until", "is earlier than release_at"),
    ({"publisher_visibility": "anonymous"}, "/publisher_visibility", "must be one of"),
    ({"publisher_visibility": None}, "/publisher_visibility", "must be one of"),
    ({"sensitive_security_information": "true"}, "/sensitive_security_information", "type boolean"),
    ({"sensitive_security_information": 1}, "/sensitive_security_information", "type boolean"),
    ({"onward": "anybody"}, "/onward", "must be one of"),
    ({"extension_type": "new-sdo"}, "/extension_type", "must be one of"),
]  # fmt: skip


def told(refusal: Refusal, extension: str, where: str, part: str) -> None:
    """The refusal has the rule, the place, what is wrong and where to read what is right."""
    assert refusal.rule == "invalid-extension", refusal
    assert f"(at /extensions/{extension}{where})" in refusal.message
    assert part in refusal.message
    assert "-1.0.json on this hub" in refusal.message


@pytest.mark.parametrize(("content", "where", "part"), BAD_CONTEXT)
def test_maritime_context_of_wrong_form(content: dict[str, Any], where: str, part: str) -> None:
    value = indicator(extensions=context(**content))
    told(refused(value), MARITIME_CONTEXT, where, part)
    taken(value, LENIENT)


@pytest.mark.parametrize("settings", [STRICT, LENIENT], ids=["strict", "lenient"])
@pytest.mark.parametrize(("content", "where", "part"), BAD_TERMS)
def test_sharing_terms_of_wrong_form(
    content: dict[str, Any], where: str, part: str, settings: CollectionSettings
) -> None:
    told(refused(marking(**content), settings), SHARING_TERMS, where, part)


@pytest.mark.parametrize("content", [None, [], "x", 7, True, {}])
def test_content_that_is_no_extension(content: Any) -> None:
    told(refused(indicator(extensions={MARITIME_CONTEXT: content})), MARITIME_CONTEXT, "", "")
    value = {**marking(), "extensions": {SHARING_TERMS: content}}
    told(refused(value, LENIENT), SHARING_TERMS, "", "")


def test_an_agreement_is_needed() -> None:
    value = {**marking(), "extensions": {SHARING_TERMS: {"extension_type": "property-extension"}}}
    assert refused(value).rule == "invalid-extension"


def test_types_that_may_not_have_them() -> None:
    for value in objects(3, 1):
        if value["type"] not in ALLOWED_ON[MARITIME_CONTEXT]:
            refusal = refused({**value, "extensions": context(unlocodes=["USLAX"])})
            assert refusal.rule == "invalid-extension"
            assert f"may not stand on {value['type']}" in refusal.message
    for settings in (STRICT, LENIENT):
        refusal = refused(indicator(extensions=terms()), settings)
        assert refusal.rule == "invalid-extension"
        assert "it may stand on marking-definition" in refusal.message


def test_an_id_in_capitals_is_the_same_extension() -> None:
    for extension in (MARITIME_CONTEXT, SHARING_TERMS):
        loud = "extension-definition--" + extension.partition("--")[2].upper()
        value = {**marking(), "extensions": {loud: {"extension_type": "property-extension"}}}
        assert refused(value).rule == "invalid-extension"


# --- terms that the hub cannot keep ---------------------------------------------------------------


@pytest.mark.parametrize("settings", [STRICT, LENIENT], ids=["strict", "lenient"])
@pytest.mark.parametrize(
    ("content", "rule", "part"),
    [
        ({"publisher_visibility": "group"}, "deny-hidden-publisher", "its records name the member"),
        ({"publisher_visibility": "hidden"}, "deny-hidden-publisher", 'Send "named" or leave it out'),
    ],
)
def test_terms_that_the_hub_cannot_keep_are_refused(
    content: dict[str, Any], rule: str, part: str, settings: CollectionSettings
) -> None:
    refusal = refused(marking(**content), settings)
    assert refusal.rule == rule
    assert f"/extensions/{SHARING_TERMS}/{next(iter(content))})" in refusal.message
    assert part in refusal.message


@pytest.mark.parametrize(
    "content", [{"sensitive_security_information": True}, {"release_at": "2030-01-01T00:00:00Z"}]
)
def test_terms_that_the_rules_and_the_store_keep_pass_the_checks(content: dict[str, Any]) -> None:
    taken(marking(**content))


# --- what ships -----------------------------------------------------------------------------------

SHIPPED = json.loads(extension_definitions())["objects"]


def test_the_ids_are_frozen() -> None:
    assert MARITIME_CONTEXT == "extension-definition--9bab803a-30ca-456c-b3b4-f5712e2340ae"
    assert SHARING_TERMS == "extension-definition--695b6cb5-8427-41b0-898f-55fbfa8c8bbe"
    assert [one["id"] for one in SHIPPED] == [
        "identity--1c042723-ed98-49ab-aeb9-c92a7ecff100", MARITIME_CONTEXT, SHARING_TERMS
    ]  # fmt: skip
    assert {one["created_by_ref"] for one in SHIPPED} == {SHIPPED[0]["id"]}


@pytest.mark.parametrize("one", SHIPPED, ids=lambda one: one["name"])
def test_the_definitions_are_valid_stix_for_others_too(one: dict[str, Any]) -> None:
    stix2.parse(one, allow_custom=True)
    result = validate_instance(one, ValidationOptions(version="2.1"))
    assert result.is_valid, [str(error) for error in result.errors]
    taken(one)


@pytest.mark.parametrize("name", extension_schemas())
def test_the_schemas_are_valid_and_closed_at_every_level(name: str) -> None:
    schema = json.loads(extension_schemas()[name])
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(schema)
    places = [schema, *schema["properties"].values(), *schema["$defs"].values()]
    for one in places:
        if one.get("type") == "object":
            assert one["additionalProperties"] is False
            assert "required" in one or one["minProperties"] == 1
        if one.get("type") == "array":
            assert one["minItems"] == 1


@pytest.mark.parametrize("name", extension_schemas())
def test_a_missing_schema_is_told(name: str) -> None:
    with pytest.raises(StewardError, match=name):
        Extensions({key: text for key, text in extension_schemas().items() if key != name})


@pytest.mark.parametrize("name", extension_schemas())
@pytest.mark.parametrize(
    ("old", "new", "line", "why"),
    [
        (b'"type": "object",', b'"type": "object"', 6, "Expecting ',' delimiter"),
        (b'"type": "object",', b'"type": "objekt",', 0, "objekt"),
        (b"{", b"\xff{", 0, "can't decode"),
    ],
)
def test_a_broken_schema_is_told_with_its_file_and_line(
    name: str, old: bytes, new: bytes, line: int, why: str
) -> None:
    broken = extension_schemas()[name].replace(old, new, 1)
    with pytest.raises(BadFile) as caught:
        Extensions({**extension_schemas(), name: broken})
    assert (caught.value.path, caught.value.line) == (f"policies/extensions/{name}", line)
    assert why in caught.value.why
    assert "as it was shipped" in caught.value.todo
