"""Whatever can be said with maritime-context and sharing-terms is taken; one name more and it is not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.core.collection import CollectionSettings
from lightship.core.stix.extensions import MARITIME_CONTEXT, SHARING_TERMS
from lightship.core.stix.ingest import Ingest
from lightship.core.stix.json import canonical
from lightship.core.time import Micros
from lightship.data import extension_schemas, stix_schemas
from stixsamples import indicator, statement_marking

NOW = Micros(1_780_000_000_000_000)
INGEST = Ingest(stix_schemas(), extension_schemas())
Content = st.SearchStrategy[dict[str, Any]]

LETTERS, DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
slugs = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
unlocodes = st.builds(
    str.__add__,
    st.text(LETTERS, min_size=2, max_size=2),
    st.text(LETTERS + DIGITS[2:], min_size=3, max_size=3),
)
moments = st.datetimes(datetime(1990, 1, 1), datetime(2026, 5, 1), timezones=st.just(UTC))  # noqa: DTZ001 # hypothesis takes bounds without a zone
times = moments.map(lambda one: one.strftime("%Y-%m-%dT%H:%M:%S.") + f"{one.microsecond:06}Z")


def refs(kind: str) -> st.SearchStrategy[str]:
    return st.uuids().map(lambda one: f"{kind}--{one}")


def some(item: st.SearchStrategy[Any], unique: bool = False) -> st.SearchStrategy[list[Any]]:
    return st.lists(item, min_size=1, max_size=4, unique=unique)


def digits(number: int) -> st.SearchStrategy[str]:
    return st.text(DIGITS, min_size=number, max_size=number)


def part(needed: dict[str, Any], optional: dict[str, Any]) -> Content:
    made = st.fixed_dictionaries(needed, optional=optional)
    return made if needed else made.filter(bool)


def in_order(first: str, second: str, held: Content) -> Content:
    """Put two times in order."""

    def ordered(one: dict[str, Any]) -> dict[str, Any]:
        if first in one and second in one:
            one[first], one[second] = sorted((one[first], one[second]))
        return one

    return held.map(ordered)


def listed(name: str, *path: str) -> st.SearchStrategy[Any]:
    """Draw from an enumeration of a schema."""
    found = json.loads(extension_schemas()[name])
    for step in path:
        found = found[step]
    return st.sampled_from(found["enum"])


M, S = "maritime-context-1.0.json", "sharing-terms-1.0.json"
count = st.integers(0, 10**9)
impact = part(
    {},
    {
        "function": text,
        "level": listed(M, "$defs", "operational_impact", "properties", "level"),
        "start_time": times,
        "end_time": times,
        "teu_delayed": st.floats(0, 1e6) | count,
        "vessels_delayed": count,
        "truck_turns_delayed": count,
    },
)
facility = {
    "terminal_name": text,
    "smdg_terminal_code": st.text(LETTERS + DIGITS, min_size=1, max_size=6),
    "imo_port_facility_number": st.builds("{}-{}".format, unlocodes, digits(4)),
    "berth": text,
    "location_ref": refs("location"),
}
context: Content = part(
    {},
    {
        "unlocodes": some(unlocodes, unique=True),
        "facilities": some(part({"unlocode": unlocodes}, facility)),
        "stakeholder_groups": some(listed(M, "properties", "stakeholder_groups", "items"), unique=True),
        "system_classes": some(slugs, unique=True),
        "operational_impacts": some(in_order("start_time", "end_time", impact)),
        "security_level": part(
            {},
            {
                "scheme": st.sampled_from(["uscg-marsec", "isps"]),
                "level": st.integers(1, 3),
                "directive": text,
            },
        ),
        "vessel": part(
            {},
            {
                "imo_number": digits(7),
                "mmsi": digits(9),
                "flag": st.text(LETTERS, min_size=2, max_size=2),
                "class_notation": text,
            },
        ),
        "navigation_interference": part(
            {},
            {
                "kind": listed(M, "properties", "navigation_interference", "properties", "kind"),
                "constellations": some(slugs, unique=True),
                "location_ref": refs("location"),
                "radius_nm": st.floats(0.001, 1e4),
            },
        ),
        "equipment": some(
            part(
                {},
                {
                    "system_class": slugs,
                    "vendor": text,
                    "product": text,
                    "version": text,
                    "remote_access": listed(M, "$defs", "equipment", "properties", "remote_access"),
                },
            )
        ),
        "reporting": part({}, {"regimes": some(text), "reported": st.booleans(), "reported_at": times}),
    },
)
countries = some(listed(S, "$defs", "country"), unique=True)
terms: Content = in_order(
    "release_at",
    "share_until",
    part(
        {"agreement": slugs},
        {
            "recipient_refs": some(refs("identity"), unique=True),
            "exclude_countries": countries,
            "only_countries": countries,
            "release_at": times,
            "share_until": times,
            "publisher_visibility": st.just("named"),
            "sensitive_security_information": st.just(False),
            "onward": listed(S, "properties", "onward"),
        },
    ),
)


def on_indicator(content: dict[str, Any]) -> dict[str, Any]:
    return indicator(extensions={MARITIME_CONTEXT: {"extension_type": "property-extension", **content}})


def on_marking(content: dict[str, Any]) -> dict[str, Any]:
    made = statement_marking(extensions={SHARING_TERMS: {"extension_type": "property-extension", **content}})
    return {key: one for key, one in made.items() if not key.startswith("definition")}


def rules(value: dict[str, Any]) -> list[str]:
    """Return the rules that refuse a value; what is taken is taken as it was sent."""
    body = json.dumps({"objects": [value]}).encode()
    candidates, refusals = INGEST.check(INGEST.read_envelope(body), CollectionSettings(), NOW)
    assert [one.body for one in candidates] == ([] if refusals else [canonical(value)])
    return [one.rule for one in refusals]


@settings(max_examples=150, deadline=None)
@given(context)
def test_every_maritime_context_is_taken(content: dict[str, Any]) -> None:
    assert rules(on_indicator(content)) == []


@settings(max_examples=100, deadline=None)
@given(terms)
def test_every_sharing_terms_is_taken(content: dict[str, Any]) -> None:
    assert rules(on_marking(content)) == []


@settings(max_examples=60, deadline=None)
@given(context, terms, st.data())
def test_a_name_that_is_not_known_is_refused_wherever_it_stands(
    said: dict[str, Any], agreed: dict[str, Any], data: st.DataObject
) -> None:
    for content, made in ((said, on_indicator), (agreed, on_marking)):
        data.draw(st.sampled_from(list(places(content))))["surprise"] = "x"
        assert rules(made(content)) == ["invalid-extension"]


def places(value: Any) -> list[dict[str, Any]]:
    """Return every object in a value, the value included."""
    if isinstance(value, list):
        return [one for item in value for one in places(item)]
    if not isinstance(value, dict):
        return []
    return [value, *(one for item in value.values() for one in places(item))]
