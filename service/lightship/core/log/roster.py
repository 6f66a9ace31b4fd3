"""Rosters: a member's own signed list of its client keys, tokens and publish keys, numbered and chained.

Signed with the member's admin key, which the agreement names. A roster can only use rights that the
agreement grants. A key once revoked stays revoked, whatever a later roster says, and belongs to the member
that listed it first. Which roster was in force is decided by its leaf's place in a log, never by a clock.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lightship.core import dsse
from lightship.core.agreement.chain import Verify
from lightship.core.errors import CallerError
from lightship.core.log import record
from lightship.core.log.record import BadRecord
from lightship.core.stix.json import decode

PAYLOAD_TYPE = "application/vnd.lightship.roster.v1+json"
MAX_ROSTER = 256 * 1024
MAX_LISTED = 1_000
KIND = "roster"
EVERYWHERE = "*"
"""Stands for every log of the agreement that `distrust_from` does not name by itself."""
_MEMBERS = ("agreement", "clients", "hub", "keys", "member", "prev", "tokens", "version")


class BadRoster(CallerError):
    """A roster does not follow from the one before, or the member's admin key did not sign it."""

    code = "bad-roster"


@dataclass(frozen=True, slots=True)
class Revoked:
    """Why a publish key is revoked, and from which leaf of which log (by origin) it is distrusted.

    What the key added from there on, and is live, leaves when the roster takes effect. A later roster may
    reach further back; nothing that has left comes back by one that reaches less far.
    """

    reason: str
    distrust_from: Mapping[str, int] = field(default_factory=dict)

    def first_in(self, origin: str) -> int | None:
        """Return the leaf from which the key is distrusted in a log, None if it is not there."""
        return self.distrust_from.get(origin, self.distrust_from.get(EVERYWHERE))

    def check(self, sizes: Mapping[str, int]) -> None:
        """Compare what it names with the logs there are.

        Args:
            sizes: origin -> entries, of all logs of the agreement.

        Raises:
            BadRoster: it names a log that there is not, or an entry behind the end of one.
        """
        for origin, index in self.distrust_from.items():
            if origin == EVERYWHERE:
                behind = [one for one, size in sizes.items() if index >= size]
            elif origin in sizes:
                behind = [origin] if index >= sizes[origin] else []
            else:
                raise BadRoster(
                    "The roster is refused",
                    why=f"it distrusts a key in the log {origin}, which is none of this agreement",
                    todo=f"Its logs are: {', '.join(sorted(sizes)) or 'none yet'}",
                )
            if behind:
                log, last = behind[0], sizes[behind[0]] - 1
                raise BadRoster(
                    "The roster is refused",
                    why=f"it distrusts a key from entry {index} of {log} on, whose last one is {last}",
                    todo="Name an entry that is there (`lightship roster trace`), or leave this log out",
                )


@dataclass(frozen=True, slots=True)
class PublishKey:
    """A publish key: raw Ed25519, and its revocation if it has one."""

    public: bytes
    revoked: Revoked | None = None


@dataclass(frozen=True, slots=True)
class Roster:
    """One version of a member's roster.

    Args:
        agreement: its id.  hub: hex SHA-256 of the payload of the agreement's version 1.
        version: from 1.  prev: hex SHA-256 of the payload before, empty for the first.
        keys: key id -> publish key, revoked ones too.
        clients: SPKI pins (hex SHA-256) of client certificates.  tokens: ids of credentials.
    """

    agreement: str
    hub: str
    member: str
    version: int
    prev: str
    keys: Mapping[str, PublishKey]
    clients: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()

    def payload(self) -> bytes:
        """Return its canonical JSON."""
        return dsse.canonical(
            {
                "agreement": self.agreement,
                "clients": list(self.clients),
                "hub": self.hub,
                "keys": {keyid: _key_value(one) for keyid, one in self.keys.items()},
                "member": self.member,
                "prev": self.prev,
                "tokens": list(self.tokens),
                "version": self.version,
            }
        )


def sign(roster: Roster, keyid: str, signer: Callable[[bytes], bytes]) -> dsse.Envelope:
    """Return a roster in its envelope, signed with an admin key.

    Raises:
        BadRecord: it would not be read.
    """
    payload = roster.payload()
    read_payload(payload)
    signature = signer(dsse.pae(PAYLOAD_TYPE, payload))
    return dsse.Envelope(PAYLOAD_TYPE, payload, (dsse.Signature(keyid, signature),))


