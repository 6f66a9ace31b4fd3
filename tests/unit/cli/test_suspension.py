"""Suspending asks before it stops somebody, but never waits for an answer that cannot come."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hubkit import make_hub


def test_without_a_terminal_and_without_yes_it_is_wrong_use_and_nobody_is_stopped(tmp_path: Path) -> None:
    kit = make_hub(tmp_path, "sqlite")
    kit.close()
    order = ("agreement", "suspend", kit.agreement, "--hours", "1", "--reason", "a drill")
    done = subprocess.run(
        [sys.executable, "-m", "lightship.cli.main", *order, "--hub", str(tmp_path / "hub")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert "suspended" not in done.stdout
