"""What is published in the benchmarks: made-up STIX 2.1 objects of about 640 bytes each.

The addresses are of the documentation ranges (RFC 5737), ids are random: an index over them sees no order.
Words and hashes vary, so that a page packs about as well as real ones do, not better.
Of 100 objects 96 are indicators, 2 malware, 2 are observables (addresses, which have no version).
"""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
STAMP = "2026-04-01T12:00:00.000Z"
_VOCABULARY = """
access account address after agent alert analyst archive attempt badge backup barge beacon berth
bridge broker bundle cable camera cargo carrier channel client command contact container control
crane customs dispatch dock domain dredge drive engine export failure fender ferry file firewall
folder forward freight gate gateway harbor host import index invoice kernel label ledger link loader
login macro mail manifest module mooring name network office operator outage parser payload pilot
port process proxy query quay rail relay remote replay report response route router sample scan
schedule script sensor server service session shell signal source station storage stream switch
system tanker target terminal ticket token traffic tug tunnel update upload user valve vendor vessel
visitor warning weather window worker yard
"""
_WORDS = _VOCABULARY.split()


def make_object(kind: str, object_id: str, number: int) -> dict[str, Any]:
    """Return one object; `number` only varies the content."""
    source = random.Random(number)
    address = f"203.0.113.{number % 254 + 1}"
    text = " ".join(source.choices(_WORDS, k=24)).capitalize() + "."
    common = {
        "spec_version": "2.1",
        "id": object_id,
        "type": kind,
        "object_marking_refs": [GREEN],
    }
    if kind == "ipv4-addr":
        return {**common, "value": address}
    domain = {**common, "created": STAMP, "modified": STAMP, "name": f"Sample {number}", "description": text}
    if kind == "malware":
        return {**domain, "is_family": False, "malware_types": ["remote-access-trojan"]}
    if number % 3 == 0:
        pattern = f"[file:hashes.'SHA-256' = '{source.randbytes(32).hex()}']"
    else:
        pattern = f"[ipv4-addr:value = '{address}']"
    return {
        **domain,
        "indicator_types": ["malicious-activity"],
        "pattern": pattern,
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
