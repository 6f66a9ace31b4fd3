"""Which agreements, collections and credentials there are: loaded once an epoch, looked up in memory.

An agreement is served only if its whole signed chain holds, suspensions and all; one that does not is named
under `damaged`, and the others go on. Safe to use from several threads. Never caches across an epoch, so a
revocation or a new version counts from the next `view()` on, also when another process made it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

from lightship.core.access import Client, Credential, CredentialKind, Principal
from lightship.core.agreement import Agreement, Verify, load_chain
from lightship.core.collection import Collection, CollectionSettings, Level
from lightship.core.dsse import parse_canonical
from lightship.core.errors import Damaged
from lightship.core.ports import Registry, SignedAgreement, SignedSuspension
from lightship.core.time import Micros

_Stored = tuple[Sequence[SignedAgreement], Sequence[SignedSuspension], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class HubView:
    """What a hub offers at one policy epoch. `damaged` maps an agreement to why it is not served."""

    epoch: int
    agreements: Mapping[str, Agreement]
    damaged: Mapping[str, str] = field(default_factory=dict)
    _index: dict[tuple[str, str], Collection] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index: dict[tuple[str, str], Collection] = {}
        for agreement in self.agreements.values():
            for collection in agreement.collections:
                index[agreement.id, collection.id] = collection
                index[agreement.id, collection.alias] = collection
        object.__setattr__(self, "_index", index)

    def collection(self, agreement_id: str, id_or_alias: str) -> Collection | None:
        """Return a collection of an agreement by its id or alias, None if there is none."""
        return self._index.get((agreement_id, id_or_alias))


class Directory:
    """Looks up agreements and credentials, each once an epoch.

    Args:
        registry: where they are stored.
        verify: the signature check of the agreement chain (`lightship.crypto.sign.verify`).
        pinned_key: key id that must have signed each agreement's version 1; empty takes any.
    """

    def __init__(self, registry: Registry, verify: Verify, *, pinned_key: str = "") -> None:
        self.registry = registry
        self._verify = verify
        self._pinned_key = pinned_key
        self._lock = threading.Lock()
        self._view: HubView | None = None
        self._loaded: dict[str, tuple[_Stored, Agreement]] = {}
        self._credentials: tuple[int, dict[tuple[CredentialKind, bytes], Credential]] = (-1, {})
        self._gone: tuple[int, Sequence[tuple[Agreement, Collection]]] = (-1, ())
        self.on_change: Callable[[], None] = lambda: None
        """Called when another policy epoch was loaded, in the thread that noticed it."""
        self.clients: Callable[[HubView], Mapping[str, Client | None]] = lambda view: {}
        """Pin -> whose client it is by the rosters in force; None where several claim it (`Clients`)."""
        self.tokens: Callable[[HubView], Container[tuple[str, str, str]]] = lambda view: ()
        """(agreement, member, credential id) of each credential that a roster in force lists (`Tokens`)."""

    def view(self) -> HubView:
        """Return what the hub offers now. Reads the epoch; loads and verifies only if it changed."""
        epoch = self.registry.epoch()
        view = self._view
        if view is not None and view.epoch == epoch:
            return view
        with self._lock:
            if self._view is None or self._view.epoch != epoch:
                # The epoch was read first, so what is loaded is at least as new as the view says.
                self._view = self._load(epoch)
                self._credentials = (epoch, {})
            view = self._view
        self.on_change()
        return view

    def credential(self, view: HubView, digest: bytes, kind: CredentialKind = "secret") -> Credential | None:
        """Return the credential of this kind with this digest, revoked and expired ones too.

        What is not found is not remembered, so guesses cannot fill the memory.
        """
        epoch, cache = self._credentials
        if epoch != view.epoch:
            return self.registry.credential_by_digest(digest, kind)
        found = cache.get((kind, digest))
        if found is None:
            found = self.registry.credential_by_digest(digest, kind)
            if found is not None:
                cache[kind, digest] = found
        return found

    def pinned(self, view: HubView, pin: str) -> Credential | Client | None:
        """Return what a client certificate's pin stands for: a credential of its kind, which goes before
        rosters, or the client that a roster in force lists; None if it is nobody's."""
        if not pin:
            return None
        return self.credential(view, bytes.fromhex(pin), "certificate") or self.clients(view).get(pin)

    def lists(self, view: HubView, one: Credential | Principal) -> bool:
        """True if the roster in force of its member lists this credential, or what this principal shows.

        A key that the steward pinned is listed by its pin or by its credential's id, like a secret by its id.
        """
        name = one.id if isinstance(one, Credential) else one.credential
        if (one.agreement, one.member, name) in self.tokens(view):
            return True
        return bool(one.pin) and self.clients(view).get(one.pin) == Client(one.agreement, one.member)

    def holds(self, principal: Principal, now: Micros) -> bool:
        """True if the principal's credential is neither revoked nor expired; asks the registry."""
        if principal.pin and principal.credential == principal.pin:
            return self.vouches(principal, now)
        return any(
            one.id == principal.credential
            and one.holds(now)
            and (one.kind == "secret" or self.vouches(principal, now))
            for one in self.registry.credentials(principal.agreement)
        )

    def vouches(self, principal: Principal, now: Micros) -> bool:
        """True if the pin of a principal whose request began at `now` is its member's, by today's rules."""
        view = self.view()
        found, agreement = self.pinned(view, principal.pin), view.agreements.get(principal.agreement)
        if found is None or (isinstance(found, Credential) and not found.holds(now)):
            return False
        if agreement is None or agreement.for_request(now).suspended("", now, principal.pin) is not None:
            return False
        return (found.agreement, found.member) == (principal.agreement, principal.member)

    def removed(self, view: HubView) -> Sequence[tuple[Agreement, Collection]]:
        """Return the collections that earlier versions of these agreements had and the newest has not.

        Nobody reads or posts there; what they hold stays as long as the last version that had them says, in
        case they come back.
        """
        epoch, before = self._gone
        if epoch == view.epoch:  # every payload of every chain is read: once an epoch
            return before
        numbers, found = self.registry.collection_numbers(), []
        for agreement in view.agreements.values():
            known = {one.id for one in agreement.collections}
            for link in reversed(self.registry.chain(agreement.id)):
                for alias, one in parse_canonical(link.payload)["collections"].items():
                    if one["id"] not in known:
                        known.add(one["id"])
                        days = one.get("retention_days")
                        closed = _closed(numbers[one["id"]], one["id"], agreement.id, alias, days)
                        found.append((agreement, closed))
        self._gone = (view.epoch, found)
        return found

    def _load(self, epoch: int) -> HubView:
        numbers = dict(self.registry.collection_numbers())
        agreements: dict[str, Agreement] = {}
        damaged: dict[str, str] = {}
        for name in self.registry.agreement_ids():
            links = tuple(self.registry.chain(name))
            stored = (links, tuple(self.registry.suspensions(name)), numbers)
            known = self._loaded.get(name)
            if known is not None and known[0] == stored:
                agreements[name] = known[1]
                continue
            try:
                agreements[name] = load_chain(
                    name,
                    [(one.envelope, one.payload) for one in links],
                    numbers,
                    self._verify,
                    pinned_key=self._pinned_key,
                    rules=links[-1].rules if links else b"",
                    suspensions=[(one.envelope, one.version, one.applied) for one in stored[1]],
                )
            except Damaged as error:
                self._loaded.pop(name, None)
                damaged[name] = str(error)
            else:
                self._loaded[name] = (stored, agreements[name])
        return HubView(epoch, agreements, damaged)


def _closed(
    number: int, collection_id: str, agreement: str, alias: str, retention_days: int | None
) -> Collection:
    return Collection(
        number=number,
        id=collection_id,
        agreement=agreement,
        alias=alias,
        title="",
        description="",
        ceiling=Level.CLEAR,
        audience=frozenset(),
        publishers=frozenset(),
        settings=CollectionSettings(retention_days=retention_days),
    )
