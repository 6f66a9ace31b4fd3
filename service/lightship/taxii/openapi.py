"""The TAXII routes as an OpenAPI 3.1 fragment, written by hand since no framework serves them.

Lists what routes.py matches: paths, parameters, bodies and answers, so that schema-driven tests and readers
see them beside what FastAPI declares itself.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from lightship.core.query import MATCH_FIELDS, MAX_VALUES, MAX_VERSIONS, Endpoint
from lightship.taxii import models
from lightship.web.message import TAXII
from lightship.web.security_schemes import SECURITY_SCHEMES, to_read, to_write

_REF = "#/components/schemas/{model}"
_ROOT = "/{root}/"
_COLLECTION = "/{root}/collections/{collection}/"
_OBJECT = _COLLECTION + "objects/{object}/"
_SHOWN = (
    *(models.Discovery, models.ApiRoot, models.Collections, models.Collection, models.Envelope),
    *(models.Manifest, models.Versions, models.Status, models.Error),
)
_REFUSALS = {
    "400": "A parameter or the body has no meaning",
    "401": "A credential is needed",
    "403": "A rule refuses it",
    "404": "There is no such resource for this principal",
    "406": "TAXII 2.1 is not accepted",
    "413": "The body is larger than max_content_length",
    "415": "The body's media type or coding is not taken",
    "422": "The body is no envelope",
    "429": "Too many failed logins, or a quota is full",
    "503": "For now it cannot be done",
}
_TIMESTAMP = (
    r"([0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z"
)
_TYPE = "[a-z0-9][a-z0-9-]{1,248}[a-z0-9]"
_VALUES: dict[str, dict[str, Any]] = {
    "id": {"items": {"pattern": f"^{_TYPE}--[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$"}},
    "type": {"items": {"pattern": f"^{_TYPE}$"}},
    "spec_version": {"items": {"pattern": r"^[0-9]{1,3}\.[0-9]{1,3}$"}},
    "version": {
        "uniqueItems": True,
        "maxItems": MAX_VERSIONS,
        "oneOf": [{"items": {"const": "all"}}, {"items": {"pattern": f"^(first|last|{_TIMESTAMP})$"}}],
    },
}
"""What each match field lists, separated by commas (TAXII 2.1 section 3.4.1)."""
_ALWAYS = ("401", "404", "406", "429", "503")


def taxii_fragment() -> dict[str, Any]:
    """Return `paths` and `components` of the TAXII faces."""
    _, definitions = models_json_schema([(model, "serialization") for model in _SHOWN], ref_template=_REF)
    return {
        "paths": _paths(),
        "components": {"schemas": definitions["$defs"], "securitySchemes": SECURITY_SCHEMES},
    }


def _paths() -> dict[str, Any]:
    return {
        "/taxii2/": {"get": _get("Server discovery (4.1)", "Discovery")},
        _ROOT: {"get": _get("API root information (4.2)", "ApiRoot", "root")},
        _ROOT + "status/{status}/": {"get": _get("Status of a post (4.3)", "Status", "root", "status")},
        _ROOT + "collections/": {"get": _get("Collections (5.1)", "Collections", "root")},
        _COLLECTION: {"get": _get("A collection (5.2)", "Collection", "root", "collection")},
        _COLLECTION + "manifest/": {"get": _page("Manifest (5.3)", "Manifest", Endpoint.MANIFEST)},
        _COLLECTION + "objects/": {
            "get": _page("Objects (5.4)", "Envelope", Endpoint.OBJECTS),
            "post": _post(),
        },
        _OBJECT: {
            "get": _page("An object (5.6)", "Envelope", Endpoint.OBJECT, "object"),
            "delete": _delete(),
        },
        _OBJECT + "versions/": {
            "get": _page("Versions of an object (5.8)", "Versions", Endpoint.VERSIONS, "object")
        },
    }


def _get(summary: str, model: str, *names: str) -> dict[str, Any]:
    return _operation(summary, "200", model, [_in_path(name) for name in names], _ALWAYS)


def _page(summary: str, model: str, endpoint: Endpoint, *names: str) -> dict[str, Any]:
    parameters = [_in_path(name) for name in ("root", "collection", *names)]
    parameters += [
        _in_query("added_after", {"type": "string", "format": "date-time", "pattern": f"^{_TIMESTAMP}$"}),
        _in_query("limit", {"type": "integer", "minimum": 1}),
        _in_query("next", {"type": "string", "minLength": 1}),
        *_match(endpoint),
    ]
    shown = _operation(summary, "200", model, parameters, ("400", "403", *_ALWAYS))
    stamp = {"schema": {"type": "string", "format": "date-time"}}
    shown["responses"]["200"]["headers"] = {
        "X-TAXII-Date-Added-First": stamp,
        "X-TAXII-Date-Added-Last": stamp,
    }
    shown["responses"]["304"] = {"description": "If-None-Match names this page"}
    return shown


def _post() -> dict[str, Any]:
    parameters = [_in_path("root"), _in_path("collection")]
    shown = _operation(
        "Add objects (5.5)", "202", "Status", parameters, ("400", "403", "413", "415", "422", *_ALWAYS)
    )
    shown["security"] = to_write()
    objects = {"type": "array", "minItems": 1, "items": {"type": "object"}}
    envelope = {"type": "object", "required": ["objects"], "properties": {"objects": objects}}
    types = (TAXII, "application/stix+json;version=2.1")
    shown["requestBody"] = {"required": True, "content": {one: {"schema": envelope} for one in types}}
    return shown


def _delete() -> dict[str, Any]:
    parameters = [_in_path(name) for name in ("root", "collection", "object")] + _match(Endpoint.DELETE)
    shown = _operation("Delete an object (5.7)", "200", "", parameters, ("400", "403", *_ALWAYS))
    shown["security"] = to_write()
    shown["responses"]["200"] = {"description": "It is gone"}
    return shown


def _operation(
    summary: str, success: str, model: str, parameters: list[dict[str, Any]], refusals: tuple[str, ...]
) -> dict[str, Any]:
    error = {"schema": {"$ref": _REF.format(model="Error")}}
    responses: dict[str, Any] = {
        success: {
            "description": "Done",
            "content": {TAXII: {"schema": {"$ref": _REF.format(model=model)}}},
        }
    }
    responses |= {
        status: {"description": _REFUSALS[status], "content": {TAXII: error}} for status in sorted(refusals)
    }
    return {
        "summary": summary,
        "tags": ["TAXII 2.1"],
        "security": to_read(),
        "parameters": parameters,
        "responses": responses,
    }


def _match(endpoint: Endpoint) -> list[dict[str, Any]]:
    found = []
    for field in sorted(MATCH_FIELDS[endpoint]):
        values = {"type": "array", "minItems": 1, "maxItems": MAX_VALUES, **_VALUES[field]}
        values["items"] = {"type": "string", **values.get("items", {})}
        found.append(_in_query(f"match[{field}]", values) | {"style": "form", "explode": False})
    return found


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _in_query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}
