"""`lightship roster sign|apply|trace`: a member says with its admin key what comes from it.

Its publish keys, its client certificates, and the credentials that it lists.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightship.cli.command import Command, Group, hub_option, json_option
from lightship.cli.local import Time, hub_of, new_request, wall_clock
from lightship.cli.output import print_json
from lightship.cli.remote import asked_profile, client_of, remote_options
from lightship.core.errors import BadFile, MalformedRequest
from lightship.core.ids import is_sha256
from lightship.core.time import Micros, format_stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightship.core.log.roster import PublishKey, Roster

_JSON = "application/json"
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
    lightship roster sign --admin-key admin.key --previous 3.json --revoke ID --distrust-from all --out 4.json
    lightship roster sign --admin-key admin.key --previous 4.json --client siem.pem --out 5.json
    lightship roster sign --admin-key admin.key --previous 5.json --drop-client PIN --out 6.json
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
@click.option(
    "--distrust-from",
    "distrust",
    multiple=True,
    metavar="LOG=ENTRY|all",
    help="With --revoke: what these keys added to a log from this entry on is withdrawn; `all`: everything,"
    " everywhere. May be repeated.",
)
@click.option(
    "--client", "clients", multiple=True, metavar="FILE|PIN", help="A client certificate; may be repeated."
)
@click.option("--drop-client", "dropped", multiple=True, metavar="PIN", help="List it no more; repeatable.")
@click.option(
    "--list",
    "tokens",
    multiple=True,
    metavar="ID",
    help='Id of a credential, for collections with tokens = "member"; may be repeated.',
)
@click.option("--unlist", "cast_off", multiple=True, metavar="ID", help="List it no more; repeatable.")
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
    distrust: tuple[str, ...],
    clients: tuple[str, ...],
    dropped: tuple[str, ...],
    tokens: tuple[str, ...],
    cast_off: tuple[str, ...],
    out: Path,
    as_json: bool,
) -> None:
    """Sign the next version of a member's roster; needs no hub and no network.

    What a roster lists it keeps listing: a revoked key stays in it, and stays revoked. It can be distrusted
    later too, or from an earlier entry on, with --revoke once more; what was withdrawn never comes back. A
    client certificate that is listed comes in by its key, as this member, as soon as the roster is applied,
    and not any more once one without it is.
    """
    from lightship.client import publish_key
    from lightship.core import dsse
    from lightship.core.log import roster as form

    key = publish_key.load(admin_key)
    made = _begun(previous, agreement, hub, member)
    made = replace(
        made,
        keys=_revoked(_added(made.keys, added), revoked, reason, _distrusted(distrust)),
        clients=_clients(made.clients, clients, dropped),
        tokens=_tokens(made.tokens, tokens, cast_off),
    )
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
    lightship roster apply roster-2.json --dry-run
    lightship roster apply roster-2.json
    lightship roster apply roster-2.json --remote --json
    """,
)
@click.argument("file", type=_File)
@click.option("--dry-run", is_flag=True, help="Check it, say what it would withdraw, and change nothing.")
@remote_options
@hub_option
@json_option
def apply(file: Path, dry_run: bool, remote: bool, profile_name: str, hub_dir: Path, as_json: bool) -> None:
    """Put a member's next roster in force, also while the hub serves.

    With --remote the member hands it in itself, with any credential of its own, at any hour.

    It is taken only as the member's admin key signed it, which the agreement names, and its digest stands in
    every log of the agreement from then on. What it distrusts is withdrawn at once, with the reason
    `distrusted`: it never comes back.
    """
    from lightship.crypto.sign import verify
    from lightship.usecases.rosters import apply_roster, preview_roster

    envelope = _read(file)
    if (profile := asked_profile(remote, profile_name)) is not None:
        if dry_run:
            raise click.UsageError("--dry-run looks at a hub's directory: leave it out, or --remote.")
        _hand_in(envelope, profile, file, as_json=as_json)
        return
    with hub_of(hub_dir) as hub:
        signing = hub.signing
        if signing is None:
            raise BadFile("This hub's store takes no rosters", path=str(hub_dir))
        view = hub.directory.view()
        if dry_run:
            done = preview_roster(signing, hub.registry, view, envelope, verify=verify)
        else:
            req, now = new_request(), hub.clock.now()
            done = apply_roster(signing, hub.registry, view, envelope, verify=verify, req=req, now=now)
    going = [asdict(one) for one in done.withdrawn]
    _applied(done.roster, going, file, dry_run=dry_run, as_json=as_json)


