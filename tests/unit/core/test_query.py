"""The query string of TAXII 2.1 section 3.4: what is read, and what is refused with a text that helps."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.core.errors import MalformedRequest
from lightship.core.query import (
    DEFAULT_FILTERS,
    EVERY,
    MAX_VALUES,
    MAX_VERSIONS,
    Asked,
    Endpoint,
    Filters,
    Versions,
    read_query,
)
from lightship.core.time import Instant

ID = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"
OTHER = "malware--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"


def ask(query: str, endpoint: Endpoint = Endpoint.OBJECTS, object_id: str = "") -> Asked:
    return read_query(query.encode("latin-1"), endpoint, object_id)


def test_nothing_asked_is_the_latest_version_of_everything() -> None:
    assert ask("") == Asked() == Asked(DEFAULT_FILTERS)


def test_all_parameters_together() -> None:
    asked = ask(
        f"added_after=2026-04-01T12:00:00Z&limit=7&next=abc&match%5Bid%5D={OTHER},{ID}&match[type]=malware"
    )
    assert asked.added_after == 1_775_044_800_000_000
    assert (asked.limit, asked.token) == (7, "abc")
    assert asked.filters == Filters(ids=(ID, OTHER), types=("malware",))
    assert asked.given == {"id", "type"}


def test_equal_questions_are_equal_values() -> None:
    assert ask(f"match[id]={ID},{OTHER},{ID}") == ask(f"match[id]={OTHER},{ID}")


def test_versions_are_read_as_instants() -> None:
    asked = ask("match[version]=last,2026-04-01T12:00:00.100Z")
    assert asked.filters.versions == Versions(
        last=True, instants=frozenset({Instant("2026-04-01T12:00:00.1")})
    )
    assert ask("match[version]=all").filters.versions == EVERY
    assert ask("match[version]=first").filters.versions == Versions(last=False, first=True)


@pytest.mark.parametrize("limit", ["0", "00", "-1", "1.5", "", "x", "1e3", "+1", "%201", "١", "0x10"])
def test_a_limit_that_is_no_positive_whole_number_is_refused(limit: str) -> None:
    with pytest.raises(MalformedRequest, match="limit"):
        ask(f"limit={limit}".encode().decode("latin-1"))


@pytest.mark.parametrize("digits", [3, 18, 19, 5000])
def test_a_huge_limit_is_a_number_to_be_clamped(digits: int) -> None:
    limit = ask("limit=" + "9" * digits).limit
    assert limit is not None
    assert limit >= 999


@pytest.mark.parametrize(
    "query",
    [
        *("added_after=", "added_after=2026-02-30T00:00:00Z", "added_after=2026-01-01", "added_after=1"),
        *("added_after=2026-01-01T00:00:00%2B00:00", "added_after=2026-01-01T00:00:00+00:00"),
        *("added_after=2026-01-01%2000:00:00Z", "added_after=2026-01-01T00:00:00.1234567890Z"),
        *("next=", "limit=1&limit=1", "next=a&next=b"),
        "added_after=2026-01-01T00:00:00Z&added_after=2026-01-01T00:00:00Z",
        *(
            "match[id]=",
            "match[id]=,",
            f"match[id]={ID},",
            "match[id]=indicator",
            f"match[id]={ID}&match[id]={ID}",
        ),
        *("match[id]=indicator--1", f"match[id]={ID.upper()}", f"match[id]=%20{ID}"),
        *("match[type]=", "match[type]=In", "match[type]=a b", "match[type]=*"),
        *("match[spec_version]=", "match[spec_version]=2", "match[spec_version]=latest"),
        *("match[version]=", "match[version]=junk", "match[version]=all,last", "match[version]=last,last"),
        *("match[version]=2026-13-01T00:00:00Z", "match[version]=2026-01-01T00:00:00", "match[version]=ALL"),
        *(
            "match[type]=a%00b",
            "limit=%00",
            "x=%00",
            "%00=1",
            "limit=%zz",
            "limit=%",
            "match[type]=%ff",
            "%ff=1",
        ),
        "match[type]=" + ",".join(f"x-{number}" for number in range(MAX_VALUES + 1)),
        "match[version]="
        + ",".join(f"{number + 1000}-01-01T00:00:00Z" for number in range(MAX_VERSIONS + 1)),
    ],
)
def test_what_has_no_clear_meaning_is_refused_with_advice(query: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        ask(query)
    assert refused.value.todo


def test_a_field_takes_as_many_values_as_its_refusal_names() -> None:
    years = [f"{number}-01-01T00:00:00Z" for number in range(1970, 1970 + MAX_VERSIONS)]
    assert len(ask("match[version]=" + ",".join(years)).filters.versions.instants) == MAX_VERSIONS == 50
    with pytest.raises(MalformedRequest) as refused:
        ask("match[version]=last," + ",".join(years))
    assert str(refused.value).startswith("match[version] lists more than 50 values")
    types = [f"x-{number}" for number in range(MAX_VALUES)]
    assert len(ask("match[type]=" + ",".join(types)).filters.types) == MAX_VALUES == 500


def test_unknown_parameters_and_match_fields_are_ignored() -> None:
    assert ask("utm=1&match[colour]=red&match[colour]=&match=x&Limit=x") == Asked()


def test_fields_of_another_endpoint_are_unknown_there() -> None:
    assert ask("match[type]=malware", Endpoint.OBJECT, ID).filters == Filters(ids=(ID,))
    assert ask("match[version]=first", Endpoint.VERSIONS, ID).filters == Filters(ids=(ID,), versions=EVERY)


def test_a_delete_takes_the_whole_object_unless_versions_are_picked() -> None:
    whole = ask("", Endpoint.DELETE, ID).filters
    assert whole == Filters(ids=(ID,), versions=EVERY, spec_versions=("2.0", "2.1"))
    assert ask("match[version]=last", Endpoint.DELETE, ID).filters == Filters(ids=(ID,))
    one = ask("match[spec_version]=2.0", Endpoint.DELETE, ID).filters
    assert one == Filters(ids=(ID,), versions=EVERY, spec_versions=("2.0",))


@pytest.mark.parametrize(
    "query",
    [
        *("match[type]=malware", "match[verison]=last", "limit=1", "added_after=x", "next=x"),
        *(f"match[id]={ID}", "version=last", "Match[version]=last", "match[version=last", "match=last", "x"),
    ],
)
def test_a_delete_with_a_filter_it_does_not_know_deletes_nothing(query: str) -> None:
    with pytest.raises(MalformedRequest, match="nothing was deleted"):
        ask(query, Endpoint.DELETE, ID)


def test_a_refusal_repeats_a_name_only_so_far() -> None:
    with pytest.raises(MalformedRequest) as refused:
        ask("x" * 60_000, Endpoint.DELETE, ID)
    assert len(refused.value.title) < 200


@given(st.binary(max_size=200), st.sampled_from(Endpoint))
def test_no_bytes_raise_anything_but_the_refusal(raw: bytes, endpoint: Endpoint) -> None:
    with contextlib.suppress(MalformedRequest):
        assert read_query(raw, endpoint, ID).limit != 0


@given(
    st.lists(
        st.sampled_from(["added_after", "limit", "next", "match[id]", "match[version]", "x"]), max_size=4
    ),
    st.lists(st.text(max_size=12), min_size=4, max_size=4),
)
def test_no_value_raises_anything_but_the_refusal(names: list[str], values: list[str]) -> None:
    query = "&".join(f"{name}={value}" for name, value in zip(names, values, strict=False))
    with contextlib.suppress(MalformedRequest):
        assert read_query(query.encode("utf-8", "surrogatepass"), Endpoint.OBJECTS).limit != 0
