"""The key that a verified log must begin with, as it is named on the command line."""

from __future__ import annotations

from pathlib import Path

import click

from lightship.core.errors import MalformedRequest


class Pin(click.ParamType[str]):
    """A key: its id of 64 hex digits, `ed25519:…`, `name+hash+key`, or a file with one; gives the id."""

    name = "key"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the id, empty for none; or end with a usage error: a wrong pin would accuse the hub."""
        from lightship.client.audit_files import own_file, read_pins

        text = str(value)
        if not text:
            return ""
        try:
            found = read_pins(own_file(Path(text)).decode(errors="replace") if Path(text).is_file() else text)
        except MalformedRequest as error:
            self.fail(str(error), param, ctx)
        if len(found) != 1:
            self.fail(f"there are {len(found)} keys in {text}: name the one that signed first", param, ctx)
        return found[0]
