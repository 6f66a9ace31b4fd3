"""`lightship doctor` says plainly what stops a member, a key or an agreement, and what ends soon."""

from __future__ import annotations

from typing import Any

import pytest

from lightship.client.standing import judged
from lightship.core.time import Micros, format_stamp

NOW = Micros(1_790_000_000_000_000)
DAY = 86_400 * 1_000_000
KEY = "a" * 64


def standing(**over: Any) -> dict[str, Any]:
    listed = {"id": KEY, "revoked": None, "suspended": None}
    roster = {"member": "uslgb", "version": 3, "sha256": "b" * 64, "in_force": True, "keys": [listed]}
    you = {"member": "uslgb", "name": "uslgb-tool", "suspended": None, "expires": None}
    found = {"id": "mou", "status": "in-force", "notice": "", "version": 2, "suspensions": []}
    return found | {"rosters": [roster], "you": you} | over


def verdicts(found: dict[str, Any], key: str = KEY) -> dict[str, str]:
    return {one.check: one.verdict for one in judged(found, key, NOW)}


def texts(found: dict[str, Any], key: str = KEY) -> str:
    return " | ".join(f"{one.text}. {one.todo}" for one in judged(found, key, NOW))


def test_where_all_is_well_it_says_so() -> None:
    assert verdicts(standing()) == {"agreement": "ok", "publish key": "ok"}
    assert verdicts(standing(), "") == {"agreement": "ok"}  # this machine signs nothing


@pytest.mark.parametrize(
    ("status", "verdict"),
    [("suspended", "failed"), ("expired", "failed"), ("ended", "failed"), ("grace", "warning")],
)
def test_an_agreement_that_does_not_carry_is_named(status: str, verdict: str) -> None:
    found = standing(status=status, notice="The agreement mou is no more")
    assert verdicts(found)["agreement"] == verdict
    assert "The agreement mou is no more" in texts(found)


def test_a_suspended_member_is_told_until_when_and_why() -> None:
    stop = {"member": "uslgb", "key": None, "party": "hub", "until": "2026-09-22T14:00:00.000000Z"}
    found = standing(suspensions=[stop | {"reason": "Stolen"}])
    assert verdicts(found)["suspension"] == "failed"
    assert "uslgb is suspended in mou until 2026-09-22T14:00:00.000000Z: Stolen" in texts(found)
    other = standing(suspensions=[stop | {"member": "uslax", "reason": "Stolen"}])
    assert verdicts(other)["suspension"] == "warning"


@pytest.mark.parametrize(
    ("changes", "verdict", "said"),
    [
        ({"suspended": "2026-09-22T14:00:00.000000Z"}, "failed", "is suspended in mou until"),
        ({"revoked": "stolen"}, "failed", "is revoked in mou: stolen"),
        ({"id": "c" * 64}, "warning", "roster 3 of uslgb does not list it"),
    ],
)
def test_a_key_whose_statements_would_be_refused_is_named(
    changes: dict[str, Any], verdict: str, said: str
) -> None:
    found = standing()
    found["rosters"][0]["keys"][0] |= changes
    assert verdicts(found)["publish key"] == verdict
    assert said in texts(found)


def test_a_publisher_without_a_roster_in_force_is_told() -> None:
    assert verdicts(standing(rosters=[]))["publish key"] == "warning"
    assert "no roster of uslgb" in texts(standing(rosters=[]))
    found = standing()
    found["rosters"][0]["in_force"] = False
    assert verdicts(found)["publish key"] == "failed"


@pytest.mark.parametrize(("days", "near"), [(29, True), (31, False)])
def test_a_credential_near_its_end_is_named(days: int, near: bool) -> None:
    found = standing()
    found["you"]["expires"] = format_stamp(NOW + days * DAY)
    assert (verdicts(found).get("credential") == "warning") is near
