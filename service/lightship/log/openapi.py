"""`/log` and `/agreements` as OpenAPI 3.1, written by hand since no framework serves them.

A tile's number of 1,000 or more is several segments of a path (C2SP tlog-tiles), which no template says: the
document has those of one. Schema-driven tests compare every answer with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from lightship.core.collection import STATEMENT_ENTRIES
from lightship.core.log.statement import MAX_SIGNATURES
from lightship.core.log.statement import PAYLOAD_TYPE as PUBLICATION
from lightship.web.security_schemes import to_read, to_write

_REF = "#/components/schemas/{model}"
_TEXT, _BYTES, _JSON = "text/plain; charset=utf-8", "application/octet-stream", "application/json"
_REFUSALS = {
    "400": "The statement, the roster or the body cannot be read, or the roster does not follow",
    "401": "A credential is needed",
    "403": "A rule refuses it: a role, a suspension, or deny-publish-key, deny-signature, deny-other-place",
    "404": "There is no such resource for this principal",
    "406": "JSON is not accepted",
    "409": "It does not follow: deny-sequence, deny-equivocation, or something changed meanwhile",
    "413": "The body is too large",
    "415": "The body's media type or coding is not taken",
    "429": "Too many failed logins, too many rosters, or a quota is full",
    "503": "For now it cannot be done",
}
_READING = ("401", "404", "429", "503")
_IN_COLLECTION = ("403", *_READING)
_POSTING = ("400", "401", "403", "404", "409", "413", "415", "429", "503")

Stamp = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$")]
Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
Count = Annotated[int, Field(ge=0)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Signature(_Shape):
    """A signature of a DSSE envelope; `keyid` is a hint."""

    keyid: str
    sig: Base64


class SignedAgreement(_Shape):
    """A version of an agreement in its DSSE envelope; `payload` is its canonical JSON."""

    payload: Base64
    payloadType: Literal["application/vnd.lightship.agreement.v1+json"]  # noqa: N815 -- the name is DSSE's
    signatures: Annotated[list[Signature], Field(min_length=1)]


class SignedRoster(_Shape):
    """A member's roster in its DSSE envelope, signed with its admin key."""

    payload: Base64
    payloadType: Literal["application/vnd.lightship.roster.v1+json"]  # noqa: N815 -- the name is DSSE's
    signatures: Annotated[list[Signature], Field(min_length=1)]


class Version(_Shape):
    """A version of an agreement and the digest of its payload."""

    version: Annotated[int, Field(ge=1)]
    sha256: Hex


class Suspended(_Shape):
    """A suspension in effect: of a key, else of a member, else of all."""

    member: str | None
    key: Hex | None
    party: str
    from_: Annotated[Stamp, Field(alias="from")]
    until: Stamp
    reason: str


class RosterKey(_Shape):
    """A publish key: why it is revoked, until when it is suspended."""

    id: Hex
    revoked: str | None
    suspended: Stamp | None


class RosterState(_Shape):
    """A member's newest roster; it is in force as long as the agreement names the key that signed it."""

    member: str
    version: Annotated[int, Field(ge=1)]
    sha256: Hex
    in_force: bool
    keys: list[RosterKey]


class Asker(_Shape):
    """Who asks: until when its member is suspended, when its credential ends."""

    member: str
    name: str
    suspended: Stamp | None
    expires: Stamp | None


class Left(_Shape):
    """How many versions left a collection as distrusted, from entry `first` of its log on."""

    collection: str
    alias: str
    origin: str
    first: Count
    versions: Count


class Applied(_Shape):
    """A roster that is in force now, and what left the collections with it."""

    agreement: str
    member: str
    version: Annotated[int, Field(ge=1)]
    sha256: Hex
    keys: list[Hex]
    revoked: list[Hex]
    withdrawn: list[Left]


class Standing(_Shape):
    """How an agreement stands now; `first` is what statements and rosters call the hub."""

    id: str
    title: str
    status: Literal["proposed", "in-force", "grace", "expired", "suspended", "ended"]
    notice: str
    authority: str
    not_before: Stamp | None
    not_after: Stamp | None
    version: Annotated[int, Field(ge=1)]
    first: Hex
    versions: Annotated[list[Version], Field(min_length=1)]
    suspensions: list[Suspended]
    rosters: list[RosterState]
    you: Asker


