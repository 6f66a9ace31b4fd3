"""`lightship audit export`: an agreement's access log as files that anybody verifies without the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightship.cli import exits
from lightship.cli.command import Command, hub_option, json_option
from lightship.cli.local import data_of, hub_of, note, wall_clock
from lightship.cli.output import print_json, say, stages
from lightship.core.errors import Damaged, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightship.core.log.notes import Checkpoint
    from lightship.core.ports import SignedAgreement
    from lightship.storage.audit_export import Exported
    from lightship.wiring import Hub


@click.command(
    cls=Command,
    examples="""
    lightship audit export la-lb-mou --out audit-2026-11
    lightship audit export la-lb-mou --year 2026 --since audit-2026-10/2026/checkpoint --out audit-2026-11
    lightship audit export la-lb-mou --member uslax --out uslax-2026
    """,
)
@click.argument("agreement")
@click.option(
    "--out",
    type=click.Path(path_type=Path, exists=False),
    required=True,
    help="A folder that does not exist yet.",
)
@click.option("--year", "years", type=click.IntRange(1970, 9999), multiple=True, help="Only this year's log.")
@click.option(
    "--since",
    "older",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="A checkpoint that the auditor keeps: leave out the entries before it.",
)
@click.option("--member", default="", help="Only this member's entries, with proofs and what was asked for.")
@hub_option
@json_option
def export(
    agreement: str,
    out: Path,
    years: tuple[int, ...],
    older: tuple[Path, ...],
    member: str,
    hub_dir: Path,
    as_json: bool,
) -> int:
    """Write the access log of AGREEMENT into a new folder, also while the hub serves.

    AGREEMENT `hub` is what lies outside any. An auditor verifies it with `lightship verify`, without the hub.
    A member's part shows that its entries are in the log, not that they are all. Ends with 1 if the hub
    cannot vouch for all entries, since some are not what it signed at their time: the export says so too.
    """
    from lightship.core.agreement.chain import key_text
    from lightship.keys.hub_key import load_hub_key
    from lightship.storage.audit_export import ExportRequest, export_log
    from lightship.wiring import sealer_of

    data = data_of(hub_dir)
    key = load_hub_key(hub_dir)
    since = {point.origin: point for point in map(_checkpoint, older)}
    with hub_of(hub_dir) as hub:
        chain = _chain(hub, agreement, member)
        note(hub, "audit-export", agreement, member)  # so it is in what is exported
        request = ExportRequest(
            scope=agreement,
            envelopes=[one.envelope for one in chain],
            key_text=key_text(key.public),
            made=wall_clock(),
            years=years,
            member=member,
            since=since,
        )
        sealer = sealer_of(hub.settings, key)
        with stages() as progress:
            done = export_log(data, out, request, sealer, progress)
    if as_json:
        print_json(
            {
                "out": str(out),
                "agreement": agreement,
                "member": member,
                "keyid": key.keyid,
                "key": key_text(key.public),
                "logs": [
                    {"origin": origin, "year": year, "entries": count}
                    for origin, (year, count) in zip(done.origins, done.entries.items(), strict=True)
                ],
                "unvouched": list(done.unvouched),
            }
        )
    else:
        _tell(out, done, key_text(key.public))
    return exits.FAILED if done.unvouched else exits.OK


def _tell(out: Path, done: Exported, key: str) -> None:
    for year, count in done.entries.items():
        click.echo(f"{out}/{year}: {count:,} entries")
    say(f"The hub's key, to be told to the auditor by another way: {key}")
    say(f"Verify it anywhere: lightship verify {out} --root KEYS (a file with that key)")
    for year in done.unvouched:
        say(
            f"The hub does not vouch for {year}: not all entries are what it signed at their time, and its "
            "checkpoint says so. See: lightship fsck"
        )


def _chain(hub: Hub, agreement: str, member: str) -> Sequence[SignedAgreement]:
    """Return all versions of an agreement, none of what lies outside any.

    Raises:
        NotFound: no such agreement, or it never had this member.
    """
    from lightship.core.audit import HUB_SCOPE

    if agreement != HUB_SCOPE and agreement not in hub.registry.agreement_ids():
        raise NotFound(f"There is no agreement `{agreement}`", todo="See `lightship collection list`")
    chain = hub.registry.chain(agreement) if agreement != HUB_SCOPE else ()
    members = _members([one.payload for one in chain]) if member else set()
    if member and member not in members:
        raise NotFound(
            f"`{agreement}` never had a member `{member}`",
            todo=f"There are: {', '.join(sorted(members)) or 'none'}",
        )
    return chain


def _members(payloads: Sequence[bytes]) -> set[str]:
    """Return all members that an agreement ever had."""
    try:
        return {str(name) for one in payloads for name in json.loads(one)["members"]}
    except (ValueError, KeyError, TypeError):
        raise Damaged(
            "The agreement cannot be read", todo="Run `lightship fsck`, then restore a backup"
        ) from None


def _checkpoint(path: Path) -> Checkpoint:
    """Return an older checkpoint; its signature is the verifier's to judge."""
    from lightship.client.audit_files import own_file
    from lightship.core.log.notes import parse_checkpoint, parse_note

    return parse_checkpoint(parse_note(own_file(path)).text)
