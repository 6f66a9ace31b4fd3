"""Suspending a member, a key or a whole agreement, and ending it early: signed, verified, stored.

The hub's own key signs, as the party that it stands for in the agreement. What is signed is taken by the same
rules as a verifier's before it is stored, and counts for every process from its next request on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from lightship.core import dsse
from lightship.core.agreement import Agreement, Verify
from lightship.core.agreement import suspension as orders
from lightship.core.agreement.load import replay, replay_suspensions
from lightship.core.agreement.suspension import LONGEST, Order
from lightship.core.audit import STEWARD, AccessEvent
from lightship.core.errors import Damaged, NotFound
from lightship.core.ports import Registry, SignedSuspension, Signing
from lightship.core.time import Micros, format_stamp
from lightship.usecases.directory import Directory
from lightship.usecases.rosters import RosterBook

BEFORE = Micros(60_000_000)
"""A suspension is dated this long back, so that no process of the hub has a clock that is not there yet."""
HOUR = 3_600_000_000


class Signer(Protocol):
    """A key that signs; `keyid` is the hex SHA-256 of the raw public one."""

    @property
    def keyid(self) -> str: ...
    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """An order in force, the agreement as it stands under it, and whose key it names, empty without one."""

    order: Order
    signed: SignedSuspension
    agreement: Agreement
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Suspending:
    """The use case.

    Args:
        registry, directory: what there is; the directory is what readers use.
        verify: the signature check.  signer: the hub's key.
        signing: whose keys are whose; without it no key can be suspended.
    """

    registry: Registry
    directory: Directory
    verify: Verify
    signer: Signer
    signing: Signing | None = None

    def suspend(
        self, agreement: str, member: str, *, hours: int, reason: str, req: str, now: Micros, key: str = ""
    ) -> Taken:
        """Suspend a member, a key, or with neither the whole agreement, from now on.

        Args:
            agreement: its id.  member: its name there, empty beside a key.
            hours: how long, 72 at most.  reason: one line, which every member can read.
            req: a fresh request id.  now: microseconds.
            key: id of a publish key, or SPKI pin of a client, that a member's roster lists.

        Raises:
            NotFound: there is no such agreement in force, or no roster lists the key.
            BadRecord, BadSuspension: it is refused: too long, too soon after the last one, no such member.
            Conflict: something changed meanwhile.
        """
        since = Micros(now - BEFORE)
        until = Micros(now + hours * HOUR)
        if hours * HOUR == LONGEST:
            until = Micros(since + LONGEST)
        owner = self._owner(agreement, key) if key else ""
        return self._take(agreement, (member, key, owner), since, until, reason, req, now)

    def resume(
        self, agreement: str, member: str, *, reason: str, req: str, now: Micros, key: str = ""
    ) -> Taken:
        """End what is suspended of a member, a key, or with neither of the whole agreement, before its time.

        Raises:
            NotFound, BadRecord, Conflict: as `suspend`.
            BadSuspension: nothing is suspended, or the agreement needs more parties than the hub.
        """
        return self._take(agreement, (member, key, ""), now, None, reason, req, now)

    def _owner(self, agreement: str, key: str) -> str:
        """Return the member whose roster lists a key."""
        view = self.directory.view()
        found = view.agreements.get(agreement)
        owner = ""
        if found is not None and self.signing is not None:
            current = RosterBook(self.signing, self.registry, self.verify).current(found, view.epoch)
            owner = current.owner(key)
        if not owner:
            raise NotFound(
                "There is no such key",
                why=f"no member's roster in `{agreement}` lists {key}",
                todo="Give the id that `lightship keys show` prints, or suspend the member",
            )
        return owner

    def _take(
        self,
        agreement: str,
        target: tuple[str, str, str],
        since: Micros,
        until: Micros | None,
        reason: str,
        req: str,
        now: Micros,
    ) -> Taken:
        links = self.registry.chain(agreement)
        held = self.registry.suspensions(agreement)
        chain = replay(agreement, [(one.envelope, one.payload) for one in links], self.verify)
        if chain.last is None:
            raise NotFound(f"There is no agreement `{agreement}` in force")
        stored = [(one.envelope, one.version, one.applied) for one in held]
        taken = replay_suspensions(chain, stored, self.verify)
        link = chain.last
        order = Order(
            agreement=agreement,
            hub=chain.hub,
            version=link.version,
            number=taken.number + 1,
            prev=taken.digest,
            member=target[0],
            since=since,
            until=until,
            reason=reason,
            key=target[1],
        )
        opened = orders.sign(order, [(self.signer.keyid, self.signer.sign)])
        taken.take(opened, link.root, link.version, link.content["members"].keys(), now)
        digest = hashlib.sha256(opened.payload).hexdigest()
        signed = SignedSuspension(agreement, order.number, order.version, digest, dsse.encode(opened), now)
        self.registry.suspend(signed, _event(order, digest, req, now))
        in_force = self.directory.view().agreements.get(agreement)
        if in_force is None or in_force.suspensions != taken.stops:
            raise Damaged(f"The suspension of `{agreement}` was stored but cannot be read back")
        return Taken(order, signed, in_force, target[2])


def _event(order: Order, digest: str, req: str, now: Micros) -> AccessEvent:
    until = "" if order.until is None else f" until {format_stamp(order.until)}"
    who = f"key {order.key}" if order.key else order.member or "all members"
    return AccessEvent(
        req=req,
        at=now,
        act="resume" if order.until is None else "suspend",
        agr=order.agreement,
        cred=STEWARD,
        q=f"{who}{until}, number {order.number} sha256 {digest}: {order.reason}",
        why=STEWARD,
    )
