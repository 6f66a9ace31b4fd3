"""From a stored statement to its leaf in the collection's log: the same row is always the same bytes.

Nothing is kept twice: the leaf is made when it is asked for. What does not follow from the row is not in it.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence

import orjson

from lightship.core import dsse
from lightship.core.log import leaf, statement
from lightship.core.log.merkle import leaf_hash
from lightship.core.stix.json import decode

_CHANGE = b'{"agreement":'
"""How the body of an agreement change begins; that of a publication begins with its adds."""
_ROSTER = b'{"member":'
_SUSPEND = b'{"suspend":'


def leaf_of(at: int, by: str, agreement: int, body: bytes, signatures: bytes = b"") -> bytes:
    """Return the leaf of a statement row.

    Args:
        at: its time, microseconds.  by: member, empty for the hub.
        agreement: version in force.  body: canonical JSON.
        signatures: as `encode_signatures` writes them, empty for what the hub attests.
    """
    if body.startswith(_CHANGE):
        change = decode(body)
        return leaf.agreement_change(change["agreement"], at, change["sha256"])
    if body.startswith(_ROSTER):
        change = decode(body)
        return leaf.roster_change(agreement, at, change["member"], change["roster"])
    if body.startswith(_SUSPEND):
        envelope = dsse.decode_value(decode(body)["suspend"], payload_type=leaf.SUSPENSION_TYPE)
        return leaf.suspension(agreement, at, envelope)
    return leaf.publication(agreement, at, by, envelope_of(body, signatures))


def hash_of(at: int, by: str, agreement: int, body: bytes, signatures: bytes = b"") -> bytes:
    """Return the hash of the leaf of a statement row."""
    return leaf_hash(leaf_of(at, by, agreement, body, signatures))


def envelope_of(body: bytes, signatures: bytes) -> dsse.Envelope:
    """Return the envelope of a publication's row."""
    return dsse.Envelope(statement.PAYLOAD_TYPE, body, decode_signatures(signatures))


def encode_signatures(signatures: Sequence[dsse.Signature]) -> bytes:
    """Return signatures as a row keeps them."""
    listed = dsse.as_value(dsse.Envelope("", b"", tuple(signatures)))["signatures"]
    return dsse.canonical(listed) if listed else b""


def decode_signatures(kept: bytes) -> tuple[dsse.Signature, ...]:
    """Return the signatures that a row keeps."""
    listed = orjson.loads(kept) if kept else ()
    return tuple(dsse.Signature(one["keyid"], b64decode(one["sig"])) for one in listed)
