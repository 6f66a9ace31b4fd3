"""`lightship backup` and `lightship restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightship.cli import exits
from lightship.cli.command import Command, hub_option, json_option
from lightship.cli.fsck import report_shape
from lightship.cli.local import hub_of, note, wall_clock
from lightship.cli.output import print_json, say, stages
from lightship.core.errors import LightshipError, StewardError

if TYPE_CHECKING:
    from lightship.storage.fsck_log import HubKey
    from lightship.storage.sqlite.access_tree import Sealer


@click.command(
    cls=Command,
    examples="""
    lightship backup hub-2026-04-01.tar
    lightship backup /backups/hub.tar.gz --hub /srv/hub --json
    """,
)
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@hub_option
@json_option
def backup(target: Path, hub_dir: Path, as_json: bool) -> None:
    """Copy the whole hub into one new file (mode 0600), also while it serves.

    It holds keys and everything shared: keep it as safe as the hub itself. That it was made is an access
    event.
    """
    from lightship.storage.backup import backup as make

    if not target.exists():
        _note(hub_dir, target)
    with stages() as progress:
        manifest = make(hub_dir, target, wall_clock(), progress)
    size = target.stat().st_size
    if as_json:
        print_json(
            {
                "file": str(target),
                "bytes": size,
                "made": manifest.made,
                "lightship": manifest.lightship,
                "needs": manifest.needs,
                "files": len(manifest.files),
            }
        )
    else:
        say(f"{target}: {len(manifest.files)} files, {size:,} bytes. It holds the hub's keys: keep it safe.")


@click.command(
    cls=Command,
    examples="""
    lightship restore hub-2026-04-01.tar --hub /srv/hub
    lightship restore hub-2026-04-01.tar --hub /srv/hub --force
    """,
)
@click.argument("archive", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--force", is_flag=True, help="Move aside what is in the directory; nothing is deleted.")
@hub_option
@json_option
def restore(archive: Path, force: bool, hub_dir: Path, as_json: bool) -> int:
    """Put a backup in place of a hub that is not running. Ends with 1 if what it held is damaged.

    Objects published after the backup was made are not in it; their publishers can publish them again.
    """
    from lightship.storage.restore import restore as put

    with stages() as progress:
        done = put(archive, hub_dir, wall_clock(), progress, force=force, keys=_keys)
    if as_json:
        print_json(
            {
                "hub": str(hub_dir),
                "made": done.manifest.made,
                "aside": str(done.aside) if done.aside is not None else None,
                "fsck": report_shape(done.fsck),
            }
        )
    else:
        say(f"{hub_dir} is as it was at {done.manifest.made}: {done.fsck.objects} objects.")
        if done.aside is not None:
            say(f"What was there is in {done.aside}.")
        for one in done.fsck.findings:
            click.echo(f"{one.where}: {one.what}")
    return exits.FAILED if done.fsck.findings else exits.OK


def _keys(hub_dir: Path) -> tuple[Sealer, HubKey]:
    """Return what signs for the hub in a directory, and what verifies it."""
    from lightship.crypto.sign import verify
    from lightship.keys.hub_key import load_hub_key
    from lightship.settings import load_settings
    from lightship.storage.fsck_log import HubKey
    from lightship.wiring import sealer_of

    key = load_hub_key(hub_dir)
    return sealer_of(load_settings(hub_dir), key), HubKey(key.public, verify)


def _note(hub_dir: Path, target: Path) -> None:
    """Record that all that is shared is copied; a hub that cannot be opened is copied all the same."""
    from lightship.storage.migrate import Kind, check
    from lightship.storage.sqlite.access_log import audit_files

    if not (hub_dir / "data" / "hub.db").is_file():
        return
    data = hub_dir / "data"
    files = [(data / "hub.db", Kind.HUB), *((path, Kind.AUDIT) for _, path in audit_files(data))]
    try:
        if any(check(path, kind).pending for path, kind in files):
            raise StewardError("its files are of another version")  # opening it would change them
        with hub_of(hub_dir) as hub:
            note(hub, "backup", asked=target.name)
    except LightshipError as error:
        say(f"This backup is not in the access log: {error}")
