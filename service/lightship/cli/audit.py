"""`lightship audit search`: who accessed what, when, and the rule that decided.

Reading the log is an access event itself, of the steward's on the hub's directory, else of the credential's.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from lightship.cli.audit_export import export
from lightship.cli.audit_retire import retire
from lightship.cli.command import Command, Group, hub_option, json_option
from lightship.cli.local import Time, hub_of, note
from lightship.cli.output import print_json, print_rows, say
from lightship.cli.remote import asked_profile, client_of, remote_options
from lightship.core.errors import MalformedRequest
from lightship.core.ids import is_stix_id
from lightship.core.time import Micros, format_stamp

if TYPE_CHECKING:
    from lightship.core.audit import AuditQuery
    from lightship.usecases.directory import HubView
    from lightship.wiring import Hub

Outcomes = Literal["ok", "refused", "failed"]


@click.group(
    cls=Group,
    examples="""
    lightship audit search --member uslax --since 2026-04-01
    lightship audit export la-lb-mou --out audit-2026-11
    """,
)
def audit() -> None:
    """Search and export the access log."""


audit.add_command(export)
audit.add_command(retire)


@audit.command(
    cls=Command,
    examples="""
    lightship audit search --member uslax --since 2026-04-01
    lightship audit search --outcome refused --agreement la-lb-mou
    lightship audit search --object indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f
    lightship audit search --principal uslax/splunk --json --remote | jq .collection
    """,
)
@click.option("--agreement", default="", help="Only of this agreement; `hub` = outside any.")
@click.option("--member", default="", help="Only by this member.")
@click.option("--principal", default="", help="Only by this credential: its name, member/name, id or pin.")
@click.option("--collection", default="", help="Only of this collection: its id, or AGREEMENT/ALIAS.")
@click.option("--outcome", type=click.Choice(["ok", "refused", "failed"]), default=None)
@click.option("--action", default="", help="Only this act, e.g. publish, read-objects, credential-mint.")
@click.option("--object", "object_id", metavar="ID", default="", help="Only what offered this object.")
@click.option("--since", type=Time(), default="1970-01-01", help="From this time on, UTC.")
@click.option("--until", type=Time(), default=None, help="Before this time, UTC.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True)
@hub_option
@remote_options
@json_option
def search(
    agreement: str,
    member: str,
    principal: str,
    collection: str,
    outcome: Outcomes | None,
    action: str,
    object_id: str,
    since: Micros,
    until: Micros | None,
    limit: int,
    hub_dir: Path,
    remote: bool,
    profile_name: str,
    as_json: bool,
) -> None:
    """Print access events, oldest first; all filters have to match. With --json one event a line.

    An event means that something was offered to who asked, not that it arrived. A remote hub shows an auditor
    its own member's events, a joint auditor those of the whole agreement; of other members only digests of
    what was asked for and from where.
    """
    if object_id and not is_stix_id(object_id):
        raise MalformedRequest(
            f"{object_id!r} is no STIX identifier", todo="Give an id such as indicator--8e2e2d2b-…"
        )
    filters = {"member": member, "principal": principal, "collection": collection, "outcome": outcome or ""}
    filters |= {"action": action, "object": object_id, "since": format_stamp(since) if since else ""}
    filters["until"] = "" if until is None else format_stamp(until)
    profile = asked_profile(remote, profile_name)
    if profile is None:
        found = _here(hub_dir, agreement, filters, since, until, limit)
    else:
        found = _there(profile, agreement, filters, limit)
    with closing(found):
        _show(found, limit, as_json)


def _show(events: Iterator[Mapping[str, Any]], limit: int, as_json: bool) -> None:
    """Print the first events, and say so if there are more."""
    shown = islice(events, limit)
    if as_json:
        for event in shown:
            print_json(event)
    else:
        rows = [_row(event) for event in shown]
        print_rows(rows, ("TIME", "OUTCOME", "ST", "ACT", "MEMBER", "PRINCIPAL", "WHERE", "N", "RULE"))
    if next(events, None) is not None:
        say(f"Only the oldest {limit} are shown: go on with --since, or raise --limit.")


def _row(event: Mapping[str, Any]) -> tuple[str, ...]:
    where = event["agreement"]
    return (
        event["at"][:-8] + "Z",
        event["outcome"],
        str(event["status"]),
        event["act"],
        event["member"] or "-",
        event["principal"] or event["credential"] or "-",
        f"{where}/{event['collection'][:8]}" if event["collection"] else where,
        str(event["objects"]),
        event["rule"],
    )


def _here(
    hub_dir: Path,
    agreement: str,
    filters: Mapping[str, str],
    since: Micros,
    until: Micros | None,
    limit: int,
) -> Generator[Mapping[str, Any]]:
    """Yield the events of a hub's directory, at most one more than the limit; the steward sees them whole."""
    from lightship.core.audit import AuditQuery
    from lightship.usecases import review
    from lightship.usecases.answers import event_shape
    from lightship.usecases.audit import named

    with hub_of(hub_dir) as hub:
        now = hub.clock.now()
        note(hub, "read-audit", agreement, "&".join(f"{name}={one}" for name, one in filters.items() if one))
        view = hub.directory.view()
        asked = AuditQuery(
            agreement=agreement,
            member=filters["member"],
            principal=filters["principal"],
            collection=_collection_id(view, filters["collection"]),
            outcome=filters["outcome"],  # type: ignore[arg-type]  # click let nothing else through
            action=filters["action"],
            since=since,
            until=now if until is None else min(until, now),
            limit=limit + 1,
        )
        query, test = named(hub.registry, asked), None
        if filters["object"]:
            spans = _spans(hub, view, query, filters["object"])
            query = review.narrowed(query, spans)
            test = review.offered_test(filters["object"], spans, hub.cursor_key)
        names = {one.id: one.name for one in hub.registry.credentials()}
        mark: review.Mark | None = review.Mark()
        while mark is not None:
            page = review.look(hub.access, query, mark, test)
            for event in page.events:
                yield event_shape(event, clear=True, principal=names.get(event.cred, ""))
            mark = page.next


def _spans(hub: Hub, view: HubView, query: AuditQuery, object_id: str) -> Any:
    """Return where and when the object was, in the agreements that are searched."""
    from lightship.core.access import Action, Grant, System
    from lightship.usecases import review

    steward = System("audit search")
    grants = [
        Grant(steward, Action.READ_AUDIT, collection, view.epoch)
        for one in view.agreements.values()
        if query.agreement in {"", one.id}
        for collection in one.collections
    ]
    return review.spans_of(hub.reader, grants, object_id)


def _there(
    profile: str, agreement: str, filters: Mapping[str, str], limit: int
) -> Generator[Mapping[str, Any]]:
    """Yield the events that a remote hub shows, at most one more than the limit."""
    from lightship.client import asking

    with client_of(profile) as client:
        names = [agreement] if agreement else [root.name for root in client.roots()]
        for name in names:
            held = dict(filters)
            if held["collection"].startswith(f"{name}/"):
                held["collection"] = held["collection"].partition("/")[2]
            yield from asking.events(client.connection, name, held, limit + 1)


def _collection_id(view: HubView, name: str) -> str:
    agreement, slash, alias = name.partition("/")
    found = view.collection(agreement, alias) if slash else None
    return found.id if found is not None else name
