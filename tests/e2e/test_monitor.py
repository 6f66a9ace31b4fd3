"""`lightship monitor` in front of a real hub whose database and log key are in an attacker's hand."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import queue
import signal
import sqlite3
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from livehub import LIGHTSHIP, TAXII, LiveHub, live_hub
from stixsamples import indicator

AMBER_STRICT = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
WHERE = ("exercise/indicators", "--member", "uslgb", "--state", "monitor.state", "--json")


def marked(name: str) -> dict[str, Any]:
    return indicator(name=name, object_marking_refs=[AMBER_STRICT])


@pytest.fixture(name="hub")
def _hub(tmp_path: Path) -> Iterator[LiveHub]:
    with live_hub(tmp_path, sample="exercise", members=("uslax", "uslgb")) as hub:
        yield hub


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CONFIG_HOME": str(home), "NO_COLOR": "1"}


def login(hub: LiveHub, member: str, home: Path) -> None:
    user, secret = hub.secrets[member]
    home.mkdir()
    file = home / "secret"
    file.touch(0o600)
    file.write_text(secret)
    where = ("login", hub.url, "--user", user, "--ca-file", hub.ca, "--secret-file", str(file))
    assert run(home, *where).returncode == 0


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LIGHTSHIP, *arguments],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=home,
    )


def steal_the_name(hub: LiveHub, member: str) -> httpx2.Client:
    """Give oneself a credential in a member's name by writing it into the hub's database."""
    secret = "ls1_" + base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    with sqlite3.connect(hub.dir / "data" / "hub.db") as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(credential)")]
        row = dict(
            zip(
                columns,
                db.execute("SELECT * FROM credential WHERE member = ? LIMIT 1", (member,)).fetchone(),
                strict=True,
            )
        )
        row |= {"digest": hashlib.sha256(secret.encode()).digest(), "id": "0" * 16, "name": "thief"}
        row = {name: value for name, value in row.items() if name in columns}
        marks = ",".join("?" * len(row))
        db.execute(f"INSERT INTO credential({','.join(row)}) VALUES({marks})", tuple(row.values()))
    db.close()
    ca = ssl.create_default_context(cafile=hub.ca)
    return httpx2.Client(base_url=hub.root, headers={"Authorization": f"Bearer {secret}"}, verify=ca)


def test_hub_attested_forgery(hub: LiveHub, tmp_path: Path) -> None:
    """An object in a member's name that it never posted, logged and signed by the hub's own key."""
    ours, theirs = tmp_path / "uslgb", tmp_path / "uslax"
    login(hub, "uslgb", ours)
    login(hub, "uslax", theirs)
    assert run(ours, "monitor", *WHERE).returncode == 0
    hub.stop()
    forged = marked("forged")
    with steal_the_name(hub, "uslgb") as thief:
        hub.start()
        posted = thief.post(
            "collections/indicators/objects/", json={"objects": [forged]}, headers={"Content-Type": TAXII}
        )
    assert posted.status_code == 202, posted.text
    assert posted.json()["success_count"] == 1
    pull = ("pull", "exercise/indicators", "--verify", "--state", "s", "--out", "got", "--json")
    believed = run(theirs, *pull)
    assert believed.returncode == 0, believed.stderr
    assert json.loads(believed.stdout)["proofs"] == {"hub-attested": 1}
    done = run(ours, "monitor", *WHERE)
    assert done.returncode == 1, done.stderr
    (seen,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (seen["proof"], seen["added"]) == ("hub-attested", [forged["id"]])
    again = run(ours, "monitor", *WHERE)
    assert (again.returncode, again.stdout) == (0, "")


def test_following_tells_what_comes_outlives_an_outage_and_ends_on_sigterm(
    hub: LiveHub, tmp_path: Path
) -> None:
    home = tmp_path / "uslgb"
    login(hub, "uslgb", home)
    lines: queue.Queue[str] = queue.Queue()
    trouble: queue.Queue[str] = queue.Queue()
    with subprocess.Popen(
        [LIGHTSHIP, "monitor", *WHERE, "--follow", "--every", "1"],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
    ) as process:
        try:
            for stream, into in ((process.stdout, lines), (process.stderr, trouble)):
                threading.Thread(target=lambda s=stream, q=into: [q.put(x) for x in s], daemon=True).start()
            with hub.client("uslgb") as client:
                first, second = marked("one"), marked("two")
                post(client, first)
                assert json.loads(lines.get(timeout=60))["added"] == [first["id"]]
                hub.kill()
                assert "unreachable" in trouble.get(timeout=90)
                hub.start()
            with hub.client("uslgb") as client:
                post(client, second)
            assert json.loads(lines.get(timeout=60))["added"] == [second["id"]]
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 1  # there was something
        finally:
            process.kill()
    assert lines.empty()


def post(client: httpx2.Client, value: dict[str, Any]) -> None:
    headers = {"Content-Type": TAXII}
    answer = client.post("collections/indicators/objects/", json={"objects": [value]}, headers=headers)
    assert answer.status_code == 202, answer.text
