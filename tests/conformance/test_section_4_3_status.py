"""TAXII 2.1 section 4.3: status resources."""

from __future__ import annotations

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import address, indicator, statement_marking

DAY_S = 86_400


@clause("4.3-kept")
def test_a_status_can_be_read_for_a_day(hub: ProbeHub) -> None:
    status = hub.lgb.publish(indicator())
    hub.advance(DAY_S - 60)
    assert hub.lgb.get(f"{hub.root}status/{status['id']}/").ok().json == status


@clause("4.3-gone")
@pytest.mark.parametrize(
    "status_id",
    [
        "2d086da7-4bdc-4f91-900e-d77486753710",
        "x",
        "0",
        "%00",
        "..",
        "c3ca5de4-1dd2-11b2-8000-026548f80000",
        "A932FCC6-E032-4F6C-826F-CB970A5A1ADE",
    ],
)
def test_a_status_that_is_not_there_is_404(hub: ProbeHub, status_id: str) -> None:
    hub.lgb.publish(indicator())
    hub.lgb.get(f"{hub.root}status/{status_id}/").error(404)


@clause("4.3.1-status", "4.3.1-total", "4.3.1-success", "4.3.1-failure", "4.3.1-pending")
def test_counts_add_up_and_lists_are_complete(hub: ProbeHub) -> None:
    good = [indicator() for _ in range(3)]
    bad = [indicator(modified="not a time"), {"type": "indicator"}]
    status = hub.lgb.post(*good, *bad).json
    assert status["status"] == "complete"
    assert status["total_count"] == 5
    assert status["success_count"] == len(status["successes"]) == 3
    assert status["failure_count"] == len(status["failures"]) == 2
    assert status["pending_count"] == 0
    assert "pendings" not in status


@clause("4.3.1-id", "4.3.1-version-modified", "4.3.1-version-created", "4.3.1-version-own")
def test_entries_name_id_and_version_as_manifest_and_versions_do(hub: ProbeHub) -> None:
    one = indicator(modified="2026-01-06T00:00:00Z")
    mark, seen = statement_marking(), address()
    status = hub.lgb.publish(one, mark, seen)
    versions = {entry["id"]: entry["version"] for entry in status["successes"]}
    assert list(versions) == [one["id"], mark["id"], seen["id"]]
    assert versions[one["id"]] == one["modified"]
    assert versions[mark["id"]] == mark["created"]
    manifest = {entry["id"]: entry for entry in hub.lax.manifest().objects}
    assert {key: entry["version"] for key, entry in manifest.items()} == versions
    assert manifest[seen["id"]]["version"] == manifest[seen["id"]]["date_added"]
    for key, version in versions.items():
        assert hub.lax.versions(key).json["versions"] == [version]


@clause("4.3.1-id", "4.3.1-version-modified")
def test_failures_name_id_version_and_the_reason(hub: ProbeHub) -> None:
    bad = indicator(pattern="[ipv4-addr:value = ")
    (failure,) = hub.lgb.post(bad).json["failures"]
    assert (failure["id"], failure["version"]) == (bad["id"], bad["modified"])
    assert "pattern" in failure["message"]


def test_an_item_without_a_usable_id_is_named_by_its_position(hub: ProbeHub) -> None:
    status = hub.lgb.post(indicator(), {"type": "indicator"}, {"type": "indicator", "id": 7}, "x").json
    assert status["success_count"] == 1
    for position, failure in enumerate(status["failures"], 1):
        assert failure["id"] == "unknown--00000000-0000-4000-8000-000000000000"
        assert failure["version"] == status["request_timestamp"]
        assert f"position {position}" in failure["message"]


def test_a_status_belongs_to_who_posted_it(hub: ProbeHub) -> None:
    path = f"{hub.root}status/{hub.lgb.publish(indicator())['id']}/"
    hub.lgb.get(path).ok()
    for who in (hub.lax, hub.auditor, hub.stranger, hub.lgb_second):
        who.get(path).error(404)
    hub.lgb.get(path.replace(hub.root, hub.other_root)).error(404)
