"""`lightship collection list|show|vouch`: what a hub's agreements offer, as its steward sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightship.cli.command import Command, Group, hub_option, json_option
from lightship.cli.local import hub_of
from lightship.cli.output import listing, print_json, print_rows
from lightship.cli.vouch import vouch
from lightship.core.errors import NotFound

if TYPE_CHECKING:
    from lightship.core.agreement import Agreement
    from lightship.core.collection import Collection
    from lightship.wiring import Hub


@click.group(cls=Group, examples="lightship collection list\nlightship collection show la-lb-mou/indicators")
def collection() -> None:
    """Show the collections of a hub; vouch for the log of one."""


collection.add_command(vouch)


@collection.command(
    "list", cls=Command, examples="lightship collection list\nlightship collection list --json"
)
@click.argument("agreement", default="", metavar="[AGREEMENT]")
@hub_option
@json_option
def list_(agreement: str, hub_dir: Path, as_json: bool) -> None:
    """List the collections of all agreements, or of one. With --json one collection a line."""
    with hub_of(hub_dir) as hub:
        found = [one for one in _all(hub) if agreement in {"", one[0].id}]
    if agreement and not found:
        raise NotFound(f"There is no agreement {agreement} here", todo="See: lightship agreement show")
    if as_json:
        for home, one in found:
            print_json(shape(home, one))
        return
    rows = [
        (
            f"{one.agreement}/{one.alias}",
            one.title,
            one.ceiling.upper(),
            _names(one.audience),
            _names(one.publishers),
        )
        for _, one in found
    ]
    print_rows(rows, ("COLLECTION", "TITLE", "CEILING", "AUDIENCE", "PUBLISHERS"))


@collection.command(
    cls=Command,
    examples="""
    lightship collection show la-lb-mou/indicators
    lightship collection show la-lb-mou/indicators --json
    """,
)
@click.argument("name", metavar="AGREEMENT/ALIAS")
@hub_option
@json_option
def show(name: str, hub_dir: Path, as_json: bool) -> None:
    """Show one collection: who reads it, who writes, what it takes, and how much it holds."""
    from lightship.core.access import Action, Grant, System

    agreement, _, alias = name.partition("/")
    with hub_of(hub_dir) as hub:
        view = hub.directory.view()
        found = view.collection(agreement, alias)
        if found is None:
            known = ", ".join(f"{one.agreement}/{one.alias}" for _, one in _all(hub)) or "none"
            raise NotFound(f"There is no collection {name} here", why=f"there are: {known}")
        grant = Grant(System("collection show"), Action.READ, found, view.epoch)
        state = hub.reader.state(grant)
        value = shape(view.agreements[agreement], found)
        value |= {"objects": state.objects, "bytes": state.stored_bytes, "statements": state.size}
    if as_json:
        print_json(value)
        return
    flat = {**value, **value["settings"]}
    del flat["settings"]
    listing({key: ", ".join(one) if isinstance(one, list) else str(one) for key, one in flat.items()})


def shape(agreement: Agreement, one: Collection) -> dict[str, Any]:
    """Return a collection as `--json` prints it."""
    settings = one.settings
    authors = settings.authors
    return {
        "name": f"{one.agreement}/{one.alias}",
        "id": one.id,
        "title": one.title,
        "description": one.description,
        "agreement": agreement.id,
        "agreement_version": agreement.version,
        "ceiling": one.ceiling.value,
        "audience": sorted(one.audience),
        "publishers": sorted(one.publishers),
        "settings": {
            "unmarked": str(settings.unmarked),
            "authors": sorted(authors) if isinstance(authors, frozenset) else authors,
            "validation": settings.validation,
            "custom_objects": settings.custom_objects,
            "max_future_s": settings.max_future_s,
            "max_objects": settings.max_objects,
            "max_bytes": settings.max_bytes,
        },
    }


def _all(hub: Hub) -> Iterator[tuple[Agreement, Collection]]:
    for agreement in hub.directory.view().agreements.values():
        for one in agreement.collections:
            yield agreement, one


def _names(members: frozenset[str]) -> str:
    return ", ".join(sorted(members)) or "nobody"
