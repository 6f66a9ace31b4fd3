"""TAXII 2.1 section 5.6: one object."""

from __future__ import annotations

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import indicator, indicator_20


@clause("5.6-id")
def test_an_object_is_found_by_its_stix_id(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one, indicator())
    assert hub.lax.object(one["id"]).objects == [one]


@clause("5.6-id")
@pytest.mark.parametrize(
    "object_id",
    [
        *("indicator--a932fcc6-e032-4f6c-826f-cb970a5a1ade", "indicator--x", "x", "--", "%00", "%ff", ".."),
        *(
            "INDICATOR--A932FCC6-E032-4F6C-826F-CB970A5A1ADE",
            "indicator--a932fcc6",
            "'%20or%201=1",
            "a" * 3000,
        ),
    ],
)
@pytest.mark.parametrize("rest", ["", "versions/"])
def test_an_unknown_or_impossible_id_is_404(hub: ProbeHub, object_id: str, rest: str) -> None:
    hub.lgb.publish(indicator())
    hub.lax.get(hub.lax.at(f"objects/{object_id}/{rest}")).error(404)


@clause("5.6-empty")
def test_no_version_that_matches_is_an_empty_envelope(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one)
    reply = hub.lax.object(one["id"], {"match[version]": "2020-01-01T00:00:00Z"})
    assert reply.status == 200
    assert reply.json in ({}, {"more": False})


def test_one_object_under_two_specifications(hub: ProbeHub) -> None:
    old = indicator_20()
    new = indicator(id=old["id"], modified="2026-02-01T00:00:00.000Z")
    hub.lgb.publish(old)
    hub.lgb.publish(new)
    assert hub.lax.object(old["id"]).objects == [new]
    assert hub.lax.object(old["id"], {"match[spec_version]": "2.0"}).objects == [old]
    both = hub.lax.object(old["id"], {"match[spec_version]": "2.0,2.1"}).objects
    assert both == [old, new]
