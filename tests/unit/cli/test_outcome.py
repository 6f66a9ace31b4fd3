"""What `lightship run` says of its exercise: as it went, also where it did not go as it should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lightship.cli.outcome import Embargo, Outcome, Stakeholders

GOOD = Outcome(
    "https://localhost:9443",
    Path("run/tls/ca.pem"),
    Path("run/credentials of it"),
    published={"incidents": 3, "warnings": 2},
    held={"incidents": 0, "warnings": 0},
    pulled=7,
    equal=True,
    client="taxii2-client 2.3.0",
    seconds=2.49,
    stakeholders=Stakeholders("indicator--1", "It is too strict. (deny-publish-ceiling)", 9, True, True),
    embargo=Embargo("indicator--2", "2026-04-01T08:00:00.000000Z", "2026-04-01T08:00:00.250000Z"),
)


def said(outcome: Outcome, *, served: bool = False) -> str:
    return "\n".join(outcome.lines(served=served, user="uslax-exercise", path="/exercise/collections/"))


def test_all_that_went_well_is_said_in_a_few_lines() -> None:
    assert GOOD.right
    assert len(said(GOOD).splitlines()) == 9
    assert "NOT" not in said(GOOD)
    for words in (
        "5 published in 2 collections",
        "deny-publish-ceiling",
        "9 advisories",
        "404",
        "08:00:00.25",
    ):
        assert words in said(GOOD)


def test_how_to_go_on_is_said_only_while_it_is_served() -> None:
    assert "curl" not in said(GOOD)
    line = "https://uslax-exercise@localhost:9443/exercise/collections/"
    assert said(GOOD, served=True).splitlines()[-2].endswith(line)
    assert "'run/credentials of it'" in said(GOOD, served=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"equal": False}, "NOT what was posted"),
        ({"embargo": Embargo("indicator--2", "2026-04-01T08:00:00.000000Z")}, "did NOT come"),
        ({"stakeholders": Stakeholders("indicator--1", "", 9, True, True)}, "NOT for them"),
        ({"stakeholders": Stakeholders("indicator--1", "No. (deny)", 9, True, False)}, "NOT hidden"),
    ],
)
def test_whatever_went_wrong_is_said_in_capitals(change: dict[str, object], words: str) -> None:
    wrong = replace(GOOD, **change)  # type: ignore[arg-type]  # one field of its own type
    assert not wrong.right
    assert words in said(wrong)


def test_what_has_expired_is_no_failure_and_says_how_to_start_afresh() -> None:
    gone = replace(GOOD.stakeholders, pulled=0, read_by_port=False)
    assert not replace(GOOD, stakeholders=gone).right
    old = replace(GOOD, expired={("warnings", "note--1"), ("warnings", "note--2")}, stakeholders=gone)
    assert old.right
    assert "2 objects have expired" in said(old)
    assert "lightship run --hub run2" in said(old)
    assert old.shape()["expired"] == 2


def test_what_was_refused_is_listed() -> None:
    refused = replace(GOOD, refused=["warnings: note--1: No. (deny-author)"])
    assert "refused: 1" in said(refused)
    assert "  warnings: note--1: No. (deny-author)" in said(refused)
