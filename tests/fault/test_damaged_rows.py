"""Rows that somebody took away or broke: every command ends with words and an exit code, no traceback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import apsw
import pytest

from lightship.cli import exits
from lightship.cli.main import execute
from lightship.core.agreement.chain import key_text
from lightship.keys.hub_key import load_hub_key
from livehub import LIGHTSHIP
from tamperworld import make_world

BROKEN = {
    "the row of the epoch": "DELETE FROM hub",
    "networks of a credential": "UPDATE credential SET allowed = ''",
    "an event that waits": "UPDATE pending_event SET body = x''",
    "what rules ask about a staged object": "UPDATE staged SET about = '{'",
    "a payload of an agreement": "UPDATE agreement SET payload = x'7b' WHERE version = 1",
    "an envelope of an agreement": "UPDATE agreement SET envelope = x''",
    "all agreements": "DELETE FROM agreement",
    "all collections": "DELETE FROM collection",
    "all types": "DELETE FROM type",
    "all marking sets": "DELETE FROM marking_set",
    "a marking set": "UPDATE marking_set SET body = x'00' WHERE number = 1",
    "a text that is none": "UPDATE object SET owner = CAST(x'ff' AS TEXT)",
    "a head that is none": "UPDATE log_head SET peaks = x'00'",
    "a roster": "UPDATE roster SET envelope = x''",
    "the version under which a roster came": "UPDATE roster SET agreement_version = 99",
    "a suspension": "UPDATE suspension SET envelope = x'5b5d'",
}
COMMANDS = (
    ["fsck"],
    ["audit", "search"],
    ["agreement", "show", "exercise"],
    ["agreement", "resume", "exercise", "--member", "uslax"],
    ["collection", "show", "exercise/indicators"],
    ["collection", "vouch", "exercise/indicators"],
    ["credential", "list"],
    ["credential", "mint", "exercise", "uslgb/new"],
    ["staged", "list", "exercise/indicators"],
    ["audience", "exercise/indicators"],
    ["doctor"],
    ["migrate", "--check"],
)


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("world"))


def broken(world: Path, folder: Path, sql: str) -> Path:
    hub_dir = folder / "hub"
    shutil.copytree(world, hub_dir)
    db = apsw.Connection(str(hub_dir / "data" / "hub.db"))
    db.execute(sql)
    db.close()
    return hub_dir


@pytest.mark.parametrize("what", BROKEN)
def test_no_command_ends_with_a_traceback(
    world: Path, tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hub_dir = broken(world, tmp_path, BROKEN[what])
    codes = {}
    for words in (*COMMANDS, ["audit", "export", "exercise", "--out", str(tmp_path / "out")]):
        codes[" ".join(words[:2])] = execute([*words, "--hub", str(hub_dir)])
        assert "Traceback" not in capsys.readouterr().err
    assert codes["fsck"] == exits.FAILED


def test_an_export_of_a_log_that_misses_an_entry_says_so(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A member's part needs a proof that cannot be made any more; the whole log can still be judged."""
    hub_dir = tmp_path / "hub"
    shutil.copytree(world, hub_dir)
    (path,) = (hub_dir / "data").glob("audit-*.db")
    db = apsw.Connection(str(path))
    db.execute("DELETE FROM event WHERE agr = (SELECT id FROM word WHERE text = 'exercise') AND idx = 7")
    db.close()
    words = ["audit", "export", "exercise", "--hub", str(hub_dir)]
    assert execute([*words, "--member", "uslgb", "--out", str(tmp_path / "part")]) == exits.FAILED
    assert "lightship fsck" in capsys.readouterr().err
    assert execute([*words, "--out", str(tmp_path / "whole")]) == exits.FAILED
    assert (
        execute(["verify", str(tmp_path / "whole"), "--root", str(_key(hub_dir, tmp_path))]) == exits.FAILED
    )
    assert sorted(one.name for one in tmp_path.iterdir()) == ["hub", "keys", "whole"]


@pytest.mark.parametrize("column", ["ip", "q"])
def test_an_event_with_a_value_that_is_no_text(
    world: Path, tmp_path: Path, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hub_dir = tmp_path / "hub"
    shutil.copytree(world, hub_dir)
    (path,) = (hub_dir / "data").glob("audit-*.db")
    db = apsw.Connection(str(path))
    db.execute(f"UPDATE event SET {column} = CAST(x'ff' AS TEXT) WHERE idx = 7")
    db.close()
    named = f"{path.name}, event of "
    for words in (["search"], ["export", "exercise", "--member", "uslgb", "--out", str(tmp_path / "part")]):
        assert execute(["audit", *words, "--hub", str(hub_dir)]) == exits.FAILED
        assert "lightship fsck" in capsys.readouterr().err
    assert execute(["fsck", "--hub", str(hub_dir)]) == exits.FAILED
    assert f"column {column} is no text: \\xff" in capsys.readouterr().out.split(named)[1]


def _key(hub_dir: Path, folder: Path) -> Path:
    (folder / "keys").write_text(key_text(load_hub_key(hub_dir).public))
    return folder / "keys"


@pytest.mark.parametrize("what", ["the row of the epoch", "an event that waits"])
def test_a_server_says_what_to_do_and_ends(world: Path, tmp_path: Path, what: str) -> None:
    hub_dir = broken(world, tmp_path, BROKEN[what])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    done = subprocess.run(
        [LIGHTSHIP, "serve", "--hub", str(hub_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1", "LIGHTSHIP_LISTEN": listen},
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "lightship fsck" in done.stderr
    assert done.returncode == exits.FAILED
