"""From a stored statement to its leaf in the collection's log: the same row is always the same bytes.

Nothing is kept twice: the leaf is made when it is asked for. What does not follow from the row is not in it.
"""

from __future__ import annotations

from lightship.core import dsse
from lightship.core.log import leaf, statement
from lightship.core.log.merkle import leaf_hash
from lightship.core.stix.json import decode

_CHANGE = b'{"agreement":'
"""How the body of an agreement change begins; that of a publication begins with its adds."""
_SUSPEND = b'{"suspend":'


def leaf_of(at: int, by: str, agreement: int, body: bytes) -> bytes:
    """Return the leaf of a statement row.

    Args:
        at: its time, microseconds.  by: member, empty for the hub.
        agreement: version in force.  body: canonical JSON.
    """
    if body.startswith(_CHANGE):
        change = decode(body)
        return leaf.agreement_change(change["agreement"], at, change["sha256"])
    if body.startswith(_SUSPEND):
        envelope = dsse.decode_value(decode(body)["suspend"], payload_type=leaf.SUSPENSION_TYPE)
        return leaf.suspension(agreement, at, envelope)
    return leaf.publication(agreement, at, by, statement.attested(body))


def hash_of(at: int, by: str, agreement: int, body: bytes) -> bytes:
    """Return the hash of the leaf of a statement row."""
    return leaf_hash(leaf_of(at, by, agreement, body))
