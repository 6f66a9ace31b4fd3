"""The engine behind the decisions: every decision by name, its sentences, and what is remembered of it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from lightship.core.access import Action, Decision, Principal, System
from lightship.core.agreement import GRACE, Agreement, Member
from lightship.core.collection import Candidate, Collection, CollectionSettings, Level
from lightship.core.explanation import Condition
from lightship.core.marks import UNLEVELLED_TYPES, UNMARKED, MarkingSet
from lightship.core.time import NO_INSTANT, Micros
from lightship.policy import memory
from lightship.policy.engine import CedarRules
from lightship.policy.files import read_rules
from lightship.policy.rules import rule_set
from policy_rules import cedar_rules, shipped

RULES = cedar_rules()
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
        ("jptyo", Action.READ, "deny-auditor-content"),
        ("uslgb", Action.PUBLISH, "allow-publisher-publish"),
        ("uslax", Action.PUBLISH, "deny-default"),
        ("uslgb", Action.WITHDRAW, "allow-publisher-withdraw"),
        ("uslax", Action.WITHDRAW, "deny-default"),
        ("uslax", Action.READ_STATUS, "allow-own-status"),
        ("uslax", Action.READ_AUDIT, "allow-own-audit"),
        ("jptyo", Action.READ_AUDIT, "allow-own-audit"),
        ("uslgb", Action.READ_AUDIT, "deny-default"),
        ("uslax", Action.ADMINISTER, "deny-default"),
        *[("sgsin", action, "deny-outsider") for action in Action],
    ],
)
def test_who_may_do_what(slug: str, action: Action, rule: str) -> None:
    decision = decide(who(slug), action)
    assert decision.rule == rule
    assert decision.allowed == rule.startswith("allow-")
    assert decision.say.endswith(".")


@pytest.mark.parametrize("action", list(Action))
def test_a_credential_of_another_agreement_gets_nothing(action: Action) -> None:
    assert decide(who("uslax", "other"), action).rule == "deny-outsider"


@pytest.mark.parametrize("action", list(Action))
def test_a_collection_of_another_agreement_gives_nothing(action: Action) -> None:
    other = collection(agreement="other")
    for subject in (who("uslax"), who("uslax", "other"), System("fsck")):
        decision = RULES.decide(subject, action, other, MOU, NOW)
        assert not decision.allowed
        assert decision.rule in {"deny-default", "deny-outsider"}


PAST = END + GRACE


@pytest.mark.parametrize(
    ("now", "read", "publish", "withdraw"),
    [
        (BEGIN - 1, False, False, False),
        (BEGIN, True, True, True),
        (END - 1, True, True, True),
        (END, True, True, True),
        (PAST - 1, True, True, True),
        (PAST, True, False, True),
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
    assert allowed == {Action.LIST, Action.READ, Action.WITHDRAW, Action.READ_METRICS, Action.ADMINISTER}
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


def marks_of(one: Candidate, **changes: object) -> MarkingSet:
    """Return the marking set of an object that has TLP only, with RED for both ports."""
    red = frozenset({"uslax", "uslgb"}) if one.level is Level.RED else None
    plain = MarkingSet(one.level, levelled=one.type not in UNLEVELLED_TYPES, red_members=red)
    return replace(plain, **changes)  # type: ignore[arg-type]  # any field by name


def put(one: Candidate, slug: str = "uslgb", **changes: object) -> Decision:
    where = collection(settings=CollectionSettings(**changes))  # type: ignore[arg-type]  # any setting by name
    return RULES.decide_object(who(slug), where, MOU, one, marks_of(one))


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
    one = candidate(level)
    decision = RULES.decide_object(who("uslgb"), collection(ceiling=ceiling), MOU, one, marks_of(one))
    assert decision.allowed is (level in LEVELS_IN[ceiling])
    if not decision.allowed:
        assert decision.rule == "deny-publish-ceiling"
        assert f"`indicators` accepts at most TLP:{ceiling.upper()}" in decision.say


def test_an_unmarked_object_is_refused_unless_the_collection_says_what_it_counts_as() -> None:
    assert put(candidate(None)).rule == "deny-unmarked"
    assert put(candidate(None), unmarked=Level.CLEAR).allowed
    low = collection(ceiling=Level.CLEAR, settings=CollectionSettings(unmarked=Level.GREEN))
    decision = RULES.decide_object(who("uslgb"), low, MOU, candidate(None), UNMARKED)
    assert decision.rule == "deny-publish-ceiling"


@pytest.mark.parametrize("kind", ["marking-definition", "extension-definition"])
def test_definitions_need_no_marking_themselves(kind: str) -> None:
    assert put(candidate(None, kind=kind, owned=False)).allowed


@pytest.mark.parametrize(
    ("authors", "author", "rule"),
    [
        ("not-others", None, ""),
        ("not-others", LGB, ""),
        ("not-others", STRANGER, ""),
        ("not-others", LAX, "deny-author"),
        ("own", None, ""),
        ("own", LGB, ""),
        ("own", STRANGER, "deny-author-not-own"),
        ("own", LAX, "deny-author-not-own"),
        ("any", LAX, ""),
        ("any", STRANGER, ""),
        ("any", None, ""),
        (frozenset({STRANGER}), STRANGER, ""),
        (frozenset({STRANGER}), LGB, "deny-author-not-listed"),
        (frozenset({STRANGER}), LAX, "deny-author-not-listed"),
        (frozenset({STRANGER}), None, "deny-author-not-listed"),
    ],
)
def test_whose_objects_a_collection_takes(authors: object, author: str | None, rule: str) -> None:
    decision = put(candidate(author=author), authors=authors)
    assert decision.allowed is (not rule)
    assert decision.rule == (rule or "allow-publisher-publish")


def test_observables_cannot_name_an_author_and_pass_an_authors_list() -> None:
    observable = candidate(kind="ipv4-addr", owned=False)
    assert put(observable, authors=frozenset({STRANGER})).allowed


@pytest.mark.parametrize("authors", ["not-others", "own", "any"])
def test_another_members_identity_object_is_refused(authors: str) -> None:
    assert put(candidate(kind="identity", id_=LAX), authors=authors).rule == "deny-identity-of-another"
    assert put(candidate(kind="identity", id_=LGB), authors=authors).allowed
    assert put(candidate(kind="identity", id_=STRANGER), authors=authors).allowed


@pytest.mark.parametrize(
    ("slug", "rule"), [("uslax", "deny-default"), ("jptyo", "deny-default"), ("sgsin", "deny-outsider")]
)
def test_who_may_not_publish_puts_no_object(slug: str, rule: str) -> None:
    assert put(candidate(), slug).rule == rule


@pytest.mark.parametrize(
    ("one", "say"),
    [
        (
            candidate(Level.RED),
            "The object is TLP:RED, but `indicators` accepts at most TLP:AMBER+STRICT: "
            "post it to a collection that accepts TLP:RED.",
        ),
        (
            candidate(None),
            "The object has no TLP marking, and `indicators` takes only marked ones: "
            "add object_marking_refs with a TLP level up to TLP:AMBER+STRICT.",
        ),
        (
            candidate(author=LAX),
            "created_by_ref names `uslax`, another member: `indicators` takes your own objects and "
            "third parties', not another member's.",
        ),
        (
            candidate(kind="identity", id_=LAX),
            "This identity is that of `uslax`: only that member may post it.",
        ),
    ],
)
def test_a_refusal_says_what_and_what_to_do(one: Candidate, say: str) -> None:
    assert put(one).say == say


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (BEGIN - 1, "is not in force yet"),
        (PAST, "has expired: reading and withdrawing go on, publishing does not"),
    ],
)
def test_a_refusal_says_where_the_agreement_stands(now: int, words: str) -> None:
    assert words in decide(who("uslgb"), Action.PUBLISH, now).say


def test_of_several_forbids_the_first_of_the_files_is_reported() -> None:
    one = candidate(Level.RED, author=LAX, kind="identity", id_=LAX)
    assert put(one).rule == "deny-publish-ceiling"
    found = RULES.explain(who("uslgb"), Action.PUBLISH, collection(), MOU, NOW, one)
    assert [reason.rule for reason in found.reasons] == [
        "deny-publish-ceiling",
        "deny-identity-of-another",
        "deny-author",
    ]


# --- what is remembered ---------------------------------------------------------------------------


def test_a_new_version_of_an_agreement_counts_at_once_and_the_old_one_is_forgotten() -> None:
    rules, where = cedar_rules(), collection()
    without = agreement_of(member("uslax", LAX, "consumer"))
    for _ in range(3):
        assert rules.decide(who("uslgb"), Action.READ, where, MOU, NOW).allowed
        assert rules.decide(who("uslgb"), Action.READ, where, without, NOW).rule == "deny-outsider"
    assert rules.remembered == 1


def test_a_new_value_of_a_collection_counts_at_once() -> None:
    rules = cedar_rules()
    for _ in range(3):
        for audience in (frozenset({"uslax"}), frozenset({"uslgb"})):
            decision = rules.decide(who("uslgb"), Action.READ, collection(audience), MOU, NOW)
            assert decision.allowed is ("uslgb" in audience)


def test_an_identity_that_moves_to_another_member_counts_at_once() -> None:
    rules, where, one = cedar_rules(), collection(), candidate(author=TYO)
    taken = agreement_of(member("uslax", TYO, "consumer"), member("uslgb", LGB, "publisher"))
    own = agreement_of(member("uslax", LAX, "consumer"), member("uslgb", TYO, "publisher"))
    for _ in range(3):
        assert not rules.decide_object(who("uslgb"), where, taken, one, marks_of(one)).allowed
        assert rules.decide_object(who("uslgb"), where, own, one, marks_of(one)).allowed


def test_no_more_is_remembered_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CACHED_DECISIONS", 10)
    rules, where = cedar_rules(), collection()
    for number in range(100):
        assert rules.decide(who(f"stranger-{number}"), Action.READ, where, MOU, NOW).rule == "deny-outsider"
        assert rules.decide(who("uslax"), Action.READ, where, MOU, NOW).allowed
        assert rules.remembered <= 10


def test_threads_with_different_agreements_get_their_own_answers() -> None:
    rules = cedar_rules()

    def ask(number: int) -> bool:
        inside = number % 2 == 0
        for _ in range(20):
            # Values that live for one question: their places in memory are used again by others.
            where = collection(frozenset({"uslgb"}) if inside else frozenset({"uslax"}))
            world = agreement_of(member("uslgb", LGB, "consumer"), member("uslax", LAX, "consumer"))
            if rules.decide(who("uslgb"), Action.READ, where, world, NOW).allowed is not inside:
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(16)))


def test_rules_that_cannot_be_evaluated_refuse() -> None:
    schema = shipped().schema
    # It passes the check against the schema, but overflows when it is asked.
    text = """
        @id("deny-broken") @say("No.")
        forbid (principal is Member, action == Action::"publishObject", resource)
        when { resource.ceiling.rank + 9223372036854775807 > 0 };
    """
    rules = CedarRules(rule_set([*shipped().rules, *read_rules(text, "broken.cedar", schema)], schema))
    decision = rules.decide_object(who("uslgb"), collection(), MOU, candidate(), MarkingSet(Level.GREEN))
    assert (decision.allowed, decision.rule) == (False, "deny-not-evaluated")


# --- why ------------------------------------------------------------------------------------------


def test_a_default_deny_is_explained_by_the_permit_that_failed() -> None:
    found = RULES.explain(who("uslax"), Action.PUBLISH, collection(), MOU, NOW)
    assert found.decision == Decision(False, "deny-default", "`uslax` is not a publisher of `indicators`.")
    assert found.reasons == ()
    (near,) = found.permits
    assert near.rule == "allow-publisher-publish"
    assert near.conditions == (Condition("principal in resource.publishers", False),)
    assert not near.holds


def test_a_permit_is_explained_condition_by_condition() -> None:
    (near,) = RULES.explain(who("uslgb"), Action.READ_AUDIT, collection(), MOU, NOW).permits
    assert [(one.holds, one.text) for one in near.conditions] == [
        (True, "principal in resource.agreement"),
        (
            False,
            '((principal.roles.contains("auditor")) || (principal.roles.contains("joint-auditor"))) || '
            "(principal in resource.agreement.auditors)",
        ),
    ]


def test_an_object_is_explained_once_the_action_itself_is_permitted() -> None:
    found = RULES.explain(who("uslgb"), Action.PUBLISH, collection(), MOU, NOW, candidate(Level.RED))
    assert found.decision.rule == "deny-publish-ceiling"
    assert [near.holds for near in found.permits] == [True]
    closed = RULES.explain(
        who("uslgb"), Action.PUBLISH, collection(), MOU, Micros(PAST), candidate(Level.RED)
    )
    assert closed.decision.rule == "deny-agreement-not-in-force"


def test_what_no_rule_is_about_is_refused_in_words() -> None:
    found = RULES.explain(who("uslgb"), Action.ADMINISTER, collection(), MOU, NOW)
    assert found.decision.say == "No rule lets `uslgb` do this (administer)."
    assert found.permits == ()
    hub = RULES.explain(System("fsck"), Action.PUBLISH, collection(), MOU, NOW)
    assert hub.decision.say == "No rule lets the hub itself do this (publish)."


# --- cost -----------------------------------------------------------------------------------------


def test_a_decision_in_an_agreement_of_500_members_and_200_collections_takes_less_than_2_ms() -> None:
    slugs = [f"member-{number}" for number in range(500)]
    world = agreement_of(*(member(slug, f"identity--{slug}", "consumer", "publisher") for slug in slugs))
    places = [collection(frozenset(slugs), frozenset(slugs[::2])) for _ in range(200)]
    rules, taken = cedar_rules(), []
    for number, place in enumerate(places):
        begin = time.perf_counter()
        assert rules.decide(who(slugs[number]), Action.READ, place, world, NOW).allowed
        taken.append(time.perf_counter() - begin)
    assert rules.remembered == len(places)
    # The median, about 0.1 ms: a machine that is busy with other things delays some of them.
    assert sorted(taken)[len(taken) // 2] < 0.002
