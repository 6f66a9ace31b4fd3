"""Agreements, members, collections and objects as Cedar entities: data for the rules, never rules.

One decision needs one member, one collection and their agreement, so only these are handed over: its cost
does not grow with the number of members, collections or agreements. Whether a member is in a group is
looked up here, in the signed agreement; what that gives is written in the rules.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

import cedarpy

from lightship.core.agreement import Agreement, Member
from lightship.core.agreement.consistency import RANK
from lightship.core.collection import Candidate, Collection, Level

PUBLISH_OBJECT: Final = "publishObject"
"""The action of putting one object into a collection."""

UNLEVELLED_TYPES: Final = frozenset({"marking-definition", "extension-definition"})
"""They say what a marking or an extension means, and need no TLP themselves."""

Entity = dict[str, Any]


class Facts(NamedTuple):
    """What the rules ask about one object; objects with equal facts get equal decisions (a fast cache key).

    `level` is the one that counts, after the collection's setting for unmarked objects. `author` and
    `identity_of` are members: whose identity created_by_ref is, and whose identity the object itself is.
    """

    level: Level | None
    needs_marking: bool
    owned: bool
    authored: bool
    author_listed: bool
    author: str
    identity_of: str


def facts_of(candidate: Candidate, collection: Collection, owners: dict[str, str]) -> Facts:
    """Return the facts of an object; `owners` maps identity ids to the members whose they are."""
    settings, author = collection.settings, candidate.created_by
    needs_marking = candidate.type not in UNLEVELLED_TYPES
    level = candidate.level
    if level is None and needs_marking and settings.unmarked != "refuse":
        level = settings.unmarked
    return Facts(
        level,
        needs_marking,
        candidate.owned,
        author is not None,
        isinstance(settings.authors, frozenset) and author in settings.authors,
        owners.get(author, "") if author is not None else "",
        owners.get(candidate.id, "") if candidate.type == "identity" else "",
    )


def owners_of(agreement: Agreement) -> dict[str, str]:
    """Return the member of each identity id."""
    return {identity: one.slug for one in agreement.members.values() for identity in one.identities}


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
                **{key: ref("Group", f"{where}/{key}") for key in named},
            },
        ),
    ]
    if member is not None:
        groups = [f"{where}/{key}" for key, slugs in named.items() if member.slug in slugs]
        if member.slug in agreement.auditors:
            groups.append(_name(agreement, "auditors"))
        parents = [_id("Agreement", agreement.id), *(_id("Group", one) for one in groups)]
        attributes = {"roles": sorted(member.roles)}
        found.append(_entity("Member", _name(agreement, member.slug), attributes, parents))
    return base.with_added_json_str(json.dumps(found), schema)


def request(
    agreement: Agreement,
    collection: Collection,
    principal: tuple[str, str],
    action: str,
    asked: str | Facts,
) -> dict[str, Any]:
    """Return the engine's request.

    Args:
        agreement: where it happens.
        collection: what is asked for.
        principal: entity type, and the name inside the agreement.
        action: the action's name.
        asked: the agreement's status, or an object's facts where the action is about one.
    """
    context: dict[str, Any] = {"status": asked} if isinstance(asked, str) else _object(agreement, asked)
    return {
        "principal": _id(principal[0], _name(agreement, principal[1])),
        "action": _id("Action", action),
        "resource": _id("Collection", _name(agreement, collection.alias)),
        "context": context,
    }


def _object(agreement: Agreement, facts: Facts) -> dict[str, Any]:
    held: dict[str, Any] = {
        "needsMarking": facts.needs_marking,
        "owned": facts.owned,
        "authored": facts.authored,
        "authorListed": facts.author_listed,
    }
    if facts.level is not None:
        held["level"] = ref("Level", facts.level.value)
    for key, slug in (("authorMember", facts.author), ("identityOf", facts.identity_of)):
        if slug:
            held[key] = ref("Member", _name(agreement, slug))
    return {"object": held}


def ref(kind: str, name: str) -> dict[str, Any]:
    """Return a reference to an entity, as an attribute holds it."""
    return {"__entity": _id(kind, name)}


def _id(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "id": name}


def _entity(kind: str, name: str, attributes: Entity, parents: list[dict[str, str]] | None = None) -> Entity:
    return {"uid": _id(kind, name), "attrs": attributes, "parents": parents or []}


def _name(agreement: Agreement, name: str) -> str:
    return f"{agreement.id}/{name}"
