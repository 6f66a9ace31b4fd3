"""`serve --workers 2`: two processes are one hub: what one acknowledged the other knows, and one may die."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from livehub import TAXII, LiveHub, free_port, live_hub
from stixsamples import indicator

CONNECTIONS = 8


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveHub]:
    monkeypatch.setenv("LIGHTSHIP_METRICS_LISTEN", f"127.0.0.1:{free_port()}")
    with live_hub(tmp_path, sample="reference", members=("uslgb", "uslax"), workers=2) as made:
        yield made


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def figures() -> dict[str, float]:
    """Return the figures of all workers, by name and labels."""
    address = os.environ["LIGHTSHIP_METRICS_LISTEN"]
    text = httpx2.get(f"http://{address}/metrics", timeout=30, trust_env=False).text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def requests() -> float:
    return sum(value for name, value in figures().items() if name.startswith("lightship_requests_total"))


@contextmanager
def both_workers(hub: LiveHub, member: str) -> Iterator[list[httpx2.Client]]:
    """Give clients with open connections, enough that both workers have some."""
    until(lambda: len(hub.worker_pids()) == 2 and figures().get("lightship_workers") == 2)
    with ExitStack() as clients:
        found: list[httpx2.Client] = []
        while not all(_connections(pid, hub.port) for pid in hub.worker_pids()):
            assert len(found) < 100, "one worker takes every connection"
            found += [clients.enter_context(hub.client(member)) for _ in range(CONNECTIONS)]
            for one in found[-CONNECTIONS:]:
                one.get("collections/")
        yield found


def _connections(pid: int, port: int) -> int:
    """Return how many connections to the port a process has taken."""
    held = {os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    local = f"{socket.htonl(0x7F000001):08X}:{port:04X}"
    return sum(row[1] == local and row[3] == "01" and f"socket:[{row[9]}]" in held for row in rows)


def test_what_one_process_acknowledged_every_other_knows_at_once(hub: LiveHub) -> None:
    path = f"collections/{hub.collection('public')}/objects/"
    with both_workers(hub, "uslax") as clients, hub.client("uslgb") as publisher:
        for _ in range(10):
            made = indicator()
            sent = publisher.post(path, json={"objects": [made]}, headers={"Content-Type": TAXII})
            assert sent.status_code == 202, sent.text
            for one in clients:
                assert one.get(path).json()["objects"][-1]["id"] == made["id"]
            assert publisher.delete(f"{path}{made['id']}/").status_code == 200
            assert {one.get(f"{path}{made['id']}/").status_code for one in clients} == {404}
        name, _ = hub.secrets["uslax"]
        hub.command("credential", "revoke", name)
        assert {one.get(path).status_code for one in clients} == {401}


def test_a_worker_that_dies_is_started_again_and_takes_no_request_of_the_other(hub: LiveHub) -> None:
    with both_workers(hub, "uslax") as clients:
        before, asked = hub.worker_pids(), requests()
        os.kill(before[0], signal.SIGKILL)
        answered = 0
        for one in clients:
            try:
                answered += one.get("collections/").status_code == 200
            except httpx2.TransportError:
                assert one.get("collections/").status_code == 200
        assert answered, "the other one goes on"
        until(lambda: len(hub.worker_pids()) == 2 and figures()["lightship_workers"] == 2)
        assert before[1] in hub.worker_pids()
        assert figures()["lightship_worker_restarts_total"] == 1
        counted = requests()
        assert counted >= asked, "no figure falls: that would be taken for a fresh start of all"
        for one in clients:
            assert one.get("collections/").status_code == 200
        assert requests() == counted + len(clients), "the figures are those of both"
    workers = hub.worker_pids()
    assert hub.stop() == 0
    assert not [pid for pid in workers if _lives(pid)]
    hub.command("fsck")


def test_workers_end_when_their_supervisor_is_killed(hub: LiveHub) -> None:
    until(lambda: len(hub.worker_pids()) == 2)
    workers = hub.worker_pids()
    assert hub.process is not None
    hub.process.kill()
    hub.process.wait(30)
    hub.process = None
    until(lambda: not [pid for pid in workers if _lives(pid)])


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False
