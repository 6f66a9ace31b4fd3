"""`lightship pull --verify`: what the hub hands out is checked against its log before it is written."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from lightship.cli import exits
from lightship.cli.output import dumps, say
from lightship.cli.remote import client_of
from lightship.core.time import Micros, format_stamp

if TYPE_CHECKING:
    from lightship.client.verifying import Report
    from lightship.core.log.findings import Finding
    from lightship.core.log.ledger import Gone

SHOWN = 20
"""Lines of each kind that are printed; JSON has all of them."""


def now() -> Micros:
    """Return this machine's time."""
    return Micros(time.time_ns() // 1000)


def pull_verified(
    collection: str,
    out: Path | None,
    state: Path,
    *,
    pinned: str,
    strict: bool,
    deletions: Path | None,
    profile_name: str,
    as_json: bool,
) -> int:
    """Pull what is new, verify it, write what may be used, then keep the state; return the exit code."""
    from lightship.client.kept_log import load, save
    from lightship.client.log_source import LogSource
    from lightship.client.verifying import first_look, pull
    from lightship.crypto.sign import verify

    kept = load(state, verify)
    fresh = kept is None
    with client_of(profile_name) as client:
        target = client.collection(collection)
        source = LogSource(client.connection, target.root, target.id)
        if kept is None:
            kept = first_look(source, verify, pinned_key=pinned)
        elif kept.log.collection != target.id:
            raise click.UsageError(f"{state} is of another collection: {kept.log.origin}")
        with pull(client.connection, target.path, source, kept, now) as done:
            report = done.report
            _write(out, (body + b"\n" for body in done.bodies()), append=not fresh)
            if deletions is not None:
                _write(deletions, (f"{dumps(_shape(one))}\n".encode() for one in report.gone), append=True)
            save(state, done.kept)
    if fresh and not pinned:
        say(f"First look: the agreement that begins with {kept.log.chain.hub} is pinned in {state}.")
        say("Compare it with what the steward or another member says (`lightship pull --root` pins a key).")
    failed = not report.ok or (strict and bool(report.warnings))
    if as_json:
        click.echo(dumps(summary(collection, report)), err=out is None)
    else:
        _tell(collection, report, failed=failed)
    return exits.FAILED if failed else exits.OK


def summary(collection: str, report: Report) -> dict[str, Any]:
    """Return a report as JSON."""
    return {
        "collection": collection,
        "objects": len(report.delivered),
        "added_after": format_stamp(report.reached) if report.reached else "",
        "proofs": dict(Counter(str(one.result) for one in report.delivered)),
        "failures": [
            {"id": one.id, "digest": one.digest, "failure": str(one.result)} for one in report.failures
        ],
        "missing": [{"id": one.id, "version": one.version, "digest": one.digest} for one in report.missing],
        "findings": [_finding(one) for one in report.findings],
        "warnings": [_finding(one) for one in report.warnings],
        "withdrawn": len(report.gone),
        "size": report.size,
        "authority": report.authority,
    }


def _finding(one: Finding) -> dict[str, Any]:
    return {"failure": one.failure, "entry": one.index, "object": one.object_id, "why": one.why}


def _shape(one: Gone) -> dict[str, Any]:
    return {
        "id": one.id,
        "version": one.version,
        "reason": one.reason,
        "at": format_stamp(one.at),
        "signed": one.signed,
        "entry": one.index,
    }


def _tell(collection: str, report: Report, *, failed: bool) -> None:
    """Print the verdict first, then what is wrong."""
    proofs = ", ".join(f"{n} {name}" for name, n in Counter(str(o.result) for o in report.delivered).items())
    verdict = "NOT VERIFIED" if failed else "verified"
    say(
        f"{collection}: {verdict}; {proofs or 'nothing new'}; "
        f"withdrawn: {len(report.gone)}; log of {report.size} entries, agreement signed by {report.authority}"
    )
    lines = [f"{one.result}: {one.id}" for one in report.failures]
    lines += [f"missing: {one.id} {one.version}" for one in report.missing]
    lines += [str(one) for one in report.findings]
    lines += [f"warning: {one}" for one in report.warnings]
    for line in lines[:SHOWN]:
        say(line)
    if len(lines) > SHOWN:
        say(f"and {len(lines) - SHOWN} more; --json has all of them")


def _write(path: Path | None, lines: Iterable[bytes], *, append: bool) -> None:
    """Write lines and make them durable."""
    if path is None:
        with click.open_file("-", "wb") as stdout:
            _copy(stdout, lines)
        return
    with path.open("ab" if append else "wb") as file:
        _copy(file, lines)
        os.fsync(file.fileno())


def _copy(file: IO[bytes], lines: Iterable[bytes]) -> None:
    file.writelines(lines)
    file.flush()
