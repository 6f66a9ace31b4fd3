"""`lightship audit search`: who accessed what, when, and the rule that decided."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from lightship.cli.command import Command, Group, hub_option, json_option
from lightship.cli.local import Time, hub_of
from lightship.cli.output import print_json, print_rows, say
from lightship.core.time import Micros, format_stamp

if TYPE_CHECKING:
    from lightship.core.audit import AccessEvent


@click.group(cls=Group, examples="lightship audit search --member uslax --since 2026-04-01")
def audit() -> None:
    """Search the access log."""


@audit.command(
    cls=Command,
    examples="""
    lightship audit search --member uslax --since 2026-04-01
    lightship audit search --outcome refused --agreement la-lb-mou
    lightship audit search --principal uslax/splunk --json | jq .col
    """,
)
@click.option("--agreement", default="", help="Only of this agreement; `hub` = outside any.")
@click.option("--member", default="", help="Only by this member.")
@click.option("--principal", default="", help="Only by this credential: its name, member/name or id.")
@click.option("--collection", default="", help="Only of this collection: its id, or AGREEMENT/ALIAS.")
@click.option("--outcome", type=click.Choice(["ok", "refused", "failed"]), default=None)
@click.option("--action", default="", help="Only this act, e.g. publish, read-objects, credential-mint.")
@click.option("--since", type=Time(), default="1970-01-01", help="From this time on, UTC.")
@click.option("--until", type=Time(), default=None, help="Before this time, UTC.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True)
@hub_option
@json_option
def search(
    agreement: str,
    member: str,
    principal: str,
    collection: str,
    outcome: Literal["ok", "refused", "failed"] | None,
    action: str,
    since: Micros,
    until: Micros | None,
    limit: int,
    hub_dir: Path,
    as_json: bool,
) -> None:
    """Print access events, oldest first; all filters have to match. With --json one event a line.

    An event means that something was offered to who asked, not that it arrived.
    """
    from lightship.core.audit import AuditQuery
    from lightship.usecases.audit import search as search_events

    with hub_of(hub_dir) as hub:
        query = AuditQuery(
            agreement=agreement,
            member=member,
            principal=principal,
            collection=_collection_id(hub.directory, collection),
            outcome=outcome or "",
            action=action,
            since=since,
            until=until,
            limit=limit + 1,
        )
        events = _first(limit, search_events(hub.access, hub.registry, query))
        if as_json:
            for event in events:
                print_json(event_shape(event))
            return
        names = {one.id: one.name for one in hub.registry.credentials()}
        rows = [
            (
                format_stamp(event.at)[:-8] + "Z",
                event.outcome,
                str(event.st),
                event.act,
                event.who or "-",
                names.get(event.cred, event.cred) or "-",
                f"{event.agr}/{event.col[:8]}" if event.col else event.agr,
                str(event.n),
                event.why,
            )
            for event in events
        ]
        print_rows(rows, ("TIME", "OUTCOME", "ST", "ACT", "MEMBER", "PRINCIPAL", "WHERE", "N", "RULE"))


def _first(limit: int, events: Iterator[AccessEvent]) -> Iterator[AccessEvent]:
    """Yield the first events, and say so if there are more."""
    yield from islice(events, limit)
    if next(events, None) is not None:
        say(f"Only the oldest {limit} are shown: go on with --since, or raise --limit.")


def event_shape(event: AccessEvent) -> dict[str, Any]:
    """Return an event as `--json` prints it."""
    return {
        "req": event.req,
        "at": format_stamp(event.at),
        "outcome": event.outcome,
        "act": event.act,
        "agreement": event.agr,
        "member": event.who,
        "credential": event.cred,
        "collection": event.col,
        "query": event.q,
        "address": event.ip,
        "status": event.st,
        "rule": event.why,
        "objects": event.n,
        "first": format_stamp(event.first) if event.first else "",
        "last": format_stamp(event.last) if event.last else "",
    }


def _collection_id(directory: Any, name: str) -> str:
    agreement, slash, alias = name.partition("/")
    found = directory.view().collection(agreement, alias) if slash else None
    return found.id if found is not None else name
