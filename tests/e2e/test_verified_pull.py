"""`lightship pull --verify` against a served hub: proofs, withdrawals, restarts, damage."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from machine import Machine, two_machines
from stixsamples import indicator

AMBER_STRICT = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"


def marked(name: str) -> dict[str, Any]:
    return indicator(name=name, object_marking_refs=[AMBER_STRICT])


class Port(Machine):
    """A member's machine, whose pulls are verified."""

    def publish(self, *objects: Any) -> None:
        self.call("publish", self.write(*objects), "--to", f"{self.hub.agreement}/indicators")

    def pull(self, *more: str, code: int = 0) -> dict[str, Any]:
        files = ("--state", "state", "--out", "got.ndjson", "--deletions", "gone.ndjson")
        report: dict[str, Any] = self.ask(
            "pull", f"{self.hub.agreement}/indicators", "--verify", *files, *more, code=code
        )
        return report

    def lines(self, name: str) -> list[dict[str, Any]]:
        path = self.home / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(name="ports")
def _ports(tmp_path: Path) -> Iterator[tuple[Port, Port]]:
    with two_machines(tmp_path, Port) as made:
        yield made


def test_what_is_published_is_pulled_with_its_proof(ports: tuple[Port, Port]) -> None:
    lax, lgb = ports
    first = [marked(name=f"one {n}") for n in range(300)]
    lgb.publish(*first)
    report = lax.pull()
    assert report["proofs"] == {"hub-attested": 300}
    assert not any(report[name] for name in ("failures", "missing", "findings", "warnings"))
    assert report["authority"] == "steward alone (1 of 1)"
    assert {one["id"] for one in lax.lines("got.ndjson")} == {one["id"] for one in first}
    assert lax.pull("--strict")["objects"] == 0


def test_withdrawals_reach_the_deletion_feed(ports: tuple[Port, Port]) -> None:
    lax, lgb = ports
    one, two = marked(name="stays"), marked(name="goes")
    lgb.publish(one, two)
    lax.pull()
    with lax.hub.client("uslgb") as client:
        assert client.delete(f"collections/indicators/objects/{two['id']}/").status_code == 200
    assert lax.pull()["withdrawn"] == 1
    (gone,) = lax.lines("gone.ndjson")
    assert (gone["id"], gone["version"], gone["reason"], gone["signed"]) == (
        two["id"],
        two["modified"],
        "publisher",
        False,
    )
    lgb.publish(two)
    assert lax.pull()["proofs"] == {"hub-attested": 1}


def test_agreement_changes_and_restarts_keep_the_log(ports: tuple[Port, Port]) -> None:
    lax, lgb = ports
    lgb.publish(marked(name="before"))
    lax.pull()
    path = lax.hub.dir / "agreements" / "exercise" / "agreement.toml"
    path.write_text(path.read_text().replace('title = "', 'title = "Changed: ', 1))
    lax.hub.command("agreement", "apply", "exercise")
    lax.hub.kill()
    lax.hub.start()
    lgb.publish(marked(name="after"))
    report = lax.pull("--strict")
    assert report["objects"] == 1
    assert report["size"] == 4


def test_a_database_that_somebody_changed_is_seen_by_those_who_verify(ports: tuple[Port, Port]) -> None:
    """One character of an object, the digest beside it made to fit: it is served, and nobody takes it."""
    lax, lgb = ports
    one = marked(name="true")
    lgb.publish(one)
    lax.hub.stop()
    with sqlite3.connect(lax.hub.dir / "data" / "hub.db") as db:
        body = db.execute("SELECT body FROM object").fetchone()[0].replace(b'"true"', b'"True"')
        db.execute("UPDATE object SET body = ?, digest = ?", (body, hashlib.sha256(body).digest()))
    db.close()
    lax.hub.start()
    report = lax.pull(code=1)
    assert report["failures"][0]["failure"] == "altered"
    assert report["missing"][0]["id"] == one["id"]
    assert not lax.lines("got.ndjson")


def test_a_log_that_was_restored_from_an_old_backup_is_seen(ports: tuple[Port, Port], tmp_path: Path) -> None:
    lax, lgb = ports
    lgb.publish(marked(name="one"))
    backup = tmp_path / "backup.tar"
    lax.hub.command("backup", str(backup))
    lgb.publish(marked(name="two"))
    lax.pull()
    kept = (lax.home / "state").read_bytes()
    lax.hub.stop()
    lax.hub.command("restore", str(backup), "--force")
    lax.hub.start()
    assert lax.pull(code=1)["error"]["details"]["failure"] == "rollback"
    assert (lax.home / "state").read_bytes() == kept
    for name in ("three", "four"):
        lgb.publish(marked(name=name))
    said = lax.pull(code=1)["error"]["details"]
    assert said["failure"] == "rewritten"
    keys = lax.home / "hub.keys"
    (key,) = re.findall(
        r'keys.hub = "(.*)"', (lax.hub.dir / "agreements/exercise/agreement.toml").read_text()
    )
    keys.write_text(key)
    assert lax.ask("evidence", "verify", said["evidence"], "--root", str(keys))["kind"] == "two-logs"


def test_another_key_than_the_pinned_one_is_refused(ports: tuple[Port, Port]) -> None:
    lax, lgb = ports
    lgb.publish(marked(name="one"))
    assert lax.pull("--root", "f" * 64, code=1)["error"]["details"]["failure"] == "agreement-forged"
    assert not (lax.home / "state").exists()


@pytest.mark.parametrize(
    "wrong", [["--since", "2026-01-01T00:00:00Z"], ["--limit", "1"], ["--type", "indicator"]]
)
def test_what_cannot_be_verified_is_wrong_use(ports: tuple[Port, Port], wrong: list[str]) -> None:
    lax, _ = ports
    lax.call("pull", "exercise/indicators", "--verify", "--state", "state", *wrong, code=2)
    lax.call("pull", "exercise/indicators", "--strict", code=2)


def test_a_member_sees_what_the_log_says_in_its_name(ports: tuple[Port, Port]) -> None:
    lax, lgb = ports
    lgb.publish(marked(name="ours"))
    lax.publish(marked(name="theirs"))
    command = ("monitor", "exercise/indicators", "--member", "uslgb", "--state", "monitor.state", "--json")
    done = lgb.call(*command, code=1)
    (seen,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (seen["proof"], len(seen["added"]), seen["entry"]) == ("hub-attested", 1, 1)
    assert lgb.call(*command).stdout == ""
