"""Why somebody may or may not do something, and who would get what is published: asked before it is done.

The answers are those of the rules themselves, asked in the same way as requests ask them. What only the
store can decide (who owns an object, conflicts, quotas) is not foretold. Nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lightship.core.access import Action, Client, Credential, Decision, Grant, Principal
from lightship.core.agreement import Agreement
from lightship.core.collection import Candidate, Collection
from lightship.core.errors import NotFound, Unprocessable
from lightship.core.explanation import Explanation, Reason
from lightship.core.marks import Definition, MarkingSet
from lightship.core.ports import Decisions, Registry
from lightship.core.ports import Reader as Store
from lightship.core.stix.ingest import Item
from lightship.core.stix.json import decode_listing
from lightship.core.time import Micros
from lightship.usecases.clients import name_of
from lightship.usecases.directory import Directory, HubView
from lightship.usecases.entry import Hidden, Place
from lightship.usecases.marks import PostedMarks
from lightship.usecases.publish import Checks
from lightship.usecases.review import scope_of

MOST_OBJECTS = 100
"""Objects that are explained at once: an explanation costs far more than a decision."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A collection in its agreement, looked at under one policy epoch."""

    agreement: Agreement
    collection: Collection
    epoch: int


@dataclass(frozen=True, slots=True)
class Asker:
    """Who is asked about: a principal, and why its credential does not hold, if it does not.

    `rule` is the permit by which somebody else may ask about it, empty where no other is needed.
    """

    principal: Principal
    void: Decision | None = None
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Reader:
    """A member that may read a collection now, and how many clients it has: credentials that hold, and client
    certificates that its roster lists."""

    member: str
    name: str
    clients: int


@dataclass(frozen=True, slots=True)
class Reach:
    """What publishing one object comes to, and which readers its markings let have it.

    `release_at` and `share_until` are the terms of its markings, microseconds. Readers are on neither list
    where the object's markings cannot be told.
    """

    object_id: str
    explanation: Explanation
    receives: tuple[Reader, ...] = ()
    withheld: tuple[tuple[Reader, Decision], ...] = ()
    release_at: Micros | None = None
    share_until: Micros | None = None


def find_spot(view: HubView, name: str) -> Spot:
    """Return the collection named `AGREEMENT/ALIAS` or `AGREEMENT/ID`.

    Raises:
        NotFound: there is none; the error names those there are.
    """
    root, _, alias = name.partition("/")
    found = view.collection(root, alias)
    if found is None:
        known = [
            f"{one.agreement}/{one.alias}" for each in view.agreements.values() for one in each.collections
        ]
        raise NotFound(f"There is no collection {name} here", why=f"there are: {', '.join(known) or 'none'}")
    return Spot(view.agreements[root], found, view.epoch)


def find_asker(
    registry: Registry,
    agreement: Agreement,
    text: str,
    now: Micros,
    *,
    listed: Mapping[str, Client | None] | None = None,
    certificate: bool = False,
) -> Asker:
    """Return who the steward means: a member of the agreement, or a client by name, `member/name`, id or pin.

    Args:
        registry: knows the credentials.
        listed: pin -> client by the rosters in force.
        certificate: as if a pinned certificate were shown as well, which the member's roster lists.

    Raises:
        NotFound: neither.
    """
    asker = _named_asker(registry, agreement, text, now, listed or {})
    if not certificate or asker.principal.certificate:
        return asker
    return replace(asker, principal=replace(asker.principal, certificate=True, listed=True))


def _named_asker(
    registry: Registry, agreement: Agreement, text: str, now: Micros, listed: Mapping[str, Client | None]
) -> Asker:
    if text in agreement.members:
        return Asker(Principal(agreement.id, text, "", text))
    for one in registry.credentials():
        if one.goes_by(text):
            return _asker(one, now)
    for pin, client in listed.items():
        if client is not None and text in {pin, name_of(client.member, pin)}:
            name = name_of(client.member, pin)
            return Asker(Principal(client.agreement, client.member, pin, name, certificate=True, pin=pin))
    raise NotFound(
        f"There is no principal {text} here",
        why=f"it is no member of `{agreement.id}` and no credential of the hub",
        todo=f"Members are {', '.join(agreement.members)}; `lightship credential list` shows credentials",
    )


