"""Publication statements: signed or hub-attested lists of adds and withdrawals for one collection.

The payload is canonical JSON in a DSSE envelope. `hub` and `collection` keep it from being used elsewhere,
`seq` and `prev` chain what one key signed for one collection. A statement that the hub attests has no
signature, an empty `key`, `seq` 0. Reading checks the form only: no signature, no chain, no rule about what
is held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from lightship.core import dsse
from lightship.core.collection import STATEMENT_BYTES, STATEMENT_ENTRIES, WithdrawReason
from lightship.core.ids import is_stix_id, is_uuid4
from lightship.core.log import record
from lightship.core.log.record import BadRecord
from lightship.core.time import NO_INSTANT, Instant, parse_instant

PAYLOAD_TYPE = "application/vnd.lightship.publication.v1+json"
MAX_SIGNATURES = 2
MAX_SIGNATURE_BYTES = 2_420
"""The longest signature that is planned for (ML-DSA-44)."""
KIND = "statement"
_MEMBERS = ("add", "collection", "hub", "key", "prev", "seq", "withdraw")
_SIGNED_REASONS = (WithdrawReason.PUBLISHER, WithdrawReason.EXPIRED)


class Add(NamedTuple):
    """An object version that enters: `version` as written in it, `digest` hex SHA-256 of its JCS bytes."""

    id: str
    version: str
    digest: str

    @property
    def instant(self) -> Instant:
        """The version as an instant, by which versions are equal."""
        return parse_instant(self.version) if self.version else NO_INSTANT


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """An object version that leaves, and why."""

    id: str
    version: str
    reason: WithdrawReason

    @property
    def instant(self) -> Instant:
        """The version as an instant, by which versions are equal."""
        return parse_instant(self.version) if self.version else NO_INSTANT


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. Withdrawals take effect before adds, so that both in one are a replacement.

    Args:
        collection: its UUID.  hub: hex SHA-256 of the payload of the agreement's version 1.
        key: id of the key that signs, empty when the hub attests.
        seq: counts this key's logged statements in this collection from 1; 0 when the hub attests.
        prev: hex SHA-256 of the key's payload before, empty for the first and when the hub attests.
    """

    collection: str
    hub: str
    key: str = ""
    seq: int = 0
    prev: str = ""
    add: tuple[Add, ...] = ()
    withdraw: tuple[Withdrawal, ...] = ()

    @property
    def size(self) -> int:
        """Entries, and so the stamps that it takes."""
        return len(self.add) + len(self.withdraw)

    def payload(self) -> bytes:
        """Return its canonical JSON; with ASCII names and small integers orjson writes what RFC 8785 says."""
        return orjson.dumps(
            {
                "add": [(one.id, one.version, one.digest) for one in self.add],
                "collection": self.collection,
                "hub": self.hub,
                "key": self.key,
                "prev": self.prev,
                "seq": self.seq,
                "withdraw": [(one.id, one.version, one.reason.value) for one in self.withdraw],
            }
        )


def sign(statement: Statement, signer: Callable[[bytes], bytes]) -> dsse.Envelope:
    """Return a statement in its envelope, signed.

    Raises:
        BadRecord: it cannot be logged as it is; nothing is signed then.
    """
    payload = statement.payload()
    read_payload(payload)
    signature = signer(dsse.pae(PAYLOAD_TYPE, payload))
    return dsse.Envelope(PAYLOAD_TYPE, payload, (dsse.Signature(statement.key, signature),))


def attested(payload: bytes) -> dsse.Envelope:
    """Return the envelope of a statement that the hub attests."""
    return dsse.Envelope(PAYLOAD_TYPE, payload, ())


def digest_of(payload: bytes) -> str:
    """Return what the key's next statement names as `prev`."""
    return hashlib.sha256(payload).hexdigest()


