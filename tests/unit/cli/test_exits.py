"""Exit codes: every error of the tree has one, and errors read the same as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import lightship.client.errors
from lightship.cli import exits
from lightship.cli.main import cli, execute
from lightship.core import errors


def tree(kind: type[errors.LightshipError]) -> Iterator[type[errors.LightshipError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


@pytest.mark.parametrize(
    "kind", [one for one in tree(errors.LightshipError) if one is not errors.LightshipError]
)
def test_every_error_has_a_code_of_its_own_or_its_parents(kind: type[errors.LightshipError]) -> None:
    made = kind.__new__(kind)
    assert exits.code_of(made) in exits.MEANING
    assert exits.code_of(made) != exits.OK


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Refused("no", rule="deny-author"), 3),
        (errors.NotAuthenticated("no"), 3),
        (errors.NotFound("no"), 3),
        (errors.MalformedRequest("no"), 2),
        (errors.BadFile("no", path="x"), 2),
        (errors.StewardError("no"), 2),
        (errors.Damaged("no"), 1),
        (errors.Unavailable("no"), 4),
        (lightship.client.errors.NoProfile("no"), 2),
        (lightship.client.errors.Unreachable("no"), 4),
        (lightship.client.errors.NotTrusted("no"), 4),
    ],
)
def test_the_codes_that_scripts_rely_on(error: errors.LightshipError, code: int) -> None:
    assert exits.code_of(error) == code


def test_an_error_says_what_why_and_what_to_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert execute(["credential", "list", "--hub", str(tmp_path / "none")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error: There is no hub in")
    assert "lightship init" in said.err


def test_an_error_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert execute(["credential", "list", "--hub", str(tmp_path / "none"), "--json"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert set(error) == {"code", "title", "why", "todo", "details"}
    assert error["code"] == "steward-error"


def test_a_refusal_as_json_names_its_rule(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise errors.Refused("no", rule="deny-default")

    monkeypatch.setattr(cli, "main", refuse)
    assert execute(["version", "--json"]) == 3
    assert json.loads(capsys.readouterr().err)["error"]["rule"] == "deny-default"


def test_no_profile_is_said_with_the_command_that_makes_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for command in (
        ["status"],
        ["pull", "a/b"],
        ["publish", "-", "--to", "a/b"],
        ["status", "--profile", "x"],
    ):
        assert execute(command) == 2, command
        assert "lightship login" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url", ["http://hub.example", "ftp://hub.example", "https://hub.example:x", "https://[::1"]
)
def test_an_address_that_no_hub_can_have_is_wrong_use_not_unreachable(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import io

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO("ls1_x\n"))
    assert execute(["login", url, "--user", "uslax-x"]) == 2
    assert "Write it as https://hub.example" in capsys.readouterr().err
    assert not (tmp_path / "lightship").exists()


def test_a_hub_that_is_not_there_is_unreachable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import io

    import lightship.client.connection as connection
    from livehub import free_port

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO("ls1_x\n"))
    monkeypatch.setattr(connection.Limits, "__init__", _quick(connection.Limits.__init__))
    code = execute(["login", f"https://localhost:{free_port()}", "--user", "uslax-x"])
    assert code == 4
    assert "cannot be reached" in capsys.readouterr().err
    assert not (tmp_path / "lightship").exists()


def _quick(init: object) -> object:
    def make(self: object) -> None:
        init(self, attempts=1)  # type: ignore[operator] # the dataclass's own __init__

    return make


def test_nothing_is_asked_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import io

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert execute(["login", "https://hub.example", "--user", "uslax-x"]) == 2
    assert "No secret was given" in capsys.readouterr().err
