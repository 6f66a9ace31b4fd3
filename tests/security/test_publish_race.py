"""A post and a change of the audience at the same moment never end with a reader that may not have it.

Either the object is in and the change is refused, or the change is in force and the object is refused: by
what the store came to first. Every round races one post, by a client over HTTP, against one new version of
the agreement that brings Tokyo into the audience; the markings forbid Tokyo in one of four ways.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hubkit import HubKit, make_hub
from lightship.core.errors import Conflict, Refused
from stixsamples import Stix, indicator, sharing_terms

RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
PORTS = ["uslax", "uslgb"]
MEMBERS: Any = {"uslax": {}, "uslgb": {}, "jptyo": {}}
ROUNDS_AN_AGREEMENT = 25
"""A chain of agreement versions is verified whole whenever it grows."""


def forbidden_to_tokyo(kit: HubKit, agreement: str, number: int) -> list[Stix]:
    """Return what is posted: an object that Tokyo may not have, with its terms."""
    found = kit.hub.directory.view().agreements[agreement].members
    named = [min(found[one].identities) for one in PORTS]
    kinds: list[dict[str, Any]] = [
        {"exclude_countries": ["JP"]},
        {"only_countries": ["US"]},
        {"recipient_refs": named},
        {"recipient_refs": named},
    ]
    terms = sharing_terms(agreement, **kinds[number % 4])
    red = [RED] if number % 4 == 3 else []
    return [terms, indicator(object_marking_refs=[*red, terms["id"]])]


def put_in_force(kit: HubKit, agreement: str, audience: list[str]) -> bool:
    """Return False if the change was refused."""
    try:
        kit.add_agreement(
            agreement,
            members=MEMBERS,
            collections={"indicators": {"audience": audience, "publishers": PORTS}},
        )
    except (Refused, Conflict):
        return False
    return True


def race(kit: HubKit, url: Any, agreement: str, number: int, rng: random.Random) -> tuple[bool, bool]:
    """Post and change at once; return whether the object got in and whether the change did."""
    objects = forbidden_to_tokyo(kit, agreement, number)
    path = f"/{agreement}/collections/indicators/objects/"
    changed: list[bool] = []
    ready = threading.Barrier(2, timeout=30)

    def change(wait: float) -> None:
        ready.wait()
        time.sleep(wait)
        changed.append(put_in_force(kit, agreement, [*PORTS, "jptyo"]))

    steward = threading.Thread(target=change, args=(rng.uniform(0, 0.004),))
    steward.start()
    with url.client(f"{agreement}:uslgb") as publisher, url.client(f"{agreement}:jptyo") as tokyo:
        publisher.get(f"/{agreement}/")  # so that the connection is there
        ready.wait()
        time.sleep(rng.uniform(0, 0.02))
        status = publisher.post(path, json={"objects": objects}).json()
        steward.join(30)
        entered = objects[-1]["id"] in {one["id"] for one in status.get("successes", [])}
        answer = tokyo.get(path)
        if answer.status_code == 200:
            seen = {one["id"] for one in answer.json().get("objects", [])}
            assert objects[-1]["id"] not in seen, "Tokyo reads what it may not have"
        assert (answer.status_code == 200) == changed[0]
        shown = publisher.get(path).json().get("objects", [])
        assert entered == (objects[-1]["id"] in {one["id"] for one in shown})
        if entered:
            for one in reversed(objects):
                assert publisher.delete(f"{path}{one['id']}/").status_code in {200, 404}
    return entered, changed[0]


def run_rounds(tmp_path: Path, rounds: int) -> Counter[tuple[bool, bool]]:
    ended: Counter[tuple[bool, bool]] = Counter()
    rng = random.Random(20201119)
    with make_hub(tmp_path, "sqlite") as kit, kit.serve() as url:
        for number in range(rounds):
            agreement = f"race-{number // ROUNDS_AN_AGREEMENT}"
            if number % ROUNDS_AN_AGREEMENT == 0:
                assert put_in_force(kit, agreement, PORTS)
            outcome = race(kit, url, agreement, number, rng)
            ended[outcome] += 1
            if outcome[1]:
                assert put_in_force(kit, agreement, PORTS)
    return ended


def check(ended: Counter[tuple[bool, bool]], rounds: int) -> None:
    assert sum(ended.values()) == rounds
    assert ended[True, True] == 0
    assert ended[False, False] == 0, "neither got in: one of the two was refused for nothing"
    assert min(ended[True, False], ended[False, True]) > rounds // 50, f"no race: {ended}"


def test_a_post_racing_a_change_of_the_audience_never_ends_with_a_forbidden_reader(tmp_path: Path) -> None:
    check(run_rounds(tmp_path, 100), 100)


@pytest.mark.long
def test_the_race_in_1000_rounds(tmp_path: Path) -> None:
    ended = run_rounds(tmp_path, 1000)
    print(f"object in: {ended[True, False]}, member in: {ended[False, True]}")
    check(ended, 1000)
