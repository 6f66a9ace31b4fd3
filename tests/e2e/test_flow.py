"""A steward, a publisher, a consumer and an auditor, through the command line over real TLS."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from lightship.cli.main import execute
from lightship.data import policies_dir
from livehub import LIGHTSHIP, LiveHub, free_port
from reference_docs import documented

SCENARIO = policies_dir() / "exercise"
AGREEMENT = "our-bay"


@dataclass
class Done:
    """What a command returned and printed."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class Desk:
    """Somebody at a terminal: a directory, a configuration of their own, nothing on stdin."""

    home: Path
    hub: LiveHub

    def run(self, *arguments: str, stdin: str = "", code: int = 0) -> Done:
        """Run a command: in this process where it needs no terminal of its own, for speed."""
        environment = {"XDG_CONFIG_HOME": str(self.home / "config"), "LIGHTSHIP_HUB": str(self.hub.dir)}
        if arguments[0] in {"pull", "serve"}:
            process = subprocess.run(
                [LIGHTSHIP, *arguments],
                cwd=self.home,
                env={**os.environ, **environment},
                input=stdin,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            done = Done(process.returncode, process.stdout, process.stderr)
        else:
            out, err = io.StringIO(), io.StringIO()
            source = io.TextIOWrapper(io.BytesIO(stdin.encode()))
            with (
                mock.patch.dict(os.environ, environment),
                mock.patch.object(sys, "stdin", source),
                contextlib.chdir(self.home),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                returned = execute(list(arguments))
            done = Done(returned, out.getvalue(), err.getvalue())
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done

    def json(self, *arguments: str, code: int = 0, stdin: str = "") -> Any:
        value = json.loads(self.run(*arguments, "--json", code=code, stdin=stdin).stdout)
        check_keys(arguments, value)
        return value

    def lines(self, *arguments: str) -> list[Any]:
        values = [json.loads(line) for line in self.run(*arguments, "--json").stdout.splitlines()]
        for value in values:
            check_keys(arguments, value)
        return values


def check_keys(arguments: tuple[str, ...], value: dict[str, Any]) -> None:
    """Every key that a command prints stands in the reference."""
    grouped = arguments[0] in {"agreement", "collection", "credential", "audit"}
    if arguments[0] == "status" and len(arguments) > 1:
        return  # the TAXII status resource
    assert set(value) <= documented(" ".join(arguments[: 1 + grouped]))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    parent = tmp_path_factory.mktemp("flow")
    port = free_port()
    live = LiveHub(parent / "hub", port, AGREEMENT)
    live.command("init", "--public-url", live.url)
    live.command("agreement", "new", AGREEMENT, "--member", "USLAX", "--member", "USLGB")
    live.command("agreement", "apply", AGREEMENT)
    live.start()
    yield live
    if live.process is not None:
        assert live.stop() == 0


@pytest.fixture(scope="module")
def long_beach(hub: LiveHub, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return desk(hub, "uslgb", tmp_path_factory.mktemp("lgb"))


@pytest.fixture(scope="module")
def los_angeles(hub: LiveHub, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return desk(hub, "uslax", tmp_path_factory.mktemp("lax"))


@pytest.fixture(scope="module")
def published(long_beach: Desk) -> Desk:
    done = long_beach.run("publish", str(SCENARIO / "indicators.json"), "--to", f"{AGREEMENT}/indicators")
    assert "24 published, refused: 0" in done.stdout
    assert "NOT reporting" in done.stderr
    return long_beach


def desk(hub: LiveHub, member: str, home: Path) -> Desk:
    made = Desk(home, hub)
    made.run("credential", "mint", AGREEMENT, f"{member}/desk", "--out", "secret")
    said = made.json(
        "login", hub.url, "--user", f"{member}-desk", "--ca-file", hub.ca, stdin=(home / "secret").read_text()
    )
    assert said == {
        "profile": "localhost",
        "url": hub.url,
        "user": f"{member}-desk",
        "agreements": [AGREEMENT],
    }
    return made


def test_the_steward_sees_what_is_in_force(long_beach: Desk) -> None:
    (agreement,) = long_beach.lines("agreement", "show")
    assert (agreement["id"], agreement["status"], agreement["version"]) == (AGREEMENT, "in-force", 1)
    assert set(agreement["members"]) == {"uslax", "uslgb"}
    assert [one["name"] for one in long_beach.lines("collection", "list")] == [
        f"{AGREEMENT}/{alias}" for alias in ("incidents", "indicators", "sightings", "warnings")
    ]
    again = long_beach.json("agreement", "apply", AGREEMENT)
    assert (again["applied"], again["unchanged"]) == (False, True)


def test_an_agreement_with_mistakes_fails_the_check_and_names_each_line(long_beach: Desk) -> None:
    bad = long_beach.home / "bad.toml"
    good = (long_beach.hub.dir / "agreements" / AGREEMENT / "agreement.toml").read_text()
    bad.write_text(good.replace('ceiling = "green"', 'ceiling = "grün"').replace("port-authority", "harbour"))
    said = long_beach.json("agreement", "check", str(bad), code=1)
    assert said["ok"] is False
    assert len(said["problems"]) >= 2
    assert all(one["line"] > 0 and one["title"] for one in said["problems"])
    assert long_beach.run("agreement", "apply", str(bad), code=2).stderr.startswith("Error: ")


def test_a_new_agreement_replaces_no_file(long_beach: Desk) -> None:
    long_beach.run("agreement", "new", AGREEMENT, "--member", "USLAX", code=3)
    long_beach.run("agreement", "new", "other", "--from", "no-such-sample", code=3)
    long_beach.run("agreement", "new", "Bad Name", "--member", "USLAX", code=2)


def test_what_one_port_publishes_the_other_pulls(published: Desk, los_angeles: Desk) -> None:
    los_angeles.run("pull", f"{AGREEMENT}/indicators", "--out", "got.json", "--format", "bundle")
    got = json.loads((los_angeles.home / "got.json").read_text())
    sent = json.loads((SCENARIO / "indicators.json").read_text())["objects"]
    assert got["type"] == "bundle"
    assert sorted(got["objects"], key=lambda one: one["id"]) == sorted(sent, key=lambda one: one["id"])


def test_publishing_again_is_success_and_stores_nothing_twice(published: Desk) -> None:
    before = published.json("collection", "show", f"{AGREEMENT}/indicators")["objects"]
    text = (SCENARIO / "indicators.json").read_text()
    said = published.json("publish", "-", "--to", f"{AGREEMENT}/indicators", stdin=text)
    assert (said["total"], said["success"], said["failures"]) == (24, 24, [])
    assert published.json("collection", "show", f"{AGREEMENT}/indicators")["objects"] == before


def test_the_state_file_gives_only_what_is_new(published: Desk, los_angeles: Desk) -> None:
    pull = ("pull", f"{AGREEMENT}/indicators", "--state", "pull.state", "--out", "all.ndjson", "--page", "7")
    assert los_angeles.json(*pull)["objects"] >= 24
    count = len((los_angeles.home / "all.ndjson").read_text().splitlines())
    assert los_angeles.json(*pull)["objects"] == 0
    new = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": "indicator--6ef21c37-9bb5-4b2b-9d3c-54f3a1a7b0de",
        "created": "2026-03-10T00:00:00.000Z",
        "modified": "2026-03-10T00:00:00.000Z",
        "pattern": "[ipv4-addr:value = '203.0.113.46']",
        "pattern_type": "stix",
        "valid_from": "2026-03-10T00:00:00Z",
        "object_marking_refs": ["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"],
    }
    published.run("publish", "-", "--to", f"{AGREEMENT}/indicators", stdin=json.dumps(new))
    assert los_angeles.json(*pull)["objects"] == 1
    lines = (los_angeles.home / "all.ndjson").read_text().splitlines()
    assert len(lines) == count + 1
    assert json.loads(lines[-1]) == new
    refused = los_angeles.run("pull", f"{AGREEMENT}/warnings", "--state", "pull.state", code=2)
    assert "another pull" in refused.stderr


def test_a_limit_stops_in_a_page_and_the_state_goes_on_there(published: Desk, los_angeles: Desk) -> None:
    pull = ("pull", f"{AGREEMENT}/indicators", "--state", "limit.state", "--limit", "5")
    got = []
    for _ in range(4):
        got += [json.loads(line)["id"] for line in los_angeles.run(*pull).stdout.splitlines()]
    assert len(got) == len(set(got)) == 20


@pytest.mark.parametrize("form", ["ndjson", "bundle"])
def test_a_pull_that_fails_leaves_the_file_of_the_last_one(
    published: Desk, los_angeles: Desk, form: str
) -> None:
    out = los_angeles.home / f"kept.{form}"
    los_angeles.run("pull", f"{AGREEMENT}/indicators", "--out", out.name, "--format", form)
    kept = out.read_bytes()
    assert kept
    los_angeles.run("pull", f"{AGREEMENT}/nothing", "--out", out.name, "--format", form, code=3)
    assert out.read_bytes() == kept
    assert not list(los_angeles.home.glob(".kept*"))


def test_a_bundle_goes_to_a_link_s_target_and_to_a_pipe(published: Desk, los_angeles: Desk) -> None:
    target, link = los_angeles.home / "target.json", los_angeles.home / "link.json"
    link.symlink_to(target)
    for out in (str(link), "/dev/stdout"):
        done = los_angeles.run("pull", f"{AGREEMENT}/indicators", "--out", out, "--format", "bundle")
    assert link.is_symlink()
    assert json.loads(target.read_bytes())["objects"] == json.loads(done.stdout)["objects"]


def test_filters_reach_the_hub(published: Desk, los_angeles: Desk) -> None:
    out = los_angeles.run(
        "pull", f"{AGREEMENT}/indicators", "--type", "indicator", "--type", "malware"
    ).stdout
    assert {json.loads(line)["type"] for line in out.splitlines()} == {"indicator", "malware"}
    none = los_angeles.run("pull", f"{AGREEMENT}/indicators", "--since", "2100-01-01T00:00:00Z")
    assert none.stdout == ""
    los_angeles.run("pull", f"{AGREEMENT}/indicators", "--since", "yesterday", code=2)


def test_each_refused_object_is_named_and_the_others_are_stored(published: Desk) -> None:
    warnings = (SCENARIO / "warnings.json").read_text()
    red = json.loads((SCENARIO / "incidents.json").read_text())["objects"][-1]
    said = published.json(
        "publish", "-", "--to", f"{AGREEMENT}/warnings", stdin=warnings + json.dumps(red), code=3
    )
    assert said["success"] == said["total"] - 1 == 9
    (failure,) = said["failures"]
    assert failure["id"] == red["id"]
    assert "deny-publish-ceiling" in failure["message"]
    status = published.json("status", f"{AGREEMENT}/{said['statuses'][0]}", code=3)
    assert status["failure_count"] == 1


def test_a_status_is_for_who_posted_only(published: Desk, los_angeles: Desk) -> None:
    said = published.json("publish", str(SCENARIO / "sightings.json"), "--to", f"{AGREEMENT}/sightings")
    los_angeles.run("status", f"{AGREEMENT}/{said['statuses'][0]}", code=3)
    assert "complete: 13 of 13" in published.run("status", f"{AGREEMENT}/{said['statuses'][0]}").stdout


def test_status_lists_collections_and_rights(los_angeles: Desk) -> None:
    said = los_angeles.json("status")
    assert said["hub"] == los_angeles.hub.url
    assert next((one["name"], one["can_read"], one["can_write"]) for one in said["collections"]) == (
        f"{AGREEMENT}/incidents",
        True,
        True,
    )
    assert f"{AGREEMENT}/warnings" in los_angeles.run("status").stdout
    (agreement,) = said["agreements"]
    assert agreement["name"] == AGREEMENT
    assert f"{AGREEMENT}: {agreement['title']}" in los_angeles.run("status").stdout
    assert "this credential sees" in los_angeles.run("pull", "nowhere/nothing", code=3).stderr


def test_the_doctor_finds_nothing_wrong(published: Desk, los_angeles: Desk) -> None:
    said = los_angeles.json("doctor")
    checks = {one["check"]: one["verdict"] for one in said["findings"]}
    assert checks == dict.fromkeys(
        ["address", "tls", "certificate", "clock", "credential", "accept", "rights", "paging", "agreement"],
        "ok",
    )
    local = los_angeles.json("doctor", "--hub", str(los_angeles.hub.dir))
    assert local["ok"] is True
    assert local["settings"]["public_url"] == los_angeles.hub.url


def test_without_the_ca_the_error_says_which_file_to_give(los_angeles: Desk) -> None:
    secret = (los_angeles.home / "secret").read_text()
    done = los_angeles.run(
        "login", los_angeles.hub.url, "--user", "uslax-desk", "--profile", "x", stdin=secret, code=4
    )
    assert "is not trusted" in done.stderr
    assert "tls/ca.pem" in done.stderr
    wrong = los_angeles.run(
        "login",
        los_angeles.hub.url,
        "--user",
        "uslax-desk",
        "--ca-file",
        los_angeles.hub.ca,
        stdin="ls1_wrong",
        code=3,
    )
    assert "lightship login" in wrong.stderr


def test_a_ca_of_the_environment_does_not_replace_the_given_one(
    los_angeles: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_text("")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(other))
    los_angeles.run("status")


def test_a_revoked_credential_is_refused_on_its_next_request(los_angeles: Desk, tmp_path: Path) -> None:
    temporary = Desk(tmp_path, los_angeles.hub)
    made = temporary.json("credential", "mint", AGREEMENT, "uslax/gone", "--days", "2", "--note", "a test")
    assert made["secret"].startswith("ls1_")
    temporary.run(
        "login",
        temporary.hub.url,
        "--user",
        "uslax-gone",
        "--ca-file",
        temporary.hub.ca,
        stdin=made["secret"],
    )
    temporary.run("status")
    turned = temporary.json("credential", "rotate", "uslax/gone")
    assert turned["secret"] != made["secret"]
    temporary.run("status", code=3)
    assert temporary.json("credential", "revoke", "uslax-gone")["state"] == "revoked"
    listed = {one["name"]: one["state"] for one in temporary.lines("credential", "list")}
    assert listed["uslax-gone"] == "revoked"
    assert "ls1_" not in temporary.run("credential", "list").stdout


@pytest.mark.parametrize("product", ["splunk", "opencti", "sentinel", "misp", "taxii2-client", "curl"])
def test_settings_for_a_product_hold_the_secret_once_minted(
    los_angeles: Desk, tmp_path: Path, product: str
) -> None:
    out = tmp_path / "settings"
    los_angeles.run(
        "credential", "mint", AGREEMENT, f"uslax/for-{product}", "--for", product, "--out", str(out)
    )
    assert "ls1_" in out.read_text()
    assert out.stat().st_mode & 0o777 == 0o600


def test_a_secret_never_replaces_a_file_and_nothing_is_minted_then(los_angeles: Desk, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    out.write_text("mine")
    los_angeles.run("credential", "mint", AGREEMENT, "uslax/another", "--out", str(out), code=3)
    assert out.read_text() == "mine"
    assert "uslax-another" not in los_angeles.run("credential", "list").stdout


def test_the_auditor_finds_who_read_what_and_who_was_refused(published: Desk, los_angeles: Desk) -> None:
    los_angeles.run("pull", f"{AGREEMENT}/indicators")
    reads = los_angeles.lines(
        "audit",
        "search",
        "--member",
        "uslax",
        "--action",
        "read-objects",
        "--collection",
        f"{AGREEMENT}/indicators",
    )
    assert reads
    assert {one["rule"] for one in reads} == {"allow-audience-read"}
    assert {one["outcome"] for one in reads} == {"ok"}
    minted = los_angeles.lines("audit", "search", "--action", "credential-mint")
    assert {one["credential"] for one in minted} == {"steward"}
    by_name = los_angeles.lines("audit", "search", "--principal", "uslgb/desk")
    assert {one["member"] for one in by_name} == {"uslgb"}
    assert los_angeles.lines("audit", "search", "--since", "2100-01-01") == []
    cut = los_angeles.run("audit", "search", "--limit", "2", "--json")
    assert len(cut.stdout.splitlines()) == 2
    assert "Only the oldest 2 are shown" in cut.stderr
    assert "shown" not in los_angeles.run("audit", "search", "--limit", "100000").stderr
    assert "allow-publisher-publish" in los_angeles.run("audit", "search", "--action", "publish").stdout


def test_a_backup_of_a_serving_hub_restores_whole(published: Desk, tmp_path: Path) -> None:
    made = published.json("backup", str(tmp_path / "hub.tar"))
    assert made["bytes"] == (tmp_path / "hub.tar").stat().st_size
    restored = published.json("restore", str(tmp_path / "hub.tar"), "--hub", str(tmp_path / "again"))
    assert restored["fsck"]["clean"] is True
    assert restored["fsck"]["objects"] >= 24
    check = published.json("fsck", "--hub", str(tmp_path / "again"))
    assert check == restored["fsck"]
    assert {one["migrations"] == [] for one in published.lines("migrate", "--check")} == {True}
    published.run("backup", str(tmp_path / "hub.tar"), code=3)
    published.run("restore", str(tmp_path / "hub.tar"), "--hub", str(tmp_path / "again"), code=3)


def test_init_replaces_no_hub_and_serve_takes_no_used_port(published: Desk) -> None:
    published.run("init", code=3)
    busy = published.run("serve", code=2)
    assert "another process listens there" in busy.stderr


def test_fsck_finds_what_was_changed_behind_its_back(published: Desk, tmp_path: Path) -> None:
    import apsw

    published.run("backup", str(tmp_path / "hub.tar"))
    published.run("restore", str(tmp_path / "hub.tar"), "--hub", str(tmp_path / "bad"))
    connection = apsw.Connection(str(tmp_path / "bad" / "data" / "hub.db"))
    table = next(
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        if "body" in {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
        and "statement" not in name
    )
    connection.execute(
        f"UPDATE {table} SET body = CAST(replace(CAST(body AS TEXT), '203.0.113.45', '203.0.113.99') AS BLOB)"
    )
    connection.close()
    said = published.json("fsck", "--hub", str(tmp_path / "bad"), code=1)
    assert said["clean"] is False
    assert said["findings"]
