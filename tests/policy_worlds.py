"""A small agreement for tests of rules and of markings: three ports, one of them abroad, and an auditor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lightship.core.access import Principal
from lightship.core.agreement import Agreement, Member
from lightship.core.collection import Candidate, Collection, CollectionSettings, Level
from lightship.core.stix.ingest import Ingest
from lightship.core.time import Micros
from lightship.data import extension_schemas, stix_schemas

BEGIN, NOW, END = Micros(1_000_000), Micros(1_780_000_000_000_000), Micros(1_900_000_000_000_000)
LAX, LGB, TYO, STRANGER = (f"identity--{digit * 8}-1111-4111-8111-111111111111" for digit in "1239")
PORTS = frozenset({"uslax", "uslgb", "jptyo"})
INGEST = Ingest(stix_schemas(), extension_schemas())

_MEMBERS = (
    ("uslax", "US", "port-authority", LAX, ("publisher", "consumer")),
    ("uslgb", "US", "port-authority", LGB, ("publisher", "consumer")),
    ("jptyo", "JP", "port-authority", TYO, ("publisher", "consumer")),
    ("watch", "US", "labor", "", ("auditor",)),
)


def place(
    audience: frozenset[str] = PORTS,
    ceiling: Level = Level.RED,
    alias: str = "indicators",
    number: int = 1,
    **settings: Any,
) -> Collection:
    """Return a collection of the agreement; everybody who reads it publishes too."""
    return Collection(
        number,
        f"id-{alias}",
        "mou",
        alias,
        "T",
        "",
        ceiling,
        audience,
        audience,
        CollectionSettings(**settings),
    )


def mou(
    *collections: Collection, rules: str = "", version: int = 1, members: Mapping[str, Member] | None = None
) -> Agreement:
    """Return the agreement; `members` beside the four."""
    known = {
        slug: Member(
            slug,
            slug,
            f"{country}XXX",
            country,
            group,
            frozenset(roles),
            frozenset({identity} if identity else ()),
        )
        for slug, country, group, identity, roles in _MEMBERS
    }
    return Agreement(
        id="mou",
        version=version,
        title="T",
        description="",
        legal_basis="",
        not_before=BEGIN,
        not_after=END,
        members=known | dict(members or {}),
        collections=collections,
        digest="d",
        hub="d",
        authority="",
        rules=rules,
    )


def who(slug: str) -> Principal:
    """Return a client of a member."""
    return Principal("mou", slug, "c1", f"{slug}-tool")


def candidates(*values: dict[str, Any], **settings: Any) -> list[Candidate]:
    """Return what the checks make of these objects; all have to pass."""
    items = INGEST.read_envelope(json.dumps({"objects": values}).encode())
    found, refusals = INGEST.check(items, CollectionSettings(**settings), NOW)
    assert not refusals, refusals
    return found
