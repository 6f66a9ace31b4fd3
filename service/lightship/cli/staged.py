"""`lightship staged list|cancel`: what waits for its release, at a remote hub or in a hub's directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from lightship.cli.command import Command, Group, json_option, profile_option
from lightship.cli.local import hub_of, new_request, wall_clock
from lightship.cli.output import print_json, print_rows
from lightship.cli.remote import client_of

F = TypeVar("F", bound=Callable[..., Any])
NAMES = ("collection", "id", "version", "release_at", "posted", "problem")


def directory_option(function: F) -> F:
    """Add `--hub DIR`: these commands are for publishers, and ask the hub of their login without it."""
    return click.option(
        "--hub",
        "hub_dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=None,
        help="Look into this hub's directory instead, as its steward: what every member has waiting.",
    )(function)


@click.group(
    cls=Group,
    examples="lightship staged list la-lb-mou/indicators\nlightship staged cancel la-lb-mou/indicators ID",
)
def staged() -> None:
    """See what you published that waits for its release, and take it back.

    Terms with `release_at` hold objects back; see docs/publisher.md.
    """


@staged.command(
    "list",
    cls=Command,
    examples="""
    lightship staged list la-lb-mou/indicators
    lightship staged list la-lb-mou/indicators --json
    lightship staged list la-lb-mou/indicators --hub /srv/hub
    """,
)
@click.argument("collection", metavar="AGREEMENT/COLLECTION")
@profile_option
@directory_option
@json_option
def list_(collection: str, profile_name: str, hub_dir: Path | None, as_json: bool) -> None:
    """List what waits in a collection, by release: yours alone, or with --hub everybody's.

    A problem says why something could not be released when its moment came. It is tried again when the rules
    change; else cancel it and publish it again. With --json one object a line.
    """
    if hub_dir is None:
        with client_of(profile_name) as client:
            found: list[dict[str, str]] = [
                {"collection": collection} | {name: getattr(one, name) for name in NAMES[1:]}
                for one in client.staged(collection)
            ]
    else:
        found = _staged_here(hub_dir, collection)
    if as_json:
        for one in found:
            print_json(one)
        return
    if not found:
        click.echo(f"Nothing waits in {collection}")
    with_member = hub_dir is not None
    rows = [
        (
            one["release_at"],
            *([one["member"]] if with_member else []),
            one["id"],
            one["version"],
            one["problem"],
        )
        for one in found
    ]
    print_rows(rows, ("RELEASE", *(["MEMBER"] if with_member else []), "ID", "VERSION", "PROBLEM"))


@staged.command(
    cls=Command,
    examples="""
    lightship staged cancel la-lb-mou/indicators indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f
    lightship staged cancel la-lb-mou/warnings report--84e4d88f-44ea-4bcd-bbf3-b2c1c320bcb3 --hub /srv/hub
    """,
)
@click.argument("collection", metavar="AGREEMENT/COLLECTION")
@click.argument("object_id", metavar="ID")
@profile_option
@directory_option
@json_option
def cancel(collection: str, object_id: str, profile_name: str, hub_dir: Path | None, as_json: bool) -> None:
    """Take back what waits of an object; nobody else ever saw it. What was released already stays."""
    if hub_dir is None:
        with client_of(profile_name) as client:
            done: Sequence[Mapping[str, str]] = [
                {"id": one.id, "version": one.version} for one in client.cancel(collection, object_id)
            ]
    else:
        done = _cancel_here(hub_dir, collection, object_id)
    if as_json:
        print_json({"collection": collection, "cancelled": done})
    else:
        for one in done:
            click.echo(f"cancelled {one['id']} {one['version']}".rstrip())


def _staged_here(hub_dir: Path, collection: str) -> list[dict[str, str]]:
    from lightship.api.staged import shape
    from lightship.usecases.staged import all_staged, waiting_place

    with hub_of(hub_dir) as hub:
        found = all_staged(hub.reader, *waiting_place(hub.directory, collection))
    return [{"collection": collection} | shape(one) | {"member": one.owner} for one in found]


def _cancel_here(hub_dir: Path, collection: str, object_id: str) -> list[dict[str, str]]:
    from lightship.usecases.staged import cancel_for, waiting_place

    with hub_of(hub_dir) as hub:
        place, epoch = waiting_place(hub.directory, collection)
        found = cancel_for(
            hub.reader,
            hub.writer,
            place,
            epoch,
            object_id,
            now=wall_clock(),
            new_request=new_request,
        )
    return [{"id": one.id, "version": one.version_text} for one in found]