def read(envelope: bytes) -> tuple[dsse.Envelope, Roster]:
    """Return an envelope and the roster in it; nothing is verified.

    Raises:
        BadRecord: it has not the form of a roster.  MalformedRequest: it is not strict JSON.
    """
    if len(envelope) > 2 * MAX_ROSTER:
        raise BadRecord(KIND, "bytes", f"are more than {2 * MAX_ROSTER}")
    opened = record.envelope(KIND, "envelope", decode(envelope), PAYLOAD_TYPE, 1, 8)
    return opened, read_payload(opened.payload)


def read_payload(payload: bytes) -> Roster:
    """Return the roster in a payload.

    Raises:
        BadRecord: it is not canonical, or a field cannot be used.
    """
    value = record.members(KIND, record.read_canonical(KIND, payload, MAX_ROSTER), _MEMBERS)
    version = record.number(KIND, "version", value["version"], 1, 1_000_000)
    prev = record.sha256(KIND, "prev", value["prev"], empty=True)
    if bool(prev) != (version > 1):
        raise BadRecord(KIND, "prev", "must be empty in version 1, and in it only")
    keys = value["keys"]
    if not isinstance(keys, dict) or len(keys) > MAX_LISTED:
        raise BadRecord(KIND, "keys", f"must be an object of at most {MAX_LISTED} keys")
    return Roster(
        agreement=record.slug(KIND, "agreement", value["agreement"]),
        hub=record.sha256(KIND, "hub", value["hub"]),
        member=record.slug(KIND, "member", value["member"]),
        version=version,
        prev=prev,
        keys={keyid: _key(keyid, one) for keyid, one in keys.items()},
        clients=tuple(
            record.sha256(KIND, f"clients[{at}]", one)
            for at, one in enumerate(record.array(KIND, "clients", value["clients"], MAX_LISTED))
        ),
        tokens=tuple(
            record.text(KIND, f"tokens[{at}]", one, 100)
            for at, one in enumerate(record.array(KIND, "tokens", value["tokens"], MAX_LISTED))
        ),
    )


@dataclass(frozen=True, slots=True)
class Current:
    """The newest roster of a member, its payload's SHA-256, and the admin key that signed it."""

    roster: Roster
    digest: str
    admin_key: bytes


