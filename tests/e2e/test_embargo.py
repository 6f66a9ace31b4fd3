"""An embargo as pollers live it: a real hub over TLS, cursors that had passed the posting, a stock client.

What was held back comes to every poller after its release, once, whatever it kept as its place; before that
nobody but its publisher sees anything of it; a member that joins later sees the whole collection.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from livehub import TAXII, LiveHub, live_hub
from stixsamples import Stix, indicator, sharing_terms
from stockclients import taxii2_collection
from traffic import Poller, Version

pytestmark = [
    # The stock clients leave their sessions to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
WAYS = ("next", "date", "clock")
HELD_S = 2.0
TOKYO = """
[members.jptyo]
name = "Port of Tokyo"
unlocode = "JPTYO"
group = "port-authority"
roles = ["publisher", "consumer"]
identities = ["identity--{identity}"]
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    with live_hub(tmp_path_factory.mktemp("embargo"), sample="reference", members=("uslgb", "uslax")) as made:
        yield made


def later(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def post(hub: LiveHub, path: str, *objects: Stix) -> Any:
    with hub.client("uslgb") as client:
        answer = client.post(path, json={"objects": list(objects)}, headers={"Content-Type": TAXII})
    assert answer.status_code == 202, answer.text
    assert answer.json()["failure_count"] == 0, answer.text
    return answer.json()


def waiting(hub: LiveHub, alias: str) -> list[Any]:
    with hub.client("uslgb") as client:
        answer = client.get(
            f"{hub.url}/staged/{hub.agreement}/{alias}/", headers={"Accept": "application/json"}
        )
    assert answer.status_code == 200, answer.text
    return list(answer.json()["staged"])


def version(one: Stix) -> Version:
    return str(one["id"]), str(one.get("modified", one["created"]))


def drain(hub: LiveHub, pollers: list[Poller]) -> None:
    with hub.client("uslax") as client:
        for poller in pollers:
            poller.drain(client, time.monotonic() + 30)


def test_what_was_held_back_reaches_pollers_whose_cursor_had_passed_its_posting(
    hub: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", hub.ca)
    collection = hub.collection("public")
    path = f"collections/{collection}/objects/"
    pollers = [Poller(hub, "uslax", path, way, 2) for way in WAYS]
    stock = taxii2_collection(hub, "uslax", collection)

    before = [indicator() for _ in range(3)]
    post(hub, path, *before)
    drain(hub, pollers)

    terms = sharing_terms(hub.agreement, release_at=later(HELD_S))
    secret = [terms, *(indicator(object_marking_refs=[terms["id"]]) for _ in range(3))]
    status = post(hub, path, *secret)
    assert status["pending_count"] == 0
    assert all("Held back until" in one["message"] for one in status["successes"])
    assert {one["id"] for one in waiting(hub, "public")} == {one["id"] for one in secret}
    after = [indicator() for _ in range(3)]
    post(hub, path, *after)

    drain(hub, pollers)
    secrets = {version(one) for one in secret}
    for poller in pollers:
        assert poller.seen.keys() == {version(one) for one in before + after}, poller.way
    place = pollers[1].position
    assert {one["id"] for one in stock.get_objects()["objects"]} == {one["id"] for one in before + after}

    release = datetime.strptime(terms_release(terms), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    limit = time.monotonic() + HELD_S + 20
    while waiting(hub, "public"):
        assert time.monotonic() < limit, "it was never released"
        time.sleep(0.02)
    late = (datetime.now(UTC) - release).total_seconds()
    assert 0 <= late < 5, f"released {late} s after its moment"

    drain(hub, pollers)
    for poller in pollers:
        assert secrets <= poller.seen.keys(), f"{poller.way} lost what was held back"
        if poller.way != "clock":
            assert max(poller.seen.values()) == 1, f"{poller.way} got something twice"
    news = stock.get_objects(added_after=place)["objects"]
    assert [one["id"] for one in news] == [one["id"] for one in secret]
    with hub.client("uslax") as client:
        manifest = client.get(path.replace("objects", "manifest"), params={"added_after": place}).json()
    assert {(one["id"], one["version"]) for one in manifest["objects"]} == secrets
    assert all(one["date_added"] >= terms_release(terms) for one in manifest["objects"])


def terms_release(terms: Stix) -> str:
    (content,) = terms["extensions"].values()
    return str(content["release_at"])


def test_a_member_that_joins_later_sees_the_whole_collection(hub: LiveHub) -> None:
    collection = hub.collection("public")
    path = f"collections/{collection}/objects/"
    terms = sharing_terms(hub.agreement, release_at=later(0.3))
    secret = [terms, indicator(object_marking_refs=[terms["id"]])]
    post(hub, path, indicator())
    post(hub, path, *secret)
    limit = time.monotonic() + 20
    while waiting(hub, "public"):
        assert time.monotonic() < limit
        time.sleep(0.02)
    file = hub.dir / "agreements" / hub.agreement / "agreement.toml"
    file.write_text(file.read_text() + TOKYO.format(identity=uuid.uuid4()))
    hub.command("agreement", "apply", hub.agreement)
    hub.mint("jptyo")
    ways = [Poller(hub, member, path, "next", 3) for member in ("uslax", "jptyo")]
    for poller in ways:
        with hub.client(poller.member) as client:
            poller.drain(client, time.monotonic() + 30)
    assert ways[0].seen == ways[1].seen
    assert {version(one) for one in secret} <= ways[1].seen.keys()


def test_the_command_lists_what_waits_and_takes_it_back(
    hub: LiveHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    user, secret_text = hub.secrets["uslgb"]
    kept = tmp_path / "secret"
    kept.write_text(secret_text)
    kept.chmod(0o600)
    hub.command("login", hub.url, "--user", user, "--ca-file", hub.ca, "--secret-file", str(kept))
    where = f"{hub.agreement}/public"
    terms = sharing_terms(hub.agreement, release_at=later(600))
    mine = indicator(object_marking_refs=[terms["id"]])
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"objects": [terms, mine]}))
    done = json.loads(hub.command("publish", str(report), "--to", where, "--json"))
    assert done["success"] == 2
    assert {one["id"] for one in done["notes"]} == {terms["id"], mine["id"]}
    assert all("Held back until" in one["message"] for one in done["notes"])

    rows = [json.loads(line) for line in hub.command("staged", "list", where, "--json").splitlines()]
    assert [one["id"] for one in rows] == [terms["id"], mine["id"]]
    assert {one["release_at"] for one in rows} == {terms_release(terms)}
    local = hub.command("staged", "list", where, "--hub", str(hub.dir), "--json").splitlines()
    assert [json.loads(line)["member"] for line in local] == ["uslgb", "uslgb"]
    assert mine["id"] in hub.command("staged", "list", where)

    cancelled = json.loads(hub.command("staged", "cancel", where, mine["id"], "--json"))
    assert [one["id"] for one in cancelled["cancelled"]] == [mine["id"]]
    said = hub.command("staged", "cancel", where, terms["id"], "--hub", str(hub.dir))
    assert said.startswith(f"cancelled {terms['id']}")
    assert "Nothing waits" in hub.command("staged", "list", where)
    events = [
        json.loads(line)
        for line in hub.command("audit", "search", "--action", "cancel-staged", "--json").splitlines()
    ]
    assert [(one["member"], one["objects"]) for one in events] == [("uslgb", 1), ("uslgb", 1)]
    assert events[-1]["credential"] == "steward"
