"""`why`, `audience` and `audit search` of the command line: on the hub's directory, and against it over TLS.

What a credential may ask is answered in the same words from both sides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hubkit import AGREEMENT, HubKit, Served, make_hub
from lightship.cli.main import execute
from lightship.client import Profile, save_profile
from reference_docs import documented
from stixsamples import indicator

MEMBERS = {
    "uslax": {},
    "uslgb": {},
    "watch": {"roles": ["joint-auditor"]},
    "reader": {"roles": ["consumer"]},
}
COLLECTION = f"{AGREEMENT}/indicators"
RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
Ask = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A hub on disk, served, with a profile for each member in a configuration directory of its own."""
    folder = tmp_path_factory.mktemp("asking")
    readers = ["uslax", "uslgb", "reader"]
    collections = {"indicators": {"ceiling": "amber", "red": "named", "audience": readers}}
    with make_hub(folder, "sqlite", MEMBERS, collections) as kit, kit.serve() as hub:
        for member in MEMBERS:
            name, secret = kit.credential(member)
            profile = Profile(member, hub.url, name, ca=hub.ca)
            save_profile(folder / "config" / "lightship", profile, secret, make_default=member == "uslgb")
        yield hub


@pytest.fixture
def kit(served: Served) -> HubKit:
    return served.kit


@pytest.fixture
def ask(served: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return what runs a command with `--json` and returns its documents; `code` is its exit code."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(served.kit.hub.dir.parent / "config"))
    monkeypatch.setenv("LIGHTSHIP_HUB", str(served.kit.hub.dir))
    monkeypatch.delenv("LIGHTSHIP_PROFILE", raising=False)

    def command(*arguments: str, code: int = 0) -> list[Any]:
        capsys.readouterr()
        done = execute([*arguments, "--json"])
        out, err = capsys.readouterr()
        assert done == code, out + err
        if code:
            assert not out
            return [json.loads(err.splitlines()[-1])["error"]]
        return [json.loads(line) for line in out.splitlines()]

    return command


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """One file that the collection takes, one that it does not."""
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(indicator()))
    bad.write_text(json.dumps({"objects": [indicator(), indicator(object_marking_refs=[RED])]}))
    return str(good), str(bad)


@pytest.mark.parametrize("action", ["read", "publish", "withdraw", "readAudit", "readJointAudit", "approve"])
@pytest.mark.parametrize("member", MEMBERS)
def test_why_says_the_same_from_both_sides(ask: Ask, member: str, action: str) -> None:
    here = ask("why", member, action, COLLECTION)
    there = ask("why", member, action, COLLECTION, "--profile", member)
    assert here == there
    assert set(there[0]) <= documented("why")


def test_me_is_who_asks(ask: Ask, kit: HubKit) -> None:
    (found,) = ask("why", "me", "publish", COLLECTION, "--remote")
    shown = found["member"], found["principal"], found["allowed"]
    assert shown == ("uslgb", kit.credential("uslgb")[0], True)


def test_why_of_objects_says_the_same_from_both_sides(ask: Ask, files: tuple[str, str]) -> None:
    for file, allowed in zip(files, ([True], [True, False]), strict=True):
        here = ask("why", "uslgb", "publish", COLLECTION, "--object", file)
        there = ask("why", "uslgb", "publish", COLLECTION, "--object", file, "--remote")
        assert here == there
        assert [one["allowed"] for one in here] == allowed
        assert set(there[0]) <= documented("why")


def test_the_audience_is_the_same_from_both_sides(ask: Ask, files: tuple[str, str]) -> None:
    assert ask("audience", COLLECTION) == ask("audience", COLLECTION, "--remote")
    (here,), (there,) = (
        ask("audience", COLLECTION, "--object", files[1], *more) for more in ((), ("--profile", "uslax"))
    )
    assert here["readers"] == there["readers"]
    assert set(there) <= documented("audience")
    for whole, own in zip(here["objects"], there["objects"], strict=True):
        assert (whole["receives"], whole["withheld"]) == (own["receives"], own["withheld"])
        assert ("uslax" in whole["taken_from"]) == (own["taken_from"] == ["uslax"])


