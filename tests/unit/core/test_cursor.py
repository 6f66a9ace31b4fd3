"""The `next` token: it says what was asked, survives nothing but itself, and is bound to what it is for."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.core.cursor import MAX_TOKEN, Token, read_token, resume, write_token
from lightship.core.errors import MalformedRequest
from lightship.core.query import Endpoint, Filters, Versions, read_query
from lightship.core.time import MAX_MICROS, Instant, Micros

KEY = b"k" * 32
HERE, THERE = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
ID = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"

uuids = st.uuids(version=4).map(str)
filters = st.builds(
    Filters,
    ids=st.lists(uuids.map(lambda one: f"indicator--{one}"), max_size=40).map(
        lambda ids: tuple(sorted(set(ids)))
    ),
    types=st.sampled_from([(), ("malware",), ("indicator", "malware")]),
    versions=st.builds(
        Versions,
        last=st.booleans(),
        first=st.booleans(),
        every=st.booleans(),
        instants=st.frozensets(
            st.sampled_from(["2026-04-01T12:00:00", "2026-04-01T12:00:00.1"]).map(Instant)
        ),
    ),
    spec_versions=st.sampled_from([(), ("2.0",), ("2.0", "2.1")]),
)
tokens = st.builds(
    Token,
    collection=uuids,
    endpoint=st.sampled_from([one for one in Endpoint if one is not Endpoint.DELETE]),
    filters=filters,
    after=st.integers(0, MAX_MICROS).map(Micros),
)


def token(endpoint: Endpoint = Endpoint.OBJECTS, after: int = 500, **picks: Any) -> Token:
    return Token(HERE, endpoint, Filters(**picks), Micros(after))


@given(tokens)
def test_a_token_says_what_was_asked(given_out: Token) -> None:
    text = write_token(KEY, given_out)
    assert read_token(KEY, text) == given_out
    assert len(text) <= MAX_TOKEN
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(tokens, st.data())
def test_no_changed_token_is_taken(given_out: Token, data: st.DataObject) -> None:
    raw = bytearray(base64.urlsafe_b64decode(write_token(KEY, given_out) + "=="))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(MalformedRequest):
        read_token(KEY, base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


@given(st.text(max_size=100))
def test_no_text_raises_anything_but_the_refusal(text: str) -> None:
    with pytest.raises(MalformedRequest, match="next"):
        read_token(KEY, text)


def test_a_token_of_another_hub_is_not_taken() -> None:
    with pytest.raises(MalformedRequest):
        read_token(b"j" * 32, write_token(KEY, token()))


def test_a_token_has_one_spelling() -> None:
    text = write_token(KEY, token())
    for other in (text + "=", text + "A", text[:-1] + chr(ord(text[-1]) + 1), " " + text):
        with pytest.raises(MalformedRequest):
            read_token(KEY, other)


def resumed(one: Token, query: str, collection: str = HERE, endpoint: Endpoint = Endpoint.OBJECTS) -> object:
    object_id = ID if endpoint in {Endpoint.OBJECT, Endpoint.VERSIONS} else ""
    return resume(one, read_query(query.encode(), endpoint, object_id), collection, endpoint)


def test_it_carries_its_filters() -> None:
    one = token(types=("malware",))
    assert resumed(one, "") == (one.filters, 500)
    assert resumed(one, "match[type]=malware&limit=3") == (one.filters, 500)


def test_added_after_beside_it_means_the_later_of_both() -> None:
    stamp = "1970-01-01T00:00:00.000%sZ"
    assert resumed(token(), "added_after=" + stamp % "400") == (Filters(), 500)
    assert resumed(token(), "added_after=" + stamp % "600") == (Filters(), 600)


def test_other_filters_beside_it_are_refused() -> None:
    for query in (
        "match[type]=indicator",
        "match[version]=all",
        f"match[id]={ID}",
        "match[spec_version]=2.1",
    ):
        with pytest.raises(MalformedRequest) as refused:
            resumed(token(types=("malware",)), query)
        assert "leave out next to start over" in refused.value.todo.lower()


def test_one_of_another_collection_starts_this_one_over_with_its_filters() -> None:
    one = token(types=("malware",))
    assert resumed(one, "", THERE) == (one.filters, -1)
    assert resumed(one, "added_after=1970-01-01T00:00:00.000400Z", THERE) == (one.filters, 400)


def test_one_of_another_endpoint_or_object_was_never_given_out_here() -> None:
    with pytest.raises(MalformedRequest):
        resumed(token(Endpoint.MANIFEST), "")
    with pytest.raises(MalformedRequest):
        resumed(token(Endpoint.OBJECT, ids=(ID.replace("8e2e", "9e2e"),)), "", HERE, Endpoint.OBJECT)
    assert resumed(token(Endpoint.OBJECT, ids=(ID,)), "", HERE, Endpoint.OBJECT) == (Filters(ids=(ID,)), 500)
