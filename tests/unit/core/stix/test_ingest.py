"""The door: envelopes and bundles, what a candidate says, settings of a collection, and that nothing crashes it."""

# ruff: noqa: E501  # tables with one case a line

from __future__ import annotations

import copy
import hashlib
import json
import random
from typing import Any

import pytest
import rfc8785

import stix_makers
from lightship.core.collection import Candidate, CollectionSettings, Level
from lightship.core.errors import MalformedRequest, Unprocessable
from lightship.core.ids import UNKNOWN_ID, is_stix_id
from lightship.core.stix.ingest import MAX_MESSAGE, Ingest, Refusal
from lightship.core.stix.markings import TLP2_IDS
from lightship.core.time import NO_INSTANT, Micros
from lightship.data import extension_schemas, stix_schemas

NOW = Micros(1_780_000_000_000_000)  # 2026-05-28T20:26:40Z
INGEST = Ingest(stix_schemas(), extension_schemas())
OTHER = "12345678-1234-4234-8234-123456789abc"
TIMES = {"created": "2024-01-02T03:04:05.678Z", "modified": "2024-02-03T04:05:06.789000Z"}
TOOL = {"type": "tool", "spec_version": "2.1", "id": f"tool--{OTHER}", "name": "x", **TIMES}
TOOL_20 = {"type": "tool", "id": f"tool--{OTHER}", "name": "x", "labels": ["remote-access"], **TIMES}
FILE = {"type": "file", "id": f"file--{OTHER}", "name": "x"}
STRICT = CollectionSettings()
LENIENT = CollectionSettings(validation="lenient")


def check(
    *values: Any, settings: CollectionSettings = STRICT, now: Micros = NOW
) -> tuple[list[Candidate], list[Refusal]]:
    return INGEST.check(INGEST.read_envelope(json.dumps({"objects": list(values)}).encode()), settings, now)


def taken(value: dict[str, Any], settings: CollectionSettings = STRICT) -> Candidate:
    candidates, refusals = check(value, settings=settings)
    assert refusals == []
    return candidates[0]


def refused(value: Any, settings: CollectionSettings = STRICT) -> Refusal:
    candidates, refusals = check(value, settings=settings)
    assert candidates == []
    return refusals[0]


# --- envelopes (TAXII 2.1 section 3.7) and bundles (STIX 2.1 section 8) ---------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        {},
        {"more": True, "next": "abc"},
        {"type": "bundle", "id": f"bundle--{OTHER}"},
        {"type": "bundle", "id": f"bundle--{OTHER}", "spec_version": "2.0"},
        {"type": "bundle", "id": "not an id"},
    ],
)
def test_an_envelope_and_a_bundle_are_read_alike(wrap: dict[str, Any]) -> None:
    items = INGEST.read_envelope(json.dumps({**wrap, "objects": [TOOL, FILE]}).encode())
    assert [item.position for item in items] == [0, 1]
    candidates, refusals = INGEST.check(items, STRICT, NOW)
    assert (len(candidates), refusals) == (2, [])


@pytest.mark.parametrize("body", [b"[]", b"7", b'"x"', b"null", b"{}", b'{"objects":[]}', b'{"objects":{}}', b'{"objects":null}'])  # fmt: skip
def test_json_that_is_no_envelope_says_what_to_send(body: bytes) -> None:
    with pytest.raises(Unprocessable) as caught:
        INGEST.read_envelope(body)
    assert '{"objects": [...]}' in caught.value.todo
    assert caught.value.why


def test_a_single_object_is_no_envelope() -> None:
    with pytest.raises(Unprocessable, match="no member"):
        INGEST.read_envelope(json.dumps(TOOL).encode())


def test_a_body_that_is_no_json_is_refused_whole() -> None:
    with pytest.raises(MalformedRequest, match="line 1, column"):
        INGEST.read_envelope(b'{"objects":[{]}')


def test_one_bad_item_fails_alone_and_each_item_has_its_entry() -> None:
    sent = json.dumps(
        {"objects": [TOOL, 7, None, [], "x", {}, {**TOOL, "id": "x"}, {**TOOL, "name": 1}, FILE]}
    ).encode()
    sent = (
        sent[:-2] + b', {"id": "tool--' + OTHER.encode() + b'", "x": NaN}, ' + b"[" * 99 + b"]" * 99 + b"]}"
    )
    candidates, refusals = INGEST.check(INGEST.read_envelope(sent), STRICT, NOW)
    assert [one.position for one in candidates] == [0, 8]
    assert [one.position for one in refusals] == [1, 2, 3, 4, 5, 6, 7, 9, 10]
    assert [one.rule for one in refusals] == [
        *["invalid-schema"] * 4, "invalid-type", "invalid-id", "invalid-schema", *["invalid-json"] * 2,
    ]  # fmt: skip
    assert [one.id for one in refusals] == [*[UNKNOWN_ID] * 6, f"tool--{OTHER}", f"tool--{OTHER}", UNKNOWN_ID]
    for one in refusals:
        assert (one.id == UNKNOWN_ID) == one.message.startswith(f"object at position {one.position}: ")
    assert "line 1, column" in refusals[-1].message
    assert "/objects/10/0/0" in refusals[-1].message


