"""Identifiers: STIX ids (STIX 2.1 section 2.9), UUIDv4s of TAXII (section 2), slugs, collection numbers."""

from __future__ import annotations

import re
from functools import lru_cache

UNKNOWN_ID = "unknown--00000000-0000-4000-8000-000000000000"
"""Stands in a status for an item that has no usable id."""

MAX_COLLECTIONS = 2047
"""Collections a hub can ever have: the number is 11 bits of the storage key, never used again."""

_HEX = "[0-9a-f]"
_UUID = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_UUID4 = re.compile(f"{_HEX}{{8}}-{_HEX}{{4}}-4{_HEX}{{3}}-[89ab]{_HEX}{{3}}-{_HEX}{{12}}", re.ASCII)
_ANY_UUID = re.compile(_UUID, re.ASCII)
_TYPE = re.compile(r"[a-z0-9][a-z0-9-]{1,248}[a-z0-9]", re.ASCII)
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)

RESERVED_SLUGS = frozenset(
    {
        *{"taxii2", "log", "feeds", "metrics", "agreements", "audit", "witness", "healthz", "readyz"},
        *{"api", "console", "static", "schemas", "docs", "hub", "well-known", "login"},
        *{"why", "audience", "staged"},
    }
)
"""Path segments that no agreement id may take."""


def is_uuid4(text: str) -> bool:
    """True for a lower-case UUIDv4 (TAXII collection and status ids)."""
    return _UUID4.fullmatch(text) is not None


def is_stix_id(text: str) -> bool:
    """True for `type--uuid` with a UUID of any version, lower case, at most 250 + 38 characters."""
    kind, _, uuid = text.rpartition("--")
    return len(text) <= 300 and _ANY_UUID.fullmatch(uuid) is not None and _is_type(kind)


@lru_cache(maxsize=256)
def _is_type(text: str) -> bool:
    return _TYPE.fullmatch(text) is not None


def is_sha256(text: str) -> bool:
    """True for a SHA-256 in lower-case hex: a digest, a key's id, a pin."""
    try:
        return len(text) == 64 and bytes.fromhex(text).hex() == text
    except ValueError:
        return False


def is_slug(text: str) -> bool:
    """True for a lower-case name of 1 to 63 letters, digits and inner hyphens."""
    return _SLUG.fullmatch(text) is not None


def type_of(stix_id: str) -> str:
    """Return the type part of a STIX id."""
    return stix_id.partition("--")[0]
