"""Processes that are measured: started, awaited, their CPU time and memory read from /proc, ended.

Only processes started here are ever signalled, by their own id; each runs in a session of its own, so that
its children end with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """Something could not be measured; the text is the reason that the table shows."""


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _parents() -> dict[int, int]:
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                found[int(entry)] = int(fields[1])
    return found


def tree(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents = _parents()
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def cpu_seconds(root: int) -> float:
    """Return user and system time of a process tree so far, ended children included."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15])
    return total / TICK


def memory_mib(root: int) -> float:
    """Return the resident memory of a process tree, MiB."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
    return total / 1024


@dataclass
class Server:
    """One running server and its log file."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self, grace: float = 10) -> None:
        """End it and all its children: asked first, after `grace` seconds forced."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=grace)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)


def start(
    name: str,
    command: Sequence[str | Path],
    port: int,
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    tls: bool = False,
    wait: float = 60,
) -> Server:
    """Start a server and wait until its port answers.

    Raises:
        Failed: it ended or did not listen within `wait` seconds; the end of its log is the reason.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    said = log.stat().st_size if log.exists() else 0
    with log.open("ab") as out:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **(environment or {})},
            cwd=directory,
            start_new_session=True,
        )
    server = Server(name, process, port, log)
    deadline = time.monotonic() + wait
    while True:
        if _answers(port, tls):
            return server
        if process.poll() is not None or time.monotonic() > deadline:
            server.stop()
            raise Failed(
                f"{name} did not start: {log.read_bytes()[said:].decode(errors='replace')[-600:].strip()}"
            )
        time.sleep(0.05)


def _answers(port: int, tls: bool) -> bool:
    """True if what listens there speaks: a port may be bound before its server is ready."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
        if tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # our own server on loopback, made a minute ago
            with context.wrap_socket(probe):
                return True
        probe.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return bool(probe.recv(1))
    return False


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    timeout: float = 300,
    stdin: bytes | None = None,
) -> bytes:
    """Run a command to its end and return what it printed.

    Raises:
        Failed: it ended with an error or took longer than `timeout` seconds.
    """
    try:
        done = subprocess.run(
            [str(part) for part in command],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            env={**os.environ, **(environment or {})},
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{Path(command[0]).name} took longer than {timeout:.0f} s") from None
    if done.returncode != 0:
        text = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise Failed(f"{Path(command[0]).name} ended with {done.returncode}: {text[-600:]}")
    return done.stdout


def settle(pids: Sequence[int], longest: float = 60) -> None:
    """Wait until these servers are idle (under 3% of a core for a second), at most `longest` seconds."""
    deadline = time.monotonic() + longest
    while time.monotonic() < deadline:
        before = sum(cpu_seconds(pid) for pid in pids)
        time.sleep(1)
        if sum(cpu_seconds(pid) for pid in pids) - before < 0.03:
            return
