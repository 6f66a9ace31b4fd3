"""TAXII 2.1 section 3.7: the envelope."""

from __future__ import annotations

import json

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import indicator, relationship, statement_marking


@clause("3.7-root")
def test_stix_is_answered_in_an_envelope(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one)
    for reply in (hub.lax.objects(), hub.lax.object(one["id"])):
        assert set(reply.ok().json) <= {"more", "next", "objects"}
        assert reply.json["objects"] == [one]


@clause("3.7-root")
def test_a_bundle_is_never_answered(hub: ProbeHub) -> None:
    bundle = {
        "type": "bundle",
        "id": "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d",
        "objects": [indicator()],
    }
    assert hub.lgb.send(_json(bundle)).json["success_count"] == 1
    assert "type" not in hub.lax.objects().json


@clause("3.7-objects")
def test_all_kinds_of_stix_object_are_taken_and_come_back(hub: ProbeHub) -> None:
    mark = statement_marking()
    one, two = indicator(object_marking_refs=[mark["id"]]), indicator()
    link = relationship(one["id"], two["id"], relationship_type="related-to")
    posted = [mark, one, two, link]
    hub.lgb.publish(*posted)
    assert hub.lax.objects().objects == posted


@clause("3.7-objects")
def test_an_item_that_is_a_bundle_or_no_object_is_a_failure(hub: ProbeHub) -> None:
    bundle = {
        "type": "bundle",
        "id": "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d",
        "objects": [indicator()],
    }
    good = indicator()
    for bad in (bundle, 1, None, "indicator", [indicator()], True):
        status = hub.lgb.post(bad, good).ok().json
        assert (status["total_count"], status["failure_count"]) == (2, 1), bad
    assert hub.lax.objects().objects == [good]


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
