"""TAXII 2.1 section 3.6: errors are TAXII errors, whoever raises them."""

from __future__ import annotations

import pytest

from conformance_clauses import clause
from probehub import ProbeHub


@clause("3.6.1-title", "3.6.1-http-status")
def test_each_kind_of_error_has_title_and_status(hub: ProbeHub) -> None:
    kinds = {
        400: hub.lax.objects("limit=0"),
        401: hub.nobody.get("/taxii2/"),
        403: hub.reader.post({"type": "indicator"}),
        404: hub.lax.get("/no-such-root/"),
        405: hub.lax.ask("DELETE", "/taxii2/"),
        406: hub.lax.get("/taxii2/", Accept="image/png"),
        413: hub.lgb.send(b"x" * (hub.max_content_length + 1)),
        415: hub.lgb.send(b"<stix/>", Content_Type="application/xml"),
        422: hub.lgb.send(b"[]"),
    }
    for status, reply in kinds.items():
        value = reply.error(status)
        assert value["http_status"] == str(status)
        assert len(value["title"]) > 10
        assert value["error_id"]
        assert value["error_code"]


@clause("3.6.1-http-status")
@pytest.mark.parametrize("status", [401, 404])
def test_http_status_is_a_string(hub: ProbeHub, status: int) -> None:
    who = hub.nobody if status == 401 else hub.stranger
    assert who.get(hub.root).error(status)["http_status"] == str(status)


@clause("3.6.1-title")
@pytest.mark.parametrize(
    "path",
    [
        *("/", "/favicon.ico", "/index.html", "/taxii/", "/taxii2/x/", "/docs", "/redoc", "/openapi"),
        *("//", "/%2e%2e/", "/..%2f..%2fetc/passwd", "/%00/", "/%ff/", "/" + "a" * 3000 + "/"),
    ],
)
def test_paths_outside_taxii_are_json_never_html(hub: ProbeHub, path: str) -> None:
    for who in (hub.lax, hub.nobody):
        reply = who.get(path)
        assert reply.status in {401, 404}, path
        reply.error(401, 404)
        assert b"<html" not in reply.body.lower()
