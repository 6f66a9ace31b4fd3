"""`lightship credential mint|list|rotate|revoke`: a new secret is shown once, or written to a file.

Or a client certificate instead of a secret: what is kept is the pin of its key.
"""

from __future__ import annotations

import secrets
import uuid
from pathlib import Path
from typing import Any

import click

from lightship.cli.command import Command, Group, hub_option, json_option
from lightship.cli.credential_certificate import bind, bind_again, certificate_options, check_options
from lightship.cli.credential_secret import reserved, show
from lightship.cli.credential_show import day, shape, state
from lightship.cli.local import hub_of, new_request
from lightship.cli.output import print_json, print_rows, say

PRODUCTS = ("splunk", "opencti", "sentinel", "misp", "taxii2-client", "curl")

_product_option = click.option(
    "--for", "product", type=click.Choice(PRODUCTS), help="Print settings under its field names."
)
_out_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write the secret (with --for: the settings) to this new file, mode 0600, not to stdout; an issued "
    "certificate and its key, mode 0400, to this new file or as two into this directory.",
)


@click.group(cls=Group, examples="lightship credential mint la-lb-mou uslax/splunk --for splunk")
def credential() -> None:
    """Mint, list, rotate and revoke the credentials of members."""


@credential.command(
    cls=Command,
    examples="""
    lightship credential mint la-lb-mou uslax/splunk --for splunk
    lightship credential mint la-lb-mou uslgb/feeder --days 90 --allow 192.0.2.0/24 --out feeder.secret
    lightship credential mint la-lb-mou uslax/elastic --profile empty-list --json
    lightship credential mint la-lb-mou uslax/siem --certificate siem.pem
    lightship credential mint la-lb-mou uslax/siem --issue-certificate --days 30 --out .
    """,
)
@click.argument("agreement")
@click.argument("name", metavar="MEMBER/NAME")
@_product_option
@click.option("--days", type=click.IntRange(1), help="How long it lasts; else `credential_days` of the hub.")
@click.option("--allow", "allowed", multiple=True, metavar="NETWORK", help="Only from here; may be repeated.")
@click.option(
    "--profile",
    type=click.Choice(["standard", "empty-list"]),
    default="standard",
    show_default=True,
    help="`empty-list` sends `objects: []` on empty pages (Elastic needs it).",
)
@click.option("--note", default="", help="What it is for.")
@_out_option
@certificate_options
@hub_option
@json_option
def mint(
    agreement: str,
    name: str,
    product: str | None,
    days: int | None,
    allowed: tuple[str, ...],
    profile: Any,
    note: str,
    out: Path | None,
    certificate: Path | None,
    issues: bool,
    hub_dir: Path,
    as_json: bool,
) -> None:
    """Make a credential for a member; its secret is shown this once and kept only as a digest.

    Its user name is MEMBER-NAME. It works as Basic password, Bearer, Token and X-API-Key. With a certificate
    instead, whoever shows its key in a TLS handshake comes in by it, without a user name; it ends with the
    certificate, if that is earlier.
    """
    from lightship.usecases import credentials

    member, short = credentials.split_name(name)
    pinned = check_options(certificate, issues, product, out)
    with reserved(None if pinned else out), hub_of(hub_dir) as hub:
        order = credentials.Order(
            agreement=agreement,
            member=member,
            name=short,
            days=hub.settings.credential_days if days is None else days,
            allowed=allowed,
            profile=profile,
            note=note,
            days_max=hub.settings.credential_days_max,
        )
        if pinned:
            bind(hub, order, certificate, out, days, as_json=as_json)
            return
        minted = credentials.mint(
            hub.registry,
            hub.directory.view(),
            order,
            entropy=secrets.token_bytes(32),
            credential_id=str(uuid.uuid4()),
            req=new_request(),
            now=hub.clock.now(),
        )
        show(hub, minted, product, out, as_json=as_json)


@credential.command(
    "list",
    cls=Command,
    examples="""
    lightship credential list
    lightship credential list la-lb-mou --json
    """,
)
@click.argument("agreement", default="", metavar="[AGREEMENT]")
@hub_option
@json_option
def list_(agreement: str, hub_dir: Path, as_json: bool) -> None:
    """List credentials, revoked and expired ones too; never secrets. With --json one a line."""
    from lightship.usecases import credentials

    with hub_of(hub_dir) as hub:
        now = hub.clock.now()
        found = credentials.listing(hub.registry, agreement or None)
    if as_json:
        for one in found:
            print_json(shape(one, now))
        return
    rows = [
        (
            one.name,
            one.agreement,
            one.kind,
            state(one, now),
            day(one.expires),
            ", ".join(one.allowed) or "anywhere",
            one.note,
        )
        for one in found
    ]
    print_rows(rows, ("NAME", "AGREEMENT", "KIND", "STATE", "EXPIRES", "FROM", "NOTE"))


@credential.command(
    cls=Command,
    examples="""
    lightship credential rotate uslax-splunk
    lightship credential rotate uslax/splunk --days 90 --out splunk.secret
    lightship credential rotate uslax/siem --issue-certificate --out siem-2.pem
    """,
)
@click.argument("name")
@_product_option
@click.option("--days", type=click.IntRange(1), help="How long the new one lasts; else as long as the old.")
@_out_option
@certificate_options
@hub_option
@json_option
def rotate(
    name: str,
    product: str | None,
    days: int | None,
    out: Path | None,
    certificate: Path | None,
    issues: bool,
    hub_dir: Path,
    as_json: bool,
) -> None:
    """Give a credential a new secret, or a new key; the old one stops with the next request."""
    from lightship.usecases import credentials

    pinned = check_options(certificate, issues, product, out)
    with reserved(None if pinned else out), hub_of(hub_dir) as hub:
        if pinned:
            bind_again(hub, name, certificate, out, days, as_json=as_json)
            return
        minted = credentials.rotate(
            hub.registry,
            name,
            entropy=secrets.token_bytes(32),
            req=new_request(),
            now=hub.clock.now(),
            days=days,
            days_max=hub.settings.credential_days_max,
        )
        show(hub, minted, product, out, as_json=as_json)


@credential.command(
    cls=Command,
    examples="""
    lightship credential revoke uslax-splunk
    lightship credential revoke uslax/splunk --json
    """,
)
@click.argument("name", metavar="NAME|PIN")
@hub_option
@json_option
def revoke(name: str, hub_dir: Path, as_json: bool) -> None:
    """Revoke a credential for good; its next request is refused, also while the hub serves.

    A client certificate that only a member's roster lists is named by its pin: it stays revoked, whatever
    later rosters list.
    """
    from lightship.usecases import pins

    with hub_of(hub_dir) as hub:
        now = hub.clock.now()
        gone = pins.revoke(
            hub.registry,
            name,
            listed=hub.directory.clients(hub.directory.view()),
            credential_id=str(uuid.uuid4()),
            req=new_request(),
            now=now,
        )
    if as_json:
        print_json(shape(gone, now))
    else:
        say(f"{gone.name} is revoked since {day(gone.revoked)}.")
