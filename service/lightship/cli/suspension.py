"""`lightship agreement suspend|resume`: one party stops a member, a key or the whole agreement for a time."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightship.cli.command import Command, hub_option, json_option
from lightship.cli.local import hub_of, new_request
from lightship.cli.output import print_json, say
from lightship.core.time import format_stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightship.usecases.suspensions import Suspending, Taken
    from lightship.wiring import Hub

MOST_HOURS = 72


@click.command(
    cls=Command,
    examples="""
    lightship agreement suspend la-lb-mou --member uslgb --hours 24 --reason "A credential may be stolen"
    lightship agreement suspend la-lb-mou --key KEYID --hours 12 --reason "Stolen at 02:00" --yes
    lightship agreement suspend la-lb-mou --hours 72 --reason "Incident at the hub" --yes
    """,
)
@click.argument("name", metavar="AGREEMENT")
@click.option("--member", default="", metavar="SLUG", help="Only this member; else the whole agreement.")
@click.option("--key", default="", metavar="KEYID", help="Only this key, which a member's roster lists.")
@click.option(
    "--hours", type=click.IntRange(1, MOST_HOURS), required=True, help="How long; it ends by itself."
)
@click.option("--reason", required=True, help="One line, which every member can read.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@hub_option
@json_option
def suspend(
    name: str, member: str, key: str, hours: int, reason: str, yes: bool, hub_dir: Path, as_json: bool
) -> None:
    """Stop a member, a key, or the whole agreement, for at most 72 hours, also while the hub serves.

    Until then nothing can be read, published or withdrawn; what is held stays. With a publish key no
    statement is taken that it signs; what its member does without it goes on. Signed with the hub's key and
    named in every log. The same party can stop the same again 30 days after it ended.
    """
    _one_target(member, key)
    who = f"the member {member}" if member else f"the key {key}" if key else "all members"
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("Nobody can be asked here: add --yes.")
        click.confirm(f"Suspend {who} of {name} for {hours} hours?", abort=True, err=True)
    with hub_of(hub_dir) as hub, _suspending(hub) as work:
        now = hub.clock.now()
        taken = work.suspend(name, member, key=key, hours=hours, reason=reason, req=new_request(), now=now)
    _show(taken, as_json=as_json)
    if taken.owner:
        say(f"The key is of {taken.owner}, whose officer can revoke it for good: lightship roster sign")
    say(f"It ends by itself; before that: lightship agreement resume {name}{_option(member, key)}")


@click.command(
    cls=Command,
    examples="""
    lightship agreement resume la-lb-mou --member uslgb
    lightship agreement resume la-lb-mou --key KEYID
    lightship agreement resume la-lb-mou --reason "The incident is over" --json
    """,
)
@click.argument("name", metavar="AGREEMENT")
@click.option("--member", default="", metavar="SLUG", help="This member; else the whole agreement.")
@click.option("--key", default="", metavar="KEYID", help="This key.")
@click.option("--reason", default="Ended early", help="One line, which every member can read.")
@hub_option
@json_option
def resume(name: str, member: str, key: str, reason: str, hub_dir: Path, as_json: bool) -> None:
    """End a suspension before its time. It needs as many parties as a new version of the agreement."""
    _one_target(member, key)
    with hub_of(hub_dir) as hub, _suspending(hub) as work:
        now = hub.clock.now()
        taken = work.resume(name, member, key=key, reason=reason, req=new_request(), now=now)
    _show(taken, as_json=as_json)


@contextmanager
def _suspending(hub: Hub) -> Iterator[Suspending]:
    from lightship.crypto import sign
    from lightship.keys.hub_key import load_hub_key
    from lightship.usecases.suspensions import Suspending

    yield Suspending(hub.registry, hub.directory, sign.verify, load_hub_key(hub.dir), hub.signing)


def _one_target(member: str, key: str) -> None:
    if member and key:
        raise click.UsageError("Give --member or --key, not both")


def _option(member: str, key: str) -> str:
    return f" --member {member}" if member else f" --key {key}" if key else ""


def _show(taken: Taken, *, as_json: bool) -> None:
    order = taken.order
    until = None if order.until is None else format_stamp(order.until)
    if as_json:
        shape: dict[str, Any] = {
            "agreement": order.agreement,
            "member": order.member or None,
            "key": order.key or None,
            "suspended": until is not None,
            "until": until,
            "number": order.number,
            "sha256": taken.signed.digest,
        }
        print_json(shape)
        return
    named = order.member or (f"Key {order.key}" if order.key else "")
    who = f"{named} of {order.agreement}" if named else order.agreement
    click.echo(f"{who} is suspended until {until}." if until else f"{who} is suspended no longer.")
