"""Negotiation as RFC 9110 section 12 defines it: blanks, capitals, quotes, lists and weights."""

from __future__ import annotations

import contextlib
import tracemalloc
from itertools import product
from string import ascii_lowercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.core.errors import NotAcceptable, UnsupportedMedia
from lightship.web.negotiate import (
    accepts_gzip,
    body_is_gzip,
    check_accept,
    check_accept_json,
    check_content_type,
    check_json_content_type,
    etag_matches,
    split_list,
)


@pytest.mark.parametrize(
    "accept",
    [
        *(None, b"", b" ", b"*/*", b"application/*", b"application/taxii+json"),
        *(b"application/taxii+json;version=2.1", b"application/taxii+json; version=2.1"),
        *(b'Application/TAXII+JSON ; Version="2.1"', b"application/taxii+json;version=2.1;q=0.001"),
        b"application/taxii+json;charset=utf-8;version=2.1",
        b"application/vnd.oasis.taxii+json; version=2.0, application/taxii+json; version=2.1",
        b"application/taxii+json;version=2.0, application/taxii+json;version=2.1;q=0.1",
        b"text/html, application/xhtml+xml, */*;q=0.8",
        b",, application/taxii+json ,",
        b'text/html;title="a,b", application/taxii+json',
        b"nonsense, application/taxii+json;version=2.1",
    ],
)
def test_accept_that_allows_taxii_2_1(accept: bytes | None) -> None:
    check_accept(accept)


@pytest.mark.parametrize(
    "accept",
    [
        *(b"application/json", b"text/html", b"application/stix+json;version=2.1", b"nonsense", b"*"),
        *(b"application/taxii+json;version=2.0", b"application/vnd.oasis.taxii+json; version=2.0"),
        *(b"application/taxii+json;q=0", b"*/*;q=0", b"application/taxii+json;version=2.1;q=0, */*"),
        *(
            b"application/taxii+json;version=2.10",
            b"application/taxii+jsonx",
            b"application/taxii+json;profile=x",
        ),
        *(b"application/taxii+json;q=2", b"application/taxii+json;q=0.0000", b"text/*"),
    ],
)
def test_accept_that_does_not_is_refused_with_what_to_send(accept: bytes) -> None:
    with pytest.raises(NotAcceptable, match=r"Send Accept: application/taxii\+json;version=2\.1"):
        check_accept(accept)


def test_the_most_specific_range_decides() -> None:
    check_accept(b"*/*;q=0, application/taxii+json")
    check_accept(b"application/taxii+json;version=2.1, application/taxii+json;q=0")
    with pytest.raises(NotAcceptable):
        check_accept(b"application/taxii+json;q=0, application/*;q=1, */*")


def test_taxii_2_0_and_stix_are_told_apart_in_the_text() -> None:
    with pytest.raises(NotAcceptable, match=r"TAXII 2\.0 is not spoken"):
        check_accept(b"application/vnd.oasis.taxii+json;version=2.0")
    with pytest.raises(NotAcceptable, match="inside TAXII envelopes"):
        check_accept(b"application/stix+json;version=2.1")


@pytest.mark.parametrize(
    "value",
    [
        *(
            b"application/taxii+json",
            b"application/taxii+json;version=2.1",
            b"APPLICATION/taxii+json ; VERSION = 2.1",
        ),
        *(
            b'application/stix+json;version="2.1"',
            b"application/stix+json",
            b"application/taxii+json;charset=UTF-8",
        ),
    ],
)
def test_content_types_that_are_taken(value: bytes) -> None:
    check_content_type(value)


@pytest.mark.parametrize(
    "value",
    [
        *(None, b"", b"application/json", b"text/plain", b"*/*", b"application/taxii+json;version=2.0"),
        *(
            b"application/stix+json;version=2.0",
            b"application/taxii+json;charset=utf-16",
            b"application/taxii+json,x/y",
        ),
        *(b"application/x-www-form-urlencoded", b"application/taxii+json;boundary=x", b"taxii"),
    ],
)
def test_content_types_that_are_not(value: bytes | None) -> None:
    with pytest.raises(UnsupportedMedia, match="Send Content-Type"):
        check_content_type(value)


