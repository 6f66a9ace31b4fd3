"""Whatever comes in, the hub answers, never with 500, always with an event, and stays readable.

Random requests out of the pieces that servers stumble over; every answer of 400 and above is a TAXII error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from probehub import ProbeHub, probe_hub
from stixsamples import indicator
from taxiiprobe import TAXII, Reply

RELAXED = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
AWKWARD = [
    *(
        "",
        "%",
        "%00",
        "%ff",
        "%2f",
        "..",
        ".",
        "//",
        "?",
        "#",
        ";",
        "\\",
        "'",
        '"',
        "<",
        "[",
        "]",
        "&",
        "=",
        "+",
    ),
    *(
        "limit",
        "added_after",
        "next",
        "match[version]",
        "match[id]",
        "match[type]",
        "match[spec_version]",
        "all",
    ),
    *(
        "last",
        "first",
        "0",
        "-1",
        "1e9",
        "2026-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "2.1",
        "é",
        "\x80",
    ),
    *(
        "indicator",
        "indicator--a932fcc6-e032-4f6c-826f-cb970a5a1ade",
        "objects",
        "manifest",
        "versions",
        "status",
    ),
]
PIECES = st.lists(st.sampled_from(AWKWARD) | st.text(max_size=8), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
HEADER_NAMES = ["Accept", "Accept-Encoding", "Content-Type", "If-None-Match", "Content-Encoding", "X-API-Key"]


@pytest.fixture(scope="module")
def shared() -> Iterator[ProbeHub]:
    """One hub for all examples of this file, with one object that has to survive them."""
    with probe_hub() as hub:
        assert hub.standing_object
        yield hub


def check(hub: ProbeHub, reply: Reply, events_before: int) -> None:
    """Judge one answer."""
    assert reply.status < 500, reply
    if reply.status >= 400 and reply.body:
        reply.error(reply.status)
    events = hub.events()[events_before:]
    assert [event.st for event in events] == [reply.status]
    assert events[0].why


def latin(pieces: list[str], joint: str) -> str:
    return joint.join(pieces).encode("utf-8", "surrogatepass").decode("latin-1")


@RELAXED
@given(
    path=PIECES, query=PIECES, method=st.sampled_from(["GET", "HEAD", "DELETE", "POST", "OPTIONS", "BREW"])
)
@example(path=["pedro", "collections"], query=["match[version]=all", "match[version]=last"], method="GET")
def test_any_path_and_query(shared: ProbeHub, path: list[str], query: list[str], method: str) -> None:
    for prefix in ("/", shared.root, shared.lax.collection, shared.lax.at("objects/")):
        before = len(shared.events())
        whole = (prefix + latin(path, "/")).replace("#", "").replace("?", "")
        asked = latin(query, "&").encode("latin-1")
        headers = [("Accept", TAXII), ("Authorization", str(shared.lax.authorization))]
        check(shared, shared.driver.ask(method, whole, asked, headers=headers), before)


@RELAXED
@given(query=st.lists(st.tuples(st.sampled_from(AWKWARD), st.sampled_from(AWKWARD)), max_size=4))
def test_any_parameter_with_any_value(shared: ProbeHub, query: list[tuple[str, str]]) -> None:
    asked = "&".join(f"{name}={value}" for name, value in query).encode()
    for place in ("objects", "manifest", "object", "versions"):
        before = len(shared.events())
        headers = [("Accept", TAXII), ("Authorization", str(shared.lax.authorization))]
        check(shared, shared.driver.ask("GET", shared.place(place), asked, headers=headers), before)


@RELAXED
@given(
    values=st.lists(st.tuples(st.sampled_from(HEADER_NAMES), st.sampled_from(AWKWARD) | st.text(max_size=20)))
)
def test_any_header(shared: ProbeHub, values: list[tuple[str, str]]) -> None:
    headers = [(name, latin([value], "")) for name, value in values]
    for method, place in (("GET", "objects"), ("POST", "objects"), ("GET", "/taxii2/")):
        before = len(shared.events())
        sent = [*headers, ("Authorization", str(shared.lax.authorization))]
        body = b'{"objects":[{}]}' if method == "POST" else b""
        check(shared, shared.driver.ask(method, shared.place(place), headers=sent, body=body), before)


@RELAXED
@given(items=st.lists(JSON, min_size=1, max_size=4))
def test_any_json_as_objects(shared: ProbeHub, items: list[object]) -> None:
    good = indicator()
    body = json.dumps({"objects": [*items, good]}).encode()
    before = len(shared.events())
    reply = shared.lgb.send(body)
    check(shared, reply, before)
    status = reply.json
    assert status["total_count"] == len(items) + 1
    assert status["successes"][-1]["id"] == good["id"]
    assert good in shared.lax.object(good["id"]).objects
    shared.lgb.withdraw(good["id"]).ok()


@RELAXED
@given(
    changes=st.dictionaries(st.sampled_from([*indicator(), "x_y", "labels", "extensions", "revoked"]), JSON)
)
def test_any_value_in_any_property(shared: ProbeHub, changes: dict[str, object]) -> None:
    before = len(shared.events())
    reply = shared.lgb.post({**indicator(), **changes})
    check(shared, reply, before)
    assert reply.status == 202
    for read in (shared.lax.objects, shared.lax.manifest):
        assert read({"match[version]": "all", "limit": 10_000}).status == 200
    for entry in reply.json.get("successes", []):
        assert len(shared.lax.object(entry["id"], {"match[version]": "all"}).objects) >= 1


@RELAXED
@given(body=st.binary(max_size=200))
def test_any_bytes_as_a_body(shared: ProbeHub, body: bytes) -> None:
    before = len(shared.events())
    reply = shared.driver.ask(
        "POST",
        shared.place("objects"),
        headers=[("Content-Type", TAXII), ("Authorization", str(shared.lgb.authorization))],
        body=body,
    )
    check(shared, reply, before)
    assert shared.standing_object in shared.lax.object(shared.standing_object["id"]).objects
