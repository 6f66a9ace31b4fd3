"""`lightship fsck` and `lightship migrate`: what is stored holds together, and fits this version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightship.cli import exits
from lightship.cli.command import Command, hub_option, json_option
from lightship.cli.local import data_of, wall_clock
from lightship.cli.output import plain, print_json, print_rows, say, stages

if TYPE_CHECKING:
    from lightship.core.ports import FsckReport
    from lightship.storage.migrate import MigrationReport


@click.command(
    cls=Command,
    examples="""
    lightship fsck
    lightship fsck --hub /srv/hub --json
    """,
)
@hub_option
@json_option
def fsck(hub_dir: Path, as_json: bool) -> int:
    """Check that everything stored holds together, also while the hub serves. Changes nothing.

    Ends with 1 if something does not; each finding says where.
    """
    from lightship.crypto.sign import verify
    from lightship.keys.hub_key import load_hub_key
    from lightship.storage.fsck import fsck as examine
    from lightship.storage.fsck_log import HubKey

    data = data_of(hub_dir)
    key = HubKey(load_hub_key(hub_dir).public, verify)
    with stages() as progress:
        report = examine(data, progress, key)
    if as_json:
        print_json(report_shape(report))
    else:
        for one in report.findings:
            click.echo(plain(f"{one.where}: {one.what}"))
        verdict = f"{len(report.findings)} findings" if report.findings else "clean"
        click.echo(
            f"{verdict}: {report.objects} object versions, {report.statements} statements, "
            f"{report.events} access events"
        )
    return exits.FAILED if report.findings else exits.OK


@click.command(
    cls=Command,
    examples="""
    lightship migrate --check
    lightship migrate --hub /srv/hub
    """,
)
@click.option("--check", "only_check", is_flag=True, help="Say what would run; change nothing.")
@hub_option
@json_option
def migrate(only_check: bool, hub_dir: Path, as_json: bool) -> int:
    """Bring the hub's files to this version, each backed up first.

    `serve` does it too, but only here does the hub sign what it holds from before there were logs: run it
    first after such an update. With --check it ends with 1 if something is to be done.
    """
    from lightship.keys.hub_key import load_hub_key
    from lightship.settings import load_settings
    from lightship.storage.migrate import Kind
    from lightship.storage.migrate import check as check_file
    from lightship.storage.migrate import migrate as run
    from lightship.storage.sqlite.access_log import audit_files
    from lightship.wiring import sealer_of

    data = data_of(hub_dir)
    files = [(data / "hub.db", Kind.HUB), *((path, Kind.AUDIT) for _, path in audit_files(data))]
    sealer = sealer_of(load_settings(hub_dir), load_hub_key(hub_dir))
    reports = [
        check_file(path, kind) if only_check else run(path, kind, wall_clock(), sealer=sealer)
        for path, kind in files
    ]
    if as_json:
        for one in reports:
            print_json(_migration_shape(one))
    else:
        rows = [
            (one.path.name, str(one.found), str(one.newest), ", ".join(one.pending) or "nothing")
            for one in reports
        ]
        print_rows(rows, ("FILE", "SCHEMA", "NEWEST", "TO DO" if only_check else "DONE"))
        for one in reports:
            if one.backup is not None:
                say(f"{one.path.name} was copied to {one.backup} first.")
    return exits.FAILED if only_check and any(one.pending for one in reports) else exits.OK


def report_shape(report: FsckReport) -> dict[str, Any]:
    """Return a report of fsck as `--json` prints it."""
    return {
        "clean": not report.findings,
        "objects": report.objects,
        "statements": report.statements,
        "events": report.events,
        "findings": [{"where": one.where, "what": one.what} for one in report.findings],
    }


def _migration_shape(one: MigrationReport) -> dict[str, Any]:
    return {
        "file": one.path.name,
        "kind": one.kind.value,
        "schema": one.found,
        "newest": one.newest,
        "migrations": list(one.pending),
        "backup": str(one.backup) if one.backup is not None else None,
    }
