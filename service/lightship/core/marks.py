"""Marking sets: what all markings of an object together say about who may have it, and until when.

TLP 2.0 levels, the terms of sharing-terms, IEP 2.0 and ACS 3.0, out of `object_marking_refs` and every
granular marking. Objects with equal sets get equal answers: the audience rule is asked once per set and
member, and the store counts what it holds by set. A set is a value of its own; it needs no look at the object
or at a definition.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

from lightship.core.collection import Candidate, Collection, Level
from lightship.core.stix.extensions import SHARING_TERMS
from lightship.core.stix.json import canonical
from lightship.core.stix.markings import markings_of
from lightship.core.stix.terms import NO_TERMS, Terms, TermsReader, UnreadableTerms


@dataclass(frozen=True, slots=True, order=True)
class Cited:
    """A marking definition that an object cites and that is not shipped: id in lower case, SHA-256."""

    id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class MarkingSet(Terms):
    """What markings say: the terms of all definitions together, and besides them

    Args:
        level: the strictest TLP level as marked, None without one (what a collection takes an unmarked object
            for is not in it).
        levelled: False for marking- and extension-definitions, which need no level.
        red_members: members that were the audience when an object was taken as TLP:RED to its audience; None
            for every other object. Whoever joins later was not meant.
        cites: definitions that are not shipped, by id.
    """

    level: Level | None = None
    levelled: bool = True
    red_members: frozenset[str] | None = None
    cites: tuple[Cited, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """A marking definition as one collection holds it, live or staged.

    Args:
        id: in lower case.  digest: SHA-256 of `body`.  body: JCS.
        owner: the member that posted it.  collection: the hub's number of where it is.
        staged: it waits for its release: nobody but its owner knows of it.
    """

    id: str
    digest: bytes
    body: bytes
    owner: str
    collection: int
    staged: bool = False


UNMARKED = MarkingSet()
_TERMS: Final = tuple(one.name for one in fields(Terms))
_FIELDS: Final = tuple(one.name for one in fields(MarkingSet))

UNLEVELLED_TYPES: Final = frozenset({"marking-definition", "extension-definition"})
"""They say what a marking or an extension means, and need no TLP themselves."""


class UnknownMarking(Exception):
    """An object that cites a marking which the hub does not know, or a definition that it cannot interpret.

    `id` is the marking's, `where` a JSON pointer in the object. `message` says what, where and what to do.
    """

    rule: ClassVar[str] = "deny-unknown-marking"

    def __init__(self, stix_id: str, where: str, why: str, todo: str) -> None:
        self.id = stix_id
        self.where = where
        self.message = f"{why}{f' (at {where})' if where else ''}. {todo}"
        super().__init__(self.message)


class OtherAgreement(UnknownMarking):
    """An object under sharing-terms of another agreement."""

    rule: ClassVar[str] = "deny-other-agreement"


def marking_set(
    candidate: Candidate,
    collection: Collection,
    definitions: Mapping[str, Definition],
    reader: TermsReader | None = None,
) -> MarkingSet:
    """Return what all markings of an object say. A definition is under its own terms.

    Args:
        candidate: the object.
        collection: where it is to enter: its settings say whether TLP:RED means the audience of now.
        definitions: those that its publisher may cite (`usable`), by id in lower case.
        reader: reads each definition once for all objects of a post.

    Raises:
        UnknownMarking: it cites something else, or something that cannot be interpreted.
    """
    levelled = candidate.type not in UNLEVELLED_TYPES
    settings = collection.settings
    if levelled and not candidate.cites and settings.red == "named":
        return _PLAIN[candidate.level]
    terms, cites, reader = NO_TERMS, [], reader or TermsReader()
    for stix_id in candidate.cites:
        definition = definitions.get(stix_id)
        if definition is None:
            raise UnknownMarking(
                stix_id,
                _place(candidate, stix_id),
                f"it is marked with {stix_id}, which is not known here",
                "Publish the marking-definition in the same post, or cite one that is yours or built in",
            )
        terms = terms.and_also(_terms(reader, candidate, stix_id, definition.body))
        cites.append(Cited(stix_id, definition.digest))
    if candidate.type == "marking-definition":
        terms = terms.and_also(_terms(reader, candidate, candidate.id, candidate.body))
    level = candidate.level
    if level is None and levelled and settings.unmarked != "refuse":
        level = settings.unmarked
    to_audience = level is Level.RED and settings.red == "audience" and terms.recipients is None
    return MarkingSet(
        level=candidate.level,
        levelled=levelled,
        red_members=collection.audience if to_audience else None,
        cites=tuple(sorted(cites)),
        **{name: getattr(terms, name) for name in _TERMS},
    )


def check_agreement(
    candidate: Candidate, agreement: str, definitions: Mapping[str, Definition], reader: TermsReader
) -> None:
    """Check that no sharing-terms of an object are those of another agreement.

    Asked of what is posted only: what is held was taken under the rules of its time.

    Raises:
        OtherAgreement: it is, or cites, a definition whose terms name another agreement.
    """
    bodies = [(stix_id, definitions[stix_id].body) for stix_id in candidate.cites if stix_id in definitions]
    if candidate.type == "marking-definition":
        bodies.append((candidate.id, candidate.body))
    for stix_id, body in bodies:
        named = reader.agreement(body)
        if named not in {"", agreement}:
            own = stix_id == candidate.id
            whose = "its terms are" if own else f"it is marked with {stix_id}, whose terms are"
            raise OtherAgreement(
                stix_id,
                f"/extensions/{SHARING_TERMS}/agreement" if own else _place(candidate, stix_id),
                f"{whose} for the agreement `{named}`, and this is `{agreement}`",
                f"Post it there, or under sharing-terms that name `{agreement}`",
            )


def usable(
    held: Sequence[Definition],
    posted: Sequence[Candidate],
    member: str,
    open_collections: AbstractSet[int],
) -> dict[str, Definition]:
    """Return the definitions that a member may cite, by id; shipped ones are known without.

    Its own, those that it can read where every author is taken (`authors = "any"`) unless they wait for their
    release, and those of the same post. Not another member's: who posted an id first could have given it
    looser terms.

    Args:
        held: what the agreement's collections hold under the cited ids.
        posted: objects of the same post that may enter; only marking definitions count.
        member: who posts.
        open_collections: numbers of the agreement's collections that take every author and that it reads.
    """
    found = {
        one.id: one
        for one in held
        if one.owner == member or (one.collection in open_collections and not one.staged)
    }
    for one in posted:
        if one.type == "marking-definition":
            found[one.id.lower()] = Definition(one.id.lower(), one.digest, one.body, member, 0)
    return found


def encode(marks: MarkingSet) -> bytes:
    """Return a set as JCS (RFC 8785): equal sets give equal bytes."""
    held: dict[str, Any] = {}
    for name in _FIELDS:
        value = getattr(marks, name)
        if value == getattr(UNMARKED, name):
            continue
        if isinstance(value, frozenset):
            value = sorted(value)
        elif name == "cites":
            value = [[one.id, one.digest.hex()] for one in value]
        held[name] = value
    return canonical(held)


def decode(body: bytes) -> MarkingSet:
    """Return the set of these bytes, which `encode` wrote.

    Raises:
        ValueError: they are no such bytes.
    """
    try:
        held = json.loads(body)
        if "level" in held:
            held["level"] = Level(held["level"])
        for name in _SETS & held.keys():
            held[name] = frozenset(held[name])
        if "cites" in held:
            held["cites"] = tuple(Cited(one, bytes.fromhex(digest)) for one, digest in held["cites"])
        return MarkingSet(**held)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"no marking set: {error}") from None


_SETS: Final = frozenset({"recipients", "red_members", "only_countries", "exclude_countries", "closed"})
_PLAIN: Final = {level: MarkingSet(level) for level in (None, *Level)}
"""One value for each level, so that ordinary objects share theirs."""


def _terms(reader: TermsReader, candidate: Candidate, stix_id: str, body: bytes) -> Terms:
    try:
        return reader.terms(body)
    except UnreadableTerms as unreadable:
        own = stix_id == candidate.id
        raise UnknownMarking(
            stix_id,
            unreadable.where if own else _place(candidate, stix_id),
            f"{'the' if own else f'it is marked with {stix_id}, but that'} marking cannot be kept here:"
            f" {unreadable.why}",
            "Mark with TLP, sharing-terms, a statement, IEP 2.0 or ACS 3.0",
        ) from None


def _place(candidate: Candidate, stix_id: str) -> str:
    """Return where an object cites a marking."""
    value = json.loads(candidate.body)
    return next((where for where, ref in markings_of(value) if ref == stix_id), "")
