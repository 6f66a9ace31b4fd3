"""Accept, Accept-Encoding, Content-Type and If-None-Match, read as HTTP defines them (RFC 9110 section 12).

Media types are compared as values: blanks, capitals, quotes and the order of a list do not matter, `q=0`
excludes, and the most specific range decides. TAXII 2.1 section 3.1: an Accept without a version asks for the
highest one, which is 2.1. A client that lists an older TAXII beside a good type gets the good one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from lightship.core.errors import NotAcceptable, UnsupportedMedia
from lightship.web.message import TAXII

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 # RFC 9110 section 5.6.2, nothing secret
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_RANGE = re.compile(rf"\s*({_TOKEN})/({_TOKEN})\s*((?:;.*)?)", re.DOTALL)
_PARAMETER = re.compile(rf"\s*;\s*(?:({_TOKEN})\s*=\s*({_TOKEN}|{_QUOTED}))?\s*")
_Q = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)
_ETAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_GZIP_NAMES = ("gzip", "x-gzip")
_UTF8: tuple[dict[str, str], ...] = ({}, {"charset": "utf-8"}, {"charset": "utf8"})
MAX_HEADER = 4_096
"""Bytes of one negotiation header that are looked at; a longer one agrees to nothing."""


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One element of Accept, or a Content-Type. Type, names and values are lower case, quotes taken off."""

    type: str
    subtype: str
    parameters: dict[str, str]
    q: float = 1.0


def parse_media(value: str) -> MediaRange | None:
    """Return one media range, None if it is not written as RFC 9110 section 8.3.1 says."""
    found = _RANGE.fullmatch(value)
    if found is None:
        return None
    parameters: dict[str, str] = {}
    rest, place = found[3], 0
    while place < len(rest):
        one = _PARAMETER.match(rest, place)
        if one is None:
            return None
        place = one.end()
        if one[1]:
            text = re.sub(r"\\(.)", r"\1", one[2][1:-1]) if one[2].startswith('"') else one[2]
            parameters[one[1].lower()] = text.lower()
    q = parameters.pop("q", "1")
    if not _Q.fullmatch(q):
        return None
    return MediaRange(found[1].lower(), found[2].lower(), parameters, float(q))


def check_accept(header: bytes | None) -> None:
    """Return if `application/taxii+json;version=2.1` may be sent.

    Raises:
        NotAcceptable: it may not (406); the text says what to send, and knows the usual mistakes.
    """
    if header is not None and len(header) > MAX_HEADER:
        raise _not_acceptable([])
    _check_accept(header or b"")


@lru_cache(maxsize=512)
def _check_accept(header: bytes) -> None:
    text = header.decode("latin-1")
    if not text.strip():
        return
    ranges = [one for one in (parse_media(element) for element in split_list(text)) if one]
    best, q = -1, 0.0
    for one in ranges:
        rank = _rank(one)
        if rank >= 0 and (rank > best or (rank == best and one.q > q)):
            best, q = rank, one.q
    if q <= 0:
        raise _not_acceptable(ranges)


def check_accept_json(header: bytes | None) -> None:
    """Return if `application/json` may be sent: for what TAXII has no resource for.

    Raises:
        NotAcceptable: it may not (406).
    """
    text = (header or b"")[: MAX_HEADER + 1].decode("latin-1")
    if not text.strip():
        return
    named = [parse_media(one) for one in split_list(text)] if len(text) <= MAX_HEADER else []
    ranks = {("application", "json"): 2, ("application", "*"): 1, ("*", "*"): 0}
    found = [
        (ranks[one.type, one.subtype], one.q)
        for one in named
        if one and (one.type, one.subtype) in ranks and not one.parameters.keys() - {"charset"}
    ]
    if max(found, default=(0, 0.0))[1] <= 0:
        raise NotAcceptable(
            "None of the accepted media types can be sent",
            why="This is no TAXII resource; it is answered as JSON",
            todo="Send Accept: application/json",
        )


def split_list(text: str) -> list[str]:
    """Return the elements of a comma-separated list; commas inside quotes do not separate."""
    elements, begin, quoted, escaped = [], 0, False, False
    for place, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == '"':
            quoted = not quoted
        elif quoted:
            escaped = character == "\\"
        elif character == ",":
            elements.append(text[begin:place])
            begin = place + 1
    return [*elements, text[begin:]]


