"""Small valid STIX objects for tests, and what is wrong with the hostile ones.

Addresses and names are those reserved for documentation. Every call makes a new id unless one is given.
"""

from __future__ import annotations

import uuid
from typing import Any

Stix = dict[str, Any]

CREATED = "2026-01-05T08:00:00.000Z"
SHARING_TERMS = "extension-definition--695b6cb5-8427-41b0-898f-55fbfa8c8bbe"


def new_id(kind: str) -> str:
    """Return a fresh STIX id."""
    return f"{kind}--{uuid.uuid4()}"


def indicator(modified: str = CREATED, **over: Any) -> Stix:
    """Return an indicator; `modified` is its version."""
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": new_id("indicator"),
        "created": CREATED,
        "modified": modified,
        "name": "Beacon to a documentation address",
        "pattern": "[ipv4-addr:value = '192.0.2.7']",
        "pattern_type": "stix",
        "valid_from": CREATED,
        **over,
    }


def indicator_20(modified: str = CREATED, **over: Any) -> Stix:
    """Return an indicator of STIX 2.0: no spec_version, labels required."""
    return {
        "type": "indicator",
        "id": new_id("indicator"),
        "created": CREATED,
        "modified": modified,
        "labels": ["malicious-activity"],
        "name": "Beacon, as STIX 2.0 writes it",
        "pattern": "[ipv4-addr:value = '192.0.2.8']",
        "valid_from": CREATED,
        **over,
    }


def malware(modified: str = CREATED, **over: Any) -> Stix:
    """Return a malware object."""
    return {
        "type": "malware",
        "spec_version": "2.1",
        "id": new_id("malware"),
        "created": CREATED,
        "modified": modified,
        "name": "Harbour Rat",
        "is_family": False,
        **over,
    }


def identity(modified: str = CREATED, **over: Any) -> Stix:
    """Return an identity."""
    return {
        "type": "identity",
        "spec_version": "2.1",
        "id": new_id("identity"),
        "created": CREATED,
        "modified": modified,
        "name": "A terminal",
        "identity_class": "organization",
        **over,
    }


def address(value: str = "192.0.2.7", **over: Any) -> Stix:
    """Return an observable: neither created nor modified."""
    return {
        "type": "ipv4-addr",
        "spec_version": "2.1",
        "id": f"ipv4-addr--{uuid.uuid5(uuid.NAMESPACE_URL, value)}",
        "value": value,
        **over,
    }


def software(**over: Any) -> Stix:
    """Return an observable with a property of its own named `version`."""
    return {
        "type": "software",
        "spec_version": "2.1",
        "id": f"software--{uuid.uuid4()}",
        "name": "Terminal operating system",
        "version": "7.1",
        **over,
    }


def sharing_terms(agreement: str, **terms: Any) -> Stix:
    """Return a marking definition with these terms, such as `release_at`."""
    content = {"extension_type": "property-extension", "agreement": agreement, **terms}
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": new_id("marking-definition"),
        "created": CREATED,
        "name": "Terms",
        "extensions": {SHARING_TERMS: content},
    }


def statement_marking(**over: Any) -> Stix:
    """Return a marking definition: created, but never modified."""
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": new_id("marking-definition"),
        "created": "2026-01-05T08:00:00.123Z",
        "definition_type": "statement",
        "definition": {"statement": "For the exercise only"},
        **over,
    }


def extension_definition(**over: Any) -> Stix:
    """Return an extension definition: it has `version` beside `modified`."""
    return {
        "type": "extension-definition",
        "spec_version": "2.1",
        "id": new_id("extension-definition"),
        "created_by_ref": "identity--2b3c1f0e-5a63-4c3e-9c0a-7f3ed1b1a111",
        "created": CREATED,
        "modified": CREATED,
        "name": "Berth",
        "schema": "https://example.com/berth.json",
        "version": "1.2.1",
        "extension_types": ["property-extension"],
        **over,
    }


def relationship(source: str, target: str, **over: Any) -> Stix:
    """Return a relationship between two ids."""
    return {
        "type": "relationship",
        "spec_version": "2.1",
        "id": new_id("relationship"),
        "created": CREATED,
        "modified": CREATED,
        "relationship_type": "indicates",
        "source_ref": source,
        "target_ref": target,
        **over,
    }


def custom(**over: Any) -> Stix:
    """Return an object of a custom type."""
    return {
        "type": "x-harbour-berth",
        "spec_version": "2.1",
        "id": new_id("x-harbour-berth"),
        "created": CREATED,
        "modified": CREATED,
        "berth_number": 42,
        **over,
    }
