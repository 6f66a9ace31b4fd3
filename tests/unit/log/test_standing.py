"""`GET /agreements/<agreement>/`: how it stands now, the same as what is signed, for its members alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from hubkit import StoppedClock
from lightship.cli import agreement_show as command
from lightship.client.hub import Client
from lightship.core.time import format_stamp
from lightship.crypto import sign
from lightship.keys.hub_key import load_hub_key
from lightship.usecases.suspensions import Suspending
from reference_docs import documented
from signedhub import SignedHub, signed_hub

DAY_S = 86_400


@pytest.fixture(name="clock")
def _clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture(name="hub", params=["memory", "sqlite"])
def _hub(tmp_path: Path, clock: StoppedClock, request: pytest.FixtureRequest) -> Iterator[SignedHub]:
    hub = signed_hub(tmp_path, request.param, clock=clock)
    hub.enrol("uslgb")
    yield hub
    hub.kit.close()


def suspend(hub: SignedHub, member: str = "", key: str = "") -> None:
    held = hub.kit.hub
    work = Suspending(held.registry, held.directory, sign.verify, load_hub_key(held.dir), held.signing)
    work.suspend(
        *(hub.kit.agreement, member), key=key, hours=2, reason="Tested", req=uuid4().hex, now=held.clock.now()
    )


def test_it_says_what_is_signed_and_what_is_stopped(hub: SignedHub, clock: StoppedClock) -> None:
    client = Client(hub.connection("uslax"))
    found = client.agreement(hub.kit.agreement)
    held = hub.kit.hub.directory.view().agreements[hub.kit.agreement]
    assert (found["status"], found["version"], found["first"]) == ("in-force", held.version, hub.hub)
    assert found["versions"] == [{"version": 1, "sha256": held.digest}]
    keyid = hub.keys["uslgb"].keyid
    (roster,) = found["rosters"]
    assert (roster["member"], roster["version"], roster["in_force"]) == ("uslgb", 1, True)
    assert roster["keys"] == [{"id": keyid, "revoked": None, "suspended": None}]
    assert (found["suspensions"], found["notice"]) == ([], "")
    assert found["you"] | {"expires": "", "name": ""} == {
        "member": "uslax",
        "name": "",
        "suspended": None,
        "expires": "",
    }
    suspend(hub, key=keyid)
    suspend(hub, member="uslax")
    until = format_stamp(clock.now() + 2 * 3_600_000_000)
    found = client.agreement(hub.kit.agreement)
    assert [(one["key"], one["member"]) for one in found["suspensions"]] == [(keyid, None), (None, "uslax")]
    assert found["rosters"][0]["keys"][0]["suspended"] == until
    assert found["you"]["suspended"] == until
    clock.advance(2 * 3_600)
    assert client.agreement(hub.kit.agreement)["suspensions"] == []
    hub.revoke("uslgb")
    assert client.agreement(hub.kit.agreement)["rosters"][0]["keys"][0]["revoked"] == "stolen"


def test_a_roster_of_a_replaced_admin_key_is_shown_as_not_in_force(hub: SignedHub) -> None:
    hub.kit.add_agreement(hub.kit.agreement)  # without admin keys
    (roster,) = Client(hub.connection("uslax")).agreement(hub.kit.agreement)["rosters"]
    assert not roster["in_force"]


def test_the_command_prints_it(
    hub: SignedHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def remote(_: str) -> Iterator[Client]:
        with Client(hub.connection("uslax")) as client:
            yield client

    keyid = hub.keys["uslgb"].keyid
    suspend(hub, key=keyid)
    monkeypatch.setattr(command, "client_of", remote)
    command.show_remote("", "", as_json=False)
    out = capsys.readouterr().out
    assert f"key {keyid} (Tested)" in out
    assert f"key {keyid}, suspended until" in out
    assert "you are uslax-tool of uslax" in out
    command.show_remote(hub.kit.agreement, "", as_json=True)
    assert set(json.loads(capsys.readouterr().out)) <= documented("agreement show")
