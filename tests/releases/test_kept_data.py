"""The data of every schema that was ever released: it is opened, migrated, checked, served, and goes on.

`make_data_dir.py` beside this file makes one archive a schema; they are kept for ever.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_bytes
from typing import Any
from uuid import uuid4

import pytest

from hubkit import HubKit, StoppedClock
from lightship.core.access import Action, Grant, System
from lightship.core.audit import AccessEvent
from lightship.crypto import sign
from lightship.data import cert_profile
from lightship.keys.authority import KeyMaker
from lightship.storage.fsck import fsck
from lightship.storage.migrate import Kind, check, load
from lightship.system_clock import SystemClock
from lightship.usecases.directory import Directory
from lightship.usecases.initialise import init_hub
from lightship.wiring import Hub, make_app, open_hub
from livehub import LIGHTSHIP
from stixsamples import indicator

HERE = Path(__file__).resolve().parent
KEPT = sorted(HERE.glob("*.tar.xz"))
DAY = 86_400


@dataclass
class Kept:
    """A hub directory with fresh keys around kept data, and what is said to be in it."""

    archive: Path
    hub_dir: Path
    about: dict[str, Any]


@pytest.fixture(params=KEPT, ids=lambda path: path.name)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    hub_dir = tmp_path / "hub"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    url = f"https://localhost:{listen.rpartition(':')[2]}"
    keys = KeyMaker(cert_profile)
    init_hub(hub_dir, url, keys=keys, cursor_key=token_bytes(32), now=SystemClock().now(), listen=listen)
    with tarfile.open(request.param) as archive:
        archive.extractall(hub_dir, filter="data")
    return Kept(request.param, hub_dir, json.loads((hub_dir / "about.json").read_text()))


@pytest.fixture
def kit(kept: Kept) -> Iterator[HubKit]:
    """The hub as its own key would open it; the key itself was never kept."""
    clock = StoppedClock()
    clock.advance(2 * DAY)
    hub = open_hub(kept.hub_dir, clock=clock)
    pinned = Directory(hub.registry, sign.verify, pinned_key=kept.about["keyid"])
    hub = replace(hub, directory=pinned)
    vouch(hub)
    with HubKit(hub, make_app(hub), kept.about["agreement"], {}) as made:
        made.held["uslgb"] = made.mint("uslgb", "new")
        made.held["uslax"] = made.mint("uslax", "new")
        yield made


def vouch(hub: Hub) -> None:
    """What a steward does with logs of before there were signatures, or of another key."""
    view = hub.directory.view()
    for agreement in view.agreements.values():
        for one in agreement.collections:
            grant = Grant(System("test"), Action.READ, one, view.epoch)
            assert hub.vouching is not None
            tree, said = hub.vouching.tree(grant), AccessEvent(uuid4().hex, hub.clock.now(), "vouch-log")
            hub.vouching.vouch(grant, tree.size, tree.root, said)


def test_there_is_an_archive_of_the_schema_of_this_version() -> None:
    """A new migration needs `python tests/releases/make_data_dir.py`, and the old archives stay."""
    newest = f"hub-{len(load(Kind.HUB)):04d}-audit-{len(load(Kind.AUDIT)):04d}.tar.xz"
    assert newest in [path.name for path in KEPT]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_no_key_secret_or_setting_is_kept(path: Path) -> None:
    assert path.stat().st_size < 200_000
    with tarfile.open(path) as archive:
        names = archive.getnames()
        for name in names:
            member = archive.extractfile(name)
            assert member is not None
            content = member.read()
            assert b"PRIVATE KEY" not in content
            assert b"ls1_" not in content, "a credential's secret"
    assert [name for name in names if not name.startswith("data/")] == ["about.json"]
    assert all(name.endswith(".db") for name in names if name.startswith("data/"))


def test_data_of_an_older_schema_is_kept_as_it_was_before_it_is_migrated(kept: Kept, kit: HubKit) -> None:
    data = kept.hub_dir / "data"
    old, newest = int(kept.archive.name[4:8]), len(load(Kind.HUB))
    assert check(data / "hub.db", Kind.HUB).found == newest
    backups = sorted(data.glob("backups/hub-v*.db"))
    assert [path.name[:7] for path in backups] == ([f"hub-v{old}-"] if old < newest else [])
    assert [check(path, Kind.HUB).found for path in backups] == [old] * len(backups)


def test_it_is_migrated_and_everything_in_it_is_served_as_it_was(kept: Kept, kit: HubKit) -> None:
    for path in (kept.hub_dir / "data").glob("*.db"):
        assert not check(path, Kind.HUB if path.name == "hub.db" else Kind.AUDIT).pending
    view = kit.hub.directory.view()
    assert (set(view.agreements), view.damaged) == ({kept.about["agreement"]}, {})
    assert kit.collection("indicators") == kept.about["collection"]
    every = {"match[version]": "all"}
    with kit.client("uslax") as lax:
        manifest = lax.get(kit.path("indicators", "manifest/"), params=every).json()["objects"]
        objects = lax.get(kit.path("indicators", "objects/"), params=every).json()["objects"]
        gone = lax.get(kit.path("indicators", f"objects/{kept.about['withdrawn']['id']}/"))
    assert (manifest, objects, gone.status_code) == (kept.about["manifest"], kept.about["objects"], 404)
    names = {one.name for one in kit.hub.registry.credentials()}
    assert set(kept.about["credentials"]) <= names
    assert len(kit.events(limit=10_000)) >= kept.about["events"]


def test_it_goes_on_and_remembers_what_it_had_promised(kept: Kept, kit: HubKit) -> None:
    place = kit.path("indicators", "objects/")
    old, new = kept.about["objects"][0], indicator()
    with kit.client("uslgb") as lgb, kit.client("uslax") as lax:
        said = lgb.post(place, json={"objects": [old, new, kept.about["contradicts"]]}).json()
        assert [one["id"] for one in said["successes"]] == [old["id"], new["id"]]
        assert [one["id"] for one in said["failures"]] == [kept.about["contradicts"]["id"]]
        newest = lax.get(kit.path("indicators", "manifest/")).json()["objects"]
    assert newest[-1]["id"] == new["id"]
    assert newest[-1]["date_added"] > max(one["date_added"] for one in kept.about["manifest"])


def test_fsck_finds_nothing_before_and_after(kept: Kept, kit: HubKit) -> None:
    with kit.client("uslgb") as lgb:
        answer = lgb.post(kit.path("indicators", "objects/"), json={"objects": [indicator()]})
    assert answer.status_code == 202
    kit.close()
    report = fsck(kept.hub_dir / "data")
    assert not report.findings
    assert report.objects >= len(kept.about["objects"]) + 1


def test_lightship_serves_it(kept: Kept) -> None:
    """The command itself starts on it and is ready. Its key is a fresh one, so it offers no agreement."""
    from lightship.settings import load_settings

    (kept.hub_dir / "about.json").unlink()
    port = load_settings(kept.hub_dir).listen_address[1]
    process = subprocess.Popen(
        [LIGHTSHIP, "serve", "--hub", str(kept.hub_dir)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
    )
    try:
        context = ssl.create_default_context(cafile=kept.hub_dir / "tls" / "ca.pem")
        deadline, answer = time.monotonic() + 30, b""
        while not answer:
            try:
                with (
                    socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
                    context.wrap_socket(raw, server_hostname="localhost") as secure,
                ):
                    secure.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    answer = secure.recv(4096)
            except ConnectionRefusedError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert answer.startswith(b"HTTP/1.1 200")
        process.terminate()
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=10)
