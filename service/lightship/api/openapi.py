"""`/why`, `/audience` and `/audit` as OpenAPI 3.1, written by hand since no framework serves them.

No request ever passes through the models; schema-driven tests compare every answer with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from lightship.api import audit
from lightship.core.access import Action
from lightship.core.audit import Outcome
from lightship.web.security_schemes import to_read

_REF = "#/components/schemas/{model}"
_TIME = (
    r"^([0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z$"
)
_ID = r"^[a-z0-9][a-z0-9-]{1,248}[a-z0-9]--[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_BODIES = ("application/json", "application/taxii+json;version=2.1", "application/stix+json;version=2.1")
_REFUSALS = {
    "400": "A parameter or the body has no meaning",
    "401": "A credential is needed",
    "403": "A rule refuses it",
    "404": "There is no such resource for this principal",
    "406": "JSON is not accepted",
    "413": "The body is too large",
    "415": "The body's media type or coding is not taken",
    "422": "The body holds no objects, or too many",
    "429": "Too many failed logins",
    "503": "For now it cannot be done",
}
_WITHOUT_BODY = ("400", "401", "403", "404", "406", "429", "503")

Stamp = Annotated[str, Field(pattern=r"^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z)?$")]
Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Count = Annotated[int, Field(ge=0)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Reason(_Shape):
    """A rule that decided, with its sentence."""

    rule: str
    say: str


class Condition(_Shape):
    """One condition of a rule as it is written there, and whether it holds."""

    text: str
    holds: bool


class Permit(Reason):
    """A permit that could have helped; it permits when all its conditions hold."""

    holds: bool
    conditions: list[Condition]


class _Decided(_Shape):
    allowed: bool
    rule: str
    say: str
    reasons: list[Reason]
    permits: list[Permit]


class _Asked(_Shape):
    principal: str
    member: str
    action: str
    collection: str


class Why(_Decided, _Asked):
    """A decision about an action on a collection."""


class WhyObject(_Decided):
    """A decision about publishing one object."""

    object: str


class WhyObjects(_Asked):
    """Decisions about publishing objects, in the order sent."""

    objects: list[WhyObject]


class AudienceMember(_Shape):
    """A member that reads, and how many of its credentials hold."""

    member: str
    name: str
    clients: Count


class Audience(_Shape):
    """Who reads a collection now; nobody while the agreement is not in force."""

    collection: str
    status: str
    readers: list[AudienceMember]


class MemberRefusal(Reason):
    """Why an object is not taken from, or not to be had by, a member."""

    member: str


class AudienceObject(_Shape):
    """What becomes of one object, and who would get it by its markings."""

    id: str
    taken_from: list[str]
    refused: list[MemberRefusal]
    receives: list[str]
    withheld: list[MemberRefusal]
    release_at: Stamp
    share_until: Stamp


class AudienceObjects(Audience):
    """Who reads a collection now, and what becomes of each object."""

    objects: list[AudienceObject]


class AccessEvent(_Shape):
    """One access event. `query` and `address` are null where they are another member's."""

    req: str
    at: Stamp
    outcome: Literal["ok", "refused", "failed"]
    act: str
    agreement: str
    member: str
    credential: str
    principal: str
    collection: str
    query: str | None
    query_digest: Hex
    address: str | None
    address_digest: Hex
    status: int
    rule: str
    objects: Count
    first: Stamp
    last: Stamp


class AccessEvents(_Shape):
    """A page of access events, oldest first; `next` goes on after it."""

    scope: Literal["member", "agreement"]
    member: str
    more: bool
    events: list[AccessEvent]
    next: str | None = None


_SHOWN = (Why, WhyObjects, Audience, AudienceObjects, AccessEvents)


def with_asking(fragment: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return an OpenAPI fragment with these routes added."""
    shown = fragment()
    _, definitions = models_json_schema([(model, "validation") for model in _SHOWN], ref_template=_REF)
    shown["components"]["schemas"] |= definitions["$defs"]
    text = {"type": "string", "pattern": r"^[^\x00-\x1f\x7f]+$"}
    principal = _in_query("principal", text)
    signed = _in_query("signed", {"type": "string", "enum": ["true", "false"]})
    action = _in_query("action", {"type": "string", "enum": [one.value for one in Action]})
    shown["paths"] |= {
        "/why/{root}/{collection}/": {
            "get": _operation("Why may somebody do this, or not", Why, [action, principal, signed]),
            "post": _operation(
                "Why may somebody publish these objects", WhyObjects, [principal, signed], body=True
            ),
        },
        "/audience/{root}/{collection}/": {
            "get": _operation("Who reads this collection", Audience),
            "post": _operation("Who would get these objects", AudienceObjects, [signed], body=True),
        },
        "/audit/{root}/": {
            "get": _operation("Access events", AccessEvents, _audit_parameters(text), path=("root",))
        },
    }
    return shown


def _audit_parameters(text: dict[str, Any]) -> list[dict[str, Any]]:
    schemas: dict[str, dict[str, Any]] = {
        "outcome": {"type": "string", "enum": list(get_args(Outcome))},
        "object": {"type": "string", "pattern": _ID},
        "since": {"type": "string", "pattern": _TIME},
        "until": {"type": "string", "pattern": _TIME},
        "limit": {"type": "integer", "minimum": 1},
        "next": {"type": "string", "pattern": r"^[0-9]{1,16}\.[0-9]{1,9}$"},
    }
    return [_in_query(name, schemas.get(name, text)) for name in audit.PARAMETERS]


def _operation(
    summary: str,
    model: type[BaseModel],
    query: list[dict[str, Any]] | None = None,
    *,
    path: tuple[str, ...] = ("root", "collection"),
    body: bool = False,
) -> dict[str, Any]:
    error = {"application/taxii+json;version=2.1": {"schema": {"$ref": _REF.format(model="Error")}}}
    success = {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}
    shown: dict[str, Any] = {
        "summary": summary,
        "tags": ["Asking"],
        "security": to_read(),
        "parameters": [_in_path(name) for name in path] + (query or []),
        "responses": {"200": {"description": "Done", "content": success}}
        | {
            status: {"description": said, "content": error}
            for status, said in _REFUSALS.items()
            if body or status in _WITHOUT_BODY
        },
    }
    if body:
        content = {one: {"schema": {"type": "object", "minProperties": 1}} for one in _BODIES}
        shown["requestBody"] = {"required": True, "content": content}
    return shown


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _in_query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}
