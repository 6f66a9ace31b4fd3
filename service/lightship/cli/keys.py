"""`lightship keys generate|show|pin`: key files of a publisher, made here and never sent anywhere; pins."""

from __future__ import annotations

import os
from pathlib import Path

import click

from lightship.cli.command import Command, Group, json_option
from lightship.cli.local import wall_clock
from lightship.cli.output import print_json

_FILE = click.Path(path_type=Path, dir_okay=False)


def default_key() -> Path:
    """Return where this user's publish key is kept."""
    from lightship.client import config_dir
    from lightship.client.publish_key import FILE

    return config_dir(os.environ) / FILE


@click.group(cls=Group, examples="lightship keys generate")
def keys() -> None:
    """Make and show the keys with which a member signs."""


@keys.command(
    cls=Command,
    examples="""
    lightship keys generate
    lightship keys generate admin.key --json
    """,
)
@click.argument("file", required=False, type=_FILE)
@json_option
def generate(file: Path | None, as_json: bool) -> None:
    """Make an Ed25519 key in a new file, mode 0400; print what of it is public.

    Without FILE it is this machine's publish key. Each machine has one of its own. An admin key, which signs
    rosters, is such a file too: keep it offline.
    """
    from lightship.client import publish_key

    path = file or default_key()
    _show(path, publish_key.generate(path).public, as_json=as_json)


@keys.command(
    cls=Command,
    examples="""
    lightship keys show
    lightship keys show admin.key --json
    """,
)
@click.argument("file", required=False, type=_FILE)
@json_option
def show(file: Path | None, as_json: bool) -> None:
    """Print what is public of a key: its id, and its text for agreements and rosters."""
    from lightship.client import publish_key

    path = file or default_key()
    _show(path, publish_key.load(path).public, as_json=as_json)


@keys.command(
    cls=Command,
    examples="""
    lightship keys pin siem.pem
    lightship keys pin siem.pem --json
    """,
)
@click.argument("file", type=_FILE)
@json_option
def pin(file: Path, as_json: bool) -> None:
    """Print the pin of a client certificate, or of a public key, PEM: what rosters and credentials name.

    It is the SHA-256 of the public key (SubjectPublicKeyInfo), so a certificate that is renewed with the same
    key keeps it.
    """
    from lightship.client.certificate import read
    from lightship.core.time import format_stamp

    found = read(file, wall_clock())
    ends = format_stamp(found.not_after) if found.not_after is not None else None
    if as_json:
        print_json({"file": str(file), "pin": found.pin, "subject": found.subject, "not_after": ends})
    else:
        click.echo(
            f"file {file}\npin  {found.pin}" + (f"\nfor  {found.subject}\nends {ends}" if ends else "")
        )


def _show(path: Path, public: bytes, *, as_json: bool) -> None:
    from lightship.core.agreement.chain import key_text
    from lightship.core.dsse import key_id

    if as_json:
        print_json({"file": str(path), "id": key_id(public), "key": key_text(public)})
    else:
        click.echo(f"file {path}\nid   {key_id(public)}\nkey  {key_text(public)}")
