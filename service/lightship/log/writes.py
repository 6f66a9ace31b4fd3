"""`POST /log/<collection>/publish`: a signed statement with its objects, answered with its proof.

Same authentication, rights and checks as a post over TAXII. 200 with the status resource in any case; with
leaf, proof and checkpoint where the statement was taken.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from uuid import UUID

import orjson

from lightship.core.access import Principal
from lightship.core.ids import is_uuid4
from lightship.usecases.publish import Post
from lightship.usecases.publish_signed import Declined, Proven, PublishSigned
from lightship.web.limits import Limits, read_body
from lightship.web.message import JSON_TYPE, NO_STORE, Answer, Request, Route
from lightship.web.negotiate import body_is_gzip, check_json_content_type
from lightship.web.places import enter

Found = tuple[Route, Mapping[str, str]] | None
REFUSED_RULE = "deny-statement"


class LogWrites:
    """The handler, and what finds its route."""

    def __init__(self, publish: PublishSigned, limits: Limits, new_id: Callable[[], UUID]) -> None:
        self._publish = publish
        self._limits = limits
        self._new_id = new_id
        self._route = Route({"POST": ("publish-signed", self.post)}, negotiates=False)

    def below_log(self, segments: list[str]) -> Found:
        """Match what comes after `/log/`."""
        match segments:
            case [collection, "publish"] if is_uuid4(collection):
                return self._route, {"collection": collection}
            case _:
                return None

    async def post(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """Take a signed statement, or say why not."""
        place = enter(request, principal, {"root": principal.agreement, "collection": path["collection"]})
        grant = self._publish.permit(place, request.at)
        check_json_content_type(request.headers.get(b"content-type"))
        body_is_gzip(request.headers.get(b"content-encoding"))
        body = await read_body(request, self._limits)
        request.why = grant.decision.rule
        event_of = partial(request.publish_event, 200)
        post = Post(place, body, str(self._new_id()), request.at, event_of)
        done = await self._publish(post)
        if isinstance(done, Declined):
            request.why = REFUSED_RULE
            return Answer(200, b'{"status":%b}' % done.status, (JSON_TYPE, NO_STORE))
        request.written = done.logged.event
        return Answer(200, _answer(done), (JSON_TYPE, NO_STORE))


def _answer(done: Proven) -> bytes:
    return orjson.dumps(
        {
            "status": orjson.Fragment(done.logged.status),
            "index": done.logged.index,
            "leaf": b64encode(done.leaf).decode(),
            "proof": [b64encode(one).decode() for one in done.path],
            "checkpoint": done.checkpoint.decode(),
        }
    )
