"""What the rules ask about an object, a marking set and a receiver: plain facts; equal ones, equal answers.

Each is a tuple, since it is the key that an answer is remembered by.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from lightship.core.access import Principal
from lightship.core.agreement import Agreement, AgreementStatus, Member
from lightship.core.collection import Candidate, Collection, CollectionSettings, Level
from lightship.core.marks import UNLEVELLED_TYPES, MarkingSet
from lightship.core.stix.terms import ACS_CLASSIFIED
from lightship.core.time import Micros
from lightship.policy.rules import Seen

_NONE: Final[frozenset[str]] = frozenset()


class Standing(NamedTuple):
    """Where the agreement stands, and who asks: until when both are suspended, None if they are not.

    `certificate`: over a connection with a pinned client certificate. `signed`: by a signed statement.
    `listed`: with a credential, or a certificate's key, that the member's roster lists.
    """

    status: AgreementStatus
    ends: Micros | None = None
    stopped: Micros | None = None
    certificate: bool = False
    signed: bool = False
    listed: bool = False


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
    ssi: bool
    classified: bool


class Asked(NamedTuple):
    """What the rules ask about a marking set, whoever receives it; a fast cache key as `Facts`.

    `level` is the one that counts, after the collection's setting for unmarked objects.
    """

    level: Level | None
    levelled: bool
    recipients: frozenset[str] | None
    red_members: frozenset[str] | None
    only_countries: frozenset[str] | None
    exclude_countries: frozenset[str]
    ssi: bool
    closed: frozenset[str]


class Received(NamedTuple):
    """What the rules ask about one member and one marking set beside the set itself.

    Members for whom this and `Kind` are equal get equal decisions.
    """

    own: bool
    named: bool
    red_member: bool


class Kind(NamedTuple):
    """What the rules can see of a member of an agreement, seen from one collection; empty what they do not.

    `slug` is empty unless a rule speaks of this one member.
    """

    roles: frozenset[str]
    country: str
    group: str
    audience: bool
    publisher: bool
    auditor: bool
    slug: str


def standing_of(
    agreement: Agreement, who: Principal | None, now: Micros, *, signed: bool = False
) -> Standing:
    """Return where the agreement and a member of it stand at `now`; `who` is None for anybody else."""
    if not agreement.suspensions:
        status = agreement.status(now)
        if who is None:
            return Standing(status)
        return Standing(status, None, None, who.certificate, signed, who.listed)
    whole = agreement.suspended("", now)
    ends = None if whole is None else whole.until
    if who is None:
        return Standing(agreement.status(now), ends)
    stop = agreement.suspended(who.member, now)
    stopped = None if stop is None else stop.until
    return Standing(agreement.status(now), ends, stopped, who.certificate, signed, who.listed)


def asked_of(marks: MarkingSet, settings: CollectionSettings) -> Asked:
    """Return what decides about a marking set in a collection with these settings."""
    level = marks.level
    if level is None and marks.levelled and settings.unmarked != "refuse":
        level = settings.unmarked
    return Asked(
        level,
        marks.levelled,
        marks.recipients,
        marks.red_members,
        marks.only_countries,
        marks.exclude_countries,
        marks.ssi,
        marks.closed,
    )


def received_by(member: Member, asked: Asked, owner: str) -> Received:
    """Return what is particular about this member and what is asked."""
    return Received(
        member.slug == owner,
        asked.recipients is not None and not member.identities.isdisjoint(asked.recipients),
        asked.red_members is not None and member.slug in asked.red_members,
    )


def kind_of(member: Member, collection: Collection, agreement: Agreement, seen: Seen) -> Kind:
    """Return what the rules can see of a member."""
    known = seen.attributes
    named = ("Member", f"{agreement.id}/{member.slug}") in seen.entities
    return Kind(
        member.roles if "roles" in known else _NONE,
        member.country if "country" in known else "",
        member.group if "group" in known else "",
        (seen.groups or "audience" in known) and member.slug in collection.audience,
        (seen.groups or "publishers" in known) and member.slug in collection.publishers,
        (seen.groups or "auditors" in known) and member.slug in agreement.auditors,
        member.slug if named else "",
    )


def facts_of(
    candidate: Candidate, collection: Collection, owners: dict[str, str], marks: MarkingSet
) -> Facts:
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
        marks.ssi,
        ACS_CLASSIFIED in marks.closed,
    )


def owners_of(agreement: Agreement) -> dict[str, str]:
    """Return the member of each identity id."""
    return {identity: one.slug for one in agreement.members.values() for identity in one.identities}
