"""Strict JSON (RFC 8259, RFC 7493) and its canonical bytes (JCS, RFC 8785).

The fast path is the C decoder with hooks, and orjson with sorted names; `rfc8785` writes the few values
that orjson would write differently (exponents, member names outside ASCII). Bodies in
which nothing is doubtful are read in one go (`json_plain`). Only when something is refused does the slow
scanner run, to say where. Nothing is ever repaired: a value is taken as it is or not at all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
import rfc8785

from lightship.core.errors import MalformedRequest
from lightship.core.stix.json_plain import TINY, jcs, read_plain
from lightship.core.stix.json_scan import (
    LEAST_EXPONENT,
    MAX_DEPTH,
    MAX_INTEGER,
    Broken,
    Finding,
    Flaw,
    escape_step,
    scan,
    skip_space,
)

_SORTED = orjson.OPT_SORT_KEYS
_ADVICE = {
    Flaw.DUPLICATE: "Keep one of the two members",
    Flaw.CONSTANT: "Leave the member out, or send the value as a string",
    Flaw.INFINITE: "Send it as a string",
    Flaw.INTEGER: "Send it as a string",
    Flaw.SURROGATE: "Send the character itself in UTF-8",
    Flaw.DEPTH: "Send a flatter object",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a body: line and column (from 1, in characters), byte offset (from 0), JSON pointer."""

    line: int
    column: int
    offset: int
    pointer: str

    def __str__(self) -> str:
        inside = f", at {self.pointer}" if self.pointer else ""
        return f"line {self.line}, column {self.column}, byte {self.offset}{inside}"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one value, where, and what to do about it.

    `value` is what the decoder made of it all the same, None if nothing: only to name the item by its id.
    """

    what: str
    place: Place
    todo: str
    value: Any = None


class Decoded(NamedTuple):
    """One value and its canonical bytes."""

    value: Any
    canonical: bytes


@dataclass(frozen=True, slots=True)
class Listing:
    """A JSON object whose one member `items` is an array, read item by item.

    `members` are the other members; `items` is None where the member is absent. `other` is the value of the
    member when it is no array, and `is_object` is False when the whole text is no object.
    """

    members: dict[str, Any]
    items: list[Decoded | Fault] | None
    is_object: bool = True
    is_array: bool = True


def decode(body: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        MalformedRequest: not UTF-8, not JSON, or anything that `Flaw` lists; the message says where.
    """
    reader = _Reader(_text(body))
    item, at = reader.value(skip_space(reader.text, 0), "")
    reader.finish(at)
    if isinstance(item, Fault):
        raise _malformed(item.what, item.place, item.todo)
    return item.value


def decode_listing(body: bytes, member: str) -> Listing:
    """Return a JSON object whose `member` is an array; each item of it stands or falls alone.

    Raises:
        MalformedRequest: not UTF-8, not JSON, or a flaw outside the items; the message says where.
    """
    plain = read_plain(body, member)
    if plain is not None:
        return Listing(plain.members, list(map(Decoded, plain.values, plain.written)))
    reader = _Reader(_text(body))
    start = skip_space(reader.text, 0)
    if reader.text[start : start + 1] != "{":
        decode(body)
        return Listing({}, None, is_object=False)
    return reader.listing(start, member)


def canonical(value: Any) -> bytes:
    """Return the JCS bytes (RFC 8785) of a value made of dict, list, str, int, float, bool and None.

    Raises:
        ValueError: something that JCS cannot write: NaN, an integer beyond 2^53-1, a lone surrogate,
            a member name that is no string, deeper than 64, or another type.
    """
    depth, plain = _survey(value)
    if depth > MAX_DEPTH:
        raise ValueError(Flaw.DEPTH)
    try:
        return orjson.dumps(value, option=_SORTED) if plain else rfc8785.dumps(value)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _survey(value: Any) -> tuple[int, bool]:
    """Return how deep a value is and whether orjson writes it as JCS wants. Does not recurse."""
    plain, depth, level = True, 0, [value]
    while level and depth <= MAX_DEPTH:
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                plain = plain and all(isinstance(name, str) and name.isascii() for name in one)
                below.extend(one.values())
            elif isinstance(one, list | tuple):
                below.extend(one)
            elif not isinstance(one, str | bool | None):
                plain = plain and isinstance(one, int) and -MAX_INTEGER <= one <= MAX_INTEGER
        depth += any(isinstance(one, dict | list | tuple) for one in level)
        level = below
    return depth, plain


