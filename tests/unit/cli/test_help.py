"""Every command shows examples first, takes `--json`, and starts without loading what it does not need."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from lightship.cli.command import Command, Group
from lightship.cli.main import COMMANDS, cli, execute
from lightship.usecases.product_settings import PRODUCTS


def walk(command: click.Command, name: str = "lightship") -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from walk(found, f"{name} {child}")


ALL = dict(walk(cli))
LEAVES = {name: one for name, one in ALL.items() if not isinstance(one, Group)}


def help_of(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert execute([*name.split()[1:], "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ALL)
def test_help_begins_with_examples_that_name_the_command(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(name, capsys)
    first, second, *_ = text.splitlines()
    assert first == "Examples:"
    assert name in second or name.split()[-1] in second
    assert max(map(len, text.splitlines())) <= 130


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_prints_json_on_demand(name: str) -> None:
    options = {opt for one in LEAVES[name].params for opt in one.opts}
    assert "--json" in options
    assert isinstance(LEAVES[name], Command)


@pytest.mark.parametrize("name", ALL)
def test_every_option_is_explained(name: str) -> None:
    for one in ALL[name].params:
        if isinstance(one, click.Option) and not isinstance(one.type, click.Choice):
            assert one.help or one.opts == ["--limit"], one.opts


@pytest.mark.parametrize("name", COMMANDS)
def test_the_kept_line_of_a_command_is_the_one_of_its_help(name: str) -> None:
    known = cli.get_command(click.Context(cli), name)
    assert known is not None
    said = (known.help or "").split("\n\n")[0].replace("\n", " ")
    kept = COMMANDS[name][1]
    assert kept.split()[0] == said.split()[0] or set(kept.lower().split()) & set(said.lower().split())


def test_no_option_takes_a_secret_as_its_value() -> None:
    for command in ALL.values():
        for one in command.params:
            names = {opt.strip("-") for opt in one.opts}
            secret = names & {"secret", "password", "token", "key"}
            assert not secret or one.metavar == "KEYID"  # the id of a key is public


def test_the_products_are_those_that_settings_are_known_for() -> None:
    from lightship.cli.credential import PRODUCTS as OFFERED

    assert sorted(OFFERED) == sorted(PRODUCTS)


def test_help_loads_no_server_no_store_and_no_http_client() -> None:
    code = (
        "import sys, json\nfrom lightship.cli.main import execute\nexecute(['--help'])\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    heavy = {"apsw", "cryptography", "fastapi", "httpx2", "pydantic", "uvicorn", "jsonschema_rs", "orjson"}
    assert not loaded & heavy


def test_an_unknown_command_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["frobnicate"]) == 2
    assert "No such command" in capsys.readouterr().err
