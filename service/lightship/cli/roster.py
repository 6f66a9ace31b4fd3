"""`lightship roster sign|apply`: a member says, signed with its admin key, which publish keys are its own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightship.cli.command import Command, Group, hub_option, json_option
from lightship.cli.local import hub_of, new_request
from lightship.cli.output import print_json
from lightship.core.errors import BadFile, MalformedRequest

if TYPE_CHECKING:
    from lightship.core.log.roster import Roster

_File = click.Path(path_type=Path, dir_okay=False)


@click.group(cls=Group, examples="lightship roster apply roster-1.json")
def roster() -> None:
    """Sign and apply the rosters of members."""


@roster.command(
    cls=Command,
    examples="""
    lightship roster sign --admin-key admin.key --agreement ID --first HUB --member ME --add KEY --out 1.json
    lightship roster sign --admin-key admin.key --previous 1.json --add KEY --out 2.json
    lightship roster sign --admin-key admin.key --previous 2.json --revoke KEYID --reason stolen --out 3.json
    """,
)
@click.option("--admin-key", required=True, type=_File, help="The file of the member's admin key.")
@click.option("--previous", type=_File, help="The member's roster in force; without it this is its first.")
@click.option("--agreement", default="", help="Id of the agreement (first roster).")
@click.option("--first", "hub", default="", help="SHA-256 of the agreement's version 1 (first roster).")
@click.option("--member", default="", help="The member's name in the agreement (first roster).")
@click.option("--add", "added", multiple=True, metavar="KEY", help="A publish key; may be repeated.")
@click.option("--revoke", "revoked", multiple=True, metavar="KEYID", help="Id of a key; may be repeated.")
@click.option("--reason", default="", help="Why keys are revoked.")
@click.option("--out", required=True, type=_File, help="Write the roster to this new file.")
@json_option
def sign(
    admin_key: Path,
    previous: Path | None,
    agreement: str,
    hub: str,
    member: str,
    added: tuple[str, ...],
    revoked: tuple[str, ...],
    reason: str,
    out: Path,
    as_json: bool,
) -> None:
    """Sign the next version of a member's roster; needs no hub and no network.

    What a roster lists it keeps listing: a revoked key stays in it, and stays revoked.
    """
    from lightship.client import publish_key
    from lightship.core import dsse
    from lightship.core.agreement.chain import read_key_text
    from lightship.core.log import roster as form
    from lightship.core.log.roster import PublishKey, Revoked, Roster

    key = publish_key.load(admin_key)
    if previous is not None:
        if agreement or hub or member:
            raise click.UsageError("--agreement, --first and --member are those of --previous")
        opened, last = form.read(_read(previous))
        prev = hashlib.sha256(opened.payload).hexdigest()
        made = Roster(last.agreement, last.hub, last.member, last.version + 1, prev, dict(last.keys))
    elif agreement and hub and member:
        made = Roster(agreement, hub, member, 1, "", {})
    else:
        raise click.UsageError("Give --previous, or --agreement, --first and --member for the first roster")
    listed = dict(made.keys)
    for text in added:
        public = read_key_text(text)
        if public is None:
            raise MalformedRequest(f"{text!r} is no key", todo="Write it as `lightship keys show` prints it")
        listed.setdefault(dsse.key_id(public), PublishKey(public))
    for keyid in revoked:
        if keyid not in listed or not reason:
            raise click.UsageError(f"--revoke {keyid}: it is not in the roster, or --reason is missing")
        if listed[keyid].revoked is None:
            listed[keyid] = PublishKey(listed[keyid].public, Revoked(reason))
    made = Roster(made.agreement, made.hub, made.member, made.version, made.prev, listed)
    envelope = dsse.encode(form.sign(made, key.keyid, key.sign))
    try:
        with out.open("xb") as file:
            file.write(envelope + b"\n")
    except FileExistsError:
        raise BadFile("The file exists", path=str(out), todo="Give --out a new name") from None
    _tell(made, str(out), as_json=as_json)


@roster.command(
    cls=Command,
    examples="""
    lightship roster apply roster-2.json
    lightship roster apply roster-2.json --json
    """,
)
@click.argument("file", type=_File)
@hub_option
@json_option
def apply(file: Path, hub_dir: Path, as_json: bool) -> None:
    """Put a member's next roster in force, also while the hub serves.

    It is taken only as the member's admin key signed it, which the agreement names, and its digest stands in
    every log of the agreement from then on.
    """
    from lightship.crypto.sign import verify
    from lightship.usecases.rosters import apply_roster

    envelope = _read(file)
    with hub_of(hub_dir) as hub:
        if hub.signing is None:
            raise BadFile("This hub's store takes no rosters", path=str(hub_dir))
        made = apply_roster(
            hub.signing,
            hub.registry,
            hub.directory.view(),
            envelope,
            verify=verify,
            req=new_request(),
            now=hub.clock.now(),
        )
    _tell(made, str(file), as_json=as_json)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFile("The roster cannot be read", path=str(path), why=error.strerror or "") from None


def _tell(made: Roster, file: str, *, as_json: bool) -> None:
    good = [keyid for keyid, one in made.keys.items() if one.revoked is None]
    gone = [keyid for keyid, one in made.keys.items() if one.revoked is not None]
    if as_json:
        print_json(
            {
                "agreement": made.agreement,
                "member": made.member,
                "version": made.version,
                "file": file,
                "keys": good,
                "revoked": gone,
            }
        )
    else:
        counts = f"keys: {len(good)}, revoked: {len(gone)}"
        click.echo(f"{made.agreement}: roster {made.version} of {made.member}, {counts}")