def find_asked(decisions: Decisions, registry: Registry, place: Place, text: str, now: Micros) -> Asker:
    """Return who is meant, for a principal: itself without `text`, else whoever it may ask about.

    That is its own member and itself for everybody; for an auditor the members whose access events it may
    see, and their credentials. Anybody else is like nobody, whether it exists or not.

    Raises:
        Refused: it may ask about itself only.
        Hidden: there is no such principal for it.
    """
    principal, agreement = place.principal, place.agreement
    name = text.replace("/", "-", 1)
    if not text or text == principal.credential or name == principal.name:
        return Asker(principal)
    if text == principal.member:
        return Asker(Principal(agreement.id, text, "", text))
    scope = scope_of(decisions, principal, agreement, now)
    if text in agreement.members and scope.covers(text):
        return Asker(Principal(agreement.id, text, "", text), rule=scope.rule)
    for one in registry.credentials(agreement.id):
        if one.goes_by(text) and scope.covers(one.member):
            return replace(_asker(one, now), rule=scope.rule)
    raise Hidden


def read_objects(checks: Checks, body: bytes) -> list[Item]:
    """Return the objects of a body: one STIX object, a bundle or an envelope.

    Raises:
        MalformedRequest, Unprocessable: it is none of these, or holds too many.
    """
    listing = decode_listing(body, "objects")
    kind = listing.members.get("type")  # an envelope has none
    alone = listing.is_object and kind != "bundle" and (kind is not None or listing.items is None)
    items = checks.read_envelope(b'{"objects":[' + body + b"]}" if alone else body)
    if len(items) > MOST_OBJECTS:
        raise Unprocessable(
            "These are too many objects to explain",
            why=f"{len(items)} were sent, {MOST_OBJECTS} are explained at once",
            todo="Ask about fewer",
        )
    return items


