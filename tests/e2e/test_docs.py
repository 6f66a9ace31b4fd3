"""The docs say what the code does: commands, settings, exit codes, JSON keys, and every option they use."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from lightship.cli import exits
from lightship.cli.command import Command, Group
from lightship.cli.main import cli
from reference_docs import DOCS, PAGES, commands, documented

ROOT = DOCS.parent
GUIDES = (
    *("publisher.md", "consumer.md", "auditor.md", "steward.md", "operations.md"),
    *("agreements.md", "policy.md"),
)
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_the_reference_is_that_of_the_code(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTSHIP_HUB", raising=False)
    assert (DOCS / page).read_text() == PAGES[page](), "run `python tests/reference_docs.py`"


def used() -> list[tuple[str, str]]:
    """Return (where, command line) of every use of `lightship` in the guides, the README and the help."""
    found = []
    for path in (ROOT / "README.md", *(DOCS / name for name in GUIDES)):
        for block in BLOCK.findall(path.read_text()):
            found += [(path.name, line) for line in block.splitlines() if "lightship " in line]
    for name, text in commands():
        examples = text.split("\n\n")[0].splitlines()[1:]
        found += [(name, line.strip()) for line in examples]
    return found


@pytest.mark.parametrize(("where", "line"), used())
def test_every_command_that_is_shown_exists_with_its_options(where: str, line: str) -> None:
    shown = next(part for part in line.split("|") if "lightship " in part)
    words = shlex.split(re.split(r" [<>] ", shown)[0])
    command, words = resolve(words[words.index("lightship") + 1 :])
    options = {opt for one in command.params for opt in one.opts}
    for word in words:
        if word.startswith("--"):
            assert word in options, f"{where}: {line}"
    assert not isinstance(command, Group) or not words


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    found: click.Command = cli
    while isinstance(found, Group) and words:
        child = found.get_command(click.Context(found), words[0])
        assert child is not None, words
        found, words = child, words[1:]
    return found, words


def test_every_command_is_in_the_json_reference() -> None:
    for name, _ in commands():
        command, _ = resolve(name.split()[1:])
        if isinstance(command, Command):
            assert documented(name.removeprefix("lightship "))


def test_the_exit_codes_are_those_of_the_code() -> None:
    text = (DOCS / "reference-json.md").read_text()
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", text, re.MULTILINE))
    for code, meaning in exits.MEANING.items():
        assert rows[str(code)] == meaning
    assert str(exits.INTERRUPTED) in rows


def test_the_guides_say_that_sharing_is_not_reporting() -> None:
    for path in (ROOT / "README.md", DOCS / "publisher.md"):
        text = re.sub(r"\s+", " ", path.read_text().replace(">", ""))
        for word in (
            "**not** reporting",
            "FBI, CISA and the Captain of the Port (33 CFR 6.16-1)",
            "33 CFR 101.620",
        ):
            assert word in text


def test_links_between_the_docs_lead_somewhere() -> None:
    for path in DOCS.glob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)[^)]*\)", path.read_text()):
            assert (Path(path.parent) / target).exists(), f"{path.name}: {target}"
