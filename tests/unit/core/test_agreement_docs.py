"""The page about agreements names every key that the form takes, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lightship.core.agreement import AgreementStatus, fields

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "agreements.md").read_text(encoding="utf-8")


def keys(title: str) -> set[str]:
    """Return the keys in the first column of the table below a heading."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    first = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    return {key for cell in first for key in re.findall(r"`([a-z_.]+)`", cell)}


@pytest.mark.parametrize(
    ("title", "known"),
    [
        (
            "Keys of the agreement",
            {*fields.AGREEMENT, *fields.AUTHORITY, *fields.AUDIT, "keys.hub"},
        ),
        ("Keys of a member", set(fields.MEMBER)),
        ("Keys of a collection", set(fields.COLLECTION)),
    ],
)
def test_every_key_is_described(title: str, known: set[str]) -> None:
    assert keys(title) == known


def test_every_status_is_described() -> None:
    section = PAGE.split("\n## Dates\n")[1].split("\n## ")[0]
    assert set(re.findall(r"\| `([a-z-]+)` \|", section)) == {str(one) for one in AgreementStatus}
