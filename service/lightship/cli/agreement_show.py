"""`lightship agreement show`: the agreements of a hub's directory, or how one stands at a remote hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightship.cli.command import Command, hub_option, json_option
from lightship.cli.local import hub_of
from lightship.cli.output import listing, print_json, print_rows, say
from lightship.cli.remote import asked_profile, client_of, remote_options
from lightship.core.time import Micros, format_stamp

if TYPE_CHECKING:
    from lightship.core.agreement import Agreement


@click.command(
    cls=Command,
    examples="""
    lightship agreement show
    lightship agreement show la-lb-mou --json
    lightship agreement show la-lb-mou --remote
    """,
)
@click.argument("name", default="", metavar="[ID]")
@hub_option
@remote_options
@json_option
def show(name: str, hub_dir: Path, remote: bool, profile_name: str, as_json: bool) -> None:
    """Show the agreements of a hub, or one with its members, collections and versions.

    A remote hub tells its members how the agreement stands now: status, versions, what is suspended, and
    whose roster lists which publish keys.
    """
    profile = asked_profile(remote, profile_name)
    if profile is not None:
        show_remote(name, profile, as_json=as_json)
    elif name:
        _show_one(name, hub_dir, as_json=as_json)
    else:
        _show_all(hub_dir, as_json=as_json)


def suspended(one: Mapping[str, Any]) -> str:
    """Return what is suspended by whom, in words."""
    who = f"key {one['key']}" if one["key"] else f"member {one['member']}" if one["member"] else "all members"
    return f"suspended by {one['party']} until {one['until']}: {who} ({one['reason']})"


def _show_all(hub_dir: Path, *, as_json: bool) -> None:
    """List the agreements; on stderr those that are not served."""
    with hub_of(hub_dir) as hub:
        now, view = hub.clock.now(), hub.directory.view()
    for broken, why in view.damaged.items():
        say(f"{broken} is not served: {why}")
    values = [_shape(one, now) for one in view.agreements.values()]
    if as_json:
        for one in values:
            print_json(one)
        return
    names = ("id", "status", "version", "authority", "members", "title")
    rows = [
        [", ".join(one[name]) if name == "members" else str(one[name]) for name in names] for one in values
    ]
    print_rows(rows, [name.upper() if name != "id" else "AGREEMENT" for name in names])


def _show_one(name: str, hub_dir: Path, *, as_json: bool) -> None:
    """Show an agreement with its members, collections, versions and own rules.

    Raises:
        NotFound: there is no such agreement.
    """
    from lightship.usecases import agreements

    with hub_of(hub_dir) as hub:
        now = hub.clock.now()
        shown = agreements.show(hub.registry, hub.directory.view(), name, now)
    value = _shape(shown.agreement, now)
    value["versions"] = [
        {"version": one.version, "sha256": one.digest, "activated": format_stamp(one.activated)}
        for one in shown.chain
    ]
    if as_json:
        print_json(value | {"rules": shown.agreement.rules})
        return
    listing({key: str(one) for key, one in value.items() if not isinstance(one, dict | list)})
    for slug, one in value["members"].items():
        click.echo(f"member {slug}: {one['name']} ({', '.join(one['roles'])})")
    for one in value["suspensions"]:
        click.echo(suspended(one))
    for one in value["collections"]:
        click.echo(f"collection {one['alias']}: {one['title']}, up to TLP:{one['ceiling'].upper()}")
    for one in value["versions"]:
        click.echo(f"version {one['version']}: in force since {one['activated']}, sha256 {one['sha256']}")
    if rules := shown.agreement.rules:
        click.echo(f"own rules, signed with version {value['version']}:")
        click.echo(rules, nl=not rules.endswith("\n"))


def _shape(one: Agreement, now: Micros) -> dict[str, Any]:
    """Return an agreement as `--json` prints it."""
    return {
        "id": one.id,
        "title": one.title,
        "status": one.status(now).value,
        "version": one.version,
        "authority": one.authority,
        "legal_basis": one.legal_basis,
        "not_before": format_stamp(one.not_before) if one.not_before is not None else None,
        "not_after": format_stamp(one.not_after) if one.not_after is not None else None,
        "sha256": one.digest,
        "members": {
            slug: {"name": member.name, "unlocode": member.unlocode, "roles": sorted(member.roles)}
            for slug, member in one.members.items()
        },
        "collections": [
            {"alias": held.alias, "id": held.id, "title": held.title, "ceiling": held.ceiling.value}
            for held in one.collections
        ],
        "suspensions": [stop.shape() for stop in one.stops(now)],
    }


def show_remote(name: str, profile_name: str, *, as_json: bool) -> None:
    """Print how an agreement stands, or with '' each one of the credential's.

    Raises:
        NotFound: the credential's member is not in it.
    """
    with client_of(profile_name) as client:
        names = [name] if name else [one.name for one in client.roots()]
        found = [client.agreement(one) for one in names]
    for one in found:
        if as_json:
            print_json(one)
        else:
            _print_remote(one)


def _print_remote(found: Mapping[str, Any]) -> None:
    listing({key: str(one) for key, one in found.items() if not isinstance(one, dict | list) and one})
    for one in found["suspensions"]:
        click.echo(suspended(one))
    for one in found["versions"]:
        click.echo(f"version {one['version']}: sha256 {one['sha256']}")
    for one in found["rosters"]:
        state = "" if one["in_force"] else ", not in force: the agreement names another admin key"
        click.echo(f"roster {one['version']} of {one['member']}: sha256 {one['sha256']}{state}")
        for key in one["keys"]:
            gone = f", revoked: {key['revoked']}" if key["revoked"] else ""
            gone += f", suspended until {key['suspended']}" if key["suspended"] else ""
            click.echo(f"  key {key['id']}{gone}")
    you = found["you"]
    click.echo(
        f"you are {you['name']} of {you['member']}, credential valid until {you['expires'] or 'revoked'}"
    )
