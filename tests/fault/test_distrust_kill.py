"""kill -9 while a roster takes out what a stolen key added: all of it happened, or nothing.

The steward's command is killed at chosen points of its transaction, beside a hub that is open all the while.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lightship.client.outbox import Proof
from lightship.core import dsse
from lightship.core.log import roster
from lightship.core.log.roster import EVERYWHERE, PublishKey, Revoked
from lightship.storage.fsck import fsck
from signedhub import SignedHub, signed_hub
from stixsamples import indicator
from upkeeplab import held, ids

DIE = """
import importlib, os, signal, sys
module, owner, name = sys.argv.pop(1).split(":")
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(getattr(importlib.import_module(module), owner), name, die)
from lightship.cli.main import main
main()
"""
STORE = "lightship.storage.sqlite"
POINTS = {
    "before the objects are erased": (f"{STORE}.removal:Removal:write", False),
    "before the leaves are written": (f"{STORE}.transaction:Transaction:append", False),
    "before the log is signed": (f"{STORE}.collection_log:Growth:flush", False),
    "after the commit": (f"{STORE}.groups:Groups:committed", True),
}


def roster_file(hub: SignedHub, folder: Path) -> Path:
    key = hub.keys["uslgb"]
    gone = PublishKey(key.public, Revoked("stolen", {EVERYWHERE: 0}))
    made = hub.next_roster("uslgb", dict(hub.last["uslgb"].keys) | {key.keyid: gone})
    admin = hub.admins["uslgb"]
    path = folder / "roster.json"
    path.write_bytes(dsse.encode(roster.sign(made, admin.keyid, admin.sign)))
    return path


def apply(hub: SignedHub, file: Path, point: str = "") -> int:
    """Run `lightship roster apply`, to be killed at a point; return its exit code."""
    program = (
        [sys.executable, "-c", DIE, point] if point else [str(Path(sys.executable).parent / "lightship")]
    )
    done = subprocess.run(
        [*program, "roster", "apply", str(file), "--hub", str(hub.kit.hub.dir)],
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode


@pytest.mark.parametrize("point", POINTS)
def test_a_roster_killed_half_way_took_out_all_or_nothing(tmp_path: Path, point: str) -> None:
    where, happened = POINTS[point]
    hub = signed_hub(tmp_path)
    try:
        hub.enrol("uslgb")
        hub.enrol("uslax")
        stays, stolen = indicator(), [indicator() for _ in range(300)]
        assert isinstance(hub.box("uslax", tmp_path / "lax").publish(stays), Proof)
        desk = hub.box("uslgb", tmp_path / "lgb")
        desk.put(*stolen)
        assert all(isinstance(one.answer, Proof) for one in desk.send())
        consumer = hub.consumer()
        assert consumer.pull().ok
        file = roster_file(hub, tmp_path)
        assert apply(hub, file, where) == -signal.SIGKILL
        assert held(hub.kit) == {stays["id"]} | (set() if happened else ids(stolen))
        assert consumer.pull().ok
        assert fsck(hub.kit.hub.dir / "data").findings == ()
        assert (apply(hub, file) == 0) is not happened
        assert held(hub.kit) == {stays["id"]}
        report = consumer.pull()
        assert report.ok
        assert hub.consumer().proofs() == ["signed"]
        assert fsck(hub.kit.hub.dir / "data").findings == ()
    finally:
        hub.kit.close()
