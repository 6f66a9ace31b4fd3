"""`lightship doctor`: what is wrong, at a remote hub through a profile, or in a hub's directory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightship.cli import exits
from lightship.cli.command import Command, json_option, profile_option
from lightship.cli.local import hub_of, wall_clock
from lightship.cli.output import listing, print_json, style
from lightship.core.errors import BadFile, LightshipError
from lightship.core.time import Micros, format_stamp

if TYPE_CHECKING:
    from lightship.client.doctor import Finding
    from lightship.settings import Settings
    from lightship.usecases.directory import HubView
    from lightship.wiring import Hub

GIB = 1024**3
FREE_LOW, FREE_NONE = 10 * GIB, 2 * GIB
DAY = 86_400 * 1_000_000
SOON_DAYS = 30
_COLOUR = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command(
    cls=Command,
    examples="""
    lightship doctor
    lightship doctor --profile soc --json
    lightship doctor --hub /srv/hub
    lightship doctor --hub /srv/hub --serving
    """,
)
@click.option(
    "--hub",
    "hub_dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Look at this hub's directory, not at a remote hub.",
)
@click.option("--serving", is_flag=True, help="With --hub: only ask whether that hub serves right now.")
@profile_option
@json_option
def doctor(hub_dir: Path | None, serving: bool, profile_name: str, as_json: bool) -> int:
    """Look for what is wrong: at the hub of a profile, or with --hub in a hub's directory.

    Remote: address, TLS, clock, credential, Accept headers, rights, paging; whether your member, its
    agreement or this machine's publish key is suspended, runs out or is missing in the roster. Local:
    settings, file modes, certificate, authorities of clients, disk, data, agreements, suspensions, rosters,
    credentials; then every setting with its value. Changes nothing. Ends with 1 if a check failed.
    """
    if serving and hub_dir is None:
        raise click.UsageError("--serving needs --hub.")
    findings: list[Finding] = []
    for one in _remote(profile_name) if hub_dir is None else _local(hub_dir, serving=serving):
        findings.append(one)
        if not as_json:
            mark = style(one.verdict.ljust(7), fg=_COLOUR[one.verdict])
            click.echo(f"{mark}  {one.check.ljust(12)}  {one.text}" + (f". {one.todo}" if one.todo else ""))
    values = {} if serving else _values(hub_dir)
    if not as_json and values:
        click.echo()
        listing({name: str(value) for name, value in values.items()})
    if as_json:
        print_json(
            {
                "ok": all(one.verdict != "failed" for one in findings),
                "findings": [
                    {"check": one.check, "verdict": one.verdict, "text": one.text, "todo": one.todo}
                    for one in findings
                ],
                "settings": values,
            }
        )
    return exits.FAILED if any(one.verdict == "failed" for one in findings) else exits.OK


def _values(hub_dir: Path | None) -> dict[str, Any]:
    """Return every setting in effect, from file, environment and defaults; empty for a remote hub."""
    from lightship.settings import load_settings

    try:
        return load_settings(hub_dir).model_dump(mode="json") if hub_dir is not None else {}
    except LightshipError:
        return {}


def _remote(profile_name: str) -> Iterator[Finding]:
    from lightship.cli.remote import client_of
    from lightship.client.doctor import examine
    from lightship.client.standing import examine_standing

    with client_of(profile_name) as client:
        found = []
        for one in examine(client, datetime.now(UTC)):
            found.append(one.verdict)
            yield one
        if "failed" not in found:
            yield from examine_standing(client, _own_key(), wall_clock())


def _own_key() -> str:
    """Return the id of this machine's publish key, empty if there is none that can be used."""
    from lightship.cli.keys import default_key
    from lightship.client.publish_key import load

    try:
        return load(default_key()).keyid
    except BadFile:
        return ""


def _local(hub_dir: Path, *, serving: bool) -> Iterator[Finding]:
    from lightship.cli.serving import examine_serving
    from lightship.client.doctor import Finding
    from lightship.settings import load_settings

    try:
        settings = load_settings(hub_dir)
    except LightshipError as error:
        yield Finding("settings", "failed", str(error))
        return
    if serving:
        yield from examine_serving(settings)
        return
    yield Finding("settings", "ok", f"{settings.public_url}, listens on {settings.listen}")
    yield _modes(hub_dir)
    yield _certificate(settings, wall_clock())
    yield _clients(settings, hub_dir, wall_clock())
    yield _disk(hub_dir)
    try:
        yield _data(hub_dir)
        yield from _inside(hub_dir)
    except LightshipError as error:
        yield Finding("data", "failed", str(error))


def _modes(hub_dir: Path) -> Finding:
    """Nothing of a hub is for other users of the machine."""
    from lightship.client.doctor import Finding

    paths = [hub_dir, *(path for path in hub_dir.rglob("*") if not path.is_symlink())]
    private = [path for path in paths if path.is_dir() or path.suffix in {".key", ".db"}]
    found = [str(path) for path in private if path.stat().st_mode & 0o077]
    if found:
        return Finding(
            "modes", "failed", f"open to others: {', '.join(found[:3])}", f"chmod -R go= {hub_dir}"
        )
    return Finding("modes", "ok", "keys and data are the owner's alone")


