"""TAXII 2.1 section 5.5: adding objects."""

from __future__ import annotations

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import address, indicator, statement_marking
from taxiiprobe import UUID4


@clause("5.5-202")
def test_a_post_is_answered_202_with_a_status(hub: ProbeHub) -> None:
    reply = hub.lgb.post(indicator())
    assert reply.status == 202
    assert reply.json["status"] == "complete"
    assert UUID4.fullmatch(reply.json["id"])
    again = hub.lgb.get(f"{hub.root}status/{reply.json['id']}/").ok().json
    assert again == reply.json


@clause("5.5-duplicate")
def test_an_exact_duplicate_is_a_success_and_adds_nothing(hub: ProbeHub) -> None:
    posted = [indicator(), statement_marking(), address()]
    hub.lgb.publish(*posted)
    before = hub.lax.manifest({"match[version]": "all"}).objects
    for who in (hub.lgb, hub.lax):
        who.publish(*posted)
    hub.lgb.publish(posted[0], posted[0], posted[1])
    assert hub.lax.manifest({"match[version]": "all"}).objects == before


@clause("5.5-duplicate")
def test_the_same_object_in_another_spelling_is_the_same(hub: ProbeHub) -> None:
    hub.lgb.send(
        b'{"objects":[{"type":"ipv4-addr","spec_version":"2.1",'
        b'"id":"ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd","value":"198.51.100.3","x_n":1.0}]}'
    ).ok()
    second = hub.lgb.send(
        b'{"objects":[ {"value":"198.51.100.\\u0033", "x_n":1e0, "spec_version":"2.1",'
        b'"id":"ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd", "type":"ipv4-addr"} ]}'
    ).ok()
    assert second.json["success_count"] == 1, second.json
    assert len(hub.lax.manifest().objects) == 1


def test_the_same_version_with_other_content_is_a_conflict_that_says_so(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one)
    status = hub.lgb.post({**one, "name": "Something else"}, indicator()).ok().json
    assert (status["success_count"], status["failure_count"]) == (1, 1)
    (failure,) = status["failures"]
    assert (failure["id"], failure["version"]) == (one["id"], one["modified"])
    assert "deny-conflict" in failure["message"]
    assert hub.lax.object(one["id"]).objects == [one]


@clause("5.5-failures")
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b'{"objects":[]', {}, 400),
        (b"[]", {}, 422),
        (b'"objects"', {}, 422),
        (b'{"objects":{}}', {}, 422),
        (b'{"objects":"x"}', {}, 422),
        (b'{"objects":null}', {}, 422),
        (b"{}", {"Accept": "text/html"}, 406),
        (b"{}", {"Accept": "application/taxii+json;version=2.0"}, 406),
        (b"{}", {"Accept": "application/stix+json;version=2.1"}, 406),
        (b"{}", {"Content_Type": "application/json"}, 415),
        (b"{}", {"Content_Type": "text/plain"}, 415),
        (b"{}", {"Content_Type": "application/taxii+json;version=2.0"}, 415),
        (b"{}", {"Content_Type": "multipart/form-data; boundary=x"}, 415),
        (b"{}", {"Content_Encoding": "br"}, 415),
        (b"{}", {"Content_Encoding": "x-unknown"}, 415),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_status_of_the_table(
    hub: ProbeHub, body: bytes, headers: dict[str, str], status: int
) -> None:
    hub.lgb.send(body, **headers).advice(status)
    assert hub.lax.objects().objects == []


def test_one_bad_object_does_not_refuse_the_others(hub: ProbeHub) -> None:
    good = [indicator() for _ in range(3)]
    status = hub.lgb.post(
        good[0], {"type": "indicator", "id": "x"}, good[1], {**indicator(), "modified": 7}, good[2]
    ).json
    assert (status["success_count"], status["failure_count"]) == (3, 2)
    assert hub.lax.objects().objects == good


def test_a_small_post_is_complete_at_once_and_visible(hub: ProbeHub) -> None:
    one = indicator()
    assert hub.lgb.post(one).json["status"] == "complete"
    assert hub.lax.object(one["id"]).objects == [one]
