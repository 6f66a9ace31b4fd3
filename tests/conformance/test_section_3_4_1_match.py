"""TAXII 2.1 section 3.4.1: what each match field means."""

from __future__ import annotations

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import address, indicator, indicator_20, malware, statement_marking

STIX_21_TYPES = [
    "attack-pattern",
    "campaign",
    "course-of-action",
    "grouping",
    "identity",
    "incident",
    "indicator",
    "infrastructure",
    "intrusion-set",
    "location",
    "malware",
    "malware-analysis",
    "note",
    "observed-data",
    "opinion",
    "report",
    "threat-actor",
    "tool",
    "vulnerability",
    "relationship",
    "sighting",
    "artifact",
    "autonomous-system",
    "directory",
    "domain-name",
    "email-addr",
    "email-message",
    "file",
    "ipv4-addr",
    "ipv6-addr",
    "mac-addr",
    "mutex",
    "network-traffic",
    "process",
    "software",
    "url",
    "user-account",
    "windows-registry-key",
    "x509-certificate",
    "marking-definition",
    "language-content",
    "extension-definition",
]

V1, V2, V3 = "2026-02-01T00:00:00.000Z", "2026-02-02T00:00:00.000Z", "2026-02-03T00:00:00.000Z"


def found(hub: ProbeHub, **match: str) -> list[tuple[str, str]]:
    """Return (id, version) of what these match fields find, by the manifest and by the objects alike."""
    params = {f"match[{name}]": value for name, value in match.items()}
    entries = [(one["id"], one["version"]) for one in hub.lax.manifest(params).objects]
    bodies = [(one["id"], one.get("modified", one.get("created"))) for one in hub.lax.objects(params).objects]
    assert [one for one, _ in entries] == [one for one, _ in bodies]
    assert all(body is None or body == entry for (_, entry), (_, body) in zip(entries, bodies, strict=True))
    return entries


@clause("3.4.1-spec-only")
def test_spec_version_lets_only_the_named_ones_through(hub: ProbeHub) -> None:
    new, old = indicator(), indicator_20()
    hub.lgb.publish(new, old)
    assert [one for one, _ in found(hub, spec_version="2.1")] == [new["id"]]
    assert [one for one, _ in found(hub, spec_version="2.0")] == [old["id"]]
    assert [one for one, _ in found(hub, spec_version="2.0,2.1")] == [new["id"], old["id"]]


@clause("3.4.1-spec-default")
def test_without_spec_version_each_object_comes_in_its_latest(hub: ProbeHub) -> None:
    old = indicator_20(modified=V2)
    new = indicator(id=old["id"], modified=V1)
    only_old = indicator_20()
    hub.lgb.publish(old, only_old)
    hub.lgb.publish(new)
    assert sorted(found(hub)) == sorted([(new["id"], V1), (only_old["id"], only_old["modified"])])
    assert found(hub, id=old["id"], version="all") == [(old["id"], V1)]
    assert found(hub, id=old["id"], spec_version="2.0") == [(old["id"], V2)]


@clause("3.4.1-type")
@pytest.mark.parametrize("kind", STIX_21_TYPES)
def test_no_type_of_stix_2_1_is_an_error(hub: ProbeHub, kind: str) -> None:
    assert hub.lax.objects({"match[type]": kind}).objects == []


@clause("3.4.1-type")
def test_type_lets_only_the_named_types_through(hub: ProbeHub) -> None:
    hub.lgb.publish(indicator(), malware(), address())
    assert {one["type"] for one in hub.lax.objects({"match[type]": "malware,ipv4-addr"}).objects} == {
        "malware",
        "ipv4-addr",
    }


@clause("3.4.1-version-default")
def test_without_version_each_object_comes_in_its_latest(hub: ProbeHub) -> None:
    one = indicator(modified=V2)
    hub.lgb.publish(one)
    hub.lgb.publish({**one, "modified": V3})
    hub.lgb.publish({**one, "modified": V1})
    assert found(hub) == [(one["id"], V3)]
    assert found(hub, version="last") == [(one["id"], V3)]
    assert found(hub, version="first") == [(one["id"], V1)]
    assert found(hub, version="all") == [(one["id"], V2), (one["id"], V3), (one["id"], V1)]
    assert found(hub, version="first,last") == [(one["id"], V3), (one["id"], V1)]
    assert found(hub, version=f"{V2},last") == [(one["id"], V2), (one["id"], V3)]
    assert found(hub, version=V2) == [(one["id"], V2)]
    assert found(hub, version="2025-01-01T00:00:00.000Z") == []


@clause("3.4.1-version-created")
def test_created_is_the_version_of_what_has_no_modified(hub: ProbeHub) -> None:
    mark = statement_marking()
    hub.lgb.publish(mark)
    assert found(hub, version=mark["created"]) == [(mark["id"], mark["created"])]
    assert found(hub, version="2026-01-05T08:00:00.124Z") == []


@clause("3.4.1-version-repeat", "3.4.1-version-keyword-repeat", "3.4.1-version-all-alone")
@pytest.mark.parametrize(
    "value",
    [
        f"{V1},{V1}",
        f"{V1},{V2},{V1}",
        "last,last",
        "first,last,first",
        "all,all",
        "all,last",
        "last,all,first",
        f"all,{V1}",
    ],
)
def test_values_of_version_do_not_repeat_and_all_stands_alone(hub: ProbeHub, value: str) -> None:
    assert "version" in hub.lax.objects({"match[version]": value}).advice(400)


@clause("3.4.1-version-value")
@pytest.mark.parametrize(
    "value",
    [
        *("junk", "LAST", "", "2026", "2026-02-01", "2026-02-01T00:00:00", "2026-02-01T00:00:00+00:00"),
        *(
            "2026-02-30T00:00:00Z",
            "2026-02-01 00:00:00Z",
            "2026-02-01T24:00:00Z",
            "last,",
            ",last",
            "last,,first",
        ),
        *("2026-02-01t00:00:00z", "1", "-1", "%00"),
    ],
)
@pytest.mark.parametrize("place", ["objects", "manifest", "object"])
def test_a_value_of_version_is_a_stix_timestamp(hub: ProbeHub, place: str, value: str) -> None:
    query = "match[version]=" + value.replace("+", "%2B")
    title = hub.lgb.get(hub.place(place), query).advice(400)
    assert "match[version]" in title or "query string" in title


@clause("3.4.1-version-value")
def test_version_is_compared_as_a_time_not_as_text(hub: ProbeHub) -> None:
    whole = indicator(modified="2026-02-01T00:00:00Z")
    fine = indicator(modified="2026-02-01T00:00:00.100200Z")
    hub.lgb.publish(whole, fine)
    assert [one for one, _ in found(hub, version="2026-02-01T00:00:00.000Z")] == [whole["id"]]
    assert [one for one, _ in found(hub, version="2026-02-01T00:00:00.1002Z")] == [fine["id"]]
    assert found(hub, version="2026-02-01T00:00:00.100201Z") == []
    assert found(hub, version="2026-02-01T00:00:00.1Z") == []
