"""`lightship version`."""

from __future__ import annotations

import platform

import click

from lightship import __version__
from lightship.cli.command import Command, json_option
from lightship.cli.output import listing, print_json


@click.command(cls=Command, examples="lightship version\nlightship version --json")
@json_option
def version(as_json: bool) -> None:
    """Show the versions of Lightship and what it runs on."""
    import ssl
    from importlib.metadata import version as installed

    found = {
        "lightship": __version__,
        "python": platform.python_version(),
        "sqlite": installed("apsw"),
        "openssl": ssl.OPENSSL_VERSION,
        "platform": platform.platform(),
    }
    if as_json:
        print_json(found)
    else:
        listing(found)
