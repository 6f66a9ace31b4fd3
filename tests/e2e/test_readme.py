"""Every shell and Python block of the README runs as it stands, in order, in an empty directory.

Only the port is another one; `make` lines are read by make but not run, since they would run this test.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from livehub import LIGHTSHIP, free_port

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVE = "lightship serve\n"


def blocks() -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / "README.md").read_text())


class Reader:
    """Somebody who pastes the blocks into a terminal, one after another."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.server: subprocess.Popen[bytes] | None = None
        self.printed: list[str] = []
        path = f"{LIGHTSHIP.parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "XDG_CONFIG_HOME": str(home / "config")}
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "LIGHTSHIP_HUB"):
            self.environment.pop(name, None)

    def paste(self, kind: str, text: str) -> str:
        text = text.replace("9443", str(self.port))
        serves = kind == "sh" and text.endswith(SERVE)
        command = (
            [sys.executable, "-c", text] if kind == "python" else ["bash", "-euo", "pipefail", "-c", text]
        )
        if serves:
            command[-1] = text.removesuffix(SERVE)
        done = subprocess.run(
            command,
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        self.printed.append(done.stdout)
        if serves:
            self.serve()
        return done.stdout

    def serve(self) -> None:
        self.server = subprocess.Popen(
            shlex.split(SERVE), cwd=self.home, env=self.environment, stdin=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while True:
            assert self.server.poll() is None
            assert time.monotonic() < deadline
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            assert self.server.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    made = Reader(tmp_path_factory.mktemp("readme"))
    try:
        for kind, text in blocks():
            if not text.startswith("make "):
                made.paste(kind, text)
        yield made
    finally:
        made.stop()


def test_every_block_is_of_a_kind_that_is_run() -> None:
    assert {kind for kind, _ in blocks()} == {"sh", "python"}
    assert (ROOT / "README.md").read_text().count("```") == 2 * len(blocks())


def test_the_make_lines_are_targets() -> None:
    lines = [line for _, text in blocks() for line in text.splitlines() if line.startswith("make ")]
    assert lines == ["make run", "make test"]
    for line in lines:
        done = subprocess.run(
            ["make", "-n", line.split()[1]], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
    assert (
        "lightship run --hub run"
        in subprocess.run(
            ["make", "-n", "run"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
        ).stdout
    )


def test_the_first_hub_takes_five_commands() -> None:
    (block,) = [text for _, text in blocks() if text.endswith(SERVE)]
    assert len(block.splitlines()) == 5


def test_every_block_runs(reader: Reader) -> None:
    out = "\n".join(reader.printed)
    assert "1 published, refused: 0" in out
    assert out.count("indicator--0d6b6f7c-8f0a-4c8e-9d3f-2f9f4d1f5b11") >= 2
    assert "clean: 1 object versions" in out
    assert (reader.home / "indicators.ndjson").read_text().count("\n") == 1
    assert (reader.home / "hub-backup.tar").stat().st_size > 0


def test_the_printed_splunk_settings_work(reader: Reader) -> None:
    out = "\n".join(reader.printed)
    inputs = re.findall(
        r"^url = (\S+)\npost_args = collection=\"(\S+)\" taxii_username=\"(\S+)\" taxii_password=\"(\S+)\"$",
        out,
        re.MULTILINE,
    )
    assert len(inputs) == 4
    for url, collection, user, secret in inputs:
        assert fetch(reader, f"{url}collections/{collection}/objects/", user, secret) == 200
        assert fetch(reader, f"{url}collections/{collection}/objects/", user, secret[:-1]) == 401


def test_the_printed_opencti_settings_work(reader: Reader) -> None:
    out = "\n".join(reader.printed)
    found = dict(re.findall(r'^ +- "(\w+)=(.*)"$', out, re.MULTILINE))
    assert (
        fetch(reader, found["TAXII2_DISCOVERY_URL"], found["TAXII2_USERNAME"], found["TAXII2_PASSWORD"])
        == 200
    )
    assert "my-ports.Indicators" in found["TAXII2_COLLECTIONS"]


def test_links_of_the_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).is_file(), target


def fetch(reader: Reader, url: str, user: str, secret: str) -> int:
    import ssl

    context = ssl.create_default_context(cafile=reader.home / "hub" / "tls" / "ca.pem")
    with httpx2.Client(auth=(user, secret), verify=context, trust_env=False) as client:
        return client.get(url, headers={"Accept": "application/taxii+json;version=2.1"}).status_code
