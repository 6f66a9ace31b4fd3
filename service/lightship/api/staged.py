"""`/staged/<agreement>/<collection>/`: what a publisher has waiting for its release, and how it is cancelled.

GET lists the member's own staged objects, without their content; DELETE of `…/<object-id>/` takes one back.
Of other members' it shows nothing: they get the same answer as if nothing were there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from lightship.core.access import Principal
from lightship.core.audit import AccessEvent
from lightship.core.ports import Row, Staged
from lightship.core.query import Endpoint, read_parameters, read_query
from lightship.core.time import format_stamp
from lightship.usecases.staged import StagedObjects
from lightship.web.message import JSON_TYPE, NO_STORE, Answer, Request, Route
from lightship.web.negotiate import check_accept_json
from lightship.web.places import enter, object_of
from lightship.web.security_schemes import to_read

SEGMENT = "staged"
PATH = "/staged/{root}/{collection}/"


class StagedFace:
    """The handlers, and what finds their routes."""

    def __init__(self, staged: StagedObjects) -> None:
        self._staged = staged
        self._all = Route({"GET": ("read-staged", self.list)}, negotiates=False)
        self._one = Route({"DELETE": ("cancel-staged", self.cancel)}, negotiates=False)

    def below(self, segments: list[str]) -> tuple[Route, Mapping[str, str]] | None:
        """Match what comes after `/staged/`."""
        match segments:
            case [root, collection]:
                return self._all, {"root": root, "collection": collection}
            case [root, collection, value]:
                return self._one, {"root": root, "collection": collection, "object": value}
            case _:
                return None

    async def list(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """What the member has waiting, by release."""
        check_accept_json(request.headers.get(b"accept"))
        place = enter(request, principal, path)
        grant = self._staged.permit(place, request.at)
        read_parameters(request.query, ())
        found = await self._staged.list(place, request.at)
        request.done(grant.decision.rule, len(found))
        return _json({"staged": [shape(one) for one in found]})

    async def cancel(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """Take a staged object, or versions of it, back."""
        check_accept_json(request.headers.get(b"accept"))
        place = enter(request, principal, path)
        grant = self._staged.permit(place, request.at)
        object_id = object_of(request, path)
        filters = read_query(request.query, Endpoint.DELETE, object_id).filters

        def event_of(rows: Sequence[Row]) -> AccessEvent:
            return replace(request.event(200), why=grant.decision.rule, n=len(rows))

        done = await self._staged.cancel(place, object_id, filters, request.at, event_of)
        request.written = done.event
        return _json({"cancelled": [{"id": one.id, "version": one.version_text} for one in done.cancelled]})


def shape(one: Staged) -> dict[str, str]:
    """Return a staged object as JSON shows it; `version` is empty for types without one."""
    candidate = one.candidate
    return {
        "id": candidate.id,
        "version": candidate.version_text,
        "release_at": format_stamp(one.release_at),
        "posted": format_stamp(one.posted),
        "problem": one.problem,
    }


def with_staged(fragment: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return an OpenAPI fragment with these routes' `paths` added."""
    shown = fragment()
    text = {"type": "string"}
    listed = dict.fromkeys(("id", "version", "release_at", "posted", "problem"), text)
    shown["paths"][PATH] = {
        "get": _operation("Own objects that wait for their release", "staged", listed, ("root", "collection"))
    }
    one = _operation(
        "Cancel a staged object",
        "cancelled",
        {"id": text, "version": text},
        ("root", "collection", "object"),
    )
    taxii = shown["paths"]["/{root}/collections/{collection}/objects/{object}/"]["delete"]
    one["responses"]["409"] = one["responses"]["404"] | {
        "description": "It is a marking definition, and what it marks would stay without its meaning"
    }
    one["parameters"] += [each for each in taxii["parameters"] if each["in"] == "query"]
    shown["paths"][PATH + "{object}/"] = {"delete": one}
    return shown


def _json(value: Mapping[str, object]) -> Answer:
    return Answer(200, orjson.dumps(value), (JSON_TYPE, NO_STORE))


def _operation(
    summary: str, name: str, properties: Mapping[str, object], path: Sequence[str]
) -> dict[str, Any]:
    entry = {"type": "object", "required": sorted(properties), "properties": dict(properties)}
    body = {
        "type": "object",
        "required": [name],
        "properties": {name: {"type": "array", "items": entry}},
        "additionalProperties": False,
    }
    error = {"application/taxii+json;version=2.1": {"schema": {"$ref": "#/components/schemas/Error"}}}
    refusals = {
        "400": "A parameter has no meaning",
        "401": "A credential is needed",
        "403": "A rule refuses it",
        "404": "There is no such resource for this principal",
        "406": "JSON is not accepted",
        "429": "Too many failed logins",
        "503": "For now it cannot be done",
    }
    return {
        "summary": summary,
        "security": to_read(),
        "parameters": [
            {"name": one, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for one in path
        ],
        "responses": {"200": {"description": "Done", "content": {"application/json": {"schema": body}}}}
        | {status: {"description": text, "content": error} for status, text in refusals.items()},
    }
