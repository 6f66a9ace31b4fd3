"""`lightship outbox list|drop|retry`: what this machine was to sign and no log has yet. Asks no hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from lightship.cli.command import Command, Group, json_option
from lightship.cli.output import named, print_json, print_rows
from lightship.core.errors import NotFound
from lightship.core.time import format_stamp

if TYPE_CHECKING:
    from lightship.client.box import Box


@click.group(cls=Group, examples="lightship outbox list\nlightship outbox drop la-lb-mou/indicators 7")
def outbox() -> None:
    """See what waits to be sent or was refused, and take it out; see `lightship publish --sign`."""


@outbox.command(
    "list",
    cls=Command,
    examples="""
    lightship outbox list
    lightship outbox list la-lb-mou/indicators --json
    """,
)
@click.argument("collection", required=False)
@json_option
def list_(collection: str | None, as_json: bool) -> None:
    """List statements that the hub has not logged: waiting, under way (sending), or refused and why.

    With --json one statement a line, with every object that it names. The number of a statement is its
    outbox's; a number in the key's chain it gets only when it is signed.
    """
    rows = []
    for key, name, box in _boxes(collection or ""):
        for one in box.entries():
            shape: dict[str, Any] = {
                "collection": name,
                "key": key,
                "statement": one.number,
                "state": one.state,
                "until": format_stamp(one.until) if one.until else "",
                "added": [f"{i}@{v}" for i, v in one.add],
                "withdrawn": [f"{i}@{v}" for i, v in one.withdraw],
                "why": one.why,
                "failures": named(one.failures),
            }
            if as_json:
                print_json(shape)
            why = one.failures[0][2] if one.failures else one.why
            sizes = f"+{len(one.add)} -{len(one.withdraw)}"
            rows.append((name, key[:8], str(one.number), one.state, sizes, shape["until"] or why))
    if not as_json:
        if not rows:
            click.echo("Nothing waits, and nothing was refused")
        print_rows(rows, ("COLLECTION", "KEY", "STATEMENT", "STATE", "OBJECTS", "UNTIL OR WHY"))


_key_option = click.option(
    "--key-id", "keyid", default="", help="Of this key, if several have an outbox there."
)


@outbox.command(cls=Command, examples="lightship outbox drop la-lb-mou/indicators 7")
@click.argument("collection")
@click.argument("number", type=click.IntRange(1))
@_key_option
@json_option
def drop(collection: str, number: int, keyid: str, as_json: bool) -> None:
    """Take out what waits or was refused. What is under way may be logged: it stays until it is answered."""
    box = _box(collection, keyid)
    if not box.drop(number):
        raise _none(collection, number, "waits or was refused")
    _tell("dropped", collection, number, as_json=as_json)


@outbox.command(cls=Command, examples="lightship outbox retry la-lb-mou/indicators 7")
@click.argument("collection")
@click.argument("number", type=click.IntRange(1))
@_key_option
@json_option
def retry(collection: str, number: int, keyid: str, as_json: bool) -> None:
    """Let what was refused wait again, as it is; `lightship publish --to COLLECTION --sign` sends it."""
    again = _box(collection, keyid).retry(number)
    if not again:
        raise _none(collection, number, "was refused")
    _tell("waiting", collection, again, as_json=as_json)


def _boxes(collection: str) -> Iterator[tuple[str, str, Box]]:
    from lightship.client import config_dir
    from lightship.client.signing import outboxes_below

    for key, uuid, name, box in outboxes_below(config_dir(os.environ) / "outbox"):
        if collection in {"", uuid, name, name.rpartition("/")[2]}:
            yield key, name, box


def _box(collection: str, keyid: str) -> Box:
    found = [(key, box) for key, _, box in _boxes(collection) if key.startswith(keyid)]
    if len(found) == 1:
        return found[0][1]
    keys = ", ".join(key for key, _ in found)
    raise NotFound(
        f"No outbox of {collection}" if not found else f"Which outbox of {collection}",
        why=f"there are those of the keys {keys}" if found else "nothing was signed for it on this machine",
        todo="Name one: --key-id" if found else "See `lightship outbox list`",
    )


def _none(collection: str, number: int, what: str) -> NotFound:
    return NotFound(
        f"No statement {number} of {collection} {what}", todo=f"See `lightship outbox list {collection}`"
    )


def _tell(state: str, collection: str, number: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"collection": collection, "statement": number, "state": state})
    else:
        click.echo(f"{collection}: statement {number} {state}")
