"""Two releases of ATT&CK for ICS, published with a stock client, pulled with four, over TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import stix2

from livehub import LiveHub, live_hub
from stockclients import PULLERS, taxii2_collection

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "attack-ics"
RELEASES = ("ics-attack-17.1.json", "ics-attack-18.1.json")

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="the ATT&CK for ICS releases are not beside the checkout"),
    # The stock clients leave their sessions to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

Versions = dict[tuple[str, str], dict[str, Any]]


def version(one: Any) -> tuple[str, str]:
    return one["id"], one.get("modified") or one["created"]


@dataclass
class Loaded:
    hub: LiveHub
    collection: str
    statuses: list[Any]
    expected: Versions
    latest: Versions


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    expected: Versions = {}
    with (
        pytest.MonkeyPatch.context() as patch,
        live_hub(tmp_path_factory.mktemp("attack"), sample="reference", members=("uslgb", "uslax")) as hub,
    ):
        patch.setenv("REQUESTS_CA_BUNDLE", hub.ca)
        collection = hub.collection("public")
        statuses = []
        for release in RELEASES:
            objects = json.loads((DATA / release).read_text())["objects"]
            target = taxii2_collection(hub, "uslgb", collection)
            statuses.append(target.add_objects({"objects": objects}, wait_for_completion=True))
            for one in objects:
                expected.setdefault(version(one), one)
        latest: Versions = {}
        for key in sorted(expected):
            latest[key[0], ""] = expected[key]
        yield Loaded(hub, collection, statuses, expected, latest)


def test_the_first_release_is_taken_whole(loaded: Loaded) -> None:
    first = loaded.statuses[0]
    assert (first.total_count, first.success_count, first.failure_count) == (1651, 1651, 0)


def test_the_second_release_names_its_70_conflicts(loaded: Loaded) -> None:
    second = loaded.statuses[1]
    assert (second.success_count, second.failure_count) == (1756, 70)
    before = {version(one): one for one in json.loads((DATA / RELEASES[0]).read_text())["objects"]}
    posted = {version(one): one for one in json.loads((DATA / RELEASES[1]).read_text())["objects"]}
    changed = {key for key in posted.keys() & before.keys() if posted[key] != before[key]}
    assert {(one["id"], one["version"]) for one in second.failures} == changed
    assert all("deny-conflict" in one["message"] for one in second.failures)


@pytest.mark.parametrize("limit", [7, 100, 1000])
@pytest.mark.parametrize("client", PULLERS)
def test_every_version_comes_back_equal_and_once(loaded: Loaded, client: str, limit: int) -> None:
    got = PULLERS[client](loaded.hub, "uslax", loaded.collection, limit, True)
    check(client, got, loaded.expected, 2141, keyed_by_id=False)


@pytest.mark.parametrize("limit", [7, 100, 1000])
@pytest.mark.parametrize("client", PULLERS)
def test_every_object_comes_back_in_its_latest_version(loaded: Loaded, client: str, limit: int) -> None:
    got = PULLERS[client](loaded.hub, "uslax", loaded.collection, limit, False)
    check(client, got, loaded.latest, 2064, keyed_by_id=True)


def check(client: str, got: list[Any], wanted: Versions, count: int, *, keyed_by_id: bool) -> None:
    assert len(got) == count == len(wanted)
    if client.startswith("stix2"):
        # This source hands out parsed objects: compare with what its own parser makes of what was posted.
        assert {text_of(one) for one in got} == {parsed(one) for one in wanted.values()}
        return
    found = {(one["id"], "") if keyed_by_id else version(one): one for one in got}
    assert len(found) == count, "an object came twice"
    assert found == wanted


def text_of(one: Any) -> str:
    """What stix2 holds of an object: its own class, or a dict for custom types."""
    return json.dumps(one if isinstance(one, dict) else json.loads(one.serialize()), sort_keys=True)


_parsed: dict[int, str] = {}


def parsed(one: dict[str, Any]) -> str:
    if id(one) not in _parsed:
        _parsed[id(one)] = text_of(stix2.parse(one, allow_custom=True))
    return _parsed[id(one)]
