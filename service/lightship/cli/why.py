"""`lightship why` and `lightship audience`: what the rules say and who would read, before it is sent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightship.cli.command import Command, hub_option, json_option
from lightship.cli.local import Time, hub_of, wall_clock
from lightship.cli.output import print_json, print_rows
from lightship.core.access import Action
from lightship.core.errors import BadFile
from lightship.core.time import Micros

if TYPE_CHECKING:
    from lightship.core.explanation import Explanation
    from lightship.usecases.explain import Answer, Spot
    from lightship.wiring import Hub

_object_option = click.option(
    "--object",
    "file",
    metavar="FILE|-",
    help="About publishing these objects: a STIX bundle, list, object or NDJSON.",
)
_at_option = click.option("--at", type=Time(), default=None, help="Ask for this time, UTC; else for now.")


@click.command(
    cls=Command,
    examples="""
    lightship why uslax/splunk read la-lb-mou/indicators
    lightship why uslgb publish la-lb-mou/warnings --object report.json
    lightship why uslax read la-lb-mou/incidents --at 2028-02-01 --json
    """,
)
@click.argument("principal")
@click.argument("action", type=click.Choice([one.value for one in Action]))
@click.argument("collection", metavar="AGREEMENT/COLLECTION")
@_object_option
@_at_option
@hub_option
@json_option
def why(
    principal: str,
    action: str,
    collection: str,
    file: str | None,
    at: Micros | None,
    hub_dir: Path,
    as_json: bool,
) -> None:
    """Say whether somebody may do something, by which rules, and what was missing.

    PRINCIPAL is a member, or a credential by its name, MEMBER/NAME or id. What the hub holds already (owners,
    conflicts, quotas) is decided only when an object is posted.
    """
    from lightship.usecases import explain

    if file is not None and action != Action.PUBLISH:
        raise click.UsageError("--object is about publishing: use the action publish")
    now = wall_clock() if at is None else at
    with hub_of(hub_dir) as hub:
        spot = explain.find_spot(hub.directory.view(), collection)
        asker = explain.find_asker(hub.registry, spot.agreement, principal, now)
        if file is None:
            answers = [
                explain.Answer("", explain.why(hub.decisions, asker, Action(action), spot, now)),
            ]
        else:
            answers = list(explain.why_objects(hub.decisions, hub.ingest, asker, spot, _objects(file), now))
    for answer in answers:
        if as_json:
            asked = {"principal": principal, "member": asker.principal.member, "action": action}
            print_json(asked | {"collection": collection} | answer_shape(answer))
        else:
            _print(f"{principal} {action} {collection}", answer)


@click.command(
    cls=Command,
    examples="""
    lightship audience la-lb-mou/indicators
    lightship audience san-pedro-stakeholders/advisories --object advisory.json
    """,
)
@click.argument("collection", metavar="AGREEMENT/COLLECTION")
@_object_option
@_at_option
@hub_option
@json_option
def audience(collection: str, file: str | None, at: Micros | None, hub_dir: Path, as_json: bool) -> None:
    """Show who reads a collection, by name and number of clients, before something is sent there.

    With --object also which publisher may post each object, and why another may not.
    """
    from lightship.usecases import explain

    now = wall_clock() if at is None else at
    with hub_of(hub_dir) as hub:
        spot = explain.find_spot(hub.directory.view(), collection)
        readers = explain.audience(hub.decisions, hub.registry, spot, now)
        objects = [] if file is None else _published(hub, spot, _objects(file), now)
    status = spot.agreement.status(now).value
    if as_json:
        shape: dict[str, Any] = {"collection": collection, "status": status}
        shape["readers"] = [
            {"member": one.member, "name": one.name, "clients": one.clients} for one in readers
        ]
        print_json(shape | ({} if file is None else {"objects": objects}))
        return
    if not readers:
        click.echo(f"Nobody reads {collection}: the agreement is {status}")
    print_rows([(one.member, one.name, str(one.clients)) for one in readers], ("MEMBER", "NAME", "CLIENTS"))
    for one in objects:
        click.echo("")
        click.echo(f"{one['id']}: taken from {', '.join(one['taken_from']) or 'nobody'}")
        for refused in one["refused"]:
            click.echo(f"  not from {refused['member']}: {refused['say']} ({refused['rule']})")


def answer_shape(answer: Answer) -> dict[str, Any]:
    """Return an explanation as `--json` prints it."""
    found = answer.explanation
    shape = {
        "allowed": found.decision.allowed,
        "rule": found.decision.rule,
        "say": found.decision.say,
        "reasons": [{"rule": one.rule, "say": one.say} for one in found.reasons],
        "permits": [
            {
                "rule": one.rule,
                "say": one.say,
                "holds": one.holds,
                "conditions": [{"text": part.text, "holds": part.holds} for part in one.conditions],
            }
            for one in found.permits
        ],
    }
    return shape | ({"object": answer.object_id} if answer.object_id else {})


def _print(asked: str, answer: Answer) -> None:
    found: Explanation = answer.explanation
    about = f"{asked} {answer.object_id}".rstrip()
    click.echo(f"{'allowed' if found.decision.allowed else 'refused'}: {about}")
    for one in found.reasons:
        click.echo(f"  {one.rule}: {one.say}")
    if not found.reasons:
        click.echo(f"  {found.decision.rule}: {found.decision.say}")
    if found.decision.allowed:
        return
    for near in found.permits:
        click.echo(f"  the permit {near.rule} {'holds' if near.holds else 'does not hold'}:")
        for part in near.conditions:
            click.echo(f"    {'yes' if part.holds else 'no '}  {part.text}")


def _published(hub: Hub, spot: Spot, objects: list[bytes], now: Micros) -> list[dict[str, Any]]:
    """Return for each object from which publishers it is taken, and why not from others."""
    from lightship.usecases import explain

    found: list[dict[str, Any]] = []
    for slug in sorted(spot.collection.publishers):
        asker = explain.find_asker(hub.registry, spot.agreement, slug, now)
        answers = explain.why_objects(hub.decisions, hub.ingest, asker, spot, objects, now)
        for place, answer in enumerate(answers):
            if place == len(found):
                found.append({"id": answer.object_id, "taken_from": [], "refused": []})
            decision = answer.explanation.decision
            if decision.allowed:
                found[place]["taken_from"].append(slug)
            else:
                found[place]["refused"].append({"member": slug, "rule": decision.rule, "say": decision.say})
    return found


def _objects(file: str) -> list[bytes]:
    from lightship_feeds.stix_bundle import StixBundle

    if file == "-":
        return [one.raw for one in StixBundle().read(sys.stdin.buffer, "stdin")]
    try:
        with Path(file).open("rb") as source:
            return [one.raw for one in StixBundle().read(source, file)]
    except OSError as error:
        raise BadFile("The file cannot be read", path=file, why=error.strerror or "") from None
