"""Changing an agreement on the command line while the hub serves: refused and named, or in force at once."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import apsw
import httpx2
import pytest

from hubkit import HubKit, Served, agreement_text, make_hub
from lightship.cli.main import execute
from lightship.client.profiles import write_private
from lightship.core.agreement.chain import key_text
from lightship.keys.hub_key import load_hub_key
from reference_docs import documented
from stixsamples import indicator

RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
MEMBERS = ("uslax", "uslgb")
WIDER = (*MEMBERS, "jptyo")
BAN = """\
// For a week.
@id("rule-no-posts")
@say("`{member}` posts nothing to `{collection}` this week.")
forbid (principal is Member, action == Action::"publish", resource)
when { principal.group == "port-authority" };
"""


@pytest.fixture(name="kit")
def _kit(tmp_path: Path) -> Iterator[HubKit]:
    with make_hub(tmp_path, store="sqlite", members=MEMBERS) as kit:
        yield kit


@pytest.fixture(name="served")
def _served(kit: HubKit) -> Iterator[Served]:
    with kit.serve() as served:
        yield served


def write(kit: HubKit, members: tuple[str, ...], rules: str = "", **keys: Any) -> Path:
    """Write the agreement's files as somebody who edits them would."""
    text = agreement_text(
        kit.agreement,
        key_text(load_hub_key(kit.hub.dir).public),
        members,
        {"indicators": keys},
        kit._ids(kit.agreement),
    )
    path = kit.hub.dir / "agreements" / kit.agreement / "agreement.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.with_name("rules.cedar").write_text(rules)
    return path


def lightship(kit: HubKit, *arguments: str, code: int = 0) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        returned = execute([*arguments, "--hub", str(kit.hub.dir)])
    assert returned == code, f"{returned}: {out.getvalue()}{err.getvalue()}"
    return out.getvalue(), err.getvalue()


def told(kit: HubKit, *arguments: str, code: int = 0) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(lightship(kit, *arguments, "--json", code=code)[0])
    assert set(value) <= documented(" ".join(arguments[:2]))
    return value


def post(kit: HubKit, client: httpx2.Client, one: Mapping[str, Any]) -> httpx2.Response:
    return client.post(kit.path("indicators", "objects/"), json={"objects": [one]})


def ids(kit: HubKit, client: httpx2.Client) -> list[str]:
    answer = client.get(kit.path("indicators", "objects/"))
    assert answer.status_code == 200
    return [one["id"] for one in answer.json().get("objects", [])]


def test_a_change_that_red_forbids_is_refused_named_and_can_withdraw_it(kit: HubKit, served: Served) -> None:
    one = indicator(object_marking_refs=[RED])
    with served.client("uslgb") as long_beach, served.client("uslax") as los_angeles:
        assert post(kit, long_beach, one).json()["success_count"] == 1
        write(kit, WIDER)
        found = told(kit, "agreement", "check", "exercise", code=1)
        assert found["ok"] is False
        assert found["members_gained"] == ["jptyo"]
        assert found["forbidden"]["total"] == 1
        (named,) = found["forbidden"]["objects"]
        assert (named["object_id"], named["members"], named["rule"]) == (
            one["id"],
            ["jptyo"],
            "deny-receive-red",
        )
        assert "jptyo" in named["why"]
        said, wrong = lightship(kit, "agreement", "apply", "exercise", code=3)
        assert one["id"] in said
        assert "stays as it is" in said
        assert "deny-receive-red" in said
        assert "withdraw" in wrong
        refused = told(kit, "agreement", "apply", "exercise", code=3)
        assert (refused["ok"], refused["applied"]) == (False, False)
        assert told(kit, "agreement", "show", "exercise")["version"] == 1
        assert ids(kit, los_angeles) == [one["id"]]
        write(kit, WIDER, withdraw=[one["id"]])
        applied = told(kit, "agreement", "apply", "exercise")
        assert applied["withdrawn"] == [{"collection": "indicators", "object_id": one["id"], "versions": 1}]
        assert ids(kit, los_angeles) == []
        kit.mint("jptyo", "desk")
        with served.client("jptyo/desk") as tokyo:
            assert ids(kit, tokyo) == []
        (failure,) = post(kit, long_beach, one).json()["failures"]
        assert "deny-withdrawn" in failure["message"]