# --- what a candidate says ------------------------------------------------------------------------


def test_a_candidate_holds_the_canonical_bytes_and_their_digest() -> None:
    value: Any = {**TOOL, "x_number": 1.0, "x_small": 1e-9, "x_é": "é"} | {"description": "\u0000\u2028 🚢"}
    del value["x_é"]
    one = taken(value)
    assert one.body == rfc8785.dumps(value)
    assert one.digest == hashlib.sha256(one.body).digest()
    assert (one.id, one.type, one.position) == (value["id"], "tool", 0)


@pytest.mark.parametrize(
    ("value", "spec", "version", "text", "owned"),
    [
        (TOOL, "2.1", "2024-02-03T04:05:06.789", TIMES["modified"], True),
        (TOOL_20, "2.0", "2024-02-03T04:05:06.789", TIMES["modified"], True),
        ({**TOOL_20, "spec_version": "2.0"}, "2.0", "2024-02-03T04:05:06.789", TIMES["modified"], True),
        (FILE, "2.1", "", "", False),
        ({**FILE, "spec_version": "2.1"}, "2.1", "", "", False),
        ({**FILE, "modified": "2024-01-01T00:00:00Z"}, "2.1", "", "", False),
        ({"type": "x-crane", "id": f"x-crane--{OTHER}", "speed": 3}, "2.1", "", "", False),
        ({"type": "x-crane", "id": f"x-crane--{OTHER}", **TIMES}, "2.0", "2024-02-03T04:05:06.789", TIMES["modified"], True),
        (stix_makers.marking(random.Random(1)) | {"created": "2024-01-01T00:00:00.500Z", "modified": "2025-01-01T00:00:00Z"}, "2.1", "2024-01-01T00:00:00.5", "2024-01-01T00:00:00.500Z", False),
        (stix_makers.sdo(random.Random(1), "extension-definition") | TIMES, "2.1", "2024-02-03T04:05:06.789", TIMES["modified"], False),
        ({"type": "software", "id": f"software--{OTHER}", "name": "x", "version": "2.0"}, "2.1", "", "", False),
    ],
)  # fmt: skip
def test_version_spec_version_and_ownership(
    value: dict[str, Any], spec: str, version: str, text: str, owned: bool
) -> None:
    one = taken(value)
    assert (one.spec_version, one.version, one.version_text, one.owned) == (spec, version, text, owned)


def test_an_observable_that_an_extension_declares_has_no_version() -> None:
    extension = {f"extension-definition--{OTHER}": {"extension_type": "new-sco"}}
    one = taken({"type": "crane-speed", "spec_version": "2.1", "id": f"crane-speed--{OTHER}", "created": "x", "extensions": extension})  # fmt: skip
    assert (one.version, one.owned) == (NO_INSTANT, False)


def test_the_author_is_named() -> None:
    assert taken({**TOOL, "created_by_ref": f"identity--{OTHER}"}).created_by == f"identity--{OTHER}"
    assert taken(TOOL).created_by is None


@pytest.mark.parametrize("settings", [STRICT, LENIENT])
@pytest.mark.parametrize("level", list(Level))
def test_the_level_is_the_strictest_of_all_markings(level: Level, settings: CollectionSettings) -> None:
    statement = f"marking-definition--{OTHER}"
    refs = [TLP2_IDS[Level.CLEAR], statement]
    granular = [{"selectors": ["name"], "marking_ref": TLP2_IDS[level]}, {"selectors": ["id"], "lang": "en"}]
    assert taken({**TOOL, "object_marking_refs": [TLP2_IDS[level], *refs]}, settings).level is level
    assert (
        taken({**TOOL, "object_marking_refs": refs, "granular_markings": granular}, settings).level is level
    )
    assert taken({**TOOL, "object_marking_refs": [statement]}, settings).level is None
    assert taken(TOOL, settings).level is None


def test_a_marking_in_capitals_is_the_same_marking() -> None:
    kind, _, uuid = TLP2_IDS[Level.RED].partition("--")
    assert taken({**TOOL, "object_marking_refs": [f"{kind}--{uuid.upper()}"]}).level is Level.RED


