"""`lightship withdraw`: own objects leave a collection, by TAXII DELETE or in signed statements."""

from __future__ import annotations

from pathlib import Path

import click

from lightship.cli import exits
from lightship.cli.command import Command, json_option, profile_option
from lightship.cli.output import named, print_json, say
from lightship.cli.remote import client_of
from lightship.cli.signed import Order, publish_signed, signing_options
from lightship.core.errors import Conflict, LightshipError, NotFound, Refused
from lightship.core.time import Micros

REASONS = ("publisher", "expired")


@click.command(
    cls=Command,
    examples="""
    lightship withdraw indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f --from la-lb-mou/indicators
    lightship withdraw ID@2026-04-01T08:00:00.000Z --from la-lb-mou/indicators
    lightship withdraw ID ID --from la-lb-mou/indicators --sign --reason expired
    """,
)
@click.argument("names", nargs=-1, required=True, metavar="ID[@VERSION]...")
@click.option("--from", "target", required=True, help="The collection: AGREEMENT/ALIAS, or its id or title.")
@signing_options
@click.option(
    "--reason",
    type=click.Choice(REASONS),
    default=REASONS[0],
    show_default=True,
    help="With --sign: taken back (it may be published again), or out of date (it may not).",
)
@profile_option
@json_option
def withdraw(
    names: tuple[str, ...],
    target: str,
    sign: bool,
    key_file: Path | None,
    reason: str,
    at: Micros | None,
    profile_name: str,
    as_json: bool,
) -> int:
    """Take back what your member published; readers that pulled it before keep their copy.

    An ID alone means every version of the object, ID@VERSION the one whose `modified` that is, ID@ that of an
    object without one. With --sign all of it is taken or none, each entry is named if not, and readers that
    verify know that it was you. Else each ID is a TAXII DELETE of its own. Ends with 3 if any was refused.
    """
    if sign:
        order = Order(target, key_file, (), names, reason, at or Micros(0))
        return publish_signed(order, profile_name, as_json=as_json)
    if key_file is not None or at is not None or reason != REASONS[0]:
        raise click.UsageError("--key-file, --reason and --at go with --sign")
    done, failures = [], []
    with client_of(profile_name) as client:
        for name in names:
            object_id, _, version = name.partition("@")
            try:
                client.withdraw(target, object_id, version)
            except (Refused, NotFound, Conflict) as error:
                failures.append((object_id, version, _said(error)))
            else:
                done.append({"id": object_id, "version": version})
    if as_json:
        print_json({"collection": target, "withdrawn": done, "failures": named(failures)})
    else:
        for object_id, version, why in failures:
            say(f"refused {object_id} {version}: {why}")
        click.echo(f"{target}: {len(done)} withdrawn, refused: {len(failures)}")
    return exits.REFUSED if failures else exits.OK


def _said(error: LightshipError) -> str:
    return ". ".join(part for part in (error.title, error.why) if part)
