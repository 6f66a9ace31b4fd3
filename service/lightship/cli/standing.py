"""`lightship agreement show --remote`: how an agreement stands, as its members see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from lightship.cli.output import listing, print_json
from lightship.cli.remote import client_of


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
            _print(one)


def suspended(one: Mapping[str, Any]) -> str:
    """Return what is suspended by whom, in words."""
    who = f"key {one['key']}" if one["key"] else f"member {one['member']}" if one["member"] else "all members"
    return f"suspended by {one['party']} until {one['until']}: {who} ({one['reason']})"


def _print(found: Mapping[str, Any]) -> None:
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
