"""Agreements, members, collections and objects as Cedar entities: data for the rules, never rules.

One decision needs one member, one collection and their agreement, so only these are handed over: its cost
does not grow with the number of members, collections or agreements. Whether a member is in a group is
looked up here, in the signed agreement; what that gives is written in the rules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import cedarpy

from lightship.core.agreement import Agreement, Member
from lightship.core.agreement.consistency import RANK
from lightship.core.collection import Collection
from lightship.policy.facts import Asked, Facts, Received, Standing

PUBLISH_OBJECT: Final = "publishObject"
"""The action of putting one object into a collection."""

Entity = dict[str, Any]


def levels(schema: cedarpy.Schema) -> cedarpy.Entities:
    """Return the entities that never change: the TLP levels."""
    return cedarpy.Entities.from_json_str(
        json.dumps([_entity("Level", level.value, {"rank": rank}) for level, rank in RANK.items()]), schema
    )


def entities(
    base: cedarpy.Entities,
    schema: cedarpy.Schema,
    agreement: Agreement,
    collection: Collection,
    member: Member | None,
) -> cedarpy.Entities:
    """Return the entities of one decision, checked against the schema; `member` None for anybody else."""
    authors = collection.settings.authors
    where = _name(agreement, collection.alias)
    named = {"audience": collection.audience, "publishers": collection.publishers}
    found = [
        _entity("Agreement", agreement.id, {"auditors": ref("Group", _name(agreement, "auditors"))}),
        _entity(
            "Collection",
            where,
            {
                "agreement": ref("Agreement", agreement.id),
                "ceiling": ref("Level", collection.ceiling.value),
                "authors": "listed" if isinstance(authors, frozenset) else authors,
                "ssi": collection.settings.ssi,
                "requireCertificate": collection.settings.require_certificate_to_write,
                "requireSignature": collection.settings.require_signature,
                "tokens": collection.settings.tokens,
                **{key: ref("Group", f"{where}/{key}") for key in named},
            },
        ),
    ]
    if member is not None:
        groups = [f"{where}/{key}" for key, slugs in named.items() if member.slug in slugs]
        if member.slug in agreement.auditors:
            groups.append(_name(agreement, "auditors"))
        parents = [_id("Agreement", agreement.id), *(_id("Group", one) for one in groups)]
        attributes = {"roles": sorted(member.roles), "country": member.country, "group": member.group}
        found.append(_entity("Member", _name(agreement, member.slug), attributes, parents))
    return base.with_added_json_str(json.dumps(found), schema)


def request(
    agreement: Agreement,
    collection: Collection,
    principal: tuple[str, str],
    action: str,
    context: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the engine's request.

    Args:
        agreement: where it happens.
        collection: what is asked for.
        principal: entity type, and the name inside the agreement.
        action: the action's name.
        context: one of `standing_context`, `object_context`, `receive_context`.
    """
    return {
        "principal": _id(principal[0], _name(agreement, principal[1])),
        "action": _id("Action", action),
        "resource": _id("Collection", _name(agreement, collection.alias)),
        "context": context,
    }


def standing_context(standing: Standing) -> Entity:
    """Return the context of every action but those on objects."""
    return {
        "status": standing.status.value,
        "suspended": standing.stopped is not None,
        "certificate": standing.certificate,
        "signed": standing.signed,
        "listed": standing.listed,
    }


def object_context(agreement: Agreement, facts: Facts) -> Entity:
    """Return the context of `publishObject`."""
    held: Entity = {
        "needsMarking": facts.needs_marking,
        "owned": facts.owned,
        "authored": facts.authored,
        "authorListed": facts.author_listed,
        "ssi": facts.ssi,
        "classified": facts.classified,
    }
    if facts.level is not None:
        held["level"] = ref("Level", facts.level.value)
    for key, slug in (("authorMember", facts.author), ("identityOf", facts.identity_of)):
        if slug:
            held[key] = ref("Member", _name(agreement, slug))
    return {"object": held}


def receive_context(asked: Asked, received: Received) -> Entity:
    """Return the context of `receive`."""
    held: Entity = {
        "levelled": asked.levelled,
        "own": received.own,
        "restricted": asked.recipients is not None,
        "named": received.named,
        "redMember": received.red_member,
        "excludeCountries": sorted(asked.exclude_countries),
        "ssi": asked.ssi,
        "closed": sorted(asked.closed),
    }
    if asked.level is not None:
        held["level"] = ref("Level", asked.level.value)
    if asked.only_countries is not None:
        held["onlyCountries"] = sorted(asked.only_countries)
    return held


def ref(kind: str, name: str) -> dict[str, Any]:
    """Return a reference to an entity, as an attribute holds it."""
    return {"__entity": _id(kind, name)}


def _id(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "id": name}


def _entity(kind: str, name: str, attributes: Entity, parents: list[dict[str, str]] | None = None) -> Entity:
    return {"uid": _id(kind, name), "attrs": attributes, "parents": parents or []}


def _name(agreement: Agreement, name: str) -> str:
    return f"{agreement.id}/{name}"
