"""What is published in the benchmarks: made-up STIX 2.1 objects of about 640 bytes each.

The addresses are of the documentation ranges (RFC 5737), ids are random: an index over them sees no order.
Of 100 objects 96 are indicators, 2 malware, 2 are observables (addresses, which have no version).
"""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
STAMP = "2026-04-01T12:00:00.000Z"
_TEXT = (
    "Seen in the logs of a terminal's remote access gateway: repeated attempts to log in with names of "
    "crane operators from one address within a minute, then a successful one from another. Benchmark data."
)


def make_object(kind: str, object_id: str, number: int) -> dict[str, Any]:
    """Return one object; `number` only varies the content."""
    address = f"203.0.113.{number % 254 + 1}"
    common = {
        "spec_version": "2.1",
        "id": object_id,
        "type": kind,
        "object_marking_refs": [GREEN],
    }
    if kind == "ipv4-addr":
        return {**common, "value": address}
    domain = {**common, "created": STAMP, "modified": STAMP, "name": f"Sample {number}", "description": _TEXT}
    if kind == "malware":
        return {**domain, "is_family": False, "malware_types": ["remote-access-trojan"]}
    return {
        **domain,
        "indicator_types": ["malicious-activity"],
        "pattern": f"[ipv4-addr:value = '{address}']",
        "pattern_type": "stix",
        "pattern_version": "2.1",
        "valid_from": STAMP,
        "labels": ["benchmark", "remote-access"],
    }


def kind_of(number: int) -> str:
    """Return the type of the object at this place."""
    place = number % 50
    return "malware" if place == 7 else "ipv4-addr" if place == 31 else "indicator"


def make_objects(count: int, seed: int, *, versioned_only: bool = False) -> list[dict[str, Any]]:
    """Return `count` objects with random ids from `seed`; `versioned_only` leaves observables out."""
    source = random.Random(seed)
    made = []
    for number in range(count):
        kind = kind_of(number)
        if versioned_only and kind == "ipv4-addr":
            kind = "indicator"
        one = uuid.UUID(int=source.getrandbits(128), version=4)
        made.append(make_object(kind, f"{kind}--{one}", number))
    return made


def envelope(objects: list[dict[str, Any]]) -> bytes:
    """Return the body of a TAXII POST."""
    return json.dumps({"objects": objects}, separators=(",", ":")).encode()


def template(count: int, *, versioned_only: bool = False) -> bytes:
    """Return an envelope in which `@@` stands for the UUID of each object, for the generators to fill."""
    objects = make_objects(count, 0, versioned_only=versioned_only)
    for one in objects:
        one["id"] = f"{one['type']}--@@"
    return envelope(objects)
