"""Strict JSON and JCS against their oracles on 20,000 random documents; the slow reader against the fast."""

from __future__ import annotations

import json
import math
import random
import string
from typing import Any
from unittest.mock import patch

import jcs
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.core.errors import MalformedRequest
from lightship.core.stix import json_plain
from lightship.core.stix.json import Decoded, Fault, canonical, decode, decode_listing
from lightship.core.stix.json_scan import MAX_INTEGER, Broken, scan

MADE = 17_000
DRAWN = 3_000


def _takes(number: float) -> bool:
    return math.isfinite(number) and not MAX_INTEGER < abs(number) < 1e21


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False).filter(_takes)
    | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=12,
)


def _agree(document: Any, sent: str) -> None:
    body = f'{{"objects":[{sent}]}}'.encode()
    items = decode_listing(body, "objects").items
    assert items is not None
    (item,) = items
    assert isinstance(item, Decoded), (item, sent)
    assert item.value == document
    assert item.canonical == rfc8785.dumps(document) == canonical(document)
    assert canonical(decode(item.canonical)) == item.canonical
    if not isinstance(document, str):  # jcs 0.2.1 writes a bare string as text, not bytes
        assert item.canonical == jcs.canonicalize(document)


@settings(max_examples=DRAWN, deadline=None, derandomize=True, database=None)
@given(_documents, st.booleans(), st.sampled_from([None, 1]))
def test_drawn_documents_are_read_and_written_as_the_oracles_do(
    document: Any, ascii_only: bool, indent: int | None
) -> None:
    _agree(document, json.dumps(document, ensure_ascii=ascii_only, indent=indent))


_ALPHABET = string.ascii_letters + string.digits + ' "\\/\b\f\n\r\t\x00\x1f\x7f\x80é€\u2028\ufb33\U0001f602'


