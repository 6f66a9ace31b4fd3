"""`lightship collection vouch`: the steward's word for a log that is not what the hub signed last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightship.cli import exits
from lightship.cli.command import Command, hub_option, json_option
from lightship.cli.local import data_of, hub_of, new_request
from lightship.cli.output import print_json, say, stages
from lightship.core.errors import LightshipError, MalformedRequest, NotFound

if TYPE_CHECKING:
    from lightship.core.access import Grant
    from lightship.core.audit import AccessEvent
    from lightship.core.log.merkle import Frontier
    from lightship.core.log.notes import Checkpoint
    from lightship.core.ports import Vouches
    from lightship.storage.fsck_log import HubKey
    from lightship.wiring import Hub

SHOWN = 20
_MAX_NOTE = 64 * 1024


@click.command(
    cls=Command,
    examples="""
    lightship collection vouch la-lb-mou/indicators
    lightship collection vouch la-lb-mou/indicators --since kept-by-a-consumer.checkpoint --json
    """,
)
@click.argument("name", metavar="AGREEMENT/ALIAS")
@click.option(
    "--since",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="A checkpoint of this log that somebody else kept: the log must go on from it.",
)
@hub_option
@json_option
def vouch(name: str, since: tuple[Path, ...], hub_dir: Path, as_json: bool) -> int:
    """Have the hub sign a collection's log as it stands, where its last signature does not fit it.

    Nothing can be published there until then. Everything is checked first, as `fsck` does; nothing else may
    be wrong, and the log must go on from the checkpoint that the hub signed last, where that is still there.
    Where it is not, the hub cannot tell whether entries were exchanged: ask consumers what they kept, or
    restore a backup instead. An access event says that it was done.
    """
    from lightship.crypto.sign import verify
    from lightship.keys.hub_key import load_hub_key
    from lightship.storage.fsck import fsck
    from lightship.storage.fsck_collection_log import CHECKPOINT_OF
    from lightship.storage.fsck_log import HubKey

    data, key = data_of(hub_dir), HubKey(load_hub_key(hub_dir).public, verify)
    kept = [(str(path), _checkpoint(path, key)) for path in since]
    with hub_of(hub_dir) as hub:
        grant, logs = _grant(hub, name), hub.vouching
        if logs is None:
            raise NotFound("This hub keeps no signed logs")
        tree = logs.tree(grant)
        kept += [("the checkpoint that the hub signed last", one) for one in _signed_last(hub, grant, key)]
        with stages() as progress:
            report = fsck(data, progress, key)
        problems = [f"{one.where}: {one.what}" for one in report.findings if CHECKPOINT_OF not in one.where]
        problems += [one for which, point in kept if (one := _differs(logs, grant, which, point, tree))]
        wrong = any(one.where == f"{CHECKPOINT_OF}{grant.collection.number}" for one in report.findings)
        if not problems and wrong:
            logs.vouch(grant, tree.size, tree.root, _event(hub, grant, tree))
    done = wrong and not problems
    if as_json:
        value = {"collection": name, "vouched": done, "size": tree.size, "root": tree.root.hex()}
        print_json(value | {"problems": problems})
    else:
        for one in problems[:SHOWN]:
            click.echo(one)
        if problems:
            say(f"Not signed: {len(problems)} findings. Restore a backup: lightship restore")
        elif not wrong:
            say(f"{name} is as the hub signed it; nothing was done.")
        else:
            say(f"{name} is signed as it stands: {tree.size} entries, root {tree.root.hex()}.")
    return exits.FAILED if problems else exits.OK


def _grant(hub: Hub, name: str) -> Grant:
    from lightship.core.access import Action, Grant, System

    agreement, _, alias = name.partition("/")
    view = hub.directory.view()
    found = view.collection(agreement, alias)
    if found is None:
        raise NotFound(f"There is no collection {name} here", todo="See `lightship collection list`")
    return Grant(System("collection vouch"), Action.READ, found, view.epoch)


def _event(hub: Hub, grant: Grant, tree: Frontier) -> AccessEvent:
    from lightship.core.audit import STEWARD, AccessEvent

    return AccessEvent(
        req=new_request(),
        at=hub.clock.now(),
        act="vouch-log",
        agr=grant.collection.agreement,
        cred=STEWARD,
        col=grant.collection.id,
        q=f"size={tree.size}&root={tree.root.hex()}",
        why=STEWARD,
    )


def _checkpoint(path: Path, key: HubKey) -> Checkpoint:
    with path.open("rb") as file:
        data = file.read(_MAX_NOTE)
    try:
        return _genuine(data, key)
    except LightshipError as error:
        raise MalformedRequest(f"{path} is no checkpoint of this hub", why=str(error)) from None


def _signed_last(hub: Hub, grant: Grant, key: HubKey) -> list[Checkpoint]:
    """Return the checkpoint that is stored, if this hub's key signed it for this log."""
    try:
        point = _genuine(hub.logs.checkpoint(grant), key)
    except LightshipError:
        return []
    return [point] if point.origin.endswith(f"/c/{grant.collection.id}") else []


def _genuine(data: bytes, key: HubKey) -> Checkpoint:
    from lightship.core.log.notes import NoteKey, parse_checkpoint, parse_note, verify_note

    note = parse_note(data)
    point = parse_checkpoint(note.text)
    verify_note(note, [NoteKey(point.origin, key.public)], key.verify)
    return point


def _differs(logs: Vouches, grant: Grant, which: str, point: Checkpoint, tree: Frontier) -> str:
    """Return how a log differs from a kept checkpoint, empty if it goes on from it."""
    from lightship.core.log.merkle import root

    if not point.origin.endswith(f"/c/{grant.collection.id}"):
        return f"{which}: it is of another log, {point.origin}"
    if point.size > tree.size:
        return f"{which}: it was signed over {point.size} entries, there are {tree.size}"
    found = root(lambda *at: logs.hashes(grant, *at), point.size)
    return "" if found == point.root else f"{which}: the first {point.size} entries were others"
