"""The JSON schemas of Lightship's STIX extensions, for everybody who has a credential.

`/schemas/` lists them, with the extension-definition objects to cite and publish; `/schemas/NAME-1.0.json` is
one schema, byte for byte as it ships. They are the same on every hub of a release and tell nothing about this
one, yet are read as all else is: authenticated, with an access event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from lightship.core.access import Principal
from lightship.web.message import NO_STORE, Answer, Request, Route
from lightship.web.security_schemes import to_read

PATH = "/schemas/"
RULE = "allow-member-list"
_LIST_TYPE = "application/json"
_SCHEMA_TYPE = "application/schema+json"


def schema_routes(schemas: Mapping[str, bytes], definitions: bytes) -> Mapping[str, Route]:
    """Return path -> route of the list and of each schema.

    Args:
        schemas: file name -> JSON schema (`lightship.data.extension_schemas()`).
        definitions: the bundle of extension-definitions (`lightship.data.extension_definitions()`).
    """
    listing = _route("list-schemas", _list(schemas, definitions), _LIST_TYPE)
    each = {PATH + name: _route("read-schema", text, _SCHEMA_TYPE) for name, text in schemas.items()}
    return {PATH: listing, PATH.rstrip("/"): listing, **each}


def with_schemas(fragment: Callable[[], dict[str, Any]], schemas: Mapping[str, bytes]) -> dict[str, Any]:
    """Return an OpenAPI fragment with these routes' `paths` added."""
    shown = fragment()
    shown["paths"][PATH] = _operation("Schemas of STIX extensions", _LIST_TYPE)
    for name in schemas:
        shown["paths"][PATH + name] = _operation(f"The schema {name}", _SCHEMA_TYPE)
    return shown


def _list(schemas: Mapping[str, bytes], definitions: bytes) -> bytes:
    entries = [{"title": orjson.loads(text)["title"], "path": PATH + name} for name, text in schemas.items()]
    return orjson.dumps({"schemas": entries, "definitions": orjson.loads(definitions)["objects"]})


def _route(act: str, body: bytes, media_type: str) -> Route:
    answer = Answer(200, body, ((b"content-type", media_type.encode()), NO_STORE))

    async def read(request: Request, _: Principal, __: Mapping[str, str]) -> Answer:
        request.done(RULE)
        return answer

    return Route({"GET": (act, read)}, negotiates=False)


def _operation(summary: str, media_type: str) -> dict[str, Any]:
    return {
        "get": {
            "summary": summary,
            "security": to_read(),
            "responses": {
                "200": {"description": "Done", "content": {media_type: {"schema": {"type": "object"}}}},
                "401": {"description": "A credential is needed"},
                "429": {"description": "Too many failed logins"},
                "503": {"description": "For now it cannot be done"},
            },
        }
    }
