"""`lightship login`: how to reach a remote hub, kept as a profile; the secret never on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import click

from lightship.cli.command import Command, json_option
from lightship.cli.output import ask_secret, print_json, say
from lightship.core.errors import MalformedRequest

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True)


@click.command(
    cls=Command,
    examples="""
    lightship login https://hub.example:9443 --user uslax-splunk --ca-file ca.pem < secret.txt
    lightship login https://hub.example:9443 --user uslax-splunk --secret-file secret.txt
    lightship login https://hub.example:9443 --user uslax-splunk --secret-env HUB_SECRET --profile soc
    lightship login https://hub.example:9443 --client-cert siem.pem --client-key siem.key --ca-file ca.pem
    """,
)
@click.argument("url")
@click.option("--user", default="", help="The credential's name, e.g. uslax-splunk.")
@click.option(
    "--ca-file",
    type=_FILE,
    help="CA to trust; without it the system's certificates.",
)
@click.option(
    "--secret-file",
    type=_FILE,
    help="Read the secret from this file each time (mode 0600).",
)
@click.option("--secret-env", default="", help="Read the secret from this environment variable each time.")
@click.option(
    "--client-cert",
    type=_FILE,
    help="Show this certificate (PEM); without --user it alone says who it is.",
)
@click.option(
    "--client-key",
    type=_FILE,
    help="Its key (PEM, mode 0400), unless it is in the same file.",
)
@click.option("--profile", "name", default="", help="Name of the profile; else the hub's host name.")
@click.option("--no-check", is_flag=True, help="Keep the profile without asking the hub.")
@json_option
def login(
    url: str,
    user: str,
    ca_file: Path | None,
    secret_file: Path | None,
    secret_env: str,
    client_cert: Path | None,
    client_key: Path | None,
    name: str,
    no_check: bool,
    as_json: bool,
) -> None:
    """Keep how to reach a remote hub as a profile, and make it the default.

    The secret is read from stdin (asked for on a terminal) and kept in a file that only you can read, unless
    --secret-file or --secret-env says where it is. With --client-cert and no --user there is no secret.
    """
    from lightship.client import Client, Connection, Profile, config_dir, save_profile
    from lightship.client.connection import origin_of

    if secret_file and secret_env:
        raise click.UsageError("Give --secret-file or --secret-env, not both.")
    if not user and (client_cert is None or secret_file or secret_env):
        raise click.UsageError("Missing option '--user'; only a --client-cert alone needs none.")
    if client_key is not None and client_cert is None:
        raise click.UsageError("--client-key goes with --client-cert.")
    origin = origin_of(url)
    host = urlsplit(origin).hostname or "hub"
    profile = Profile(
        name=name or host.replace(".", "-").replace(":", "-"),
        url=origin,
        user=user,
        secret_file=secret_file,
        secret_env=secret_env,
        ca=ca_file,
        client_cert=client_cert,
        client_key=client_key,
    )
    typed: str | None = None
    if user and not secret_file and not secret_env:
        typed = ask_secret(f"Secret of {user}")
        if not typed:
            raise MalformedRequest(
                "No secret was given", todo="Send it on stdin: lightship login … < secret.txt"
            )
    roots: list[str] = []
    if not no_check:
        secret = typed if typed is not None else profile.secret(os.environ)
        with Client(Connection(origin, user, secret, ca=ca_file, client=profile.client)) as client:
            roots = [root.name for root in client.roots()]
    kept = save_profile(config_dir(os.environ), profile, typed, make_default=True)
    if as_json:
        print_json({"profile": kept.name, "url": kept.url, "user": kept.user, "agreements": roots})
        return
    say(f"Profile {kept.name} is kept and is the default now.")
    if roots:
        say(f"{user or 'The certificate'} belongs to: {', '.join(roots)}")
