"""What `lightship credential` does with a new secret: show it once, or write it to a file that nobody had.

The file is made before the secret is, and taken away again if there will be none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightship.cli.credential_show import day, shape
from lightship.cli.output import print_json, say
from lightship.core.errors import BadFile, Conflict

if TYPE_CHECKING:
    from lightship.usecases.credentials import Minted
    from lightship.wiring import Hub


@contextmanager
def reserved(out: Path | None) -> Iterator[None]:
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


def show(hub: Hub, minted: Minted, product: str | None, out: Path | None, *, as_json: bool) -> None:
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
    say(f"Credential {one.name} for {one.agreement}, until {day(one.expires)}.")
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
