"""Time as values: microseconds since the Unix epoch, and exact STIX instants.

TAXII 2.1 section 2 (timestamps sent by a server carry six digits and Z), STIX 2.1 section 3.13.
Never reads a clock.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NewType

from lightship.core.errors import MalformedRequest

Micros = NewType("Micros", int)
"""Microseconds since 1970-01-01T00:00:00Z."""

Instant = NewType("Instant", str)
"""A STIX timestamp reduced to its instant: `YYYY-MM-DDTHH:MM:SS[.fraction]`, trailing zeros and Z cut.

Any number of digits is kept, and text order is time order. The empty instant is the version of
objects that have neither `modified` nor `created` (observables)."""

NO_INSTANT = Instant("")
MAX_MICROS = Micros((1 << 52) - 1)
"""The last stamp that a storage key holds: 2112-09-17T23:53:47.370495Z."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_START = _EPOCH.replace(tzinfo=None)
_MICRO = timedelta(microseconds=1)
_STAMP = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,64}))?Z", re.ASCII)


def format_stamp(micros: int) -> str:
    """Return `micros` as RFC 3339 UTC with six digits and Z (TAXII 2.1 section 2)."""
    return (_START + timedelta(microseconds=micros)).isoformat(timespec="microseconds") + "Z"


@lru_cache(maxsize=4096)
def parse_instant(text: str) -> Instant:
    """Return the instant of a STIX timestamp.

    Raises:
        ValueError: not `YYYY-MM-DDTHH:MM:SS[.f…]Z`, or a date that does not exist.
    """
    match = _STAMP.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 timestamp in UTC that ends in Z")
    whole, fraction = match.groups()
    datetime.fromisoformat(whole)  # ValueError for 30 February, month 13, hour 24, second 60
    fraction = (fraction or "").rstrip("0")
    return Instant(f"{whole}.{fraction}" if fraction else whole)


def instant_micros(instant: Instant) -> Micros:
    """Return an instant in microseconds, finer digits cut; may be negative before 1970."""
    whole, _, fraction = instant.partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return Micros((moment - _EPOCH) // _MICRO + int(fraction[:6].ljust(6, "0") or 0))


def parse_added_after(text: str) -> Micros:
    """Return a TAXII `added_after` (no fraction or 1 to 9 digits, cut beyond six), clamped to 0..MAX.

    Raises:
        MalformedRequest: anything else (TAXII 2.1 section 3.4).
    """
    try:
        instant = parse_instant(text)
        if len(text) > 30:
            raise ValueError("more than nine fractional digits")
    except ValueError as error:
        raise MalformedRequest(
            "added_after is not a timestamp",
            why=str(error),
            todo="Send it as 2026-04-01T12:00:00.000000Z",
        ) from None
    return Micros(min(max(instant_micros(instant), 0), MAX_MICROS))
