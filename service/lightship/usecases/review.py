"""Reviewing the access log as a member's auditor: its own member's events, or those of the whole agreement.

No content is shown. What a request asked for and where it came from is personal or tells of objects: an
auditor sees it of its own member; of other members only the salted digests that stand in the log. "Who got
this object" is asked by naming the object. An event means that something was offered, never that it arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lightship.core.access import Action, Grant, Principal
from lightship.core.agreement import Agreement
from lightship.core.audit import STEWARD, AccessEvent, AuditQuery
from lightship.core.collection import MAX_BACKLOG
from lightship.core.cursor import read_token
from lightship.core.errors import MalformedRequest, Refused
from lightship.core.ids import is_sha256, type_of
from lightship.core.ports import Access, Decisions, Reader, Registry
from lightship.core.query import Endpoint, Filters, read_query
from lightship.core.time import Micros

SCOPE_RULE = "deny-audit-scope"
SCANNED = 10_000
"""Events that one page looks through at most; one that found less says where to go on."""
LATE = Micros(10_000_000)
"""How long after a withdrawal was begun a reader may still have got the object: its commit may be slow."""
EARLY = Micros(MAX_BACKLOG + LATE)
"""How long before its `date_added` an object may have been read: stamps lie ahead of the clock."""

_ENDPOINTS = {
    "read-objects": Endpoint.OBJECTS,
    "read-object": Endpoint.OBJECT,
    "read-manifest": Endpoint.MANIFEST,
    "read-versions": Endpoint.VERSIONS,
}
"""The acts that offer objects."""

Test = Callable[[AccessEvent], bool]
Spans = Mapping[str, Sequence[tuple[Micros, Micros | None]]]
"""Collection id -> (date_added, when it was withdrawn or None) of each version of an object there."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose events somebody may see: its own member's, or with `joint` those of the whole agreement."""

    agreement: str
    member: str
    joint: bool
    rule: str

    def covers(self, member: str) -> bool:
        """True for a member whose events may be seen."""
        return self.joint or member == self.member


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a page goes on: after so many matching events of this very microsecond."""

    at: Micros = Micros(0)
    passed: int = 0


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One page of events, oldest first; `next` is None when nothing is left."""

    events: tuple[AccessEvent, ...]
    next: Mark | None


def scope_of(decisions: Decisions, principal: Principal, agreement: Agreement, now: Micros) -> Scope:
    """Return whose access events the principal may see.

    The right is the agreement's; it is asked of its first collection, since no rule about it looks at one.

    Raises:
        Refused: nobody's.
    """
    collection = agreement.collections[0]
    joint = decisions.decide(principal, Action.READ_JOINT_AUDIT, collection, agreement, now)
    if joint.allowed:
        return Scope(agreement.id, principal.member, True, joint.rule)
    own = decisions.decide(principal, Action.READ_AUDIT, collection, agreement, now)
    if own.allowed:
        return Scope(agreement.id, principal.member, False, own.rule)
    raise Refused(
        "This is not allowed here",
        rule=own.rule,
        why=f"{own.say} ({own.rule})",
        todo="Ask the hub's steward for the right, or your member's auditor",
    )


def within(scope: Scope, query: AuditQuery, registry: Registry) -> AuditQuery | None:
    """Return a search cut down to what the scope covers, None if nothing can match.

    `query.principal` may be whatever a credential goes by, or the pin of a client that only its member's
    roster names; a credential outside the scope is like one that does not exist.

    Raises:
        Refused: another member was named than the scope covers.
    """
    if query.member and not scope.covers(query.member):
        raise Refused(
            "These access events are not yours to see",
            rule=SCOPE_RULE,
            why=f"an auditor sees those of its own member, `{scope.member}` ({SCOPE_RULE})",
            todo="Leave out member, or ask for your own",
        )
    principal = query.principal
    if principal:
        principal = next(
            (
                one.id
                for one in registry.credentials(scope.agreement)
                if scope.covers(one.member) and one.goes_by(principal)
            ),
            principal if principal == STEWARD or is_sha256(principal) else "",
        )
        if not principal:
            return None
    member = query.member if scope.joint else scope.member
    return replace(query, agreement=scope.agreement, member=member, principal=principal)


