"""The application: FastAPI for what is declared, one plain ASGI exchange for every TAXII request.

The exchange is asked first, without passing through FastAPI's router and middleware, which cost several times
what a hot read does. FastAPI serves its own few paths; its errors have the TAXII shape too. The OpenAPI
document covers both and is served behind authentication.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from lightship import __version__
from lightship.api.figures import Figures
from lightship.api.health import Readiness, health_router
from lightship.core.access import Principal
from lightship.core.errors import LightshipError, MethodNotAllowed, NotFound
from lightship.usecases.upkeep import Upkeep
from lightship.web.exchange import Exchange
from lightship.web.message import NO_STORE, Answer, Receive, Route, Scope, Send
from lightship.web.message import Request as WebRequest
from lightship.web.problems import answer_error

OPENAPI_PATH = "/openapi.json"
OPENAPI_RULE = "allow-member-list"
_JSON = (b"content-type", b"application/json")


class HostApp(FastAPI):
    """The ASGI application of a hub."""

    def __init__(
        self,
        *,
        ready: Readiness,
        new_id: Callable[[], UUID],
        fragment: Callable[[], dict[str, Any]],
    ) -> None:
        super().__init__(
            title="Lightship",
            version=__version__,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )
        self._fragment = fragment
        self.exchange: Exchange | None = None
        self.include_router(health_router(ready))
        self._own = frozenset({"/healthz", "/readyz"})
        self.figures: Figures | None = None
        self.upkeep: Upkeep | None = None

        def answer(_: Request, error: Exception) -> Response:
            shown = answer_error(_as_ours(error), new_id())
            return Response(shown.body, shown.status, {k.decode(): v.decode() for k, v in shown.headers})

        self.add_exception_handler(HTTPException, answer)
        self.add_exception_handler(LightshipError, answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass TAXII requests to the exchange, the rest to FastAPI."""
        if scope["type"] == "http" and scope["path"] not in self._own and self.exchange is not None:
            await self.exchange(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the document of everything that is served."""
        if not self.openapi_schema:
            document = super().openapi()
            fragment = self._fragment()
            document["paths"] |= fragment["paths"]
            components = document.setdefault("components", {})
            for kind, entries in fragment["components"].items():
                components.setdefault(kind, {}).update(entries)
        return self.openapi_schema or {}

    def openapi_route(self) -> Route:
        """Return the route that serves the document through the exchange."""

        async def read(request: WebRequest, _: Principal, __: Mapping[str, str]) -> Answer:
            request.done(OPENAPI_RULE)
            return Answer(200, orjson.dumps(self.openapi()), (_JSON, NO_STORE))

        return Route({"GET": ("read-openapi", read)}, negotiates=False)


def _as_ours(error: Exception) -> LightshipError:
    """Return a framework's error as one of ours."""
    if isinstance(error, LightshipError):
        return error
    if isinstance(error, HTTPException) and error.status_code == 405:
        return MethodNotAllowed(
            "This resource has no such method", allow=("GET", "HEAD"), todo="Use GET or HEAD"
        )
    return NotFound("There is nothing here", todo="Start from discovery at /taxii2/")
