"""What a collection holds and the rules of holding it: keys, versions, verdicts.

One id + version names one digest per collection for ever; `date_added` is unique,
strictly rising and in commit order. One integer key is order, cursor and date at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, NamedTuple

from lightship.core.time import MAX_MICROS, Instant, Micros

KEY_SHIFT = 52
STATEMENT_ENTRIES = 256
STATEMENT_BYTES = 45_000
LEAD = Micros(250_000)
"""How far ahead of the clock a stamp is chosen."""
LEAST_LEAD = Micros(100_000)
"""Less than this left at COMMIT: stamps are made again."""
MAX_BACKLOG = Micros(30_000_000)
"""Stamps further ahead of the clock than this: publishing waits (503)."""


class Level(StrEnum):
    """TLP 2.0 levels from open to strict; order by `LEVELS.index`."""

    CLEAR = "clear"
    GREEN = "green"
    AMBER = "amber"
    AMBER_STRICT = "amber+strict"
    RED = "red"


LEVELS: tuple[Level, ...] = tuple(Level)


@dataclass(frozen=True, slots=True)
class CollectionSettings:
    """What a collection takes; the defaults are the safe ones.

    `require_signature`: publishing and withdrawing only by statements that a publish key signed.
    `require_certificate_to_write`: only over connections with a pinned client certificate.
    `tokens`: whose word a secret needs to read or write: the steward's who minted it, or also the member's,
    whose roster lists it.
    """

    unmarked: Literal["refuse"] | Level = "refuse"
    authors: Literal["not-others", "own", "any"] | frozenset[str] = "not-others"
    validation: Literal["strict", "lenient"] = "strict"
    custom_objects: bool = True
    max_future_s: int | None = 600
    max_objects: int | None = None
    max_bytes: int | None = None
    retention_days: int | None = None
    red: Literal["named", "audience"] = "named"
    ssi: Literal["refuse", "named"] = "refuse"
    require_signature: bool = False
    require_certificate_to_write: bool = False
    tokens: Literal["steward", "member"] = "steward"


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection of an agreement in force. `number` is the hub's own, `id` a UUIDv4, `alias` its slug."""

    number: int
    id: str
    agreement: str
    alias: str
    title: str
    description: str
    ceiling: Level
    audience: frozenset[str]
    publishers: frozenset[str]
    settings: CollectionSettings = field(default_factory=CollectionSettings)


def pack(collection: int, micros: int) -> int:
    """Return the storage key; `micros` is clamped so that no key of another collection can result."""
    return (collection << KEY_SHIFT) | min(max(micros, 0), MAX_MICROS)


def stamp_of(key: int) -> Micros:
    """Return `date_added` of a storage key."""
    return Micros(key & MAX_MICROS)


class Candidate(NamedTuple):
    """One object that passed every check that needs no store.

    `version` is the instant of `modified`, else `created`, else empty; `version_text` is that timestamp
    as written in the object (empty for observables). `body` is the JCS form, `digest` its SHA-256.
    `created_by` and `level` (strictest TLP, None = unmarked) are what the access rules ask about.
    `owned` is False for types without an owner: observables, marking- and extension-definitions.
    `cites` are the markings that are not shipped, in lower case, each once. `warnings` are sentences about
    what the publisher may not have meant to share; they refuse nothing. `violation` is what a strict
    collection would have refused it for (rule, message), where this one is lenient.
    """

    position: int
    id: str
    type: str
    spec_version: Literal["2.0", "2.1"]
    version: Instant
    version_text: str
    digest: bytes
    body: bytes
    created_by: str | None = None
    level: Level | None = None
    owned: bool = True
    cites: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    violation: tuple[str, str] | None = None


class Held(NamedTuple):
    """What a collection already knows about one object version, live or withdrawn.

    `withdrawn` is None for a live version, else the reason it was withdrawn for.
    """

    spec_version: str
    version: Instant
    digest: bytes
    owner: str
    withdrawn: WithdrawReason | None = None


class WithdrawReason(StrEnum):
    """The four reasons that a withdrawal can have."""

    PUBLISHER = "publisher"
    EXPIRED = "expired"
    ORDERED = "ordered"
    DISTRUSTED = "distrusted"


class Verdict(StrEnum):
    """What becomes of a candidate; everything but ADD, DUPLICATE and STAGED is a failure of that object."""

    ADD = "add"
    DUPLICATE = "duplicate"
    STAGED = "staged"
    CONFLICT = "conflict"
    NOT_OWNER = "not-owner"
    WITHDRAWN = "withdrawn"
    UNKNOWN_MARKING = "unknown-marking"


PROBLEMS: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.CONFLICT: (
            "Other content is held under this id and version, and stays known for ever: take this one back"
            " (`lightship staged cancel`) and publish it as a new version, or under a new id if the object is"
            " another member's (deny-conflict)"
        ),
        Verdict.NOT_OWNER: (
            "Another member has published an object with this id meanwhile and owns it here for ever: take"
            " yours back (`lightship staged cancel`) and publish it under a new id (deny-owner)"
        ),
        Verdict.WITHDRAWN: (
            "This version was withdrawn for good: take it back (`lightship staged cancel`) and publish it as"
            " a new version (deny-withdrawn)"
        ),
        Verdict.UNKNOWN_MARKING: (
            "A marking definition that it cites is not held: publish it again together with that definition"
            " (deny-unknown-marking)"
        ),
    }
)
"""Why a staged object cannot enter at its release, and what its publisher can do; ends with the rule."""
FULL = (
    "The collection is full: withdraw old objects or ask the steward for a larger quota, then publish it"
    " again (deny-publish-quota)"
)


def judge(held: Sequence[Held], candidate: Candidate, member: str) -> Verdict:
    """Decide about a candidate of `member` against everything held under the same object id.

    An exact duplicate is a success for everybody, checked before ownership. The first version's owner
    owns the object for ever; other content under a known version is a conflict, also after withdrawal.
    """
    for one in held:
        if one.version == candidate.version:
            if one.digest != candidate.digest:
                return Verdict.CONFLICT
            if one.withdrawn is None:
                return Verdict.DUPLICATE
            if one.withdrawn is not WithdrawReason.PUBLISHER:
                return Verdict.WITHDRAWN
    if candidate.owned and held and held[0].owner != member:
        return Verdict.NOT_OWNER
    return Verdict.ADD


def foreseen(held: Sequence[Held], candidate: Candidate, owner: str) -> str:
    """Return why what `owner` has staged can never enter, as things are held now; empty if nothing is known.

    Args:
        held: all that is held under its id, live or withdrawn.
    """
    return PROBLEMS.get(judge(held, candidate, owner), "")
