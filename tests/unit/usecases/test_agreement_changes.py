"""A change of an agreement and what is held: nobody gets by it what was not meant for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from governance_samples import NOW, Hub
from lightship.core.access import Decision
from lightship.core.audit import AccessEvent
from lightship.core.collection import Collection, Level
from lightship.core.errors import BadFile, Conflict
from lightship.core.marks import Cited, MarkingSet
from lightship.core.ports import HeldSet, SignedAgreement
from lightship.core.time import Micros
from lightship.usecases import agreements
from lightship.usecases.agreements import HeldForbids
from lightship.usecases.breaking import NAMED, Breach, Breaches
from lightship.usecases.draft import Draft
from storekit import ALICE, BOB, candidate, grant, object_id, publishing, pull, uuid_of

ONE = 'audience = ["uslax"]'
BOTH = 'audience = ["uslax", "uslgb"]'
GREEN = MarkingSet(Level.GREEN)
AMBER = MarkingSet(Level.AMBER)


def red(*members: str) -> MarkingSet:
    """TLP:RED to those who are the audience when it is posted."""
    return MarkingSet(Level.RED, red_members=frozenset(members))


def place(hub: Hub, alias: str) -> Collection:
    found = hub.directory.view().collection("la-lb-mou", alias)
    assert found is not None
    return found


def hold(
    hub: Hub,
    marks: MarkingSet,
    number: int = 1,
    *,
    on: str = "incidents",
    owner: str = ALICE,
    version: str = "2026-01-01T00:00:00Z",
) -> None:
    """Put an object with this marking set into a collection."""
    allowed = grant(hub.store, owner, on=place(hub, on))
    request = publishing(allowed, [candidate(number, version)])
    hub.store.publish(replace(request, marks=(marks,), now=NOW)).result(30)


def wide(hub: Hub) -> str:
    return hub.text().replace(ONE, BOTH)


def held_ids(hub: Hub, alias: str) -> list[str]:
    return [row.id for row in pull(hub.store, on=place(hub, alias).number)]


@pytest.fixture(name="hub")
def _hub() -> Hub:
    """`incidents` is read by uslax alone, and takes RED to its audience."""
    made = Hub()
    made.apply(made.text())
    return made


# --- refused, and named -----------------------------------------------------------------------------


def test_an_audience_change_that_a_red_object_forbids_is_refused_and_names_it(hub: Hub) -> None:
    hold(hub, red(ALICE))
    before = hub.store.epoch()
    report = hub.check(wide(hub))
    assert report.refused
    (found,) = report.impact.breaches.named
    assert report.impact.breaches.total == 1
    assert (found.collection, found.object_id, found.type) == ("incidents", object_id(1), "indicator")
    assert (found.owner, found.members, found.rule) == (ALICE, (BOB,), "deny-receive-red")
    assert found.version == "2026-01-01T00:00:00Z"
    assert not found.staged
    assert "TLP:RED" in found.why
    with pytest.raises(HeldForbids) as caught:
        hub.apply(wide(hub))
    assert caught.value.rule == "deny-receive-red"
    assert object_id(1) in str(caught.value)
    assert "withdraw" in caught.value.todo
    assert caught.value.report == report
    assert hub.store.epoch() == before
    assert len(hub.store.chain("la-lb-mou")) == 1
    assert held_ids(hub, "incidents") == [object_id(1)]


def test_the_impact_says_it_in_one_sentence_an_object(hub: Hub) -> None:
    hold(hub, red(ALICE))
    said = hub.check(wide(hub)).impact.sentences()
    assert "`uslgb` gains reading `incidents`" in said
    (sentence,) = [one for one in said if object_id(1) in one]
    assert sentence.startswith(
        f"`incidents`: {object_id(1)} version 2026-01-01T00:00:00Z (of `uslax`) is not for uslgb: "
    )
    assert sentence.endswith("(deny-receive-red)")


def test_who_posted_something_may_always_join_its_readers(hub: Hub) -> None:
    hold(hub, red(ALICE), owner=BOB)
    assert hub.apply(wide(hub)).changed


def test_what_is_not_red_forbids_nothing(hub: Hub) -> None:
    hold(hub, AMBER)
    hold(hub, GREEN, 2)
    report = hub.apply(wide(hub)).report
    assert report.impact.breaches.total == 0
    assert place(hub, "incidents").audience == {ALICE, BOB}


def test_an_old_version_forbids_it_as_the_latest_does(hub: Hub) -> None:
    hold(hub, red(ALICE))
    hold(hub, GREEN, version="2026-02-01T00:00:00Z")
    (found,) = hub.check(wide(hub)).impact.breaches.named
    assert found.version == "2026-01-01T00:00:00Z"


def test_what_unmarked_objects_are_taken_for_counts_for_those_that_are_held(hub: Hub) -> None:
    green = hub.text().replace('ceiling = "green"', 'ceiling = "green"\nunmarked = "green"')
    hub.apply(green)
    hold(hub, MarkingSet(), on="warnings", owner=BOB)
    (found,) = hub.check(hub.text()).impact.breaches.named
    assert (found.members, found.rule) == ((ALICE,), "deny-receive-unmarked")
    taken = green.replace('unmarked = "green"', 'unmarked = "clear"')
    said = hub.apply(taken).report.impact.sentences()
    assert any(one.startswith("`warnings`: unmarked changes from green to clear; it counts") for one in said)


def test_other_settings_are_about_what_is_posted_from_now_on(hub: Hub) -> None:
    hold(hub, GREEN, on="warnings", owner=BOB)
    stricter = hub.text().replace('ceiling = "green"', 'ceiling = "clear"\nauthors = "own"\nmax_objects = 1')
    said = hub.apply(stricter).report.impact.sentences()
    assert sum("what is held stays" in one for one in said) == 2
    assert held_ids(hub, "warnings") == [object_id(1)]


def test_what_waits_for_its_release_forbids_it_too(hub: Hub) -> None:
    hold(hub, replace(red(ALICE), release_at=Micros(NOW + 60_000_000)))
    assert held_ids(hub, "incidents") == []
    report = hub.check(wide(hub))
    (found,) = report.impact.breaches.named
    assert found.staged
    assert any(f"{object_id(1)} version" in one and "staged" in one for one in report.impact.sentences())
    with pytest.raises(HeldForbids):
        hub.apply(wide(hub))


def test_twenty_are_named_and_the_others_counted(hub: Hub) -> None:
    for number in range(1, NAMED + 6):
        hold(hub, red(ALICE), number)
    breaches = hub.check(wide(hub)).impact.breaches
    assert breaches.total == NAMED + 5
    assert len({one.object_id for one in breaches.named}) == NAMED
    assert breaches.sentences()[-1].startswith("5 more object versions")


def test_of_many_members_that_may_not_have_it_the_first_are_named() -> None:
    one = Breach("c", "note--1", "note", "", ALICE, tuple(f"m{n}" for n in range(9)), "deny", "No.", False)
    assert one.who == "m0, m1, m2, m3, m4 and 4 more"
    assert Breaches(1, (one,)).sentences() == [
        "`c`: note--1 (of `uslax`) is not for m0, m1, m2, m3, m4 and 4 more: No. (deny)"
    ]


def test_countries_count_when_a_member_joins(hub: Hub) -> None:
    hold(hub, replace(GREEN, exclude_countries=frozenset({"JP"})), on="indicators")
    joined = hub.text().replace('roles = ["auditor"]', 'roles = ["auditor", "consumer"]')
    (found,) = hub.check(joined).impact.breaches.named
    assert (found.members, found.rule) == (("jptyo",), "deny-receive-country-excluded")


def test_recipients_that_lose_their_identity_lose_what_was_for_them(hub: Hub) -> None:
    named = frozenset({"identity--11111111-1111-4111-8111-111111111111"})
    hold(hub, MarkingSet(Level.AMBER, recipients=named), owner=BOB)
    other = hub.text().replace('identities = ["identity--11111111', 'identities = ["identity--44444444')
    (found,) = hub.check(other).impact.breaches.named
    assert (found.members, found.rule) == ((ALICE,), "deny-receive-recipients")


# --- neither in steps -------------------------------------------------------------------------------


def test_a_lower_ceiling_first_changes_nothing_about_what_is_held(hub: Hub) -> None:
    hold(hub, red(ALICE))
    lower = hub.text().replace('ceiling = "red"\nred = "audience"', 'ceiling = "amber"')
    said = hub.apply(lower).report.impact.sentences()
    assert any("ceiling changes from red to amber; what is held stays" in one for one in said)
    assert held_ids(hub, "incidents") == [object_id(1)]
    with pytest.raises(HeldForbids):
        hub.apply(lower.replace(ONE, BOTH))


def test_taking_a_collection_out_and_putting_it_back_widens_nothing(hub: Hub) -> None:
    hold(hub, red(ALICE))
    head, _, rest = hub.text().partition("[collections.incidents]")
    hub.apply(head + "[collections.indicators]" + rest.partition("[collections.indicators]")[2])
    with pytest.raises(HeldForbids):
        hub.apply(wide(hub))
    assert hub.apply(hub.text()).changed


def test_who_left_comes_back_only_to_what_was_meant_for_it(hub: Hub) -> None:
    hub.apply(wide(hub))
    hold(hub, red(ALICE, BOB))
    hub.apply(hub.text())
    assert hub.apply(wide(hub)).changed
    hub.apply(hub.text())
    hold(hub, red(ALICE), 2)
    with pytest.raises(HeldForbids) as caught:
        hub.apply(wide(hub))
    assert [one.object_id for one in caught.value.report.impact.breaches.named] == [object_id(2)]


# --- withdrawn by the change itself -----------------------------------------------------------------


def listing(hub: Hub, *numbers: int) -> str:
    listed = ", ".join(f'"{object_id(number)}"' for number in numbers)
    return wide(hub).replace(BOTH, f"{BOTH}\nwithdraw = [{listed}]")


def test_what_the_change_lists_is_withdrawn_with_it(hub: Hub) -> None:
    hold(hub, red(ALICE))
    hold(hub, red(ALICE), version="2026-02-01T00:00:00Z")
    hold(hub, AMBER, 2)
    report = hub.check(listing(hub, 1))
    assert not report.refused
    assert f"`incidents`: {object_id(1)} is withdrawn (2 versions)" in report.impact.sentences()
    applied = hub.apply(listing(hub, 1))
    assert place(hub, "incidents").audience == {ALICE, BOB}
    assert held_ids(hub, "incidents") == [object_id(2)]
    assert object_id(1).encode() in applied.signed.payload
    bodies = [row.body for row in hub.store.statements(place(hub, "incidents").number)]
    assert any(b'"ordered"' in body and object_id(1).encode() in body for body in bodies)


def test_what_it_does_not_list_forbids_it_still(hub: Hub) -> None:
    hold(hub, red(ALICE))
    hold(hub, red(ALICE), 2)
    report = hub.check(listing(hub, 1))
    assert report.impact.breaches.total == 1
    assert [one.object_id for one in report.impact.breaches.named] == [object_id(2)]
    with pytest.raises(HeldForbids):
        hub.apply(listing(hub, 1))
    assert held_ids(hub, "incidents") == [object_id(1), object_id(2)]
    assert hub.apply(listing(hub, 1, 2)).changed


def test_what_waits_for_its_release_is_cancelled_by_it(hub: Hub) -> None:
    hold(hub, replace(red(ALICE), release_at=Micros(NOW + 60_000_000)))
    assert f"`incidents`: {object_id(1)} is withdrawn" in hub.check(listing(hub, 1)).impact.sentences()
    hub.apply(listing(hub, 1))
    assert not hub.store.held_sets(grant(hub.store, None, on=place(hub, "incidents")))


def test_what_is_listed_and_not_held_is_said(hub: Hub) -> None:
    hold(hub, AMBER)
    report = hub.check(listing(hub, 7))
    assert any(f"{object_id(7)} is not held" in note for note in report.notes)
    assert hub.apply(listing(hub, 7)).changed
    assert held_ids(hub, "incidents") == [object_id(1)]


def test_a_definition_is_not_withdrawn_while_something_that_stays_cites_it(hub: Hub) -> None:
    made = candidate(1, type_name="marking-definition", owned=False)
    terms = replace(AMBER, levelled=False, level=None)
    allowed = grant(hub.store, ALICE, on=place(hub, "incidents"))
    request = replace(publishing(allowed, [made]), marks=(terms,), now=NOW)
    hub.store.publish(request).result(30)
    hold(hub, replace(AMBER, cites=(Cited(made.id, made.digest),)), 2)
    alone = hub.text().replace(ONE, f'{ONE}\nwithdraw = ["{made.id}"]')
    with pytest.raises(Conflict, match="cited by what stays"):
        hub.apply(alone)
    assert held_ids(hub, "incidents") == [made.id, object_id(2)]
    assert len(hub.store.chain("la-lb-mou")) == 1
    both = alone.replace(f'["{made.id}"]', f'["{made.id}", "{object_id(2)}"]')
    assert hub.apply(both).changed
    assert held_ids(hub, "incidents") == []


# --- decided again inside the transaction -----------------------------------------------------------


class Late:
    """A registry that does something just before the store is locked."""

    def __init__(self, hub: Hub, act: Callable[[], object]) -> None:
        self._hub, self._act = hub, act

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hub.store, name)

    def activate(
        self,
        signed: SignedAgreement,
        collections: Sequence[str],
        event: AccessEvent,
        *,
        admits: Callable[[str, HeldSet], bool],
        withdraw: Mapping[str, Sequence[str]],
    ) -> None:
        self._act()
        self._hub.store.activate(signed, collections, event, admits=admits, withdraw=withdraw)


def apply_late(hub: Hub, text: str, act: Callable[[], object]) -> agreements.Applied:
    ground = replace(hub.ground(), registry=Late(hub, act))
    return agreements.apply(
        ground, hub.directory, Draft(text, "agreement.toml"), signer=hub.key, req=hub.req(), now=NOW
    )


def test_what_is_posted_between_the_check_and_the_lock_forbids_it_too(hub: Hub) -> None:
    with pytest.raises(HeldForbids) as caught:
        apply_late(hub, wide(hub), lambda: hold(hub, red(ALICE)))
    assert [one.object_id for one in caught.value.report.impact.breaches.named] == [object_id(1)]
    assert place(hub, "incidents").audience == {ALICE}
    assert len(hub.store.chain("la-lb-mou")) == 1


def test_a_version_that_comes_between_is_a_conflict(hub: Hub) -> None:
    with pytest.raises(Conflict):
        apply_late(hub, wide(hub), lambda: hub.apply(hub.text().replace("Two ports", "Both ports")))


def test_what_was_decided_before_the_lock_is_not_decided_again_inside(hub: Hub) -> None:
    hold(hub, AMBER)
    hold(hub, GREEN, 2, on="warnings", owner=BOB)
    asked: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(hub.rules, name)

        def admits(self, *args: Any) -> Decision:
            asked.append("admits")
            return hub.rules.admits(*args)

    ground = replace(hub.ground(), decisions=Counting(), registry=Late(hub, lambda: asked.append("lock")))
    agreements.apply(
        ground, hub.directory, Draft(wide(hub), "a.toml"), signer=hub.key, req=hub.req(), now=NOW
    )
    assert asked == ["admits", "admits", "lock"]


# --- rules of its own -------------------------------------------------------------------------------

RULE = """\
// Nobody but the ports.
@id("rule-ports-only")
@say("`{member}` is no port, and this is for ports.")
forbid (principal is Member, action == Action::"receive", resource)
when { principal.group != "port-authority" };
"""


def test_rules_of_its_own_are_signed_stored_and_loaded(hub: Hub) -> None:
    report = hub.apply(hub.text(), rules=RULE).report
    assert (
        "rule `rule-ports-only` is new: `{member}` is no port, and this is for ports." in report.impact.rules
    )
    link = hub.store.chain("la-lb-mou")[-1]
    assert link.rules == RULE.encode()
    assert b'"rules":"' in link.payload
    assert hub.directory.view().agreements["la-lb-mou"].rules == RULE
    assert not hub.apply(hub.text(), rules=RULE).changed


def test_rules_that_change_are_a_new_version_and_said(hub: Hub) -> None:
    hub.apply(hub.text(), rules=RULE)
    other = RULE.replace("is no port,", "is none of the ports,")
    report = hub.apply(hub.text(), rules=other).report
    assert [one.split(":")[0] for one in report.impact.rules] == ["rule `rule-ports-only` changes"]
    assert report.version == 3
    assert hub.apply(hub.text(), rules=other + "// a comment more\n").report.impact.rules == ()
    report = hub.apply(hub.text()).report
    assert [one.split(":")[0] for one in report.impact.rules] == ["rule `rule-ports-only` is removed"]
    assert b'"rules"' not in hub.store.chain("la-lb-mou")[-1].payload
    assert hub.directory.view().agreements["la-lb-mou"].rules == ""


def test_a_rule_that_forbids_what_is_held_is_refused_with_its_name(hub: Hub) -> None:
    hold(hub, AMBER, on="indicators")
    rule = RULE.replace('!= "port-authority"', '== "port-authority"')
    with pytest.raises(HeldForbids) as caught:
        hub.apply(hub.text(), rules=rule)
    assert caught.value.rule == "rule-ports-only"
    assert hub.directory.view().agreements["la-lb-mou"].rules == ""


@pytest.mark.parametrize(
    ("rules", "line", "words"),
    [
        (RULE.replace("forbid", "permit"), 2, "permit"),
        (RULE.replace("rule-ports-only", "ports-only"), 2, "@id"),
        (RULE.replace("principal.group", "principal.grop"), 2, "grop"),
        (RULE + RULE, 7, "Two rules"),
        ("\n\n" + RULE.replace(" };", ""), 4, "not Cedar"),
    ],
)
def test_a_broken_rule_file_is_refused_with_its_line_and_what_is_in_force_stays(
    hub: Hub, rules: str, line: int, words: str
) -> None:
    hub.apply(hub.text(), rules=RULE)
    epoch = hub.store.epoch()
    for act in (hub.check, hub.apply):
        with pytest.raises(BadFile, match=words) as caught:
            act(hub.text(), rules=rules)
        assert (caught.value.path, caught.value.line) == ("rules.cedar", line)
        assert caught.value.todo
    assert hub.store.epoch() == epoch
    assert hub.directory.view().agreements["la-lb-mou"].rules == RULE


def test_ids_of_this_test_are_those_of_the_store() -> None:
    assert object_id(1).endswith(uuid_of(1))


# --- signatures ------------------------------------------------------------------------------------


def signed_only(hub: Hub) -> str:
    """Return the file with `incidents` taking only signed statements."""
    return hub.text().replace(ONE, f"{ONE}\nrequire_signature = true")


def test_what_is_staged_where_signatures_will_be_asked_for_is_named_with_its_publisher(hub: Hub) -> None:
    hold(hub, replace(GREEN, release_at=Micros(NOW + 3_600_000_000)))
    hold(hub, GREEN, 2)
    report = hub.check(signed_only(hub))
    assert not report.refused
    (found,) = report.impact.stranded
    assert (found.collection, found.object_id, found.owner) == ("incidents", object_id(1), ALICE)
    assert found.release_at == NOW + 3_600_000_000
    (said,) = [one for one in report.impact.sentences() if object_id(1) in one]
    assert "not released" in said
    assert "--sign --at" in said
    hub.apply(signed_only(hub))
    assert hub.check(signed_only(hub)).unchanged
    assert not hub.check(signed_only(hub).replace(ONE, BOTH)).impact.stranded  # it was said before


def test_what_the_same_change_withdraws_is_not_named_as_staged(hub: Hub) -> None:
    hold(hub, replace(GREEN, release_at=Micros(NOW + 3_600_000_000)))
    text = signed_only(hub).replace(ONE, f'{ONE}\nwithdraw = ["{object_id(1)}"]')
    assert not hub.check(text).impact.stranded


def test_publishers_that_could_sign_nothing_are_named(hub: Hub) -> None:
    said = hub.check(signed_only(hub)).notes
    found = [one for one in said if "require_signature" in one]
    assert found
    assert all("has no admin_key" in one for one in found)
