"""`lightship evidence verify|accepted`: what a verifier found, shown to who was not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightship.cli import exits
from lightship.cli.command import Command, Group, json_option, profile_option
from lightship.cli.output import plain, print_json, say, style
from lightship.cli.remote import client_of
from lightship.core.errors import BadFile, Conflict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightship.client.evidence import Keeper
    from lightship.core.log.evidence_check import Judgement


@click.group(cls=Group, examples="lightship evidence verify verified.state.evidence/*.json --root hub.keys")
def evidence() -> None:
    """Verify what a verified pull kept as evidence; make a file of what the hub accepted."""


@evidence.command(
    cls=Command,
    examples="""
    lightship evidence verify verified.state.evidence/*.json --root hub.keys
    lightship evidence verify accepted.json --root hub.keys --json
    """,
)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option(
    "--root",
    "keys",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with keys of which one signed the agreement first, one a line, got by another way.",
)
@json_option
def verify(files: Sequence[Path], keys: Path | None, as_json: bool) -> int:
    """Verify evidence FILEs, without network and without the hub: that what each says did happen.

    A file shows one of five things: the hub signed two logs under one name; one key signed two statements
    under one number; the hub logged one statement twice; it logged two contents of one object version; or it
    accepted a statement. Ends with 1 if any of it is not proved, or if no key was given with --root.
    """
    from lightship.client.audit_files import own_file, read_pins
    from lightship.core.log.evidence import MAX_BYTES, decode
    from lightship.core.log.evidence_check import Judgement, judge
    from lightship.core.log.record import BadRecord
    from lightship.crypto.sign import verify as signature_holds

    pins = read_pins(own_file(keys).decode(errors="replace")) if keys is not None else ()
    proved = True
    for path in files:
        try:
            with path.open("rb") as file:
                found = judge(decode(file.read(MAX_BYTES + 1)), pins, signature_holds)
        except BadRecord as error:
            found = Judgement(findings=[(error.field, error.why)])
        proved = proved and found.proved
        if as_json:
            print_json(_shape(path, found))
        else:
            named = f"{path}: " if len(files) > 1 else ""
            click.echo(named + style(plain(found.verdict), fg="green" if found.proved else "red", bold=True))
            if found.authority:
                click.echo(plain(f"  agreement signed by: {found.authority}"))
    return exits.OK if proved else exits.FAILED


@evidence.command(
    cls=Command,
    examples="""
    lightship evidence accepted ~/.config/lightship/outbox/KEY/COLLECTION/delivered/FILE --out accepted.json
    """,
)
@click.argument("proof", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="A new file.")
@profile_option
@json_option
def accepted(proof: Path, out: Path, profile_name: str, as_json: bool) -> None:
    """Make evidence that the hub accepted a statement, of a PROOF that `publish --sign` keeps.

    With it stands what a reader needs who has neither hub nor outbox: the agreement's signed versions and the
    rosters that say whose the key is. These are asked for at the hub now.
    """
    from lightship.client.evidence import collection_of, of_delivery
    from lightship.client.log_source import LogSource
    from lightship.core.log.evidence import encode
    from lightship.core.log.evidence_check import judge
    from lightship.crypto.sign import verify as signature_holds

    if out.exists():
        raise Conflict(f"{out} exists", todo="Name another file")
    with client_of(profile_name) as client:
        target = client.collection(collection_of(proof))
        made = of_delivery(proof, LogSource(client.connection, target.root, target.id))
    found = judge(made, (), signature_holds)
    if found.findings:
        where, what = found.findings[0]
        raise BadFile("What the hub shows does not fit this proof", path=str(proof), why=f"{where}: {what}")
    out.write_bytes(encode(made))
    if as_json:
        print_json({"file": str(out), "kind": made.kind, "says": found.says})
    else:
        click.echo(f"{out}: {found.says}")


@contextmanager
def telling(state: Path, *, as_json: bool) -> Iterator[Keeper]:
    """Yield what keeps evidence beside a state; say at the end what was kept, unless JSON says it."""
    from lightship.client.evidence import Keeper

    keeper = Keeper(state)
    try:
        yield keeper
    finally:
        for path in () if as_json else keeper.kept:
            say(f"Evidence is kept: anybody can check it with lightship evidence verify {path} --root KEYS")
        if keeper.problem and not as_json:
            say(f"Not all evidence could be kept: {keeper.problem}")


def _shape(path: Path, found: Judgement) -> dict[str, Any]:
    return {
        "file": str(path),
        "proved": found.proved,
        "verdict": found.verdict,
        "kind": found.kind,
        "says": found.says,
        "authority": found.authority,
        "pinned": found.pinned,
        "findings": [{"where": where, "what": what} for where, what in found.findings],
    }
