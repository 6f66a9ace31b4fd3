"""An agreement's dates decide: before it begins, in force, in its 30 days of grace, after them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from hubkit import Date, HubKit, StoppedClock, Store, make_hub
from probehub import ProbeHub
from stixsamples import indicator

DAY_S = 86_400


@pytest.fixture
def clock() -> StoppedClock:
    """21 September 2026."""
    return StoppedClock()


def statuses(kit: HubKit, client: httpx2.Client) -> dict[str, int | bool]:
    """Return what a member gets for reading, publishing and listing, and if the API root warns."""
    objects = kit.path("indicators", "objects/")
    return {
        "read": client.get(objects).status_code,
        "publish": client.post(objects, json={"objects": [indicator()]}).status_code,
        "list": client.get(f"{kit.root}collections/").status_code,
        "warned": "ended before" in client.get(kit.root).json().get("description", ""),
    }


LIFE = (("before", 0), ("in force", 5), ("grace", 18), ("expired", 60))
"""What the agreement's status is called here, and the day on which it is looked at."""
DATES: dict[str, Any] = {"not_before": Date("2026-09-25"), "not_after": Date("2026-10-05")}
EXPECTED = {
    "before": {"read": 403, "publish": 403, "list": 200, "warned": False},
    "in force": {"read": 200, "publish": 202, "list": 200, "warned": False},
    "grace": {"read": 200, "publish": 202, "list": 200, "warned": True},
    "expired": {"read": 200, "publish": 403, "list": 200, "warned": True},
}


def test_rights_over_the_life_of_an_agreement(tmp_path: Path, clock: StoppedClock) -> None:
    with make_hub(tmp_path, clock=clock, **DATES) as kit, kit.client("uslgb") as client:
        found = {}
        for name, day in LIFE:
            clock.advance(day * DAY_S - clock.passed / 1_000_000)
            found[name] = statuses(kit, client)
        rules = [event.why for event in kit.events(action="publish", limit=100)]
    assert found == EXPECTED
    assert rules == [
        "deny-agreement-not-in-force",
        *["allow-publisher-publish"] * 2,
        "deny-agreement-not-in-force",
    ]


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_date_that_passes_counts_on_a_connection_that_is_open(
    tmp_path: Path, clock: StoppedClock, store: Store
) -> None:
    ports: list[object] = []

    def note(response: httpx2.Response) -> None:
        if response.request.method == "POST":
            ports.append(response.extensions["network_stream"].get_extra_info("client_addr"))

    with (
        make_hub(tmp_path, clock=clock, store=store, **DATES) as kit,
        kit.serve() as served,
        served.client("uslgb", event_hooks={"response": [note]}) as client,
    ):
        found = {}
        for name, day in LIFE:
            clock.advance(day * DAY_S - clock.passed / 1_000_000)
            found[name] = statuses(kit, client)
        kit.add_agreement(kit.agreement, ended=True, **DATES)
        ended = statuses(kit, client)
    assert found == EXPECTED
    assert ended == {"read": 403, "publish": 403, "list": 200, "warned": False}
    # A refused post ends its connection; those of in force, grace and expired went over the same one.
    assert len(set(ports[1:4])) == 1


def test_a_refusal_says_which_rule_and_what_to_do(tmp_path: Path, clock: StoppedClock) -> None:
    with make_hub(tmp_path, clock=clock, not_before=Date("2026-09-25")) as kit, kit.client("uslax") as client:
        answer = client.get(kit.path("indicators", "objects/")).json()
    assert answer["details"]["rule"] == "deny-agreement-not-in-force"
    assert "not in force" in answer["description"]


def test_a_member_that_joins_reads_from_the_beginning_and_one_that_left_nothing(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one)
    joined = hub.take_in()
    assert joined.objects().objects == [one]
    given = joined.objects().last
    hub.leave_out()
    joined.objects().error(401)
    joined.objects({"added_after": given}).error(401)
