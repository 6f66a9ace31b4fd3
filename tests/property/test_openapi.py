"""Requests made from the hub's own OpenAPI document, right ones and wrong ones, each answered as it says.

The document is the one that the hub serves. Status codes, media types, headers and bodies of all answers have
to be declared, what breaks the document is refused, what keeps to it is not, and no operation that names a
security scheme answers without a credential.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import validator_for
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.failures import FailureGroup

from hubkit import AGREEMENT, COLLECTIONS, HubKit, make_hub
from lightship.taxii import resources
from probehub import routes_of_the_application
from stixsamples import address, indicator

HELD = indicator()
RIGHT, WRONG = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
NOTHING_TO_BREAK = {"/healthz", "/readyz"}
"""They take no parameters and no body."""


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubKit]:
    """A hub that never throttles: schemathesis shows many false credentials."""
    folder = tmp_path_factory.mktemp("openapi")
    with make_hub(folder, "sqlite", settings={"throttle_failures": 10**9}) as made:
        yield made


@pytest.fixture(scope="module")
def schema(kit: HubKit) -> Any:
    """The document as the hub serves it."""
    return schemathesis.openapi.from_asgi("/openapi.json", kit.app, headers=bearer(kit))


def bearer(kit: HubKit) -> dict[str, str]:
    return {"Authorization": f"Bearer {kit.secret('uslgb')}"}


def check(kit: HubKit, schema: Any, path: str, method: str, mode: GenerationMode, examples: int) -> int:
    """Make requests to one operation and judge every answer; return how many."""
    operation = schema[path][method]
    client = kit.client("uslgb")
    status = client.post(kit.path("indicators", "objects/"), json={"objects": [HELD, address()]}).json()["id"]
    there = {"root": AGREEMENT, "collection": "indicators", "object": HELD["id"], "status": status}
    there |= {"version": "1", "level": "0", "number": "000", "width": "1", "digest": "0" * 64}
    if path.startswith("/log/"):
        there["collection"] = kit.collection("indicators")
    made = 0

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), real=st.sets(st.sampled_from(sorted(there))))
    def ask(case: Case[Any], real: set[str]) -> None:
        nonlocal made
        made += 1
        if mode is RIGHT:
            aim(case, there, real)
        case.call_and_validate(headers=bearer(kit), excluded_checks=not_for(case))

    ask()
    return made


def aim(case: Case[Any], there: dict[str, str], real: set[str]) -> None:
    """Let most requests name what is there, and leave out what no schema tells from what is right.

    That are made-up `next` tokens, and 30 February in `match[version]`.
    """
    for name in real | {"root", "collection"}:
        if name in case.path_parameters:
            case.path_parameters[name] = there[name]
    case.query.pop("next", None)
    versions = case.query.pop("match[version]", None)
    if versions:
        listed = versions.split(",") if isinstance(versions, str) else versions
        if possible := [one for one in listed if is_possible(one)]:
            case.query["match[version]"] = ",".join(possible)


def is_possible(version: str) -> bool:
    """True if a date is one; other values may be anything."""
    try:
        date.fromisoformat(version[:10] if version[:1].isdigit() else "2026-01-01")
    except ValueError:
        return False
    return True


def not_for(case: Case[Any]) -> list[Any]:
    """No schema tells numbers beyond 2^53 (RFC 7493) from others: a body with one is refused as a whole."""
    return [CHECKS.get_one("positive_data_acceptance")] if case.method == "POST" else []


def operations(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(path, method) for path, methods in document["paths"].items() for method in methods]


def run_all(kit: HubKit, schema: Any, examples: int) -> int:
    """Make requests to all operations; the collection can be read after all that."""
    made = 0
    for path, method in operations(schema.raw_schema):
        made += check(kit, schema, path, method, RIGHT, examples)
        if path not in NOTHING_TO_BREAK:
            made += check(kit, schema, path, method, WRONG, examples)
    page = kit.client("uslax").get(kit.path("indicators", "objects/"), params={"match[version]": "all"})
    assert page.status_code == 200
    assert page.json()["objects"]
    return made


def test_every_answer_is_as_the_document_says(kit: HubKit, schema: Any) -> None:
    assert len(operations(schema.raw_schema)) >= 13
    assert run_all(kit, schema, 8) > 150


@pytest.mark.long
def test_every_answer_is_as_the_document_says_with_many_requests(kit: HubKit, schema: Any) -> None:
    print(f"{run_all(kit, schema, 150):,} requests")


PLACES = {"root": AGREEMENT, "collection": "0c0e1d5a-6f3b-4d0a-9a53-6d2f2a3f4b11", "digest": "0" * 64}
PLACES |= {"object": HELD["id"], "status": PLACES["collection"], "version": "1"}
PLACES |= {"level": "0", "number": "000", "width": "1"}


def documented_routes(kit: HubKit, document: dict[str, Any]) -> set[tuple[str, str]]:
    """Return (act, method) of the routes that the paths of a document lead to."""
    assert kit.app.exchange is not None
    router, found = kit.app.exchange._router, set()
    for path, method in operations(document):
        matched = router(path.format(**PLACES))
        if matched is not None:
            act, _ = matched[0].methods[method.upper()]
            found.add((act, method.upper()))
        else:
            assert path in NOTHING_TO_BREAK, path
    return found


def test_every_route_of_the_application_is_in_the_document(kit: HubKit, schema: Any) -> None:
    """But the document itself."""
    documented = documented_routes(kit, schema.raw_schema)
    assert routes_of_the_application() - documented == {("read-openapi", "GET")}


def test_a_route_that_is_not_in_the_document_is_seen(kit: HubKit, schema: Any) -> None:
    for path in ("/log/{collection}/publish", "/agreements/{root}/", "/agreements/{root}/{version}.json"):
        shown = {"paths": {one: kept for one, kept in schema.raw_schema["paths"].items() if one != path}}
        assert len(routes_of_the_application() - documented_routes(kit, shown)) == 2


def test_every_operation_says_what_it_takes_and_gives(schema: Any) -> None:
    """A sentence, refusals, a schema for each answer with a body, and references that lead somewhere."""
    document = schema.raw_schema
    known = set(document["components"]["schemas"])
    text = json.dumps(document["paths"])
    assert {one.rsplit("/", 1)[1] for one in re.findall(r"#/components/schemas/\w+", text)} <= known
    for path, method in operations(document):
        shown = document["paths"][path][method]
        if path in NOTHING_TO_BREAK:
            continue
        assert shown["summary"], path
        assert shown["security"], path
        assert {"401", "429", "503"} <= shown["responses"].keys(), path
        for status, answer in shown["responses"].items():
            for media_type, content in answer.get("content", {}).items():
                assert content["schema"], (path, method, status, media_type)


WRITING = {
    ("/{root}/collections/{collection}/objects/", "post"),
    ("/{root}/collections/{collection}/objects/{object}/", "delete"),
    ("/log/{collection}/publish", "post"),
}
"""What a collection with `require_certificate_to_write` refuses without a client certificate."""


def test_a_client_certificate_is_named_and_asked_for_beside_a_secret_where_writing_may_require_it(
    schema: Any,
) -> None:
    """As OpenAPI 3.1 names it (4.8.27: type mutualTLS); each entry of `security` is one way that will do."""
    document = schema.raw_schema
    assert document["openapi"].startswith("3.1")
    schemes = document["components"]["securitySchemes"]
    assert schemes["certificate"]["type"] == "mutualTLS"
    assert "require_certificate_to_write" in schemes["certificate"]["description"]
    assert "in addition to a secret" in schemes["certificate"]["description"]
    alone: list[dict[str, list[str]]] = [{name: []} for name in ("basic", "bearer", "key", "certificate")]
    both: list[dict[str, list[str]]] = [{name: [], "certificate": []} for name in ("basic", "bearer", "key")]
    for path, method in operations(document):
        if path not in NOTHING_TO_BREAK:
            wanted = [*alone, *both] if (path, method) in WRITING else alone
            assert document["paths"][path][method]["security"] == wanted, (path, method)


def test_those_and_no_other_operations_are_refused_to_a_secret_alone_where_a_certificate_is_required(
    tmp_path: Path, schema: Any
) -> None:
    settings = {alias: {**one, "require_certificate_to_write": True} for alias, one in COLLECTIONS.items()}
    places = {**PLACES, "root": AGREEMENT}
    with make_hub(tmp_path, "sqlite", collections=settings) as kit:
        places["collection"] = kit.collection("indicators")
        refused = set()
        for path, method in operations(schema.raw_schema):
            body = {"objects": [HELD]} if method == "post" else None
            if path == "/log/{collection}/publish":
                continue  # needs a statement: tests/unit/log/test_require_signature.py
            answer = kit.client("uslgb").request(method, path.format(**places), json=body)
            if "deny-no-certificate" in answer.text and answer.status_code == 403:
                refused.add((path, method))
    assert refused == WRITING - {("/log/{collection}/publish", "post")}


def test_the_examples_of_the_document_keep_to_it(schema: Any) -> None:
    document = schema.raw_schema
    registry = {"components": document["components"]}
    posted = document["paths"]["/log/{collection}/publish"]["post"]
    body = posted["requestBody"]["content"]["application/json"]
    answer = posted["responses"]["200"]["content"]["application/json"]
    declined = answer["examples"]["declined"]["value"]
    for schema_, value in ((body["schema"], body["example"]), (answer["schema"], declined)):
        validator = validator_for(schema_ | registry)
        assert list(validator.iter_errors(value)) == []
        assert list(validator.iter_errors({**value, "more": 1}))


@pytest.mark.parametrize("broken", [b'{"more":1}', b'{"unknown":true}', b"["])
def test_an_answer_that_is_not_as_the_document_says_is_seen(
    kit: HubKit, schema: Any, broken: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "collections", lambda *_: broken)
    with pytest.raises(FailureGroup):
        check(kit, schema, "/{root}/collections/", "get", RIGHT, 5)


def test_a_route_that_forgets_the_credential_is_seen(
    kit: HubKit, schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = kit.app.exchange
    assert exchange is not None
    real = exchange._authenticate
    lgb = kit.secret("uslgb").encode()

    def forgetful(view: Any, _: Any, *others: Any) -> Any:
        return real(view, {b"authorization": b"Bearer " + lgb}, *others)

    monkeypatch.setattr(exchange, "_authenticate", forgetful)
    with pytest.raises(FailureGroup, match=r"[Aa]uthentication"):
        check(kit, schema, "/taxii2/", "get", RIGHT, 5)
