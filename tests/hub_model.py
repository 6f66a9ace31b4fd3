"""What a collection must show, written down a second time as plainly as can be: lists, loops, no indexes.

A model for tests that drive a hub over HTTP. It knows TAXII 2.1 section 3.4 (filters) and what becomes of a
posted object; it shares no code with the hub.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
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


@dataclass(slots=True, eq=False)
class Waiting:
    """What is held back from a collection until `release`, microseconds; `failed` once it could not enter."""

    body: Stix
    owner: str
    alias: str
    release: int
    failed: bool = False

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def content(self) -> str:
        return json.dumps(self.body, sort_keys=True)

    @property
    def name(self) -> tuple[str, str]:
        return name_of(self.body)


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

    `definitions` (id -> content) and what is `waiting` belong to the whole agreement: what a marking means is
    the same everywhere. What waits counts for its owner alone.
    """

    alias: str = ""
    added: list[Version] = field(default_factory=list)
    known: dict[tuple[str, str], str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)

    @property
    def live(self) -> list[Version]:
        return [one for one in self.added if one.live]

    def post(self, member: str, items: Sequence[Any]) -> list[Fate]:
        """Add what may be added, in order; return what became of each."""
        return [self._take(member, item) for item in items]

    def _take(self, member: str, item: Any) -> Fate:
        if not isinstance(item, dict) or "x_refused" in item or self.rules_out(member, item):
            return "failure"
        if any(one.live and one.body == item for one in self.added):
            return "duplicate"
        if self._own_against(member, item):
            return "failure"
        self._add(member, item)
        return "add"

    def _add(self, member: str, item: Stix) -> None:
        if item["type"] == "marking-definition":
            self.definitions[item["id"]] = json.dumps(item, sort_keys=True)
        self.known[name_of(item)] = json.dumps(item, sort_keys=True)
        self.owners.setdefault(item["id"], member)
        self.added.append(Version(item, member))

    def rules_out(self, member: str, item: Stix) -> bool:
        """True if what is held here, or what a definition means elsewhere, rules an object out."""
        content = json.dumps(item, sort_keys=True)
        elsewhere = self.definitions.get(item["id"], content) != content
        return elsewhere or self.rules_out_here(member, item)

    def rules_out_here(self, member: str, item: Stix) -> bool:
        """True if what is held in this collection rules an object out."""
        content = json.dumps(item, sort_keys=True)
        if self.known.get(name_of(item), content) != content:
            return True
        here = any(one.live and one.body == item for one in self.added)
        owned = item["type"] not in UNOWNED
        return owned and not here and self.owners.get(item["id"], member) != member

    def _own_against(self, member: str, item: Stix) -> bool:
        """True if other content waits under the same name for the same member; of a definition anywhere."""
        content, everywhere = json.dumps(item, sort_keys=True), item["type"] == "marking-definition"
        return any(
            one.owner == member and one.name == name_of(item) and one.content != content
            for one in self.waiting
            if everywhere or one.alias == self.alias
        )

    def hold(self, member: str, items: Sequence[Stix], release: int) -> list[Fate]:
        """Hold back what may be; return what became of each."""
        fates: list[Fate] = []
        for item in items:
            if self.rules_out(member, item) or self._own_against(member, item):
                fates.append("failure")
            else:
                self.waiting.append(Waiting(item, member, self.alias, release))
                fates.append("add")
        return fates

    def release(self, now: int, *, again: bool, may: Callable[[str], bool]) -> None:
        """Let in what is due, each owner's together, the earliest first; `again`: what failed before too."""
        due = [one for one in self.waiting if one.alias == self.alias and one.release <= now]
        due = [one for one in due if again or not one.failed]
        for owner in dict.fromkeys(one.owner for one in due):
            for one in sorted((one for one in due if one.owner == owner), key=lambda one: one.release):
                one.failed = not may(owner) or self.rules_out(owner, one.body)
                if not one.failed:
                    self.waiting.remove(one)
                    self._add(owner, one.body)

    def cancels(
        self, member: str, object_id: str, versions: tuple[str, ...], specs: tuple[str, ...], *, only: bool
    ) -> list[Waiting]:
        """Return what a withdrawal by a member takes back of what waits; `only` looks at nothing else.

        `first` and `last` speak of what is live as long as anything is.
        """
        mine = {
            Version(one.body, one.owner): one
            for one in self.waiting
            if (one.owner, one.alias, one.id) == (member, self.alias, object_id)
        }
        if not versions:
            versions, specs = ("all",), specs or ("2.0", "2.1")
        elif not only and any(one.id == object_id for one in self.live):
            versions = tuple(one for one in versions if one not in {"first", "last"})
        if not versions:
            return []
        ask = Ask(ids=(object_id,), versions=versions, specs=specs)
        return [one for row, one in mine.items() if _matches(row, ask, list(mine))]

    def shown(self, ask: Ask, after: str = "") -> list[Version]:
        """Return what matches, oldest first, added after a stamp."""
        return [one for one in self.live if one.stamp > after and _matches(one, ask, self.live)]

    def pick(self, object_id: str, versions: tuple[str, ...], specs: tuple[str, ...]) -> list[Version]:
        """Return what a withdrawal is about."""
        if not versions:
            versions, specs = ("all",), specs or ("2.0", "2.1")
        return self.shown(Ask(ids=(object_id,), versions=versions, specs=specs))


def name_of(item: Stix) -> tuple[str, str]:
    """Return id and version of an object; equal instants are one version."""
    version = item.get("modified", item.get("created"))
    return str(item["id"]), str(instant(version)) if version else ""


def _matches(one: Version, ask: Ask, among: Sequence[Version]) -> bool:
    if (ask.ids and one.id not in ask.ids) or (ask.types and one.type not in ask.types):
        return False
    same = [other for other in among if other.id == one.id]
    if one.spec not in (ask.specs or (max(other.spec for other in same),)):
        return False
    instants = [other.instant for other in same if other.spec == one.spec]
    return any(_is_picked(one, pick, instants) for pick in ask.versions or ("last",))


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
