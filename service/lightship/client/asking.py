"""Asking a hub about its rules and its access log: why, audience, audit search.

Beside TAXII and in plain JSON. What the hub answers is passed on as it is; it is checked to be an object
only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from lightship.client.connection import Connection
from lightship.client.errors import NotTaxii

JSON = "application/json"
PAGE = 1000


def agreement(connection: Connection, name: str) -> Mapping[str, Any]:
    """Return how an agreement stands now: status, versions, suspensions, rosters, and who asks."""
    return _object(connection.get(f"/agreements/{quote(name, safe='')}/", accept=JSON).value)


def why(
    connection: Connection, collection: str, action: str, principal: str = "", *, signed: bool = False
) -> Mapping[str, Any]:
    """Return the decision about an action on `AGREEMENT/COLLECTION`; without a principal for who asks.

    `signed`: by a statement that a publish key signed.
    """
    asked = {"action": action} | _asked(principal, signed=signed)
    return _object(connection.get(_path("why", collection), asked, accept=JSON).value)


def why_objects(
    connection: Connection,
    collection: str,
    objects: Sequence[bytes],
    principal: str = "",
    *,
    signed: bool = False,
) -> Mapping[str, Any]:
    """Return the decision about publishing each object (JSON texts); nothing is stored."""
    path = _path("why", collection) + _query(_asked(principal, signed=signed))
    return _object(connection.post(path, _envelope(objects), accept=JSON).value)


def audience(
    connection: Connection,
    collection: str,
    objects: Sequence[bytes] | None = None,
    *,
    signed: bool = False,
) -> Mapping[str, Any]:
    """Return who reads `AGREEMENT/COLLECTION`, and with objects what becomes of each; nothing is stored."""
    path = _path("audience", collection)
    if objects is None:
        return _object(connection.get(path, accept=JSON).value)
    path += _query(_asked("", signed=signed))
    return _object(connection.post(path, _envelope(objects), accept=JSON).value)


def events(
    connection: Connection, agreement: str, filters: Mapping[str, str], limit: int
) -> Iterator[Mapping[str, Any]]:
    """Yield access events, oldest first, at most `limit`; page by page, as far as they are taken.

    `filters` are those of `GET /audit/<agreement>/`, such as `member` or `since`.
    """
    asked: dict[str, str | int] = {name: value for name, value in filters.items() if value}
    while limit > 0:
        asked["limit"] = min(limit, PAGE)
        page = _object(connection.get(f"/audit/{quote(agreement, safe='')}/", asked, accept=JSON).value)
        found = page.get("events", [])
        yield from found[:limit]
        limit -= len(found)
        if not page.get("more"):
            return
        asked["next"] = str(page.get("next", ""))


def _path(noun: str, collection: str) -> str:
    return f"/{noun}/{'/'.join(quote(part, safe='') for part in collection.split('/', 1))}/"


def _asked(principal: str, *, signed: bool) -> dict[str, str]:
    return ({"principal": principal} if principal else {}) | ({"signed": "true"} if signed else {})


def _query(asked: Mapping[str, str]) -> str:
    return f"?{urlencode(asked)}" if asked else ""


def _envelope(objects: Sequence[bytes]) -> bytes:
    return b'{"objects":[' + b",".join(objects) + b"]}"


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise NotTaxii("The answer is no JSON object", todo="Give a Lightship hub's own address")
    return value
