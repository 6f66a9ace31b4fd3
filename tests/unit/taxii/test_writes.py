"""POST, status and DELETE over both stores: each item accounted for, nothing half done, rights first."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from hubkit import HubKit, Store, make_hub
from lightship.core.ids import UNKNOWN_ID
from lightship.core.ports import Published, PublishRequest, Withdrawn, WithdrawRequest
from lightship.wiring import make_app
from stixsamples import address, indicator, sharing_terms

STORES: tuple[Store, ...] = ("memory", "sqlite")
COLLECTIONS: Any = {
    "indicators": {},
    "readable": {"publishers": ["uslgb"]},
    "writable": {"audience": ["uslgb"]},
    "closed": {"audience": ["uslgb"], "publishers": ["uslgb"]},
    "green": {"ceiling": "green", "unmarked": "refuse", "authors": "not-others"},
    "small": {"max_objects": 3},
}
AMBER = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"


@pytest.fixture(params=STORES)
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HubKit]:
    with make_hub(tmp_path, request.param, collections=COLLECTIONS) as made:
        yield made


def post(kit: HubKit, *objects: Any, alias: str = "indicators", member: str = "uslgb") -> httpx2.Response:
    return kit.client(member).post(kit.path(alias, "objects/"), json={"objects": list(objects)})


def held(kit: HubKit, alias: str = "indicators", query: str = "") -> list[Any]:
    answer = kit.client("uslgb").get(kit.path(alias, f"objects/{query}"))
    assert answer.status_code == 200, answer.text
    return list(answer.json().get("objects", []))


def delete(
    kit: HubKit, stix_id: str, query: str = "", alias: str = "indicators", member: str = "uslgb"
) -> int:
    return kit.client(member).delete(kit.path(alias, f"objects/{stix_id}/{query}")).status_code


def check_adds_up(status: Any, posted: int) -> None:
    assert status["status"] == "complete"
    assert status["total_count"] == posted == status["success_count"] + status["failure_count"]
    assert status["pending_count"] == 0
    assert "pendings" not in status
    assert len(status.get("successes", [])) == status["success_count"]
    assert len(status.get("failures", [])) == status["failure_count"]
    assert all(value != [] for value in status.values())


def test_each_item_has_its_entry_with_what_happened_and_what_to_do(kit: HubKit) -> None:
    one, mine, theirs = indicator(), indicator(), indicator()
    post(kit, theirs, member="uslax")
    observable = address()
    post(kit, observable)
    status = post(
        kit,
        one,
        one,
        {**one, "name": "changed"},
        {**theirs, "modified": "2026-02-01T00:00:00.000Z"},
        {**observable, "x_note": "other content"},
        {"type": "indicator"},
        7,
        {"type": "bundle", "id": f"bundle--{uuid4()}", "objects": [indicator()]},
        mine,
    ).json()
    check_adds_up(status, 9)
    assert [entry["id"] for entry in status["successes"]] == [one["id"], one["id"], mine["id"]]
    assert [entry.get("message") for entry in status["successes"]] == [
        None,
        "Already held with the same content; nothing to do",
        None,
    ]
    conflict, owner, unowned, bad, seven, bundle = status["failures"]
    assert (conflict["id"], conflict["version"]) == (one["id"], one["modified"])
    for entry, rule in ((conflict, "deny-conflict"), (owner, "deny-owner"), (unowned, "deny-conflict")):
        assert f"({rule})" in entry["message"]
    assert "refer to the held object" in unowned["message"]
    assert seven["id"] == UNKNOWN_ID
    assert seven["message"].lower().startswith("object at position 6")
    for entry in (unowned, bad, seven, bundle):
        assert entry["version"] == status["request_timestamp"]
    assert {entry["id"] for entry in held(kit)} == {one["id"], mine["id"], theirs["id"], observable["id"]}


def test_the_version_of_an_observable_is_its_date_added_everywhere(kit: HubKit) -> None:
    one = address()
    first = post(kit, one).json()["successes"][0]["version"]
    again = post(kit, one).json()["successes"][0]["version"]
    (record,) = kit.client("uslax").get(kit.path("indicators", "manifest/")).json()["objects"]
    versions = (
        kit.client("uslax").get(kit.path("indicators", f"objects/{one['id']}/versions/")).json()["versions"]
    )
    assert first == again == record["version"] == record["date_added"] == versions[0]
    assert held(kit, query=f"?match[version]={first}") == [one]


def test_the_rules_refuse_by_object_and_say_which(kit: HubKit) -> None:
    green = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
    good = indicator(object_marking_refs=[green])
    status = post(kit, indicator(), indicator(object_marking_refs=[AMBER]), good, alias="green").json()
    check_adds_up(status, 3)
    unmarked, ceiling = status["failures"]
    assert "(deny-unmarked)" in unmarked["message"]
    assert "(deny-publish-ceiling)" in ceiling["message"]
    assert held(kit, "green") == [good]


def test_a_full_collection_says_so_and_takes_nothing_of_the_post(kit: HubKit) -> None:
    assert post(kit, *(indicator() for _ in range(3)), alias="small").status_code == 202
    answer = post(kit, indicator(), alias="small")
    assert answer.status_code == 429
    assert answer.json()["details"] == {"rule": "deny-publish-quota"}
    assert int(answer.headers["retry-after"]) > 0
    assert len(held(kit, "small")) == 3
    assert kit.events()[-2].why == "deny-publish-quota"


def test_bundles_gzip_and_chunks_are_taken(kit: HubKit) -> None:
    path = kit.path("indicators", "objects/")
    bundle = {"type": "bundle", "id": f"bundle--{uuid4()}", "objects": [indicator()]}
    stix = {"Content-Type": "application/stix+json;version=2.1"}
    lgb = kit.client("uslgb")
    assert lgb.post(path, json=bundle, headers=stix).json()["success_count"] == 1
    packed = gzip.compress(json.dumps({"objects": [indicator()]}).encode())
    assert lgb.post(path, content=packed, headers={"Content-Encoding": "gzip"}).json()["success_count"] == 1
    pieces = iter([b'{"obj', b'ects":[', json.dumps(indicator()).encode(), b"]}"])
    assert lgb.post(path, content=b"".join(pieces)).json()["success_count"] == 1
    assert len(held(kit)) == 3


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {}, 400),
        (b'{"objects":[]}', {}, 422),
        (b"[]", {}, 422),
        (b"", {}, 400),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"{}", {"Content-Encoding": "br"}, 415),
        (b"{}", {"Content-Encoding": "gzip"}, 400),
        (b"{}", {"Accept": "application/json"}, 406),
    ],
)
def test_a_body_that_cannot_be_taken_as_a_whole_stores_nothing(
    kit: HubKit, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = kit.client("uslgb").post(kit.path("indicators", "objects/"), content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert held(kit) == []


def test_a_large_body_is_checked_beside_the_event_loop(kit: HubKit) -> None:
    sent = [indicator() for _ in range(200)]
    status = post(kit, *sent).json()
    check_adds_up(status, 200)
    assert held(kit, query="?limit=500") == sent


def test_a_status_is_for_the_credential_that_posted(kit: HubKit) -> None:
    status = post(kit, indicator()).json()
    path = f"{kit.root}status/{status['id']}/"
    assert kit.client("uslgb").get(path).json() == status
    kit.mint("uslgb", "other")
    for other in ("uslax", "uslgb/other"):
        assert kit.client(other).get(path).status_code == 404
    assert kit.client("uslgb").get(f"{kit.root}status/{uuid4()}/").status_code == 404


def test_rights_to_write(kit: HubKit) -> None:
    for alias, expected in {"readable": 403, "writable": 202, "closed": 403}.items():
        assert post(kit, indicator(), alias=alias, member="uslax").status_code == expected, alias


def test_rights_to_delete(kit: HubKit) -> None:
    one = indicator()
    for alias, expected in {"readable": 403, "writable": 403, "closed": 404}.items():
        post(kit, one, alias=alias)
        assert delete(kit, one["id"], alias=alias, member="uslax") == expected, alias
        assert held(kit, alias) == [one]


def test_what_was_deleted_is_gone_everywhere_and_may_come_back(kit: HubKit) -> None:
    one = indicator()
    newer = {**one, "modified": "2026-02-01T00:00:00.000Z"}
    post(kit, one, newer, indicator())
    assert delete(kit, one["id"]) == 200
    for rest in (f"objects/{one['id']}/", f"objects/{one['id']}/versions/"):
        assert kit.client("uslax").get(kit.path("indicators", rest)).status_code == 404
    assert len(held(kit, query="?match[version]=all")) == 1
    assert delete(kit, one["id"]) == 404
    assert post(kit, {**one, "name": "other"}).json()["failure_count"] == 1
    assert post(kit, one).json()["success_count"] == 1
    assert held(kit)[-1] == one
    event = next(e for e in kit.events() if e.act == "withdraw")
    assert (event.st, event.n, event.why, event.q) == (200, 2, "allow-publisher-withdraw", one["id"])


def test_one_version_is_deleted_and_the_one_before_is_shown_again(kit: HubKit) -> None:
    one = indicator()
    newer = {**one, "modified": "2026-02-01T00:00:00.000Z"}
    post(kit, one, newer)
    assert held(kit) == [newer]
    assert delete(kit, one["id"], f"?match[version]={newer['modified']}") == 200
    assert held(kit) == [one]


def test_a_malformed_or_unknown_filter_deletes_nothing(kit: HubKit) -> None:
    one = indicator()
    post(kit, one)
    for query, status in {
        "?match[version]=junk": 400,
        "?match[version]=": 400,
        "?match[verison]=last": 400,
        "?match[version]=2020-01-01T00:00:00Z": 404,
        "?match[spec_version]=2.0": 404,
    }.items():
        assert delete(kit, one["id"], query) == status, query
    assert delete(kit, "junk") == delete(kit, indicator()["id"]) == 404
    assert held(kit) == [one]


def test_another_members_object_is_not_deleted(kit: HubKit) -> None:
    one = indicator()
    post(kit, one)
    answer = kit.client("uslax").delete(kit.path("indicators", f"objects/{one['id']}/"))
    assert answer.status_code == 403
    assert answer.json()["details"] == {"rule": "deny-owner"}
    assert held(kit) == [one]


def test_eight_clients_with_the_same_object_at_once(kit: HubKit) -> None:
    sent = {"objects": [indicator() for _ in range(5)]}

    async def run() -> list[httpx2.Response]:
        async with kit.async_client("uslgb") as lgb:
            path = kit.path("indicators", "objects/")
            return await asyncio.gather(*(lgb.post(path, json=sent) for _ in range(8)))

    for answer in asyncio.run(run()):
        assert answer.json()["success_count"] == 5, answer.text
    assert held(kit) == sent["objects"]


class Racing:
    """The real writer, with one change of the rules slipping in before the first write."""

    def __init__(self, kit: HubKit, change: Callable[[], None]) -> None:
        self._writer, self._change = kit.hub.writer, [change]

    def publish(self, request: PublishRequest) -> Future[Published]:
        self._slip()
        return self._writer.publish(request)

    def withdraw(self, request: WithdrawRequest) -> Future[Withdrawn]:
        self._slip()
        return self._writer.withdraw(request)

    def _slip(self) -> None:
        while self._change:
            self._change.pop()()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


def race(kit: HubKit, change: Callable[[], None]) -> None:
    """Let `change` slip in between the decision and the next write."""
    racing: Any = Racing(kit, change)
    kit.app = make_app(replace(kit.hub, writer=racing))


@pytest.mark.parametrize(("publishers", "status"), [(["uslax"], 403), (["uslgb", "uslax"], 202)])
def test_a_right_that_is_lost_between_decision_and_write_is_lost(
    kit: HubKit, publishers: list[str], status: int
) -> None:
    """The epoch is compared inside the transaction; then everything is decided again."""
    changed = {**COLLECTIONS, "indicators": {"publishers": publishers}}
    race(kit, lambda: kit.add_agreement("exercise", collections=changed))
    assert post(kit, indicator()).status_code == status
    assert len(held(kit)) == (status == 202)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_what_a_credential_sends_while_it_is_revoked_is_not_taken(kit: HubKit, method: str) -> None:
    """A stolen credential cannot finish an upload that it began before."""
    one = indicator()
    post(kit, one)
    kit.mint("uslgb", "stolen")
    race(kit, lambda: kit.revoke("uslgb/stolen"))
    client = kit.client("uslgb/stolen")
    if method == "POST":
        answer = client.post(kit.path("indicators", "objects/"), json={"objects": [indicator()]})
    else:
        answer = client.delete(kit.path("indicators", f"objects/{one['id']}/"))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"]
    assert [event.why for event in kit.events(outcome="refused", limit=100)] == ["deny-revoked"]
    assert held(kit) == [one]


def test_what_may_not_be_meant_to_be_shared_is_told_to_its_publisher_and_refuses_nothing(
    kit: HubKit,
) -> None:
    telling = indicator(description="Booking no. MAEU12345678, call the terminal's guard")
    status = post(kit, telling, indicator()).json()
    check_adds_up(status, 2)
    said, silent = status["successes"]
    assert status["failure_count"] == 0
    assert "commercial data" in said["message"]
    assert "/description" in said["message"]
    assert "MAEU12345678" not in said["message"]
    assert "message" not in silent
    assert [one["id"] for one in held(kit)] == [telling["id"], silent["id"]]
    again = post(kit, telling).json()["successes"][0]["message"]
    assert again.startswith("Already held with the same content; nothing to do. ")
    assert "commercial data" in again


def test_an_observable_that_is_held_back_has_the_time_of_its_post_as_version(kit: HubKit) -> None:
    terms = sharing_terms(kit.agreement, release_at="2099-01-01T00:00:00Z")
    waiting = address("192.0.2.44", object_marking_refs=[terms["id"]])
    status = post(kit, terms, waiting).json()
    check_adds_up(status, 2)
    entry = status["successes"][1]
    assert entry["version"] == status["request_timestamp"]
    assert entry["message"].startswith("Held back until 2099-01-01T00:00:00.000000Z")
    assert held(kit) == []


def test_what_waits_counts_against_the_quota(kit: HubKit) -> None:
    terms = sharing_terms(kit.agreement, release_at="2099-01-01T00:00:00Z")
    under: dict[str, Any] = {"object_marking_refs": [terms["id"]]}
    assert post(kit, terms, indicator(**under), alias="small").status_code == 202
    full = post(kit, indicator(), indicator(), alias="small")
    assert full.status_code == 429
    assert "deny-publish-quota" in full.text
    assert post(kit, indicator(), alias="small").status_code == 202
    assert post(kit, indicator(**under), alias="small").status_code == 429
