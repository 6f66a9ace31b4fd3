"""What commands print: JSON or plain lines on stdout; notices, progress and errors on stderr.

Colour only on a terminal and never with NO_COLOR. Never prints a secret except where a command is there to
show a new one once.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unicodedata import category

import click

from lightship.core.errors import LightshipError


def dumps(value: object) -> str:
    """Return one line of JSON; what is no text in a name of a file is written as `\\udcXX`."""
    import orjson

    try:
        return orjson.dumps(value).decode()
    except TypeError:  # orjson takes no lone surrogate, which is how Python reads names that are not UTF-8
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode(errors="backslashreplace").decode()


def plain(text: str) -> str:
    """Return text of somebody else's as it can stand in a line: it moves no cursor and begins no new line."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or category(one) == "Zs" else ascii(one)[1:-1] for one in text)


def print_json(value: object) -> None:
    """Print one JSON document on one line, so that lists of documents are NDJSON."""
    click.echo(dumps(value))


def named(versions: Iterable[tuple[str, str, str]]) -> list[dict[str, str]]:
    """Return (id, version, message) of objects as every command prints them with `--json`."""
    return [{"id": one, "version": version, "message": message} for one, version, message in versions]


def print_rows(rows: Sequence[Sequence[str]], head: Sequence[str]) -> None:
    """Print a table in columns; nothing at all without rows."""
    if not rows:
        return
    lines = [[plain(str(cell)) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[n]) for row in lines) for n in range(len(head))]
    for number, row in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(style(text, bold=True) if number == 0 else text)


def say(text: str) -> None:
    """Print a notice on stderr, of one line or several."""
    click.echo("\n".join(map(plain, text.split("\n"))), err=True)


def style(text: str, *, err: bool = False, **look: Any) -> str:
    """Return text with terminal looks, where they are wanted."""
    stream = sys.stderr if err else sys.stdout
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return click.style(text, **look)


def explain(error: LightshipError, *, as_json: bool) -> None:
    """Print an error on stderr: what happened, why, what to do."""
    if as_json:
        body: dict[str, Any] = {"code": error.code, "title": error.title, "why": error.why}
        body |= {"todo": error.todo, "details": error.details}
        rule = getattr(error, "rule", "")
        click.echo(dumps({"error": body | ({"rule": rule} if rule else {})}), err=True)
        return
    click.echo(style("Error: ", err=True, fg="red", bold=True), nl=False, err=True)
    say(str(error))


def ask_secret(prompt: str) -> str:
    """Return a secret: the first line of stdin, asked for without echo on a terminal."""
    if sys.stdin.isatty():
        return str(click.prompt(prompt, hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


@contextmanager
def progress(label: str, length: int | None) -> Iterator[Callable[[int], None]]:
    """Yield a function that counts n further steps on stderr: a bar, or a number where the end is not known.

    Silent where stderr is no terminal.
    """
    if not sys.stderr.isatty():
        yield lambda n: None
    elif length is None:
        done = 0
        with stages() as show:

            def count(n: int) -> None:
                nonlocal done
                done += n
                show(f"{label} {done:,}", 0, 0)

            yield count
    else:
        with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
            yield bar.update


def listing(items: Mapping[str, str]) -> None:
    """Print names and values in two columns."""
    width = max((len(name) for name in items), default=0)
    for name, value in items.items():
        click.echo(f"{name.ljust(width)}  {'-' if value in {'', 'None'} else plain(value)}")


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function (what, done, total) that keeps one line on stderr; silent where it is no terminal."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return

    def show(what: str, done: int, total: int) -> None:
        share = f"{100 * done // total:3d}%" if total else ""
        click.echo(f"\r\x1b[2K{what} {share}", nl=False, err=True)

    try:
        yield show
    finally:
        click.echo("\r\x1b[2K", nl=False, err=True)


@contextmanager
def counting(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function (done, of all) that keeps a line on stderr with the speed and the time that is left.

    Silent where stderr is no terminal, and for work that takes less than a second.
    """
    begun, start, shown = time.monotonic(), -1, 0.0
    with stages() as show:

        def count(done: int, total: int) -> None:
            nonlocal start, shown
            moment = time.monotonic()
            start = done if start < 0 else start
            if moment - shown < 0.2 or moment - begun < 1:
                return
            shown = moment
            speed = (done - start) / (moment - begun)
            left = f", {(total - done) / speed:,.0f} s left" if speed > 0 else ""
            show(f"{label}: {done:,} of {total:,}, {speed:,.0f} a second{left}", done, total)

        yield count