# --- settings of a collection ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"name": 7},
        {"labels": []},
        {"confidence": 101},
        {"external_references": "x"},
        {"x" * 300: None},
        {"granular_markings": [{"selectors": ["nothing"], "marking_ref": TLP2_IDS[Level.RED]}]},
    ],
)
def test_lenient_looks_at_identity_and_time_only(change: dict[str, Any]) -> None:
    assert refused({**TOOL, **change}).rule
    assert taken({**TOOL, **change}, LENIENT).version == "2024-02-03T04:05:06.789"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"id": "tool--1"}, "invalid-id"),
        ({"type": "malware"}, "invalid-id"),
        ({"type": "bundle"}, "invalid-type"),
        ({"spec_version": "3"}, "invalid-spec-version"),
        ({"created": "x"}, "invalid-time"),
        ({"modified": "2024-02-30T00:00:00Z"}, "invalid-time"),
        ({"modified": "2023-01-01T00:00:00Z"}, "invalid-time"),
        ({"modified": "2098-01-01T00:00:00Z"}, "future-time"),
        ({"created_by_ref": {"id": 1}}, "invalid-reference"),
        ({"object_marking_refs": TLP2_IDS[Level.RED]}, "invalid-marking"),
        ({"object_marking_refs": {TLP2_IDS[Level.RED]: 1}}, "invalid-marking"),
        ({"object_marking_refs": [[TLP2_IDS[Level.RED]]]}, "invalid-reference"),
        ({"granular_markings": {"marking_ref": TLP2_IDS[Level.RED]}}, "invalid-marking"),
        ({"granular_markings": [TLP2_IDS[Level.RED]]}, "invalid-marking"),
        ({"granular_markings": [{"marking_ref": [TLP2_IDS[Level.RED]]}]}, "invalid-reference"),
    ],
)
def test_lenient_still_refuses_what_versions_owners_and_markings_rest_on(
    change: dict[str, Any], rule: str
) -> None:
    assert refused({**TOOL, **change}, LENIENT).rule == rule


def test_lenient_tells_what_strict_would_refuse() -> None:
    """The same object, the same words, once as a refusal and once beside what is taken."""
    broken = {**TOOL, "name": 7}
    (refusal,) = check(broken, settings=STRICT)[1]
    (one,), none = check(broken, settings=LENIENT)
    assert not none
    assert one.violation == (refusal.rule, refusal.message)
    for settings in (STRICT, LENIENT):
        assert taken(TOOL, settings).violation is None


def test_lenient_needs_a_time_of_what_has_versions() -> None:
    value = {name: one for name, one in TOOL.items() if name not in TIMES}
    assert refused(value, LENIENT).rule == "invalid-time"
    assert taken({**value, "created": TIMES["created"]}, LENIENT).version_text == TIMES["created"]


@pytest.mark.parametrize("validation", ["strict", "lenient"])
def test_custom_objects_can_be_kept_out(validation: Any) -> None:
    closed = CollectionSettings(custom_objects=False, validation=validation)
    crane = {"type": "x-crane", "spec_version": "2.1", "id": f"x-crane--{OTHER}", **TIMES}
    extension = {"extension_type": "toplevel-property-extension"}
    assert refused(crane, closed).rule == "deny-custom-objects"
    assert refused({**TOOL, "x_port": 1}, closed).rule == "deny-custom-objects"
    assert "/x_port" in refused({**TOOL, "x_port": 1}, closed).message
    assert refused({**TOOL_20, "x_port": 1}, closed).rule == "deny-custom-objects"
    for value in (
        TOOL,
        TOOL_20,
        FILE,
        {**TOOL, "unlocode": "USLGB", "extensions": {f"extension-definition--{OTHER}": extension}},
    ):
        taken(value, closed)
    for stix_type in stix_makers.SDO:
        taken(stix_makers.sdo(random.Random(3), stix_type, full=True), closed)
    for stix_type in stix_makers.SCO:
        taken(stix_makers.sco(random.Random(3), stix_type), closed)


@pytest.mark.parametrize(
    ("ahead_s", "limit", "good"),
    [(0, 0, True), (1, 0, False), (600, 600, True), (601, 600, False), (10**9, None, True)],
)
def test_how_far_ahead_of_the_clock_is_a_setting(ahead_s: int, limit: int | None, good: bool) -> None:
    settings = CollectionSettings(max_future_s=limit)
    now = Micros(1_700_000_000_000_000)  # 2023-11-14T22:13:20Z
    moment = {0: "22:13:20", 1: "22:13:21", 600: "22:23:20", 601: "22:23:21"}.get(ahead_s)
    stamp = f"2023-11-14T{moment}.000Z" if moment else "2055-01-01T00:00:00.000Z"
    value = {**TOOL, "created": "2023-01-01T00:00:00.000Z", "modified": stamp}
    candidates, refusals = check(value, settings=settings, now=now)
    assert bool(candidates) == good
    if not good:
        assert refusals[0].rule == "future-time"
        assert refusals[0].version_text == stamp
        assert "2023-11-14T22:13:20.000000Z" in refusals[0].message


