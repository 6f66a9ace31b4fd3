"""One violation per rule: each object here breaks exactly one sentence of STIX, and is refused by that rule.

Where an oracle takes such an object all the same, `STIX2_TAKES` and `VALIDATOR_TAKES` say so, name by name,
and why; everywhere else the oracles refuse it too.
"""

# ruff: noqa: E501  # tables with one case a line

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

import stix_makers
import stix_oracles
from lightship.core.collection import CollectionSettings
from lightship.core.ids import UNKNOWN_ID
from lightship.core.stix.ingest import Ingest, Refusal
from lightship.core.time import Micros
from lightship.data import extension_schemas, stix_schemas

NOW = Micros(1_780_000_000_000_000)  # 2026-05-28
INGEST = Ingest(stix_schemas(), extension_schemas())
Change = dict[str, Any] | Callable[[dict[str, Any]], object]
OTHER = "12345678-1234-4234-8234-123456789abc"
GREEN = stix_makers.TLP_GREEN


def base(stix_type: str) -> dict[str, Any]:
    """Return a valid object of the type with its needed properties and few others."""
    rng = random.Random(stix_type)
    if stix_type == "marking-definition":
        return stix_makers.marking(rng)
    if stix_type in stix_makers.SCO:
        made = {"type": stix_type, "spec_version": "2.1", "id": stix_makers.stix_id(rng, stix_type)}
        return made | stix_makers.SCO[stix_type](rng)
    made = {
        "type": stix_type,
        "spec_version": "2.1",
        "id": stix_makers.stix_id(rng, stix_type),
        "created": "2024-01-02T03:04:05.678Z",
        "modified": "2024-02-03T04:05:06.789Z",
    }
    if stix_type == "extension-definition":
        made["created_by_ref"] = f"identity--{OTHER}"
    if stix_type == "x-crane":
        return made | {"name": "STS 12"}
    return made | {name: maker(rng) for name, maker in stix_makers.SDO[stix_type][0].items()}


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda value: value.pop(name)


def file_ext(name: str, content: Any) -> dict[str, Any]:
    return {"extensions": {name: content}}


def marked(selector: str, **more: Any) -> dict[str, Any]:
    return {"granular_markings": [{"selectors": [selector], "marking_ref": GREEN, **more}]}


