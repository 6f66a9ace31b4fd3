"""Publishing cuts to the hub's limits, changes no byte, and names every object that was not taken."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from lightship.client import Connection, PublishReport
from lightship.client.publishing import publish
from lightship.core.errors import Refused


class Door:
    """Takes envelopes; refuses objects whose name says so."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(request.content)
        objects = json.loads(request.content)["objects"]
        failures = [
            {"id": one["id"], "version": "2026-01-01T00:00:00Z", "message": f"object at position {n}: no"}
            for n, one in enumerate(objects)
            if "bad" in one["id"]
        ]
        status: dict[str, Any] = {
            "id": f"status-{len(self.bodies)}",
            "status": "complete",
            "total_count": len(objects),
            "success_count": len(objects) - len(failures),
            "failure_count": len(failures),
            "pending_count": 0,
        }
        return httpx2.Response(202, json=status | ({"failures": failures} if failures else {}))

    def publish(self, objects: list[bytes], **how: Any) -> PublishReport:
        connection = Connection("https://hub.example", "u", "s", transport=httpx2.MockTransport(self))
        return publish(connection, "/a/collections/c/", objects, **{"max_bytes": 1 << 20, **how})


def text(name: str, size: int = 0) -> bytes:
    return json.dumps({"id": name, "x": "y" * size}).encode()


def test_objects_are_passed_on_byte_for_byte() -> None:
    door = Door()
    odd = rb'{ "id":"a", "n":1.0, "n":2, "s":"\u00e9\/" }'
    door.publish([odd])
    assert door.bodies == [b'{"objects":[' + odd + b"]}"]


def test_envelopes_keep_to_count_and_size() -> None:
    door = Door()
    steps: list[int] = []
    objects = [text(str(n), 100) for n in range(50)]
    report = door.publish(objects, count=20, max_bytes=1500, progress=steps.append)
    assert max(map(len, door.bodies)) <= 1500
    sent = [one for body in door.bodies for one in json.loads(body)["objects"]]
    assert [one["id"] for one in sent] == [str(n) for n in range(50)]
    assert (report.total, report.success, report.failures) == (50, 50, ())
    assert sum(steps) == 50
    assert len(report.statuses) == len(door.bodies) > 3


def test_an_envelope_may_be_exactly_as_long_as_the_hub_takes() -> None:
    door = Door()
    one = text("a", 40)
    whole = len(b'{"objects":[' + one + b"," + one + b"]}")
    door.publish([one, one], max_bytes=whole)
    door.publish([one, one], max_bytes=whole - 1)
    assert [len(body) for body in door.bodies] == [whole, whole - len(one) - 1, whole - len(one) - 1]


def test_an_object_that_no_envelope_holds_is_a_failure_of_its_own() -> None:
    door = Door()
    report = door.publish([text("a"), text("b", 5000), text("c")], max_bytes=1000)
    assert (report.total, report.success) == (3, 2)
    (failure,) = report.failures
    assert "position 1" in failure.message
    assert "1000 a request" in failure.message


def test_positions_are_those_of_the_whole_input() -> None:
    report = Door().publish([text("a"), text("b"), text("c"), text("bad-d")], count=3)
    (failure,) = report.failures
    assert failure.id == "bad-d"
    assert "position 3" in failure.message


def test_nothing_to_publish_asks_nothing() -> None:
    door = Door()
    assert door.publish([]) == PublishReport()
    assert door.bodies == []


def test_a_refused_envelope_ends_it() -> None:
    def closed(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(403, json={"title": "No", "details": {"rule": "deny-default"}})

    connection = Connection("https://hub.example", "u", "s", transport=httpx2.MockTransport(closed))
    with pytest.raises(Refused) as caught:
        publish(connection, "/c/", [text("a")], max_bytes=1000)
    assert caught.value.rule == "deny-default"


class Strict:
    """A hub that knows a marking once it was posted."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.bodies: list[list[str]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        objects = json.loads(request.content)["objects"]
        self.bodies.append([one["id"] for one in objects])
        self.known |= {one["id"] for one in objects if one["id"].startswith("marking")}
        failures = [
            {"id": one["id"], "version": one.get("modified", "2026-05-05T00:00:00Z"), "message": UNKNOWN}
            for one in objects
            if not set(one.get("object_marking_refs", [])) <= self.known
        ]
        return httpx2.Response(
            202,
            json={
                "id": "s",
                "total_count": len(objects),
                "success_count": len(objects) - len(failures),
                "failures": failures,
            },
        )


UNKNOWN = "it is marked with something that is not known here (deny-unknown-marking)"


def marked(name: str, marking: str, **more: str) -> bytes:
    return json.dumps({"id": name, "object_marking_refs": [marking], **more}).encode()


def publish_to(hub: Strict, objects: list[bytes]) -> PublishReport:
    connection = Connection("https://hub.example", "u", "s", transport=httpx2.MockTransport(hub))
    return publish(connection, "/a/collections/c/", objects, max_bytes=1 << 20, count=2)


def test_what_is_marked_by_a_later_envelope_is_posted_again_at_the_end() -> None:
    hub = Strict()
    first = [marked("a", "marking-1", modified="2026-01-01T00:00:00Z"), marked("b", "marking-1")]
    report = publish_to(hub, [*first, text("c"), text("marking-1"), marked("d", "marking-2")])
    assert hub.bodies == [["a", "b"], ["c", "marking-1"], ["d"], ["a", "b"], ["d"]]
    assert (report.total, report.success) == (5, 4)
    assert [one.id for one in report.failures] == ["d"]


def test_a_marking_that_comes_nowhere_is_not_waited_for() -> None:
    hub = Strict()
    report = publish_to(hub, [marked("a", "marking-1"), text("b")])
    assert hub.bodies == [["a", "b"]]
    assert (report.total, report.success, len(report.failures)) == (2, 1, 1)
