"""How every command looks: examples first in its help, `--json`, `--hub`; and groups that load on use."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

F = TypeVar("F", bound=Callable[..., Any])
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

REPORTING = (
    "Sharing on the hub is NOT reporting. An actual or threatened cyber incident goes at once to the FBI, "
    "CISA and the Captain of the Port (33 CFR 6.16-1), or to the National Response Center (33 CFR 101.620)."
)
"""Said by every command that takes incident content."""


class Command(click.Command):
    """A command whose help begins with examples."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", CONTEXT)
        super().__init__(*args, **kwargs)
        self.examples = tuple(line.strip() for line in examples.strip().splitlines())

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then what click writes."""
        write_examples(self.examples, formatter)
        super().format_help(ctx, formatter)


class Group(click.Group):
    """A group with examples; its members may be given as `module:attribute`, imported on first use.

    Args:
        lazy: name -> (`module:attribute`, one line of help), so that the list needs no import.
    """

    command_class = Command

    def __init__(
        self,
        *args: Any,
        examples: str = "",
        lazy: Mapping[str, tuple[str, str]] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("context_settings", CONTEXT)
        super().__init__(*args, **kwargs)
        self.examples = tuple(line.strip() for line in examples.strip().splitlines())
        self.lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order they were given: the order in which people need them."""
        return [*self.lazy, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing its module now."""
        if cmd_name in self.lazy:
            module, _, attribute = self.lazy[cmd_name][0].partition(":")
            found: click.Command = getattr(importlib.import_module(module), attribute)
            return found
        return super().get_command(ctx, cmd_name)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then what click writes."""
        write_examples(self.examples, formatter)
        super().format_help(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List lazy commands by their kept line, without importing them."""
        if not self.lazy:
            super().format_commands(ctx, formatter)
            return
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])


def write_examples(examples: tuple[str, ...], formatter: click.HelpFormatter) -> None:
    """Write the section of examples, one a line, never wrapped."""
    if examples:
        formatter.write("Examples:\n")
        formatter.write("".join(f"  {line}\n" for line in examples) + "\n")


def together(name: str, shape: type, *options: Callable[[F], F]) -> Callable[[F], F]:
    """Add options whose values a command takes as one.

    Args:
        name: of the command's argument.
        shape: a dataclass; an option's value goes into its field of the same name.
        options: in the order of the help.
    """

    def add(function: F) -> F:
        @wraps(function)
        def gathered(**values: Any) -> Any:
            one = shape(**{field.name: values.pop(field.name) for field in fields(shape)})
            return function(**values, **{name: one})

        found: Any = gathered
        for option in reversed(options):
            found = option(found)
        return cast(F, found)

    return add


def json_option(function: F) -> F:
    """Add `--json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON; see the reference for its shape."
    )(function)


def hub_option(function: F) -> F:
    """Add `--hub DIR`, default `$LIGHTSHIP_HUB`, else `./hub`."""
    return click.option(
        "--hub",
        "hub_dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("hub"),
        envvar="LIGHTSHIP_HUB",
        show_default="$LIGHTSHIP_HUB, else ./hub",
        help="The hub's directory.",
    )(function)


def profile_option(function: F) -> F:
    """Add `--profile NAME`, default `$LIGHTSHIP_PROFILE`, else the one that `login` made the default."""
    return click.option(
        "--profile",
        "profile_name",
        default="",
        envvar="LIGHTSHIP_PROFILE",
        show_default="$LIGHTSHIP_PROFILE, else the last login",
        help="Which hub and credential (see `lightship login`).",
    )(function)
