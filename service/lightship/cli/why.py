"""`lightship why` and `lightship audience`: what the rules say and who would read, before it is sent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lightship.cli.command import REPORTING, Command, hub_option, json_option
from lightship.cli.local import Time, hub_of, wall_clock
from lightship.cli.output import print_json, print_rows, say
from lightship.cli.remote import asked_profile, client_of, remote_options
from lightship.core.access import Action
from lightship.core.errors import BadFile
from lightship.core.time import Micros

if TYPE_CHECKING:
    from lightship.usecases.explain import Explain, Reader, Spot
    from lightship.wiring import Hub

MYSELF = "me"
"""Stands for who asks a remote hub."""

F = TypeVar("F", bound=Callable[..., Any])


def asking_options(function: F) -> F:
    """Add what both commands take: `--object`, `--sign`, `--at`, where to ask, and `--json`."""
    about = click.option(
        "--object",
        "file",
        metavar="FILE|-",
        help="About publishing these objects: a STIX bundle, list, object or NDJSON.",
    )
    sign = click.option("--sign", "signed", is_flag=True, help="As `publish --sign` would do it.")
    at = click.option("--at", type=Time(), default=None, help="Ask for this time, UTC; else for now.")
    return about(sign(at(hub_option(remote_options(json_option(function))))))


_certificate_option = click.option(
    "--certificate",
    is_flag=True,
    help="As if a pinned client certificate were shown as well; a remote hub goes by the connection's.",
)


@click.command(
    cls=Command,
    examples="""
    lightship why uslax/splunk read la-lb-mou/indicators
    lightship why uslgb publish la-lb-mou/warnings --object report.json
    lightship why uslgb publish la-lb-mou/warnings --sign
    lightship why uslax read la-lb-mou/incidents --at 2028-02-01 --json
    lightship why me publish la-lb-mou/warnings --object report.json --remote
    """,
)
@click.argument("principal")
@click.argument("action", type=click.Choice([one.value for one in Action]))
@click.argument("collection", metavar="AGREEMENT/COLLECTION")
@asking_options
@_certificate_option
def why(
    principal: str,
    action: str,
    collection: str,
    file: str | None,
    signed: bool,
    certificate: bool,
    at: Micros | None,
    hub_dir: Path,
    remote: bool,
    profile_name: str,
    as_json: bool,
) -> None:
    """Say whether somebody may do something, by which rules, and what was missing.

    PRINCIPAL is a member, or a client by its name, MEMBER/NAME, id or the pin of its certificate. A remote
    hub tells everybody about itself (PRINCIPAL `me`) and its own member, auditors about those whose access
    they review. What the hub holds already (owners, conflicts, quotas) is decided only when an object is
    posted.
    """
    if file is not None and action != Action.PUBLISH:
        raise click.UsageError("--object is about publishing: use the action publish")
    objects = None if file is None else _objects(file)
    profile = asked_profile(remote, profile_name)
    if profile is None:
        how = {"signed": signed, "certificate": certificate}
        answers = _why_here(hub_dir, principal, action, collection, objects, at, **how)
    else:
        answers = _why_there(profile, principal, action, collection, objects, at, signed=signed)
    for answer in answers:
        if as_json:
            print_json(answer)
        else:
            _print(f"{principal} {action} {collection}", answer)


@click.command(
    cls=Command,
    examples="""
    lightship audience la-lb-mou/indicators
    lightship audience san-pedro-stakeholders/advisories --object advisory.json
    lightship audience la-lb-mou/warnings --object report.json --remote
    """,
)
@click.argument("collection", metavar="AGREEMENT/COLLECTION")
@asking_options
def audience(
    collection: str,
    file: str | None,
    signed: bool,
    at: Micros | None,
    hub_dir: Path,
    remote: bool,
    profile_name: str,
    as_json: bool,
) -> None:
    """Show who reads a collection, by name and number of clients, before something is sent there.

    With --object also who would get each object by its markings, from which publisher it is taken (with a
    client certificate, where one is required), and why not from another; a remote hub says so about your own
    member.
    """
    objects = None if file is None else _objects(file)
    profile = asked_profile(remote, profile_name)
    if profile is None:
        shape = _audience_here(hub_dir, collection, objects, at, signed=signed)
    else:
        shape = _audience_there(profile, collection, objects, at, signed=signed)
    if as_json:
        print_json(shape)
        return
    readers = shape["readers"]
    if not readers:
        click.echo(f"Nobody reads {collection}: the agreement is {shape['status']}")
    print_rows(
        [(one["member"], one["name"], str(one["clients"])) for one in readers], ("MEMBER", "NAME", "CLIENTS")
    )
    for one in shape.get("objects", []):
        click.echo("")
        click.echo(f"{one['id']}: taken from {', '.join(one['taken_from']) or 'nobody'}")
        for refused in one["refused"]:
            click.echo(f"  not from {refused['member']}: {refused['say']} ({refused['rule']})")
        if one["receives"]:
            click.echo(f"  may be had by: {', '.join(one['receives'])}")
        for refused in one["withheld"]:
            click.echo(f"  not by {refused['member']}: {refused['say']} ({refused['rule']})")
        if one["release_at"]:
            click.echo(f"  held back until {one['release_at']}")
        if one["share_until"]:
            click.echo(f"  shared until {one['share_until']}")


def _why_here(
    hub_dir: Path,
    principal: str,
    action: str,
    collection: str,
    objects: list[bytes] | None,
    at: Micros | None,
    *,
    signed: bool,
    certificate: bool,
) -> list[Mapping[str, Any]]:
    from lightship.usecases import explain
    from lightship.usecases.answers import explanation_shape

    now = wall_clock() if at is None else at
    with hub_of(hub_dir) as hub:
        view = hub.directory.view()
        spot = explain.find_spot(view, collection)
        listed = hub.directory.clients(view)
        asker = explain.find_asker(
            hub.registry, spot.agreement, principal, now, listed=listed, certificate=certificate
        )
        rules = _explain(hub)
        head = {"principal": principal, "member": asker.principal.member, "action": action}
        head["collection"] = collection
        if objects is None:
            return [head | explanation_shape(rules.why(asker, Action(action), spot, now, signed=signed))]
        items = rules.checks.read_envelope(_envelope(objects))
        found = rules.reach(asker, spot, items, now, signed=signed)
        return [head | explanation_shape(one.explanation, one.object_id) for one in found]


def _why_there(
    profile: str,
    principal: str,
    action: str,
    collection: str,
    objects: list[bytes] | None,
    at: Micros | None,
    *,
    signed: bool,
) -> list[Mapping[str, Any]]:
    from lightship.client import asking

    _only_now(at)
    asked = "" if principal == MYSELF else principal
    with client_of(profile) as client:
        if objects is None:
            return [asking.why(client.connection, collection, action, asked, signed=signed)]
        found = dict(asking.why_objects(client.connection, collection, objects, asked, signed=signed))
    return [found | one for one in found.pop("objects")]


def _audience_here(
    hub_dir: Path, collection: str, objects: list[bytes] | None, at: Micros | None, *, signed: bool
) -> Mapping[str, Any]:
    from lightship.usecases import explain
    from lightship.usecases.answers import reader_shape

    now = wall_clock() if at is None else at
    with hub_of(hub_dir) as hub:
        spot = explain.find_spot(hub.directory.view(), collection)
        rules = _explain(hub)
        readers = rules.audience(spot, now)
        shape: dict[str, Any] = {"collection": collection, "status": spot.agreement.status(now).value}
        shape["readers"] = [reader_shape(one) for one in readers]
        if objects is not None:
            shape["objects"] = _published(rules, spot, objects, now, readers, signed=signed)
    return shape


def _audience_there(
    profile: str, collection: str, objects: list[bytes] | None, at: Micros | None, *, signed: bool
) -> Mapping[str, Any]:
    from lightship.client import asking

    _only_now(at)
    with client_of(profile) as client:
        return asking.audience(client.connection, collection, objects, signed=signed)


def _published(
    rules: Explain, spot: Spot, objects: list[bytes], now: Micros, readers: list[Reader], *, signed: bool
) -> list[dict[str, Any]]:
    """Return for each object from which publishers it is taken, and who would get it from the first of
    them."""
    from lightship.usecases import explain
    from lightship.usecases.answers import reach_shape

    items = rules.checks.read_envelope(_envelope(objects))
    found: list[dict[str, Any]] = []
    for slug in sorted(spot.collection.publishers):
        asker = explain.find_asker(rules.registry, spot.agreement, slug, now, certificate=True)
        for place, reach in enumerate(rules.reach(asker, spot, items, now, readers, signed=signed)):
            shape = reach_shape(reach, slug)
            if place == len(found):
                found.append(shape)
                continue
            held = found[place]
            if shape["taken_from"] and not held["taken_from"]:
                held |= {name: shape[name] for name in ("receives", "withheld", "release_at", "share_until")}
            held["taken_from"] += shape["taken_from"]
            held["refused"] += shape["refused"]
    return found


def _explain(hub: Hub) -> Explain:
    from lightship.usecases.explain import Explain

    return Explain(decisions=hub.decisions, checks=hub.ingest, reader=hub.reader, directory=hub.directory)


def _print(asked: str, found: Mapping[str, Any]) -> None:
    about = f"{asked} {found.get('object', '')}".rstrip()
    click.echo(f"{'allowed' if found['allowed'] else 'refused'}: {about}")
    for one in found["reasons"]:
        click.echo(f"  {one['rule']}: {one['say']}")
    if not found["reasons"]:
        click.echo(f"  {found['rule']}: {found['say']}")
    if found["allowed"]:
        return
    for near in found["permits"]:
        click.echo(f"  the permit {near['rule']} {'holds' if near['holds'] else 'does not hold'}:")
        for part in near["conditions"]:
            click.echo(f"    {'yes' if part['holds'] else 'no '}  {part['text']}")


def _only_now(at: Micros | None) -> None:
    if at is not None:
        raise click.UsageError("A remote hub answers for now: leave out --at")


def _envelope(objects: list[bytes]) -> bytes:
    return b'{"objects":[' + b",".join(objects) + b"]}"


def _objects(file: str) -> list[bytes]:
    from lightship_feeds.stix_bundle import StixBundle

    say(REPORTING)
    if file == "-":
        return [one.raw for one in StixBundle().read(sys.stdin.buffer, "stdin")]
    try:
        with Path(file).open("rb") as source:
            return [one.raw for one in StixBundle().read(source, file)]
    except OSError as error:
        raise BadFile("The file cannot be read", path=file, why=error.strerror or "") from None
