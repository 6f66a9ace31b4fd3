"""A member's name stands for one organisation: another cannot come into what the first one left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hubkit import make_hub
from lightship.core.errors import BadFile
from stixsamples import indicator

RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
LAX: dict[str, Any] = {"identities": ["identity--11111111-1111-4111-8111-111111111111"]}
LGB: dict[str, Any] = {"identities": ["identity--22222222-2222-4222-8222-222222222222"]}
OTHER: dict[str, Any] = {"identities": ["identity--33333333-3333-4333-8333-333333333333"]}
BOTH: Any = {"incidents": {"red": "audience", "audience": ["uslax", "uslgb"]}}
ALONE: Any = {"incidents": {"red": "audience", "audience": ["uslgb"]}}


def test_the_name_of_a_member_that_left_is_no_way_into_what_was_red_to_it(tmp_path: Path) -> None:
    with make_hub(tmp_path, members={"uslax": LAX, "uslgb": LGB}, collections=BOTH) as kit:
        red = indicator(object_marking_refs=[RED])
        path = kit.path("incidents", "objects/")
        assert kit.client("uslgb").post(path, json={"objects": [red]}).json()["success_count"] == 1
        kit.add_agreement(kit.agreement, members={"uslgb": LGB}, collections=ALONE)
        assert kit.client("uslax").get(path).status_code == 401
        with pytest.raises(BadFile, match="The name `uslax` was another member's until version 1"):
            kit.add_agreement(kit.agreement, members={"uslax": OTHER, "uslgb": LGB}, collections=BOTH)
        assert kit.client("uslax").get(path).status_code == 401, "its credential is not the other's either"
        back = {"identities": [*LAX["identities"], *OTHER["identities"]]}
        kit.add_agreement(kit.agreement, members={"uslax": back, "uslgb": LGB}, collections=BOTH)
        assert red["id"] in kit.client("uslax").get(path).text


def test_a_member_that_stays_may_change_its_identities(tmp_path: Path) -> None:
    with make_hub(tmp_path, members={"uslax": LAX, "uslgb": LGB}) as kit:
        kit.add_agreement(kit.agreement, members={"uslax": OTHER, "uslgb": LGB})
        members = kit.hub.directory.view().agreements[kit.agreement].members
        assert members["uslax"].identities == frozenset(OTHER["identities"])
