"""Rules as values: parsed once, their sentences kept, the engine's handle made of them.

A rule's id is its `@id`, also inside the engine, so what comes back from a decision are rule ids. The order
of rules is that of the files: the first one that decided is the one that is reported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import cedarpy

PLACEHOLDERS: Final = frozenset(
    {
        *("agreement", "collection", "member", "country", "status", "until"),
        *("level", "ceiling", "owner", "author"),
    }
)
"""What a sentence may name in braces."""

RECEIVE: Final = "receive"
"""The action of having an object with a certain marking set."""

Json = Mapping[str, Any]
_NEEDLESS: Final = re.compile(r"(?<!\w)\(([\w.]+)\)")
"""Parentheses around a name or a path of names, which the engine writes everywhere."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One Cedar policy. `body` is its JSON form; `otherwise` is said when a permit does not hold."""

    id: str
    permits: bool
    say: str
    otherwise: str
    body: Json = field(repr=False)
    path: str = ""
    line: int = 0

    def concerns(self, kind: str, action: str) -> bool:
        """True if its scope takes principals of this entity type doing this action."""
        principal, scope = self.body["principal"], self.body["action"]
        if principal["op"] == "is" and principal["entity_type"] != kind:
            return False
        if scope["op"] == "All":
            return True
        named = scope["entities"] if "entities" in scope else [scope["entity"]]
        return action in {one["id"] for one in named}

    def conditions(self) -> Iterator[Json]:
        """Yield its conditions one by one, as expressions that have to be true."""
        for clause in self.body["conditions"]:
            if clause["kind"] == "when":
                yield from _conjuncts(clause["body"])
            else:
                yield {"!": {"arg": clause["body"]}}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the rules about an action can tell principals by.

    `attributes` are names that they read of anything, `entities` those that they name, by (type, id);
    `groups` says that a group is among these.
    """

    attributes: frozenset[str]
    entities: frozenset[tuple[str, str]]
    groups: bool


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules in their order, with the handles that the engine decides by.

    `receivers` is what those about `receive` see of a member.
    """

    rules: tuple[Rule, ...]
    by_id: Mapping[str, Rule]
    policies: cedarpy.PolicySet = field(repr=False)
    schema: cedarpy.Schema = field(repr=False)
    receivers: Seen

    def permits_for(self, kind: str, action: str) -> list[Rule]:
        """Return the permits whose scope takes principals of this entity type doing this action."""
        return [one for one in self.rules if one.permits and one.concerns(kind, action)]


def rule_set(rules: Iterable[Rule], schema: cedarpy.Schema) -> RuleSet:
    """Return a set of rules, ids unique, ready to decide by."""
    found = tuple(rules)
    return RuleSet(
        found,
        {one.id: one for one in found},
        handle({one.id: one.body for one in found}),
        schema,
        seen_by([one for one in found if one.concerns("Member", RECEIVE)]),
    )


def seen_by(rules: Iterable[Rule]) -> Seen:
    """Return every attribute and every entity that these rules name, wherever in them."""
    attributes: set[str] = set()
    named: set[tuple[str, str]] = set()
    waiting: list[Any] = [rule.body for rule in rules]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, Mapping):
            waiting += part.values()
            kind, name, attribute = part.get("type"), part.get("id"), part.get("attr")
            if isinstance(attribute, str):
                attributes.add(attribute)
            if isinstance(kind, str) and isinstance(name, str):
                named.add((kind, name))
    return Seen(frozenset(attributes), frozenset(named), any(kind == "Group" for kind, _ in named))


def handle(bodies: Mapping[str, Json]) -> cedarpy.PolicySet:
    """Return the engine's parsed form of policies in JSON form by their ids."""
    return cedarpy.PolicySet.from_json_str(json.dumps(_document(bodies)))


def condition_handle(condition: Json) -> cedarpy.PolicySet:
    """Return a set of one permit, for everybody and everything, under this condition alone."""
    return handle({"condition": _only(condition)})


def condition_text(condition: Json) -> str:
    """Return a condition as it is written in Cedar."""
    written = cedarpy.policies_from_json_str(json.dumps(_document({"condition": _only(condition)})))
    text = written.partition(" when { ")[2].removesuffix(" };")
    while (fewer := _NEEDLESS.sub(r"\1", text)) != text:
        text = fewer
    return text


def _only(condition: Json) -> Json:
    anything = {"op": "All"}
    return {
        "effect": "permit",
        "principal": anything,
        "action": anything,
        "resource": anything,
        "conditions": [{"kind": "when", "body": condition}],
    }


def _document(bodies: Mapping[str, Json]) -> Json:
    return {"staticPolicies": bodies, "templates": {}, "templateLinks": []}


def _conjuncts(body: Json) -> Iterator[Json]:
    if list(body) == ["&&"]:
        yield from _conjuncts(body["&&"]["left"])
        yield from _conjuncts(body["&&"]["right"])
    else:
        yield body
