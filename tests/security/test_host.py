"""What stands beside TAXII: the health check, and the framework's own errors."""

from __future__ import annotations

import json

import pytest

from probehub import ProbeHub


def test_the_health_check_needs_no_credential_and_tells_nothing(hub: ProbeHub) -> None:
    reply = hub.nobody.get("/healthz", None, Accept=None)
    assert (reply.status, json.loads(reply.body)) == (200, {"status": "ok"})
    assert hub.nobody.ask("HEAD", "/healthz").status == 200
    assert hub.events() == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_of_the_health_check_are_taxii_errors(hub: ProbeHub, method: str) -> None:
    reply = hub.nobody.ask(method, "/healthz")
    reply.error(405)
    assert "GET" in reply.headers["allow"]


@pytest.mark.parametrize(
    "path", ["/healthz/", "/healthz/x", "/HEALTHZ", "//healthz", "/openapi.json/x", "/docs", "/redoc"]
)
def test_near_misses_are_taxii_errors(hub: ProbeHub, path: str) -> None:
    hub.nobody.get(path).error(401, 404)


def test_the_openapi_document_is_for_members(hub: ProbeHub) -> None:
    hub.nobody.get("/openapi.json").error(401)
    reply = hub.stranger.get("/openapi.json", None, Accept="application/json")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert set(json.loads(reply.body)["paths"]) >= {"/taxii2/", "/healthz"}


def test_the_openapi_document_names_every_route_and_method(hub: ProbeHub) -> None:
    paths = json.loads(hub.lax.get("/openapi.json").body)["paths"]
    named = {(path, method.upper()) for path, one in paths.items() for method in one if method in METHODS}
    root = "/{api_root}/"
    below = f"{root}collections/{{collection}}/"
    wanted = {
        *{("/taxii2/", "GET"), (root, "GET"), (f"{root}collections/", "GET"), (below, "GET")},
        *{(f"{below}manifest/", "GET"), (f"{below}objects/", "GET"), (f"{below}objects/", "POST")},
        *{(f"{below}objects/{{object}}/", "GET"), (f"{below}objects/{{object}}/", "DELETE")},
        *{(f"{below}objects/{{object}}/versions/", "GET"), (f"{root}status/{{status}}/", "GET")},
    }
    assert len(named) >= len(wanted)
    assert {(_shape(path), method) for path, method in wanted} <= {
        (_shape(path), method) for path, method in named
    }


METHODS = {"get", "post", "delete", "put", "patch"}


def _shape(path: str) -> str:
    """Return a path with its parameters' names taken out."""
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


@pytest.mark.parametrize("path", ["/taxii2/", "/openapi.json", "/pedro/", "/nowhere/"])
def test_answers_are_not_sniffed_and_stay_on_tls(hub: ProbeHub, path: str) -> None:
    for who in (hub.lax, hub.nobody):
        headers = who.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["strict-transport-security"].startswith("max-age=")
        assert headers.get("cache-control") in {"no-store", "private, no-cache"}


def test_content_is_kept_by_no_shared_cache(hub: ProbeHub) -> None:
    for place in ("objects", "manifest", "object", "versions"):
        headers = hub.lgb.get(hub.place(place)).headers
        assert headers["cache-control"] == "private, no-cache"
        assert "authorization" in headers["vary"].lower()
