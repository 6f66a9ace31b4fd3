"""Whose client a certificate's pin is, by the rosters in force; and who had a pin first.

A pin is one client of one member of one agreement. A roster that lists another's pin is refused when it is
applied, and so is a credential for it; where two claim one all the same (two commands at once, a roster that
comes back into force with an old admin key), it is nobody's: of two readings of who somebody is, none is
taken. The hub's own list goes before rosters: a pin that a credential holds is that credential's, and a
revoked one stays revoked whatever a roster lists.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from lightship.core.access import Client, Credential
from lightship.core.agreement import Agreement
from lightship.core.errors import Damaged
from lightship.usecases.directory import HubView

_log = logging.getLogger("lightship")
SHOWN = 16
"""Hex digits of a pin that stand in the name of a client that only a roster names."""


class Listing(Protocol):
    """The rosters of an agreement (`rosters.Current`)."""

    def clients(self) -> Iterable[tuple[str, str]]:
        """Return (pin, member) of the rosters in force."""
        ...

    def tokens(self) -> Iterable[tuple[str, str]]:
        """Return (credential id, member) of the rosters in force."""
        ...


class Clients:
    """Reads whose client each pin is, once an epoch. May be called from several threads.

    Args:
        listing: (agreement, epoch) -> its rosters; raises Damaged where one does not verify.
    """

    def __init__(self, listing: Callable[[Agreement, int], Listing]) -> None:
        self._listing = listing
        self._read: tuple[int, Mapping[str, Client | None]] = (-1, {})

    def __call__(self, view: HubView) -> Mapping[str, Client | None]:
        """Return pin -> client; None where several members or agreements claim it.

        An agreement with a roster that does not verify has no clients; the others go on.
        """
        epoch, found = self._read
        if epoch != view.epoch:
            found = self._claimed(view)
            self._read = (view.epoch, found)
        return found

    def _claimed(self, view: HubView) -> Mapping[str, Client | None]:
        found: dict[str, Client | None] = {}
        for agreement in view.agreements.values():
            try:
                listed = list(self._listing(agreement, view.epoch).clients())
            except Damaged as error:
                _log.error("the clients of %s are not known: %s", agreement.id, error)
                continue
            for pin, member in listed:
                one = Client(agreement.id, member)
                found[pin] = one if found.get(pin, one) == one else None
        return found


class Tokens:
    """Reads which credentials rosters in force list, once an epoch. May be called from several threads.

    Args:
        listing: as for `Clients`.
    """

    def __init__(self, listing: Callable[[Agreement, int], Listing]) -> None:
        self._listing = listing
        self._read: tuple[int, frozenset[tuple[str, str, str]]] = (-1, frozenset())

    def __call__(self, view: HubView) -> frozenset[tuple[str, str, str]]:
        """Return (agreement, member, credential id) of all; none where rosters do not verify."""
        epoch, found = self._read
        if epoch != view.epoch:
            found = frozenset(self._listed(view))
            self._read = (view.epoch, found)
        return found

    def _listed(self, view: HubView) -> Iterator[tuple[str, str, str]]:
        for agreement in view.agreements.values():
            if all(one.settings.tokens == "steward" for one in agreement.collections):
                continue
            try:
                for token, member in self._listing(agreement, view.epoch).tokens():
                    yield agreement.id, member, token
            except Damaged as error:
                _log.error("the credentials listed in %s are not known: %s", agreement.id, error)


def name_of(member: str, pin: str) -> str:
    """Return the name of a client that only its member's roster names."""
    return f"{member}-{pin[:SHOWN]}"


def others_pin(
    pins: Iterable[str],
    mine: Client,
    listed: Mapping[str, Client | None],
    credentials: Iterable[Credential],
) -> str:
    """Return the first of these pins that is another's client already, empty if none is.

    Args:
        pins: which a member would have.
        mine: the member, in its agreement.
        listed: pin -> client by the rosters in force.
        credentials: all of the hub; revoked ones count for whom they were.
    """
    held = {one.pin: Client(one.agreement, one.member) for one in credentials if one.pin}
    for pin in pins:
        if held.get(pin, mine) != mine or listed.get(pin, mine) != mine:
            return pin
    return ""
