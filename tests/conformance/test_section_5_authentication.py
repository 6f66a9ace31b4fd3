"""TAXII 2.1 section 5: what its endpoints share, failed authentication and missing rights."""

from __future__ import annotations

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import indicator
from taxiiprobe import basic

PLACES = [
    *[("GET", place) for place in ("collections", "collection", "manifest", "objects", "object", "versions")],
    ("POST", "objects"),
    ("DELETE", "object"),
]


@clause("5.1-auth", "5.2-auth", "5.3-auth", "5.3-auth-again", "5.4-auth")
@clause("5.5-auth", "5.6-auth", "5.7-auth", "5.8-auth")
@pytest.mark.parametrize(("method", "place"), PLACES)
@pytest.mark.parametrize(
    "authorization", [None, "Bearer ls1_wrong", basic("uslgb-a", "wrong"), "Digest x", "Basic %%"]
)
def test_failed_authentication_is_401(
    hub: ProbeHub, method: str, place: str, authorization: str | None
) -> None:
    path = hub.place(place)
    reply = hub.nobody.ask(
        method, path, headers={"Authorization": authorization}, body=b"{}" if method == "POST" else b""
    )
    reply.advice(401)
    assert "Basic" in reply.headers["www-authenticate"]
    hub.lgb.get(hub.place("object")).ok()


@clause("5.3-can-read", "5.4-can-read", "5.6-can-read", "5.8-can-read")
@pytest.mark.parametrize("place", ["manifest", "objects", "object", "versions"])
def test_without_can_read_nothing_is_read(hub: ProbeHub, place: str) -> None:
    path = hub.place(place)
    assert hub.writer.get(hub.writer.collection).ok().json["can_read"] is False
    hub.writer.get(path).error(403)
    hub.stranger.get(path).error(404)


@clause("5.5-can-write")
def test_without_can_write_nothing_is_added(hub: ProbeHub) -> None:
    assert hub.reader.get(hub.reader.collection).ok().json["can_write"] is False
    hub.reader.post(indicator()).error(403)
    hub.stranger.post(indicator()).error(404)
    assert hub.lax.objects().objects == []


@clause("5.7-rights")
def test_delete_by_rights(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one)
    hub.stranger.withdraw(one["id"]).error(404)
    hub.reader.withdraw(one["id"]).error(403)
    hub.writer.withdraw(one["id"]).error(403)
    hub.auditor.withdraw(one["id"]).error(403, 404)
    assert hub.lax.objects().objects == [one]
    assert hub.lgb.withdraw(one["id"]).status == 200


def test_rights_are_judged_before_the_body_is_read(hub: ProbeHub) -> None:
    huge = b"x" * (hub.max_content_length + 1)
    hub.reader.send(huge).error(403)
    hub.stranger.send(huge).error(404)
    hub.nobody.send(huge).error(401)
    hub.reader.send(b"{", Content_Type="text/plain").error(403, 415)
