"""What waits for its release is not there for anybody but its publisher: not in one byte of one answer.

Two moments are compared, before and after a member posted objects under an embargo: every route, as every
other member, as an auditor and as a stranger, answers the same, byte for byte, headers too; but for what
names the single answer (Date, request id, receipt).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from hubkit import HubKit, StoppedClock, Store, make_hub
from lightship.core.errors import Conflict
from lightship.core.time import format_stamp
from lightship.usecases.staged import cancel_for
from stixsamples import Stix, indicator, sharing_terms

STORES: tuple[Store, ...] = ("memory", "sqlite")
MEMBERS: Any = {
    "uslax": {},
    "uslgb": {},
    "reader": {"unlocode": "USLAX", "roles": ["consumer"]},
    "auditor": {"unlocode": "USLAX", "roles": ["auditor"]},
    "joint": {"unlocode": "USLAX", "roles": ["joint-auditor"]},
}
COLLECTIONS: Any = {
    "indicators": {"audience": ["uslax", "uslgb", "reader"], "publishers": ["uslax", "uslgb"]},
    "other": {"audience": ["uslax"], "publishers": ["uslax", "uslgb"]},
}
PARTIES = ("uslax", "reader", "auditor", "joint", "elsewhere:uslax", None)
OF_THE_ANSWER = {"date", "x-request-id", "audit-receipt"}
PLAIN = {"Accept": "application/json"}


@pytest.fixture(params=STORES)
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HubKit]:
    with make_hub(
        tmp_path,
        request.param,
        MEMBERS,
        COLLECTIONS,
        clock=StoppedClock(),
        settings={"throttle_failures": 10**6},
    ) as made:
        made.add_agreement("elsewhere")
        yield made


def secret(kit: HubKit) -> list[Stix]:
    later = format_stamp(kit.hub.clock.now() + 60_000_000)
    terms = sharing_terms(kit.agreement, release_at=later, exclude_countries=["JP"])
    return [terms, indicator(object_marking_refs=[terms["id"]])]


def post(kit: HubKit, alias: str, member: str, *objects: Stix) -> Any:
    answer = kit.client(member).post(kit.path(alias, "objects/"), json={"objects": list(objects)})
    assert answer.status_code == 202, answer.text
    return answer.json()


def requests_about(kit: HubKit, objects: list[Stix]) -> Iterator[tuple[str, str, dict[str, str], Any]]:
    """Yield (method, path, headers, body) of every way to ask."""
    yield "GET", "/taxii2/", {}, None
    yield "GET", "/openapi.json", {}, None
    yield "GET", kit.root, {}, None
    yield "GET", f"{kit.root}collections/", {}, None
    for alias in COLLECTIONS:
        yield "GET", kit.path(alias), {}, None
        for query in ("", "?limit=1", "?match[version]=all", "?added_after=2026-09-21T00:00:00Z"):
            yield "GET", kit.path(alias, f"objects/{query}"), {}, None
            yield "GET", kit.path(alias, f"manifest/{query}"), {}, None
        for one in objects:
            found = kit.path(alias, f"objects/{one['id']}/")
            yield "GET", found, {}, None
            yield "HEAD", found, {}, None
            yield "GET", f"{found}versions/", {}, None
            yield "GET", kit.path(alias, f"manifest/?match[id]={one['id']}"), {}, None
            yield "GET", kit.path(alias, f"objects/?match[id]={one['id']}"), {}, None
            yield "DELETE", found, {}, None
            yield "DELETE", f"/staged/{kit.agreement}/{alias}/{one['id']}/", PLAIN, None
            yield "GET", f"/audit/{kit.agreement}/?object={one['id']}&until=2026-09-21T14:13:20Z", PLAIN, None
        yield "GET", f"/staged/{kit.agreement}/{alias}/", PLAIN, None
        yield "GET", f"/audience/{kit.agreement}/{alias}/", PLAIN, None
        yield "POST", f"/audience/{kit.agreement}/{alias}/", PLAIN, {"objects": objects}
        for action in ("read", "publish", "withdraw", "list"):
            yield "GET", f"/why/{kit.agreement}/{alias}/?action={action}", PLAIN, None
        yield "POST", f"/why/{kit.agreement}/{alias}/", PLAIN, {"objects": objects}
        cited = [{**objects[1], "id": indicator()["id"]}]
        yield "POST", f"/why/{kit.agreement}/{alias}/", PLAIN, {"objects": cited}


def look(kit: HubKit, asked: list[Any]) -> dict[tuple[Any, ...], Any]:
    seen = {}
    for party in PARTIES:
        with kit.client(party) as client:
            for number, (method, path, headers, body) in enumerate(asked):
                answer = client.request(method, path, headers=headers, json=body)
                seen[party, number, method, path] = shown(answer)
    return seen


def shown(answer: httpx2.Response) -> tuple[int, Any, bytes]:
    headers = sorted((k, v) for k, v in answer.headers.items() if k not in OF_THE_ANSWER)
    body = answer.content
    if answer.status_code >= 400 and body:
        body = json.dumps({k: v for k, v in answer.json().items() if k != "error_id"}).encode()
    return answer.status_code, headers, body


def test_nobody_else_sees_any_trace_of_what_waits(kit: HubKit) -> None:
    post(kit, "indicators", "uslgb", indicator())
    objects = secret(kit)
    asked = list(requests_about(kit, objects))
    before = look(kit, asked)
    assert {one[0] for one in before.values()} >= {200, 401, 403, 404}
    status = post(kit, "indicators", "uslgb", *objects)
    assert all("Held back" in one["message"] for one in status["successes"])
    post(kit, "other", "uslgb", *objects[1:])
    after = look(kit, asked)
    assert after.keys() == before.keys()
    for key, answer in after.items():
        assert answer == before[key], key


def test_the_publisher_itself_sees_it_only_among_what_waits(kit: HubKit) -> None:
    objects = secret(kit)
    with kit.client("uslgb") as client:
        before = shown(client.get(kit.path("indicators", "objects/")))
        post(kit, "indicators", "uslgb", *objects)
        assert shown(client.get(kit.path("indicators", "objects/"))) == before
        listed = client.get(f"/staged/{kit.agreement}/indicators/", headers=PLAIN).json()["staged"]
    assert [one["id"] for one in listed] == [one["id"] for one in objects]
    assert all(one.keys() == {"id", "version", "release_at", "posted", "problem"} for one in listed)


def test_posting_what_another_has_waiting_goes_as_if_nothing_waited(kit: HubKit) -> None:
    objects = secret(kit)
    post(kit, "indicators", "uslgb", *objects)
    mine = {**objects[1], "name": "Another's"}
    del mine["object_marking_refs"]
    citing = indicator(object_marking_refs=[objects[0]["id"]])
    status = post(kit, "indicators", "uslax", mine, citing)
    assert [one["id"] for one in status["successes"]] == [mine["id"]]
    assert "message" not in status["successes"][0]
    assert "is not known here" in status["failures"][0]["message"]


def test_who_may_only_write_sees_and_cancels_what_it_has_waiting(kit: HubKit) -> None:
    objects = secret(kit)
    post(kit, "other", "uslgb", *objects)
    path = f"/staged/{kit.agreement}/other/"
    with kit.client("uslgb") as client:
        assert client.get(kit.path("other", "objects/")).status_code == 403
        assert len(client.get(path, headers=PLAIN).json()["staged"]) == 2
        answer = client.delete(f"{path}{objects[1]['id']}/", headers=PLAIN)
        assert answer.status_code == 200
        assert len(client.get(path, headers=PLAIN).json()["staged"]) == 1


@pytest.mark.parametrize("party", ["reader", "auditor"])
def test_who_publishes_nothing_finds_nothing(kit: HubKit, party: str) -> None:
    objects = secret(kit)
    post(kit, "indicators", "uslgb", *objects)
    path = f"/staged/{kit.agreement}/indicators/"
    with kit.client(party) as client:
        assert client.get(path, headers=PLAIN).json() == {"staged": []}
        assert client.delete(f"{path}{objects[1]['id']}/", headers=PLAIN).status_code == 404
        assert client.get(f"/staged/{kit.agreement}/no-such/", headers=PLAIN).status_code == 404


@pytest.mark.parametrize(("party", "status"), [("elsewhere:uslax", 404), (None, 401)])
def test_who_is_no_member_finds_not_even_that(kit: HubKit, party: str | None, status: int) -> None:
    for alias in ("indicators", "no-such"):
        with kit.client(party) as client:
            path = f"/staged/{kit.agreement}/{alias}/"
            assert client.get(path, headers=PLAIN).status_code == status
            assert client.delete(f"{path}{indicator()['id']}/", headers=PLAIN).status_code == status


def test_who_lost_the_right_to_publish_still_sees_and_cancels_what_it_has_waiting(kit: HubKit) -> None:
    terms, waits = secret(kit)
    post(kit, "indicators", "uslgb", terms, waits)
    without = {"indicators": {**COLLECTIONS["indicators"], "publishers": ["uslax"]}}
    kit.add_agreement(kit.agreement, members=MEMBERS, collections={**COLLECTIONS, **without})
    path = f"/staged/{kit.agreement}/indicators/"
    with kit.client("uslgb") as client:
        assert client.post(kit.path("indicators", "objects/"), json={"objects": [waits]}).status_code == 403
        listed = client.get(path, headers=PLAIN).json()["staged"]
        assert [one["id"] for one in listed] == [terms["id"], waits["id"]]
        assert client.delete(f"{path}{waits['id']}/", headers=PLAIN).status_code == 200
        assert [one["id"] for one in client.get(path, headers=PLAIN).json()["staged"]] == [terms["id"]]


def test_who_is_no_member_any_more_has_no_access_to_what_waits(kit: HubKit) -> None:
    post(kit, "indicators", "uslgb", *secret(kit))
    others = {slug: one for slug, one in MEMBERS.items() if slug != "uslgb"}
    aliases = {
        alias: {key: [one for one in value if one != "uslgb"] for key, value in one.items()}
        for alias, one in COLLECTIONS.items()
    }
    with kit.client("uslgb") as client:
        kit.add_agreement(kit.agreement, members=others, collections=aliases)
        path = f"/staged/{kit.agreement}/indicators/"
        assert client.get(path, headers=PLAIN).status_code == 401


def test_an_id_of_a_definition_that_another_has_waiting_is_as_free_as_any(kit: HubKit) -> None:
    terms, _ = objects = secret(kit)
    post(kit, "indicators", "uslgb", *objects)
    free = sharing_terms(kit.agreement, only_countries=["US"])
    taken = {**free, "id": terms["id"]}
    for one in (free, taken):
        status = post(kit, "indicators", "uslax", one)
        assert [sorted(entry) for entry in status["successes"]] == [["id", "version"]]


def test_who_knows_the_id_of_what_waits_can_take_it_and_learns_nothing_but_its_publisher_is_told(
    kit: HubKit,
) -> None:
    """A refusal would tell that it waits: the name is lost, and its publisher has time to take another."""
    terms, one = objects = secret(kit)
    free = indicator()
    before = post(kit, "indicators", "uslax", free)
    post(kit, "indicators", "uslgb", *objects)
    after = post(kit, "indicators", "uslax", indicator(id=one["id"], name="mine now"))
    same = [{**entry, "id": "", "version": ""} for entry in (*before["successes"], *after["successes"])]
    assert same[0] == same[1]
    path = f"/staged/{kit.agreement}/indicators/"
    with kit.client("uslgb") as client:
        told = {each["id"]: each["problem"] for each in client.get(path, headers=PLAIN).json()["staged"]}
        assert told[terms["id"]] == ""
        assert "take this one back" in told[one["id"]]
        assert "under a new id if the object is another member's (deny-conflict)" in told[one["id"]]
        assert client.delete(f"{path}{one['id']}/", headers=PLAIN).status_code == 200
        again = post(kit, "indicators", "uslgb", {**one, "id": indicator()["id"]})
        assert "Held back until" in again["successes"][0]["message"]


@pytest.mark.parametrize("by", ["publisher", "steward"])
def test_a_definition_that_waits_stays_while_what_waits_cites_it(kit: HubKit, by: str) -> None:
    terms, one = objects = secret(kit)
    post(kit, "indicators", "uslgb", *objects)
    path = f"/staged/{kit.agreement}/indicators/"
    with kit.client("uslgb") as client:
        if by == "publisher":
            answer = client.delete(f"{path}{terms['id']}/", headers=PLAIN)
            assert answer.status_code == 409
            assert f"{one['id']} in indicators" in answer.json()["description"]
        else:
            view = kit.hub.directory.view()
            where = kit.collection_value("indicators")
            with pytest.raises(Conflict, match="in use"):
                cancel_for(
                    kit.hub.reader,
                    kit.hub.writer,
                    where,
                    view.epoch,
                    terms["id"],
                    now=kit.hub.clock.now(),
                    new_request=lambda: uuid4().hex,
                )
        assert len(client.get(path, headers=PLAIN).json()["staged"]) == 2
        for each in (one, terms):
            assert client.delete(f"{path}{each['id']}/", headers=PLAIN).status_code == 200