def _certificate(settings: Settings, now: Micros) -> Finding:
    from lightship.client.doctor import Finding
    from lightship.crypto import certificates

    try:
        said = certificates.check_pair(settings.tls_cert.read_bytes(), settings.tls_key.read_bytes(), now)
    except (OSError, ValueError) as error:
        return Finding("certificate", "failed", str(error), "Check tls_cert and tls_key in lightship.toml")
    if not certificates.covers(said.names, settings.host):
        return Finding(
            "certificate", "failed", f"not for {settings.host}: it names {', '.join(said.names)}", "Renew it"
        )
    days = (said.not_after - now) // DAY
    own = (settings.tls_cert.parent / "ca.key").exists()
    if days < SOON_DAYS and not own:
        return Finding("certificate", "warning", f"valid for {days} more days", "Renew it")
    return Finding("certificate", "ok", f"for {settings.host}, valid for {days} more days")


def _clients(settings: Settings, hub_dir: Path, now: Micros) -> Finding:
    """The authorities whose client certificates the handshake takes."""
    from lightship.bounds import tls_of
    from lightship.client.doctor import Finding
    from lightship.crypto.client_certificates import authorities_in

    found: list[tuple[str, Micros]] = []
    for path in tls_of(settings, hub_dir).clients:
        try:
            found += authorities_in(path.read_bytes())
        except (OSError, ValueError) as error:
            todo = "Check tls_client_ca in lightship.toml: the hub does not start without it"
            return Finding("clients", "failed", f"{path}: {error}", todo)
    ended = [name for name, ends in found if ends <= now]
    if ended:
        todo = "Their clients' connections are closed in the handshake: renew them in tls_client_ca"
        return Finding("clients", "warning", f"authorities that have ended: {'; '.join(ended)}", todo)
    if not found:
        return Finding("clients", "ok", "no client certificates are asked for: there is no authority of any")
    return Finding("clients", "ok", f"client certificates of {len(found)} authorities are taken")


def _disk(hub_dir: Path) -> Finding:
    from lightship.client.doctor import Finding

    free = shutil.disk_usage(hub_dir).free
    text = f"{free / GIB:.1f} GiB free"
    if free < FREE_NONE:
        return Finding("disk", "failed", text, "Free some: the access log must be able to grow")
    return Finding("disk", "warning" if free < FREE_LOW else "ok", text)


def _data(hub_dir: Path) -> Finding:
    """Schema and SQLite's own integrity check; `fsck` looks at everything that is stored."""
    from lightship.client.doctor import Finding
    from lightship.storage.migrate import Kind, check, integrity

    path = hub_dir / "data" / "hub.db"
    report = check(path, Kind.HUB)
    if not report.found:
        return Finding("data", "warning", "no data yet", "It is made by the first command or `serve`")
    problems = integrity(path)
    if problems:
        return Finding("data", "failed", problems[0], "Run `lightship fsck`, then restore a backup")
    if report.pending:
        return Finding("data", "warning", f"schema {report.found} of {report.newest}", "lightship migrate")
    return Finding("data", "ok", f"schema {report.found}, integrity check passed")


def _unsigned(hub: Hub, view: HubView) -> Iterator[Finding]:
    """Members that a collection asks to sign, and rosters that say with nothing in force with what."""
    from lightship.client.doctor import Finding

    for one in view.agreements.values():
        if hub.rosters is None:
            return
        current = hub.rosters.current(one, view.epoch)
        asked = {
            slug for held in one.collections if held.settings.require_signature for slug in held.publishers
        }
        for member in sorted(asked | current.newest.keys()):
            held = current.rosters.current(member)
            keys = held.roster.keys if held is not None else {}
            good = [key for key in keys if (found := current.publish_key(member, key)) and not found.revoked]
            if member in asked and not good:
                text = f"{member} must sign in {one.id}, and no roster in force lists a key of it"
                yield Finding("rosters", "warning", text, "lightship roster sign, then roster apply")
            elif keys and current.in_force(member) is None:
                text = f"the roster of {member} in {one.id} is not in force: its admin key was replaced"
                yield Finding("rosters", "warning", text, "Have the member sign its next roster")


def _inside(hub_dir: Path) -> Iterator[Finding]:
    """Agreements that cannot be served, and credentials that end soon."""
    from lightship.client.doctor import Finding
    from lightship.core.agreement import AgreementStatus

    with hub_of(hub_dir) as hub:
        view, now = hub.directory.view(), hub.clock.now()
        credentials = hub.registry.credentials()
        unsigned = list(_unsigned(hub, view))
    for name, why in view.damaged.items():
        yield Finding("agreements", "failed", f"{name} is not served: {why}", "lightship fsck")
    states = [f"{one.id} {one.status(now).value}" for one in view.agreements.values()]
    if not states:
        yield Finding("agreements", "warning", "none is in force", "lightship agreement new, then apply")
    else:
        yield Finding("agreements", "ok", ", ".join(states))
    for one in view.agreements.values():
        if one.status(now) in {AgreementStatus.GRACE, AgreementStatus.EXPIRED}:
            todo = "Ask the parties to renew it, then agreement apply"
            yield Finding("agreements", "warning", one.notice(now), todo)
        for stop in one.stops(now):
            text = f"suspended in {one.id} until {format_stamp(stop.until)}: {stop.named or 'all members'}"
            yield Finding("suspensions", "warning", f"{text} ({stop.reason})", "It ends by itself")
    yield from unsigned
    held = [one for one in credentials if one.revoked is None]
    soon = [one.name for one in held if one.expires is not None and one.expires - now < SOON_DAYS * DAY]
    if soon:
        yield Finding(
            "credentials", "warning", f"end within {SOON_DAYS} days: {', '.join(soon)}", "Rotate them in time"
        )
    else:
        yield Finding("credentials", "ok", f"{len(held)} not revoked")
