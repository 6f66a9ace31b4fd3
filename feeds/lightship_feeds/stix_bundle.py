"""STIX in: a bundle, a TAXII envelope, a list, one object, or NDJSON of any of these (STIX 2.1 section 8).

Objects are cut out of the text, never parsed and written again, so that what a hub receives is what the file
holds: digits, escapes and repeated members included (the hub judges them). NDJSON is read line by line; a
bundle that is printed over several lines is held in memory once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar, NoReturn

from lightship.core.errors import BadFile
from lightship_feeds.base import Draft

MAX_LINE = 256 * 1024 * 1024
"""Bytes of a source that are held at once; a larger one is refused."""
_BLANK = re.compile(r"[ \t\r\n]*", re.ASCII)
_BOM = b"\xef\xbb\xbf"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_int=str, parse_float=str)
"""Finds where values end. Numbers stay text: nobody computes with them here."""


class StixBundle:
    """The feed `stix`: STIX 2.1 or 2.0 objects as they are."""

    name: ClassVar[str] = "stix"
    summary: ClassVar[str] = "STIX bundle, TAXII envelope, list of objects, one object, or NDJSON"
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".stix", ".ndjson", ".jsonl")

    def read(self, source: BinaryIO, where: str) -> Iterator[Draft]:
        """Yield the objects of a STIX file; see `base.FeedIn.read`."""
        position = 0
        for line, text in _texts(source, where):
            for start, end in _objects(text, where, line):
                at = line + text.count("\n", 0, start)
                yield Draft(position, at, text[start:end].encode("utf-8"))
                position += 1


def _texts(source: BinaryIO, where: str) -> Iterator[tuple[int, str]]:
    """Yield (line number, text of whole JSON values): lines of NDJSON, or everything at once."""
    number = 0
    while raw := source.readline(MAX_LINE):
        number += 1
        if number == 1 and raw.startswith(_BOM):
            raw = raw[len(_BOM) :]
        if not raw.strip():
            continue
        text = _decode(raw, where, number)
        if not _whole(text):
            rest = source.read(MAX_LINE)
            if source.read(1):
                raise BadFile(
                    "The file is too large to be one value",
                    path=where,
                    todo=f"Give at most {MAX_LINE // 1024**2} MiB, or NDJSON",
                )
            yield number, text + _decode(rest, where, number)
            return
        yield number, text


def _decode(raw: bytes, where: str, line: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        at = line + raw.count(b"\n", 0, error.start)
        raise BadFile("The file is not UTF-8", path=where, line=at, todo="Save it as UTF-8") from None


def _whole(text: str) -> bool:
    """True if a line holds whole values, so that the next line begins a new one."""
    start = _skip(text, 0)
    try:
        while start < len(text):
            start = _skip(text, _DECODER.raw_decode(text, start)[1])
    except (ValueError, RecursionError):
        return False
    return True


def _objects(text: str, where: str, line: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of every object in a text of one or more values."""
    start = _skip(text, 0)
    while start < len(text):
        value, end = _value(text, start, where, line)
        if isinstance(value, list):
            yield from _items(text, start, where, line)
        elif isinstance(value, dict) and _is_container(value):
            yield from _members(text, start, where, line)
        elif isinstance(value, dict):
            yield start, end
        else:
            _bad("Not a STIX object", text, start, where, line, "an object, a list or a bundle was expected")
        start = _skip(text, end)


def _is_container(value: dict[str, Any]) -> bool:
    """A bundle, or an envelope: `objects` without an id (grouping and report have `object_refs`)."""
    return value.get("type") == "bundle" or ("type" not in value and "objects" in value)


def _members(text: str, start: int, where: str, line: int) -> Iterator[tuple[int, int]]:
    """Yield the items of the member `objects` of the object that begins at `start`."""
    at, seen = _skip(text, start + 1), False
    while text[at] != "}":
        key, at = _value(text, at, where, line)
        at = _skip(text, _skip(text, at) + 1)  # the colon
        if key == "objects":
            if seen:
                _bad("The bundle has `objects` twice", text, at, where, line)
            seen = True
            if text[at] != "[":
                _bad("`objects` is not a list", text, at, where, line)
            yield from _items(text, at, where, line)
        at = _skip(text, _value(text, at, where, line)[1])
        at = _skip(text, at + 1) if text[at] == "," else at


def _items(text: str, start: int, where: str, line: int) -> Iterator[tuple[int, int]]:
    """Yield the items of the list that begins at `start`."""
    at = _skip(text, start + 1)
    while text[at] != "]":
        value, end = _value(text, at, where, line)
        if not isinstance(value, dict):
            _bad("Not a STIX object", text, at, where, line, "every item of the list has to be an object")
        yield at, end
        at = _skip(text, end)
        at = _skip(text, at + 1) if text[at] == "," else at


def _value(text: str, start: int, where: str, line: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        _bad("The file is not JSON", text, error.pos, where, line, error.msg)
    except ValueError as error:
        _bad("The file is not JSON", text, start, where, line, str(error))
    except RecursionError:
        _bad("The file is nested too deeply", text, start, where, line)


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _bad(title: str, text: str, at: int, where: str, line: int, why: str = "") -> NoReturn:
    raise BadFile(title, path=where, line=line + text.count("\n", 0, at), why=why)
