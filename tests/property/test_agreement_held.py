"""Whatever is held and however the audience changes: nobody ever reads what was not meant for them.

A change is taken exactly when all that it leaves in the collections may be had by all who read it then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from governance_samples import NOW, Hub
from lightship.core.collection import Level
from lightship.core.marks import MarkingSet
from lightship.core.time import Micros
from lightship.usecases.agreements import HeldForbids
from storekit import candidate, grant, object_id, publishing

COUNTRY = {"uslax": "US", "uslgb": "US", "jptyo": "JP"}
MEMBERS = tuple(COUNTRY)
IDENTITY = {
    slug: f"identity--{n * 8}-{n * 4}-4{n * 3}-8{n * 3}-{n * 12}"
    for slug, n in zip(MEMBERS, "123", strict=True)
}
ALIASES = ("incidents", "indicators")
TITLES = {alias: f"[collections.{alias}]\n" for alias in ALIASES}

some = st.frozensets(st.sampled_from(MEMBERS), min_size=1)
marks = st.builds(
    MarkingSet,
    level=st.sampled_from([Level.GREEN, Level.AMBER, Level.RED]),
    recipients=st.none() | st.frozensets(st.sampled_from(sorted(IDENTITY.values()))),
    only_countries=st.none() | st.just(frozenset({"US"})),
    exclude_countries=st.sampled_from([frozenset(), frozenset({"JP"})]),
    release_at=st.sampled_from([None, None, Micros(NOW + 60_000_000)]),
)


@dataclass(frozen=True)
class Post:
    """Somebody posts an object."""

    alias: str
    owner: str
    marks: MarkingSet


@dataclass(frozen=True)
class Change:
    """A new version: who reads each collection, and which posts it withdraws."""

    incidents: frozenset[str]
    indicators: frozenset[str]
    listed: frozenset[int]


post = st.builds(Post, st.sampled_from(ALIASES), st.sampled_from(MEMBERS), marks)
change = st.builds(Change, some, some, st.frozensets(st.integers(0, 9), max_size=4))
steps = st.lists(post | change, min_size=4, max_size=14)


def may_have(member: str, owner: str, one: MarkingSet) -> bool:
    """Say it anew, in plain words, without the rules."""
    if member == owner:
        return True
    named = one.recipients is not None and IDENTITY[member] in one.recipients
    if one.recipients is not None and not named:
        return False
    if COUNTRY[member] in one.exclude_countries:
        return False
    if one.only_countries is not None and COUNTRY[member] not in one.only_countries:
        return False
    there = one.red_members is not None and member in one.red_members
    return one.level is not Level.RED or named or there


def text(hub: Hub, audience: Mapping[str, frozenset[str]], listed: Mapping[str, list[int]]) -> str:
    """Return the agreement with these audiences, which withdraws these objects."""
    out = hub.text().replace('audience = ["uslax"]\n', "").replace('["auditor"]', '["consumer", "auditor"]')
    for alias in ALIASES:
        keys = f"audience = {sorted(audience[alias])}\npublishers = {sorted(MEMBERS)}\n".replace("'", '"')
        if listed.get(alias):
            keys += f"withdraw = {[object_id(one) for one in listed[alias]]}\n".replace("'", '"')
        out = out.replace(TITLES[alias], TITLES[alias] + keys)
    return out


@settings(max_examples=60, deadline=None)
@given(steps)
def test_nobody_reads_what_was_not_meant_for_them(played: list[Post | Change]) -> None:
    hub = Hub()
    audience = dict.fromkeys(ALIASES, frozenset({"uslax"}))
    held: dict[int, Post] = {}
    hub.apply(text(hub, audience, {}))
    for number, step in enumerate(played):
        if isinstance(step, Post):
            one = as_taken(step, audience[step.alias])
            if fits(one, audience):
                hold(hub, number, one)
                held[number] = one
        else:
            wanted = {"incidents": step.incidents, "indicators": step.indicators}
            listed = {key: [n for n in step.listed if n in held and held[n].alias == key] for key in ALIASES}
            left = {n: one for n, one in held.items() if n not in step.listed}
            breaking = {n for n, one in left.items() if not fits(one, wanted)}
            if put_in_force(hub, text(hub, wanted, listed), breaking):
                audience, held = wanted, left
        check(hub, audience, held)


def as_taken(one: Post, audience: frozenset[str]) -> Post:
    """Return it as the hub takes it: RED without recipients is for the audience of the moment."""
    if one.marks.level is not Level.RED or one.marks.recipients is not None:
        return one
    return replace(one, marks=replace(one.marks, red_members=audience))


def fits(one: Post, audience: Mapping[str, frozenset[str]]) -> bool:
    return all(may_have(member, one.owner, one.marks) for member in audience[one.alias])


def put_in_force(hub: Hub, new: str, breaking: set[int]) -> bool:
    """Apply; the outcome and the objects that are named must be the expected ones."""
    try:
        hub.apply(new)
    except HeldForbids as refused:
        found = refused.report.impact.breaches
        assert {one.object_id for one in found.named} == {object_id(n) for n in breaking}
        assert found.total == len(breaking) > 0
        return False
    assert not breaking
    return True


def hold(hub: Hub, number: int, one: Post) -> None:
    found = hub.directory.view().collection("la-lb-mou", one.alias)
    assert found is not None
    request = publishing(grant(hub.store, one.owner, on=found), [candidate(number)])
    hub.store.publish(replace(request, marks=(one.marks,), now=NOW)).result(30)


def check(hub: Hub, audience: Mapping[str, frozenset[str]], held: Mapping[int, Post]) -> None:
    """The store holds what the model holds, under the audience that the model has."""
    for alias in ALIASES:
        found = hub.directory.view().collection("la-lb-mou", alias)
        assert found is not None
        assert found.audience == audience[alias]
        sets = hub.store.held_sets(grant(hub.store, None, on=found))
        assert sum(one.live + one.staged for one in sets) == sum(one.alias == alias for one in held.values())
        for one in sets:
            assert all(may_have(member, one.owner, one.marks) for member in found.audience)