def test_rules_of_its_own_refuse_at_once_say_why_and_are_shown(kit: HubKit, served: Served) -> None:
    with served.client("uslgb") as client:
        assert post(kit, client, indicator()).status_code == 202
        write(kit, MEMBERS, BAN)
        applied = told(kit, "agreement", "apply", "exercise")
        assert applied["rules"][0].startswith("rule `rule-no-posts` is new")
        answer = post(kit, client, indicator())
        assert answer.status_code == 403
        assert answer.json()["details"]["rule"] == "rule-no-posts"
        assert "`uslgb` posts nothing to `indicators` this week" in answer.text
        assert len(ids(kit, client)) == 1
        asked = json.loads(lightship(kit, "why", "uslgb", "publish", "exercise/indicators", "--json")[0])
        assert (asked["allowed"], asked["rule"]) == (False, "rule-no-posts")
        assert told(kit, "agreement", "show", "exercise")["rules"] == BAN
        assert BAN in lightship(kit, "agreement", "show", "exercise")[0]
        write(kit, MEMBERS)
        assert told(kit, "agreement", "apply", "exercise")["rules"][0].startswith(
            "rule `rule-no-posts` is removed"
        )
        assert post(kit, client, indicator()).status_code == 202


def test_a_broken_rule_file_is_refused_with_its_line_and_the_rules_in_force_stay(
    kit: HubKit, served: Served
) -> None:
    write(kit, MEMBERS, BAN)
    lightship(kit, "agreement", "apply", "exercise")
    path = write(kit, MEMBERS, BAN.replace("forbid (", "forbid ((")).with_name("rules.cedar")
    found = told(kit, "agreement", "check", "exercise", code=1)
    assert found["ok"] is False
    (problem,) = found["problems"]
    assert (problem["file"], problem["line"]) == (str(path), 2)
    assert problem["todo"]
    _, wrong = lightship(kit, "agreement", "apply", "exercise", code=2)
    assert f"{path}:2: " in wrong
    with served.client("uslgb") as client:
        assert post(kit, client, indicator()).json()["details"]["rule"] == "rule-no-posts"


def test_a_new_agreement_takes_the_rules_of_what_it_starts_from(kit: HubKit, tmp_path: Path) -> None:
    write(kit, MEMBERS, BAN)
    source = tmp_path / "reviewed"
    shutil.copytree(kit.hub.dir / "agreements" / "exercise", source)
    text = (source / "agreement.toml").read_text()
    for one in kit.hub.directory.view().agreements["exercise"].collections:
        text = text.replace(f'id = "{one.id}"\n', "")
    (source / "agreement.toml").write_text(text)
    lightship(kit, "agreement", "new", "twin", "--from", str(source / "agreement.toml"))
    assert told(kit, "agreement", "apply", "twin")["rules"][0].startswith("rule `rule-no-posts` is new")
    lightship(kit, "agreement", "new", "plain", "--from", "exercise")
    assert told(kit, "agreement", "check", "plain")["rules"] == []


def test_status_says_first_that_an_agreement_has_ended(
    kit: HubKit, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    user, secret = kit.credential("uslax")
    write_private(tmp_path / "secret", secret)
    told_by = ["--ca-file", str(served.ca), "--secret-file", str(tmp_path / "secret")]
    assert execute(["login", served.url, "--user", user, *told_by]) == 0
    path = write(kit, MEMBERS)
    path.write_text(f"ended = true\n{path.read_text()}")
    lightship(kit, "agreement", "apply", "exercise")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert execute(["status"]) == 0
    assert "The agreement exercise has ended: nothing can be read or published" in out.getvalue()


def test_stored_rules_that_are_not_the_signed_ones_are_found_and_not_served(kit: HubKit) -> None:
    write(kit, MEMBERS, BAN)
    lightship(kit, "agreement", "apply", "exercise")
    lightship(kit, "fsck")
    with contextlib.closing(apsw.Connection(str(kit.hub.dir / "data" / "hub.db"))) as db:
        db.execute("UPDATE agreement SET rules = x'' WHERE version = 2")
    assert "rules" in lightship(kit, "fsck", code=1)[0]
    _, said = lightship(kit, "agreement", "show")
    assert "exercise is not served" in said
    assert "not the signed ones" in said