# fmt: off
CASES: list[tuple[str, str, Change, str]] = [
    # name (begins with the clause of STIX 2.1), type, change, rule
    # --- identity: 2.9, 3.2, 3.4 ---
    ("3.2 type missing", "tool", without("type"), "invalid-type"),
    ("3.2 type no string", "tool", {"type": 7}, "invalid-type"),
    ("3.2 id missing", "tool", without("id"), "invalid-id"),
    ("3.2 id no string", "tool", {"id": ["tool"]}, "invalid-id"),
    ("2.9 id without UUID", "tool", {"id": "tool--1"}, "invalid-id"),
    ("2.9 id with blanks", "tool", {"id": f"tool--{OTHER} "}, "invalid-id"),
    ("2.9 id with a line feed", "tool", {"id": f"tool--{OTHER}\n"}, "invalid-id"),
    ("2.9 id with NUL", "tool", {"id": f"tool--{OTHER}\x00"}, "invalid-id"),
    ("2.9 id with other digits", "tool", {"id": f"tool--{OTHER[:-1]}٣"}, "invalid-id"),
    ("2.9 id of another type", "tool", {"id": f"malware--{OTHER}"}, "invalid-id"),
    ("3.2 spec_version unknown", "tool", {"spec_version": "2.2"}, "invalid-spec-version"),
    ("3.2 spec_version no string", "tool", {"spec_version": 2.1}, "invalid-spec-version"),
    ("3.2 spec_version missing on a 2.1 type", "note", without("spec_version"), "invalid-spec-version"),
    ("3.2 spec_version 2.0 on an observable", "url", {"spec_version": "2.0"}, "invalid-spec-version"),
    ("8 bundle inside", "tool", {"type": "bundle", "id": f"bundle--{OTHER}"}, "invalid-type"),
    # --- times: 2.16, 3.2, 3.6 ---
    ("3.2 created missing", "tool", without("created"), "invalid-schema"),
    ("3.2 modified missing", "tool", without("modified"), "invalid-schema"),
    ("2.16 created no timestamp", "tool", {"created": "yesterday"}, "invalid-time"),
    ("2.16 created a number", "tool", {"created": 1700000000}, "invalid-time"),
    ("2.16 created on 30 February", "tool", {"created": "2024-02-30T00:00:00.000Z"}, "invalid-time"),
    ("2.16 offset in place of Z", "tool", {"modified": "2024-02-03T04:05:06.789+00:00"}, "invalid-time"),
    ("2.16 blank in place of T", "tool", {"modified": "2024-02-03 04:05:06.789Z"}, "invalid-time"),
    ("2.16 point without digits", "tool", {"modified": "2024-02-03T04:05:06.Z"}, "invalid-time"),
    ("2.16 hour 24", "tool", {"modified": "2024-02-03T24:05:06.000Z"}, "invalid-time"),
    ("2.16 other digits", "tool", {"modified": "٢٠٢٤-02-03T04:05:06.789Z"}, "invalid-time"),
    ("2.16 valid_from on 31 April", "indicator", {"valid_from": "2024-04-31T00:00:00Z"}, "invalid-time"),
    ("2.16 an inner timestamp on 31 June", "x509-certificate", {"x509_v3_extensions": {"private_key_usage_period_not_before": "2024-06-31T00:00:00Z"}}, "invalid-time"),
    ("3.2 modified before created", "tool", {"modified": "2024-01-02T03:04:05.677Z"}, "invalid-time"),
    ("4.7 valid_until equal to valid_from", "indicator", {"valid_from": "2024-01-01T00:00:00Z", "valid_until": "2024-01-01T00:00:00.000Z"}, "invalid-time"),
    ("4.2 last_seen before first_seen", "campaign", {"first_seen": "2024-01-02T00:00:00Z", "last_seen": "2024-01-01T00:00:00Z"}, "invalid-time"),
    ("4.8 infrastructure last_seen", "infrastructure", {"first_seen": "2024-01-02T00:00:00Z", "last_seen": "2024-01-01T00:00:00Z"}, "invalid-time"),
    ("4.9 intrusion-set last_seen", "intrusion-set", {"first_seen": "2024-01-02T00:00:00Z", "last_seen": "2024-01-01T00:00:00Z"}, "invalid-time"),
    ("4.11 malware last_seen", "malware", {"first_seen": "2024-01-02T00:00:00Z", "last_seen": "2024-01-01T00:00:00Z"}, "invalid-time"),
    ("4.17 threat-actor last_seen", "threat-actor", {"first_seen": "2024-01-02T00:00:00Z", "last_seen": "2024-01-01T00:00:00Z"}, "invalid-time"),
    ("4.14 last_observed before first_observed", "observed-data", {"last_observed": "2021-01-01T00:00:00Z"}, "invalid-time"),
    ("5.1 stop_time equal to start_time", "relationship", {"start_time": "2024-01-01T00:00:00Z", "stop_time": "2024-01-01T00:00:00Z"}, "invalid-time"),
    ("5.2 sighting last_seen", "sighting", {"first_seen": "2024-01-02T00:00:00Z", "last_seen": "2024-01-01T00:00:00Z"}, "invalid-time"),
    ("6.12 end before start", "network-traffic", {"start": "2024-01-02T00:00:00Z", "end": "2024-01-01T00:00:00Z", "is_active": False}, "invalid-time"),
    ("ahead of the clock", "tool", {"modified": "2098-01-01T00:00:00.000Z"}, "future-time"),
    ("created ahead of the clock", "marking-definition", {"created": "2098-01-01T00:00:00.000Z"}, "future-time"),
    # --- common properties: 3.2 ---
    ("3.2 confidence over 100", "tool", {"confidence": 101}, "invalid-schema"),
    ("3.2 confidence no integer", "tool", {"confidence": 1.5}, "invalid-schema"),
    ("3.2 revoked no boolean", "tool", {"revoked": "false"}, "invalid-schema"),
    ("2.8 labels empty", "tool", {"labels": []}, "invalid-schema"),
    ("2.8 labels of numbers", "tool", {"labels": [1]}, "invalid-schema"),
    ("3.1 null property", "tool", {"description": None}, "invalid-schema"),
    ("3.2 lang no language", "tool", {"lang": "no such language"}, "invalid-schema"),
    ("3.8 reserved property name", "tool", {"severity": 3}, "invalid-schema"),
    ("3.2 created_by_ref to a tool", "malware", {"created_by_ref": f"tool--{OTHER}"}, "invalid-reference"),
    ("3.2 created_by_ref no identifier", "malware", {"created_by_ref": "Port of Long Beach"}, "invalid-reference"),
    ("11.1 custom name in capitals", "tool", {"xPort": 1}, "invalid-schema"),
    ("11.1 custom name of two letters", "tool", {"xy": 1}, "invalid-schema"),
    ("11.1 custom name with a hyphen", "tool", {"x-port": 1}, "invalid-schema"),
    ("11.1 custom name of 251 letters", "tool", {"x" * 251: 1}, "invalid-schema"),
    ("2.8 custom list empty", "tool", {"x_port": []}, "invalid-schema"),
    ("11.2 custom type with an underscore", "x-crane", {"type": "x_crane", "id": f"x_crane--{OTHER}"}, "invalid-id"),
    # --- external references, kill chains, hashes, extensions: 2.5, 2.7, 2.11, 7.3 ---
    ("2.5 source_name missing", "tool", {"external_references": [{"url": "https://example.com/"}]}, "invalid-schema"),
    ("2.5 only a source_name", "tool", {"external_references": [{"source_name": "x"}]}, "invalid-schema"),
    ("2.5 no URL", "tool", {"external_references": [{"source_name": "x", "url": "not a url"}]}, "invalid-schema"),
    ("2.5 cve without a CVE id", "vulnerability", {"external_references": [{"source_name": "cve", "external_id": "2024-1"}]}, "invalid-schema"),
    ("2.5 capec without a CAPEC id", "attack-pattern", {"external_references": [{"source_name": "capec", "external_id": "163"}]}, "invalid-schema"),
    ("2.11 phase_name missing", "tool", {"kill_chain_phases": [{"kill_chain_name": "x"}]}, "invalid-schema"),
    ("2.7 SHA-256 of 63 digits", "file", {"hashes": {"SHA-256": "a" * 63}}, "invalid-schema"),
    ("2.7 MD5 with a letter g", "file", {"hashes": {"MD5": "g" * 32}}, "invalid-schema"),
    ("7.3 extension without type", "tool", file_ext(f"extension-definition--{OTHER}", {"x": 1}), "invalid-schema"),
    ("7.3 extension of an unknown type", "tool", file_ext(f"extension-definition--{OTHER}", {"extension_type": "x"}), "invalid-schema"),
    ("7.3 extension key that is none", "tool", file_ext("my extension", {"extension_type": "property-extension"}), "invalid-schema"),
    ("2.6 extensions empty", "tool", {"extensions": {}}, "invalid-schema"),
    # --- domain objects: 4 ---
    ("4.1 attack-pattern name", "attack-pattern", without("name"), "invalid-schema"),
    ("4.2 campaign name", "campaign", without("name"), "invalid-schema"),
    ("4.3 course-of-action name", "course-of-action", without("name"), "invalid-schema"),
    ("4.4 grouping context", "grouping", without("context"), "invalid-schema"),
    ("4.4 grouping object_refs empty", "grouping", {"object_refs": []}, "invalid-schema"),
    ("4.4 grouping of a bundle", "grouping", {"object_refs": [f"bundle--{OTHER}"]}, "invalid-reference"),
    ("4.5 identity name", "identity", without("name"), "invalid-schema"),
    ("4.6 incident name", "incident", without("name"), "invalid-schema"),
    ("4.7 indicator pattern", "indicator", without("pattern"), "invalid-schema"),
    ("4.7 indicator pattern_type", "indicator", without("pattern_type"), "invalid-schema"),
    ("4.7 indicator valid_from", "indicator", without("valid_from"), "invalid-schema"),
    ("4.7 pattern is none", "indicator", {"pattern": "ipv4-addr:value = '192.0.2.1'"}, "invalid-pattern"),
    ("9 pattern empty", "indicator", {"pattern": ""}, "invalid-pattern"),
    ("9 pattern with a hash too short", "indicator", {"pattern": "[file:hashes.MD5 = 'f00']"}, "invalid-pattern"),
    ("4.8 infrastructure name", "infrastructure", without("name"), "invalid-schema"),
    ("4.9 intrusion-set name", "intrusion-set", without("name"), "invalid-schema"),
    ("4.10 location without a place", "location", without("country"), "invalid-schema"),
    ("4.10 latitude without longitude", "location", {"latitude": 33.7}, "invalid-schema"),
    ("4.10 latitude over 90", "location", {"latitude": 90.5, "longitude": 1.5}, "invalid-schema"),
    ("4.10 precision without a position", "location", {"precision": 10.0}, "invalid-schema"),
    ("4.11 is_family", "malware", without("is_family"), "invalid-schema"),
    ("4.11 family without a name", "malware", lambda value: (value.update(is_family=True), value.pop("name")), "invalid-schema"),
    ("4.11 sample_refs to a tool", "malware", {"sample_refs": [f"tool--{OTHER}"]}, "invalid-reference"),
    ("4.11 operating_system_refs to a tool", "malware", {"operating_system_refs": [f"tool--{OTHER}"]}, "invalid-schema"),
    ("4.12 malware-analysis product", "malware-analysis", without("product"), "invalid-schema"),
    ("4.12 neither result nor observables", "malware-analysis", without("result"), "invalid-schema"),
    ("4.12 analysis_sco_refs to a tool", "malware-analysis", {"analysis_sco_refs": [f"tool--{OTHER}"]}, "invalid-reference"),
    ("4.12 sample_ref to a url", "malware-analysis", {"sample_ref": f"url--{OTHER}"}, "invalid-schema"),
    ("4.13 note content", "note", without("content"), "invalid-schema"),
    ("4.13 note object_refs", "note", without("object_refs"), "invalid-schema"),
    ("4.14 number_observed 0", "observed-data", {"number_observed": 0}, "invalid-schema"),
    ("4.14 number_observed 1000000000", "observed-data", {"number_observed": 1_000_000_000}, "invalid-schema"),
    ("4.14 neither objects nor object_refs", "observed-data", without("object_refs"), "invalid-schema"),
    ("4.14 object_refs to a tool", "observed-data", {"object_refs": [f"url--{OTHER}", f"tool--{OTHER}"]}, "invalid-reference"),
    ("4.14 object_refs without an observable", "observed-data", {"object_refs": [f"relationship--{OTHER}"]}, "invalid-reference"),
    ("4.15 opinion value", "opinion", {"opinion": "maybe"}, "invalid-schema"),
    ("4.16 report published", "report", without("published"), "invalid-schema"),
    ("4.16 report object_refs no identifier", "report", {"object_refs": ["x"]}, "invalid-schema"),
    ("4.17 threat-actor name", "threat-actor", without("name"), "invalid-schema"),
    ("4.18 tool name", "tool", without("name"), "invalid-schema"),
    ("4.19 vulnerability name", "vulnerability", without("name"), "invalid-schema"),
    # --- relationships: 5 ---
    ("5.1 relationship_type", "relationship", without("relationship_type"), "invalid-schema"),
    ("5.1 relationship_type in capitals", "relationship", {"relationship_type": "Uses"}, "invalid-schema"),
    ("5.1 source_ref to a relationship", "relationship", {"source_ref": f"relationship--{OTHER}"}, "invalid-schema"),
    ("5.1 target_ref to a marking", "relationship", {"target_ref": GREEN}, "invalid-schema"),
    ("5.2 sighting_of_ref", "sighting", without("sighting_of_ref"), "invalid-schema"),
    ("5.2 sighting of a sighting", "sighting", {"sighting_of_ref": f"sighting--{OTHER}"}, "invalid-schema"),
    ("5.2 sighting of an observable", "sighting", {"sighting_of_ref": f"ipv4-addr--{OTHER}"}, "invalid-reference"),
    ("5.2 count over 999999999", "sighting", {"count": 1_000_000_000}, "invalid-schema"),
    ("5.2 count negative", "sighting", {"count": -1}, "invalid-schema"),
    ("5.2 where_sighted_refs to a tool", "sighting", {"where_sighted_refs": [f"tool--{OTHER}"]}, "invalid-schema"),
    # --- observables: 6 ---
    ("6.1 artifact with payload and url", "artifact", {"payload_bin": "aGk=", "url": "https://example.com/", "hashes": {"MD5": "a" * 32}}, "invalid-schema"),
    ("6.1 payload no base64", "artifact", {"payload_bin": "?"}, "invalid-schema"),
    ("6.2 number missing", "autonomous-system", without("number"), "invalid-schema"),
    ("6.3 contains_refs to a tool", "directory", {"contains_refs": [f"tool--{OTHER}"]}, "invalid-reference"),
    ("6.3 path missing", "directory", without("path"), "invalid-schema"),
    ("6.4 no domain name", "domain-name", {"value": "a b.example"}, "invalid-schema"),
    ("6.4 resolves to a file", "domain-name", {"resolves_to_refs": [f"file--{OTHER}"]}, "invalid-reference"),
    ("6.5 no e-mail address", "email-addr", {"value": "john at example.com"}, "invalid-schema"),
    ("6.5 belongs to a file", "email-addr", {"belongs_to_ref": f"file--{OTHER}"}, "invalid-reference"),
    ("6.6 is_multipart missing", "email-message", without("is_multipart"), "invalid-schema"),
    ("6.6 body of a multipart", "email-message", lambda value: (value.update(is_multipart=True, body="x"), value.pop("body_multipart", None)), "invalid-schema"),
    ("6.6 from a file", "email-message", {"from_ref": f"file--{OTHER}"}, "invalid-reference"),
    ("6.7 neither name nor hashes", "file", lambda value: (value.pop("name"), value.pop("hashes")), "invalid-schema"),
    ("6.7 size negative", "file", {"size": -1}, "invalid-schema"),
    ("6.7 parent no directory", "file", {"parent_directory_ref": f"file--{OTHER}"}, "invalid-reference"),
    ("6.7 contains a tool", "file", {"contains_refs": [f"tool--{OTHER}"]}, "invalid-reference"),
    ("6.7.2 archive without members", "file", file_ext("archive-ext", {"comment": "x"}), "invalid-schema"),
    ("6.7.2 archive of urls", "file", file_ext("archive-ext", {"contains_refs": [f"url--{OTHER}"]}), "invalid-reference"),
    ("6.8 no IPv4 address", "ipv4-addr", {"value": "192.0.2.256"}, "invalid-schema"),
    ("6.8 prefix 33", "ipv4-addr", {"value": "192.0.2.0/33"}, "invalid-schema"),
    ("6.9 no IPv6 address", "ipv6-addr", {"value": "2001:db8:::1"}, "invalid-schema"),
    ("6.10 MAC in capitals", "mac-addr", {"value": "D2:FB:49:24:37:18"}, "invalid-schema"),
    ("6.11 mutex name", "mutex", without("name"), "invalid-schema"),
    ("6.12 protocols empty", "network-traffic", {"protocols": []}, "invalid-schema"),
    ("6.12 neither source nor destination", "network-traffic", lambda value: (value.pop("src_ref", 0), value.pop("dst_ref", 0)), "invalid-schema"),
    ("6.12 port 65536", "network-traffic", {"src_port": 65536}, "invalid-schema"),
    ("6.12 active with an end", "network-traffic", {"is_active": True, "end": "2024-01-01T00:00:00Z"}, "invalid-schema"),
    ("6.12 source is a file", "network-traffic", {"src_ref": f"file--{OTHER}"}, "invalid-reference"),
    ("6.13 process with nothing", "process", lambda value: [value.pop(name) for name in list(value) if name not in ("type", "id", "spec_version")], "invalid-schema"),
    ("6.13 parent no process", "process", {"parent_ref": f"file--{OTHER}"}, "invalid-reference"),
    ("6.14 software name", "software", without("name"), "invalid-schema"),
    ("6.15 no URL", "url", {"value": "example dot com"}, "invalid-schema"),
    ("6.16 account with nothing", "user-account", lambda value: [value.pop(name) for name in list(value) if name not in ("type", "id", "spec_version")], "invalid-schema"),
    ("6.17 hive abbreviated", "windows-registry-key", {"key": "HKLM\\System"}, "invalid-schema"),
    ("6.17 data_type unknown", "windows-registry-key", {"values": [{"data_type": "REG_X"}]}, "invalid-schema"),
    ("6.18 certificate with nothing", "x509-certificate", lambda value: [value.pop(name) for name in list(value) if name not in ("type", "id", "spec_version")], "invalid-schema"),
    # --- meta objects: 7 ---
    ("7.1 contents missing", "language-content", without("contents"), "invalid-schema"),
    ("7.1 key no language", "language-content", {"contents": {"klingonisch": {"name": "x"}}}, "invalid-schema"),
    ("7.1 content of a language-content", "language-content", {"object_ref": f"language-content--{OTHER}"}, "invalid-schema"),
    ("7.2 marking no list", "tool", {"object_marking_refs": GREEN}, "invalid-marking"),
    ("7.2 marked with an identity", "tool", {"object_marking_refs": [f"identity--{OTHER}"]}, "invalid-reference"),
    ("7.2 marked with itself", "marking-definition", lambda value: value.update(object_marking_refs=[value["id"]]), "invalid-marking"),
    ("7.2 granular marking of itself", "marking-definition", lambda value: value.update(granular_markings=[{"selectors": ["created"], "marking_ref": value["id"]}]), "invalid-marking"),
    ("7.2.1 definition missing", "marking-definition", without("definition"), "invalid-schema"),
    ("7.2.1.4 TLP under another id", "marking-definition", {"definition_type": "tlp", "definition": {"tlp": "red"}}, "invalid-marking"),
    ("7.2.1.4 TLP:RED that says white", "marking-definition", {"id": "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed", "created": "2017-01-20T00:00:00.000Z", "definition_type": "tlp", "name": "TLP:RED", "definition": {"tlp": "white"}}, "invalid-marking"),
    ("7.2.3 selectors empty", "tool", {"granular_markings": [{"selectors": [], "marking_ref": GREEN}]}, "invalid-schema"),
    ("7.2.3 neither lang nor marking_ref", "tool", {"granular_markings": [{"selectors": ["name"]}]}, "invalid-schema"),
    ("7.2.3 both lang and marking_ref", "tool", marked("name", lang="en"), "invalid-schema"),
    ("7.2.3 granular lang no language", "tool", {"granular_markings": [{"selectors": ["name"], "lang": "no such"}]}, "invalid-schema"),
    ("7.2.3 marking_ref to an identity", "tool", {"granular_markings": [{"selectors": ["name"], "marking_ref": f"identity--{OTHER}"}]}, "invalid-reference"),
    ("7.2.3.1 selector of nothing", "tool", marked("no_such_property"), "invalid-selector"),
    ("7.2.3.1 selector beyond a list", "tool", {"labels": ["x"], **marked("labels.[1]")}, "invalid-selector"),
    ("7.2.3.1 selector through a string", "tool", marked("name.first"), "invalid-selector"),
    ("7.2.3.1 selector of an index of an object", "tool", marked("[0]"), "invalid-schema"),
    ("7.3.1 schema missing", "extension-definition", without("schema"), "invalid-schema"),
    ("7.3.1 creator missing", "extension-definition", without("created_by_ref"), "invalid-schema"),
    ("7.3.1 extension_types unknown", "extension-definition", {"extension_types": ["x"]}, "invalid-schema"),
    ("7.3.1 extension_properties of a property extension", "extension-definition", {"extension_properties": ["x_a"]}, "invalid-schema"),
]