def _rank(one: MediaRange) -> int:
    """Return how specifically a range names TAXII 2.1: 3 with the version to 0 for `*/*`, -1 not at all."""
    parameters = {name for name in one.parameters if name != "charset"}
    if one.type == "*" and one.subtype == "*":
        return 0 if not parameters else -1
    if one.type != "application":
        return -1
    if one.subtype == "*":
        return 1 if not parameters else -1
    if one.subtype != "taxii+json" or parameters - {"version"}:
        return -1
    version = one.parameters.get("version")
    if version is None:
        return 2
    return 3 if version == "2.1" else -1


def _not_acceptable(ranges: list[MediaRange]) -> NotAcceptable:
    named = {one.subtype for one in ranges if one.q > 0}
    if "vnd.oasis.taxii+json" in named or any(one.parameters.get("version") == "2.0" for one in ranges):
        why = "This is a TAXII 2.1 server; TAXII 2.0 is not spoken here"
    elif "stix+json" in named or "vnd.oasis.stix+json" in named:
        why = "TAXII 2.1 sends STIX content inside TAXII envelopes, never as a STIX media type"
    else:
        why = "The hub answers in TAXII's media type only"
    return NotAcceptable(
        "None of the accepted media types can be sent", why=why, todo=f"Send Accept: {TAXII}"
    )


def check_content_type(header: bytes | None) -> None:
    """Return if a posted body of this type is taken (TAXII 2.1 section 5.5, and a STIX bundle).

    Raises:
        UnsupportedMedia: it is not (415).
    """
    text = (header or b"")[: MAX_HEADER + 1].decode("latin-1")
    if len(text) > MAX_HEADER or not _is_taken(text):
        raise UnsupportedMedia(
            "The Content-Type of the body is not taken",
            why="A body is a TAXII 2.1 envelope or a STIX 2.1 bundle" if header else "There was none",
            todo=f"Send Content-Type: {TAXII}",
        )


@lru_cache(maxsize=512)
def _is_taken(text: str) -> bool:
    one = parse_media(text)
    if one is None:
        return False
    others = {name: value for name, value in one.parameters.items() if name != "version"}
    return (
        others in _UTF8
        and one.type == "application"
        and one.subtype in {"taxii+json", "stix+json"}
        and one.parameters.get("version", "2.1") == "2.1"
    )


def check_json_content_type(header: bytes | None) -> None:
    """Return if a body of this type is taken where nothing is stored: JSON, TAXII's or STIX's.

    Raises:
        UnsupportedMedia: it is not (415).
    """
    text = (header or b"")[: MAX_HEADER + 1].decode("latin-1")
    if len(text) > MAX_HEADER or not (_is_taken(text) or _is_plain_json(text)):
        raise UnsupportedMedia(
            "The Content-Type of the body is not taken",
            why="A body is a STIX object, a bundle or an envelope" if header else "There was none",
            todo="Send Content-Type: application/json",
        )


def _is_plain_json(text: str) -> bool:
    one = parse_media(text)
    return one is not None and (one.type, one.subtype) == ("application", "json") and one.parameters in _UTF8


def accepts_gzip(header: bytes | None) -> bool:
    """True if Accept-Encoding names gzip, or `*` without excluding gzip (RFC 9110 section 12.5.3)."""
    return header is not None and len(header) <= MAX_HEADER and _accepts_gzip(header)


@lru_cache(maxsize=256)
def _accepts_gzip(header: bytes) -> bool:
    found: dict[str, float] = {}
    for element in header.decode("latin-1").lower().split(","):
        name, _, rest = element.partition(";")
        weight = rest.partition("=")[2].strip() if rest.strip().startswith("q") else "1"
        found[name.strip()] = float(weight) if _Q.fullmatch(weight) else 0.0
    return any(found.get(name, 0.0) > 0 for name in _GZIP_NAMES) or (
        "gzip" not in found and found.get("*", 0.0) > 0
    )


def body_is_gzip(header: bytes | None) -> bool:
    """Return whether a posted body is gzip; absent and `identity` mean it is not.

    Raises:
        UnsupportedMedia: another Content-Encoding, or several (415).
    """
    name = (header or b"").decode("latin-1").strip().lower()
    if name in {"", "identity"}:
        return False
    if name in _GZIP_NAMES:
        return True
    raise UnsupportedMedia(
        "The Content-Encoding of the body is not taken", todo="Send the body plain, or with gzip once"
    )


def etag_matches(header: bytes | None, etag: bytes) -> bool:
    """True if If-None-Match is `*` or lists the entity tag, compared weakly (RFC 9110 section 13.1.2)."""
    if not header:
        return False
    text = header.decode("latin-1")
    return text.strip() == "*" or etag.decode("latin-1") in _ETAG.findall(text)
