"""Writes docs/reference-commands.md and docs/reference-settings.md from the code; a test compares them.

Run it to renew them: `python tests/reference_docs.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import click

from lightship.cli.command import Group
from lightship.cli.exits import MEANING
from lightship.cli.main import cli
from lightship.settings import FILE, Settings

DOCS = Path(__file__).resolve().parents[1] / "docs"
RENEW = "<!-- Made by `python tests/reference_docs.py`; a test compares it with the code. -->"


def commands(command: click.Command = cli, name: str = "lightship") -> Iterator[tuple[str, str]]:
    """Yield (name, help text) of a command and all below it."""
    context = click.Context(
        command, info_name=name, terminal_width=100, help_option_names=["-h", "--help"], max_content_width=100
    )
    yield name, command.get_help(context)
    if isinstance(command, Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from commands(found, f"{name} {child}")


def commands_page() -> str:
    """Return the reference of commands."""
    parts = ["# Commands", RENEW]
    parts.append("Exit codes: " + ", ".join(f"{code} {text}" for code, text in MEANING.items()) + ".")
    parts.append("Every command takes `--json`; see [JSON output](reference-json.md).")
    parts += [f"## {name}\n\n```text\n{text.rstrip()}\n```" for name, text in commands()]
    return "\n\n".join(parts) + "\n"


def settings_page() -> str:
    """Return the reference of settings."""
    rows = [
        f"| `{name}` | `LIGHTSHIP_{name.upper()}` | `{field.default}` | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            RENEW,
            "",
            f"They stand in `{FILE}` of the hub's directory. An environment variable wins over the file,",
            "the file over the default. Sizes are bytes, times seconds; paths may be relative to the hub's",
            "directory. An unknown key is an error. `lightship doctor --hub DIR` shows what is in effect. A",
            "running hub reads them at its next start; a renewed certificate is taken up at once.",
            "",
            "| key | environment | default | what it is |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def documented(command: str) -> set[str]:
    """Return the JSON keys that docs/reference-json.md names for a command, by reference too."""
    text = (DOCS / "reference-json.md").read_text(encoding="utf-8")
    found = re.search(rf"^\| `{re.escape(command)}` \| (.*) \|$", text, re.MULTILINE)
    assert found is not None, f"{command} is not in the reference"
    names = set(re.findall(r"`([^`]+)`", found[1]))
    for other in re.findall(r"as `([a-z ]+)`", found[1]):
        names = names - {other} | documented(other)
    return names


PAGES = {"reference-commands.md": commands_page, "reference-settings.md": settings_page}

if __name__ == "__main__":
    os.environ["NO_COLOR"] = "1"
    for page, make in PAGES.items():
        (DOCS / page).write_text(make(), encoding="utf-8")
