"""What each key of an agreement may hold: one small check a kind of value.

A check takes the value as JSON has it and returns what is wrong with it, in words, or nothing. Values are
repeated in a complaint only where they are short words; keys and long texts never are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from lightship.core.agreement.chain import read_key_text
from lightship.core.collection import LEVELS
from lightship.core.ids import RESERVED_SLUGS, is_slug, is_stix_id, is_uuid4
from lightship.core.time import Micros

Check = Callable[[Any], str]

ROLES: Final = ("publisher", "consumer", "auditor", "joint-auditor", "approver")
GROUPS: Final = (
    *("port-authority", "marine-terminal", "shipping-line", "drayage", "railroad", "labor", "cargo-owner"),
    *("pilot-tug", "vts", "customs-government", "supplier", "chassis-provider"),
)
RESERVED_MEMBERS: Final = frozenset({"all", "hub", "steward", "system", "none", "any"})
"""Words that mean something else where a member's name can stand."""
MOST_WITHDRAWN: Final = 10_000
"""Objects of one collection that one change may withdraw."""

_LOCODE = re.compile(r"[A-Z]{2}[A-Z2-9]{3}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_SPAN = re.compile(r"([1-9]\d{0,4}) (second|minute|hour|day)s?", re.ASCII)
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text(limit: int) -> Check:
    """One to `limit` characters, none of them a control character."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            return "it must be a text in quotes"
        if not value.strip() or len(value) > limit:
            return f"it must have 1 to {limit} characters"
        return "" if all(c.isprintable() or c == "\n" for c in value) else "it holds control characters"

    return check


def whole(low: int, high: int) -> Check:
    """A whole number within bounds."""

    def check(value: Any) -> str:
        ok = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return "" if ok else f"it must be a whole number from {low} to {high}"

    return check


def flag(value: Any) -> str:
    """True or false."""
    return "" if isinstance(value, bool) else "it must be true or false"


def one_of(words: Iterable[str]) -> Check:
    """One of a few words."""
    known = tuple(words)

    def check(value: Any) -> str:
        if isinstance(value, str) and value in known:
            return ""
        return f"it must be one of {', '.join(known)}"

    return check


def many(inner: Check, what: str, *, least: int = 0, most: int = 1_000) -> Check:
    """A list without repeats, each entry good."""

    def check(value: Any) -> str:
        if not isinstance(value, list) or len(value) < least:
            return f"it must be a list of {what}" + (f", at least {least}" if least else "")
        if len(value) > most:
            return f"it has {len(value)} {what}; at most {most} are taken"
        wrong = next((said for said in map(inner, value) if said), "")
        if wrong:
            return f"it must be a list of {what}: {wrong}"
        return "" if len(set(value)) == len(value) else "it names something twice"

    return check


def either(word: str, inner: Check) -> Check:
    """A certain word, or what `inner` takes."""

    def check(value: Any) -> str:
        if value == word:
            return ""
        return f'{inner(value)}, or "{word}"' if inner(value) else ""

    return check


def agreement_id(value: Any) -> str:
    """A slug that can be an API root."""
    if said := slug(value):
        return said
    return f"`{value}` is a reserved name of the hub" if value in RESERVED_SLUGS else ""


def slug(value: Any) -> str:
    """A lower-case name."""
    ok = isinstance(value, str) and is_slug(value)
    return "" if ok else "it must be 1 to 63 lower-case letters, digits and inner hyphens"


def stix_identity(value: Any) -> str:
    """The id of a STIX identity."""
    ok = isinstance(value, str) and value.startswith("identity--") and is_stix_id(value)
    return "" if ok else "each must be an identity id, identity--<uuid>"


def object_id(value: Any) -> str:
    """The id of a STIX object."""
    ok = isinstance(value, str) and is_stix_id(value)
    return "" if ok else "each must be the id of an object, <type>--<uuid>"


def uuid4(value: Any) -> str:
    """A collection id (TAXII 2.1 section 2)."""
    return "" if isinstance(value, str) and is_uuid4(value) else "it must be a lower-case UUIDv4"


def locode(value: Any) -> str:
    """A UN/LOCODE."""
    if isinstance(value, str) and _LOCODE.fullmatch(value):
        return ""
    return "a UN/LOCODE is two letters for the country and three letters or digits 2-9, such as USLAX"


def country(value: Any) -> str:
    """An ISO 3166 alpha-2 code."""
    ok = isinstance(value, str) and _COUNTRY.fullmatch(value)
    return "" if ok else "it must be two capital letters (ISO 3166), such as US"


def public_key(value: Any) -> str:
    """`ed25519:` and base64 of 32 bytes."""
    ok = isinstance(value, str) and read_key_text(value) is not None
    return "" if ok else "it must be a public key, ed25519:<base64 of 32 bytes>"


def title(value: Any) -> str:
    """A collection's title, which some clients use as `api_root.title`."""
    if said := text(200)(value):
        return said
    return "it must not hold a dot: clients name a collection as `root.title`" if "." in value else ""


level: Check = one_of(LEVELS)


def moment(value: Any) -> str:
    """A date, or a UTC time."""
    return "" if read_moment(value, end=False) is not None else "it must be a date, such as 2027-12-31"


def span(value: Any) -> str:
    """A length of time in words, or off."""
    if value == "off":
        return ""
    seconds = read_span(value)
    ok = seconds is not None and seconds <= 30 * 86_400
    return "" if ok else 'it must be a time such as "10 minutes", at most "30 days", or "off"'


def read_moment(value: Any, *, end: bool) -> Micros | None:
    """Return a date's first moment (or, with `end`, the one after its last) in UTC; None if it is no date."""
    if not isinstance(value, str):
        return None
    try:
        if _MOMENT.fullmatch(value):
            when = datetime.fromisoformat(value)
        else:
            if not _DATE.fullmatch(value):
                return None
            when = datetime.combine(date.fromisoformat(value), datetime.min.time(), UTC)
            when += timedelta(days=1 if end else 0)
    except (ValueError, OverflowError):
        return None
    return Micros((when - _EPOCH) // timedelta(microseconds=1))


def read_span(value: Any) -> int | None:
    """Return a length of time in seconds, None if it is none."""
    match = _SPAN.fullmatch(value) if isinstance(value, str) else None
    return int(match[1]) * _SECONDS[match[2]] if match else None


Fields = Mapping[str, Check]

_SLUGS = many(slug, "member names")

AGREEMENT: Final[Fields] = {
    "id": agreement_id,
    "title": text(200),
    "purpose": text(2000),
    "legal_basis": text(500),
    "not_before": moment,
    "not_after": moment,
    "ended": flag,
    "parties": many(slug, "member names", least=1),
    "witnesses": many(text(200), "witness keys", most=32),
    "quorum": whole(0, 32),
}
AUTHORITY: Final[Fields] = {"threshold": whole(1, 32)}
AUDIT: Final[Fields] = {"retention_days": whole(730, 36_500), "auditors": _SLUGS}
MEMBER: Final[Fields] = {
    "name": text(200),
    "unlocode": locode,
    "country": country,
    "group": one_of(GROUPS),
    "roles": many(one_of(ROLES), "roles", least=1),
    "identities": many(stix_identity, "identity ids", least=1),
    "admin_key": public_key,
}
COLLECTION: Final[Fields] = {
    "id": uuid4,
    "title": title,
    "description": text(2000),
    "ceiling": level,
    "audience": either("all", many(slug, "member names", least=1)),
    "publishers": either("all", many(slug, "member names", least=1)),
    "require_signature": flag,
    "require_certificate_to_write": flag,
    "tokens": one_of(("steward", "member")),
    "retention_days": whole(1, 36_500),
    "max_age_s": whole(1, 31_536_000),
    "unmarked": one_of(("refuse", *LEVELS)),
    "authors": lambda value: (
        many(stix_identity, "identity ids", least=1)(value)
        if isinstance(value, list)
        else one_of(("not-others", "own", "any", "a list of identity ids"))(value)
    ),
    "validation": one_of(("strict", "lenient")),
    "custom_objects": flag,
    "max_future": span,
    "max_objects": whole(1, 1_000_000_000),
    "max_bytes": whole(1, 2**50),
    "red": one_of(("named", "audience")),
    "ssi": one_of(("refuse", "named")),
    "withdraw": many(object_id, "object ids", least=1, most=MOST_WITHDRAWN),
}
REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "agreement": ("id", "title"),
    "member": ("name", "unlocode", "group", "roles", "identities"),
    "collection": ("id", "title", "ceiling"),
}
