"""POST of objects and DELETE of one (TAXII 2.1 sections 5.5 and 5.7): HTTP to use case and back.

Rights are decided before the body is read. A post is complete when it is answered: 202 with its status.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

from lightship.core.access import Principal
from lightship.core.audit import AccessEvent
from lightship.core.collection import stamp_of
from lightship.core.ports import Row
from lightship.core.query import Endpoint, read_query
from lightship.usecases.publish import Post, Publish
from lightship.usecases.withdraw import Withdraw
from lightship.web.limits import Limits, read_body
from lightship.web.message import NO_STORE, TAXII_TYPE, Answer, Request
from lightship.web.negotiate import body_is_gzip, check_content_type
from lightship.web.places import enter, object_of

WITHDRAW_RULE = "allow-publisher-withdraw"


class Writes:
    """Handlers of POST and DELETE."""

    def __init__(
        self, *, publish: Publish, withdraw: Withdraw, limits: Limits, new_id: Callable[[], UUID]
    ) -> None:
        self._publish = publish
        self._withdraw = withdraw
        self._limits = limits
        self._new_id = new_id

    async def post(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """Section 5.5: add objects."""
        place = enter(request, principal, path)
        grant = self._publish.permit(place, request.at)
        check_content_type(request.headers.get(b"content-type"))
        body_is_gzip(request.headers.get(b"content-encoding"))
        body = await read_body(request, self._limits)
        request.why = grant.decision.rule
        event_of = partial(request.publish_event, 202)
        post = Post(place, body, str(self._new_id()), request.at, event_of)
        published = await self._publish(post)
        request.written = published.event
        return Answer(202, published.status)

    async def delete(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """Section 5.7: take an object, or versions of it, out."""
        place = enter(request, principal, path)
        self._withdraw.permit(place, request.at)
        object_id = object_of(request, path)
        filters = read_query(request.query, Endpoint.DELETE, object_id).filters

        def event_of(rows: Sequence[Row]) -> AccessEvent:
            stamps = [stamp_of(row.key) for row in rows if row.key]  # what was only staged has none
            return replace(
                request.event(200),
                why=WITHDRAW_RULE,
                n=len(rows),
                first=min(stamps, default=0),
                last=max(stamps, default=0),
            )

        withdrawn = await self._withdraw(place, object_id, filters, request.at, event_of)
        request.written = withdrawn.event
        return Answer(200, b"", (TAXII_TYPE, NO_STORE))
