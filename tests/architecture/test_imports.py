"""The import rules hold, and each of them is seen to fail when it is broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BREACHES = {
    "layers": ("service/lightship/usecases/breach.py", "import lightship.web"),
    "pure-usecases": ("service/lightship/usecases/breach.py", "import lightship.storage"),
    "storage-apart": ("service/lightship/storage/breach.py", "import lightship.crypto"),
    "client-apart": ("service/lightship/client/breach.py", "import lightship.storage"),
    "feeds-apart": ("feeds/lightship_feeds/breach.py", "import lightship.web"),
    "hub-without-feeds": ("service/lightship/web/breach.py", "import lightship_feeds"),
    "leaves": ("service/lightship/data.py", "import lightship.crypto"),
    "pure-core": ("service/lightship/core/breach.py", "import socket"),
    "drivers-in-storage": ("service/lightship/web/breach.py", "import apsw"),
    "cryptography-in-crypto": ("service/lightship/keys/breach.py", "import cryptography"),
    "cedar-in-policy": ("service/lightship/usecases/breach.py", "import cedarpy"),
    "frameworks-at-the-edge": ("service/lightship/storage/breach.py", "import fastapi"),
}


def lint(root: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter on a tree, its own packages first on the path."""
    path = os.pathsep.join([str(root / "service"), str(root / "feeds")])
    arguments = [part for one in contracts for part in ("--contract", one)]
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache", "--no-logo", *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_import_follows_the_rules() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


def test_every_contract_has_a_breach_here() -> None:
    marker = "[importlinter:contract:"
    lines = (ROOT / ".importlinter").read_text().splitlines()
    contracts = {line[len(marker) : -1] for line in lines if line.startswith(marker)}
    assert contracts == set(BREACHES)


@pytest.mark.parametrize("contract", BREACHES)
def test_a_breach_is_caught(contract: str, tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "service", tmp_path / "service", ignore=ignore)
    shutil.copytree(ROOT / "feeds", tmp_path / "feeds", ignore=ignore)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    file, statement = BREACHES[contract]
    with (tmp_path / file).open("a") as breach:
        breach.write(f"\n{statement}\n")
    result = lint(tmp_path, contract)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "1 broken" in result.stdout
