"""A real hub for tests: a directory made by the command line, a server process that can be killed with -9.

Everything goes through the `lightship` command, as a steward would do it; TLS with the private authority that
`init` makes; loopback only, a free port.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

LIGHTSHIP = Path(sys.executable).parent / "lightship"
TAXII = "application/taxii+json;version=2.1"


def free_port() -> int:
    """Return a TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class LiveHub:
    """One hub directory and, between `start` and `kill` or `stop`, its server process."""

    dir: Path
    port: int
    agreement: str
    secrets: dict[str, tuple[str, str]] = field(default_factory=dict)
    workers: int = 1
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def root(self) -> str:
        return f"{self.url}/{self.agreement}/"

    @property
    def ca(self) -> str:
        return str(self.dir / "tls" / "ca.pem")

    def command(self, *arguments: str, check: bool = True, timeout: float = 120) -> str:
        """Run `lightship …` on this hub's directory and return its standard output."""
        environment = {**os.environ, "LIGHTSHIP_HUB": str(self.dir), "NO_COLOR": "1"}
        result = subprocess.run(
            [LIGHTSHIP, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and result.returncode != 0:
            raise AssertionError(f"lightship {' '.join(arguments)}: {result.returncode}\n{result.stderr}")
        return result.stdout

    def mint(self, member: str, name: str = "tool") -> tuple[str, str]:
        """Mint a credential for a member; return its Basic user name and secret."""
        made = json.loads(self.command("credential", "mint", self.agreement, f"{member}/{name}", "--json"))
        self.secrets[member] = (made["name"], made["secret"])
        return self.secrets[member]

    def collection(self, alias: str) -> str:
        """Return a collection's id by its alias."""
        client = self.client(next(iter(self.secrets)))
        with client:
            found = client.get("collections/").json()["collections"]
        return next(str(one["id"]) for one in found if one.get("alias") == alias)

    def client(self, member: str, **more: Any) -> httpx2.Client:
        """Return an HTTP client of a member; its base URL is the API root."""
        import ssl

        context = ssl.create_default_context(cafile=self.ca)
        return httpx2.Client(
            base_url=self.root,
            auth=self.secrets[member],
            headers={"Accept": TAXII},
            verify=context,
            timeout=30,
            trust_env=False,
            **more,
        )

    def start(self) -> None:
        """Start `lightship serve` and wait until it answers."""
        assert self.process is None
        log = (self.dir / "serve.log").open("ab")
        self.process = subprocess.Popen(
            [LIGHTSHIP, "serve", "--hub", str(self.dir), "--workers", str(self.workers)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "NO_COLOR": "1"},
        )
        log.close()
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(
                    "the hub did not start:\n" + (self.dir / "serve.log").read_text()[-4000:]
                )
            time.sleep(0.02)

    def worker_pids(self) -> list[int]:
        """Return the processes that the server started."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(one) for one in children.split()]

    def kill(self) -> None:
        """Kill the server with -9, its workers too."""
        assert self.process is not None
        workers = self.worker_pids()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        self.process = None

    def stop(self) -> int:
        """Stop the server with SIGTERM and return its exit code."""
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(timeout=30)
        self.process = None
        return code


@contextlib.contextmanager
def live_hub(parent: Path, *, sample: str, members: tuple[str, ...], workers: int = 1) -> Iterator[LiveHub]:
    """Make a hub with the agreement of a shipped sample in force and a credential per member; serve it."""
    port = free_port()
    hub = LiveHub(parent / "hub", port, sample, workers=workers)
    listen = f"127.0.0.1:{port}"
    hub.command("init", "--public-url", hub.url, "--listen", listen)
    hub.command("agreement", "new", sample, "--from", sample)
    hub.command("agreement", "apply", sample)
    for member in members:
        hub.mint(member)
    hub.start()
    try:
        yield hub
    finally:
        if hub.process is not None:
            hub.kill()