# --- STIX 2.0 -------------------------------------------------------------------------------------

OBSERVED_20 = {
    "type": "observed-data",
    "id": f"observed-data--{OTHER}",
    "first_observed": "2024-01-01T00:00:00Z",
    "last_observed": "2024-01-02T00:00:00Z",
    "number_observed": 2,
    "objects": {
        "0": {"type": "file", "name": "x", "parent_directory_ref": "1"},
        "1": {"type": "directory", "path": "/"},
    },
    **TIMES,
}


def test_stix_2_0_objects_are_checked_by_their_own_schemas() -> None:
    assert taken(OBSERVED_20).spec_version == "2.0"
    assert refused({**TOOL_20, "labels": []}).rule == "invalid-schema"
    assert refused({name: one for name, one in TOOL_20.items() if name != "labels"}).rule == "invalid-schema"
    assert refused({**TOOL_20, "confidence": 5}).rule == "invalid-schema"
    indicator = {
        **TOOL_20,
        "type": "indicator",
        "id": f"indicator--{OTHER}",
        "valid_from": "2024-01-01T00:00:00Z",
    }
    assert taken({**indicator, "pattern": "[a:b = 1]"}).spec_version == "2.0"
    assert refused({**indicator, "pattern": "[a:b = 1"}).rule == "invalid-pattern"
    red = {"id": "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed", "type": "marking-definition", "created": "2017-01-20T00:00:00.000Z", "definition_type": "tlp", "definition": {"tlp": "red"}}  # fmt: skip
    assert taken(red).spec_version == "2.0"


@pytest.mark.parametrize("ref", ["2", "0"])
def test_a_reference_inside_observed_data_of_2_0_names_an_object_of_the_right_type(ref: str) -> None:
    value = copy.deepcopy(OBSERVED_20)
    value["objects"]["0"]["parent_directory_ref"] = ref  # type: ignore[index]  # a literal of mixed values
    refusal = refused(value)
    assert refusal.rule == "invalid-reference"
    assert "/objects/0/parent_directory_ref" in refusal.message


def test_object_refs_without_spec_version_is_neither_and_says_what_is_missing() -> None:
    value = {name: one for name, one in OBSERVED_20.items() if name != "objects"}
    assert "'objects' is missing" in refused({**value, "object_refs": [f"file--{OTHER}"]}).message


# --- nothing crashes it ---------------------------------------------------------------------------

_JUNK: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 1e300, "", "x", "\x00", "\u202e", "é" * 99, [], {}, [[]], [{}], {"": None}),
    *([None], {"type": None}, {"extension_type": []}, ["marking-definition--x"], f"identity--{OTHER}"),
    *(
        "2024-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999Z",
        "0000-01-01T00:00:00Z",
        "tool",
        "bundle",
        "2.0",
        "2.1",
    ),
)


def _paths(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(path for step, one in items for path in _paths(one, (*way, step)))]


@pytest.mark.parametrize("settings", [STRICT, LENIENT, CollectionSettings(custom_objects=False)])
def test_any_value_in_any_place_is_taken_or_refused_and_never_crashes(settings: CollectionSettings) -> None:
    rng = random.Random(str(settings))
    values: list[Any] = []
    for value in [*stix_makers.objects(5, 60), *[copy.deepcopy(OBSERVED_20) for _ in range(100)]]:
        path = rng.choice(_paths(value)[1:])
        target: Any = value
        for step in path[:-1]:
            target = target[step]
        if rng.random() < 0.2:
            del target[path[-1]]
        else:
            target[path[-1]] = copy.deepcopy(rng.choice(_JUNK))
        values.append(value)
    candidates, refusals = check(*values, settings=settings)
    assert len(candidates) + len(refusals) == len(values)
    assert len(refusals) > 300
    assert sorted([one.position for one in candidates] + [one.position for one in refusals]) == list(
        range(len(values))
    )
    for candidate in candidates:
        assert is_stix_id(candidate.id)
        assert json.loads(candidate.body)["id"] == candidate.id
    for refusal in refusals:
        assert 0 < len(refusal.message) <= MAX_MESSAGE
        assert refusal.message.isprintable()
        assert refusal.rule
