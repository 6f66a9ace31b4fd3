"""Marking sets: what all markings together say, which definitions count, and their bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.core.collection import Level
from lightship.core.marks import (
    UNMARKED,
    Cited,
    Definition,
    MarkingSet,
    UnknownMarking,
    decode,
    encode,
    marking_set,
    usable,
)
from lightship.core.stix.extensions import SHARING_TERMS
from lightship.core.stix.markings import TLP2_IDS
from lightship.core.stix.terms import ACS, IEP
from lightship.core.time import Micros
from policy_worlds import LAX, LGB, PORTS, TYO, candidates, place
from stixsamples import indicator, new_id, statement_marking

AMBER, RED = TLP2_IDS[Level.AMBER], TLP2_IDS[Level.RED]
SOON, LATER = "2027-01-01T00:00:00Z", "2028-01-01T00:00:00.5Z"


def terms(**content: Any) -> dict[str, Any]:
    """Return a marking-definition with sharing terms."""
    return extended(SHARING_TERMS, agreement="mou", **content)


def extended(extension: str, **content: Any) -> dict[str, Any]:
    """Return a marking-definition that is nothing but this extension."""
    made = statement_marking(extensions={extension: {"extension_type": "property-extension", **content}})
    return {key: one for key, one in made.items() if not key.startswith("definition")}


def marked(*markings: dict[str, Any] | str, **over: Any) -> dict[str, Any]:
    """Return an indicator with these markings."""
    return indicator(
        object_marking_refs=[one if isinstance(one, str) else one["id"] for one in markings], **over
    )


def set_of(*values: dict[str, Any], where: Any = None, **settings: Any) -> MarkingSet:
    """Return the set of the first object, the others being in the same post."""
    found = candidates(*values)
    return marking_set(found[0], where or place(**settings), usable([], found, "uslax", set()))


# --- what an object cites -------------------------------------------------------------------------


def test_shipped_markings_are_no_citation_and_others_are_each_once_in_lower_case() -> None:
    made = statement_marking()
    loud = made["id"][:20] + made["id"][20:].upper()
    (one,) = candidates(
        indicator(
            object_marking_refs=[AMBER, made["id"]],
            granular_markings=[
                {"marking_ref": loud, "selectors": ["name"]},
                {
                    "marking_ref": RED.upper().replace("MARKING-DEFINITION", "marking-definition"),
                    "selectors": ["pattern"],
                },
                {"lang": "en", "selectors": ["name"]},
            ],
        )
    )
    assert one.cites == (made["id"],)
    assert one.level is Level.RED


def test_an_object_with_tlp_alone_shares_its_set_with_all_others() -> None:
    one, other = (set_of(marked(AMBER)) for _ in range(2))
    assert one is other
    assert one == MarkingSet(Level.AMBER)
    assert set_of(indicator()) == UNMARKED


def test_definitions_need_no_level_and_others_do() -> None:
    assert not set_of(statement_marking()).levelled
    assert set_of(indicator()).levelled


# --- what definitions say -------------------------------------------------------------------------


def test_of_several_terms_what_all_of_them_allow() -> None:
    first = terms(
        recipient_refs=[LAX, LGB],
        only_countries=["US", "JP"],
        exclude_countries=["CN"],
        release_at=SOON,
        share_until=LATER,
    )
    second = terms(
        recipient_refs=[LGB, TYO],
        only_countries=["JP"],
        exclude_countries=["SG"],
        release_at="2026-12-31T00:00:00Z",
        share_until=SOON,
        sensitive_security_information=True,
    )
    plain = statement_marking()
    found = set_of(
        marked(AMBER, first, second, plain),
        first,
        second,
        plain,
    )
    assert found.recipients == frozenset({LGB})
    assert found.only_countries == frozenset({"JP"})
    assert found.exclude_countries == frozenset({"CN", "SG"})
    assert found.ssi
    assert found.release_at == found.share_until == 1_798_761_600_000_000
    assert [one.id for one in found.cites] == sorted([first["id"], second["id"], plain["id"]])


def test_terms_on_a_part_of_an_object_are_terms_of_the_whole() -> None:
    made = terms(recipient_refs=[LGB])
    value = marked(AMBER, granular_markings=[{"marking_ref": made["id"], "selectors": ["name"]}])
    assert set_of(value, made).recipients == frozenset({LGB})


def test_terms_without_a_recipient_in_common_leave_nobody() -> None:
    one, other = terms(recipient_refs=[LAX]), terms(recipient_refs=[LGB])
    assert set_of(marked(AMBER, one, other), one, other).recipients == frozenset()


def test_a_definition_is_under_its_own_terms() -> None:
    found = set_of(terms(release_at=SOON, share_until=LATER, recipient_refs=[LGB]))
    assert (found.release_at, found.share_until) == (1_798_761_600_000_000, 1_830_297_600_500_000)
    assert found.recipients == frozenset({LGB})
    assert found.cites == ()


# --- red ------------------------------------------------------------------------------------------


def test_red_to_its_audience_keeps_who_the_audience_was() -> None:
    audience = frozenset({"uslax", "uslgb"})
    red = set_of(marked(RED), where=place(audience, red="audience"))
    assert red.red_members == audience
    assert set_of(marked(RED), where=place(audience)).red_members is None
    assert set_of(marked(AMBER), where=place(audience, red="audience")).red_members is None


def test_red_with_named_recipients_is_for_them_alone() -> None:
    made = terms(recipient_refs=[LGB])
    found = set_of(marked(RED, made), made, red="audience")
    assert (found.red_members, found.recipients) == (None, frozenset({LGB}))


def test_what_a_collection_takes_for_red_is_red_to_its_audience() -> None:
    found = set_of(indicator(), red="audience", unmarked=Level.RED)
    assert (found.level, found.red_members) == (None, PORTS)
    assert set_of(statement_marking(), red="audience", unmarked=Level.RED).red_members is None


# --- unknown --------------------------------------------------------------------------------------


def test_a_marking_that_nobody_knows_is_told_with_its_place() -> None:
    missing = new_id("marking-definition")
    with pytest.raises(UnknownMarking) as caught:
        set_of(marked(AMBER, missing))
    assert caught.value.id == missing
    assert caught.value.where == "/object_marking_refs/1"
    assert caught.value.rule == "deny-unknown-marking"
    assert caught.value.message.endswith(
        "Publish the marking-definition in the same post, or cite one that is yours or built in"
    )
    value = indicator(granular_markings=[{"marking_ref": missing, "selectors": ["name"]}])
    with pytest.raises(UnknownMarking, match="/granular_markings/0/marking_ref"):
        set_of(value)


def test_a_definition_that_cannot_be_read_is_unknown_itself_and_to_what_cites_it() -> None:
    strange = extended(new_id("extension-definition"), colour="mauve")
    for values, where in (
        ((strange,), "/extensions"),
        ((marked(strange), strange), "/object_marking_refs/0"),
    ):
        with pytest.raises(UnknownMarking) as caught:
            set_of(*values)
        assert (caught.value.id, caught.value.where) == (strange["id"], where)
        assert "none of its extensions is a marking known here" in caught.value.message


# --- who may cite what ----------------------------------------------------------------------------


def held(value: dict[str, Any], owner: str = "uslax", collection: int = 1) -> Definition:
    (one,) = candidates(value)
    return Definition(one.id, one.digest, one.body, owner, collection)


def test_a_member_cites_its_own_definitions_and_those_of_open_collections() -> None:
    mine, theirs, anybodys = (
        held(statement_marking(), *where) for where in (("uslax", 1), ("uslgb", 1), ("uslgb", 7))
    )
    found = usable([mine, theirs, anybodys], [], "uslax", {7})
    assert found == {mine.id: mine, anybodys.id: anybodys}


def test_a_definition_that_another_member_posted_first_gives_no_looser_terms() -> None:
    strict = terms(recipient_refs=[LGB])
    loose = {**strict, "extensions": terms(onward="community")["extensions"]}
    citing = marked(AMBER, strict)
    posted = candidates(strict, citing)
    found = usable([held(loose, "uslgb")], posted, "uslax", set())
    assert marking_set(posted[1], place(), found).recipients == frozenset({LGB})
    with pytest.raises(UnknownMarking):
        marking_set(posted[1], place(), usable([held(loose, "uslgb")], posted[1:], "uslax", set()))


def test_of_a_post_only_marking_definitions_count() -> None:
    assert usable([], candidates(indicator()), "uslax", set()) == {}


# --- bytes ----------------------------------------------------------------------------------------

_names = st.frozensets(st.text(max_size=8), max_size=4)
_moments = st.none() | st.integers(0, 2**52 - 1).map(Micros)
SETS = st.builds(
    MarkingSet,
    level=st.none() | st.sampled_from(Level),
    levelled=st.booleans(),
    recipients=st.none() | _names,
    red_members=st.none() | _names,
    only_countries=st.none() | _names,
    exclude_countries=_names,
    ssi=st.booleans(),
    closed=_names,
    release_at=_moments,
    share_until=_moments,
    cites=st.lists(st.builds(Cited, st.text(max_size=8), st.binary(max_size=4)), max_size=3).map(tuple),
)


@given(SETS, SETS)
def test_equal_sets_have_equal_bytes_and_come_back_from_them(one: MarkingSet, other: MarkingSet) -> None:
    assert decode(encode(one)) == one
    assert (encode(one) == encode(other)) is (one == other)


def test_the_bytes_of_a_set_stay_what_they_are() -> None:
    assert encode(UNMARKED) == b"{}"
    assert encode(MarkingSet(Level.AMBER_STRICT)) == b'{"level":"amber+strict"}'
    full = MarkingSet(
        level=Level.RED,
        levelled=False,
        recipients=frozenset({"b", "a"}),
        red_members=frozenset(),
        only_countries=frozenset({"US"}),
        exclude_countries=frozenset({"CN"}),
        ssi=True,
        closed=frozenset({"iep-must-not-share"}),
        release_at=Micros(1),
        share_until=Micros(2),
        cites=(Cited("marking-definition--1", b"\x01\x02"),),
    )
    assert json.loads(encode(full)) == {
        "level": "red",
        "levelled": False,
        "recipients": ["a", "b"],
        "red_members": [],
        "only_countries": ["US"],
        "exclude_countries": ["CN"],
        "ssi": True,
        "closed": ["iep-must-not-share"],
        "release_at": 1,
        "share_until": 2,
        "cites": [["marking-definition--1", "0102"]],
    }


@pytest.mark.parametrize(
    "body", [b"[]", b'{"level":"mauve"}', b'{"colour":1}', b'{"cites":[["a","zz"]]}', b"{", b'{"closed":7}']
)
def test_bytes_that_are_no_set_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="no marking set"):
        decode(body)


def test_the_extensions_of_iep_and_acs_are_those_of_the_common_object_repository() -> None:
    assert IEP == "extension-definition--762e2e97-ee51-43e5-a9ea-165fbb862c4a"
    assert ACS == "extension-definition--3a65884d-005a-4290-8335-cb2d778a83ce"
