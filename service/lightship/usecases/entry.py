"""Who comes in where: a principal's agreement, its collections, and the grant to act on one.

What lies outside the principal's agreement does not exist for it. Inside, a collection that it may list but
not use is refused by name of the rule (403), one that it may not even list does not exist either (404).
A grant is made here and nowhere else; it carries the policy epoch that it was decided under.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from lightship.core.access import Action, Decision, Grant, Principal
from lightship.core.agreement import Agreement
from lightship.core.collection import Collection
from lightship.core.errors import NotAuthenticated, NotFound, Refused, Unavailable
from lightship.core.ports import Decisions, EpochChanged
from lightship.core.time import Micros
from lightship.usecases.directory import Directory, HubView

T = TypeVar("T")

EPOCH_TRIES = 5
_REMEDY = {
    "deny-unsigned": "Use `lightship publish --sign`, with a publish key that your member's roster lists",
    "deny-token-not-listed": "Have your member's officer list the credential: lightship roster sign --list",
    "deny-no-certificate": "Connect with your member's client certificate; the hub's steward can tell of one",
}
"""What helps where no other right is missing."""


class Hidden(NotFound):
    """It may exist, but not for this principal; answered like what does not exist. `rule` is logged."""

    def __init__(self, rule: str = "not-found") -> None:
        super().__init__("There is no such resource", todo="Start from discovery at /taxii2/")
        self.rule = rule


class CredentialGone(NotAuthenticated):
    """The credential was revoked, or expired, while its request was under way."""

    rule = "deny-revoked"

    def __init__(self) -> None:
        super().__init__(
            "The credential does not hold any more",
            why="It was revoked or has expired while the request was under way; nothing was written",
            todo="Ask the hub's steward for a new one",
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A collection in its agreement, as one principal came to it."""

    principal: Principal
    agreement: Agreement
    collection: Collection
    epoch: int


@dataclass(frozen=True, slots=True)
class Rights:
    """What a principal may do with a collection, as it is shown in the collection resource."""

    collection: Collection
    can_read: bool
    can_write: bool


def open_root(view: HubView, principal: Principal, root: str) -> Agreement:
    """Return the agreement of an API root.

    Raises:
        Hidden: it is not the principal's, or there is none.
    """
    agreement = view.agreements.get(root)
    if agreement is None or root != principal.agreement or principal.member not in agreement.members:
        raise Hidden
    return agreement


def open_collection(view: HubView, principal: Principal, root: str, name: str) -> Place:
    """Return a collection by its id or alias.

    Raises:
        Hidden: there is none, or not for this principal.
    """
    agreement = open_root(view, principal, root)
    collection = view.collection(root, name)
    if collection is None:
        raise Hidden
    return Place(principal, agreement, collection, view.epoch)


def open_again(directory: Directory, place: Place, now: Micros) -> Place:
    """Return the place under the rules of now, after the policy epoch changed since the request came.

    Raises:
        CredentialGone: the principal's credential holds no more.
        Hidden: the member or the collection is gone.
    """
    view, principal = directory.view(), place.principal
    if not directory.holds(principal, now):
        raise CredentialGone
    agreement = open_root(view, principal, place.agreement.id)
    certificate = principal.certificate and directory.vouches(principal, now)
    principal = replace(
        principal,
        roles=agreement.members[principal.member].roles,
        certificate=certificate,
        pin=principal.pin if certificate else "",
    )
    principal = replace(principal, listed=directory.lists(view, principal))
    again = open_collection(view, principal, agreement.id, place.collection.id)
    return replace(again, agreement=agreement.for_request(now))


async def under_current_rules(
    directory: Directory, place: Place, now: Micros, write: Callable[[Place], Awaitable[T]]
) -> T:
    """Return what `write` gives; it is done again, rights and all, when the policy epoch changed before it.

    Raises:
        CredentialGone, Hidden: see `open_again`; nothing was written.
        Unavailable: the epoch changed each time.
    """
    for _ in range(EPOCH_TRIES):
        try:
            return await write(place)
        except EpochChanged:
            place = open_again(directory, place, now)
    raise Unavailable("The hub's rules keep changing", todo="Try again in a moment")


def permit(decisions: Decisions, place: Place, action: Action, now: Micros, *, signed: bool = False) -> Grant:
    """Return the grant for an action on a collection; `signed`: a signed statement asks for it.

    Raises:
        Refused: the principal may know the collection, but not do this.
        Hidden: it may not even know it.
    """
    decision = _ask(decisions, place, action, now, signed=signed)
    if decision.allowed:
        return Grant(place.principal, action, place.collection, place.epoch, decision)
    if not _ask(decisions, place, Action.LIST, now).allowed:
        raise Hidden(decision.rule)
    raise _refused(decision)


def permit_withdraw(decisions: Decisions, place: Place, now: Micros, *, signed: bool = False) -> Grant:
    """Return the grant to withdraw, which needs the right to read as well (TAXII 2.1 section 5.7).

    `signed`: a signed statement asks for it.

    Raises:
        Hidden: neither right. Refused: only one of them.
    """
    read = _ask(decisions, place, Action.READ, now)
    write = _ask(decisions, place, Action.WITHDRAW, now, signed=signed)
    if read.allowed and write.allowed:
        return Grant(place.principal, Action.WITHDRAW, place.collection, place.epoch, write)
    denied = read if write.allowed else write
    if not read.allowed and not write.allowed:
        raise Hidden(denied.rule)
    raise _refused(denied)


def rights(decisions: Decisions, place: Place, now: Micros) -> Rights | None:
    """Return what the principal may do with a collection over TAXII, None if it may not know of it.

    Where only signed statements are taken nobody can write: TAXII has no way to send one.
    """
    if not _ask(decisions, place, Action.LIST, now).allowed:
        return None
    return Rights(
        place.collection,
        _ask(decisions, place, Action.READ, now).allowed,
        _ask(decisions, place, Action.PUBLISH, now).allowed,
    )


def _ask(
    decisions: Decisions, place: Place, action: Action, now: Micros, *, signed: bool = False
) -> Decision:
    return decisions.decide(place.principal, action, place.collection, place.agreement, now, signed=signed)


def _refused(decision: Decision) -> Refused:
    return Refused(
        "This is not allowed here",
        rule=decision.rule,
        why=f"{decision.say} ({decision.rule})",
        todo=_REMEDY.get(
            decision.rule, "Ask the hub's steward for the right, or use a collection that allows it"
        ),
    )
