"""What others wrote is shown as words: it clears no screen, begins no line, ends nothing with a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from auditlab import AuditLab, hub_events
from lightship.cli import exits
from lightship.cli.main import execute
from lightship.cli.output import plain, print_rows, say
from lightship.core.agreement.chain import key_text
from livehub import LIGHTSHIP

CLEARS = "\x1b[2J\x1b[H"


@pytest.fixture(name="lab", scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> AuditLab:
    lab = AuditLab(tmp_path_factory.mktemp("lab"))
    lab.record(hub_events(3))
    return lab


@pytest.fixture(name="export")
def _export(lab: AuditLab, tmp_path: Path) -> Path:
    shutil.copytree(lab.export(), tmp_path / "export")
    (tmp_path / "keys").write_text(key_text(lab.key.public))
    return tmp_path / "export"


def verify(export: Path, *more: str) -> int:
    return execute(["verify", str(export), "--root", str(export.parent / "keys"), *more])


def test_a_file_whose_name_is_not_utf8_is_a_finding(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.close(os.open(bytes(export) + b"/\xff\xfe", os.O_CREAT))
    assert verify(export, "--json") == exits.FAILED
    said = json.loads(capsys.readouterr().out)
    assert not said["ok"]
    assert "does not belong to the export" in said["findings"][0]["what"]
    for encoding in ("ascii:strict", "utf-8:strict"):
        done = subprocess.run(
            [LIGHTSHIP, "verify", export],
            check=False,
            capture_output=True,
            env={"PYTHONIOENCODING": encoding},
            timeout=60,
        )
        assert done.returncode == exits.FAILED
        assert done.stderr == b""
        assert b"\\udcff" in done.stdout


def test_a_name_in_an_export_does_not_write_the_verdict(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (export / f"a\nOK: 1,234 entries{CLEARS}").touch()
    assert verify(export) == exits.FAILED
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FAILED")
    assert not any(line.startswith("OK") for line in lines)


@pytest.mark.parametrize(
    "text", [CLEARS, "a\rb", "a\nb", "\x9b2J", "\u202egnp.exe", "\u2028", "\udcff", "\x08\x07"]
)
def test_words_of_others_move_no_cursor(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = plain(text)
    assert shown.isprintable()
    print_rows([(text, "x")], ("A", "B"))
    assert len(capsys.readouterr().out.splitlines()) == 2
    say(text.replace("\n", ""))
    assert capsys.readouterr().err == plain(text.replace("\n", "")) + "\n"


def test_words_that_are_only_foreign_stay() -> None:
    assert plain("Brême – 漢字\u00a0🚢") == "Brême – 漢字\u00a0🚢"
