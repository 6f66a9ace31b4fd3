"""DSSE envelopes (secure-systems-lab/dsse, protocol v1.0): exact bytes in, payload and signatures out.

Stricter than DSSE where DSSE leaves a choice: exactly its members, standard base64 in canonical form, a
bounded number of signatures, the payload type given by the reader and never taken from the envelope. What
is verified is the pre-authentication encoding, never the JSON. Does no cryptography and trusts nothing it
reads; `keyid` is a hint (DSSE says so).
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Any

import rfc8785

from lightship.core.errors import CallerError

MAX_ENVELOPE = 8 * 1024 * 1024
MAX_SIGNATURES = 32


class BadEnvelope(CallerError):
    """It is no DSSE envelope, or not in the one form that is taken."""

    code = "bad-envelope"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature; `keyid` is only a hint where to look."""

    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A decoded envelope. Nothing in it has been verified."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    @property
    def signed_bytes(self) -> bytes:
        """What the signatures are over."""
        return pae(self.payload_type, self.payload)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding: lengths are bytes, written in decimal ASCII."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(public: bytes) -> str:
    """Return a key's id: hex SHA-256 of the raw public key."""
    return hashlib.sha256(public).hexdigest()


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 (JCS) bytes of a JSON value.

    Raises:
        ValueError: it holds something that JCS cannot write (NaN, an integer beyond 2^53-1).
    """
    return rfc8785.dumps(value)


def as_value(envelope: Envelope) -> dict[str, Any]:
    """Return an envelope as a JSON value."""
    return {
        "payload": b64encode(envelope.payload).decode(),
        "payloadType": envelope.payload_type,
        "signatures": [
            {"keyid": one.keyid, "sig": b64encode(one.sig).decode()} for one in envelope.signatures
        ],
    }


def encode(envelope: Envelope) -> bytes:
    """Return an envelope as canonical JSON."""
    return canonical(as_value(envelope))


def decode(data: bytes, *, payload_type: str) -> Envelope:
    """Return the envelope in `data`, unverified.

    Raises:
        BadEnvelope: no JSON, other members, another payload type, base64 that is not canonical.
    """
    if len(data) > MAX_ENVELOPE:
        raise BadEnvelope("The envelope is too large", why=f"more than {MAX_ENVELOPE} bytes")
    return decode_value(_parse(data), payload_type=payload_type)


def decode_value(value: Any, *, payload_type: str, least: int = 1, most: int = MAX_SIGNATURES) -> Envelope:
    """Return the envelope in a JSON value that was read strictly; unverified too.

    Args:
        value: the envelope's JSON.
        payload_type: the kind that is taken.
        least, most: how many signatures it may have.

    Raises:
        BadEnvelope: as `decode`.
    """
    outer = _members(value, {"payload", "payloadType", "signatures"})
    if outer["payloadType"] != payload_type:
        raise BadEnvelope("The envelope is of another kind", why=f"payloadType is not {payload_type}")
    listed = outer["signatures"]
    if not isinstance(listed, list) or not least <= len(listed) <= most:
        raise BadEnvelope("The envelope has no usable signatures", why=f"signatures: need {least} to {most}")
    signatures = []
    for one in listed:
        inner = _members(one, {"keyid", "sig"})
        if not isinstance(inner["keyid"], str):
            raise BadEnvelope("The envelope cannot be used", why="a keyid is not a string")
        signatures.append(Signature(inner["keyid"], _base64(inner["sig"])))
    return Envelope(payload_type, _base64(outer["payload"]), tuple(signatures))


def parse_canonical(payload: bytes) -> dict[str, Any]:
    """Return the object in `payload`, which must be its own JCS form (so duplicates cannot hide).

    Raises:
        BadEnvelope: it is not.
    """
    value = _parse(payload)
    try:
        same = canonical(value) == payload
    except (ValueError, RecursionError):
        same = False
    if not same or not isinstance(value, dict):
        raise BadEnvelope("The payload is not canonical JSON", why="it differs from its RFC 8785 form")
    return value


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError):
        raise BadEnvelope("The envelope cannot be used", why="it is not strict JSON in UTF-8") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate members")
    return found


def _members(value: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise BadEnvelope(
            "The envelope cannot be used", why=f"it must have exactly the members {', '.join(sorted(names))}"
        )
    return value


def _base64(text: Any) -> bytes:
    """Standard alphabet, padded, and the only spelling of its bytes."""
    try:
        raw = b64decode(text.encode("ascii"), validate=True)
    except (AttributeError, UnicodeEncodeError, Base64Error, ValueError):
        raw = None
    if raw is None or b64encode(raw).decode() != text:
        raise BadEnvelope("The envelope cannot be used", why="it holds base64 that is not canonical")
    return raw
