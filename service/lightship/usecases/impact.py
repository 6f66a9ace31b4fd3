"""What a change of an agreement means: who gains, who loses, which objects go or would break the rule.

Compares two versions as values; of the objects that are held it knows only what it is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from lightship.core.agreement import Agreement
from lightship.core.collection import LEVELS, Collection, CollectionSettings
from lightship.core.time import format_stamp
from lightship.usecases.breaking import NAMED, Breaches, Stranded, Withdrawal

HELD_STAYS = "what is held stays: this counts for what is posted from now on"


class OwnRule(Protocol):
    """One of an agreement's own forbid rules (`lightship.policy.rules.Rule`)."""

    @property
    def id(self) -> str: ...
    @property
    def say(self) -> str: ...
    @property
    def body(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class CollectionImpact:
    """One collection: `what` is new, removed or changed; names are member slugs."""

    alias: str
    id: str
    what: str
    readers_gained: tuple[str, ...] = ()
    readers_lost: tuple[str, ...] = ()
    publishers_gained: tuple[str, ...] = ()
    publishers_lost: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Impact:
    """What changes from one version to the next; empty when nothing does.

    `rules` are sentences about the agreement's own rules, `stranded` is what will not be released any more.
    With anything in `breaches` the change is refused.
    """

    members_gained: tuple[str, ...] = ()
    members_lost: tuple[str, ...] = ()
    collections: tuple[CollectionImpact, ...] = ()
    terms: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()
    stranded: tuple[Stranded, ...] = ()
    breaches: Breaches = Breaches()

    def sentences(self) -> list[str]:
        """Say it in words, one sentence a fact; of many members in one place the first 20 by name."""
        said = list(self.terms)
        said += _each(self.members_gained, "becomes a member", "become members")
        gone = "no member any more: its credentials stop working"
        said += _each(self.members_lost, f"is {gone}", f"are {gone}")
        for one in self.collections:
            if one.what != "changed":
                said.append(f"collection `{one.alias}` is {one.what}")
            for verb, who in (
                ("gains reading", one.readers_gained),
                ("loses reading", one.readers_lost),
                ("gains publishing", one.publishers_gained),
                ("loses publishing", one.publishers_lost),
            ):
                said += _each(who, f"{verb} `{one.alias}`", f"{verb.replace('s ', ' ', 1)} `{one.alias}`")
            said += [f"`{one.alias}`: {change}" for change in one.changes]
        said += self.rules
        for withdrawn in self.withdrawals:
            if withdrawn.versions:
                many = "" if withdrawn.versions == 1 else f" ({withdrawn.versions} versions)"
                said.append(f"`{withdrawn.collection}`: {withdrawn.object_id} is withdrawn{many}")
        said += [
            f"`{one.collection}`: {one.object_id} (of `{one.owner}`), staged until"
            f" {format_stamp(one.release_at)[:16]}Z, is not released while only signed statements are taken:"
            " its publisher takes it back and publishes it with `--sign --at`"
            for one in self.stranded[:NAMED]
        ]
        if len(self.stranded) > NAMED:
            said.append(f"{len(self.stranded) - NAMED} more staged objects are not released either")
        return said + self.breaches.sentences()


def compare(old: Agreement | None, new: Agreement) -> Impact:
    """Return what `new` changes, apart from what is held; without an old version everything is gained."""
    before = {one.id: one for one in old.collections} if old else {}
    after = {one.id: one for one in new.collections}
    found = [_collection(before.get(key), one) for key, one in after.items()]
    found += [
        CollectionImpact(
            one.alias,
            key,
            "removed",
            readers_lost=_sorted(one.audience),
            publishers_lost=_sorted(one.publishers),
            changes=("its objects can no longer be read; they are kept until their time is over",),
        )
        for key, one in before.items()
        if key not in after
    ]
    members = set(old.members) if old else set()
    return Impact(
        members_gained=_sorted(set(new.members) - members),
        members_lost=_sorted(members - set(new.members)),
        collections=tuple(one for one in found if one is not None),
        terms=tuple(_terms(old, new)) if old else (),
    )


def compare_rules(old: Sequence[OwnRule], new: Sequence[OwnRule]) -> tuple[str, ...]:
    """Return in words what changes between an agreement's own rules, rule by rule."""
    before, after = {one.id: one for one in old}, {one.id: one for one in new}
    said = [f"rule `{key}` is new: {one.say}" for key, one in after.items() if key not in before]
    said += [f"rule `{key}` is removed: {one.say}" for key, one in before.items() if key not in after]
    said += [
        f"rule `{key}` changes: {one.say}"
        for key, one in after.items()
        if key in before and (one.say, one.body) != (before[key].say, before[key].body)
    ]
    return tuple(said)


def _collection(old: Collection | None, new: Collection) -> CollectionImpact | None:
    if old is None:
        return CollectionImpact(
            new.alias,
            new.id,
            "new",
            readers_gained=_sorted(new.audience),
            publishers_gained=_sorted(new.publishers),
        )
    changes = [
        f"{name} changes from {before!s} to {after!s}"
        for name, before, after in (("name", old.alias, new.alias), ("title", old.title, new.title))
        if before != after
    ]
    if old.ceiling is not new.ceiling:
        lower = LEVELS.index(new.ceiling) < LEVELS.index(old.ceiling)
        stays = f"; {HELD_STAYS}" if lower else ""
        changes.append(f"ceiling changes from {old.ceiling} to {new.ceiling}{stays}")
    changes += [
        _setting(one.name, getattr(old.settings, one.name), getattr(new.settings, one.name))
        for one in fields(CollectionSettings)
        if getattr(old.settings, one.name) != getattr(new.settings, one.name)
    ]
    found = CollectionImpact(
        new.alias,
        new.id,
        "changed",
        readers_gained=_sorted(new.audience - old.audience),
        readers_lost=_sorted(old.audience - new.audience),
        publishers_gained=_sorted(new.publishers - old.publishers),
        publishers_lost=_sorted(old.publishers - new.publishers),
        changes=tuple(changes),
    )
    return None if found == CollectionImpact(new.alias, new.id, "changed") else found


def _setting(name: str, before: object, after: object) -> str:
    said = f"{name} changes from {_text(before)} to {_text(after)}"
    if name == "retention_days" and after is not None:
        return f"{said}; what was added more than {after} days ago is withdrawn"
    if name == "unmarked":
        return f"{said}; it counts for unmarked objects that are held too"
    if name == "require_signature" and after:
        said += "; over TAXII nobody posts or deletes there, publishers use `lightship publish --sign`"
    if name == "tokens" and after == "member":
        said += "; secrets that no roster lists stop reading and writing there at once"
    kept = {"authors", "require_signature", "require_certificate_to_write"}
    return f"{said}; {HELD_STAYS}" if name in kept else said


def _terms(old: Agreement, new: Agreement) -> Iterable[str]:
    for name, before, after in (
        ("title", old.title, new.title),
        ("authority", old.authority, new.authority),
    ):
        if before != after:
            yield f"the {name} changes from {before} to {after}"
    if (old.not_before, old.not_after) != (new.not_before, new.not_after):
        yield "the dates change"
    if new.ended and not old.ended:
        yield "the agreement ends: reading and publishing stop"
    for slug in sorted(set(old.members) & set(new.members)):
        if old.members[slug] != new.members[slug]:
            yield f"the entry of member `{slug}` changes"


def _each(slugs: Sequence[str], does: str, do: str) -> list[str]:
    """Return a sentence for each of the first members, and one for the others together."""
    said = [f"`{slug}` {does}" for slug in slugs[:NAMED]]
    more = len(slugs) - NAMED
    return [*said, f"{more} more {do if more > 1 else does}"] if more > 0 else said


def _sorted(slugs: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(slugs))


def _text(value: object) -> str:
    if value is None:
        return "none"
    return ", ".join(sorted(value)) if isinstance(value, frozenset) else str(value)