_SHOWN = (Signature, SignedAgreement, SignedRoster, Standing, Applied)


def with_logs(fragment: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return an OpenAPI fragment with these routes added; it has the schemas `Status` and `Error`."""
    shown = fragment()
    _, definitions = models_json_schema([(model, "validation") for model in _SHOWN], ref_template=_REF)
    shown["components"]["schemas"] |= definitions["$defs"] | {"Proven": _proven(), "Declined": _declined()}
    collection = _in_path("collection", {"type": "string", "format": "uuid"})
    level = _in_path("level", {"type": "integer", "minimum": 0, "maximum": 7})
    number = _in_path("number", {"type": "string", "pattern": r"^[0-9]{3}$"})
    width = _in_path("width", {"type": "integer", "minimum": 1, "maximum": 255})
    root = _in_path("root", {"type": "string", "minLength": 1})
    digest = _in_path("digest", {"type": "string", "pattern": r"^[0-9a-f]{64}$"})
    version = _in_path("version", {"type": "integer", "minimum": 1, "maximum": 1_000_000})
    tiles = "/log/{collection}/tile/"
    whole = "Hashes of a level, 256 of 32 bytes: never changes"
    bundle = "Entries, each behind its length in two bytes, big-endian"
    shown["paths"] |= {
        "/log/{collection}/checkpoint": _get(
            "The newest checkpoint (C2SP tlog-checkpoint)", _text(), [collection], _IN_COLLECTION
        ),
        tiles + "{level}/{number}": _get(whole, _bytes(8192), [collection, level, number], _IN_COLLECTION),
        tiles + "{level}/{number}.p/{width}": _get(
            "The first hashes of a tile", _bytes(8160), [collection, level, number, width], _IN_COLLECTION
        ),
        tiles + "entries/{number}": _get(
            f"{bundle}: 256 of them", _bytes(), [collection, number], _IN_COLLECTION
        ),
        tiles + "entries/{number}.p/{width}": _get(
            f"{bundle}: the first of a bundle", _bytes(), [collection, number, width], _IN_COLLECTION
        ),
        "/log/{collection}/publish": {"post": _publish(collection)},
        "/agreements/{root}/": _get(
            "How an agreement stands now", _json("Standing"), [root], (*_READING, "406")
        ),
        "/agreements/{root}/{version}.json": _version(root, version),
        "/agreements/{root}/rosters": {"post": _hand_in(root)},
        "/agreements/{root}/rosters/{digest}.json": _get(
            "A member's roster, as it was signed", _json("SignedRoster"), [root, digest], _READING
        ),
    }
    return shown


def _get(
    summary: str, content: dict[str, Any], parameters: list[dict[str, Any]], refusals: tuple[str, ...]
) -> dict[str, Any]:
    return {"get": _operation(summary, content, parameters, refusals)}


def _publish(collection: dict[str, Any]) -> dict[str, Any]:
    either = [{"$ref": _REF.format(model=name)} for name in ("Proven", "Declined")]
    shown = _operation(
        "Publish and withdraw in a signed statement, whole or not at all",
        {_JSON: {"schema": {"oneOf": either}, "examples": {"declined": {"value": _DECLINED}}}},
        [collection],
        _POSTING,
    )
    shown["security"] = to_write()
    shown["description"] = (
        "`publication` is a DSSE envelope whose payload lists what `objects` holds, in its order, and what "
        "is withdrawn. 200 in any case that the hub judged: with leaf, proof and checkpoint if it was taken."
    )
    shown["requestBody"] = {"required": True, "content": {_JSON: {"schema": _posted(), "example": _EXAMPLE}}}
    return shown


def _version(root: dict[str, Any], version: dict[str, Any]) -> dict[str, Any]:
    shown = _operation(
        "A version of an agreement, as it was signed", _json("SignedAgreement"), [root, version], _READING
    )
    shown["responses"]["204"] = {"description": "There is no such version yet: it would be the next one"}
    return {"get": shown}


def _hand_in(root: dict[str, Any]) -> dict[str, Any]:
    shown = _operation("Put a member's own next roster in force", _json("Applied"), [root], _POSTING)
    roster = {"schema": {"$ref": _REF.format(model="SignedRoster")}}
    shown["requestBody"] = {"required": True, "content": {_JSON: roster}}
    return shown


def _posted() -> dict[str, Any]:
    signature = {"$ref": _REF.format(model="Signature")}
    publication = {
        "type": "object",
        "required": ["payload", "payloadType", "signatures"],
        "additionalProperties": False,
        "properties": {
            "payload": {"type": "string", "contentEncoding": "base64"},
            "payloadType": {"const": PUBLICATION},
            "signatures": {"type": "array", "minItems": 1, "maxItems": MAX_SIGNATURES, "items": signature},
        },
    }
    objects = {"type": "array", "maxItems": STATEMENT_ENTRIES, "items": {"type": "object"}}
    return {
        "type": "object",
        "required": ["publication", "objects"],
        "additionalProperties": False,
        "properties": {"publication": publication, "objects": objects},
    }


def _proven() -> dict[str, Any]:
    base64 = {"type": "string", "contentEncoding": "base64"}
    properties = {
        "status": {"$ref": _REF.format(model="Status")},
        "index": {"type": "integer", "minimum": 0},
        "leaf": base64,
        "proof": {"type": "array", "items": base64},
        "checkpoint": {"type": "string"},
    }
    return {
        "type": "object",
        "description": "The statement is entry `index` of the log: its inclusion proof under the checkpoint",
        "required": list(properties),
        "additionalProperties": False,
        "properties": properties,
    }


def _declined() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "Nothing was taken: each object and withdrawal is named under `failures`",
        "required": ["status"],
        "additionalProperties": False,
        "properties": {"status": {"$ref": _REF.format(model="Status")}},
    }


def _operation(
    summary: str, content: dict[str, Any], parameters: list[dict[str, Any]], refusals: tuple[str, ...]
) -> dict[str, Any]:
    error = {"application/taxii+json;version=2.1": {"schema": {"$ref": _REF.format(model="Error")}}}
    return {
        "summary": summary,
        "tags": ["Logs"],
        "security": to_read(),
        "parameters": parameters,
        "responses": {"200": {"description": "Done", "content": content}}
        | {status: {"description": _REFUSALS[status], "content": error} for status in sorted(refusals)},
    }


def _text() -> dict[str, Any]:
    return {_TEXT: {"schema": {"type": "string"}, "example": _CHECKPOINT}}


def _bytes(longest: int | None = None) -> dict[str, Any]:
    size = {} if longest is None else {"maxLength": longest}
    return {_BYTES: {"schema": {"type": "string", "format": "binary", **size}}}


def _json(model: str) -> dict[str, Any]:
    return {_JSON: {"schema": {"$ref": _REF.format(model=model)}}}


def _in_path(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


_CHECKPOINT = (
    "hub.example/c/0c0e1d5a-6f3b-4d0a-9a53-6d2f2a3f4b11\n17\n"
    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n"
    "— hub.example/c/0c0e1d5a-6f3b-4d0a-9a53-6d2f2a3f4b11 …\n"
)
_EXAMPLE: dict[str, Any] = {
    "publication": {
        "payload": "eyJhZGQiOltdfQ==",
        "payloadType": PUBLICATION,
        "signatures": [{"keyid": "3f1c", "sig": "AAAA"}],
    },
    "objects": [],
}
_DECLINED: dict[str, Any] = {
    "status": {
        "id": "2d086da7-4bdc-4f91-900e-d77486753710",
        "status": "complete",
        "request_timestamp": "2026-11-22T10:00:00.000000Z",
        "total_count": 1,
        "success_count": 0,
        "failure_count": 1,
        "failures": [
            {
                "id": "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",
                "version": "2026-04-01T08:00:00.000Z",
                "message": "Withdrawal refused: it is another member's (deny-owner)",
            }
        ],
        "pending_count": 0,
    }
}