def _made(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(10 if depth < 5 else 6)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind == 1:
        return rng.randint(-MAX_INTEGER, MAX_INTEGER) >> rng.randrange(54)
    if kind == 2:
        number = rng.uniform(-1, 1) * 10.0 ** rng.randint(-320, 308)
        return number if _takes(number) else rng.random()
    if kind < 6:
        return "".join(rng.choices(_ALPHABET, k=rng.randrange(9)))
    if kind < 8:
        return [_made(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {
        "".join(rng.choices(_ALPHABET, k=rng.randrange(5))): _made(rng, depth + 1)
        for _ in range(rng.randrange(5))
    }


@pytest.mark.parametrize("seed", range(5))
def test_made_documents_are_read_and_written_as_the_oracles_do(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(MADE // 5):
        document = _made(rng, 0)
        _agree(document, json.dumps(document, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1))))


_PIECES = (
    *'{}[]:,"\\ \t\n',
    *(
        "NaN",
        "-Infinity",
        "1e400",
        "-0",
        "0.5",
        "1E5",
        "01",
        "9007199254740992",
        "1e20",
        "true",
        "nul",
        "null",
    ),
    *(
        '"a"',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\ud83d\\ude00"',
        '"\\u00e9"',
        '"\\x"',
        '"a":1',
        "{}",
        "[]",
        "\x00",
    ),
)


def _pairs_seen(text: str) -> tuple[bool, bool]:
    """Return (is JSON by Python's grammar, holds something that Lightship does not take)."""
    flawed = False

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal flawed
        flawed = flawed or len(dict(members)) != len(members)
        return dict(members)

    def number(digits: str) -> float:
        nonlocal flawed
        value = float(digits)
        is_whole = not set(digits) & set(".eE")
        flawed = flawed or (abs(int(digits)) > MAX_INTEGER if is_whole else not _takes(value))
        return value

    def constant(_: str) -> None:
        nonlocal flawed
        flawed = True

    try:
        value = json.loads(
            text, object_pairs_hook=pairs, parse_int=number, parse_float=number, parse_constant=constant
        )
    except json.JSONDecodeError:
        return False, False
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        flawed = True
    return True, flawed


@pytest.mark.parametrize("seed", range(4))
def test_mutated_texts_fast_and_slow_reader_and_python_agree(seed: int) -> None:
    rng = random.Random(seed)
    verdicts = {"taken": 0, "flawed": 0, "broken": 0}
    for _ in range(2500):
        text = json.dumps([_made(rng, 1), "@", {"a": "@", "b": "@"}], ensure_ascii=rng.random() < 0.5)
        for mark in (1, 2, 3):
            text = text.replace('"@"', rng.choice(_PIECES) if rng.random() < 0.3 else str(mark), 1)
        for _ in range(rng.choice((0, 0, 1, 2))):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(_PIECES) + text[at + rng.randrange(3) :]
        is_json, flawed = _pairs_seen(text)
        sent = f'{{"objects":[{text}\n,7]}}'.encode()
        try:
            finding, end = scan(text, 0, "", to_end=True)
            slow = "flawed" if finding else "taken"
            slow = slow if not text[end:].strip(" \t\r\n") else "broken"
        except Broken:
            slow = "broken"
        wanted = "broken" if not is_json else "flawed" if flawed else "taken"
        assert slow == wanted, text
        verdicts[wanted] += 1
        if wanted == "taken":
            decode(text.encode())
        else:
            with pytest.raises(MalformedRequest):
                decode(text.encode())
        if is_json:
            items = decode_listing(sent, "objects").items
            assert items is not None
            assert len(items) == 2
            assert isinstance(items[0], Fault) == flawed, text
            assert isinstance(items[1], Decoded)
    assert min(verdicts.values()) > 100, verdicts


def _read(body: bytes) -> Any:
    try:
        listing = decode_listing(body, "objects")
    except MalformedRequest as refused:
        return refused.title, refused.why, refused.todo, refused.details
    return repr(listing)  # 1 and 1.0 and True are equal, but not what is written of them


@pytest.mark.parametrize("seed", range(4))
def test_a_listing_read_in_one_go_is_what_the_strict_reader_makes_of_it(seed: int) -> None:
    """With duplicate members, escapes, odd numbers and broken texts, at any place of the body."""
    rng = random.Random(seed)
    in_one_go = 0
    for _ in range(2500):
        objects = [
            _plain(rng, 0) if rng.random() < 0.9 else _made(rng, 2) for _ in range(rng.randrange(1, 4))
        ]
        outer: dict[str, Any] = {"type": "bundle", "id": "x"} if rng.random() < 0.3 else {}
        if rng.random() < 0.4:
            outer["more"] = rng.choice((True, 1, {"a": 1}, [], None, _plain(rng, 0), _made(rng, 2)))
        outer["objects"] = objects
        text = json.dumps(outer, ensure_ascii=rng.random() < 0.2, separators=rng.choice(((",", ":"), None)))
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            at = rng.randrange(len(text) + 1)
            piece = rng.choice(
                (*_PIECES, '"a":"b",', '"a":1,', '"objects":["a"],', "\\u0022\\u0022", "1.0", "-0.0")
            )
            text = text[:at] + piece + text[at + rng.randrange(3) :]
        body = text.encode("utf-8", "surrogatepass")
        in_one_go += json_plain.read_plain(body, "objects") is not None
        with patch.object(json_plain, "MAX_WHOLE", -1):
            strict = _read(body)
        assert _read(body) == strict, text
    assert in_one_go > 500


@pytest.mark.parametrize(
    "body",
    [
        '{"objects":[{"a":"b","a":"b"}]}',
        '{"objects":[{"a":"b","a":"\\u0022\\u0022\\u0022\\u0022"}]}',
        '{"objects":[{"\\u0022\\u0022":"b","a":1,"a":1}]}',
        '{"objects":["a"],"objects":["b"]}',
        '{"id":"a","id":"b","objects":["b"]}',
        '{"objects":[1.0,-0.0,1e3,1e21,1e-7,18446744073709551616,9007199254740992,-0,0.5]}',
        '{"objects":[{"é":1,"z":2,"\U0001f602":3,"\ufb33":4}]}',
        '{"objects":[' + "[" * 64 + "]" * 64 + "]}",
        '{"id":{"a":1,"a":2},"objects":["b"]}',
        '{"id":{"a":1.0,"b":1e21},"objects":["b"]}',
        '{"id":9007199254740992,"objects":["b"]}',
        '{"id":' + "[" * 65 + "]" * 65 + ',"objects":["b"]}',
        '{"objects":[' + "[" * 63 + "{}" + "]" * 63 + ',{"a":"{{[["}]}',
    ],
)
def test_what_only_the_strict_reader_can_tell_is_left_to_it(body: str) -> None:
    with patch.object(json_plain, "MAX_WHOLE", -1):
        strict = _read(body.encode())
    assert _read(body.encode()) == strict


def _plain(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind < 4:
        return "".join(rng.choices(string.ascii_letters + '{}[]:," \\é', k=rng.randrange(9)))
    if kind == 4:
        return rng.choice((True, None, 7, -1, 0.5, 85, 33.75))
    if kind == 5:
        return [_plain(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {"".join(rng.choices("abc_", k=3)): _plain(rng, depth + 1) for _ in range(rng.randrange(5))}


@pytest.mark.parametrize("seed", range(3))
def test_deep_and_mutated_texts_end_where_python_says_that_they_end(seed: int) -> None:
    rng = random.Random(seed)
    verdicts = {True: 0, False: 0}
    for _ in range(700):
        value = _made(rng, 4)
        for _ in range(rng.randint(66, 120)):
            around = [_made(rng, 4) for _ in range(rng.randrange(3))]
            around.insert(rng.randint(0, len(around)), value)
            value = {str(step): one for step, one in enumerate(around)} if rng.random() < 0.5 else around
        text = json.dumps(value, indent=rng.choice((None, None, 1)), ensure_ascii=rng.random() < 0.5)
        for _ in range(rng.randrange(2)):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(_PIECES) + text[at + rng.randrange(3) :]
        is_json, _ = _pairs_seen(text)
        try:
            _, end = scan(text, 0, "", to_end=True)
            ended = not text[end:].strip(" \t\r\n")
        except Broken:
            ended = False
        assert ended == is_json, text
        verdicts[is_json] += 1
        if is_json:
            items = decode_listing(f'{{"objects":[{text},7]}}'.encode(), "objects").items
            assert items is not None
            assert [type(item) for item in items] == [Fault, Decoded]
    assert min(verdicts.values()) > 100, verdicts
