"""What must never stand in the repository: keys, index addresses, paths of a machine, unlocked files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tracked() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_no_private_key_is_kept() -> None:
    marker = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY" + rb"-----\n[A-Za-z0-9+/]")
    assert not [path for path in tracked() if marker.search(path.read_bytes())]


def test_lock_files_have_hashes_and_no_addresses() -> None:
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    assert [lock.name for lock in locks] == ["dev.txt", "fuzz.txt", "run.txt"]
    for lock in locks:
        text = lock.read_text()
        assert not re.search(r"(https?|file)://|--(extra-)?index-url|--find-links", text)
        pins = re.findall(r"^[A-Za-z0-9][\w.\[\]-]*==", text, re.MULTILINE)
        assert len(pins) > 20
        for block in re.split(r"\n(?=[A-Za-z0-9])", text.strip()):
            assert "--hash=sha256:" in block, block.splitlines()[0]


def test_no_path_of_a_machine_stands_in_a_file() -> None:
    home = re.compile(rb"/(home|Users)" + rb"/[a-z]" + rb"|/root" + rb"/")
    assert not [path for path in tracked() if home.search(path.read_bytes())]
