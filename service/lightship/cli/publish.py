"""`lightship publish`: files or stdin to a collection of a remote hub, through the SDK."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from lightship.cli import exits
from lightship.cli.command import REPORTING, Command, json_option, profile_option
from lightship.cli.output import named, print_json, progress, say
from lightship.cli.remote import client_of
from lightship.cli.signed import Order, publish_signed, signing_options
from lightship.core.errors import BadFile
from lightship.core.time import Micros

if TYPE_CHECKING:
    from lightship_feeds.base import FeedIn


@click.command(
    cls=Command,
    examples="""
    lightship publish report.json --to la-lb-mou/indicators
    lightship publish *.json --to la-lb-mou/incidents --json
    lightship publish report.json --to la-lb-mou/indicators --sign
    lightship publish report.json --to la-lb-mou/indicators --sign --at 2026-12-01T08:00:00Z
    lightship publish new.json --to la-lb-mou/indicators --sign --withdraw OLD-ID
    my-tool --stix | lightship publish - --to la-lb-mou/indicators
    """,
)
@click.argument("files", nargs=-1, metavar="FILE...|-")
@click.option("--to", "target", required=True, help="The collection: AGREEMENT/ALIAS, or its id or title.")
@click.option("--feed", "feed_name", default="", help="How to read the files; else by their ending (STIX).")
@click.option(
    "--envelope",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="Objects in one request at most.",
)
@signing_options
@click.option(
    "--withdraw",
    "withdrawn",
    multiple=True,
    metavar="ID[@VERSION]",
    help="With --sign: take this out in the same statement; may be repeated.",
)
@profile_option
@json_option
def publish(
    files: Sequence[str],
    target: str,
    feed_name: str,
    envelope: int,
    sign: bool,
    key_file: Path | None,
    at: Micros | None,
    withdrawn: tuple[str, ...],
    profile_name: str,
    as_json: bool,
) -> int:
    """Publish STIX 2.1 objects: bundles, lists or NDJSON, passed on byte for byte.

    Publishing the same again is safe: what the hub holds already counts as success. What is held back until
    its release, and what may not be meant to be shared, is named on stderr. Ends with 3 if any object was
    refused; each is named with its reason. With --sign a statement of up to 256 objects is taken whole or not
    at all; what was not answered goes again with the next call, which needs no FILE for that. With --withdraw
    one object takes the place of another at once: readers see both or neither (see `lightship withdraw`).
    """
    from lightship_feeds.registry import feed, feed_for

    if not sign and (key_file is not None or at is not None or withdrawn):
        raise click.UsageError("--key-file, --at and --withdraw go with --sign")
    if not sign and not files:
        raise click.UsageError("Missing argument 'FILE...|-'")
    say(REPORTING)
    chosen: Callable[[str], FeedIn] = (lambda _: feed(feed_name)) if feed_name else feed_for
    if sign:
        objects = _objects(files, chosen, lambda size: None)
        order = Order(target, key_file, objects, withdrawn, at=at or Micros(0))
        return publish_signed(order, profile_name, as_json=as_json)
    sizes = [Path(one).stat().st_size if one != "-" and Path(one).is_file() else None for one in files]
    known = [size for size in sizes if size is not None]
    with (
        client_of(profile_name) as client,
        progress("Publishing", sum(known) if len(known) == len(sizes) else None) as step,
    ):
        sent: list[int] = []
        report = client.publish(
            target,
            _objects(files, chosen, sent.append),
            count=envelope,
            progress=lambda _: _drain(sent, step),
        )
    if as_json:
        print_json(
            {
                "collection": target,
                "total": report.total,
                "success": report.success,
                "pending": report.pending,
                "failures": named((one.id, one.version, one.message) for one in report.failures),
                "statuses": list(report.statuses),
                "notes": named((one.id, one.version, one.message) for one in report.notes),
            }
        )
    else:
        for note in report.notes:
            say(f"note on {note.id} {note.version}: {note.message}")
        for one in report.failures:
            say(f"refused {one.id} {one.version}: {one.message}")
        waiting = f", pending: {report.pending}" if report.pending else ""
        click.echo(f"{target}: {report.success} published, refused: {len(report.failures)}{waiting}")
    return exits.REFUSED if report.failures else exits.OK


def _objects(
    files: Sequence[str], chosen: Callable[[str], FeedIn], sent: Callable[[int], None]
) -> Iterator[bytes]:
    """Yield the objects of all files, in order, and tell how many bytes each has."""
    for name in files:
        if name == "-":
            yield from _read(chosen(name), sys.stdin.buffer, "stdin", sent)
            continue
        try:
            source = Path(name).open("rb")  # noqa: SIM115 -- closed below; only opening is to be explained
        except OSError as error:
            raise BadFile("The file cannot be read", path=name, why=error.strerror or "") from None
        with source:
            yield from _read(chosen(name), source, name, sent)


def _read(reader: FeedIn, source: BinaryIO, where: str, sent: Callable[[int], None]) -> Iterator[bytes]:
    for draft in reader.read(source, where):
        sent(len(draft.raw))
        yield draft.raw


def _drain(sent: list[int], step: Callable[[int], None]) -> None:
    step(sum(sent))
    sent.clear()
