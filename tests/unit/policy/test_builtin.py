"""The built-in rules: every decision by name, and thousands against an oracle written the other way round."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.core.access import Action, Decision, Principal, System
from lightship.core.agreement import GRACE, Agreement, Member
from lightship.core.collection import Candidate, Collection, CollectionSettings, Level
from lightship.core.time import NO_INSTANT, Micros
from lightship.policy.builtin import BuiltinRules

RULES = BuiltinRules()
BEGIN, END = Micros(1_000_000), Micros(2_000_000)
NOW = Micros(1_500_000)
LAX, LGB, TYO = (f"identity--{digit * 8}-1111-4111-8111-111111111111" for digit in "123")
STRANGER = "identity--99999999-1111-4111-8111-111111111111"


def member(slug: str, identity: str, *roles: str) -> Member:
    return Member(slug, slug, "USLAX", "US", "port-authority", frozenset(roles), frozenset({identity}))


def collection(
    audience: frozenset[str] = frozenset({"uslax", "uslgb"}),
    publishers: frozenset[str] = frozenset({"uslgb"}),
    ceiling: Level = Level.AMBER_STRICT,
    settings: CollectionSettings | None = None,
    agreement: str = "mou",
) -> Collection:
    return Collection(
        1,
        "id",
        agreement,
        "indicators",
        "T",
        "",
        ceiling,
        audience,
        publishers,
        settings or CollectionSettings(),
    )


def agreement_of(*members: Member, ended: bool = False, auditors: frozenset[str] = frozenset()) -> Agreement:
    return Agreement(
        id="mou",
        version=1,
        title="T",
        description="",
        legal_basis="",
        not_before=BEGIN,
        not_after=END,
        members={one.slug: one for one in members},
        collections=(collection(),),
        digest="d",
        hub="d",
        authority="",
        ended=ended,
        auditors=auditors,
    )


MOU = agreement_of(
    member("uslax", LAX, "publisher", "consumer", "auditor"),
    member("uslgb", LGB, "publisher", "consumer"),
    member("jptyo", TYO, "auditor"),
)


def who(slug: str, agreement: str = "mou") -> Principal:
    return Principal(agreement, slug, "c1", f"{slug}-tool", frozenset({"publisher", "consumer", "auditor"}))


def decide(
    subject: Principal | System, action: Action, now: int = NOW, agreement: Agreement = MOU
) -> Decision:
    return RULES.decide(subject, action, collection(), agreement, Micros(now))


@pytest.mark.parametrize(
    ("slug", "action", "rule"),
    [
        ("uslax", Action.LIST, "allow-member-list"),
        ("jptyo", Action.LIST, "allow-member-list"),
        ("uslax", Action.READ, "allow-audience-read"),
        ("jptyo", Action.READ, "deny-default"),
        ("uslgb", Action.PUBLISH, "allow-publisher-publish"),
        ("uslax", Action.PUBLISH, "deny-default"),
        ("uslgb", Action.WITHDRAW, "allow-publisher-withdraw"),
        ("uslax", Action.WITHDRAW, "deny-default"),
        ("uslax", Action.READ_STATUS, "allow-own-status"),
        ("uslax", Action.READ_AUDIT, "allow-own-audit"),
        ("jptyo", Action.READ_AUDIT, "allow-own-audit"),
        ("uslgb", Action.READ_AUDIT, "deny-default"),
        ("uslax", Action.ADMINISTER, "deny-default"),
        *[("sgsin", action, "deny-default") for action in Action],
    ],
)
def test_who_may_do_what(slug: str, action: Action, rule: str) -> None:
    decision = decide(who(slug), action)
    assert decision.rule == rule
    assert decision.allowed == rule.startswith("allow-")
    assert decision.say.endswith(".")


@pytest.mark.parametrize("action", list(Action))
def test_a_credential_of_another_agreement_gets_nothing(action: Action) -> None:
    assert decide(who("uslax", "other"), action).rule == "deny-default"


@pytest.mark.parametrize("action", list(Action))
def test_a_collection_of_another_agreement_gives_nothing(action: Action) -> None:
    other = collection(agreement="other")
    for subject in (who("uslax"), who("uslax", "other"), System("fsck")):
        assert RULES.decide(subject, action, other, MOU, NOW).rule == "deny-default"


PAST = END + GRACE


@pytest.mark.parametrize(
    ("now", "read", "publish", "withdraw"),
    [
        (BEGIN - 1, False, False, False),
        (BEGIN, True, True, True),
        (END - 1, True, True, True),
        (END, True, False, True),
        (PAST - 1, True, False, True),
        (PAST, False, False, False),
    ],
)
def test_the_agreements_dates_open_and_close_it(now: int, read: bool, publish: bool, withdraw: bool) -> None:
    for action, allowed in ((Action.READ, read), (Action.PUBLISH, publish), (Action.WITHDRAW, withdraw)):
        decision = decide(who("uslgb"), action, now)
        assert decision.allowed is allowed
        if not allowed:
            assert decision.rule == "deny-agreement-not-in-force"
    for action in (Action.LIST, Action.READ_STATUS):
        assert decide(who("uslgb"), action, now).allowed
    assert decide(who("uslax"), Action.READ_AUDIT, now).allowed


def test_an_ended_agreement_refuses_content_and_keeps_the_audit() -> None:
    ended = replace(MOU, ended=True)
    for action in (Action.READ, Action.PUBLISH, Action.WITHDRAW):
        assert decide(who("uslgb"), action, NOW, ended).rule == "deny-agreement-not-in-force"
    assert decide(who("jptyo"), Action.READ_AUDIT, NOW, ended).allowed


def test_auditors_read_no_content_even_if_an_audience_names_them() -> None:
    wide = collection(audience=frozenset({"jptyo"}))
    decision = RULES.decide(who("jptyo"), Action.READ, wide, MOU, NOW)
    assert not decision.allowed
    assert "never the content" in decision.say


def test_roles_that_a_principal_carries_give_nothing() -> None:
    assert not decide(who("uslgb"), Action.READ_AUDIT).allowed


def test_members_that_the_agreement_names_as_auditors_may_audit() -> None:
    named = replace(MOU, auditors=frozenset({"uslgb"}))
    assert decide(who("uslgb"), Action.READ_AUDIT, NOW, named).rule == "allow-own-audit"


def test_the_hub_itself_reads_withdraws_and_administers_but_never_publishes() -> None:
    allowed = {action for action in Action if decide(System("fsck"), action).allowed}
    assert allowed == {Action.LIST, Action.READ, Action.WITHDRAW, Action.ADMINISTER}
    assert decide(System("fsck"), Action.READ, PAST).allowed


# --- objects --------------------------------------------------------------------------------------


def candidate(
    level: Level | None = Level.GREEN,
    author: str | None = None,
    kind: str = "indicator",
    id_: str = "",
    owned: bool = True,
) -> Candidate:
    return Candidate(
        position=0,
        id=id_ or f"{kind}--11111111-1111-4111-8111-111111111111",
        type=kind,
        spec_version="2.1",
        version=NO_INSTANT,
        version_text="",
        digest=b"",
        body=b"{}",
        created_by=author,
        level=level,
        owned=owned,
    )


def put(one: Candidate, slug: str = "uslgb", **changes: object) -> Decision:
    where = collection(settings=CollectionSettings(**changes))  # type: ignore[arg-type]  # any setting by name
    return RULES.decide_object(who(slug), where, MOU, one)


LEVELS_IN = {
    Level.CLEAR: {Level.CLEAR},
    Level.GREEN: {Level.CLEAR, Level.GREEN},
    Level.AMBER: {Level.CLEAR, Level.GREEN, Level.AMBER, Level.AMBER_STRICT},
    Level.AMBER_STRICT: {Level.CLEAR, Level.GREEN, Level.AMBER, Level.AMBER_STRICT},
    Level.RED: set(Level),
}


@pytest.mark.parametrize("ceiling", list(Level))
@pytest.mark.parametrize("level", list(Level))
def test_nothing_above_the_ceiling_enters(ceiling: Level, level: Level) -> None:
    decision = RULES.decide_object(who("uslgb"), collection(ceiling=ceiling), MOU, candidate(level))
    assert decision.allowed is (level in LEVELS_IN[ceiling])
    if not decision.allowed:
        assert decision.rule == "deny-publish-ceiling"
        assert f"`indicators` accepts at most TLP:{ceiling.upper()}" in decision.say


def test_an_unmarked_object_is_refused_unless_the_collection_says_what_it_counts_as() -> None:
    assert put(candidate(None)).rule == "deny-unmarked"
    assert put(candidate(None), unmarked=Level.CLEAR).allowed
    low = collection(ceiling=Level.CLEAR, settings=CollectionSettings(unmarked=Level.GREEN))
    assert RULES.decide_object(who("uslgb"), low, MOU, candidate(None)).rule == "deny-publish-ceiling"


@pytest.mark.parametrize("kind", ["marking-definition", "extension-definition"])
def test_definitions_need_no_marking_themselves(kind: str) -> None:
    assert put(candidate(None, kind=kind, owned=False)).allowed


@pytest.mark.parametrize(
    ("authors", "author", "allowed"),
    [
        ("not-others", None, True),
        ("not-others", LGB, True),
        ("not-others", STRANGER, True),
        ("not-others", LAX, False),
        ("own", None, True),
        ("own", LGB, True),
        ("own", STRANGER, False),
        ("own", LAX, False),
        ("any", LAX, True),
        ("any", STRANGER, True),
        ("any", None, True),
        (frozenset({STRANGER}), STRANGER, True),
        (frozenset({STRANGER}), LGB, False),
        (frozenset({STRANGER}), LAX, False),
        (frozenset({STRANGER}), None, False),
    ],
)
def test_whose_objects_a_collection_takes(authors: object, author: str | None, allowed: bool) -> None:
    decision = put(candidate(author=author), authors=authors)
    assert decision.allowed is allowed
    assert decision.rule == ("allow-publisher-publish" if allowed else "deny-author")


def test_observables_cannot_name_an_author_and_pass_an_authors_list() -> None:
    observable = candidate(kind="ipv4-addr", owned=False)
    assert put(observable, authors=frozenset({STRANGER})).allowed


@pytest.mark.parametrize("authors", ["not-others", "own", "any"])
def test_another_members_identity_object_is_refused(authors: str) -> None:
    assert put(candidate(kind="identity", id_=LAX), authors=authors).rule == "deny-author"
    assert put(candidate(kind="identity", id_=LGB), authors=authors).allowed
    assert put(candidate(kind="identity", id_=STRANGER), authors=authors).allowed


@pytest.mark.parametrize("slug", ["uslax", "jptyo", "sgsin"])
def test_who_may_not_publish_puts_no_object(slug: str) -> None:
    assert put(candidate(), slug).rule == "deny-default"


# --- against an oracle ----------------------------------------------------------------------------

SLUGS = ("a", "b", "c", "d")
IDS = {slug: f"identity--{n}1111111-1111-4111-8111-111111111111" for n, slug in enumerate(SLUGS)}
ROLES = ("publisher", "consumer", "auditor", "joint-auditor", "approver")
Word = Literal["not-others", "own", "any"]
Authors = Word | frozenset[str]
WORDS: tuple[Word, ...] = ("not-others", "own", "any")
some = st.frozensets(st.sampled_from(SLUGS))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Agreement, Collection, Principal]:
    members = [
        member(slug, IDS[slug], *draw(st.frozensets(st.sampled_from(ROLES))))
        for slug in draw(st.sets(st.sampled_from(SLUGS), min_size=1))
    ]
    authors: Authors = draw(
        st.sampled_from(WORDS) | st.frozensets(st.sampled_from([*IDS.values(), STRANGER]), min_size=1)
    )
    where = collection(
        draw(some),
        draw(some),
        draw(st.sampled_from(Level)),
        CollectionSettings(
            unmarked=draw(st.sampled_from(["refuse", *Level])),
            authors=authors,
        ),
        draw(st.sampled_from(["mou", "mou", "mou", "other"])),
    )
    world = agreement_of(*members, ended=draw(st.sampled_from([False, False, True])), auditors=draw(some))
    return world, where, who(draw(st.sampled_from(SLUGS)), draw(st.sampled_from(["mou", "mou", "other"])))


def oracle(world: Agreement, where: Collection, one: Principal, action: str, now: int) -> str:
    """The same rules, from the permits: collect what permits, then what forbids."""
    inside = where.agreement == one.agreement == world.id and one.member in world.members
    roles = world.members[one.member].roles if inside else frozenset()
    content = action in {"read", "publish", "withdraw"}
    closed = world.ended or now < BEGIN or now >= PAST or (now >= END and action == "publish")
    only_audits = bool(roles) and not roles - {"auditor", "joint-auditor"}
    permits = {
        "list": ("allow-member-list", True),
        "read": ("allow-audience-read", one.member in where.audience and not only_audits),
        "publish": ("allow-publisher-publish", one.member in where.publishers),
        "withdraw": ("allow-publisher-withdraw", one.member in where.publishers),
        "readStatus": ("allow-own-status", True),
        "readAudit": ("allow-own-audit", "auditor" in roles or one.member in world.auditors),
        "administer": ("", False),
    }
    if not inside:
        return "deny-default"
    if content and closed:
        return "deny-agreement-not-in-force"
    name, holds = permits[action]
    return name if holds else "deny-default"


@settings(max_examples=400, deadline=None)
@given(worlds(), st.sampled_from(Action), st.sampled_from([0, BEGIN, NOW, END - 1, END, PAST - 1, PAST]))
def test_decisions_agree_with_the_oracle(
    world: tuple[Agreement, Collection, Principal], action: Action, now: int
) -> None:
    agreement, where, one = world
    decision = RULES.decide(one, action, where, agreement, Micros(now))
    expected = oracle(agreement, where, one, str(action), now)
    assert decision.rule == expected
    assert decision.allowed == expected.startswith("allow-")


def object_oracle(world: Agreement, where: Collection, one: Principal, item: Candidate) -> set[str]:
    """Every forbid that holds; empty means allowed."""
    if where.agreement != "mou" or one.agreement != "mou" or one.member not in world.members:
        return {"deny-default"}
    if one.member not in where.publishers:
        return {"deny-default"}
    found = set()
    height = {"clear": 1, "green": 2, "amber": 3, "amber+strict": 3, "red": 4}
    level = item.level
    if level is None and item.type not in {"marking-definition", "extension-definition"}:
        if where.settings.unmarked == "refuse":
            found.add("deny-unmarked")
        else:
            level = Level(where.settings.unmarked)
    if level is not None and height[level] > height[where.ceiling]:
        found.add("deny-publish-ceiling")
    others = {IDS[slug] for slug in world.members if slug != one.member}
    takes = where.settings.authors
    refusals = {
        "any": False,
        "not-others": item.created_by in others,
        "own": item.created_by not in {None, IDS[one.member]},
    }
    if isinstance(takes, frozenset):
        wrong = item.created_by not in takes and not (item.created_by is None and not item.owned)
    else:
        wrong = refusals[takes]
    if wrong or (item.type == "identity" and item.id in others):
        found.add("deny-author")
    return found


items = st.builds(
    candidate,
    level=st.sampled_from([None, *Level]),
    author=st.sampled_from([None, STRANGER, *IDS.values()]),
    kind=st.sampled_from(["indicator", "ipv4-addr", "marking-definition", "extension-definition"]),
    owned=st.booleans(),
) | st.builds(candidate, kind=st.just("identity"), id_=st.sampled_from([STRANGER, *IDS.values()]))


@settings(max_examples=400, deadline=None)
@given(worlds(), items)
def test_object_decisions_agree_with_the_oracle(
    world: tuple[Agreement, Collection, Principal], item: Candidate
) -> None:
    agreement, where, one = world
    decision = RULES.decide_object(one, where, agreement, item)
    forbids = object_oracle(agreement, where, one, item)
    assert decision.allowed is (not forbids)
    assert decision.rule in (forbids or {"allow-publisher-publish"})
