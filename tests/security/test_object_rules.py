"""What a publisher may not put in although it may publish: each refusal names its rule, the rest is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from hubkit import HubKit, StoppedClock, make_hub
from probehub import ProbeHub
from stixsamples import Stix, address, custom, identity, indicator, malware

TLP = {
    "clear": "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
    "green": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "amber": "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    "amber+strict": "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
    "red": "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
    "white 1": "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9",
    "red 1": "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed",
}
COLLECTIONS: dict[str, dict[str, Any]] = {
    "open": {},
    "marked": {"unmarked": "refuse"},
    "green": {"ceiling": "green"},
    "own": {"authors": "own"},
    "notothers": {"authors": "not-others"},
    "standard": {"custom_objects": False},
    "small": {"max_objects": 2},
}


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubKit]:
    """A hub with one collection for each setting."""
    with make_hub(tmp_path_factory.mktemp("rules"), collections=COLLECTIONS, clock=StoppedClock()) as made:
        yield made


def post(kit: HubKit, alias: str, *objects: Stix, member: str = "uslgb") -> dict[str, Any]:
    with kit.client(member) as client:
        answer = client.post(kit.path(alias, "objects/"), json={"objects": list(objects)})
    assert answer.status_code == 202, answer.text
    status: dict[str, Any] = answer.json()
    return status


def refused(kit: HubKit, alias: str, rule: str, bad: Stix, member: str = "uslgb") -> str:
    """Post a bad object beside a good one; return the message of the only failure."""
    good = indicator(object_marking_refs=[TLP["clear"]])
    status = post(kit, alias, bad, good, member=member)
    assert [one["id"] for one in status["successes"]] == [good["id"]]
    (failure,) = status["failures"]
    assert failure["id"] == bad["id"]
    assert f"({rule})" in failure["message"]
    with kit.client("uslax") as client:
        assert client.get(kit.path(alias, f"objects/{bad['id']}/")).status_code == 404
    return str(failure["message"])


def test_a_new_version_of_another_members_object(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one)
    (failure,) = hub.lax.post({**one, "modified": "2026-02-01T00:00:00.000Z"}).json["failures"]
    assert "(deny-owner)" in failure["message"]
    assert hub.lax.object(one["id"], {"match[version]": "all"}).objects == [one]
    hub.writer.post({**one, "modified": "2026-02-02T00:00:00.000Z"}).ok()
    assert hub.lax.versions(one["id"]).json["versions"] == [one["modified"]]


def test_an_owner_stays_owner_after_withdrawing(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one)
    hub.lgb.withdraw(one["id"]).ok()
    (failure,) = hub.lax.post({**one, "modified": "2026-02-01T00:00:00.000Z"}).json["failures"]
    assert "(deny-owner)" in failure["message"]
    hub.lgb.publish({**one, "modified": "2026-02-01T00:00:00.000Z"})


def test_ownership_is_apart_in_each_collection(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one)
    elsewhere = hub.path(hub.aliases[1], "objects/")
    body = json.dumps({"objects": [{**one, "modified": "2026-02-01T00:00:00.000Z"}]}).encode()
    assert hub.lax.ask("POST", elsewhere, body=body).json["success_count"] == 1


def test_unmarked_where_markings_are_asked_for(kit: HubKit) -> None:
    assert "object_marking_refs" in refused(kit, "marked", "deny-unmarked", indicator())
    assert post(kit, "marked", indicator(object_marking_refs=[TLP["green"]]))["failure_count"] == 0


@pytest.mark.parametrize("level", ["amber", "amber+strict", "red", "red 1"])
def test_above_the_ceiling(kit: HubKit, level: str) -> None:
    refused(kit, "green", "deny-publish-ceiling", indicator(object_marking_refs=[TLP[level]]))


def test_above_the_ceiling_in_one_granular_marking(kit: HubKit) -> None:
    bad = indicator(
        object_marking_refs=[TLP["green"]],
        granular_markings=[{"marking_ref": TLP["red"], "selectors": ["name"]}],
    )
    refused(kit, "green", "deny-publish-ceiling", bad)


@pytest.mark.parametrize("level", ["clear", "green", "white 1"])
def test_up_to_the_ceiling_is_taken(kit: HubKit, level: str) -> None:
    assert post(kit, "green", indicator(object_marking_refs=[TLP[level]]))["failure_count"] == 0


def test_another_members_name_as_author(kit: HubKit) -> None:
    members = kit.hub.directory.view().agreements[kit.agreement].members
    mine, other = (min(members[slug].identities) for slug in ("uslgb", "uslax"))
    refused(kit, "notothers", "deny-author", indicator(created_by_ref=other))
    refused(kit, "notothers", "deny-identity-of-another", identity(id=other))
    assert post(kit, "notothers", indicator(created_by_ref=mine), identity(id=mine))["failure_count"] == 0
    third = identity()
    assert post(kit, "notothers", third, malware(created_by_ref=third["id"]))["failure_count"] == 0


def test_a_third_partys_name_where_only_own_objects_are_taken(kit: HubKit) -> None:
    refused(kit, "own", "deny-author-not-own", indicator(created_by_ref=identity()["id"]))
    assert post(kit, "own", address("192.0.2.44"))["failure_count"] == 0


def test_custom_objects_where_they_are_not_taken(kit: HubKit) -> None:
    with kit.client("uslgb") as client:
        status = client.post(
            kit.path("standard", "objects/"), json={"objects": [custom(), indicator()]}
        ).json()
    assert (status["success_count"], status["failure_count"]) == (1, 1)
    assert "custom" in status["failures"][0]["message"]


def test_a_quota_is_429_says_when_and_stores_nothing_of_the_post(kit: HubKit) -> None:
    assert post(kit, "small", indicator())["failure_count"] == 0
    with kit.client("uslgb") as client:
        answer = client.post(kit.path("small", "objects/"), json={"objects": [indicator(), indicator()]})
        held = client.get(kit.path("small", "objects/")).json()["objects"]
    assert answer.status_code == 429
    assert answer.json()["details"]["rule"] == "deny-publish-quota"
    assert int(answer.headers["retry-after"]) > 0
    assert len(held) == 1


def test_a_refused_object_of_a_member_never_reaches_the_other(kit: HubKit) -> None:
    """Nothing of what was refused is in any answer to anybody else, events included."""
    secret = indicator(name="never to be seen", object_marking_refs=[TLP["red"]])
    refused(kit, "green", "deny-publish-ceiling", secret)
    with kit.client("uslax") as client:
        for rest in ("objects/", "manifest/"):
            assert "never to be seen" not in client.get(kit.path("green", rest)).text
    assert all("never to be seen" not in str(event) for event in kit.events(limit=10_000))