def _hand_in(envelope: bytes, profile: str, file: Path, *, as_json: bool) -> None:
    """Hand a roster in at a remote hub."""
    from lightship.client.errors import NotTaxii
    from lightship.core.log import roster as form

    made = form.read(envelope)[1]
    with client_of(profile) as client:
        path = f"/agreements/{made.agreement}/rosters"
        done = client.connection.post(path, envelope, accept=_JSON, content_type=_JSON).value
    if not isinstance(done, dict) or done.get("version") != made.version:
        raise NotTaxii("The answer to a roster cannot be read", todo="Give the hub's own address")
    _applied(made, list(done.get("withdrawn", ())), file, dry_run=False, as_json=as_json)


def _applied(made: Roster, going: list[dict[str, Any]], file: Path, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(_shape(made, str(file)) | {"applied": not dry_run, "withdrawn": going})
        return
    _tell(made, str(file), as_json=False)
    for one in going:
        verb = "would be withdrawn" if dry_run else "withdrawn"
        where, count = one["alias"] or one["collection"], one["versions"]
        click.echo(f"{where}: {count} {verb} as distrusted, from entry {one['first']}")
    if dry_run:
        click.echo("Nothing was changed")


@roster.command(
    cls=Command,
    examples="""
    lightship roster trace la-lb-mou KEYID
    lightship roster trace la-lb-mou KEYID --since 2027-04-01T00:00:00Z
    lightship roster trace la-lb-mou KEYID --since 2027-04-01 --json
    """,
)
@click.argument("agreement")
@click.argument("key", metavar="KEYID")
@click.option("--since", type=Time(), default=None, help="Only statements from this time on, UTC.")
@hub_option
@json_option
def trace(agreement: str, key: str, since: Micros | None, hub_dir: Path, as_json: bool) -> None:
    """Show what a publish key has logged in each collection, and from which entry on.

    The log and its first entry go into `roster sign --distrust-from LOG=ENTRY`. Shows no content.
    """
    from lightship.usecases.rosters import trace_key

    with hub_of(hub_dir) as hub:
        if hub.signing is None:
            raise BadFile("This hub's store takes no rosters", path=str(hub_dir))
        found = trace_key(hub.signing, hub.directory.view(), agreement, key, since or Micros(0))
    for one in found:
        if as_json:
            print_json(
                asdict(one) | {"first_at": format_stamp(one.first_at), "last_at": format_stamp(one.last_at)}
            )
        else:
            click.echo(
                f"{one.alias or one.collection}: {one.statements} statements, {one.versions} live versions,"
                f" from {format_stamp(one.first_at)[:19]}Z to {format_stamp(one.last_at)[:19]}Z"
            )
            click.echo(f"  --distrust-from {one.origin}={one.first}")
    if not found and not as_json:
        click.echo("The key has logged nothing there")


def _begun(previous: Path | None, agreement: str, hub: str, member: str) -> Roster:
    """Return the roster that follows a member's last one, or its first, listing what that listed."""
    from lightship.core.log import roster as form
    from lightship.core.log.roster import Roster

    if previous is not None:
        if agreement or hub or member:
            raise click.UsageError("--agreement, --first and --member are those of --previous")
        opened, last = form.read(_read(previous))
        return replace(last, version=last.version + 1, prev=hashlib.sha256(opened.payload).hexdigest())
    if not (agreement and hub and member):
        raise click.UsageError("Give --previous, or --agreement, --first and --member for the first roster")
    return Roster(agreement, hub, member, 1, "", {})


def _added(last: Mapping[str, PublishKey], added: tuple[str, ...]) -> dict[str, PublishKey]:
    """Return the publish keys of the next roster, by key id."""
    from lightship.core import dsse
    from lightship.core.agreement.chain import read_key_text
    from lightship.core.log.roster import PublishKey

    keys = dict(last)
    for text in added:
        public = read_key_text(text)
        if public is None:
            raise MalformedRequest(f"{text!r} is no key", todo="Write it as `lightship keys show` prints it")
        keys.setdefault(dsse.key_id(public), PublishKey(public))
    return keys


def _revoked(
    keys: dict[str, PublishKey], revoked: tuple[str, ...], reason: str, since: dict[str, int]
) -> dict[str, PublishKey]:
    """Return the publish keys, these revoked, and distrusted from these entries of logs on."""
    from lightship.core.log.roster import PublishKey, Revoked

    for keyid in revoked:
        known = keys[keyid].revoked if keyid in keys else None
        if keyid not in keys or not (reason or known):
            raise click.UsageError(f"--revoke {keyid}: it is not in the roster, or --reason is missing")
        why = Revoked(reason) if known is None else known
        keys[keyid] = PublishKey(keys[keyid].public, Revoked(why.reason, {**why.distrust_from, **since}))
    return keys


def _tokens(last: tuple[str, ...], added: tuple[str, ...], dropped: tuple[str, ...]) -> tuple[str, ...]:
    """Return the credential ids of the next roster."""
    if unknown := set(dropped) - set(last):
        raise click.UsageError(f"--unlist {min(unknown)}: the roster lists no such credential")
    return tuple(dict.fromkeys(one for one in (*last, *added) if one not in dropped))


def _distrusted(listed: tuple[str, ...]) -> dict[str, int]:
    """Return what `--distrust-from` says: log to entry."""
    from lightship.core.log.roster import EVERYWHERE

    found: dict[str, int] = {}
    for one in listed:
        log, equals, entry = one.rpartition("=")
        if one == "all":
            found[EVERYWHERE] = 0
        elif equals and log and (entry == "all" or (entry.isascii() and entry.isdigit())):
            found[log] = 0 if entry == "all" else int(entry)
        else:
            raise click.UsageError(f"--distrust-from {one}: write LOG=ENTRY, LOG=all or all")
    return found


def _clients(last: tuple[str, ...], added: tuple[str, ...], dropped: tuple[str, ...]) -> tuple[str, ...]:
    """Return the client pins of the next roster."""
    from lightship.client.certificate import read

    pins = dict.fromkeys(last)
    for pin in dropped:
        if pin not in pins:
            raise click.UsageError(f"--drop-client {pin}: the roster lists no such pin")
        del pins[pin]
    for text in added:
        pins[text if is_sha256(text) else read(Path(text), wall_clock()).pin] = None
    return tuple(pins)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFile("The roster cannot be read", path=str(path), why=error.strerror or "") from None


def _shape(made: Roster, file: str) -> dict[str, Any]:
    return {
        "agreement": made.agreement,
        "member": made.member,
        "version": made.version,
        "file": file,
        "keys": [keyid for keyid, one in made.keys.items() if one.revoked is None],
        "revoked": [keyid for keyid, one in made.keys.items() if one.revoked is not None],
        "clients": list(made.clients),
        "tokens": list(made.tokens),
    }


def _tell(made: Roster, file: str, *, as_json: bool) -> None:
    shape = _shape(made, file)
    if as_json:
        print_json(shape)
    else:
        names = ("keys", "revoked", "clients", "tokens")
        counts = ", ".join(f"{name}: {len(shape[name])}" for name in names)
        click.echo(f"{made.agreement}: roster {made.version} of {made.member}, {counts}")
