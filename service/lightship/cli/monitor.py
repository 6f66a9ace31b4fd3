"""`lightship monitor`: what a log says in our name, verified, and not sent by an outbox of ours."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightship.cli import exits
from lightship.cli.command import Command, json_option, profile_option
from lightship.cli.local import wall_clock
from lightship.cli.output import counting, dumps, explain, plain, say
from lightship.cli.pins import Pin
from lightship.cli.remote import client_of
from lightship.core.time import format_stamp

if TYPE_CHECKING:
    from lightship.client.monitoring import Foreign
    from lightship.core.log.findings import Finding


@click.command(
    cls=Command,
    examples="""
    lightship monitor la-lb-mou/indicators --member uslgb --state monitor.state
    lightship monitor la-lb-mou/indicators --member uslgb --state monitor.state --json
    lightship monitor la-lb-mou/indicators --member uslgb --state monitor.state --follow --every 60
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
@click.option(
    "--root",
    "pinned",
    type=Pin(),
    default="",
    help="Key that must have signed the agreement first: its id, or a file with it.",
)
@click.option("--follow", is_flag=True, help="Go on looking until SIGTERM or Ctrl-C.")
@click.option(
    "--every",
    type=click.IntRange(1, 86_400),
    default=60,
    show_default=True,
    help="With --follow: seconds between two looks.",
)
@profile_option
@json_option
def monitor(
    collection: str,
    member: str,
    state: Path,
    pinned: str,
    follow: bool,
    every: int,
    profile_name: str,
    as_json: bool,
) -> int:
    """Report every new statement in our name that no outbox on this machine sent.

    The hub attests what comes by plain TAXII, so each such post of ours is reported too: compare it with what
    our tools posted. What left because a roster of ours distrusts a key is reported as `distrusted`. Ends
    with 1 if there is any, or if something in the log does not hold. A line is printed before the place in
    --state moves: after a crash it can come twice, never not at all.

    With --follow a hub that cannot be reached is tried again; a log that is not to be trusted ends it with 1.
    """
    from lightship.cli.evidence import telling
    from lightship.client import config_dir
    from lightship.client.monitoring import Outboxes, look

    outboxes = Outboxes(config_dir(os.environ) / "outbox")
    count = 0

    def found(one: Foreign | Finding) -> None:
        nonlocal count
        count += 1
        value = shape(one)
        click.echo(dumps(value) if as_json else plain(_line(value)))

    def once() -> None:
        before = count
        with (
            telling(state, as_json=as_json) as keeper,
            client_of(profile_name) as client,
            counting("Verifying the log") as progress,
        ):
            size = look(
                *(client, collection, member, state, outboxes, found),
                pinned_key=pinned,
                now=wall_clock,
                progress=progress,
                clock=time.monotonic,
                keeper=keeper,
            )
        if not (as_json or (follow and count == before)):
            say(f"{collection}: {count - before} statements in the name of {member}, log of {size} entries")

    if follow:
        _until_stopped(once, every, as_json=as_json)
    else:
        once()
    return exits.FAILED if count else exits.OK


def _until_stopped(once: Callable[[], None], every: int, *, as_json: bool) -> None:
    """Look again and again; a hub out of reach is told and tried again."""
    from lightship.core.errors import LightshipError

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        try:
            once()
        except LightshipError as error:
            if exits.code_of(error) != exits.UNREACHABLE:
                raise
            explain(error, as_json=as_json)
        stop.wait(every)


def shape(one: Foreign | Finding) -> dict[str, Any]:
    """Return what is printed of a foreign statement, or of an entry that does not hold."""
    from lightship.client.monitoring import Foreign

    if isinstance(one, Foreign):
        return {
            "entry": one.index,
            "at": format_stamp(one.at),
            "proof": "distrusted" if one.distrusted else "signed" if one.signed else "hub-attested",
            "added": one.added,
            "withdrawn": one.withdrawn,
            "why": "",
        }
    return {
        "entry": one.index,
        "at": "",
        "proof": str(one.failure),
        "added": (),
        "withdrawn": (),
        "why": one.why,
    }


def _line(one: dict[str, Any]) -> str:
    objects = [f"+{each}" for each in one["added"]] + [f"-{each}" for each in one["withdrawn"]]
    return " ".join([f"entry {one['entry']}", one["at"], one["proof"], *objects, one["why"]]).strip()
