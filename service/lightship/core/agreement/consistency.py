"""What must hold between the keys of an agreement: names that exist, dates in order, titles that differ.

Also what the form allows but this version cannot do yet: it is refused in words, never ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lightship.core.agreement import fields
from lightship.core.agreement.chain import HUB_PARTY
from lightship.core.agreement.problems import Path, Problem, where
from lightship.core.collection import LEVELS, Level

AUDITING = frozenset({"auditor", "joint-auditor"})
RANK = {Level.CLEAR: 0, Level.GREEN: 1, Level.AMBER: 2, Level.AMBER_STRICT: 2, Level.RED: 3}
"""TLP levels against a ceiling, where AMBER+STRICT counts as AMBER: the same members receive both."""


def whole_problems(payload: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong between keys that are right by themselves."""
    return [*_terms(payload), *_authority(payload), *_members(payload), *_collections(payload)]


def _terms(payload: Mapping[str, Any]) -> Iterator[Problem]:
    begin = fields.read_moment(payload.get("not_before"), end=False)
    end = fields.read_moment(payload.get("not_after"), end=True)
    if begin is not None and end is not None and end <= begin:
        yield Problem(("not_after",), "The agreement ends before it begins", "not_after is before not_before")
    members = payload["members"]
    yield from _known(payload.get("parties", ()), ("parties",), members)
    yield from _known(payload.get("audit", {}).get("auditors", ()), ("audit", "auditors"), members)
    if payload.get("quorum", 0) > len(payload.get("witnesses", ())):
        yield Problem(
            ("quorum",), "The quorum cannot be reached", "it is larger than the number of witnesses"
        )


def _authority(payload: Mapping[str, Any]) -> Iterator[Problem]:
    table = payload["authority"]
    keys = table["keys"]
    if table["threshold"] > len(keys):
        yield Problem(
            ("authority", "threshold"),
            "The threshold cannot be reached",
            f"it is {table['threshold']}, but only {len(keys)} key(s) are named",
        )
    elif table["threshold"] > 1:
        yield Problem(
            ("authority", "threshold"),
            "A threshold above 1 cannot be applied yet",
            "this version signs with the hub's key alone; signing by several parties comes with a later one",
            "Write threshold = 1; raising it later is an ordinary change of the same agreement",
        )
    elif HUB_PARTY not in keys:
        yield Problem(
            ("authority", "keys"),
            "The hub's key is missing",
            "at threshold 1 the hub's own key signs",
            "Add keys.hub; `lightship agreement new` writes it",
        )
    if len(set(keys.values())) < len(keys):
        yield Problem(
            ("authority", "keys"), "One key stands for two parties", "each party needs a key of its own"
        )


def _members(payload: Mapping[str, Any]) -> Iterator[Problem]:
    owner: dict[str, str] = {}
    for slug, member in payload["members"].items():
        for identity in member["identities"]:
            first = owner.setdefault(identity, slug)
            if first != slug:
                yield Problem(
                    ("members", slug, "identities"),
                    f"An identity of `{slug}` is also one of `{first}`",
                    "an identity belongs to one member",
                )


def _collections(payload: Mapping[str, Any]) -> Iterator[Problem]:
    titles: dict[str, str] = {}
    ids: dict[str, str] = {}
    for alias, one in payload["collections"].items():
        base = ("collections", alias)
        first = titles.setdefault(one["title"].casefold(), alias)
        if first != alias:
            yield Problem(
                (*base, "title"), f"Collections `{first}` and `{alias}` have the same title", "titles differ"
            )
        first = ids.setdefault(one["id"], alias)
        if first != alias:
            yield Problem((*base, "id"), f"Collections `{first}` and `{alias}` have the same id")
        yield from _who(base, one, payload["members"])
        yield from _levels(base, one)


def _who(base: Path, one: Mapping[str, Any], members: Mapping[str, Any]) -> Iterator[Problem]:
    """Check audience and publishers: known members, at least one, no mere auditors among the readers."""
    for key, role in (("audience", "consumer"), ("publishers", "publisher")):
        listed = one.get(key, ())
        if isinstance(listed, list):
            yield from _known(listed, (*base, key), members)
        if not resolve(one, key, members):
            yield Problem(
                (*base, key),
                f"{where((*base, key))} comes out empty",
                f"no member has the role `{role}`",
                f"Give a member this role, or list members under `{key}`",
            )
    listed = one.get("audience", ())
    for slug in listed if isinstance(listed, list) else ():
        if slug in members and set(members[slug]["roles"]) <= AUDITING:
            yield Problem(
                (*base, "audience"),
                f"`{slug}` cannot be in the audience of `{base[1]}`",
                "it is an auditor only, and auditors see no shared content",
                "Give it the role consumer too, or take it off the list",
            )


def _levels(base: Path, one: Mapping[str, Any]) -> Iterator[Problem]:
    ceiling, unmarked = Level(one["ceiling"]), one.get("unmarked", "refuse")
    if unmarked in LEVELS and RANK[Level(unmarked)] > RANK[ceiling]:
        yield Problem(
            (*base, "unmarked"),
            f"{where((*base, 'unmarked'))} is above its ceiling",
            "every unmarked object would be refused",
            'Lower it to the ceiling, or write "refuse"',
        )
    to_audience = ceiling is Level.RED and one.get("red") == "audience"
    if to_audience and not isinstance(one.get("audience"), list):
        yield Problem(
            (*base, "red"),
            f"Collection `{base[1]}` does not say whom TLP:RED is for",
            "RED to the audience needs members listed by name: who gets a role later was not meant",
            'List the members under `audience`, or write red = "named"',
        )


def _known(listed: Any, path: Path, members: Mapping[str, Any]) -> Iterator[Problem]:
    for slug in listed:
        if slug not in members:
            yield Problem(path, f"{where(path)} names `{slug}`, which is not a member")


def resolve(one: Mapping[str, Any], key: str, members: Mapping[str, Any]) -> frozenset[str]:
    """Return the members that `audience` or `publishers` of a collection means.

    By default those with the role; `all` is every member, but never one that only audits.
    """
    listed = one.get(key)
    if isinstance(listed, list):
        return frozenset(listed)
    if listed == "all":
        return frozenset(slug for slug, member in members.items() if not set(member["roles"]) <= AUDITING)
    role = "consumer" if key == "audience" else "publisher"
    return frozenset(slug for slug, member in members.items() if role in member["roles"])
