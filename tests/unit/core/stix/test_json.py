"""Hostile and careless bodies: what is refused, how much of it, and where the message points."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest

from lightship.core.errors import MalformedRequest
from lightship.core.stix.json import Decoded, Fault, decode, decode_listing

MIB16 = 16 << 20
GOOD = b'{"id":"good"}'


def _items(body: bytes) -> list[Decoded | Fault]:
    items = decode_listing(body, "objects").items
    assert items is not None
    return items


WHOLE_BODY = [
    # name, body, offset, words of the message
    ("empty", b"", 0, "ends where a value"),
    ("only space", b" \n\t", 3, "ends where a value"),
    ("word", b"hello", 0, "a value must stand here"),
    ("byte order mark", b"\xef\xbb\xbf{}", 0, "byte order mark"),
    ("UTF-16 with mark", '{"a":1}'.encode("utf-16"), 0, "UTF-16"),
    ("UTF-16 little", '{"a":1}'.encode("utf-16-le"), 0, "UTF-16"),
    ("UTF-16 big", '{"a":1}'.encode("utf-16-be"), 0, "UTF-16"),
    ("UTF-32", '{"a":1}'.encode("utf-32-be"), 0, "UTF-32"),
    ("invalid UTF-8", b'{"a":"\xff"}', 6, "not UTF-8"),
    ("overlong UTF-8", b'{"a":"\xc0\x80"}', 6, "not UTF-8"),
    ("raw surrogate", b'{"a":"\xed\xa0\x80"}', 6, "not UTF-8"),
    ("cut UTF-8", b'{"a":"\xe2\x82', 6, "not UTF-8"),
    ("gzip", b"\x1f\x8b\x08\x00", 1, "not UTF-8"),
    ("open object", b'{"objects":[{"a":1', 18, "'}' must follow"),
    ("open array", b'{"objects":[1', 13, "']' must follow"),
    ("comma before the end of an array", b'{"objects":[1,]}', 14, "a value must stand here"),
    ("comma before the end of an object", b'{"objects":[{"a":1,}]}', 19, "a member name"),
    ("comma before the end of the envelope", b'{"objects":[1],}', 15, "a member name"),
    ("no comma", b'{"objects":[1 2]}', 14, "','"),
    ("no comma in the envelope", b'{"a":1 "objects":[1]}', 7, "','"),
    ("no colon", b'{"objects" [1]}', 11, "':'"),
    ("no colon in an item", b'{"objects":[{"a" 1}]}', 17, "':'"),
    ("no name", b"{1:2}", 1, "a member name"),
    ("single quotes", b"{'a':1}", 1, "a member name"),
    ("comment", b'{"objects":[/* x */1]}', 12, "a value"),
    ("two texts", b'{"objects":[1]}{}', 15, "the end of the body"),
    ("leading zero", b'{"objects":[01]}', 13, "','"),
    ("plus", b'{"objects":[+1]}', 12, "a value"),
    ("bare point", b'{"objects":[.5]}', 12, "a value"),
    ("hexadecimal", b'{"objects":[0x10]}', 13, "','"),
    ("control character in a string", b'{"objects":["a\nb"]}', 12, "a value"),
    ("unknown escape", b'{"objects":["\\x41"]}', 12, "a value"),
    ("short escape", b'{"objects":["\\u12"]}', 12, "a value"),
    ("twice the objects", b'{"objects":[1],"objects":[2]}', 15, "twice"),
    ("NaN beside the objects", b'{"objects":[1],"more":NaN}', 22, "NaN"),
    ("NUL behind", b'{"objects":[1]}\x00', 15, "the end of the body"),
]


@pytest.mark.parametrize(
    ("body", "offset", "words"), [row[1:] for row in WHOLE_BODY], ids=[row[0] for row in WHOLE_BODY]
)
def test_what_is_no_json_in_utf8_refuses_the_whole_body_and_says_where(
    body: bytes, offset: int, words: str
) -> None:
    with pytest.raises(MalformedRequest) as caught:
        decode_listing(body, "objects")
    error = caught.value
    assert words in error.title
    assert error.details["offset"] == str(offset)
    assert "line" in error.why
    assert error.todo


ONE_ITEM = [
    # name, item, offset inside the item, pointer inside the item, words
    ("duplicate member", b'{"a":1,"b":2,"a":3}', 13, "/a", "twice"),
    ("duplicate by escape", b'{"a":1,"\\u0061":3}', 7, "/a", "twice"),
    ("duplicate inside", b'{"x":[0,{"a":1,"a":1}]}', 15, "/x/1/a", "twice"),
    ("NaN", b'{"a":[1,NaN]}', 8, "/a/1", "NaN"),
    ("Infinity", b'{"a":Infinity}', 5, "/a", "NaN and Infinity"),
    ("minus Infinity", b'{"a":-Infinity}', 5, "/a", "NaN and Infinity"),
    ("1e400", b'{"a":1e400}', 5, "/a", "too large"),
    ("-1e400", b'{"a":-1e400}', 5, "/a", "too large"),
    ("2^53", b'{"a":9007199254740992}', 5, "/a", "2^53-1"),
    ("-2^53", b'{"a":-9007199254740992}', 5, "/a", "2^53-1"),
    ("2^53 with a point", b'{"a":9007199254740992.0}', 5, "/a", "2^53-1"),
    ("a long identifier as a number", b'{"a":123456789012345678901234567890}', 5, "/a", "2^53-1"),
    ("lone high surrogate", b'{"a":"x\\ud800y"}', 7, "/a", "surrogate"),
    ("lone low surrogate", b'{"a":"\\udc00"}', 6, "/a", "surrogate"),
    ("surrogates in the wrong order", b'{"a":"\\udc00\\ud800"}', 6, "/a", "surrogate"),
    ("surrogate in a name", b'{"\\ud800":1}', 2, "/", "surrogate"),
    ("65 deep", b"[" * 65 + b"]" * 65, 64, "/0" * 64, "more than 64"),
    ("65 deep with objects", b'{"a":' * 65 + b"1" + b"}" * 65, 320, "/a" * 64, "more than 64"),
    ("10000 deep", b'[{"a":' * 5000 + b"1" + b"}]" * 5000, 192, "/0/a" * 32, "more than 64"),
]


@pytest.mark.parametrize(
    ("item", "offset", "pointer", "words"), [row[1:] for row in ONE_ITEM], ids=[row[0] for row in ONE_ITEM]
)
def test_a_flaw_inside_one_item_fails_that_item_only(
    item: bytes, offset: int, pointer: str, words: str
) -> None:
    before = '{\n "note": "é",\n "objects": [\n  '.encode() + GOOD + b",\n  "
    first, flawed, last = _items(before + item + b",\n  " + GOOD + b"]}")
    assert isinstance(first, Decoded)
    assert isinstance(last, Decoded)
    assert first.canonical == last.canonical == GOOD
    assert isinstance(flawed, Fault)
    assert words in flawed.what
    assert flawed.todo
    assert flawed.place.offset == len(before) + offset
    assert (flawed.place.line, flawed.place.column) == (5, 3 + offset)
    assert flawed.place.pointer.startswith("/objects/1" + pointer)


@pytest.mark.parametrize(
    ("item", "written"),
    [
        (b'{"a":"\\u0000"}', b'{"a":"\\u0000"}'),
        (b'{"a":-0.0,"b":-0}', b'{"a":0,"b":0}'),
        (b'{"a":1.0,"b":1E2}', b'{"a":1,"b":100}'),
        (b'{"a":1e-7,"b":0.00001}', b'{"a":1e-7,"b":0.00001}'),
        (b'{"a":1e21}', b'{"a":1e+21}'),
        (b'{"a":9007199254740991}', b'{"a":9007199254740991}'),
        (b'{"a":"\\ud83d\\udea2"}', '{"a":"🚢"}'.encode()),
        (b'{"a":"\\u2028\\u007f"}', '{"a":"\u2028\x7f"}'.encode()),
        (b'{"\\ufb33":1,"\\ud83d\\ude02":2}', '{"\U0001f602":2,"\ufb33":1}'.encode()),
        (b"[" * 64 + b"]" * 64, b"[" * 64 + b"]" * 64),
        (b'"[[[[[[[[[[' + b"[" * 90 + b'"', b'"[[[[[[[[[[' + b"[" * 90 + b'"'),
    ],
)
def test_legal_json_is_taken_and_written_as_jcs(item: bytes, written: bytes) -> None:
    (taken,) = _items(b'{"objects":[' + item + b"]}")
    assert isinstance(taken, Decoded)
    assert taken.canonical == written
    assert decode(written) == taken.value


def test_a_body_that_is_not_an_object_is_read_and_reported() -> None:
    assert not decode_listing(b"[]", "objects").is_object
    assert not decode_listing(b'{"objects":{}}', "objects").is_array
    assert decode_listing(b'{"more":false}', "objects").items is None
    assert decode_listing(b'{"more":false,"objects":[ ]}', "objects").items == []
    assert decode_listing(b'{"more":false}', "objects").members == {"more": False}


@pytest.mark.parametrize(
    "body",
    [
        b'{"' + b"x" * 100_000 + b'":NaN}',
        b'{"' + b"x" * 100_000 + b'" 1}',
        b'{"\\u001b[2J\\u202e":NaN}',
        b'{"a":1,"\\u001b[2J\\u202e":1,"\\u001b[2J\\u202e":1}',
        b'{"a":' + (b'{"' + b"y" * 50 + b'":') * 64 + b"!",
    ],
    ids=range(5),
)
def test_a_message_about_a_hostile_name_is_short_and_printable(body: bytes) -> None:
    with pytest.raises(MalformedRequest) as caught:
        decode_listing(body, "objects")
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()


def test_a_stack_that_is_deep_already_fails_the_item_and_not_the_process() -> None:
    body = b'{"objects":[' + b"[" * 60 + b"]" * 60 + b"," + GOOD + b"]}"

    def deep(levels: int) -> list[Decoded | Fault]:
        return deep(levels - 1) if levels else _items(body)

    limit = sys.getrecursionlimit()
    outcomes = set()
    for levels in range(10, limit):
        try:
            first, last = deep(levels)
        except RecursionError:
            break
        outcomes.add(type(first))
        assert isinstance(last, Decoded)
    assert outcomes <= {Decoded, Fault}
    assert Decoded in outcomes


def test_faults_in_rising_order_get_their_own_line_and_byte() -> None:
    body = '{"objects":[\n' + ",\n".join('{"é":NaN}' for _ in range(50)) + "]}"
    places = [item.place for item in _items(body.encode()) if isinstance(item, Fault)]
    assert [place.line for place in places] == list(range(2, 52))
    assert {place.column for place in places} == {6}
    assert [body.encode()[place.offset :][:3] for place in places] == [b"NaN"] * 50


HALF = MIB16 // 2
TAIL = b"," + GOOD + b"]}"

BROKEN_BOMBS: dict[str, Callable[[], bytes]] = {
    "only brackets": lambda: b"[" * MIB16,
    "brackets in the objects": lambda: b'{"objects":[' + b"[" * MIB16,
    "a string that never ends": lambda: b'{"objects":[{"a":"' + b'\\"' * HALF,
    "brackets that close wrongly": lambda: b'{"objects":[' + b"[" * HALF + b"]" * (HALF - 1) + b"}]}",
    "brackets that close wrongly in the middle": lambda: (
        b'{"objects":[' + b"[" * HALF + b"]\n" * (HALF // 4) + b"}" + b"]" * HALF
    ),
    "one bracket too many": lambda: b'{"objects":[' + b"[" * HALF + b"]" * HALF + b"]}]",
    "blanks": lambda: b" " * MIB16,
}

WHOLE_BOMBS: dict[str, Callable[[], bytes]] = {
    "brackets that close": lambda: b'{"objects":[' + b"[" * HALF + b"]" * HALF + TAIL,
    "objects that close": lambda: (
        b'{"objects":[' + b'[{"a":' * (HALF // 4) + b"1" + b"}]" * (HALF // 4) + TAIL
    ),
    "deep, then wide": lambda: (
        b'{"objects":[' + b"[" * 1500 + b"]" * 1499 + b",[]" * (HALF // 3) + b"]" + TAIL
    ),
    "a number of 16 MiB": lambda: b'{"objects":[{"a":' + b"7" * MIB16 + b"}" + TAIL,
    "a fraction of 16 MiB": lambda: b'{"objects":[{"a":0.' + b"7" * MIB16 + b"}" + TAIL,
    "many numbers, then NaN": lambda: b'{"objects":[{"a":[' + b"0," * HALF + b"NaN]}" + TAIL,
    "200,000 items": lambda: b'{"objects":[' + b'{"a":1},' * 199_999 + b'{"a":1}' + TAIL,
    "100,000 items with a flaw": lambda: b'{"objects":[' + b'{"a":NaN},' * 99_999 + b'{"a":NaN}' + TAIL,
    "not ASCII at all": lambda: b'{"objects":[{"a":"' + "é".encode() * HALF + b'"}' + TAIL,
}


@pytest.mark.parametrize("name", BROKEN_BOMBS)
def test_a_bomb_that_is_no_json_is_refused_in_bounded_time(name: str) -> None:
    body = BROKEN_BOMBS[name]()
    began = time.process_time()
    with pytest.raises(MalformedRequest) as caught:
        decode_listing(body, "objects")
    assert time.process_time() - began < 20
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", WHOLE_BOMBS)
def test_a_bomb_in_one_item_leaves_the_next_item_whole_in_bounded_time(name: str) -> None:
    body = WHOLE_BOMBS[name]()
    began = time.process_time()
    last = _items(body)[-1]
    assert time.process_time() - began < 20
    assert isinstance(last, Decoded)
    assert last.canonical == GOOD
