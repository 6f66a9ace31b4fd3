"""`/why/<agreement>/<collection>/`: may somebody do this, by which rules, and what was missing.

GET asks about an action, POST about publishing the objects in the body, of which nothing is stored.
Everybody may ask about itself and its own member; an auditor about those whose access events it may see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from lightship.core.access import Action, Principal
from lightship.core.errors import MalformedRequest
from lightship.core.query import read_parameters
from lightship.core.stix.ingest import Item
from lightship.usecases.answers import Shape, explanation_shape
from lightship.usecases.entry import Place, permit
from lightship.usecases.explain import Asker, Explain, Reach, Spot, find_asked, read_objects
from lightship.web.limits import Limits, read_body
from lightship.web.message import JSON_TYPE, NO_STORE, Answer, Request, Route
from lightship.web.negotiate import body_is_gzip, check_accept_json, check_json_content_type
from lightship.web.places import enter

MOST_BYTES = 1024 * 1024
"""Bytes of a body at most."""
_ACTIONS = tuple(one.value for one in Action)
_FLAGS = {"true": True, "false": False}


class Whys:
    """The handlers, and the route that leads to them.

    `turns` bounds how many explanations are made at once: they cost far more than what readers ask for.
    """

    def __init__(self, explain: Explain, limits: Limits, turns: asyncio.Semaphore) -> None:
        self._explain = explain
        self._turns = turns
        self._limits = replace(limits, body=min(limits.body, MOST_BYTES))
        self._route = Route(
            {"GET": ("read-why", self.action), "POST": ("read-why-objects", self.objects)}, negotiates=False
        )

    def below(self, segments: Sequence[str]) -> tuple[Route, Mapping[str, str]] | None:
        """Find the route of `/why/<agreement>/<collection>/`."""
        return (
            (self._route, dict(zip(("root", "collection"), segments, strict=True)))
            if len(segments) == 2
            else None
        )

    async def action(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """The decision about an action."""
        check_accept_json(request.headers.get(b"accept"))
        place = enter(request, principal, path)
        rule = permit(self._explain.decisions, place, Action.LIST, request.at).decision.rule
        asked = read_parameters(request.query, ("action", "principal", "signed"))
        signed = signed_of(asked)
        action = asked.get("action", Action.READ)
        if action not in _ACTIONS:
            raise MalformedRequest("action is unknown", todo=f"Use {', '.join(_ACTIONS)}")

        def look() -> tuple[Asker, Shape]:
            asker = self._asker(place, asked, request)
            found = self._explain.why(asker, Action(action), spot_of(place), request.at, signed=signed)
            return asker, explanation_shape(found)

        async with self._turns:
            asker, shape = await asyncio.to_thread(look)
        request.done(asker.rule or rule)
        return _answer(_head(place, asker, asked, action) | shape)

    async def objects(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """The decision about publishing each object of the body."""
        check_accept_json(request.headers.get(b"accept"))
        place = enter(request, principal, path)
        rule = permit(self._explain.decisions, place, Action.LIST, request.at).decision.rule
        asked = read_parameters(request.query, ("principal", "signed"))
        signed = signed_of(asked)
        asker = await asyncio.to_thread(self._asker, place, asked, request)
        items = await posted(request, self._explain, self._limits)
        # What another member's own definitions say is that member's: even an auditor of it sees no content.
        own = asker.principal.member == principal.member
        async with self._turns:
            found: list[Reach] = await asyncio.to_thread(
                self._explain.reach, asker, spot_of(place), items, request.at, held=own, signed=signed
            )
        request.done(asker.rule or rule, len(found))
        shapes = [explanation_shape(one.explanation, one.object_id) for one in found]
        return _answer(_head(place, asker, asked, Action.PUBLISH) | {"objects": shapes})

    def _asker(self, place: Place, asked: Mapping[str, str], request: Request) -> Asker:
        explain = self._explain
        return find_asked(explain.decisions, explain.registry, place, asked.get("principal", ""), request.at)


def signed_of(asked: Mapping[str, str]) -> bool:
    """Return what the parameter `signed` says: whether a signed statement would bring it.

    Raises:
        MalformedRequest: neither true nor false.
    """
    found = _FLAGS.get(asked.get("signed", "false"))
    if found is None:
        raise MalformedRequest("signed is unknown", todo="Use true or false")
    return found


async def posted(request: Request, explain: Explain, limits: Limits) -> list[Item]:
    """Return the objects of the body, of which nothing is stored.

    Raises:
        UnsupportedMedia, TooLarge, SlowBody, ClientGone, MalformedRequest, Unprocessable: there are none.
    """
    check_json_content_type(request.headers.get(b"content-type"))
    body_is_gzip(request.headers.get(b"content-encoding"))
    body = await read_body(request, limits)
    return await asyncio.to_thread(read_objects, explain.checks, body)


def spot_of(place: Place) -> Spot:
    """Return the collection that somebody came to."""
    return Spot(place.agreement, place.collection, place.epoch)


def _head(place: Place, asker: Asker, asked: Mapping[str, str], action: str) -> Shape:
    return {
        "principal": asked.get("principal", asker.principal.name),
        "member": asker.principal.member,
        "action": str(action),
        "collection": f"{place.agreement.id}/{place.collection.alias}",
    }


def _answer(shape: Shape) -> Answer:
    return Answer(200, orjson.dumps(shape), (JSON_TYPE, NO_STORE))