class Rosters:
    """The rosters in force, by member; takes the next one of a member, or refuses it and stays as it was.

    Args:
        agreement: its id.  hub: hex SHA-256 of the payload of the agreement's version 1.
        verify: the signature check.
        anywhere: take any version as a member's first one: a log may begin after the member's first rosters.
    """

    def __init__(self, agreement: str, hub: str, verify: Verify, *, anywhere: bool = False) -> None:
        self.agreement, self.hub = agreement, hub
        self._verify = verify
        self._anywhere = anywhere
        self._current: dict[str, Current] = {}
        self._member_of: dict[str, str] = {}
        self._revoked: dict[str, Revoked] = {}

    def copy(self) -> Rosters:
        """Return the same ones, which take the next without these."""
        made = Rosters(self.agreement, self.hub, self._verify, anywhere=self._anywhere)
        made._current, made._member_of = dict(self._current), dict(self._member_of)
        made._revoked = dict(self._revoked)
        return made

    def current(self, member: str) -> Current | None:
        """Return a member's roster, None before the first."""
        return self._current.get(member)

    def member_of(self, keyid: str) -> str:
        """Return the member that listed this key first, empty if nobody did."""
        return self._member_of.get(keyid, "")

    def publish_key(self, member: str, keyid: str) -> PublishKey | None:
        """Return a member's key as its roster has it now, None if it is not in it."""
        current = self._current.get(member)
        found = current.roster.keys.get(keyid) if current else None
        if found is not None and found.revoked is None and keyid in self._revoked:
            return PublishKey(found.public, self._revoked[keyid])
        return found

    def apply(
        self, envelope: bytes, admin_keys: Mapping[str, bytes], *, expected: tuple[str, str] | None = None
    ) -> tuple[Roster, dict[str, Revoked]]:
        """Take the next roster of its member.

        Args:
            envelope: DSSE, as bytes.
            admin_keys: member -> the raw key that the agreement in force names.
            expected: the member, and the SHA-256 of the payload, that a log names.

        Returns:
            the roster, and the keys that it revokes for the first time or distrusts elsewhere than before.

        Raises:
            BadRecord, MalformedRequest, BadRoster: it is refused.
        """
        opened, roster = read(envelope)
        digest = hashlib.sha256(opened.payload).hexdigest()
        if expected is not None and expected != (roster.member, digest):
            raise BadRoster("The roster is refused", why="it is not the one that the log names")
        if roster.member not in admin_keys:
            why = f"the agreement names no admin key of {roster.member}"
            raise BadRoster("The roster is refused", why=why)
        self._signed(opened, admin_keys[roster.member], roster.member)
        self._follows(roster)
        revoked = {
            keyid: one.revoked
            for keyid, one in roster.keys.items()
            if one.revoked is not None and self._says_more(keyid, one.revoked)
        }
        self._current[roster.member] = Current(roster, digest, admin_keys[roster.member])
        self._member_of |= dict.fromkeys(roster.keys, roster.member)
        for keyid, one in revoked.items():
            known = self._revoked.get(keyid, one)
            self._revoked[keyid] = Revoked(known.reason, {**known.distrust_from, **one.distrust_from})
        return roster, revoked

    def _says_more(self, keyid: str, one: Revoked) -> bool:
        known = self._revoked.get(keyid)
        return known is None or not one.distrust_from.items() <= known.distrust_from.items()

    def _signed(self, opened: dsse.Envelope, admin_key: bytes, member: str) -> None:
        message = opened.signed_bytes
        if not any(self._verify(admin_key, one.sig, message) for one in opened.signatures):
            raise BadRoster("The roster is refused", why=f"the admin key of {member} did not sign it")

    def _follows(self, roster: Roster) -> None:
        if (roster.agreement, roster.hub) != (self.agreement, self.hub):
            raise BadRoster("The roster is refused", why="it is for another agreement or hub")
        last = self._current.get(roster.member)
        if last is None:
            if roster.version != 1 and not self._anywhere:
                raise BadRoster("The roster is refused", why="its version is not 1, and none came before")
        elif roster.version != last.roster.version + 1 or roster.prev != last.digest:
            raise BadRoster(
                "The roster is refused",
                why=f"version {roster.version} does not follow version {last.roster.version}",
                todo=f"Make version {last.roster.version + 1}, with `prev` {last.digest}",
            )
        self._others_key(roster)

    def _others_key(self, roster: Roster) -> None:
        for keyid in roster.keys:
            if self._member_of.get(keyid, roster.member) != roster.member:
                raise BadRoster("The roster is refused", why=f"another member's roster has key {keyid}")


def _key_value(key: PublishKey) -> dict[str, Any]:
    value: dict[str, Any] = {"alg": "ed25519", "key": b64encode(key.public).decode()}
    if key.revoked is not None:
        value["revoked"] = {
            "distrust_from": dict(key.revoked.distrust_from),
            "reason": key.revoked.reason,
        }
    return value


def _key(keyid: str, value: Any) -> PublishKey:
    where = f"keys.{keyid[:64]}"
    names = ("alg", "key", "revoked") if isinstance(value, dict) and "revoked" in value else ("alg", "key")
    record.members(KIND, value, names, where)
    try:
        raw = b64decode(value["key"].encode("ascii"), validate=True)
    except (AttributeError, UnicodeEncodeError, Base64Error, ValueError):
        raw = b""
    if value["alg"] != "ed25519" or len(raw) != 32 or b64encode(raw).decode() != value["key"]:
        raise BadRecord(KIND, where, "is no Ed25519 key in canonical base64")
    if dsse.key_id(raw) != keyid:
        raise BadRecord(KIND, where, "is not the id of its key")
    if "revoked" not in value:
        return PublishKey(raw)
    revoked = record.members(KIND, value["revoked"], ("distrust_from", "reason"), f"{where}.revoked")
    distrust = revoked["distrust_from"]
    if not isinstance(distrust, dict) or len(distrust) > MAX_LISTED:
        raise BadRecord(KIND, f"{where}.revoked.distrust_from", "must be an object: origin to leaf index")
    return PublishKey(
        raw,
        Revoked(
            record.text(KIND, f"{where}.revoked.reason", revoked["reason"], 200),
            {
                record.text(KIND, f"{where}.revoked.distrust_from", origin): record.number(
                    KIND, f"{where}.revoked.distrust_from", index
                )
                for origin, index in distrust.items()
            },
        ),
    )
