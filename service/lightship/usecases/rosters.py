"""Rosters on the hub: which publish keys are whose under the rules in force, and putting the next one in.

A roster counts as long as the agreement names the admin key that signed it: when that key is replaced, the
member signs its next roster with the new one. Everything is verified again when it is read, nothing stored
is taken at its word. Applying one raises the policy epoch, so that no statement is taken under an older one.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lightship.core import dsse
from lightship.core.access import Client
from lightship.core.agreement import Agreement, Verify
from lightship.core.agreement.chain import read_key_text
from lightship.core.audit import STEWARD, AccessEvent
from lightship.core.errors import CallerError, Damaged, NotFound
from lightship.core.log import roster
from lightship.core.log.roster import BadRoster, PublishKey, Revoked, Roster, Rosters
from lightship.core.ports import Registry, SignedAgreement, Signing, StoredRoster
from lightship.core.time import Micros
from lightship.usecases.clients import Clients, others_pin
from lightship.usecases.directory import HubView

ACT = "apply-roster"


@dataclass(frozen=True, slots=True)
class Going:
    """What a roster takes out of one collection: so many live versions, from leaf `first` of its log on."""

    collection: str
    alias: str
    origin: str
    first: int
    versions: int


@dataclass(frozen=True, slots=True)
class Logged:
    """What a publish key has logged in one collection: from leaf `first` of its log on, between two times."""

    collection: str
    alias: str
    origin: str
    first: int
    statements: int
    versions: int
    first_at: Micros
    last_at: Micros


@dataclass(frozen=True, slots=True)
class AppliedRoster:
    """A roster, the keys that it newly revokes or distrusts, and what leaves by that.

    `event` is the access event that was written with it, None if nothing was done.
    """

    roster: Roster
    revoked: Mapping[str, Revoked]
    withdrawn: tuple[Going, ...]
    event: AccessEvent | None = None


@dataclass(frozen=True, slots=True)
class Current:
    """The rosters of an agreement, and the admin keys (text) that its version in force names."""

    rosters: Rosters
    newest: Mapping[str, StoredRoster]
    admin_keys: Mapping[str, str]

    def in_force(self, member: str) -> Roster | None:
        """Return a member's roster; None without one, or if the agreement names another admin key by now."""
        last, held = self.newest.get(member), self.rosters.current(member)
        if last is None or held is None or self.admin_keys.get(member) != last.admin_key:
            return None
        return held.roster

    def publish_key(self, member: str, keyid: str) -> PublishKey | None:
        """Return a member's key; None if no roster in force lists it."""
        return None if self.in_force(member) is None else self.rosters.publish_key(member, keyid)

    def clients(self) -> Iterator[tuple[str, str]]:
        """Yield (pin, member) for each client certificate that a roster in force lists."""
        for member, one in self._all_in_force():
            yield from ((pin, member) for pin in one.clients)

    def tokens(self) -> Iterator[tuple[str, str]]:
        """Yield (credential id, member) for each credential that a roster in force lists."""
        for member, one in self._all_in_force():
            yield from ((token, member) for token in one.tokens)

    def owner(self, key: str) -> str:
        """Return the member whose roster in force lists a publish key or a client pin, empty if none does."""
        return next(
            (member for member, one in self._all_in_force() if key in one.keys or key in one.clients), ""
        )

    def _all_in_force(self) -> Iterator[tuple[str, Roster]]:
        for member in self.newest:
            if (found := self.in_force(member)) is not None:
                yield member, found


