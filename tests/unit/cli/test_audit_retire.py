"""Deleting a year of the access log leaves its event where those look whom it concerns."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from hubkit import make_hub
from lightship.cli.main import cli
from lightship.core.audit import AccessEvent
from lightship.core.time import Micros

IN_2020 = Micros(1_590_000_000_000_000)


def test_the_deletion_of_a_year_stands_in_the_log_of_each_agreement(tmp_path: Path) -> None:
    kit = make_hub(tmp_path, "sqlite")
    old = AccessEvent(req="0" * 32, at=IN_2020, act="read-objects", agr=kit.agreement, who="uslax")
    kit.hub.access.record(old).result()
    kit.close()
    hub = str(tmp_path / "hub")
    looked = CliRunner().invoke(cli, ["audit", "retire", "2020", "--hub", hub, "--json"])
    assert json.loads(looked.stdout) == {"year": 2020, "events": 1, "deleted": False}
    done = CliRunner().invoke(cli, ["audit", "retire", "2020", "--delete", "--hub", hub, "--json"])
    assert json.loads(done.stdout) == {"year": 2020, "events": 1, "deleted": True}
    assert not (tmp_path / "hub" / "data" / "audit-2020.db").exists()
    said = CliRunner().invoke(cli, ["audit", "search", "--action", "audit-retire", "--hub", hub, "--json"])
    events = [json.loads(line) for line in said.stdout.splitlines()]
    assert {(one["agreement"], one["credential"], one["query"]) for one in events} == {
        ("hub", "steward", "2020"),
        (kit.agreement, "steward", "2020"),
    }
