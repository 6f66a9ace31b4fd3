"""`lightship audit retire`: delete a year's access log when nobody has to keep it any more."""

from __future__ import annotations

from pathlib import Path

import click

from lightship.cli.command import Command, hub_option, json_option
from lightship.cli.local import data_of, hub_of, new_request, wall_clock
from lightship.cli.output import print_json, say


@click.command(
    cls=Command,
    examples="""
    lightship audit retire 2026
    lightship audit retire 2026 --delete
    """,
)
@click.argument("year", type=click.IntRange(1970, 9999))
@click.option("--delete", is_flag=True, help="Delete it; without this it is only looked at.")
@hub_option
@json_option
def retire(year: int, delete: bool, hub_dir: Path, as_json: bool) -> None:
    """Delete the access log of a YEAR whose retention is over: the whole file, of all agreements.

    Export it first (`lightship audit export AGREEMENT --year YEAR`). Without --delete nothing is deleted.
    """
    from lightship.core.agreement import AUDIT_RETENTION_DAYS
    from lightship.core.audit import HUB_SCOPE, STEWARD, AccessEvent
    from lightship.storage.audit_retire import delete_year, events_of, kept_until

    data = data_of(hub_dir)
    with hub_of(hub_dir) as hub:
        now, agreements = wall_clock(), hub.directory.view().agreements
        days = [one.audit_retention_days for one in agreements.values()] or [AUDIT_RETENTION_DAYS]
        until = kept_until(year, days)
        count = events_of(data, year, now, until)
        if delete:
            for scope in (HUB_SCOPE, *agreements):  # auditors of an agreement see no other log
                done_by = AccessEvent(
                    req=new_request(),
                    at=now,
                    act="audit-retire",
                    agr=scope,
                    cred=STEWARD,
                    q=str(year),
                    why=STEWARD,
                    n=count if scope == HUB_SCOPE else 0,
                )
                hub.access.record(done_by).result()
            delete_year(data, year)
    if as_json:
        print_json({"year": year, "events": count, "deleted": delete})
    elif delete:
        click.echo(f"The access log of {year} is deleted: {count:,} events")
    else:
        click.echo(f"The access log of {year} may be deleted: {count:,} events")
        say(f"Export it for each agreement, then: lightship audit retire {year} --delete")
