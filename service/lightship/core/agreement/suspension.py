"""Suspensions: one party of an agreement stops a member, a key, or all of it, for at most 72 hours.

Two parties to grant, one to stop: a suspension only removes rights, so one root key is enough to sign it; to
end it before its time takes as many parties as the agreement needs for a new version. Both are numbered and
chained within the agreement, and name it, its hub and the version in force, so that none can be replayed
elsewhere or left out. What they do follows from their times alone. Never reads a clock; the signature check
and the root keys are passed in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from lightship.core import dsse
from lightship.core.agreement.chain import Root, Verify
from lightship.core.errors import CallerError
from lightship.core.log import record
from lightship.core.log.record import BadRecord
from lightship.core.time import MAX_MICROS, Micros, format_stamp, instant_micros, parse_instant

PAYLOAD_TYPE = "application/vnd.lightship.suspension.v1+json"
KIND = "suspension"
MAX_PAYLOAD = 16 * 1024
MAX_REASON = 400
MAX_NUMBER = 1_000_000
LONGEST = Micros(72 * 3_600 * 1_000_000)
AGAIN = Micros(30 * 86_400 * 1_000_000)
"""How long after its last one ended a party must wait before it stops the same target again."""
CLOCKS = Micros(5 * 60_000_000)
"""How long before it is taken a resumption may be dated."""
_COMMON = ("agreement", "from", "hub", "number", "prev", "reason", "target", "version")


class Refusal(StrEnum):
    """Why a suspension or resumption is refused."""

    OTHER_AGREEMENT = "other-agreement"
    OTHER_VERSION = "other-version"
    NOT_NEXT = "not-next"
    UNKNOWN_MEMBER = "unknown-member"
    NOT_SIGNED = "not-signed"
    TOO_LONG = "too-long"
    NOT_NOW = "not-now"
    TOO_SOON = "too-soon"
    NOTHING_TO_END = "nothing-to-end"


class BadSuspension(CallerError):
    """It does not follow, breaks a rule, or too few of the right keys signed it; `refusal` says which."""

    code = "bad-suspension"

    def __init__(self, refusal: Refusal, why: str) -> None:
        super().__init__("The suspension is refused", why=why, details={"refusal": refusal.value})
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Order:
    """What is signed: a suspension with the moment it ends, or, without one, a resumption.

    Args:
        agreement: its id.  hub: hex SHA-256 of the payload of the agreement's version 1.
        version: of the agreement, in force when it is signed.
        number: from 1.  prev: hex SHA-256 of the payload before, empty for the first.
        member: who is meant, empty for the whole agreement or a key.
        since: when it takes effect.  until: when that ends.  reason: in words.
        key: the key that is meant, else empty: hex SHA-256 of a raw publish key, or a client's SPKI pin.
    """

    agreement: str
    hub: str
    version: int
    number: int
    prev: str
    member: str
    since: Micros
    until: Micros | None
    reason: str
    key: str = ""

    def payload(self) -> bytes:
        """Return its canonical JSON."""
        value: dict[str, Any] = {
            "agreement": self.agreement,
            "from": format_stamp(self.since),
            "hub": self.hub,
            "number": self.number,
            "prev": self.prev,
            "reason": self.reason,
            "target": self._target(),
            "version": self.version,
        }
        if self.until is not None:
            value["until"] = format_stamp(self.until)
        return dsse.canonical(value)

    def _target(self) -> dict[str, str]:
        if self.key:
            return {"key": self.key}
        return {"member": self.member} if self.member else {"agreement": self.agreement}


@dataclass(frozen=True, slots=True)
class Stop:
    """A suspension that was taken: of `key`, else of `member`, else of all of it; `until` is its real end."""

    number: int
    party: str
    member: str
    since: Micros
    until: Micros
    reason: str
    key: str = ""

    def holds(self, now: Micros) -> bool:
        """True if it is in effect at `now`."""
        return self.since <= now < self.until

    @property
    def named(self) -> str:
        """Who or what is meant, in words; empty for the whole agreement."""
        if self.key:
            return f"key {self.key}"
        return f"member {self.member}" if self.member else ""

    def shape(self) -> dict[str, str | None]:
        """Return it as JSON shows it."""
        return {
            "member": self.member or None,
            "key": self.key or None,
            "party": self.party,
            "from": format_stamp(self.since),
            "until": format_stamp(self.until),
            "reason": self.reason,
        }

    def of_member(self, member: str) -> bool:
        """True if this member may do nothing: it is meant, or all are."""
        return not self.key and self.member in {"", member}

    def same_target(self, order: Order) -> bool:
        """True if an order means what this one stopped."""
        return (self.member, self.key) == (order.member, order.key)


def sign(order: Order, signers: Sequence[tuple[str, Callable[[bytes], bytes]]]) -> dsse.Envelope:
    """Return an order in its envelope.

    Args:
        order: what is signed.
        signers: (key id, signs a message) of each key.

    Raises:
        BadRecord: it would not be read.
    """
    payload = order.payload()
    read_payload(payload)
    message = dsse.pae(PAYLOAD_TYPE, payload)
    return dsse.Envelope(
        PAYLOAD_TYPE, payload, tuple(dsse.Signature(keyid, signer(message)) for keyid, signer in signers)
    )


def read(envelope: bytes) -> tuple[dsse.Envelope, Order]:
    """Return an envelope and the order in it; nothing is verified.

    Raises:
        BadEnvelope, BadRecord: it has not the form of one.
    """
    opened = dsse.decode(envelope, payload_type=PAYLOAD_TYPE)
    return opened, read_payload(opened.payload)


def read_payload(payload: bytes) -> Order:
    """Return the order in a payload.

    Raises:
        BadRecord: it is not canonical, or a field cannot be used.
    """
    value = record.read_canonical(KIND, payload, MAX_PAYLOAD)
    timed = "until" in value
    value = record.members(KIND, value, (*_COMMON, "until") if timed else _COMMON)
    agreement = record.slug(KIND, "agreement", value["agreement"])
    member, key = _target(agreement, value["target"])
    reason = record.text(KIND, "reason", value["reason"], MAX_REASON)
    if not reason.strip() or not reason.isprintable():
        raise BadRecord(KIND, "reason", "must be a sentence in one line")
    return Order(
        agreement=agreement,
        hub=record.sha256(KIND, "hub", value["hub"]),
        version=record.number(KIND, "version", value["version"], 1, MAX_NUMBER),
        number=record.number(KIND, "number", value["number"], 1, MAX_NUMBER),
        prev=record.sha256(KIND, "prev", value["prev"], empty=True),
        member=member,
        since=_moment("from", value["from"]),
        until=_moment("until", value["until"]) if timed else None,
        reason=reason,
        key=key,
    )


def first_running(orders: Sequence[Order], now: Micros) -> int:
    """Return the place of the first suspension that is in effect at `now`; the number of orders if none is.

    The log of a collection that is made now begins with the orders from there on: they are chained, so none
    of them can be left out.
    """
    for place, one in enumerate(orders):
        if one.until is None or one.until <= now:
            continue
        ends = (later for later in orders[place + 1 :] if later.until is None)
        target = (one.member, one.key)
        if not any((end.member, end.key) == target and end.since >= one.since for end in ends):
            return place
    return len(orders)


class Suspensions:
    """The orders of one agreement that were taken, in their sequence.

    Args:
        agreement: its id.  hub: hex SHA-256 of the payload of the agreement's version 1.
        verify: the signature check.
        anywhere: the first one may have any number: in the log of a collection that came later.
    """

    def __init__(self, agreement: str, hub: str, verify: Verify, *, anywhere: bool = False) -> None:
        self._agreement, self._hub, self._verify = agreement, hub, verify
        self._anywhere = anywhere
        self.number = 0
        self.digest = ""
        self.stops: tuple[Stop, ...] = ()

    def take(
        self, opened: dsse.Envelope, root: Root, version: int, members: AbstractSet[str], at: Micros
    ) -> Order:
        """Take the next order.

        Args:
            opened: its envelope.
            root: who signs the version of the agreement that is in force.
            version: its number.  members: their names in it.
            at: when it is taken: the time of its entry in the log.

        Raises:
            BadRecord: it has not the form of one.
            BadSuspension: it is refused; nothing has changed.
        """
        order = read_payload(opened.payload)
        self._place(order, version, members)
        parties = self._parties(opened, root)
        if order.until is None:
            self.stops = self._ended(order, len(parties), root.threshold, at)
        else:
            self.stops = (*self.stops, self._stop(order, order.until, parties, at))
        self.number, self.digest = order.number, hashlib.sha256(opened.payload).hexdigest()
        return order

    def _place(self, order: Order, version: int, members: AbstractSet[str]) -> None:
        if (order.agreement, order.hub) != (self._agreement, self._hub):
            raise BadSuspension(Refusal.OTHER_AGREEMENT, f"it is not for `{self._agreement}` on this hub")
        if order.version != version:
            why = f"it names version {order.version} of the agreement, in force is {version}"
            raise BadSuspension(Refusal.OTHER_VERSION, why)
        first = self._anywhere and not self.number
        if not first and (order.number, order.prev) != (self.number + 1, self.digest):
            why = f"number {self.number + 1} must come next and name what is before it"
            raise BadSuspension(Refusal.NOT_NEXT, why)
        if order.member and order.member not in members:
            raise BadSuspension(Refusal.UNKNOWN_MEMBER, f"`{order.member}` is no member of the agreement")

    def _parties(self, opened: dsse.Envelope, root: Root) -> list[str]:
        """Return the distinct parties whose signature holds, by name."""
        message = opened.signed_bytes
        found: set[str] = set()
        for one in opened.signatures:
            key = root.keys.get(one.keyid)
            if key is not None and self._verify(key.public, one.sig, message):
                found.add(key.party)
        return sorted(found)

    def _stop(self, order: Order, until: Micros, parties: Sequence[str], at: Micros) -> Stop:
        if len(parties) != 1:
            raise BadSuspension(
                Refusal.NOT_SIGNED, f"one party of the agreement must sign it, {len(parties)} did"
            )
        if until - order.since > LONGEST:
            raise BadSuspension(Refusal.TOO_LONG, "it is for more than 72 hours")
        if not order.since <= at < until:
            why = f"it is from {format_stamp(order.since)} until {format_stamp(until)}, which is not now"
            raise BadSuspension(Refusal.NOT_NOW, why)
        mine = [one.until for one in self.stops if one.party == parties[0] and one.same_target(order)]
        if mine and order.since < max(mine) + AGAIN:
            why = f"`{parties[0]}` may stop the same target again from {format_stamp(max(mine) + AGAIN)} on"
            raise BadSuspension(Refusal.TOO_SOON, why)
        return Stop(order.number, parties[0], order.member, order.since, until, order.reason, order.key)

    def _ended(self, order: Order, signed: int, threshold: int, at: Micros) -> tuple[Stop, ...]:
        """Return the stops, those of the target ended."""
        if signed < threshold:
            why = f"{signed} of {threshold} needed parties signed that it ends early"
            raise BadSuspension(Refusal.NOT_SIGNED, why)
        if not at - CLOCKS <= order.since <= at:
            raise BadSuspension(Refusal.NOT_NOW, f"it is dated {format_stamp(order.since)}, which is not now")
        running = [one for one in self.stops if one.same_target(order) and one.holds(order.since)]
        if not running and not self._anywhere:
            raise BadSuspension(Refusal.NOTHING_TO_END, "nothing of this target is suspended")
        return tuple(replace(one, until=order.since) if one in running else one for one in self.stops)


def _target(agreement: str, target: Any) -> tuple[str, str]:
    """Return the member and the key that are meant, both empty for the whole agreement."""
    if isinstance(target, dict) and set(target) == {"member"}:
        return record.slug(KIND, "target.member", target["member"]), ""
    if isinstance(target, dict) and set(target) == {"key"}:
        return "", record.sha256(KIND, "target.key", target["key"])
    if record.members(KIND, target, ("agreement",), "target")["agreement"] != agreement:
        raise BadRecord(KIND, "target.agreement", "is another agreement")
    return "", ""


def _moment(field: str, value: Any) -> Micros:
    try:
        found = instant_micros(parse_instant(record.text(KIND, field, value)))
    except ValueError:
        raise BadRecord(KIND, field, "must be a UTC time with six digits") from None
    if not 0 <= found <= MAX_MICROS or format_stamp(found) != value:
        raise BadRecord(KIND, field, "must be a UTC time with six digits")
    return found
