"""TAXII 2.1 section 5.4: objects of a collection."""

from __future__ import annotations

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import address, custom, indicator, indicator_20, malware, software


@clause("5.4-empty")
def test_nothing_found_is_200_with_an_empty_envelope(hub: ProbeHub) -> None:
    for params in (None, {"match[type]": "malware"}, {"match[id]": indicator()["id"]}):
        reply = hub.lax.objects(params)
        assert reply.status == 200
        assert reply.json in ({}, {"more": False})


def test_objects_come_back_with_every_property_and_value_as_sent(hub: ProbeHub) -> None:
    posted = [
        indicator(
            modified="2026-01-06T00:00:00Z", revoked=False, name="  spaces \u0001 and \u2028 \U0001f6a2 "
        ),
        indicator(confidence=0, external_references=[{"source_name": "x", "description": ""}]),
        indicator_20(),
        malware(x_score=1.5, x_nested={"zeta": [1, 2, {"alpha": None}], "alpha": True}),
        address(),
        software(),
        custom(),
    ]
    hub.lgb.publish(*posted)
    assert hub.lax.objects().objects == posted


def test_the_collections_are_apart(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one)
    for alias in hub.aliases:
        found = hub.lax.get(hub.path(alias, "objects/")).objects
        assert found == ([one] if alias == hub.default_alias else [])
