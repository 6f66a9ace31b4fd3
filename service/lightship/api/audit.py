"""`GET /audit/<agreement>/`: a member's auditor searches the access log. Every search is an event itself.

Never shows content: of other members neither what they asked for nor from where, only the digests in the log.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import cast, get_args

import orjson

from lightship.core.access import Principal
from lightship.core.agreement import Agreement
from lightship.core.audit import AuditQuery, Outcome
from lightship.core.errors import MalformedRequest
from lightship.core.ids import is_stix_id
from lightship.core.ports import Access, Decisions, Reader, Registry
from lightship.core.query import read_parameters
from lightship.core.time import Micros, instant_micros, parse_instant
from lightship.usecases import review
from lightship.usecases.answers import Shape, event_shape
from lightship.usecases.entry import open_root
from lightship.web.message import JSON_TYPE, NO_STORE, Answer, Request, Route
from lightship.web.negotiate import check_accept_json

PARAMETERS = (
    *("member", "principal", "collection", "outcome", "action", "object"),
    *("since", "until", "limit", "next"),
)
DEFAULT_LIMIT, MOST = 1000, 5_000
AT_ONCE = 2
"""Searches that run at the same time; more wait their turn, so that readers are not kept waiting."""
_NEXT = re.compile(r"([0-9]{1,16})\.([0-9]{1,9})", re.ASCII)
_LIMIT = re.compile(r"0*[1-9][0-9]*", re.ASCII)


class Audits:
    """The handler, and the route that leads to it."""

    def __init__(
        self,
        *,
        access: Access,
        registry: Registry,
        reader: Reader,
        decisions: Decisions,
        cursor_key: bytes,
    ) -> None:
        self._access = access
        self._registry = registry
        self._reader = reader
        self._decisions = decisions
        self._key = cursor_key
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._route = Route({"GET": ("read-audit", self.search)}, negotiates=False)

    def below(self, segments: Sequence[str]) -> tuple[Route, Mapping[str, str]] | None:
        """Find the route of `/audit/<agreement>/`."""
        return (self._route, {"root": segments[0]}) if len(segments) == 1 else None

    async def search(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """One page of access events, oldest first."""
        check_accept_json(request.headers.get(b"accept"))
        agreement = open_root(request.view, principal, path["root"])
        async with self._turns:
            return await asyncio.to_thread(self._search, request, principal, agreement)

    def _search(self, request: Request, principal: Principal, agreement: Agreement) -> Answer:
        scope = review.scope_of(self._decisions, principal, agreement, request.at)
        found = self._look(request, principal, scope, read_parameters(request.query, PARAMETERS))
        known = self._registry.credentials(agreement.id)
        names = {one.id: one.name for one in known if scope.covers(one.member)}
        shape: Shape = {
            "scope": "agreement" if scope.joint else "member",
            "member": principal.member,
            "more": found.next is not None,
            "events": [
                event_shape(one, clear=one.who == principal.member, principal=names.get(one.cred, ""))
                for one in found.events
            ],
        }
        if found.next is not None:
            shape["next"] = f"{found.next.at}.{found.next.passed}"
        request.done(scope.rule, len(found.events))
        return Answer(200, orjson.dumps(shape), (JSON_TYPE, NO_STORE))

    def _look(
        self, request: Request, principal: Principal, scope: review.Scope, asked: Mapping[str, str]
    ) -> review.Reviewed:
        query = review.within(scope, _query(request, scope, asked), self._registry)
        mark, test = _mark(asked.get("next", "")), None
        object_id = asked.get("object", "")
        if object_id and not is_stix_id(object_id):
            raise MalformedRequest(
                "object is no STIX identifier", todo="Give an id such as indicator--8e2e2d2b-…"
            )
        if query is None:
            return review.Reviewed((), None)
        if object_id:
            view, agreement = request.view, request.view.agreements[scope.agreement]
            grants = review.grants_of(self._decisions, principal, agreement, view.epoch, request.at)
            spans = review.spans_of(self._reader, grants, object_id)
            if not spans:
                return review.Reviewed((), None)
            query, test = review.narrowed(query, spans), review.offered_test(object_id, spans, self._key)
        return review.look(self._access, query, mark, test)


def _query(request: Request, scope: review.Scope, asked: Mapping[str, str]) -> AuditQuery:
    name = asked.get("collection", "")
    collection = request.view.collection(scope.agreement, name) if name else None
    outcome = asked.get("outcome", "")
    if outcome and outcome not in get_args(Outcome):
        raise MalformedRequest("outcome is unknown", todo=f"Use {', '.join(get_args(Outcome))}")
    return AuditQuery(
        member=asked.get("member", ""),
        principal=asked.get("principal", ""),
        collection=collection.id if collection is not None else name,
        outcome=cast("Outcome", outcome),
        action=asked.get("action", ""),
        since=_time(asked, "since") or Micros(0),
        until=_time(asked, "until"),
        limit=_limit(asked.get("limit", "")),
    )


def _time(asked: Mapping[str, str], name: str) -> Micros | None:
    if name not in asked:
        return None
    try:
        return Micros(max(0, instant_micros(parse_instant(asked[name]))))
    except ValueError as error:
        raise MalformedRequest(
            f"{name} is not a timestamp", why=str(error), todo="Send it as 2026-04-01T12:00:00Z"
        ) from None


def _limit(text: str) -> int:
    if not text:
        return DEFAULT_LIMIT
    if not _LIMIT.fullmatch(text):
        raise MalformedRequest("limit is no whole number above 0", todo="Send for example limit=100")
    return min(int(text[-18:]), MOST) if len(text.lstrip("0")) <= 18 else MOST


def _mark(text: str) -> review.Mark:
    if not text:
        return review.Mark()
    found = _NEXT.fullmatch(text)
    if found is None:
        raise MalformedRequest("next is none that was given out here", todo="Leave out next to start over")
    return review.Mark(Micros(int(found[1])), int(found[2]))
