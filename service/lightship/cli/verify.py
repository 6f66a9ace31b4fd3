"""`lightship verify`: an exported access log, without network and without the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightship.cli import exits
from lightship.cli.command import Command, json_option
from lightship.cli.output import plain, print_json, stages, style

if TYPE_CHECKING:
    from lightship.client.auditing import AuditReport

SHOWN = 20
"""Findings that are printed; --json lists more."""


@click.command(
    cls=Command,
    examples="""
    lightship verify audit-2026-11 --root hub.keys
    lightship verify audit-2026-11 --root hub.keys --since audit-2026-10/2026/checkpoint
    lightship verify audit-2026-11 --root hub.keys --receipts receipts/ --json
    """,
)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--root",
    "keys",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the hub's key, or the agreement's root keys, one a line, got by another way.",
)
@click.option(
    "--since",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="A checkpoint kept from an earlier export: the log must go on from it.",
)
@click.option(
    "--receipts",
    type=click.Path(path_type=Path, exists=True),
    help="Folder with values of Audit-Receipt headers, one a line: each must be in the log.",
)
@json_option
def verify(
    folder: Path, keys: Path | None, since: tuple[Path, ...], receipts: Path | None, as_json: bool
) -> int:
    """Verify what `lightship audit export` wrote: every entry, signature and time, and the agreement's chain.

    The first line is the verdict. Ends with 1 if anything does not hold, or if no key was given with --root:
    then it is only shown that the export holds together.
    """
    from lightship.client.audit_files import own_file, read_pins, read_receipts
    from lightship.client.auditing import verify_export

    with stages() as progress:
        report = verify_export(
            folder,
            pins=read_pins(own_file(keys).decode(errors="replace")) if keys is not None else (),
            since=[(str(path), own_file(path)) for path in since],
            receipts=read_receipts(receipts) if receipts is not None else (),
            progress=progress,
        )
    if as_json:
        print_json(report_shape(report))
        return exits.OK if report.ok else exits.FAILED
    click.echo(style(plain(report.verdict), fg="green" if report.ok else "red", bold=True))
    for one in report.findings.listed[:SHOWN]:
        click.echo(plain(f"  {one.where}: {one.what}"))
    if report.findings.count > SHOWN:
        click.echo(f"  and {report.findings.count - SHOWN} more")
    for log in report.logs:
        begin = f", from entry {log.begin:,} on" if log.begin else ""
        click.echo(plain(f"  {log.origin}: size {log.size:,}{begin}, root {log.root}"))
    click.echo(f"  hub key {report.keyid or '-'}")
    return exits.OK if report.ok else exits.FAILED


def report_shape(report: AuditReport) -> dict[str, Any]:
    """Return a report as `--json` prints it."""
    return {
        "ok": report.ok,
        "verdict": report.verdict,
        "agreement": report.agreement,
        "member": report.member,
        "authority": report.authority,
        "keyid": report.keyid,
        "pinned": report.pinned,
        "entries": report.entries,
        "logs": [
            {
                "origin": log.origin,
                "year": log.year,
                "size": log.size,
                "begin": log.begin,
                "entries": log.entries,
                "late": log.late,
                "root": log.root,
            }
            for log in report.logs
        ],
        "receipts": report.receipts,
        "older_checkpoints": report.older,
        "findings": [{"where": one.where, "what": one.what} for one in report.findings.listed],
        "findings_total": report.findings.count,
    }
