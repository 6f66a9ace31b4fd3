"""The supervisor of several workers: one that does not start, and figures that come too late."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from lightship.cli import workers
from lightship.cli.worker import FIGURES, LENGTH
from lightship.cli.workers import FAILURES, Supervisor, Worker

ONE_THAT_SERVES = """
import os, socket, sys, time
open(sys.argv[1], "a").write("x")
try:
    os.close(os.open(sys.argv[1] + ".first", os.O_CREAT | os.O_EXCL))
except FileExistsError:
    sys.exit(1)
control = socket.socket(fileno=int(sys.argv[-1].split(",")[1]))
control.sendall(b"r")
time.sleep(60)
"""
NONE_THAT_SERVES = "import sys; sys.exit(1)"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "AGAIN_S", 0.01)
    monkeypatch.setattr(workers, "LOOK_S", 0.01)


def supervisor(code: str, tried: Path, bound: socket.socket) -> Supervisor:
    command = [sys.executable, "-c", code, str(tried)]
    return Supervisor(2, command, bound, stop_within=1, ready=lambda: None)


def test_a_worker_that_never_starts_takes_the_one_that_serves_down_with_it_never(tmp_path: Path) -> None:
    tried = tmp_path / "tried"

    def stop() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (tried.exists() and tried.stat().st_size > FAILURES + 3):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    with socket.socket() as bound:
        thread = threading.Thread(target=stop)
        thread.start()
        code = supervisor(ONE_THAT_SERVES, tried, bound).run()
        thread.join(30)
    assert code == 0, "it went on until it was told to stop"
    assert tried.stat().st_size > FAILURES + 3


def test_a_hub_of_which_no_worker_starts_ends_with_one(tmp_path: Path) -> None:
    with socket.socket() as bound:
        assert supervisor(NONE_THAT_SERVES, tmp_path / "tried", bound).run() == 1


def test_figures_that_came_too_late_are_never_given_for_later_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ASK_S", 0.05)
    ours, theirs = socket.socketpair()

    def answer(text: bytes) -> bytes:
        return len(text).to_bytes(LENGTH, "big") + text

    with ours, theirs:
        worker = Worker(None, ours, 0.0, ready=True)  # type: ignore[arg-type]  # no process is asked
        theirs.sendall(answer(b"first")[:10])
        with pytest.raises(TimeoutError):
            worker.figures()
        theirs.sendall(answer(b"first")[10:] + answer(b"second"))
        assert worker.figures() == "second"
        assert theirs.recv(9) == FIGURES * 2
        theirs.sendall(answer(b"third"))
        assert worker.figures() == "third"


def test_no_figure_falls_when_a_worker_answers_too_late_or_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ASK_S", 0.05)

    def text(count: int) -> bytes:
        body = (
            f"# TYPE lightship_requests_total counter\nlightship_requests_total {count}.0\n"
            f"# TYPE lightship_connections gauge\nlightship_connections {count}.0\n"
        ).encode()
        return len(body).to_bytes(LENGTH, "big") + body

    def shown() -> tuple[float, float, float]:
        lines = [line.split() for line in both.figures().splitlines() if not line.startswith("#")]
        found = {name: float(value) for name, value in lines}
        return tuple(found[f"lightship_{name}"] for name in ("requests_total", "connections", "workers"))  # type: ignore[return-value]  # three of them

    with socket.socket() as bound:
        both = supervisor(NONE_THAT_SERVES, Path("unused"), bound)
        pairs = [socket.socketpair() for _ in range(3)]
        some = [Worker(None, ours, 0.0, ready=True) for ours, _ in pairs]  # type: ignore[arg-type]  # no process is asked
        both._workers = some[:2]
        pairs[0][1].sendall(text(5))
        pairs[1][1].sendall(text(3))
        assert shown() == (8, 8, 2)
        pairs[0][1].sendall(text(6))
        assert shown() == (9, 9, 1), "the second one is late: what it told last counts"
        both._workers = [some[0], some[2]]  # the second one has ended, a third one came
        pairs[0][1].sendall(text(6))
        pairs[2][1].sendall(text(0))
        assert shown() == (9, 6, 2), "what it had counted stays, its connections are gone"
        for count in (1, 2):
            pairs[0][1].sendall(text(6))
            pairs[2][1].sendall(text(count))
            assert shown() == (9 + count, 6 + count, 2)
        for ours, theirs in pairs:
            ours.close()
            theirs.close()
