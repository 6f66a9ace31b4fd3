"""TLP markings: the ids that carry a level, the level of an object, and the shipped definitions.

TLP 2.0 as FIRST and OASIS publish it (a marking-definition with the extension `tlp_2_0`), and the four TLP 1
definitions that STIX 2.1 section 7.2.1.4 builds in, read as the TLP 2.0 level of the same colour and never
rewritten. Statement and language markings carry no level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from lightship.core.collection import LEVELS, Level
from lightship.core.stix.json import canonical

TLP2_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"

TLP2_IDS: Mapping[Level, str] = MappingProxyType(
    {
        Level.CLEAR: "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
        Level.GREEN: "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
        Level.AMBER: "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
        Level.AMBER_STRICT: "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
        Level.RED: "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
    }
)
_TLP1 = {
    "white": (Level.CLEAR, "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"),
    "green": (Level.GREEN, "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"),
    "amber": (Level.AMBER, "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"),
    "red": (Level.RED, "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"),
}

LEVEL_OF: Mapping[str, Level] = MappingProxyType(
    {stix_id: level for level, stix_id in TLP2_IDS.items()} | {one: level for level, one in _TLP1.values()}
)
"""Marking-definition id -> level, for all nine definitions that carry one."""

_RANK_OF = {one: LEVELS.index(level) for one, level in LEVEL_OF.items()}


def _tlp2(level: Level) -> dict[str, Any]:
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": TLP2_IDS[level],
        "created": "2022-10-01T00:00:00.000Z",
        "name": f"TLP:{level.upper()}",
        "extensions": {TLP2_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": level.value}},
    }


def _tlp1(colour: str, stix_id: str) -> dict[str, Any]:
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": stix_id,
        "created": "2017-01-20T00:00:00.000Z",
        "definition_type": "tlp",
        "name": f"TLP:{colour.upper()}",
        "definition": {"tlp": colour},
    }


SHIPPED: Mapping[str, bytes] = MappingProxyType(
    {TLP2_IDS[level]: canonical(_tlp2(level)) for level in Level}
    | {stix_id: canonical(_tlp1(colour, stix_id)) for colour, (_level, stix_id) in _TLP1.items()}
)
"""Marking-definition id -> its one true form as JCS bytes."""

_SHIPPED_20 = frozenset(
    canonical(
        {name: value for name, value in _tlp1(colour, one).items() if name not in ("spec_version", "name")}
    )
    for colour, (_level, one) in _TLP1.items()
)


def level_of(value: Mapping[str, Any]) -> Level | None:
    """Return the strictest TLP level that an object or a part of it is marked with; None if unmarked.

    `value` is a decoded STIX object in which `object_marking_refs` and `granular_markings` may have any form.
    A UUID in capitals is the same UUID (RFC 4122 section 3).
    """
    return level_and_cites(value)[0]


def level_and_cites(value: Mapping[str, Any]) -> tuple[Level | None, tuple[str, ...]]:
    """Return the level as `level_of`, and the other markings that are cited: ids in lower case, each once."""
    strictest = -1
    others: dict[str, None] = {}
    refs = value.get("object_marking_refs")
    found = [ref.lower() for ref in refs if isinstance(ref, str)] if isinstance(refs, list) else []
    if "granular_markings" in value:
        found = [ref for _, ref in markings_of(value)]
    for ref in found:
        rank = _RANK_OF.get(ref)
        if rank is None:
            others[ref] = None
        elif rank > strictest:
            strictest = rank
    return (LEVELS[strictest] if strictest >= 0 else None), tuple(others)


def markings_of(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, marking-definition id in lower case) of each marking of an object or its parts.

    `value` is a decoded STIX object as for `level_of`; what is no string is passed over.
    """
    refs = value.get("object_marking_refs")
    if isinstance(refs, list):
        for index, ref in enumerate(refs):
            if isinstance(ref, str):
                yield f"/object_marking_refs/{index}", ref.lower()
    granular = value.get("granular_markings")
    if isinstance(granular, list):
        for index, marking in enumerate(granular):
            ref = marking.get("marking_ref") if isinstance(marking, dict) else None
            if isinstance(ref, str):
                yield f"/granular_markings/{index}/marking_ref", ref.lower()


def is_false_tlp(value: Mapping[str, Any], written: bytes) -> bool:
    """True for a marking-definition that claims to be TLP and is not: other content under a shipped id, or
    TLP content under another id. `written` is its JCS form."""
    stix_id = value.get("id")
    if isinstance(stix_id, str) and stix_id in SHIPPED:
        return written != SHIPPED[stix_id] and written not in _SHIPPED_20
    extensions = value.get("extensions")
    return value.get("definition_type") == "tlp" or (
        isinstance(extensions, dict) and TLP2_EXTENSION in extensions
    )
