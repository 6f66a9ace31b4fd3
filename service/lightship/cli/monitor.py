"""`lightship monitor`: what a log says in our name, verified, and not sent by an outbox of ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightship.cli import exits
from lightship.cli.command import Command, json_option, profile_option
from lightship.cli.output import print_json, say
from lightship.cli.remote import client_of
from lightship.cli.verified import now
from lightship.core.time import format_stamp

if TYPE_CHECKING:
    from lightship.client.monitoring import Foreign
    from lightship.core.log.findings import Finding


@click.command(
    cls=Command,
    examples="""
    lightship monitor la-lb-mou/indicators --member uslgb --state monitor.state
    lightship monitor la-lb-mou/indicators --member uslgb --state monitor.state --json
    """,
)
@click.argument("collection")
@click.option("--member", required=True, help="Our name in the agreement.")
@click.option(
    "--state",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep what was verified in this file; another one than that of a pull.",
)
@click.option("--root", "pinned", default="", help="Id of the key that must have signed the agreement first.")
@profile_option
@json_option
def monitor(collection: str, member: str, state: Path, pinned: str, profile_name: str, as_json: bool) -> int:
    """Report every new statement in our name that no outbox on this machine sent.

    The hub attests what comes by plain TAXII, so each such post of ours is reported too: compare it with what
    our tools posted. Ends with 1 if there is any, or if something in the log does not hold.
    """
    from lightship.client import config_dir
    from lightship.client.kept_log import load, save
    from lightship.client.log_source import LogSource
    from lightship.client.monitoring import foreign, known_payloads
    from lightship.client.verifying import first_look, follow
    from lightship.crypto.sign import verify

    known = known_payloads(config_dir(os.environ) / "outbox")
    kept = load(state, verify)
    with client_of(profile_name) as client:
        target = client.collection(collection)
        source = LogSource(client.connection, target.root, target.id)
        kept = kept or first_look(source, verify, pinned_key=pinned)
        if kept.log.collection != target.id:
            raise click.UsageError(f"{state} is of another collection: {kept.log.origin}")
        applied = follow(source, kept.log, now())
    found = list(foreign(applied, member, known))
    for one in shapes(found, applied.findings):
        if as_json:
            print_json(one)
        else:
            click.echo(_line(one))
    save(state, kept)
    if not as_json:
        say(f"{collection}: {len(found)} statements in the name of {member}, log of {kept.log.size} entries")
    return exits.FAILED if found or applied.findings else exits.OK


def shapes(found: list[Foreign], findings: tuple[Finding, ...]) -> Iterator[dict[str, Any]]:
    """Yield what is printed, one document each."""
    for one in found:
        yield {
            "entry": one.index,
            "at": format_stamp(one.at),
            "proof": "signed" if one.signed else "hub-attested",
            "added": one.added,
            "withdrawn": one.withdrawn,
            "why": "",
        }
    for finding in findings:
        yield {
            "entry": finding.index,
            "at": "",
            "proof": str(finding.failure),
            "added": (),
            "withdrawn": (),
            "why": finding.why,
        }


def _line(one: dict[str, Any]) -> str:
    objects = [f"+{each}" for each in one["added"]] + [f"-{each}" for each in one["withdrawn"]]
    return " ".join([f"entry {one['entry']}", one["at"], one["proof"], *objects, one["why"]]).strip()
