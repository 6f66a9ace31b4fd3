"""Why somebody may or may not do something, and who would read what is published: asked before it is done.

The answers are those of the rules themselves, asked in the same way as requests ask them. What only the
store can decide (who owns an object, conflicts, quotas) is not foretold. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lightship.core.access import Action, Credential, Decision, Principal
from lightship.core.agreement import Agreement
from lightship.core.collection import Candidate, Collection
from lightship.core.errors import NotFound
from lightship.core.explanation import Explanation, Reason
from lightship.core.ports import Decisions, Registry
from lightship.core.time import Micros
from lightship.usecases.directory import HubView
from lightship.usecases.publish import Checks


@dataclass(frozen=True, slots=True)
class Spot:
    """A collection in its agreement, looked at by the steward."""

    agreement: Agreement
    collection: Collection


@dataclass(frozen=True, slots=True)
class Asker:
    """Who is asked about: a principal, and why its credential does not hold, if it does not."""

    principal: Principal
    void: Decision | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An explanation; `object_id` is empty where it is not about one object."""

    object_id: str
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Reader:
    """A member that may read a collection now, and how many credentials of it hold."""

    member: str
    name: str
    clients: int


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
    return Spot(view.agreements[root], found)


def find_asker(registry: Registry, agreement: Agreement, text: str, now: Micros) -> Asker:
    """Return who is meant: a member of the agreement, or a credential by its name, `member/name` or id.

    Raises:
        NotFound: neither.
    """
    if text in agreement.members:
        return Asker(Principal(agreement.id, text, "", text))
    name = text.replace("/", "-", 1)
    for one in registry.credentials():
        if text == one.id or name == one.name:
            return Asker(Principal(one.agreement, one.member, one.id, one.name), _void(one, now))
    raise NotFound(
        f"There is no principal {text} here",
        why=f"it is no member of `{agreement.id}` and no credential of the hub",
        todo=f"Members are {', '.join(agreement.members)}; `lightship credential list` shows credentials",
    )


def why(decisions: Decisions, asker: Asker, action: Action, spot: Spot, now: Micros) -> Explanation:
    """Explain the decision about an action on a collection."""
    return _explain(decisions, asker, action, spot, now)


def why_objects(
    decisions: Decisions, checks: Checks, asker: Asker, spot: Spot, objects: Sequence[bytes], now: Micros
) -> Iterator[Answer]:
    """Explain, for each object in its order, what publishing it there comes to: its checks, then the rules.

    Args:
        decisions: the rules.
        checks: the object checks.
        asker: who would publish.
        spot: where.
        objects: each one as JSON text.
        now: the time to ask for, microseconds.

    Raises:
        MalformedRequest, Unprocessable: they cannot be read.
    """
    checked = _check(checks, spot.collection, objects, now)
    for object_id, one in checked:
        if isinstance(one, Reason):
            refused = Decision(False, one.rule, one.say)
            yield Answer(object_id, Explanation(refused, (one,), ()))
        else:
            yield Answer(object_id, _explain(decisions, asker, Action.PUBLISH, spot, now, one))


def audience(decisions: Decisions, registry: Registry, spot: Spot, now: Micros) -> list[Reader]:
    """Return who may read the collection now, by name, in the agreement's order."""
    held = [one for one in registry.credentials(spot.agreement.id) if _void(one, now) is None]
    found = []
    for member in spot.agreement.members.values():
        principal = Principal(spot.agreement.id, member.slug, "", member.slug)
        if decisions.decide(principal, Action.READ, spot.collection, spot.agreement, now).allowed:
            clients = sum(one.member == member.slug for one in held)
            found.append(Reader(member.slug, member.name, clients))
    return found


def _explain(
    decisions: Decisions,
    asker: Asker,
    action: Action,
    spot: Spot,
    now: Micros,
    candidate: Candidate | None = None,
) -> Explanation:
    found = decisions.explain(asker.principal, action, spot.collection, spot.agreement, now, candidate)
    if asker.void is None:
        return found
    # A credential that does not hold is refused at the door, whatever the rules would say.
    return Explanation(asker.void, (Reason(asker.void.rule, asker.void.say),), found.permits)


def _void(one: Credential, now: Micros) -> Decision | None:
    if one.revoked is not None:
        return Decision(False, "deny-revoked", f"The credential `{one.name}` was revoked.")
    if one.expires is not None and one.expires <= now:
        return Decision(False, "deny-expired", f"The credential `{one.name}` has expired.")
    return None


def _check(
    checks: Checks, collection: Collection, objects: Sequence[bytes], now: Micros
) -> list[tuple[str, Candidate | Reason]]:
    """Return (id, what came of its checks) of each object, in order."""
    items = checks.read_envelope(b'{"objects":[' + b",".join(objects) + b"]}")
    candidates, refusals = checks.check(items, collection.settings, now)
    found: list[tuple[int, str, Candidate | Reason]] = [(one.position, one.id, one) for one in candidates]
    found += [(one.position, one.id, Reason(one.rule, one.message)) for one in refusals]
    return [(object_id, one) for _, object_id, one in sorted(found, key=lambda each: each[0])]
