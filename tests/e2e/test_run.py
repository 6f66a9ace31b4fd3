"""`lightship run` twice: the second time nothing is missing, what comes back equals what was sent."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from livehub import LIGHTSHIP
from reference_docs import documented

NUMBER = 79
"""Objects that the four bundles of the scenario hold, those that stand in several counted each time."""
HELD_BACK = 2
"""An indicator under embargo and the terms that it cites."""
PORTS = range(9443, 9463)


def play(directory: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LIGHTSHIP, "run", "--no-serve", "--hub", "run", *more],
        cwd=directory,
        env={**os.environ, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    assert set(value) == documented("run")
    return value


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    first = told(play(directory, "--json"))
    assert sum(first["published"].values()) == NUMBER
    assert first["refused"] == []
    assert (first["pulled"], first["equal"]) == (NUMBER + HELD_BACK, True)
    check_embargo(first["embargo"])
    assert first["client"].startswith("taxii2-client 2.")
    return directory


def check_embargo(told: dict[str, str]) -> None:
    """What was held back came after its release, not before, and soon."""
    release, added = (datetime.fromisoformat(told[name]) for name in ("release", "added"))
    assert timedelta(0) <= added - release < timedelta(seconds=10)


def test_the_stakeholders_get_what_is_theirs_and_nobody_else_s(place: Path) -> None:
    found = told(play(place, "--json"))["stakeholders"]
    assert found["refusal"].endswith("(deny-publish-ceiling)")
    assert "TLP:AMBER+STRICT" in found["refusal"]
    assert found["hidden"] is True
    assert found["read_by_port"] is True
    assert found["pulled"] == 9


def test_what_the_ports_share_is_hidden_from_the_drayage_company(place: Path) -> None:
    import httpx2

    with serving(place) as (url, _):
        user = "drayage-stakeholders"
        with httpx2.Client(
            auth=(user, credentials(place)[user]),
            verify=trust(place),
            trust_env=False,
            base_url=url,
            headers={"Accept": "application/taxii+json;version=2.1"},
        ) as client:
            (root,) = client.get("/taxii2/").json()["api_roots"]
            assert root.endswith("/exercise-stakeholders/")
            assert client.get("/exercise/").status_code == 404
            (one,) = client.get("/exercise-stakeholders/collections/").json()["collections"]
            assert (one["alias"], one["can_read"], one["can_write"]) == ("advisories", True, False)


def test_what_has_expired_is_said_and_nothing_fails(tmp_path: Path) -> None:
    assert play(tmp_path).returncode == 0
    expire(tmp_path / "run")
    found = told(play(tmp_path, "--json"))
    assert found["refused"] == []
    assert found["expired"] == NUMBER
    assert sum(found["published"].values()) == 0
    assert found["equal"] is True
    assert found["pulled"] == found["stakeholders"]["pulled"] == 0


def expire(hub_dir: Path) -> None:
    """Withdraw everything of the exercise as retention will after 7 days."""
    from lightship.core.access import Action, Grant, System
    from lightship.core.audit import AccessEvent
    from lightship.core.ports import ExpireRequest
    from lightship.core.time import Micros
    from lightship.wiring import open_hub

    hub = open_hub(hub_dir)
    try:
        view, now = hub.directory.view(), hub.clock.now()
        for one in (one for agreement in view.agreements.values() for one in agreement.collections):
            grant = Grant(System("retention"), Action.WITHDRAW, one, view.epoch)
            before = Micros(now + 60_000_000)
            request = ExpireRequest(
                grant, before, now, 1000, lambda _: AccessEvent(uuid.uuid4().hex, now, "expire")
            )
            assert not hub.writer.expire(request).result(30).more
    finally:
        hub.close()


def test_a_second_run_publishes_what_is_missing_which_is_nothing(place: Path) -> None:
    before = (place / "run" / "exercise-credentials.txt").read_text()
    done = play(place)
    assert done.returncode == 0, done.stderr
    assert f"{NUMBER} were there already, nothing was missing in 4 collections, refused: 0" in done.stdout
    assert "each equal to what was posted" in done.stdout
    assert (place / "run" / "exercise-credentials.txt").read_text() == before


def test_it_says_that_sharing_is_not_reporting(place: Path) -> None:
    said = play(place).stderr
    for word in ("NOT reporting", "FBI", "CISA", "33 CFR 6.16-1", "33 CFR 101.620"):
        assert word in said


def test_a_withdrawn_object_is_published_again(place: Path) -> None:
    import httpx2

    with serving(place) as (url, _):
        users = credentials(place)
        with httpx2.Client(
            auth=("uslgb-exercise", users["uslgb-exercise"]),
            verify=trust(place),
            trust_env=False,
            base_url=f"{url}/exercise/collections/warnings/",
            headers={"Accept": "application/taxii+json;version=2.1"},
        ) as client:
            first = client.get("objects/").json()["objects"][-1]
            assert client.delete(f"objects/{first['id']}/").status_code == 200
    again = told(play(place, "--json"))
    assert again["published"] == {"incidents": 0, "indicators": 0, "sightings": 0, "warnings": 1}
    assert again["equal"] is True


def test_a_lost_credentials_file_is_made_again_with_new_secrets(place: Path) -> None:
    path = place / "run" / "exercise-credentials.txt"
    before = credentials(place)
    path.unlink()
    done = play(place)
    assert done.returncode == 0, done.stderr
    assert "uslax-exercise gets a new secret" in done.stderr
    assert credentials(place).keys() == before.keys()
    assert not set(credentials(place).values()) & set(before.values())
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_serves_the_printed_curl_line_works_and_it_ends_well(place: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with serving(place) as (_, said):
        (line,) = re.findall(r"^Try: +(curl .*)$", said, re.MULTILINE)
        done = subprocess.run(
            [*shlex.split(line), "--silent", "--show-error"],
            cwd=place,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    assert len(json.loads(done.stdout)["collections"]) == 4
    assert "ls1_" not in said


def test_ctrl_c_before_the_exercise_is_over_ends_well(place: Path) -> None:
    process = subprocess.Popen(
        [LIGHTSHIP, "run", "--hub", "run"],
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 30
        while not listens_to_signals(process.pid):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(timeout=30)


def listens_to_signals(pid: int) -> bool:
    """True once the process catches SIGTERM, which Python alone does not."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("there is no /proc here")
    caught = re.search(r"^SigCgt:\s+([0-9a-f]+)$", status.read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_a_port_in_use_is_replaced_by_the_next_free_one(place: Path) -> None:
    with socket.socket() as holder:
        with contextlib.suppress(OSError):
            holder.bind(("127.0.0.1", PORTS[0]))
            holder.listen()
        done = play(place, "--json")
    assert told(done)["url"] != f"https://localhost:{PORTS[0]}"
    assert f"Port {PORTS[0]} is in use" in done.stderr


def credentials(place: Path) -> dict[str, str]:
    text = (place / "run" / "exercise-credentials.txt").read_text()
    return dict(re.findall(r"^machine localhost login (\S+) password (ls1_\S+)$", text, re.MULTILINE))


def trust(place: Path) -> Any:
    import ssl

    return ssl.create_default_context(cafile=place / "run" / "tls" / "ca.pem")


@contextlib.contextmanager
def serving(place: Path) -> Iterator[tuple[str, str]]:
    """Yield (url, what was printed) of a served run; it has to end with 0 on SIGTERM."""
    out = place / "out.txt"
    with out.open("wb") as file:
        process = subprocess.Popen(
            [LIGHTSHIP, "run", "--hub", "run"],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.DEVNULL,
        )
    try:
        deadline = time.monotonic() + 30
        while "Stop:" not in (said := out.read_text()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (url,) = re.findall(r"^Hub: +(\S+)$", said, re.MULTILINE)
        yield url, said
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(timeout=30)
