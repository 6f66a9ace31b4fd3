"""Files that cannot be written and readers that go away: said in a line, and no secret is lost over it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightship.cli.main import execute

LIGHTSHIP = [sys.executable, "-m", "lightship.cli.main"]


@pytest.fixture
def hub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A hub with the agreement `ports`."""
    made = tmp_path / "hub"
    for command in (
        ["init"],
        ["agreement", "new", "ports", "--member", "USLAX"],
        ["agreement", "apply", "ports"],
    ):
        assert execute([*command, "--hub", str(made)]) == 0
    capsys.readouterr()
    return made


def names(hub: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the names of the hub's credentials."""
    capsys.readouterr()
    assert execute(["credential", "list", "--json", "--hub", str(hub)]) == 0
    return [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()]


def mint(hub: Path, out: Path, name: str = "uslax/tool") -> int:
    return execute(["credential", "mint", "ports", name, "--out", str(out), "--hub", str(hub)])


def test_nothing_is_minted_when_its_secret_cannot_be_written(
    hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert mint(hub, tmp_path / "none" / "secret") == 2
    assert mint(hub, taken) == mint(hub, tmp_path / "link") == 3
    assert taken.read_text() == "mine"
    assert names(hub, capsys) == []


def test_no_empty_file_is_left_when_nothing_is_minted(
    hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "secret"
    assert mint(hub, out, "nobody/tool") == 3
    assert not out.exists()
    assert mint(hub, out) == 0
    assert out.read_text().startswith("ls1_")
    assert out.stat().st_mode & 0o777 == 0o600
    assert names(hub, capsys) == ["uslax-tool"]


def test_the_old_secret_stays_when_the_new_one_cannot_be_written(hub: Path, tmp_path: Path) -> None:
    assert mint(hub, tmp_path / "secret") == 0
    rotate = ["credential", "rotate", "uslax-tool", "--hub", str(hub), "--out"]
    before = (hub / "data" / "hub.db").stat().st_mtime_ns
    assert execute([*rotate, str(tmp_path / "none" / "new")]) == 2
    assert (hub / "data" / "hub.db").stat().st_mtime_ns == before


def test_a_file_that_cannot_be_used_is_named_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("no folder")
    assert execute(["login", "https://hub.example", "--user", "a", "--secret-env", "HOME", "--no-check"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: A file cannot be read or written")
    assert str(tmp_path / "file") in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("redirect", [">/dev/full", ">&-"])
def test_output_that_nobody_takes_is_an_error(hub: Path, redirect: str) -> None:
    command = " ".join([*LIGHTSHIP, "agreement", "show", "--hub", str(hub), redirect])
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: A file cannot be read or written")
    assert len(done.stderr.splitlines()) == 1


def test_a_reader_that_has_gone_is_no_failure(hub: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [*LIGHTSHIP, "agreement", "show", "--hub", str(hub)]
    try:
        done = subprocess.run(
            command, stdout=write, stderr=subprocess.PIPE, check=False, text=True, timeout=60
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
