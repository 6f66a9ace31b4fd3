"""The SDK over an outage: the hub is killed with -9 in the middle, and nothing is lost or stored twice."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightship.client import Client, Connection, Cursor, Limits, Unreachable
from livehub import LiveHub, live_hub

GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    with live_hub(tmp_path_factory.mktemp("outage"), sample="exercise", members=("uslgb", "uslax")) as served:
        yield served


def client(hub: LiveHub, member: str, **limits: float) -> Client:
    attempts = int(limits.pop("attempts", 8))
    return Client(
        Connection(hub.url, *hub.secrets[member], ca=Path(hub.ca), limits=Limits(attempts=attempts, **limits))
    )


def indicator(n: int) -> dict[str, Any]:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid5(uuid.NAMESPACE_URL, f'outage {n}')}",
        "created": "2026-03-01T00:00:00.000Z",
        "modified": "2026-03-01T00:00:00.000Z",
        "pattern": f"[file:name = 'outage-{n}']",
        "pattern_type": "stix",
        "valid_from": "2026-03-01T00:00:00Z",
        "object_marking_refs": [GREEN],
    }


def test_a_publication_goes_on_after_kill_9_and_each_object_is_there_once(hub: LiveHub) -> None:
    objects = [indicator(n) for n in range(200)]
    answered = 0

    def fail_once(count: int) -> None:
        nonlocal answered
        before, answered = answered, answered + count
        if before < 100 <= answered:
            hub.kill()
            hub.start()

    with client(hub, "uslgb") as publisher:
        report = publisher.publish("exercise/indicators", objects, count=20, progress=fail_once)
        assert (report.total, report.success, report.failures) == (200, 200, ())
    with client(hub, "uslax") as reader:
        got = [one for page in reader.pull("exercise/indicators", limit=30) for one in page.objects]
    assert sorted(map(json.dumps, got)) == sorted(json.dumps(one, sort_keys=True) for one in objects)


def test_a_pull_goes_on_where_it_was_committed_after_kill_9(hub: LiveHub) -> None:
    kept: list[str] = []
    cursor = Cursor()
    with client(hub, "uslax") as reader:
        pages = reader.pull("exercise/indicators", limit=30)
        for _ in range(2):
            page = next(pages)
            kept += [one["id"] for one in page.objects]
            cursor = page.cursor
        hub.kill()
    with client(hub, "uslax", attempts=1) as reader, pytest.raises(Unreachable, match="cannot be reached"):
        reader.roots()
    hub.start()
    with client(hub, "uslax") as reader:
        kept += [
            one["id"] for page in reader.pull("exercise/indicators", cursor, limit=30) for one in page.objects
        ]
    assert len(kept) == len(set(kept)) == 200


def test_a_hub_in_between_that_is_not_trusted_gets_no_credential(hub: LiveHub) -> None:
    with pytest.raises(Unreachable, match="is not trusted") as caught:
        Client(Connection(hub.url, *hub.secrets["uslax"])).roots()
    assert caught.value.code == "not-trusted"
    assert "tls/ca.pem" in caught.value.todo
