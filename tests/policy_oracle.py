"""An oracle for the rules, written the other way round, and random requests to compare it with.

It knows nothing of Cedar and shares no code with `lightship.policy`: it collects every rule that holds, by
name, from plain facts. A decision must be allowed exactly when a permit and no forbid holds, and name one
of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from lightship.core.access import Action, Principal, System
from lightship.core.agreement import GRACE, Agreement, Member
from lightship.core.agreement.suspension import Stop
from lightship.core.collection import Candidate, Collection, CollectionSettings, Level
from lightship.core.marks import MarkingSet
from lightship.core.time import NO_INSTANT, Micros

BEGIN, END = Micros(1_000_000), Micros(2_000_000)
TIMES = (0, BEGIN - 1, BEGIN, END - 1, END, END + GRACE - 1, END + GRACE, END + 2 * GRACE)
SLUGS = ("a", "b", "c", "d")
IDS = {slug: f"identity--{n}1111111-1111-4111-8111-111111111111" for n, slug in enumerate(SLUGS)}
STRANGER = "identity--99999999-1111-4111-8111-111111111111"
ROLES = ("publisher", "consumer", "auditor", "joint-auditor", "approver")
HEIGHT = {"clear": 1, "green": 2, "amber": 3, "amber+strict": 3, "red": 4}
DEFINITIONS = ("marking-definition", "extension-definition")
COUNTRIES = ("US", "US", "JP", "CN")


@dataclass(frozen=True)
class Question:
    """One request: about an action, or about an object where there is one.

    With `receiver` it is whether that member may have what `owner` posted with these marks.
    """

    subject: Principal | System
    action: Action
    collection: Collection
    agreement: Agreement
    now: Micros
    candidate: Candidate | None
    marks: MarkingSet
    receiver: str = ""
    owner: str = ""
    signed: bool = False


def questions(seed: int, count: int) -> Iterator[Question]:
    """Yield random requests; a world serves four of them, so that a cache would be found out."""
    dice = random.Random(seed)
    for number in range(count):
        if number % 4 == 0:
            agreement, collection = _world(dice)
        person = Principal(
            *(dice.choice(["mou"] * 6 + ["other"]), dice.choice(SLUGS), "c1", "tool"),
            certificate=dice.random() < 0.5,
            listed=dice.random() < 0.5,
        )
        subject: Principal | System = dice.choice([person] * 9 + [System("fsck")])
        kind = dice.choice(("action", "object", "receive")) if isinstance(subject, Principal) else "action"
        item = _object(dice)
        yield Question(
            subject,
            Action.PUBLISH if kind == "object" else dice.choice(list(Action)),
            collection,
            agreement,
            Micros(dice.choice(TIMES)),
            item if kind == "object" else None,
            _marks(dice, item),
            dice.choice(SLUGS) if kind == "receive" else "",
            dice.choice(SLUGS),
            dice.random() < 0.5,
        )


def expected(question: Question) -> tuple[set[str], set[str]]:
    """Return (permits that hold, forbids that hold) by name.

    For an object that the rules would let in by itself: those for the first reader, by name, that may not
    have it, if there is one.
    """
    world, where, one = question.agreement, question.collection, question.subject
    if where.agreement != world.id:
        return set(), set()
    if question.receiver:
        return receiving(question, question.receiver, question.owner)
    if isinstance(one, System):
        others = {
            Action.PUBLISH,
            Action.READ_STATUS,
            Action.READ_AUDIT,
            Action.READ_JOINT_AUDIT,
            Action.APPROVE,
        }
        return (set() if question.action in others else {"allow-system"}), set()
    member = world.members.get(one.member) if one.agreement == world.id else None
    if member is None:
        return set(), {"deny-outsider"}
    if question.candidate is not None:
        permits = {"allow-publisher-publish"} if member.slug in where.publishers else set()
        forbids = set(_object_forbids(question, member, question.candidate))
        if permits and not forbids:
            return first_refused(question, member.slug) or (permits, forbids)
        return permits, forbids
    held = {
        Action.LIST: ("allow-member-list", True),
        Action.READ: ("allow-audience-read", member.slug in where.audience),
        Action.PUBLISH: ("allow-publisher-publish", member.slug in where.publishers),
        Action.WITHDRAW: ("allow-publisher-withdraw", member.slug in where.publishers),
        Action.READ_STATUS: ("allow-own-status", True),
        Action.READ_AUDIT: (
            "allow-own-audit",
            bool(member.roles & {"auditor", "joint-auditor"}) or member.slug in world.auditors,
        ),
        Action.READ_JOINT_AUDIT: (
            "allow-joint-audit",
            "joint-auditor" in member.roles or member.slug in world.auditors,
        ),
        Action.APPROVE: ("allow-approver-approve", "approver" in member.roles),
    }
    name, holds = held.get(question.action, ("", False))
    return ({name} if holds else set()), set(_action_forbids(question, member)) | _bare(question, one)


def _bare(question: Question, person: Principal) -> set[str]:
    """Return what is missing of the things that a collection asks of whoever changes it."""
    settings = question.collection.settings
    missing = set()
    if question.action in {Action.READ, Action.PUBLISH, Action.WITHDRAW} and settings.tokens == "member":
        missing |= set() if person.listed else {"deny-token-not-listed"}
    if question.action not in {Action.PUBLISH, Action.WITHDRAW}:
        return missing
    if settings.require_signature and not question.signed:
        missing.add("deny-unsigned")
    if settings.require_certificate_to_write and not person.certificate:
        missing.add("deny-no-certificate")
    return missing


def first_refused(question: Question, owner: str) -> tuple[set[str], set[str]] | None:
    """Return what holds for the first member of the audience, by name, that may not have it."""
    for slug in sorted(question.collection.audience):
        permits, forbids = receiving(question, slug, owner)
        if forbids or not permits:
            return set(), forbids
    return None


def receiving(question: Question, slug: str, owner: str) -> tuple[set[str], set[str]]:
    """Return (permits, forbids) that hold for one member and what somebody posted."""
    member = question.agreement.members.get(slug)
    if member is None:
        return set(), {"deny-outsider"}
    marks, settings = question.marks, question.collection.settings
    level = str(marks.level) if marks.level else ""
    if not level and marks.levelled and settings.unmarked != "refuse":
        level = str(settings.unmarked)
    named = any(one in (marks.recipients or ()) for one in member.identities)
    there = slug in (marks.red_members or ())
    permits = {"allow-receive-own"} if slug == owner else set()
    if not marks.levelled:
        permits.add("allow-receive-definition")
    if level in {"clear", "green"}:
        permits.add("allow-receive-open")
    if level.startswith("amber"):
        permits.add("allow-receive-amber")
    if level == "red" and (named or there):
        permits.add("allow-receive-red")
    forbids = {"deny-receive-classified"} if "acs-classified" in marks.closed else set()
    if slug != owner:
        forbids |= set(_withheld(marks, member, level, named, there))
    return permits, forbids


def _withheld(marks: MarkingSet, member: Member, level: str, named: bool, there: bool) -> Iterator[str]:
    if "iep-must-not-share" in marks.closed and marks.levelled and not (named or there):
        yield "deny-receive-iep"
    if marks.ssi and marks.levelled and (not named or member.country != "US"):
        yield "deny-receive-ssi"
    if marks.recipients is not None and not named:
        yield "deny-receive-recipients"
    if level == "red" and not (named or there):
        yield "deny-receive-red"
    if member.country in marks.exclude_countries:
        yield "deny-receive-country-excluded"
    if marks.only_countries is not None and member.country not in marks.only_countries:
        yield "deny-receive-country"
    if marks.levelled and not level:
        yield "deny-receive-unmarked"


def _action_forbids(question: Question, member: Member) -> Iterator[str]:
    now, action, world = question.now, question.action, question.agreement
    closed = world.ended or now < BEGIN
    if action is Action.PUBLISH:
        closed = closed or now >= END + GRACE
    closed = closed or any(one.member == "" and one.since <= now < one.until for one in world.suspensions)
    if any(one.member == member.slug and one.since <= now < one.until for one in world.suspensions):
        touched = {Action.READ, Action.PUBLISH, Action.WITHDRAW, Action.READ_JOINT_AUDIT, Action.APPROVE}
        if action in touched:
            yield "deny-suspended"
    if closed and action in {Action.READ, Action.PUBLISH, Action.WITHDRAW}:
        yield "deny-agreement-not-in-force"
    if action is Action.READ and member.roles and not member.roles - {"auditor", "joint-auditor"}:
        yield "deny-auditor-content"


def _object_forbids(question: Question, member: Member, item: Candidate) -> Iterator[str]:
    where, settings = question.collection, question.collection.settings
    level = str(item.level) if item.level else ""
    if not level and item.type not in DEFINITIONS:
        if settings.unmarked == "refuse":
            yield "deny-unmarked"
        else:
            level = str(settings.unmarked)
    if level and HEIGHT[level] > HEIGHT[str(where.ceiling)]:
        yield "deny-publish-ceiling"
    if question.marks.ssi and settings.ssi == "refuse":
        yield "deny-ssi"
    if "acs-classified" in question.marks.closed:
        yield "deny-classified"
    others = {IDS[slug] for slug in question.agreement.members if slug != member.slug}
    if item.type == "identity" and item.id in others:
        yield "deny-identity-of-another"
    author = item.created_by
    if settings.authors == "not-others" and author in others:
        yield "deny-author"
    if settings.authors == "own" and author not in {None, IDS[member.slug]}:
        yield "deny-author-not-own"
    if isinstance(settings.authors, frozenset):
        excused = author is None and not item.owned
        if author not in settings.authors and not excused:
            yield "deny-author-not-listed"


def _some(dice: random.Random, things: tuple[str, ...]) -> frozenset[str]:
    return frozenset(one for one in things if dice.random() < 0.5)


def _world(dice: random.Random) -> tuple[Agreement, Collection]:
    members = {}
    for slug in SLUGS:
        roles = _some(dice, ROLES) if dice.random() < 0.7 else frozenset({"auditor"})
        if dice.random() < 0.85:
            country = dice.choice(COUNTRIES)
            members[slug] = Member(slug, slug, "USLAX", country, "port", roles, frozenset({IDS[slug]}))
    listed = _some(dice, (*IDS.values(), STRANGER)) | {STRANGER}
    collection = Collection(
        1,
        "id",
        dice.choice(["mou"] * 9 + ["other"]),
        "indicators",
        "T",
        "",
        dice.choice(list(Level)),
        _some(dice, SLUGS),
        _some(dice, SLUGS),
        CollectionSettings(
            unmarked=dice.choice(["refuse", "refuse", *Level]),
            authors=dice.choice(["not-others", "own", "any", listed]),
            ssi=dice.choice(["refuse", "named"]),
            require_signature=dice.random() < 0.3,
            require_certificate_to_write=dice.random() < 0.3,
            tokens=dice.choice(["steward", "steward", "member"]),
        ),
    )
    agreement = Agreement(
        id="mou",
        version=1,
        title="T",
        description="",
        legal_basis="",
        not_before=BEGIN,
        not_after=END,
        members=members,
        collections=(collection,),
        digest="d",
        hub="d",
        authority="",
        ended=dice.random() < 0.1,
        auditors=_some(dice, SLUGS),
        suspensions=tuple(_stops(dice)),
    )
    return agreement, collection


def _stops(dice: random.Random) -> Iterator[Stop]:
    """Yield suspensions of members and of the whole agreement, that begin and end where time is asked for."""
    for number in range(dice.choice((0, 0, 1, 1, 2, 3))):
        since, until = sorted(dice.sample(TIMES, 2))
        member = dice.choice((*SLUGS, *SLUGS, ""))
        yield Stop(number + 1, "hub", member, Micros(since), Micros(until), "random")


def _marks(dice: random.Random, item: Candidate) -> MarkingSet:
    rare = dice.random() < 0.4
    return MarkingSet(
        level=item.level,
        levelled=item.type not in DEFINITIONS,
        recipients=_some(dice, (*IDS.values(), STRANGER)) if rare and dice.random() < 0.5 else None,
        red_members=_some(dice, SLUGS) if dice.random() < 0.5 else None,
        only_countries=_some(dice, COUNTRIES) if rare and dice.random() < 0.4 else None,
        exclude_countries=_some(dice, COUNTRIES) if rare and dice.random() < 0.4 else frozenset(),
        ssi=rare and dice.random() < 0.4,
        closed=_some(dice, ("acs-classified", "iep-must-not-share"))
        if rare and dice.random() < 0.4
        else frozenset(),
    )


def _object(dice: random.Random) -> Candidate:
    kind = dice.choice(["indicator", "ipv4-addr", *DEFINITIONS, "identity"])
    named = dice.choice([STRANGER, *IDS.values()])
    return Candidate(
        position=0,
        id=named if kind == "identity" else f"{kind}--11111111-1111-4111-8111-111111111111",
        type=kind,
        spec_version="2.1",
        version=NO_INSTANT,
        version_text="",
        digest=b"",
        body=b"{}",
        created_by=dice.choice([None, STRANGER, *IDS.values()]),
        level=dice.choice([None, None, *Level]),
        owned=dice.random() < 0.7,
    )