def _text(body: bytes) -> str:
    if body.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00")) or body[1:2] == b"\x00":
        what = "The body is UTF-16 or UTF-32"
        raise _malformed(what, Place(1, 1, 0, ""), "Send it as UTF-8 (RFC 8259 section 8.1)")
    if body.startswith(b"\xef\xbb\xbf"):
        what = "The body begins with a byte order mark"
        raise _malformed(
            what, Place(1, 1, 0, ""), "Leave the three bytes EF BB BF out (RFC 8259 section 8.1)"
        )
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        before = body[: error.start].decode("utf-8")
        place = _Places(before).at(len(before), "")
        raise _malformed("The body is not UTF-8", place, "Send it as UTF-8 (RFC 8259 section 8.1)") from None


def _malformed(what: str, place: Place, todo: str) -> MalformedRequest:
    details = {"line": str(place.line), "column": str(place.column), "offset": str(place.offset)}
    if place.pointer:
        details["pointer"] = place.pointer
    return MalformedRequest(what, why=str(place), todo=todo, details=details)


class _Places:
    """Turns character indexes of one text into places; cheap when asked in rising order."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._ascii = text.isascii()
        self._index = self._offset = self._line_start = 0
        self._line = 1

    def at(self, index: int, pointer: str) -> Place:
        if index < self._index:
            self._index = self._offset = self._line_start = 0
            self._line = 1
        newlines = self._text.count("\n", self._index, index)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rindex("\n", self._index, index) + 1
        passed = index - self._index
        self._offset += passed if self._ascii else len(self._text[self._index : index].encode())
        self._index = index
        return Place(self._line, index - self._line_start + 1, self._offset, pointer)


class _Reader:
    """One body being read. The hooks note in `flawed` that the value just read is not to be taken."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.places = _Places(text)
        self.flawed = False
        self.exotic = False
        self._scan_once = json.JSONDecoder(
            object_pairs_hook=self._pairs,
            parse_float=self._float,
            parse_int=self._int,
            parse_constant=self._constant,
        ).scan_once  # type: ignore[attr-defined]  # the C scanner of one value; in every release, in no stub

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            self.flawed = True
        return made

    def _int(self, text: str) -> int:
        if len(text) > 17:
            self.flawed = True
            return 0
        number = int(text)
        if not -MAX_INTEGER <= number <= MAX_INTEGER:
            self.flawed = True
        return number

    def _float(self, text: str) -> float | int:
        number = float(text)
        size = abs(number)
        if size == float("inf") or MAX_INTEGER < size < LEAST_EXPONENT:
            self.flawed = True
        elif size <= MAX_INTEGER and number.is_integer():
            return int(number)  # JCS writes 1.0 and -0.0 as 1 and 0
        elif size > MAX_INTEGER or size < TINY:
            self.exotic = True
        return number

    def _constant(self, _name: str) -> None:
        self.flawed = True

    def value(self, start: int, pointer: str) -> tuple[Decoded | Fault, int]:
        """Read the value that begins at `start`; return it, or its fault, and the index behind it."""
        self.flawed = self.exotic = False
        try:
            value, end = self._scan_once(self.text, start)
        except (json.JSONDecodeError, StopIteration, RecursionError):
            finding, end = self._slow(start, pointer, to_end=True)
            return self._fault(finding, start, pointer), end
        if not self.flawed:
            written = self._canonical(value)
            if written is not None:
                return Decoded(value, written), end
        finding, _ = self._slow(start, pointer, to_end=False)
        return self._fault(finding, start, pointer, value), end

    def _canonical(self, value: Any) -> bytes | None:
        """Return the JCS bytes of a value without flaws so far, None if it has one after all."""
        try:
            return jcs(value, exotic=self.exotic)
        except (TypeError, ValueError):  # a lone surrogate, or deeper than orjson goes
            return None

    def _slow(self, start: int, pointer: str, *, to_end: bool) -> tuple[Finding | None, int]:
        try:
            return scan(self.text, start, pointer, to_end=to_end)
        except Broken as broken:
            raise self.broken(broken.index, broken.expected, broken.pointer) from None

    def _fault(self, finding: Finding | None, start: int, pointer: str, value: Any = None) -> Fault:
        if finding is None:  # the decoder gave up for a reason of its own, such as a stack already deep
            return Fault("the value could not be read", self.places.at(start, pointer), "Send it again")
        place = self.places.at(finding.index, finding.pointer)
        return Fault(str(finding.flaw), place, _ADVICE[finding.flaw], value)

    def broken(self, index: int, expected: str, pointer: str) -> MalformedRequest:
        found = self.text[index : index + 1]
        if not found:
            what = f"The body is not JSON: it ends where {expected} must follow"
        else:
            what = f"The body is not JSON: {expected} must stand here, not {found!a}"
        return _malformed(what, self.places.at(index, pointer), "Send one complete JSON text (RFC 8259)")

    def finish(self, at: int) -> None:
        end = skip_space(self.text, at)
        if end != len(self.text):
            raise self.broken(end, "the end of the body", "")

    def listing(self, at: int, member: str) -> Listing:
        """Read the object that begins at `at`."""
        text = self.text
        members: dict[str, Any] = {}
        names: set[str] = set()
        items: list[Decoded | Fault] | None = None
        is_array = True
        at = skip_space(text, at + 1)
        mark = text[at : at + 1]
        while mark != "}" or names:
            name, at = self._name(at, names)
            pointer = f"/{escape_step(name)}"
            if name == member and text[at : at + 1] == "[":
                items, at = self._items(at, pointer)
            else:
                members[name], at = self._outer(at, pointer)
                is_array = is_array and name != member
            at = skip_space(text, at)
            mark = text[at : at + 1]
            if mark == "}":
                break
            if mark != ",":
                raise self.broken(at, "',' or '}'", "")
            at = skip_space(text, at + 1)
        self.finish(at + 1)
        return Listing(members, items, is_array=is_array)

    def _name(self, at: int, names: set[str]) -> tuple[str, int]:
        """Read a new member name of the outer object and its colon; return it and where its value begins."""
        if self.text[at : at + 1] != '"':
            raise self.broken(at, "a member name in double quotes" + ("" if names else " or '}'"), "")
        name, end = self._outer(at, "")
        pointer = f"/{escape_step(name)}"
        if name in names:
            raise _malformed(str(Flaw.DUPLICATE), self.places.at(at, pointer), _ADVICE[Flaw.DUPLICATE])
        names.add(name)
        colon = skip_space(self.text, end)
        if self.text[colon : colon + 1] != ":":
            raise self.broken(colon, "':' after a member name", pointer)
        return name, skip_space(self.text, colon + 1)

    def _outer(self, at: int, pointer: str) -> tuple[Any, int]:
        item, end = self.value(at, pointer)
        if isinstance(item, Fault):
            raise _malformed(item.what, item.place, item.todo)
        return item.value, end

    def _items(self, at: int, pointer: str) -> tuple[list[Decoded | Fault], int]:
        text, value = self.text, self.value
        items: list[Decoded | Fault] = []
        at = skip_space(text, at + 1)
        if text[at : at + 1] == "]":
            return items, at + 1
        while True:
            item, at = value(at, f"{pointer}/{len(items)}")
            items.append(item)
            at = skip_space(text, at)
            mark = text[at : at + 1]
            if mark == "]":
                return items, at + 1
            if mark != ",":
                raise self.broken(at, "',' or ']'", pointer)
            at = skip_space(text, at + 1)
