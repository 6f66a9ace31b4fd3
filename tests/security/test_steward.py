"""The steward runs a hub and reads no content by default: no command on its directory shows any unseen.

Every command that takes `--hub` is run on a hub that holds objects with telling words, live, withdrawn and
waiting for their release. None of the words may be printed; where content goes into a file, an access event
says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lightship.cli.command import Group
from lightship.cli.main import cli, execute
from lightship.client import publish_key
from lightship.core.agreement.chain import key_text
from lightship.wiring import make_app, open_hub
from stixsamples import Stix, indicator, sharing_terms
from taxiiprobe import Driver, Party

NEEDLES = ("Needle in the name", "needle.example", "needle of a description")
AGREEMENT = "exercise"
COLLECTION = f"{AGREEMENT}/indicators"
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"

COMMANDS: dict[str, tuple[list[str], str]] = {
    "agreement apply": ([AGREEMENT], ""),
    "agreement check": ([AGREEMENT], ""),
    "agreement new": (["second", "--member", "USSFO", "--member", "USOAK"], ""),
    "agreement show": ([AGREEMENT], ""),
    "agreement suspend": (
        [AGREEMENT, "--member", "uslax", "--hours", "1", "--reason", "a test", "--yes"],
        "suspend",
    ),
    "agreement resume": ([AGREEMENT, "--member", "uslax"], "resume"),
    "audience": ([COLLECTION], ""),
    "audit export": ([AGREEMENT, "--out", "{new}"], "audit-export"),
    "audit retire": (["2001"], ""),
    "audit search": (["--member", "uslgb"], "read-audit"),
    "backup": (["{new}"], "backup"),
    "collection list": ([], ""),
    "collection show": ([COLLECTION], ""),
    "collection vouch": ([COLLECTION], ""),
    "credential list": ([], ""),
    "credential mint": ([AGREEMENT, "uslgb/other"], "credential-mint"),
    "credential revoke": (["uslgb-other"], "credential-revoke"),
    "credential rotate": (["uslgb-tool"], "credential-rotate"),
    "doctor": ([], ""),
    "fsck": ([], ""),
    "migrate": ([], ""),
    "roster apply": (["{roster}"], "apply-roster"),
    "roster trace": ([AGREEMENT, "0" * 64], ""),
    "restore": (["{archive}", "--force"], ""),
    "staged cancel": ([COLLECTION, "{waiting}"], "cancel-staged"),
    "staged list": ([COLLECTION], ""),
    "why": (["uslgb", "read", COLLECTION], ""),
}
"""Command -> its arguments, and the act of the event that it leaves."""
MADE_NEW = {"init", "run", "serve"}
"""They make a hub of their own, or only begin to serve."""


def hub_commands(command: click.Command = cli, name: str = "") -> Iterator[str]:
    """Yield the commands that act on a hub's directory."""
    if isinstance(command, Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from hub_commands(found, f"{name} {child}".strip())
    elif "--hub" in {option for one in command.params for option in one.opts}:
        yield name


def telling(*terms: str) -> Stix:
    """Return an object full of words to look for."""
    name, host, description = NEEDLES
    pattern = f"[domain-name:value = '{host}']"
    refs = [GREEN, *terms]
    return indicator(name=name, pattern=pattern, description=description, object_marking_refs=refs)


def signed_roster(hub_dir: Path, folder: Path) -> Path:
    """Return a member's roster, its admin key being in the agreement."""
    admin, out = folder / "admin.key", folder / "roster.json"
    key = key_text(publish_key.generate(admin).public)
    file = hub_dir / "agreements" / AGREEMENT / "agreement.toml"
    table = "[members.uslgb]\n"
    file.write_text(file.read_text().replace(table, f'{table}admin_key = "{key}"\n'))
    assert execute(["agreement", "apply", AGREEMENT, "--hub", str(hub_dir)]) == 0
    hub = open_hub(hub_dir)
    first = hub.registry.chain(AGREEMENT)[0].digest
    hub.close()
    words = ["--admin-key", str(admin), "--agreement", AGREEMENT, "--first", first, "--member", "uslgb"]
    assert execute(["roster", "sign", *words, "--add", key, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def steward(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A hub's directory with objects in it, and the names that commands need."""
    folder = tmp_path_factory.mktemp("steward")
    hub_dir, secret = folder / "hub", folder / "secret"
    for words in (
        ["init", "--public-url", "https://localhost:9443"],
        ["agreement", "new", AGREEMENT, "--from", AGREEMENT],
        ["agreement", "apply", AGREEMENT],
        ["credential", "mint", AGREEMENT, "uslgb/tool", "--out", str(secret)],
    ):
        assert execute([*words, "--hub", str(hub_dir)]) == 0
    roster = signed_roster(hub_dir, folder)
    gone, terms = telling(), sharing_terms(AGREEMENT, release_at="2098-01-01T00:00:00Z")
    waiting = telling(terms["id"])
    hub = open_hub(hub_dir)
    driver = Driver(make_app(hub))
    found = hub.directory.view().collection(AGREEMENT, "indicators")
    assert found is not None
    lgb = Party(
        driver,
        f"Bearer {secret.read_text().strip()}",
        f"/{AGREEMENT}/collections/{found.id}/",
    )
    lgb.publish(telling(), gone, terms, waiting)
    lgb.withdraw(gone["id"]).ok()
    assert NEEDLES[0] in lgb.objects("match[type]=indicator").body.decode()
    driver.close()
    hub.close()
    archive = folder / "archive.tar"
    assert execute(["backup", str(archive), "--hub", str(hub_dir)]) == 0
    names = {"hub": hub_dir, "archive": archive, "waiting": waiting["id"]}
    names |= {"folder": folder, "roster": roster}
    return {name: str(value) for name, value in names.items()}


def test_every_command_on_a_hub_has_its_line() -> None:
    assert set(hub_commands()) == set(COMMANDS) | MADE_NEW


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_on_a_hub_shows_no_content(
    steward: dict[str, str], command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments, act = COMMANDS[command]
    for form in ("json", "plain"):
        new = Path(steward["folder"]) / f"{command.replace(' ', '-')}-{form}"
        words = [one.format(**steward, new=new) for one in arguments]
        before = acts(steward, capfd)
        more = ["--json"] if form == "json" else []
        code = execute([*command.split(), *words, "--hub", steward["hub"], *more])
        out, err = capfd.readouterr()
        refused = command in NOTHING_TO_DO or (form == "plain" and command in ONCE)
        assert (code == 0) != refused, out + err
        for needle in NEEDLES:
            assert needle not in out + err
        if act and form == "json":
            assert acts(steward, capfd)[len(before) :][:1] == [act]


NOTHING_TO_DO = {"audit retire"}
"""No log of this hub is old enough."""
ONCE = {
    "agreement new",
    "agreement suspend",
    "agreement resume",
    "credential mint",
    "roster apply",
    "staged cancel",
}
"""They are refused the second time."""


def acts(steward: dict[str, str], capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return the acts in the access log, but for the looks of this test itself."""
    assert (
        execute(["audit", "search", "--hub", steward["hub"], "--json", "--limit", "100000", "--action", ""])
        == 0
    )
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    return [one["act"] for one in found if one["query"] or one["act"] != "read-audit"]


def test_no_events_tell_content_to_the_steward_either(
    steward: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    acts(steward, capfd)
    execute(["audit", "search", "--hub", steward["hub"], "--json"])
    out = capfd.readouterr().out
    assert "publish" in out
    for needle in NEEDLES:
        assert needle not in out
