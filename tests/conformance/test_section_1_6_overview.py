"""TAXII 2.1 section 1.6: transport, serialization, negotiation, authentication. Relied on."""

from __future__ import annotations

import json

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import indicator
from taxiiprobe import TAXII


@clause("1.6-utf8-json")
def test_resources_are_utf8_json_whatever_the_script(hub: ProbeHub) -> None:
    name = "Liegeplatz 七 — ⚓ 🚢"
    posted = indicator(name=name)
    hub.lgb.publish(posted)
    reply = hub.lax.objects()
    assert json.loads(reply.body.decode("utf-8"))["objects"] == [posted]
    assert name.encode("utf-8") in reply.body


@clause("1.6-bare-media-type", "3.1-highest")
@pytest.mark.parametrize("accept", ["application/taxii+json", "application/*", "*/*", None, ""])
def test_without_a_version_the_answer_is_taxii_2_1(hub: ProbeHub, accept: str | None) -> None:
    for path in ("/taxii2/", hub.root, f"{hub.root}collections/", hub.lax.at("objects/")):
        reply = hub.lax.get(path, Accept=accept).ok()
        assert reply.headers["content-type"] == TAXII


@clause("1.6-401", "1.6-challenge", "8.2.2-basic")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"])
@pytest.mark.parametrize(
    "place", ["/taxii2/", "root", "collections", "collection", "objects", "object", "status"]
)
def test_nobody_gets_401_with_a_challenge_for_every_method(hub: ProbeHub, method: str, place: str) -> None:
    reply = hub.nobody.ask(method, hub.place(place), body=b"{}" if method == "POST" else b"")
    assert reply.status == 401
    assert "Basic realm=" in reply.headers["www-authenticate"]
    if method != "HEAD":
        reply.advice(401)
