"""`--root` of verified pulls and the monitor: a mistyped key is wrong use and accuses no honest hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightship.cli import exits
from lightship.cli.main import execute
from lightship.cli.pins import Pin
from lightship.core.agreement.chain import key_text
from lightship.crypto.sign import new_signing_key

KEY = new_signing_key()


def test_a_key_is_named_by_its_id_its_text_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "hub.keys").write_text(f"# of the hub\n{key_text(KEY.public)}\n")
    for text in (KEY.keyid, key_text(KEY.public), str(tmp_path / "hub.keys")):
        assert Pin().convert(text, None, None) == KEY.keyid
    assert Pin().convert("", None, None) == ""


@pytest.mark.parametrize("text", ["abc", "nothing.keys", "a" * 63, "A" * 64, "two.keys"])
@pytest.mark.parametrize("command", ["pull", "monitor"])
def test_what_is_no_key_is_wrong_use_and_accuses_nobody(
    tmp_path: Path,
    text: str,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two.keys").write_text(f"{KEY.keyid}\n{'0' * 64}\n")
    more = ["--verify", "--out", "out"] if command == "pull" else ["--member", "uslax"]
    words = [command, "a/b", "--state", "state", "--root", text, *more]
    assert execute(words) == exits.USAGE
    said = capsys.readouterr().err
    assert "--root" in said
    assert "not trusted" not in said
    assert not Path("state").exists()
