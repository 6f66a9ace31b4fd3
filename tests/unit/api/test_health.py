"""`/readyz`: what it looks at, how often, what it tells whom."""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hubkit import HubKit, StoppedClock, make_hub
from lightship.api import health
from lightship.api.health import Readiness
from lightship.core.time import Micros
from lightship.storage.sqlite.probe import probe
from lightship.system_clock import SystemClock
from lightship.wiring import make_app, open_hub


@pytest.fixture
def hub_dir(tmp_path: Path) -> Iterator[Path]:
    with make_hub(tmp_path, "sqlite") as made:
        yield made.hub.dir


class Watch:
    """A stopped clock in seconds, and a check that counts and fails on demand."""

    def __init__(self) -> None:
        self.at = 0.0
        self.looks = 0
        self.wrong = ""

    def now(self) -> float:
        return self.at

    def check(self) -> None:
        self.looks += 1
        if self.wrong:
            raise OSError(self.wrong)


def test_however_often_it_is_asked_it_looks_seldom_and_sees_recovery_soon(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    watch = Watch()
    ready = Readiness({"disk": watch.check}, watch.now)

    async def run() -> None:
        assert all(await asyncio.gather(*(ready() for _ in range(50))))
        assert watch.looks == 1
        watch.wrong = "/a/place is full"
        assert await ready()
        watch.at += health.FRESH_S
        assert not await ready()
        assert ready.failed == {"disk": "/a/place is full"}
        assert watch.looks == 2
        watch.wrong = ""
        assert not await ready()
        watch.at += health.FRESH_S / 10
        assert await ready()

    asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == [
        "not ready: /a/place is full",
        "ready again",
    ]


def test_a_check_that_hangs_has_failed_and_is_not_doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "WITHIN_S", 0.05)
    watch, go, looks = Watch(), threading.Event(), list[int]()

    def hang() -> None:
        looks.append(1)
        go.wait(10)

    ready = Readiness({"store": hang, "disk": watch.check}, watch.now)

    async def run() -> None:
        for _ in range(3):
            assert not await ready()
            watch.at += health.FRESH_S
        assert (len(looks), watch.looks) == (1, 3)
        assert set(ready.failed) == {"store"}
        go.set()
        await asyncio.sleep(0.05)
        assert await ready()

    asyncio.run(run())


def ask(kit: HubKit) -> tuple[int, str]:
    with kit.client(None) as client:
        answer = client.get("/readyz")
    return answer.status_code, answer.text


def test_a_hub_is_ready_and_says_no_more(hub_dir: Path) -> None:
    hub = open_hub(hub_dir)
    with HubKit(hub, make_app(hub), "exercise", {}) as kit:
        assert ask(kit) == (200, '{"status":"ok"}')
        assert set(hub.checks) == {"store", "access_log"}
        with kit.client(None) as client:
            assert client.head("/readyz").status_code == 200
            assert client.post("/readyz").status_code == 405


@pytest.mark.parametrize("broken", ["store", "access_log", "certificate", "expired", "disk"])
def test_each_thing_that_is_wrong_makes_it_unready_and_is_told_in_the_log_alone(
    hub_dir: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    hub = open_hub(hub_dir)
    match broken:
        case "store":
            (hub_dir / "data" / "write.lock").unlink(missing_ok=True)
            (hub_dir / "data" / "write.lock").mkdir()
        case "access_log":
            for path in (hub_dir / "data").glob("audit-*.lock"):
                path.unlink()
            for path in (hub_dir / "data").glob("audit-*.db"):
                path.with_suffix(".lock").mkdir()
        case "certificate":
            shutil.copy(hub_dir / "tls" / "ca.key", hub_dir / "tls" / "server.key")
        case "expired":
            hub = replace(hub, clock=StoppedClock(Micros(SystemClock().now() + 20 * 365 * 86_400_000_000)))
        case "disk":
            hub = replace(hub, settings=hub.settings.model_copy(update={"min_free_bytes": 1 << 60}))
    with HubKit(hub, make_app(hub), "exercise", {}) as kit:
        status, text = ask(kit)
        assert status == 503
        assert str(hub_dir) not in text
        assert broken not in text
        with kit.client(None) as client:
            assert client.get("/healthz").status_code == 200
    (told,) = [record for record in caplog.records if record.name == "lightship.ready"]
    assert told.fields["check"] == {"expired": "certificate"}.get(broken, broken)  # type: ignore[attr-defined] # the log call sets it by `extra`


def test_probes_change_nothing_and_do_not_add_up(hub_dir: Path) -> None:
    path, lock = hub_dir / "data" / "hub.db", hub_dir / "data" / "write.lock"
    before = path.stat().st_size
    for _ in range(50):
        probe(path, lock)
    assert path.stat().st_size == before
    assert path.with_name("hub.db-wal").stat().st_size < 100_000