class RosterBook:
    """Reads rosters, each agreement's once an epoch. May be called from several threads."""

    def __init__(self, signing: Signing, registry: Registry, verify: Verify) -> None:
        self._signing, self._registry, self._verify = signing, registry, verify
        self._lock = threading.Lock()
        self._read: dict[str, tuple[int, Current]] = {}
        self._kept: dict[str, tuple[object, Sequence[StoredRoster], Current]] = {}

    def current(self, agreement: Agreement, epoch: int) -> Current:
        """Return the rosters under the rules of an epoch.

        Raises:
            Damaged: one that is stored does not verify.
        """
        found = self._read.get(agreement.id)
        if found is None or found[0] != epoch:
            with self._lock:
                found = epoch, self._load(agreement)
                self._read[agreement.id] = found
        return found[1]

    def _load(self, agreement: Agreement) -> Current:
        """Verify what is stored, but for what was verified last and is the same."""
        chain = self._registry.chain(agreement.id)
        stored = tuple(self._signing.rosters(agreement.id))
        came = [link.digest for link in chain], agreement.version
        under, before, known = self._kept.get(agreement.id, (None, (), None))
        if under != came or before != stored[: len(before)]:
            before, known = (), None
        if known is None or len(before) < len(stored):
            known = self._verified(agreement, chain, stored[len(before) :], known)
            self._kept[agreement.id] = came, stored, known
        return known

    def _verified(
        self,
        agreement: Agreement,
        chain: Sequence[SignedAgreement],
        stored: Sequence[StoredRoster],
        known: Current | None,
    ) -> Current:
        """Return what these rosters come to, after those that are known."""
        admin_keys = {link.version: _admin_keys(link.payload) for link in chain}
        if known is None:
            rosters, newest = Rosters(agreement.id, agreement.hub, self._verify), dict[str, StoredRoster]()
        else:
            rosters, newest = known.rosters.copy(), dict(known.newest)
        for one in stored:
            named = admin_keys.get(one.agreement_version, {}).get(one.member, "")
            public = read_key_text(named)
            try:
                rosters.apply(
                    one.envelope,
                    {} if public is None or named != one.admin_key else {one.member: public},
                    expected=(one.member, one.digest),
                )
            except CallerError as error:
                raise Damaged(
                    f"A roster of {one.member} does not verify",
                    why=str(error),
                    todo="Run `lightship fsck`, then restore a backup",
                ) from None
            newest[one.member] = one
        return Current(rosters, newest, admin_keys[agreement.version])


def apply_roster(
    signing: Signing,
    registry: Registry,
    view: HubView,
    envelope: bytes,
    *,
    verify: Verify,
    req: str,
    now: Micros,
    by: AccessEvent | None = None,
    book: RosterBook | None = None,
) -> AppliedRoster:
    """Put a member's next roster in force; its digest is in every log of the agreement when this returns.

    What it distrusts has left by then, in the same transaction.

    Args:
        envelope: the file, DSSE.
        req: a fresh request id for the access event.  now: microseconds.
        by: the event of the request that brings it; the steward's own without one.
        book: rosters that were verified already; without it all are verified now.

    Raises:
        BadRecord, MalformedRequest: it is no roster.
        BadRoster: it does not follow, its admin key did not sign it, it distrusts what is not there, or
            it lists a client pin that is another's.
        NotFound: no such agreement here.  Conflict: something changed meanwhile.
    """
    book = book or RosterBook(signing, registry, verify)
    checked = _check(registry, view, envelope, book)
    stored, found = checked.stored, checked.roster
    steward = AccessEvent(
        req=req, at=now, act=ACT, agr=found.agreement, who=found.member, cred=STEWARD, why=STEWARD
    )
    event = replace(by or steward, q=stored.digest, n=len(found.keys))
    gone = signing.apply_roster(stored, event, checked.distrust)
    going = _going(signing, view, checked, gone)
    return AppliedRoster(found, checked.revoked, going, event)


def preview_roster(
    signing: Signing, registry: Registry, view: HubView, envelope: bytes, *, verify: Verify
) -> AppliedRoster:
    """Return what `apply_roster` would do now; nothing is changed. Raises as it does."""
    checked = _check(registry, view, envelope, RosterBook(signing, registry, verify))
    return AppliedRoster(checked.roster, checked.revoked, _going(signing, view, checked, None))


