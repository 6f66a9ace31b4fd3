"""`lightship init`: a hub's directory."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from lightship.cli.command import Command, hub_option, json_option
from lightship.cli.local import wall_clock
from lightship.cli.output import listing, print_json, say


@click.command(
    cls=Command,
    examples="""
    lightship init --public-url https://hub.example:9443
    lightship init --public-url https://hub.example --tls-cert chain.pem --tls-key key.pem --hub /srv/hub
    """,
)
@click.option(
    "--public-url", default="https://localhost:9443", show_default=True, help="The URL that clients use."
)
@click.option("--listen", default=None, help="Address and port to bind; else the URL's port.")
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Your certificate with its chain, PEM; without it a private CA is made.",
)
@click.option("--tls-key", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Its key, PEM.")
@hub_option
@json_option
def init(
    public_url: str,
    listen: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    hub_dir: Path,
    as_json: bool,
) -> None:
    """Make a hub's directory: keys, certificate, settings, empty data. No account and no password.

    Without a certificate of your own a private CA is made: give its file, tls/ca.pem, to those who connect.
    """
    from lightship.data import cert_profile
    from lightship.keys.authority import KeyMaker
    from lightship.usecases.initialise import init_hub
    from lightship.wiring import open_hub

    made = init_hub(
        hub_dir,
        public_url,
        tls_cert,
        tls_key,
        keys=KeyMaker(cert_profile),
        cursor_key=secrets.token_bytes(32),
        now=wall_clock(),
        listen=listen,
    )
    open_hub(hub_dir).close()  # makes the data files, so that backup, fsck and doctor find them
    for warning in made.warnings:
        say(f"Warning: {warning}")
    if as_json:
        print_json(
            {
                "hub": str(made.dir),
                "public_url": made.public_url,
                "listen": made.listen,
                "hub_key": made.hub_key,
                "ca": str(made.ca) if made.ca is not None else None,
                "warnings": list(made.warnings),
            }
        )
        return
    listing(
        {
            "hub": str(made.dir),
            "public url": made.public_url,
            "listens on": made.listen,
            "CA for clients": str(made.ca) if made.ca is not None else "that of your certificate",
        }
    )
    say(f"Next: lightship agreement new my-ports --member USLAX --member USLGB --hub {made.dir}")
