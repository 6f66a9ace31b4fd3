"""STIX files are cut, not rewritten; what is no STIX file is refused with its line."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.core.errors import BadFile
from lightship_feeds.base import Draft
from lightship_feeds.stix_bundle import StixBundle

A = '{"type":"indicator","id":"indicator--a","n":1.0}'
B = '{ "id" : "x", "type":"malware", "s":"\\u00e9]}" , "objects": [1] }'


def read(text: str | bytes) -> list[Draft]:
    raw = text.encode() if isinstance(text, str) else text
    return list(StixBundle().read(io.BytesIO(raw), "f.json"))


def raws(text: str | bytes) -> list[str]:
    return [one.raw.decode() for one in read(text)]


@pytest.mark.parametrize(
    "text",
    [
        f'{{"type":"bundle","id":"bundle--1","objects":[{A},{B}]}}',
        f'{{"objects":[{A},{B}],"type":"bundle"}}',
        f'\n{{\n "more": false,\n "objects" : [\n{A} ,\n {B}\n ]\n}}\n',
        f"[{A},\n{B}]",
        f"{A}\n{B}\n",
        f"{A}\n\n{B}",
        f"{A} {B}",
        f'{{"objects":[{A}]}}\n{B}\n',
        f"\ufeff{A}\n{B}",
    ],
)
def test_every_form_gives_the_same_objects_as_they_stand(text: str) -> None:
    assert raws(text) == [A, B]


def test_nothing_is_rewritten() -> None:
    odd = '{"type":"x","a":1,"a":2,"big":123456789012345678901234567890,"f":1e400,"u":"\\ud800"}'
    assert raws(f'{{"type":"bundle","objects":[{odd}]}}') == [odd]


@pytest.mark.parametrize("text", ["", "\n \n", "[]", '{"type":"bundle","id":"bundle--1"}', '{"objects":[]}'])
def test_nothing_in_it_gives_nothing(text: str) -> None:
    assert read(text) == []


def test_positions_and_lines_are_those_of_the_source() -> None:
    found = read(f'{{"type":"bundle",\n"objects":[\n{A},\n\n{B}]}}')
    assert [(one.position, one.line) for one in found] == [(0, 3), (1, 5)]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (f"{A}\n{{broken\n{A}", 2, "not JSON"),
        (f'{{"objects":[\n{A},\n3]}}', 3, "Not a STIX object"),
        (f'{{"objects":[{A}\n', 2, "not JSON"),
        ("42", 1, "Not a STIX object"),
        ('{"type":"bundle","objects":{}}', 1, "not a list"),
        (f'{{"objects":[{A}],\n"objects":[{B}]}}', 2, "twice"),
        ('{"type":"x",\n"n":NaN}', 1, "NaN"),
        ("[" * 100_000, 1, "nested too deeply"),
    ],
)
def test_what_is_no_stix_file_is_refused_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(BadFile, match=said) as caught:
        read(text)
    assert caught.value.path == "f.json"
    assert caught.value.line == line


def test_another_encoding_is_refused_with_its_line() -> None:
    with pytest.raises(BadFile, match="UTF-8") as caught:
        read(A.encode() + b'\n{"s":"\xff"}\n')
    assert caught.value.line == 2


def test_ndjson_is_read_line_by_line() -> None:
    class Endless(io.RawIOBase):
        lines = 0

        def readline(self, size: int | None = -1, /) -> bytes:
            self.lines += 1
            return A.encode() + b"\n"

    source = Endless()
    drafts = StixBundle().read(source, "pipe")  # type: ignore[arg-type] # only what the reader needs of a file
    assert [next(drafts).position for _ in range(5)] == [0, 1, 2, 3, 4]
    assert source.lines == 5


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
things = st.dictionaries(st.text(max_size=5), values, max_size=4).map(lambda d: {**d, "type": "indicator"})


@given(st.lists(things, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_any_objects_come_back_equal(
    objects: list[dict[str, object]], indent: int | None, ascii_only: bool
) -> None:
    bundle = {"type": "bundle", "id": "bundle--1", "objects": objects}
    text = json.dumps(bundle, indent=indent, ensure_ascii=ascii_only)
    assert [json.loads(raw) for raw in raws(text)] == objects
    lines = "".join(json.dumps(one, ensure_ascii=ascii_only) + "\n" for one in objects)
    assert [json.loads(raw) for raw in raws(lines)] == objects