def test_types_of_many_parameters_are_not_kept_taken_apart() -> None:
    names = ["".join(pair) for pair in product(ascii_lowercase, repeat=2)]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(100):
            value = f"a/b;{number}={number};{';'.join(f'{name}=q' for name in names)}".encode()
            with pytest.raises(UnsupportedMedia):
                check_content_type(value)
            with pytest.raises(UnsupportedMedia):
                check_json_content_type(value)
        assert tracemalloc.get_traced_memory()[0] - before < 100 * 3 * len(value)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        *((None, False), (b"", False), (b"gzip", True), (b"GZip;q=0.5, deflate", True), (b"x-gzip", True)),
        *(
            (b"gzip;q=0", False),
            (b"*", True),
            (b"*;q=0", False),
            (b"gzip;q=0, *", False),
            (b"deflate, br", False),
        ),
        *((b"identity;q=1, *;q=0", False), (b"gzip;q=x", False), (b"gzip;foo=1", True)),
    ],
)
def test_gzip_only_if_it_is_accepted(header: bytes | None, expected: bool) -> None:
    assert accepts_gzip(header) is expected


def test_codings_of_a_body() -> None:
    assert not body_is_gzip(None)
    assert not body_is_gzip(b"identity")
    assert body_is_gzip(b" GZIP ")
    for other in (b"br", b"deflate", b"gzip, gzip", b"gzip, br", b"junk"):
        with pytest.raises(UnsupportedMedia):
            body_is_gzip(other)


def test_if_none_match_is_a_list_compared_weakly() -> None:
    assert etag_matches(b'"a"', b'"a"')
    assert etag_matches(b'W/"a"', b'"a"')
    assert etag_matches(b'"x,y", "a"', b'"a"')
    assert etag_matches(b" * ", b'"a"')
    for other in (None, b"", b"a", b'"b"', b'"a-gzip"', b'"x", "aa"'):
        assert not etag_matches(other, b'"a"')


@given(st.binary(max_size=80))
def test_no_header_raises_anything_but_its_refusal(header: bytes) -> None:
    for check, refusal in ((check_accept, NotAcceptable), (check_content_type, UnsupportedMedia)):
        with contextlib.suppress(refusal):
            check(header)
    accepts_gzip(header)
    etag_matches(header, b'"a"')


def test_commas_in_quotes_do_not_separate() -> None:
    assert split_list('a;x="1,\\",2",b,') == ['a;x="1,\\",2"', "b", ""]


def test_endless_headers_agree_to_nothing() -> None:
    with pytest.raises(NotAcceptable):
        check_accept(b"*/*," * 2_000)
    with pytest.raises(UnsupportedMedia):
        check_content_type(b"application/taxii+json" + b";" * 5_000)
    assert not accepts_gzip(b"gzip," * 2_000)


@pytest.mark.parametrize(
    "accept",
    [
        *(None, b"", b" ", b"*/*", b"application/*", b"application/json", b"Application/JSON; charset=utf-8"),
        *(
            b"text/html, application/json;q=0.1",
            b"text/html, */*;q=0.1",
            b"application/json;q=0.001, */*;q=0",
        ),
    ],
)
def test_accept_that_allows_json(accept: bytes | None) -> None:
    check_accept_json(accept)


@pytest.mark.parametrize(
    "accept",
    [
        *(
            b"text/html",
            b"application/taxii+json;version=2.1",
            b"application/json;q=0",
            b"application/json;v=1",
        ),
        *(b"application/json;q=0, */*", b"application/json;q=0, application/*", b"nonsense", b"*/*;q=0"),
        b"application/json," + b"x" * 5_000,
    ],
)
def test_accept_that_does_not_allow_json_is_refused(accept: bytes) -> None:
    with pytest.raises(NotAcceptable, match="application/json"):
        check_accept_json(accept)


@pytest.mark.parametrize(
    "value",
    [
        *(b"application/json", b"application/json; charset=UTF-8", b"application/taxii+json;version=2.1"),
        *(b"application/stix+json;version=2.1", b"application/stix+json"),
    ],
)
def test_content_types_of_a_question(value: bytes) -> None:
    check_json_content_type(value)


@pytest.mark.parametrize(
    "value",
    [
        *(None, b"", b"text/plain", b"application/json;charset=latin-1", b"application/json;version=2.1"),
        *(b"application/taxii+json;version=2.0", b"application/json," + b"x" * 5_000),
    ],
)
def test_content_types_that_bring_no_question(value: bytes | None) -> None:
    with pytest.raises(UnsupportedMedia, match="application/json"):
        check_json_content_type(value)
