"""A listing whose strict reading is sure to be what orjson makes of it (RFC 8259, RFC 7493, RFC 8785).

The reader of `json` looks at each value through hooks; here a whole body is read and written at once, and
given back only if nothing in it is doubtful. Nothing is refused here: what is doubtful goes to the strict
reader.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson
import rfc8785

from lightship.core.stix.json_scan import MAX_DEPTH, MAX_INTEGER

MAX_WHOLE = 1 << 21
"""Bytes of a body that is read in one go, during which no other thread runs: some milliseconds."""
TINY = 1e-4
"""Below it ECMAScript and orjson write an exponent in different places."""
_SORTED = orjson.OPT_SORT_KEYS


class Plain(NamedTuple):
    """The other members of the object, the values of the array, and the JCS bytes of each."""

    members: dict[str, Any]
    values: list[Any]
    written: list[bytes]


def read_plain(body: bytes, member: str) -> Plain | None:
    """Return a JSON object whose `member` is an array, None where only the strict reader can tell.

    orjson takes nothing that RFC 8259 does not, but keeps the last of duplicate members and reads every
    number. Without escapes by number as many quotes are written as were read, unless a member was
    dropped.
    """
    escapes = b"\\" in body and b"\\u" in body  # one byte is found far faster than two
    if len(body) > MAX_WHOLE or body[:1] != b"{" or escapes:
        return None
    try:
        members = orjson.loads(body)
        values = members.pop(member, None)
        if not isinstance(values, list) or not values:
            return None
        beside = jcs(members)
        if beside is None or not _plain_numbers([*members.values(), values]):
            return None
        quotes = body.count(b'"') - beside.count(b'"') - 2
        written = []
        for value in values:
            one = jcs(value)
            if one is None:
                return None
            quotes -= one.count(b'"')
            written.append(one)
    except (TypeError, ValueError, RecursionError):
        return None
    return None if quotes else Plain(members, values, written)


def _plain_numbers(values: list[Any]) -> bool:
    """True if JCS writes all numbers in a value as orjson does, whatever they looked like."""
    level: list[Any] = [values]
    for one in level:
        for child in one.values() if type(one) is dict else one:
            kind = type(child)
            if kind is str:
                continue
            if kind is dict or kind is list:
                level.append(child)
            elif kind is int:
                if not -MAX_INTEGER <= child <= MAX_INTEGER:
                    return False
            elif kind is float and (child.is_integer() or not TINY <= abs(child) <= MAX_INTEGER):
                return False
    return True


def jcs(value: Any, *, exotic: bool = False) -> bytes | None:
    """Return the JCS bytes of a decoded value, None if it is too deep.

    Args:
        exotic: it has numbers that orjson writes differently.

    Raises:
        TypeError, ValueError: a lone surrogate, or deeper than orjson goes.
    """
    written = orjson.dumps(value, option=_SORTED)
    if written.count(b"{") + written.count(b"[") > MAX_DEPTH or not written.isascii():
        depth, plain = _depth_and_names([value])
        if depth > MAX_DEPTH + 1:
            return None
        return rfc8785.dumps(value) if exotic or not plain else written
    return rfc8785.dumps(value) if exotic else written


def _depth_and_names(value: Any) -> tuple[int, bool]:
    """Return how deep a value in a list is, the list being a level of its own, and whether names are ASCII.

    Its numbers are plain.
    """
    depth, plain, level = 0, True, [value]
    while level and depth <= MAX_DEPTH + 1:
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                plain = plain and "".join(one).isascii()
                below += [child for child in one.values() if isinstance(child, dict | list)]
            else:
                below += [child for child in one if isinstance(child, dict | list)]
        depth += 1
        level = below
    return depth, plain