def look(
    access: Access, query: AuditQuery, mark: Mark, test: Test | None, scanned: int = SCANNED
) -> Reviewed:
    """Return one page: at most `query.limit` events that match and pass the test, after the mark.

    Args:
        access: the log.
        query: what to look for; its `limit` is the page's.
        mark: where the page before ended.
        test: what the log itself cannot look for; None takes everything.
        scanned: matching events that are tested at most.
    """
    most = query.limit if test is None else scanned
    begin = max(query.since, mark.at)
    wanted = replace(query, since=begin, limit=mark.passed + most + 1)
    found: list[AccessEvent] = []
    at, count, seen = begin, 0, 0
    for event in access.search(wanted):
        before = Mark(at, count)
        at, count = event.at, count + 1 if event.at == at else 1
        if event.at == mark.at and count <= mark.passed:
            continue
        if len(found) == query.limit or seen == most:
            return Reviewed(tuple(found), before)
        seen += 1
        if test is None or test(event):
            found.append(event)
    return Reviewed(tuple(found), None)


def offered_test(object_id: str, spans: Spans, cursor_key: bytes) -> Test:
    """Return a test that an event offered a version of an object.

    It did if the page reached over the version's `date_added` while the version was there, and its filters
    take the object. Where a filter cannot be told any more the answer is yes. Which version was the latest
    one then is not looked at: a page that reached over an earlier one counts as well.

    Args:
        object_id: the object.
        spans: where and when it was there.
        cursor_key: reads the tokens that events hold.
    """

    def test(event: AccessEvent) -> bool:
        endpoint = _ENDPOINTS.get(event.act)
        if endpoint is None or event.st >= 400 or not event.n:
            return False
        reached = any(
            event.first <= added <= event.last and (gone is None or event.at < gone + LATE)
            for added, gone in spans.get(event.col, ())
        )
        return reached and _takes(_filters_of(event.q, endpoint, cursor_key), object_id)

    return test


def narrowed(query: AuditQuery, spans: Spans) -> AuditQuery:
    """Return the search for events that `offered_test` can take: fewer to look through."""
    first = min((added for held in spans.values() for added, _ in held), default=Micros(0))
    collection = query.collection or (next(iter(spans)) if len(spans) == 1 else "")
    since = max(query.since, Micros(first - EARLY))
    return replace(query, collection=collection, since=since, outcome=query.outcome or "ok")


def grants_of(
    decisions: Decisions, principal: Principal, agreement: Agreement, epoch: int, now: Micros
) -> Iterator[Grant]:
    """Yield a grant for each collection whose access events the principal may see."""
    for collection in agreement.collections:
        for action in (Action.READ_JOINT_AUDIT, Action.READ_AUDIT):
            decision = decisions.decide(principal, action, collection, agreement, now)
            if decision.allowed:
                yield Grant(principal, action, collection, epoch, decision)
                break


def spans_of(reader: Reader, grants: Iterable[Grant], object_id: str) -> Spans:
    """Return where and when an object was, in these collections."""
    found = {grant.collection.id: reader.added(grant, object_id) for grant in grants}
    return {collection: held for collection, held in found.items() if held}


def _filters_of(q: str, endpoint: Endpoint, cursor_key: bytes) -> Filters | None:
    """Return the filters of a logged query, None where they cannot be told: erased, or cut."""
    object_id = ""
    if endpoint in {Endpoint.OBJECT, Endpoint.VERSIONS}:
        object_id, _, q = q.partition("?")
    try:
        asked = read_query(q.encode("latin-1", "replace"), endpoint, object_id)
        return asked.filters if asked.token is None else read_token(cursor_key, asked.token).filters
    except MalformedRequest:
        return None


def _takes(filters: Filters | None, object_id: str) -> bool:
    if filters is None:
        return True
    return (not filters.ids or object_id in filters.ids) and (
        not filters.types or type_of(object_id) in filters.types
    )
