"""The command `lightship`: finds the command, turns errors into words and exit codes.

Commands are imported when they are used, so that `--help` and the small ones start fast.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import click

from lightship import __version__
from lightship.cli import exits
from lightship.cli.command import Group
from lightship.cli.output import explain, say
from lightship.core.errors import LightshipError, StewardError

COMMANDS = {
    "run": ("lightship.cli.run:run", "Make a hub, run the exercise on it, then serve."),
    "init": ("lightship.cli.init:init", "Make a hub's directory: keys, certificate, settings."),
    "serve": ("lightship.cli.serve:serve", "Serve the hub."),
    "agreement": ("lightship.cli.agreement:agreement", "Write, check and apply sharing agreements."),
    "collection": ("lightship.cli.collection:collection", "Show the collections of a hub."),
    "credential": ("lightship.cli.credential:credential", "Mint, list, rotate and revoke credentials."),
    "login": ("lightship.cli.login:login", "Keep how to reach a remote hub as a profile."),
    "keys": ("lightship.cli.keys:keys", "Make and show the keys with which a member signs."),
    "roster": ("lightship.cli.roster:roster", "Sign and apply a member's list of its keys."),
    "publish": ("lightship.cli.publish:publish", "Publish STIX files to a collection."),
    "withdraw": ("lightship.cli.withdraw:withdraw", "Take back what your member published."),
    "outbox": ("lightship.cli.outbox:outbox", "See what waits to be sent or was refused."),
    "pull": ("lightship.cli.pull:pull", "Pull a collection, or what is new in it."),
    "staged": ("lightship.cli.staged:staged", "See what waits for its release, and take it back."),
    "monitor": ("lightship.cli.monitor:monitor", "Show what a log says in our name."),
    "evidence": ("lightship.cli.evidence:evidence", "Verify what a verified pull kept as evidence."),
    "status": ("lightship.cli.status:status", "Show what a credential sees, or what came of a post."),
    "audit": ("lightship.cli.audit:audit", "Search and export the access log."),
    "verify": ("lightship.cli.verify:verify", "Verify an exported access log, without the hub."),
    "why": ("lightship.cli.why:why", "Say who may do what, by which rule, and what was missing."),
    "audience": ("lightship.cli.why:audience", "Show who would read what is published."),
    "policy": ("lightship.cli.policy:policy", "Test the rules of access, and list them."),
    "backup": ("lightship.cli.backup:backup", "Copy the hub's data while it serves."),
    "restore": ("lightship.cli.backup:restore", "Put a backup in place of the hub's data."),
    "fsck": ("lightship.cli.fsck:fsck", "Check that what is stored holds together."),
    "migrate": ("lightship.cli.fsck:migrate", "Bring the hub's files to this version."),
    "doctor": ("lightship.cli.doctor:doctor", "Look for what is wrong, at a remote hub or a local one."),
    "version": ("lightship.cli.version:version", "Show the versions of Lightship and what it runs on."),
}


@click.group(
    cls=Group,
    lazy=COMMANDS,
    examples="""
    lightship run
    lightship init --public-url https://hub.example:9443
    lightship agreement new my-ports --member USLAX --member USLGB
    lightship publish report.json --to my-ports/indicators
    lightship pull my-ports/indicators --state pull.state --out indicators.ndjson
    """,
    epilog="Exit codes: 0 ok, 1 a check failed, 2 wrong use, 3 refused, 4 unreachable.",
)
@click.version_option(__version__, prog_name="lightship")
def cli() -> None:
    """A TAXII 2.1 hub over which seaports share cyber threat intelligence."""


def execute(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. Nothing is asked without a terminal."""
    as_json = "--json" in arguments
    try:
        code = cli.main(list(arguments), prog_name="lightship", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return exits.USAGE
    except click.Abort:
        say("Interrupted")
        return exits.INTERRUPTED
    except LightshipError as error:
        explain(error, as_json=as_json)
        return exits.code_of(error)
    except SystemExit:
        return exits.OK  # click's way to say that the reader of our output has gone; nothing else raises it
    except OSError as error:
        named = f"{error.filename}: " if error.filename is not None else ""
        explain(
            StewardError("A file cannot be read or written", why=f"{named}{error.strerror or error}"),
            as_json=as_json,
        )
        _flush_or_drop()
        return exits.USAGE
    return code if isinstance(code, int) else exits.OK


def _flush_or_drop() -> None:
    """Write what waits for stdout; if nothing takes it, drop it, or the interpreter stumbles over it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_closed() -> None:
    """Open what the caller closed (`>&-`), so that no other file gets its number; writing to stdout fails."""
    for number, name, flags in (
        (0, "stdin", os.O_RDONLY),
        (1, "stdout", os.O_RDONLY),
        (2, "stderr", os.O_WRONLY),
    ):
        if getattr(sys, name) is None and os.open(os.devnull, flags) == number:
            file = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115 -- as long as the process
            setattr(sys, name, file)


def main() -> None:
    """Entry point of the command `lightship`."""
    _open_closed()
    if isinstance(sys.stdout, io.TextIOWrapper):  # as stderr: what the encoding cannot write is no end
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(execute(sys.argv[1:]))


if __name__ == "__main__":
    main()
