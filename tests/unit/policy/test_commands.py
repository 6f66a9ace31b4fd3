"""`lightship why`, `audience` and `policy`, on a hub directory made by the commands that make hubs."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from lightship.cli.main import execute
from lightship.data import policies_dir
from reference_docs import documented
from stixsamples import indicator

MOU = "our-bay"
SCENARIO = policies_dir() / "exercise"
RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
Run = Callable[..., tuple[int, str, str]]
Ask = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("why") / "hub"
    for command in (
        ["init", "--public-url", "https://localhost:9443"],
        ["agreement", "new", MOU, "--from", "la-lb-mou"],
        ["agreement", "apply", MOU],
        ["credential", "mint", MOU, "uslax/splunk", "--out", str(where / "s1")],
        ["credential", "mint", MOU, "uslax/old", "--out", str(where / "s2")],
        ["credential", "mint", MOU, "uslgb/short", "--days", "1", "--out", str(where / "s3")],
        ["credential", "revoke", "uslax-old"],
    ):
        assert execute([*command, "--hub", str(where)]) == 0
    return where


@pytest.fixture
def run(hub: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: str, code: int = 0) -> tuple[int, str, str]:
        capsys.readouterr()
        took = [] if arguments[0] == "policy" else ["--hub", str(hub)]
        done = execute([*arguments, *took])
        out, err = capsys.readouterr()
        assert done == code, out + err
        return done, out, err

    return command


@pytest.fixture
def ask(run: Run) -> Ask:
    def command(*arguments: str, code: int = 0) -> list[Any]:
        found = [json.loads(line) for line in run(*arguments, "--json", code=code)[1].splitlines()]
        name = " ".join(arguments[: 1 + (arguments[0] == "policy")])
        for one in found:
            assert set(one) <= documented(name)
        return found

    return command


def test_why_names_the_rule_that_allows(ask: Ask) -> None:
    for who in ("uslax", "uslax/splunk", "uslax-splunk"):
        (said,) = ask("why", who, "read", f"{MOU}/indicators")
        assert (said["member"], said["allowed"], said["rule"]) == ("uslax", True, "allow-audience-read")
        assert said["reasons"] == [{"rule": said["rule"], "say": said["say"]}]


def test_why_names_the_forbid_and_the_permit_that_would_hold(ask: Ask) -> None:
    (said,) = ask("why", "uslgb", "publish", f"{MOU}/indicators", "--at", "2100-01-01")
    assert [one["rule"] for one in said["reasons"]] == ["deny-agreement-not-in-force"]
    assert [(one["rule"], one["holds"]) for one in said["permits"]] == [("allow-publisher-publish", True)]


def test_why_shows_the_condition_that_failed(run: Run) -> None:
    _, out, _ = run("why", "uslgb", "administer", f"{MOU}/indicators")
    assert "deny-default: No rule lets `uslgb` do this (administer)." in out
    _, out, _ = run("why", "uslgb", "publish", f"{MOU}/indicators", "--at", "2100-01-01")
    assert "refused: uslgb publish" in out
    assert "yes  principal in resource.publishers" in out


@pytest.mark.parametrize(
    ("who", "at", "rule"),
    [("uslax-old", "2026-01-01", "deny-revoked"), ("uslgb/short", "2100-01-01", "deny-expired")],
)
def test_a_credential_that_does_not_hold_is_the_reason(ask: Ask, who: str, at: str, rule: str) -> None:
    (said,) = ask("why", who, "read", f"{MOU}/indicators", "--at", at)
    assert (said["allowed"], said["rule"]) == (False, rule)
    assert who.replace("/", "-") in said["say"]


def test_why_judges_each_object_of_a_file(ask: Ask, tmp_path: Path) -> None:
    red, green = indicator(object_marking_refs=[RED]), indicator(object_marking_refs=[GREEN])
    broken = {**indicator(object_marking_refs=[GREEN]), "pattern": "[nonsense"}
    (tmp_path / "three.json").write_text(json.dumps([red, green, broken]))
    said = ask("why", "uslgb", "publish", f"{MOU}/indicators", "--object", str(tmp_path / "three.json"))
    assert [one["object"] for one in said] == [red["id"], green["id"], broken["id"]]
    assert [one["allowed"] for one in said] == [False, True, False]
    assert said[0]["rule"] == "deny-publish-ceiling"
    assert "pattern" in said[2]["say"]


def test_why_reads_objects_from_stdin(run: Run) -> None:
    source = io.TextIOWrapper(io.BytesIO(json.dumps(indicator(object_marking_refs=[RED])).encode()))
    with mock.patch.object(sys, "stdin", source):
        _, out, _ = run("why", "uslgb", "publish", f"{MOU}/warnings", "--object", "-")
    assert "deny-publish-ceiling: The object is TLP:RED, but `warnings` accepts at most TLP:GREEN" in out


def test_the_audience_is_shown_by_name_and_number_of_clients(ask: Ask, run: Run) -> None:
    (said,) = ask("audience", f"{MOU}/indicators")
    assert said["readers"] == [
        {"member": "uslax", "name": "Port of Los Angeles", "clients": 1},
        {"member": "uslgb", "name": "Port of Long Beach", "clients": 1},
    ]
    (later,) = ask("audience", f"{MOU}/indicators", "--at", "2100-01-01")
    assert later["status"] == "expired"
    assert [one["clients"] for one in later["readers"]] == [0, 0], "their credentials have expired by then"
    assert "Port of Long Beach" in run("audience", f"{MOU}/indicators")[1]


def test_the_audience_of_an_object_says_from_whom_it_is_taken(ask: Ask, run: Run, tmp_path: Path) -> None:
    (tmp_path / "red.json").write_text(json.dumps(indicator(object_marking_refs=[RED])))
    (said,) = ask("audience", f"{MOU}/warnings", "--object", str(tmp_path / "red.json"))
    (one,) = said["objects"]
    assert one["taken_from"] == []
    assert {(each["member"], each["rule"]) for each in one["refused"]} == {
        ("uslax", "deny-publish-ceiling"),
        ("uslgb", "deny-publish-ceiling"),
    }
    _, out, _ = run("audience", f"{MOU}/indicators", "--object", str(SCENARIO / "indicators.json"))
    assert out.count("taken from uslax, uslgb") >= 10


def test_what_is_not_there_is_named_with_what_is(run: Run, tmp_path: Path) -> None:
    assert f"{MOU}/indicators" in run("why", "uslax", "read", f"{MOU}/nothing", code=3)[2]
    assert "Members are uslax, uslgb" in run("why", "jptyo", "read", f"{MOU}/indicators", code=3)[2]
    assert f"{MOU}/warnings" in run("audience", "nowhere", code=3)[2]
    missing = str(tmp_path / "missing.json")
    run("why", "uslax", "publish", f"{MOU}/warnings", "--object", missing, code=2)
    assert "--object" in run("why", "uslax", "read", f"{MOU}/warnings", "--object", missing, code=2)[2]


def test_a_hub_with_a_broken_rule_does_not_open_and_says_where(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(policies_dir(), tmp_path, dirs_exist_ok=True)
    with (tmp_path / "base" / "access.cedar").open("a") as file:
        file.write('\n@id("deny-x") @say("No.")\nforbid (principal is Membr, action, resource);\n')
    line = (tmp_path / "base" / "access.cedar").read_text().count("\n") - 1
    monkeypatch.setattr("lightship.wiring.hub.policies_dir", lambda: tmp_path)
    _, out, err = run("why", "uslax", "read", f"{MOU}/indicators", code=2)
    assert out == ""
    assert f"access.cedar:{line}: The rule does not fit the schema" in err
    assert "Membr" in err


def test_asking_writes_nothing(ask: Ask, run: Run) -> None:
    before = run("audit", "search", "--json")[1]
    ask("why", "uslax", "read", f"{MOU}/indicators")
    ask("audience", f"{MOU}/indicators")
    *after, searched = run("audit", "search", "--json")[1].splitlines(keepends=True)
    assert "".join(after) == before
    assert '"act":"read-audit"' in searched


def test_the_shipped_tables_pass_and_notice_every_wrong_rule_set(ask: Ask, run: Run) -> None:
    (said,) = ask("policy", "test", "--mutants")
    assert (said["ok"], said["failures"], said["survivors"]) == (True, [], [])
    assert said["mutants"] > 3 * said["rules"]
    _, out, _ = run("policy", "test", "--mutants")
    assert f"{said['cases']} cases: {said['cases']} pass" in out
    assert f"{said['mutants']} noticed" in out


def test_a_case_that_fails_ends_with_1(run: Run, ask: Ask, tmp_path: Path) -> None:
    table = (policies_dir() / "tests" / "access.toml").read_text()
    (tmp_path / "own.toml").write_text(table.replace('principal = "reader"', 'principal = "other/reader"', 1))
    err = run("policy", "test", str(tmp_path), code=1)[2]
    assert (
        "own.toml:45: the audience reads: expected allow by allow-audience-read, got deny by deny-outsider"
        in err
    )
    (said,) = ask("policy", "test", str(tmp_path), "--mutants", code=1)
    assert (said["ok"], len(said["failures"]), said["mutants"]) == (False, 1, 0)


def test_tables_that_do_not_notice_wrong_rules_end_with_1(run: Run, ask: Ask, tmp_path: Path) -> None:
    table = (policies_dir() / "tests" / "access.toml").read_text()
    (tmp_path / "own.toml").write_text("[[case]]".join(table.split("[[case]]")[:2]))
    (said,) = ask("policy", "test", str(tmp_path), "--mutants", code=1)
    assert (said["ok"], said["failures"], said["cases"]) == (False, [], 1)
    assert "without deny-unmarked" in said["survivors"]
    assert "without allow-audience-read" not in said["survivors"]
    assert "without deny-unmarked" in run("policy", "test", str(tmp_path), "--mutants", code=1)[2]


def test_the_rules_are_listed_with_their_sentences(ask: Ask, run: Run) -> None:
    listed = ask("policy", "rules")
    assert {one["effect"] for one in listed} == {"permit", "forbid"}
    assert all(one["say"] and one["file"].endswith(".cedar") and one["line"] for one in listed)
    assert "deny-unmarked: The object has no TLP marking" in run("policy", "rules")[1]
