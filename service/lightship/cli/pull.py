"""`lightship pull`: a collection, or what is new in it, as NDJSON or a bundle; the place kept in a file."""

from __future__ import annotations

import os
import stat
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from lightship.cli import exits
from lightship.cli.command import Command, json_option, profile_option, together
from lightship.cli.output import dumps, progress, say
from lightship.cli.remote import client_of, profile_of
from lightship.cli.verified import Checks, pull_verified, verifying_options
from lightship.core.time import format_stamp, parse_added_after

if TYPE_CHECKING:
    from lightship.client import Client, Cursor
    from lightship.client.pulling import Object


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a collection are asked for, and how many at a time; nothing given: all, the latest."""

    since: str
    limit: int | None
    page: int | None
    types: tuple[str, ...]
    all_versions: bool

    @property
    def partial(self) -> bool:
        """Whether something is left out that a log could not account for."""
        return bool(self.since or self.limit or self.types)

    @property
    def match(self) -> dict[str, str]:
        """The filters as TAXII has them."""
        match = {"type": ",".join(self.types)} if self.types else {}
        return match | ({"version": "all"} if self.all_versions else {})


_select = together(
    "selection",
    Selection,
    click.option("--since", default="", help="Only what was added after this time; not with a kept --state."),
    click.option("--limit", type=click.IntRange(1), help="Stop after so many objects."),
    click.option("--page", type=click.IntRange(1), help="Objects a request; else the hub's default."),
    click.option("--type", "types", multiple=True, help="Only objects of this type; may be repeated."),
    click.option("--all-versions", is_flag=True, help="Every version of each object, not only the latest."),
)


@click.command(
    cls=Command,
    examples="""
    lightship pull la-lb-mou/indicators --state pull.state --out indicators.ndjson
    lightship pull la-lb-mou/indicators --format bundle --out indicators.json
    lightship pull la-lb-mou/indicators --verify --state verified.state --out indicators.ndjson
    lightship pull la-lb-mou/indicators --since 2026-04-01T00:00:00Z --type indicator | jq .pattern
    """,
)
@click.argument("collection")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file, else to stdout."
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the place in this file: the next pull gives what is new. NDJSON is then appended.",
)
@_select
@click.option(
    "--format", "form", type=click.Choice(["ndjson", "bundle"]), default="ndjson", show_default=True
)
@verifying_options
@profile_option
@json_option
def pull(
    collection: str,
    out: Path | None,
    state: Path | None,
    selection: Selection,
    form: str,
    checks: Checks,
    profile_name: str,
    as_json: bool,
) -> int:
    """Pull a collection's objects, oldest first.

    The place in --state moves only after the objects are written and synced; after a crash a page can come
    twice, never not at all. --out is not touched before the hub has answered, and a bundle replaces it whole.
    With --json a summary goes to stdout, or to stderr where the objects take stdout.

    With --verify every version of every object comes, as NDJSON; only what the log vouches for is written,
    and the command ends with 1 if anything is wrong. --state then keeps what was verified. Consumers that
    exchange what --checkpoint writes, and --compare it, see whether the hub shows all of them one log.
    """
    if checks.verify:
        if state is None or form != "ndjson" or selection.partial:
            raise click.UsageError(
                "--verify needs --state, and leaves out --since, --limit, --type and bundles."
            )
        return pull_verified(collection, out, state, checks, profile_name, as_json=as_json)
    if checks.more:
        raise click.UsageError("--strict, --root, --deletions, --checkpoint and --compare go with --verify.")
    from lightship.client import Cursor, load_cursor, save_cursor

    match = selection.match
    source = " ".join([profile_of(profile_name).url, collection, *(f"{k}={v}" for k, v in match.items())])
    cursor = load_cursor(state, source) if state is not None else Cursor()
    fresh = cursor == Cursor()
    if selection.since:
        if not fresh:
            raise click.UsageError(f"{state} keeps a place already; leave out --since.")
        cursor = Cursor(added_after=format_stamp(parse_added_after(selection.since)))
    total = 0
    lines = form == "ndjson"
    with client_of(profile_name) as client, progress("Pulling", selection.limit) as step:
        parts = _parts(client, collection, cursor, selection)
        answered = list(islice(parts, 1))  # no file is touched before the hub has answered
        with _sink(out, append=lines and not fresh, whole=not lines) as file:
            form_of = _write_lines if lines else _write_bundle
            for count, at in form_of(file, chain(answered, parts)):
                total += count
                cursor = at
                step(count)
                if state is not None and lines:
                    save_cursor(state, source, at)
    if state is not None and not lines:
        save_cursor(state, source, cursor)
    summary = {"collection": collection, "objects": total, "added_after": cursor.added_after}
    if as_json:
        click.echo(dumps(summary), err=out is None)
    elif out is not None:
        say(f"{collection}: {total} objects to {out}")
    return exits.OK


def _parts(
    client: Client, collection: str, cursor: Cursor, selection: Selection
) -> Iterator[tuple[tuple[Object, ...], Cursor]]:
    """Yield objects and the place after them, cut at `limit`."""
    left = selection.limit
    for one in client.pull(collection, cursor, limit=selection.page, match=selection.match):
        if left is not None and len(one.objects) >= left:
            yield one.objects[:left], one.after(left)
            return
        if left is not None:
            left -= len(one.objects)
        yield one.objects, one.cursor


def _write_lines(
    file: BinaryIO, parts: Iterator[tuple[tuple[Object, ...], Cursor]]
) -> Iterator[tuple[int, Cursor]]:
    """Write a page of NDJSON, make it durable, then hand out its place."""
    for objects, at in parts:
        file.write("".join(f"{dumps(one)}\n" for one in objects).encode())
        _settle(file)
        yield len(objects), at


def _write_bundle(
    file: BinaryIO, parts: Iterator[tuple[tuple[Object, ...], Cursor]]
) -> Iterator[tuple[int, Cursor]]:
    """Write one bundle; its place is handed out when all of it is written."""
    from lightship.client import Cursor

    count, place = 0, Cursor()
    file.write(f'{{"type":"bundle","id":"bundle--{uuid.uuid4()}"'.encode())
    for objects, at in parts:
        place = at
        for one in objects:
            file.write((b"," if count else b',"objects":[') + dumps(one).encode())
            count += 1
    file.write(b"]}\n" if count else b"}\n")
    _settle(file)
    yield count, place


def _settle(file: BinaryIO) -> None:
    file.flush()
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # not a pipe or a terminal
        os.fsync(file.fileno())


@contextmanager
def _sink(out: Path | None, *, append: bool, whole: bool) -> Iterator[BinaryIO]:
    """Yield what is written to; with `whole` a file gets its new content at the end or keeps the old one."""
    if out is None:
        with open(os.dup(sys.stdout.fileno()), "wb") as file:
            yield file
    elif whole and (out.is_file() or not out.exists()):
        out = out.resolve()
        beside = out.with_name(f".{out.name}.{os.getpid()}.new")
        try:
            with beside.open("xb") as file:
                yield file
            beside.replace(out)
        finally:
            beside.unlink(missing_ok=True)
    else:
        with out.open("ab" if append else "wb") as file:
            yield file
