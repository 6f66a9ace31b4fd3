"""Who may post to a collection and not read it learns from a post nothing about what others posted there.

The status of a post is compared with that of the same post to an empty collection of the same kind, byte for
byte but for its id. What is told by other bytes under an id that is held (`deny-conflict`) is no secret: see
docs/agreements.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubkit import HubKit, StoppedClock, Store, make_hub
from stixsamples import Stix, address, indicator, indicator_20, statement_marking

STORES: tuple[Store, ...] = ("memory", "sqlite")
ONE_WAY: Any = {"audience": ["uslax"], "publishers": ["uslax", "uslgb"]}
COLLECTIONS: Any = {"reports-in": ONE_WAY, "empty": ONE_WAY}


@pytest.fixture(params=STORES)
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HubKit]:
    with make_hub(tmp_path, request.param, collections=COLLECTIONS, clock=StoppedClock()) as made:
        yield made


def post(kit: HubKit, member: str, alias: str, *objects: Stix) -> dict[str, Any]:
    answer = kit.client(member).post(kit.path(alias, "objects/"), json={"objects": list(objects)})
    assert answer.status_code == 202, answer.text
    asked = kit.client(member).get(f"{kit.root}status/{answer.json()['id']}/")
    assert asked.json() == answer.json()
    return {name: value for name, value in answer.json().items() if name != "id"}


def samples() -> list[Stix]:
    commercial = address("192.0.2.9", x_price="secret")
    return [address(), commercial, indicator(), indicator_20(), statement_marking()]


def test_a_copy_of_what_another_reported_is_answered_as_if_it_were_new(kit: HubKit) -> None:
    objects = samples()
    post(kit, "uslax", "reports-in", *objects)
    told = post(kit, "uslgb", "reports-in", *objects)
    assert told == post(kit, "uslgb", "empty", *objects)
    assert told["success_count"] == len(objects)


def test_posting_it_twice_tells_as_little(kit: HubKit) -> None:
    objects = samples()
    post(kit, "uslax", "reports-in", *objects)
    for _ in range(2):
        told = post(kit, "uslgb", "reports-in", *objects)
        assert told == post(kit, "uslgb", "empty", *objects)


def test_it_tells_no_date_of_what_was_added(kit: HubKit) -> None:
    told = post(kit, "uslgb", "reports-in", address())
    assert [one["version"] for one in told["successes"]] == [told["request_timestamp"]]


def test_who_may_read_is_told_that_it_is_held_and_since_when(kit: HubKit) -> None:
    first = post(kit, "uslgb", "reports-in", address())["successes"]
    (entry,) = post(kit, "uslax", "reports-in", address())["successes"]
    (listed,) = kit.client("uslax").get(kit.path("reports-in", "manifest/")).json()["objects"]
    assert "held" in entry["message"]
    assert entry["version"] == listed["date_added"]
    assert entry["id"] == first[0]["id"]


def test_the_access_event_keeps_the_truth(kit: HubKit) -> None:
    post(kit, "uslax", "reports-in", address())
    post(kit, "uslgb", "reports-in", address(), address("192.0.2.8"))
    assert [one.n for one in kit.events() if one.act == "publish"] == [1, 1]