STIX2_TAKES: dict[str, list[str]] = {
    "it fills in what is missing": [
        "3.2 id missing", "3.2 created missing", "3.2 modified missing", "4.7 indicator valid_from",
    ],
    "it is told the version and does not look": ["3.2 spec_version missing on a 2.1 type"],
    "it passes over what it does not know": ["3.2 type no string", "8 bundle inside"],
    "with custom content allowed it keeps values that it would otherwise refuse": [
        "3.2 modified before created", "3.2 confidence over 100", "3.2 lang no language",
        "3.8 reserved property name", "11.1 custom name in capitals", "11.1 custom name of two letters",
        "11.1 custom name with a hyphen", "11.1 custom name of 251 letters", "2.8 custom list empty",
        "11.2 custom type with an underscore", "7.3 extension without type", "7.3 extension of an unknown type",
        "7.3 extension key that is none", "4.12 sample_ref to a url", "7.2 marked with itself",
        "7.2 granular marking of itself",
    ],
    "it converts values": [
        "2.9 id with other digits", "2.16 other digits", "3.2 confidence no integer", "3.2 revoked no boolean",
        "2.8 labels of numbers", "7.2 marking no list",
    ],
    "it drops what is empty": ["2.8 labels empty", "3.1 null property", "2.6 extensions empty"],
    "it checks no formats": [
        "2.5 no URL", "2.5 cve without a CVE id", "2.5 capec without a CAPEC id", "5.1 relationship_type in capitals",
        "6.4 no domain name", "6.5 no e-mail address", "6.8 no IPv4 address", "6.8 prefix 33",
        "6.9 no IPv6 address", "6.10 MAC in capitals", "6.15 no URL", "6.17 hive abbreviated",
        "7.1 key no language", "7.2.3 granular lang no language",
    ],
    "it does not know the rule": [
        "4.4 grouping of a bundle", "4.14 object_refs without an observable", "6.16 account with nothing",
        "7.1 content of a language-content", "7.3.1 extension_properties of a property extension",
    ],
    "it is a setting of the collection, no rule of STIX": ["ahead of the clock", "created ahead of the clock"],
}
VALIDATOR_TAKES: dict[str, list[str]] = {
    "its pattern takes a final line feed": ["2.9 id with a line feed"],
    "it checks a bundle as a bundle": ["8 bundle inside"],
    "its schema of observables takes both versions": ["3.2 spec_version 2.0 on an observable"],
    "its pattern of names has no end": ["11.1 custom name of 251 letters"],
    "it does not look at the types of these references": [
        "3.2 created_by_ref to a tool", "4.4 grouping of a bundle", "4.11 sample_refs to a tool",
        "4.12 analysis_sco_refs to a tool", "4.14 object_refs to a tool", "4.14 object_refs without an observable",
        "5.2 sighting of an observable", "6.3 contains_refs to a tool", "6.4 resolves to a file",
        "6.5 belongs to a file", "6.6 from a file", "6.7 parent no directory", "6.7 contains a tool",
        "6.7.2 archive of urls", "6.12 source is a file", "6.13 parent no process", "7.2 marked with an identity",
    ],
    "it does not know the rule": ["7.2.3 both lang and marking_ref", "7.3.1 creator missing"],
    "it is a setting of the collection, no rule of STIX": ["ahead of the clock", "created ahead of the clock"],
}


