"""`lightship credential mint|list|rotate|revoke`: a new secret is shown once, or written to a file.

Or a client certificate instead of a secret: what is kept is the pin of its key.
"""

from __future__ import annotations

import os
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightship.cli.client_certificate import Chosen, certificate_options, check_options, chosen
from lightship.cli.command import Command, Group, hub_option, json_option
from lightship.cli.local import hub_of, new_request
from lightship.cli.output import print_json, print_rows, say
from lightship.core.errors import BadFile, Conflict
from lightship.core.time import Micros, format_stamp

if TYPE_CHECKING:
    from lightship.core.access import Credential
    from lightship.usecases.credentials import Minted, Order
    from lightship.wiring import Hub

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
    with _reserved(None if pinned else out), hub_of(hub_dir) as hub:
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
            _bind(hub, order, certificate, out, days, as_json=as_json)
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
        _show(hub, minted, product, out, as_json=as_json)


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
            _state(one, now),
            _day(one.expires),
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
    with _reserved(None if pinned else out), hub_of(hub_dir) as hub:
        if pinned:
            _bind_again(hub, name, certificate, out, days, as_json=as_json)
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
        _show(hub, minted, product, out, as_json=as_json)


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
        say(f"{gone.name} is revoked since {_day(gone.revoked)}.")


def shape(one: Credential, now: Micros) -> dict[str, Any]:
    """Return a credential as `--json` prints it; never a secret or its digest. A pin is public."""
    return {
        "name": one.name,
        "id": one.id,
        "kind": one.kind,
        "pin": one.pin or None,
        "agreement": one.agreement,
        "member": one.member,
        "state": _state(one, now),
        "created": format_stamp(one.created),
        "expires": format_stamp(one.expires) if one.expires is not None else None,
        "revoked": format_stamp(one.revoked) if one.revoked is not None else None,
        "allowed": list(one.allowed),
        "profile": one.profile,
        "note": one.note,
    }


@contextmanager
def _reserved(out: Path | None) -> Iterator[None]:
    """Make the file before anything is minted: a secret that cannot be written would be lost."""
    if out is None:
        yield
        return
    try:
        os.close(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise Conflict(f"{out} exists already", todo="Name a file that does not exist yet") from None
    except OSError as error:
        raise BadFile("The secret's file cannot be made", path=str(out), why=error.strerror or "") from None
    try:
        yield
    except BaseException:
        if out.stat().st_size == 0:
            out.unlink()
        raise


def _bind(
    hub: Hub,
    order: Order,
    certificate: Path | None,
    out: Path | None,
    days: int | None,
    *,
    as_json: bool,
) -> None:
    from lightship.usecases import pins

    view, name = hub.directory.view(), f"{order.member}-{order.name}"
    with chosen(hub, certificate, out, order.agreement, name, days) as taken:
        made = pins.bind(
            hub.registry,
            view,
            order,
            taken.shown,
            listed=hub.directory.clients(view),
            credential_id=str(uuid.uuid4()),
            req=new_request(),
            now=hub.clock.now(),
        )
    _show_bound(made, taken, hub.clock.now(), as_json=as_json)


def _bind_again(
    hub: Hub, name: str, certificate: Path | None, out: Path | None, days: int | None, *, as_json: bool
) -> None:
    from lightship.usecases import credentials, pins

    held = credentials.renewable(hub.registry, name, "certificate")
    listed = hub.directory.clients(hub.directory.view())
    with chosen(hub, certificate, out, held.agreement, held.name, days) as taken:
        made = pins.bind_again(
            hub.registry,
            name,
            taken.shown,
            listed=listed,
            req=new_request(),
            now=hub.clock.now(),
            days=days,
            days_max=hub.settings.credential_days_max,
        )
    if held.pin != made.pin and listed.get(held.pin) is not None:
        pins.revoke(
            hub.registry,
            held.pin,
            listed=listed,
            credential_id=str(uuid.uuid4()),
            req=new_request(),
            now=hub.clock.now(),
        )
        say("The member's roster lists the old key too, and would go on letting it in: it is revoked here.")
    _show_bound(made, taken, hub.clock.now(), as_json=as_json)


def _show_bound(made: Credential, taken: Chosen, now: Micros, *, as_json: bool) -> None:
    if as_json:
        files = {"certificate_file": taken.certificate_file, "key_file": taken.key_file}
        print_json(shape(made, now) | {name: str(path) for name, path in files.items() if path is not None})
        return
    say(f"Credential {made.name} for {made.agreement}, until {_day(made.expires)}: a client certificate.")
    click.echo(f"pin {made.pin}")
    if taken.key_file is not None:
        say(f"The certificate is in {taken.certificate_file}, its key in {taken.key_file}.")


def _show(hub: Hub, minted: Minted, product: str | None, out: Path | None, *, as_json: bool) -> None:
    """Hand the secret over, once: to stdout or to a new file, bare or within a product's settings."""
    one, secret = minted.credential, minted.secret.reveal()
    settings = _settings(hub, minted, product) if product else ""
    if out is not None:
        from lightship.client.profiles import write_private

        write_private(out, settings or secret + "\n")
    if as_json:
        value = shape(one, hub.clock.now())
        if out is not None:
            value["secret_file"] = str(out)
        else:
            value |= {"secret": secret} | ({"settings": settings} if product else {})
        print_json(value)
        return
    say(f"Credential {one.name} for {one.agreement}, until {_day(one.expires)}.")
    if out is not None:
        say(f"{'The settings with the secret are' if product else 'The secret is'} in {out}.")
        return
    click.echo(settings or f"user: {one.name}\nsecret: {secret}", nl=not settings)
    say("The secret is shown this once: keep it now.")


def _settings(hub: Hub, minted: Minted, product: str) -> str:
    from lightship.usecases.product_settings import settings_for

    agreement = hub.directory.view().agreements[minted.credential.agreement]
    ca = hub.dir.absolute() / "tls" / "ca.pem"
    return settings_for(
        product,
        minted,
        agreement,
        public_url=hub.settings.public_url,
        ca_file=str(ca) if ca.exists() else "",
    )


def _state(one: Credential, now: Micros) -> str:
    if one.revoked is not None:
        return "revoked"
    return "expired" if one.expires is not None and one.expires <= now else "valid"


def _day(at: Micros | None) -> str:
    return format_stamp(at)[:10] if at is not None else "never"
