"""The `next` token: stateless, authenticated, good for ever (TAXII 2.1 section 3.5).

A token carries the collection, the endpoint, the canonical filters and the stamp of the last row given out,
under an HMAC-SHA256 (RFC 2104, cut to 16 bytes) with the hub's cursor key. So it can be used again, by any
process of the hub, after any time; `limit` stays free. It holds nothing secret and grants nothing: the rights
are decided on every request. It never carries an offset.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any

from lightship.core.errors import MalformedRequest
from lightship.core.query import Asked, Endpoint, Filters, Versions
from lightship.core.time import Instant, Micros

MAC_BYTES = 16
MAX_TOKEN = 65_536
"""Longest token text that is looked at, and longest payload after unpacking."""
PACK_ABOVE = 160
_PLAIN, _PACKED = b"\x01", b"\x02"
_DOMAIN = b"lightship next v1\0"
_TEXT = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
FROM_START = Micros(-1)


@dataclass(frozen=True, slots=True)
class Token:
    """What a `next` says: go on in `collection` after the stamp `after`, with these filters."""

    collection: str
    endpoint: Endpoint
    filters: Filters
    after: Micros


def write_token(key: bytes, token: Token) -> str:
    """Return the token's text, which is safe in a URL without escapes."""
    body = _payload(token)
    kind = _PLAIN
    if len(body) > PACK_ABOVE:
        packed = zlib.compress(body, 9)
        if len(packed) < len(body):
            kind, body = _PACKED, packed
    return base64.urlsafe_b64encode(kind + _mac(key, kind, body) + body).rstrip(b"=").decode("ascii")


def read_token(key: bytes, text: str) -> Token:
    """Return what a token says, after checking that this hub made it.

    Raises:
        MalformedRequest: this hub never gave it out.
    """
    if len(text) > MAX_TOKEN or not _TEXT.fullmatch(text) or len(text) % 4 == 1:
        raise _never_given_out()
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != text.encode("ascii"):
        raise _never_given_out()  # one token has one text
    kind, mac, body = raw[:1], raw[1 : 1 + MAC_BYTES], raw[1 + MAC_BYTES :]
    if not hmac.compare_digest(mac, _mac(key, kind, body)):
        raise _never_given_out()
    if kind == _PACKED:
        body = zlib.decompressobj().decompress(body, MAX_TOKEN)
    return _token(json.loads(body))


def resume(token: Token, asked: Asked, collection: str, endpoint: Endpoint) -> tuple[Filters, Micros]:
    """Return the filters and the place to go on from, for a request that came with a token.

    The token's filters count. An `added_after` sent along counts too: the later of both. A token of another
    collection of this hub starts this one over, since a client that carries one along has seen nothing here.

    Raises:
        MalformedRequest: the token is of another endpoint or object, or a match field disagrees with it.
    """
    if token.endpoint is not endpoint:
        raise _never_given_out()
    if endpoint in {Endpoint.OBJECT, Endpoint.VERSIONS} and token.filters.ids != asked.filters.ids:
        raise _never_given_out()
    for field in sorted(asked.given):
        if _field(token.filters, field) != _field(asked.filters, field):
            raise MalformedRequest(
                f"match[{field}] is not what next was given out for",
                why="next carries the filters of its first page",
                todo="Leave out next to start over with other filters, or leave out the match fields",
            )
    after = token.after if token.collection == collection else FROM_START
    if asked.added_after is not None and asked.added_after > after:
        after = asked.added_after
    return token.filters, after


def _field(filters: Filters, field: str) -> object:
    match field:
        case "id":
            return filters.ids
        case "type":
            return filters.types
        case "version":
            return filters.versions
        case _:
            return filters.spec_versions


def _never_given_out() -> MalformedRequest:
    return MalformedRequest(
        "next is no token that was given out here", todo="Leave out next to start over from added_after"
    )


def _mac(key: bytes, kind: bytes, body: bytes) -> bytes:
    return hmac.digest(key, _DOMAIN + kind + body, "sha256")[:MAC_BYTES]


def _payload(token: Token) -> bytes:
    filters, versions = token.filters, token.filters.versions
    picks = [versions.last, versions.first, versions.every, *sorted(versions.instants)]
    parts: list[object] = [token.collection, token.endpoint.value, token.after]
    if filters != Filters():
        parts += [filters.ids, filters.types, filters.spec_versions, picks]
    return json.dumps(parts, separators=(",", ":")).encode("ascii")


def _token(parts: list[Any]) -> Token:
    filters = Filters()
    if len(parts) > 3:
        last, first, every, *instants = parts[6]
        filters = Filters(
            ids=tuple(parts[3]),
            types=tuple(parts[4]),
            spec_versions=tuple(parts[5]),
            versions=Versions(last, first, every, frozenset(Instant(one) for one in instants)),
        )
    return Token(parts[0], Endpoint(parts[1]), filters, Micros(parts[2]))