def read_envelope(value: Any, *, signed: bool) -> tuple[dsse.Envelope, Statement]:
    """Return the envelope in a strictly read JSON value, and the statement in it. Nothing is verified.

    Args:
        value: the envelope.
        signed: whether a publisher must have signed it; else the hub may have attested it.

    Raises:
        BadRecord: it has not the form of a statement.
    """
    opened = record.envelope(KIND, "publication", value, PAYLOAD_TYPE, 1 if signed else 0, MAX_SIGNATURES)
    for at, one in enumerate(opened.signatures):
        if len(one.keyid) > 64 or not one.keyid.isascii():
            raise BadRecord(KIND, f"signatures[{at}].keyid", "is longer than 64 characters, or not ASCII")
        if not 1 <= len(one.sig) <= MAX_SIGNATURE_BYTES:
            raise BadRecord(KIND, f"signatures[{at}].sig", f"has not 1 to {MAX_SIGNATURE_BYTES} bytes")
    found = read_payload(opened.payload)
    if bool(found.key) != bool(opened.signatures):
        raise BadRecord(KIND, "key", "and the signatures must both be there, or neither")
    return opened, found


def read_payload(payload: bytes) -> Statement:
    """Return the statement in a payload.

    Raises:
        BadRecord: it is not canonical, or a field cannot be used.
    """
    value = record.members(KIND, record.read_canonical(KIND, payload, STATEMENT_BYTES), _MEMBERS)
    collection, seq = value["collection"], record.number(KIND, "seq", value["seq"])
    if not isinstance(collection, str) or not is_uuid4(collection):
        raise BadRecord(KIND, "collection", "must be a lower-case UUIDv4")
    hub = record.sha256(KIND, "hub", value["hub"])
    key = record.sha256(KIND, "key", value["key"], empty=True)
    prev = record.sha256(KIND, "prev", value["prev"], empty=True)
    if bool(key) != (seq > 0):
        raise BadRecord(KIND, "seq", "must be 0 without a key, and 1 or more with one")
    if bool(prev) != (seq > 1):
        raise BadRecord(KIND, "prev", "must be empty for the first statement of a key, and for it only")
    add = tuple(_adds(record.array(KIND, "add", value["add"], STATEMENT_ENTRIES)))
    withdraw = tuple(_withdrawals(record.array(KIND, "withdraw", value["withdraw"], STATEMENT_ENTRIES), key))
    found = Statement(collection, hub, key, seq, prev, add, withdraw)
    if not 1 <= found.size <= STATEMENT_ENTRIES:
        raise BadRecord(KIND, "add", f"and `withdraw` must have 1 to {STATEMENT_ENTRIES} entries together")
    if len({one.id for one in add}) + len({one.id for one in withdraw}) != found.size or withdraw:
        named = {(one.id, one.instant) for one in add} | {(one.id, one.instant) for one in withdraw}
        if len(named) != found.size:
            raise BadRecord(KIND, "add", "and `withdraw` name an object version twice")
    return found


def _adds(entries: Sequence[Any]) -> Iterator[Add]:
    for at, entry in enumerate(entries):
        _, _, digest = _entry("add", at, entry)
        if not record.is_sha256(digest):
            record.sha256(KIND, f"add[{at}]", digest)
        yield Add._make(entry)


def _withdrawals(entries: Sequence[Any], key: str) -> Iterator[Withdrawal]:
    for at, entry in enumerate(entries):
        object_id, version, reason = _entry("withdraw", at, entry)
        known = _SIGNED_REASONS if key else tuple(WithdrawReason)
        if reason not in known:
            raise BadRecord(KIND, f"withdraw[{at}]", f"must have a reason: {', '.join(known)}")
        yield Withdrawal(object_id, version, WithdrawReason(reason))


def _entry(member: str, at: int, entry: Any) -> tuple[str, str, Any]:
    if not isinstance(entry, list) or len(entry) != 3:
        raise BadRecord(KIND, f"{member}[{at}]", "must be a list of three texts")
    object_id, version, last = entry
    if not isinstance(object_id, str) or not is_stix_id(object_id):
        raise BadRecord(KIND, f"{member}[{at}]", "must begin with a STIX id")
    try:
        if version != "":
            parse_instant(version)
    except (ValueError, TypeError):
        why = "must have a UTC timestamp or an empty text for its version"
        raise BadRecord(KIND, f"{member}[{at}]", why) from None
    return object_id, version, last
