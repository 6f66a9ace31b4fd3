"""`/metrics`: what it counts, where it is, what never stands in it."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hubkit import HubKit, make_hub
from lightship.cli.serve import server_of
from lightship.cli.workers import Supervisor
from lightship.core.agreement.chain import key_text
from lightship.keys.hub_key import load_hub_key
from lightship.settings import Settings
from lightship.wiring import make_app, open_hub
from stixsamples import indicator

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[HubKit]:
    with make_hub(tmp_path, "sqlite") as made:
        held, agreement, hub_dir = made.held, made.agreement, made.hub.dir
        assert key_text(load_hub_key(hub_dir).public)
    hub = open_hub(hub_dir)
    with HubKit(hub, make_app(hub), agreement, held) as reopened:
        yield reopened


def scrape(kit: HubKit) -> tuple[str, Figures]:
    figures = kit.app.figures
    assert figures is not None

    async def get() -> str:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(figures), base_url="http://x") as client:
            answer = await client.get("/metrics")
        assert answer.status_code == 200
        return answer.text

    text = kit.loop.run_until_complete(get())
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return text, found


def value(figures: Figures, name: str, /, **labels: str) -> float:
    return figures[name, frozenset(labels.items())]


def test_requests_objects_pages_and_commits_are_counted(kit: HubKit) -> None:
    one, place = indicator(), kit.path("indicators", "objects/")
    with kit.client("uslgb") as lgb, kit.client("uslax") as lax, kit.client(None) as nobody:
        lgb.post(place, json={"objects": [one, indicator()]})
        lgb.post(place, json={"objects": [one, {**one, "name": "other"}, {**indicator(), "pattern": "no"}]})
        for _ in range(3):
            assert lax.get(place).status_code == 200
        nobody.get(place)
        nobody.get("/readyz")
    text, found = scrape(kit)
    assert value(found, "lightship_requests_total", route="publish", method="POST", status="2xx") == 2
    assert value(found, "lightship_requests_total", route="read-objects", method="GET", status="2xx") == 3
    assert value(found, "lightship_requests_total", route="read-objects", method="GET", status="4xx") == 1
    assert value(found, "lightship_request_seconds_count", route="read-objects") == 4
    assert value(found, "lightship_request_seconds_bucket", route="read-objects", le="+Inf") == 4
    assert 0 < value(found, "lightship_request_seconds_sum", route="read-objects") < 60
    assert value(found, "lightship_objects_total", result="added") == 2
    assert value(found, "lightship_objects_total", result="duplicate") == 1
    assert value(found, "lightship_objects_refused_total", rule="deny-conflict") == 1
    assert sum(count for (name, _), count in found.items() if name == "lightship_objects_refused_total") == 2
    assert value(found, "lightship_pages_total", found="memory") == 2
    assert value(found, "lightship_pages_total", found="store") == 1
    assert value(found, "lightship_page_cache_bytes") > 500
    assert value(found, "lightship_commit_writes_sum", file="store") >= 2
    assert value(found, "lightship_commit_writes_sum", file="access_log") >= 6
    assert value(found, "lightship_commit_seconds_count", file="access_log") >= 6
    assert value(found, "lightship_writes_waiting", file="access_log") == 0
    assert value(found, "lightship_events_unsettled") <= 2
    assert value(found, "lightship_store_bytes", file="store") > 4096
    assert value(found, "lightship_disk_free_bytes") > 0
    assert value(found, "lightship_ready", check="access_log") == 1
    assert value(found, "process_resident_memory_bytes") > 10_000_000
    for hidden in ("uslax", "uslgb", "exercise", one["id"], kit.collection("indicators"), str(kit.hub.dir)):
        assert str(hidden) not in text


def test_what_a_lenient_collection_takes_is_told_to_its_publisher_and_counted(kit: HubKit) -> None:
    kit.add_agreement(kit.agreement, collections={"indicators": {}, "mirror": {"validation": "lenient"}})
    broken = {**indicator(), "pattern": "no pattern"}
    with kit.client("uslgb") as client:
        for _ in range(2):
            status = client.post(
                kit.path("mirror", "objects/"), json={"objects": [broken, indicator()]}
            ).json()
            told, silent = status["successes"]
            assert "a strict collection would refuse it: the pattern is no STIX pattern" in told["message"]
            assert told["message"].endswith("(invalid-pattern)")
            assert "message" not in silent
    _, found = scrape(kit)
    assert value(found, "lightship_objects_lenient_total", rule="invalid-pattern") == 1


def test_what_clients_choose_makes_no_new_series(kit: HubKit) -> None:
    with kit.client("uslax") as lax:
        for number in range(20):
            lax.get(f"/nowhere-{number}/")
            lax.request("PROPFIND", f"/nowhere-{number}/")
    _, found = scrape(kit)
    series = {
        dict(labels)["method"]: count
        for (name, labels), count in found.items()
        if name == "lightship_requests_total"
    }
    assert series == {"GET": 20, "other": 20}


def test_a_store_that_cannot_be_read_leaves_the_other_figures(kit: HubKit) -> None:
    for close in kit.hub.closing:
        close()
    _, found = scrape(kit)
    assert value(found, "lightship_ready", check="registry") == 0
    assert value(found, "lightship_disk_free_bytes") > 0
    assert str(value(found, "lightship_events_unsettled")) == "nan"


def test_they_are_served_on_their_own_address_and_never_on_the_hubs(kit: HubKit) -> None:
    settings = kit.hub.settings.model_copy(
        update={"listen": "127.0.0.1:0", "metrics_listen": "127.0.0.1:0", "log_level": "warning"}
    )
    object.__setattr__(kit.hub, "settings", settings)
    up = threading.Event()
    server = server_of(kit.hub, plain=True, ready=lambda _: up.set())
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert up.wait(20)
    try:
        own = server.servers[1].sockets[0].getsockname()[1]
        with httpx2.Client(trust_env=False, timeout=10) as client:
            answer = client.get(f"http://127.0.0.1:{own}/metrics")
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/plain; version=")
            assert "lightship_connections 0.0" in answer.text
            assert client.get(f"http://127.0.0.1:{own}/taxii2/").status_code == 404
            assert client.post(f"http://127.0.0.1:{own}/metrics").status_code == 405
            assert client.head(f"http://127.0.0.1:{own}/metrics").content == b""
            assert client.get(f"http://127.0.0.1:{server.port}/metrics").status_code in {401, 404}
    finally:
        server.stop()
        thread.join(20)
    assert not thread.is_alive()


def supervisor_figures() -> str:
    """Return what a supervisor adds to the figures of its workers."""
    with socket.socket() as bound:
        return Supervisor(1, [], bound, stop_within=1, ready=lambda: None).figures()


def test_every_figure_is_in_the_guide_and_the_guide_names_no_other(kit: HubKit) -> None:
    text, _ = scrape(kit)
    served = set(re.findall(r"^# TYPE (lightship_\w+) ", text, re.MULTILINE))
    guide = (Path(__file__).resolve().parents[3] / "docs" / "operations.md").read_text()
    named = set(re.findall(r"`(lightship_\w+)`", guide.partition("Worth an alert")[0]))
    behind_a_server = {name for name in named if "connections" in name or "handshakes" in name}
    assert len(behind_a_server) == 3
    of_the_supervisor = set(re.findall(r"# TYPE (lightship_\w+) ", supervisor_figures()))
    assert len(of_the_supervisor) == 2
    assert served == named - behind_a_server - of_the_supervisor


def test_every_setting_that_the_guide_names_exists() -> None:
    guide = (Path(__file__).resolve().parents[3] / "docs" / "operations.md").read_text()
    for name in re.findall(r"`((?:max|min|body|header|send|keep|stop|log|throttle|handshake)_\w+)", guide):
        assert name in Settings.model_fields, name