class Explain:
    """Answers questions about the rules."""

    def __init__(self, *, decisions: Decisions, checks: Checks, reader: Store, directory: Directory) -> None:
        self.decisions = decisions
        self.checks = checks
        self.reader = reader
        self.registry = directory.registry
        self._directory = directory

    def _lists(self, one: Credential | Principal) -> bool:
        return self._directory.lists(self._directory.view(), one)

    def _principal(self, asker: Asker) -> Principal:
        """Return who is asked about, with what the roster of its member says of its credential."""
        one = asker.principal
        return replace(one, listed=self._lists(one)) if one.credential and not one.listed else one

    def why(
        self, asker: Asker, action: Action, spot: Spot, now: Micros, *, signed: bool = False
    ) -> Explanation:
        """Explain the decision about an action on a collection.

        Args:
            asker, action, spot: who would do what, where.  now: the time to ask for, microseconds.
            signed: by a statement that a publish key signed.
        """
        return self._explain(asker, action, spot, now, signed=signed)

    def audience(self, spot: Spot, now: Micros) -> list[Reader]:
        """Return who may read the collection now, by name, in the agreement's order."""
        held = [one for one in self.registry.credentials(spot.agreement.id) if _void(one, now) is None]
        if spot.collection.settings.tokens == "member":
            held = [one for one in held if self._lists(one)]
        clients_of = Counter(one.member for one in held)
        known = {one.pin for one in self.registry.credentials()}  # they go before rosters, revoked ones too
        for pin, client in self._directory.clients(self._directory.view()).items():
            if client is not None and client.agreement == spot.agreement.id and pin not in known:
                clients_of[client.member] += 1
        found = []
        for member in spot.agreement.members.values():
            principal = Principal(spot.agreement.id, member.slug, "", member.slug, listed=True)
            if self.decisions.decide(principal, Action.READ, spot.collection, spot.agreement, now).allowed:
                found.append(Reader(member.slug, member.name, clients_of[member.slug]))
        return found

    def reach(
        self,
        asker: Asker,
        spot: Spot,
        items: Sequence[Item],
        now: Micros,
        readers: Sequence[Reader] = (),
        *,
        held: bool = True,
        signed: bool = False,
    ) -> list[Reach]:
        """Explain, for each object in its order, what publishing it there comes to, and who would get it.

        Args:
            asker: who would publish.
            spot: where.
            items: the objects (`read_objects`).
            now: the time to ask for, microseconds.
            readers: of whom each object's markings are asked; from `audience`.
            held: whether marking definitions that the hub holds count, or those that came along only.
            signed: in a statement that a publish key signed.
        """
        candidates, refusals = self.checks.check(items, spot.collection.settings, now)
        found: list[tuple[int, Reach]] = []
        for one in refusals:
            decision = Decision(False, one.rule, one.message)
            found.append((one.position, Reach(one.id, _refused(decision))))
        principal = self._principal(asker)
        may = self.decisions.decide(
            principal, Action.PUBLISH, spot.collection, spot.agreement, now, signed=signed
        )
        grant = Grant(principal, Action.PUBLISH, spot.collection, spot.epoch, may)
        store = self.reader if held else _NothingHeld()
        gone = {one.id for one in refusals}
        posted = PostedMarks(store, self.decisions, grant, principal, spot.agreement, candidates, now, gone)
        resolved = posted.resolved()
        known = list(zip(resolved.taken, resolved.marks, strict=True))
        for candidate, marks, decision in resolved.refused:
            if marks is None:
                found.append((candidate.position, Reach(candidate.id, _refused(decision))))
            else:
                known.append((candidate, marks))
        for candidate, marks in known:
            reach = self._reach(asker, spot, candidate, marks, now, readers, signed=signed)
            found.append((candidate.position, reach))
        return [one for _, one in sorted(found, key=lambda each: each[0])]

    def _reach(
        self,
        asker: Asker,
        spot: Spot,
        candidate: Candidate,
        marks: MarkingSet,
        now: Micros,
        readers: Sequence[Reader],
        *,
        signed: bool,
    ) -> Reach:
        owner = asker.principal.member
        asked = [
            (one, self.decisions.receive(one.member, spot.collection, spot.agreement, owner, marks))
            for one in readers
        ]
        return Reach(
            candidate.id,
            self._explain(asker, Action.PUBLISH, spot, now, candidate, marks, signed=signed),
            tuple(one for one, decision in asked if decision.allowed),
            tuple((one, decision) for one, decision in asked if not decision.allowed),
            marks.release_at,
            marks.share_until,
        )

    def _explain(
        self,
        asker: Asker,
        action: Action,
        spot: Spot,
        now: Micros,
        candidate: Candidate | None = None,
        marks: MarkingSet | None = None,
        *,
        signed: bool,
    ) -> Explanation:
        found = self.decisions.explain(
            *(self._principal(asker), action, spot.collection, spot.agreement, now, candidate, marks),
            signed=signed,
        )
        if asker.void is None:
            return found
        # A credential that does not hold is refused at the door, whatever the rules would say.
        return Explanation(asker.void, (Reason(asker.void.rule, asker.void.say),), found.permits)


class _NothingHeld:
    """Marking definitions of a hub that holds none."""

    def definitions(
        self, grant: Grant, collections: Sequence[int], ids: Sequence[str]
    ) -> Sequence[Definition]:
        """Return none."""
        return ()


def _refused(decision: Decision) -> Explanation:
    return Explanation(decision, (Reason(decision.rule, decision.say),), ())


def _asker(one: Credential, now: Micros) -> Asker:
    principal = Principal(one.agreement, one.member, one.id, one.name, certificate=bool(one.pin), pin=one.pin)
    return Asker(principal, _void(one, now))


def _void(one: Credential, now: Micros) -> Decision | None:
    if one.revoked is not None:
        return Decision(False, "deny-revoked", f"The credential `{one.name}` was revoked.")
    if one.expires is not None and one.expires <= now:
        return Decision(False, "deny-expired", f"The credential `{one.name}` has expired.")
    return None