# fmt: on


def made(stix_type: str, change: Change) -> dict[str, Any]:
    value = base(stix_type)
    if callable(change):
        change(value)
    else:
        value |= change
    return value


def refusals(value: Any, settings: CollectionSettings | None = None) -> list[Refusal]:
    items = INGEST.read_envelope(json.dumps({"objects": [value]}).encode())
    candidates, refused = INGEST.check(items, settings or CollectionSettings(), NOW)
    assert len(candidates) + len(refused) == 1
    return refused


NAMES = [case[0] for case in CASES]


def test_every_case_has_its_own_name() -> None:
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("stix_type", sorted({case[1] for case in CASES}))
def test_without_its_violation_the_object_is_taken_by_all(stix_type: str) -> None:
    value = base(stix_type)
    assert refusals(value) == []
    assert stix_oracles.stix2_takes(value)
    assert stix_oracles.validator_takes(value)


@pytest.mark.parametrize(("name", "stix_type", "change", "rule"), CASES, ids=NAMES)
def test_one_violation_is_refused_by_its_rule(name: str, stix_type: str, change: Change, rule: str) -> None:
    value = made(stix_type, change)
    (refusal,) = refusals(value)
    assert refusal.rule == rule, refusal.message
    assert refusal.position == 0
    assert len(refusal.message) <= 600
    assert refusal.message.isprintable()
    if refusal.id == UNKNOWN_ID:
        assert refusal.message.startswith("object at position 0: ")
    else:
        assert refusal.id == value["id"]


