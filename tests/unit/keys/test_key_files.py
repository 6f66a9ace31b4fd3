"""Key files: private or refused, replaced in one step, never repeated in an error."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lightship.core.errors import BadFile
from lightship.crypto.sign import new_signing_key
from lightship.keys.files import read_private, replace_file
from lightship.keys.hub_key import load_cursor_key, load_hub_key


@pytest.fixture(name="hub")
def _hub(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    write(tmp_path / "keys/hub.key", new_signing_key().pem())
    write(tmp_path / "keys/cursor.key", bytes(range(32)))
    return tmp_path


def write(path: Path, content: bytes, mode: int = 0o400) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def test_keys_of_a_hub_are_read(hub: Path) -> None:
    assert len(load_hub_key(hub).public) == 32
    assert load_cursor_key(hub) == bytes(range(32))


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o644, 0o410, 0o620])
def test_a_key_that_others_can_reach_is_refused(hub: Path, mode: int) -> None:
    for name in ("hub.key", "cursor.key"):
        (hub / "keys" / name).chmod(mode)
    for load in (load_hub_key, load_cursor_key):
        with pytest.raises(BadFile, match="can be read by others") as caught:
            load(hub)
        assert "chmod 0400" in caught.value.todo


def test_keys_that_are_missing_or_broken_are_named_not_shown(hub: Path) -> None:
    write(hub / "keys/hub.key", b"hunter2 hunter2")
    write(hub / "keys/cursor.key", b"hunter2")
    for load, name in ((load_hub_key, "hub.key"), (load_cursor_key, "cursor.key")):
        with pytest.raises(BadFile) as caught:
            load(hub)
        assert caught.value.path.endswith(name)
        assert "hunter2" not in str(caught.value)
        (hub / "keys" / name).unlink()
        with pytest.raises(BadFile, match="cannot be read"):
            load(hub)


def test_a_file_is_replaced_in_one_step_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "server.pem"
    path.write_bytes(b"old")
    (tmp_path / ".server.pem.new").write_bytes(b"left by a crash")
    before = os.umask(0)
    try:
        replace_file(path, b"new", 0o600)
    finally:
        os.umask(before)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["server.pem"]


def test_a_directory_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(BadFile):
        read_private(tmp_path)
