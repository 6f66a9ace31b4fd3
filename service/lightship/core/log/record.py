"""Reading what is logged and signed: canonical JSON (RFC 8785) with exactly the members of its form.

Statements, leaves and rosters are read with these checks, so that every refusal names the kind and the field.
Verifies no signature and no hash.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from lightship.core import dsse, ids
from lightship.core.errors import CallerError, MalformedRequest
from lightship.core.stix.json import canonical, decode

MOST_NUMBER = 2**53 - 1


class BadRecord(CallerError):
    """It does not have the form that its kind must have; `field` says where."""

    code = "bad-record"

    def __init__(self, kind: str, field: str, why: str) -> None:
        super().__init__(
            f"The {kind} cannot be used", why=f"`{field}` {why}", details={"kind": kind, "field": field}
        )
        self.kind = kind
        self.field = field


def read_canonical(kind: str, data: bytes, most: int) -> dict[str, Any]:
    """Return the JSON object in `data`, which must be its own RFC 8785 form, at most `most` bytes.

    Raises:
        BadRecord: it is not.
    """
    if len(data) > most:
        raise BadRecord(kind, "bytes", f"are {len(data)}, more than {most}")
    value = _at_once(data)
    if value is not None:
        return value
    try:
        value = decode(data)
        same = canonical(value) == data
    except MalformedRequest as error:
        raise BadRecord(kind, "JSON", f"is not strict: {error.title} ({error.why})") from None
    except ValueError:
        same = False
    if not isinstance(value, dict):
        raise BadRecord(kind, "JSON", "is no object")
    if not same:
        raise BadRecord(kind, "JSON", "differs from its RFC 8785 form")
    return value


def _at_once(data: bytes) -> dict[str, Any] | None:
    """Return the object in ASCII bytes that orjson writes again as they are, else None.

    Such bytes hold no duplicate member, no second spelling of anything and no other order of members. Numbers
    that JCS would write in another way are no small integers, and so of no field of any form here.
    """
    try:
        value = orjson.loads(data)
        same = data.isascii() and orjson.dumps(value, option=orjson.OPT_SORT_KEYS) == data
    except (orjson.JSONDecodeError, TypeError):
        return None
    return value if same and isinstance(value, dict) else None


def members(kind: str, value: Any, names: Collection[str], field: str = "JSON") -> dict[str, Any]:
    """Return an object that has exactly these members."""
    if not isinstance(value, dict):
        raise BadRecord(kind, field, "is no object")
    for name in names:
        if name not in value:
            raise BadRecord(kind, name if field == "JSON" else f"{field}.{name}", "is missing")
    for name in value:
        if name not in names:
            raise BadRecord(kind, field, f"has a member that is not known: {name[:60]!a}")
    return value


def text(kind: str, field: str, value: Any, most: int = 400) -> str:
    """Return a string of at most `most` characters."""
    if not isinstance(value, str) or len(value) > most:
        raise BadRecord(kind, field, f"must be a text of at most {most} characters")
    return value


def slug(kind: str, field: str, value: Any, *, empty: bool = False) -> str:
    """Return a member's or agreement's name."""
    if not isinstance(value, str) or not (ids.is_slug(value) or (empty and not value)):
        raise BadRecord(kind, field, "must be a name: lower-case letters, digits and inner hyphens")
    return value


def is_sha256(value: Any) -> bool:
    """True for a SHA-256 in lower-case hex."""
    return isinstance(value, str) and ids.is_sha256(value)


def sha256(kind: str, field: str, value: Any, *, empty: bool = False) -> str:
    """Return a SHA-256 in lower-case hex."""
    if not isinstance(value, str) or not (is_sha256(value) or (empty and not value)):
        raise BadRecord(kind, field, "must be a SHA-256 in 64 lower-case hex digits")
    return value


def number(kind: str, field: str, value: Any, least: int = 0, most: int = MOST_NUMBER) -> int:
    """Return a whole number within bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadRecord(kind, field, f"must be a whole number from {least} to {most}")
    return value


def array(kind: str, field: str, value: Any, most: int) -> list[Any]:
    """Return a list of at most `most` items."""
    if not isinstance(value, list) or len(value) > most:
        raise BadRecord(kind, field, f"must be a list of at most {most}")
    return value


def envelope(kind: str, field: str, value: Any, payload_type: str, least: int, most: int) -> dsse.Envelope:
    """Return the DSSE envelope in a JSON value, unverified."""
    try:
        return dsse.decode_value(value, payload_type=payload_type, least=least, most=most)
    except dsse.BadEnvelope as error:
        raise BadRecord(kind, field, f"is no such envelope: {error.why or error.title}") from None