def test_who_may_not_ask_is_refused(ask: Ask) -> None:
    (refused,) = ask("why", "uslax", "read", COLLECTION, "--profile", "reader", code=3)
    assert refused["rule"] == "deny-default"
    assert ask("why", "nobody", "read", COLLECTION, "--profile", "uslgb", code=3)[0]["code"] == "not-found"
    assert ask("audience", "elsewhere/indicators", "--remote", code=3)[0]["code"] == "not-found"
    assert ask("audit", "search", "--profile", "reader", code=3)[0]["rule"] == "deny-default"


def test_a_search_over_tls_is_the_search_of_the_directory_without_what_is_not_its_own(
    ask: Ask, served: Served
) -> None:
    for member in ("uslax", "uslgb", "reader"):
        with served.client(member) as client:
            assert client.get(served.kit.path("indicators", "objects/?limit=3")).status_code == 200
    filters = ("--action", "read-objects", "--agreement", AGREEMENT)
    here = ask("audit", "search", *filters)
    there = ask("audit", "search", *filters, "--profile", "watch")
    assert len(here) >= 3
    hidden = {"query": None, "address": None, "query_digest": "", "address_digest": ""}
    assert [{**one, **hidden} for one in here] == [{**one, **hidden} for one in there]
    assert {one["query"] for one in there} == {None}
    assert [one["query_digest"] for one in here] == [one["query_digest"] for one in there]
    own = ask("audit", "search", *filters, "--remote")
    assert own == [one for one in here if one["member"] == "uslgb"]
    assert set(own[0]) <= documented("audit search")


def test_who_got_an_object_from_both_sides(ask: Ask, served: Served) -> None:
    one, kit = indicator(), served.kit
    with served.client("uslgb") as client:
        assert client.post(kit.path("indicators", "objects/"), json={"objects": [one]}).status_code == 202
    with served.client("uslax") as client:
        assert client.get(kit.path("indicators", f"objects/{one['id']}/")).status_code == 200
    for more in ((), ("--profile", "watch"), ("--profile", "uslax")):
        (got,) = ask("audit", "search", "--object", one["id"], *more)
        assert (got["member"], got["act"]) == ("uslax", "read-object")
    assert ask("audit", "search", "--object", one["id"], "--remote") == []


def test_a_long_search_goes_on_page_after_page(
    ask: Ask, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightship.client.asking.PAGE", 2)
    with served.client("reader") as client:
        for _ in range(7):
            client.get("/taxii2/")
    filters = ("--member", "reader", "--action", "discover")
    found = ask("audit", "search", *filters, "--profile", "watch")
    assert len(found) >= 7
    assert len({one["req"] for one in found}) == len(found)
    assert len(ask("audit", "search", *filters, "--profile", "watch", "--limit", "5")) == 5


def test_reading_the_log_leaves_an_event_on_both_sides(ask: Ask) -> None:
    ask("audit", "search", "--member", "uslax", "--agreement", AGREEMENT)
    ask("audit", "search", "--member", "uslax", "--profile", "watch")
    found = ask("audit", "search", "--action", "read-audit", "--agreement", AGREEMENT)
    steward, joint = found[-2:]
    shown = steward["credential"], steward["query"], steward["rule"]
    assert shown == ("steward", "member=uslax", "steward")
    assert (joint["member"], joint["rule"]) == ("watch", "allow-joint-audit")


def test_what_takes_incident_content_says_that_sharing_is_not_reporting(
    ask: Ask, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("why", "uslgb", "publish", COLLECTION), ("audience", COLLECTION)):
        for more in ((), ("--remote",)):
            assert execute([*words, "--object", files[0], *more]) == 0
            assert "NOT reporting" in capsys.readouterr().err


def test_plain_words_for_people(ask: Ask, files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["audience", COLLECTION, "--object", files[1], "--remote"]) == 0
    out = capsys.readouterr().out
    assert "taken from uslgb" in out
    assert "taken from nobody" in out
    assert "(deny-publish-ceiling)" in out
    assert execute(["why", "me", "readAudit", COLLECTION, "--remote"]) == 0
    assert capsys.readouterr().out.startswith("allowed: me readAudit")
    assert execute(["audit", "search", "--remote", "--action", "read-why"]) == 0
    assert "allow-member-list" in capsys.readouterr().out
    assert execute(["why", "me", "read", COLLECTION, "--remote", "--at", "2028-01-01"]) == 2