@pytest.mark.parametrize(("name", "stix_type", "change", "rule"), CASES, ids=NAMES)
def test_the_oracles_refuse_it_too_but_for_the_listed_cases(
    name: str, stix_type: str, change: Change, rule: str
) -> None:
    value = made(stix_type, change)
    assert stix_oracles.stix2_takes(value) == any(name in names for names in STIX2_TAKES.values())
    assert stix_oracles.validator_takes(value) == any(name in names for names in VALIDATOR_TAKES.values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": 7}, ["7 must be of type string", "(at /name)", "STIX 2.1"]),
        ({"x" * 300: 1}, ['xxx..."', "11.1"]),
        (
            {"external_references": [{"source_name": "x", "url": "no " * 400}]},
            ["/external_references/0/url", "RFC 3986"],
        ),
        (
            {"kill_chain_phases": [{"kill_chain_name": "x"}]},
            ["'phase_name' is missing", "/kill_chain_phases/0"],
        ),
        ({"created": "x" * 5000}, ["created", "2026-04-01T12:00:00.000Z"]),
        (
            {"labels": ["\x1b[2J\u202e"], "confidence": "\x1b[2J\u202e"},
            ['"\\u001b[2J\\u202e" must be of type integer'],
        ),
    ],
)
def test_a_message_says_what_where_and_what_to_do_and_echoes_little(change: Change, words: list[str]) -> None:
    (refusal,) = refusals(made("tool", change))
    for word in words:
        assert word in refusal.message
    assert len(refusal.message) < 400
    assert refusal.message.isprintable()
