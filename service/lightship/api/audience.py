"""`/audience/<agreement>/<collection>/`: who would read what is published there, before it is sent.

GET names the readers, by name and number of clients; POST says of each object in the body also whether it
could enter, and who would get it by its markings. Nothing is stored. For who may read or publish there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from lightship.api.why import MOST_BYTES, posted, signed_of, spot_of
from lightship.core.access import Action, Grant, Principal
from lightship.core.errors import Refused
from lightship.core.query import read_parameters
from lightship.usecases.answers import Shape, reach_shape, reader_shape
from lightship.usecases.entry import Place, permit
from lightship.usecases.explain import Asker, Explain
from lightship.web.limits import Limits
from lightship.web.message import JSON_TYPE, NO_STORE, Answer, Request, Route
from lightship.web.negotiate import check_accept_json
from lightship.web.places import enter


class Audiences:
    """The handlers, and the route that leads to them; `turns` as in `Whys`."""

    def __init__(self, explain: Explain, limits: Limits, turns: asyncio.Semaphore) -> None:
        self._explain = explain
        self._turns = turns
        self._limits = replace(limits, body=min(limits.body, MOST_BYTES))
        self._route = Route(
            {"GET": ("read-audience", self.readers), "POST": ("read-audience-objects", self.objects)},
            negotiates=False,
        )

    def below(self, segments: Sequence[str]) -> tuple[Route, Mapping[str, str]] | None:
        """Find the route of `/audience/<agreement>/<collection>/`."""
        return (
            (self._route, dict(zip(("root", "collection"), segments, strict=True)))
            if len(segments) == 2
            else None
        )

    async def readers(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """Who reads the collection now."""
        place, grant = self._enter(request, principal, path)
        read_parameters(request.query, ())
        found = await asyncio.to_thread(self._explain.audience, spot_of(place), request.at)
        request.done(grant.decision.rule, len(found))
        return _answer(_head(place, request) | {"readers": [reader_shape(one) for one in found]})

    async def objects(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """The same, and what becomes of each object."""
        place, grant = self._enter(request, principal, path)
        signed = signed_of(read_parameters(request.query, ("signed",)))
        items = await posted(request, self._explain, self._limits)

        def look() -> Shape:
            spot = spot_of(place)
            readers = self._explain.audience(spot, request.at)
            found = self._explain.reach(Asker(principal), spot, items, request.at, readers, signed=signed)
            return {
                "readers": [reader_shape(one) for one in readers],
                "objects": [reach_shape(one, principal.member) for one in found],
            }

        async with self._turns:
            shape = await asyncio.to_thread(look)
        request.done(grant.decision.rule, len(items))
        return _answer(_head(place, request) | shape)

    def _enter(self, request: Request, principal: Principal, path: Mapping[str, str]) -> tuple[Place, Grant]:
        check_accept_json(request.headers.get(b"accept"))
        place = enter(request, principal, path)
        decisions = self._explain.decisions
        try:
            grant = permit(decisions, place, Action.READ, request.at)
        except Refused as refused:
            # Knowing who reads is no writing: neither signature nor certificate is asked for.
            bare = replace(place, principal=replace(principal, certificate=True))
            try:
                grant = permit(decisions, bare, Action.PUBLISH, request.at, signed=True)
            except Refused:
                raise refused from None
        return place, grant


def _head(place: Place, request: Request) -> Shape:
    return {
        "collection": f"{place.agreement.id}/{place.collection.alias}",
        "status": place.agreement.status(request.at).value,
    }


def _answer(shape: Shape) -> Answer:
    return Answer(200, orjson.dumps(shape), (JSON_TYPE, NO_STORE))