def trace_key(signing: Signing, view: HubView, agreement: str, key: str, since: Micros) -> list[Logged]:
    """Return what a publish key has logged from a moment on, by collection; those without are left out.

    Raises:
        NotFound: no such agreement here.
    """
    if agreement not in view.agreements:
        raise _no_agreement(view, agreement)
    aliases = {one.id: one.alias for one in view.agreements[agreement].collections}
    found = []
    for one in signing.trace(agreement, key):
        late = [each for each in one.statements if each[1] >= since]
        if late:
            live = sum(versions for _, _, versions in late)
            alias = aliases.get(one.collection, "")
            first, last = late[0], late[-1]
            found.append(
                Logged(one.collection, alias, one.origin, first[0], len(late), live, first[1], last[1])
            )
    return found


def _no_agreement(view: HubView, agreement: str) -> NotFound:
    return NotFound(
        f"There is no agreement `{agreement}` here",
        why=view.damaged.get(agreement, ""),
        todo=f"There are: {', '.join(sorted(view.agreements)) or 'none yet'}",
    )


@dataclass(frozen=True, slots=True)
class _Checked:
    """A roster that follows and is signed as it must be."""

    roster: Roster
    revoked: Mapping[str, Revoked]
    stored: StoredRoster

    @property
    def distrust(self) -> dict[str, Revoked]:
        """The revocations that take something out."""
        return {keyid: one for keyid, one in self.revoked.items() if one.distrust_from}


def _check(registry: Registry, view: HubView, envelope: bytes, book: RosterBook) -> _Checked:
    opened, wanted = roster.read(envelope)
    agreement = view.agreements.get(wanted.agreement)
    if agreement is None:
        raise _no_agreement(view, wanted.agreement)
    listed = Clients(book.current)(view)
    current = book.current(agreement, view.epoch)
    named = current.admin_keys.get(wanted.member, "")
    public = read_key_text(named)
    found, revoked = current.rosters.copy().apply(envelope, {} if public is None else {wanted.member: public})
    mine = Client(found.agreement, found.member)
    if taken := others_pin(found.clients, mine, listed, registry.credentials()):
        raise BadRoster(
            "The roster is refused",
            why=f"the client pin {taken} is another member's, or this member's in another agreement",
            todo="Make a key and a certificate of its own for this client: one pin is one member's",
        )
    stored = StoredRoster(
        agreement=found.agreement,
        member=found.member,
        version=found.version,
        digest=hashlib.sha256(opened.payload).hexdigest(),
        envelope=dsse.encode(opened),
        agreement_version=agreement.version,
        admin_key=named,
    )
    return _Checked(found, revoked, stored)


def _going(
    signing: Signing, view: HubView, checked: _Checked, gone: Mapping[str, int] | None
) -> tuple[Going, ...]:
    """Return what leaves by collection: what left, or else what is live now."""
    agreement, found = checked.roster.agreement, dict[str, Going]()
    aliases = {one.id: one.alias for one in view.agreements[agreement].collections}
    for keyid, why in checked.distrust.items():
        traces = signing.trace(agreement, keyid)
        why.check({one.origin or one.collection: one.size for one in traces})
        for one in traces:
            first = why.first_in(one.origin)
            live = sum(count for index, _, count in one.statements if first is not None and index >= first)
            known = found.get(one.collection)
            if first is not None and (live if gone is None else gone.get(one.collection)):
                found[one.collection] = Going(
                    one.collection,
                    aliases.get(one.collection, ""),
                    one.origin,
                    first if known is None else min(first, known.first),
                    live + (known.versions if known else 0) if gone is None else gone[one.collection],
                )
    return tuple(found.values())


def _admin_keys(payload: bytes) -> dict[str, str]:
    members: dict[str, Any] = json.loads(payload)["members"]
    return {slug: one["admin_key"] for slug, one in members.items() if "admin_key" in one}
