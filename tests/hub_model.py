"""What a collection must show, written down a second time as plainly as can be: lists, loops, no indexes.

A model for tests that drive a hub over HTTP. It knows TAXII 2.1 section 3.4 (filters) and what becomes of a
posted object; it shares no code with the hub.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Fate = Literal["add", "duplicate", "failure"]
Stix = Mapping[str, Any]
UNOWNED = {"ipv4-addr", "marking-definition"}


@dataclass(slots=True, eq=False)
class Version:
    """One object version that is or was in the collection. `stamp` is its `date_added`."""

    body: Stix
    owner: str
    stamp: str = ""
    live: bool = True

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def type(self) -> str:
        return str(self.body["type"])

    @property
    def spec(self) -> str:
        return str(self.body.get("spec_version", "2.1" if self.type == "ipv4-addr" else "2.0"))

    @property
    def text(self) -> str:
        """The version as TAXII shows it."""
        return str(self.body.get("modified", self.body.get("created", self.stamp)))

    @property
    def instant(self) -> datetime:
        return instant(self.text)


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """What is held back from one collection until `release`, microseconds."""

    body: Stix
    owner: str
    alias: str
    release: int

    @property
    def id(self) -> str:
        return str(self.body["id"])


@dataclass(frozen=True, slots=True)
class Ask:
    """Filters of a read. An empty tuple does not filter; no `versions` means the last one."""

    ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()

    def params(self) -> dict[str, str]:
        """Return the match fields of a query."""
        named = {"id": self.ids, "type": self.types, "version": self.versions, "spec_version": self.specs}
        return {f"match[{name}]": ",".join(values) for name, values in named.items() if values}


WHOLE = Ask(versions=("all",), specs=("2.0", "2.1"))


@dataclass(slots=True)
class Shelf:
    """One collection: everything that was ever added, in order.

    `definitions` (id -> content) belong to the whole agreement: what a marking means is the same everywhere.
    """

    added: list[Version] = field(default_factory=list)
    known: dict[tuple[str, str], str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)

    @property
    def live(self) -> list[Version]:
        return [one for one in self.added if one.live]

    def post(self, member: str, items: Sequence[Any]) -> list[Fate]:
        """Add what may be added, in order; return what became of each."""
        return [self._take(member, item) for item in items]

    def _take(self, member: str, item: Any) -> Fate:
        if not isinstance(item, dict) or "x_refused" in item:
            return "failure"
        version = item.get("modified", item.get("created"))
        name = (item["id"], str(instant(version)) if version else "")
        content = json.dumps(item, sort_keys=True)
        if self.known.get(name, content) != content:
            return "failure"
        is_definition = item["type"] == "marking-definition"
        if is_definition and self.definitions.get(item["id"], content) != content:
            return "failure"
        if any(one.live and one.body == item for one in self.added):
            return "duplicate"
        owned = item["type"] not in UNOWNED
        if owned and self.owners.get(item["id"], member) != member:
            return "failure"
        if is_definition:
            self.definitions[item["id"]] = content
        self.known[name] = content
        self.owners.setdefault(item["id"], member)
        self.added.append(Version(item, member))
        return "add"

    def shown(self, ask: Ask, after: str = "") -> list[Version]:
        """Return what matches, oldest first, added after a stamp."""
        return [one for one in self.live if one.stamp > after and self._matches(one, ask)]

    def _matches(self, one: Version, ask: Ask) -> bool:
        if (ask.ids and one.id not in ask.ids) or (ask.types and one.type not in ask.types):
            return False
        same = [other for other in self.live if other.id == one.id]
        if one.spec not in (ask.specs or (max(other.spec for other in same),)):
            return False
        instants = [other.instant for other in same if other.spec == one.spec]
        return any(_is_picked(one, pick, instants) for pick in ask.versions or ("last",))

    def pick(self, object_id: str, versions: tuple[str, ...], specs: tuple[str, ...]) -> list[Version]:
        """Return what a withdrawal is about."""
        if not versions:
            versions, specs = ("all",), specs or ("2.0", "2.1")
        return self.shown(Ask(ids=(object_id,), versions=versions, specs=specs))


def _is_picked(one: Version, pick: str, instants: Sequence[datetime]) -> bool:
    match pick:
        case "all":
            return True
        case "last":
            return one.instant == max(instants)
        case "first":
            return one.instant == min(instants)
        case _:
            return one.instant == instant(pick)


def instant(text: str) -> datetime:
    """Return the time that a timestamp names."""
    return datetime.fromisoformat(text)
