"""What the built wheel holds: a missing package or data folder is left out in silence by the builder."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = out.glob("*.whl")
    return zipfile.ZipFile(built)


def expected(tree: Path, prefix: str) -> set[str]:
    return {
        f"{prefix}/{path.relative_to(tree)}"
        for path in tree.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != ".gitkeep"
    }


@pytest.mark.parametrize(
    ("tree", "prefix"),
    [
        ("service/lightship", "lightship"),
        ("feeds/lightship_feeds", "lightship_feeds"),
        ("policies", "lightship/_data/policies"),
        ("certs/profiles", "lightship/_data/certs"),
    ],
)
def test_the_wheel_holds_both_packages_and_the_data(wheel: zipfile.ZipFile, tree: str, prefix: str) -> None:
    wanted = expected(ROOT / tree, prefix)
    assert wanted
    assert not wanted - set(wheel.namelist())


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert tops == {"lightship", "lightship_feeds", f"lightship-{version}.dist-info"}
    assert not [name for name in wheel.namelist() if name.endswith((".pem", ".key", ".db"))]


def test_the_versions_agree() -> None:
    from lightship import __version__

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
