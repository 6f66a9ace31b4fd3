"""Small translations between rows and values that reader and writer share."""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import blake2b

import orjson

from lightship.core.audit import AccessEvent


def idhash(collection: int, object_id: str) -> int:
    """Return the signed 64-bit hash under which an object id is indexed; ids are compared as well."""
    data = collection.to_bytes(2, "big") + object_id.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big", signed=True)


def encode_event(event: AccessEvent) -> bytes:
    """Return an event as JSON; a query with lone surrogates (hostile, but logged) is kept by escapes."""
    try:
        return orjson.dumps(event)
    except TypeError:
        return json.dumps(asdict(event)).encode("ascii")


def decode_event(body: bytes) -> AccessEvent:
    """Return the event that `encode_event` wrote."""
    return AccessEvent(**json.loads(body))
