"""The Dockerfile, as far as it can be checked without a container engine."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_every_copied_source_exists_and_is_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), f"COPY {source}: there is no such file"
            assert any(one == source or one.startswith(f"{source}/") for one in allowed), source


def test_it_runs_as_somebody_without_rights() -> None:
    stages = DOCKERFILE.split("\nFROM ")
    assert re.search(r"^USER (?!root|0)", stages[-1], re.MULTILINE)
    assert "gcc" not in stages[-1]
