"""Whether the hub is able to answer, for load balancers and supervisors; needs no credential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from lightship.core.errors import Unavailable


class Health(BaseModel):
    """The answer of a hub that can read its store."""

    status: Literal["ok"]


def health_router(check: Callable[[], object]) -> APIRouter:
    """Return the router of `/healthz`; `check` reads from the store and raises if it cannot."""
    router = APIRouter()

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", summary="Health")
    def health() -> Health:
        """Answer if the store can be read."""
        try:
            check()
        except Exception as error:
            raise Unavailable("The store cannot be read", todo="Look into the hub's log") from error
        return Health(status="ok")

    return router
