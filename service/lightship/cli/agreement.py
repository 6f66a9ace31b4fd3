"""`lightship agreement new|check|apply|show|…`: files that people review, put in force by a signature."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightship.cli import exits
from lightship.cli.agreement_show import show
from lightship.cli.command import Command, Group, hub_option, json_option
from lightship.cli.local import hub_of, new_request
from lightship.cli.output import print_json, say
from lightship.cli.suspension import resume, suspend
from lightship.core.errors import BadFile, Conflict, MalformedRequest, NotFound
from lightship.core.ids import is_slug
from lightship.core.time import format_stamp

if TYPE_CHECKING:
    from lightship.usecases.agreements import Applied, Report
    from lightship.usecases.draft import Draft, Ground
    from lightship.wiring import Hub

RULES = "rules.cedar"
"""An agreement's own forbid rules, beside its `agreement.toml`."""


@click.group(
    cls=Group,
    examples="""
    lightship agreement new la-lb-mou --from la-lb-mou
    lightship agreement check la-lb-mou
    lightship agreement apply la-lb-mou
    lightship agreement show
    """,
)
def agreement() -> None:
    """Write, check and apply sharing agreements."""


@agreement.command(
    cls=Command,
    examples="""
    lightship agreement new my-ports --member USLAX --member USLGB
    lightship agreement new la-lb-mou --from la-lb-mou
    lightship agreement new our-bay --member "USLAX=Port of Los Angeles" --member JPTYO --title "Our bay"
    """,
)
@click.argument("name", metavar="ID")
@click.option("--from", "sample", default=None, help="Start from a shipped sample (or a file).")
@click.option(
    "--member", "members", multiple=True, metavar="LOCODE[=NAME]", help="A member; may be repeated."
)
@click.option("--title", default=None, help="Its title.")
@hub_option
@json_option
def new(
    name: str, sample: str | None, members: tuple[str, ...], title: str | None, hub_dir: Path, as_json: bool
) -> None:
    """Write a first agreement file to edit and review. Nothing is in force until `apply`."""
    from lightship.core.agreement.chain import key_text
    from lightship.keys.hub_key import load_hub_key
    from lightship.usecases.new_agreement import new_text

    if not is_slug(name):
        raise MalformedRequest(f"{name!r} is no agreement id", todo="Use lower-case letters, digits, hyphens")
    path = file_of(hub_dir, name)
    if path.exists():
        raise Conflict(f"{path} exists already", todo="Edit it, or choose another id")
    text = new_text(
        name,
        hub_key=key_text(load_hub_key(hub_dir).public),
        new_uuid=lambda: str(uuid.uuid4()),
        sample=sample_text(sample) if sample is not None else None,
        members=members,
        title=title,
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if sample is not None and (beside := sample_path(sample).with_name(RULES)).is_file():
        path.with_name(RULES).write_bytes(beside.read_bytes())
        say(f"Its own rules stand in {path.with_name(RULES)}.")
    if as_json:
        print_json({"agreement": name, "file": str(path)})
        return
    click.echo(str(path))
    say(f"Read and edit it, then: lightship agreement apply {name} --hub {hub_dir}")


@agreement.command(
    cls=Command,
    examples="""
    lightship agreement check la-lb-mou
    lightship agreement check reviewed/agreement.toml --json
    """,
)
@click.argument("name", metavar="ID|FILE")
@hub_option
@json_option
def check(name: str, hub_dir: Path, as_json: bool) -> int:
    """Say what is wrong with an agreement's files, or what applying them would change.

    Changes nothing. Ends with 1 if the files have mistakes, each named with its line, or if something that is
    held forbids the change.
    """
    from lightship.core.agreement import BadAgreement
    from lightship.keys.hub_key import load_hub_key
    from lightship.usecases import agreements

    path = file_of(hub_dir, name)
    with hub_of(hub_dir) as hub:
        try:
            report = agreements.check(
                ground_of(hub), draft_of(path), hub_key=load_hub_key(hub_dir).public, now=hub.clock.now()
            )
        except BadFile as error:
            found = error.problems if isinstance(error, BadAgreement) else (error,)
        else:
            _say_report(report, as_json=as_json, applied=None)
            return exits.FAILED if report.refused else exits.OK
    if as_json:
        print_json({"ok": False, "problems": [_problem(one) for one in found]})
    else:
        for one in found:
            click.echo(str(one))
    return exits.FAILED


@agreement.command(
    cls=Command,
    examples="""
    lightship agreement apply la-lb-mou
    lightship agreement apply reviewed/agreement.toml --json
    """,
)
@click.argument("name", metavar="ID|FILE")
@hub_option
@json_option
def apply(name: str, hub_dir: Path, as_json: bool) -> None:
    """Check, show the impact, sign with the hub's key, and put in force, also while the hub serves.

    Refused while something that is held would be with a member that may not have it, unless the file lists it
    under `withdraw`; nothing is changed then.
    """
    from lightship.usecases.agreements import HeldForbids

    path = file_of(hub_dir, name)
    with hub_of(hub_dir) as hub:
        try:
            applied = apply_file(hub, path)
        except HeldForbids as refused:
            _say_report(refused.report, as_json=as_json, applied=False)
            raise
    _say_report(applied.report, as_json=as_json, applied=applied.changed)


agreement.add_command(show)
agreement.add_command(suspend)
agreement.add_command(resume)


def file_of(hub_dir: Path, name: str) -> Path:
    """Return the agreement file that a name or a path means."""
    if is_slug(name):
        return hub_dir / "agreements" / name / "agreement.toml"
    return Path(name)


def sample_text(name: str) -> str:
    """Return the text of a shipped sample, or of a file; raises as `sample_path`."""
    return sample_path(name).read_text(encoding="utf-8")


def sample_path(name: str) -> Path:
    """Return the `agreement.toml` of a shipped sample, or a file.

    Raises:
        NotFound: there is no such sample; names those that there are.
    """
    from lightship.data import policies_dir

    folder = policies_dir() / "agreements"
    shipped = folder / name / "agreement.toml"
    if is_slug(name) and shipped.is_file():
        return shipped
    if not is_slug(name) and Path(name).is_file():
        return Path(name)
    known = ", ".join(sorted(path.parent.name for path in folder.glob("*/agreement.toml")))
    raise NotFound(f"There is no sample {name}", why=f"there are: {known}")


def apply_file(hub: Hub, path: Path) -> Applied:
    """Put an agreement's files in force on an open hub; see `usecases.agreements.apply`."""
    from lightship.keys.hub_key import load_hub_key
    from lightship.usecases import agreements

    return agreements.apply(
        ground_of(hub),
        hub.directory,
        draft_of(path),
        signer=load_hub_key(hub.dir),
        req=new_request(),
        now=hub.clock.now(),
    )


def ground_of(hub: Hub) -> Ground:
    """Return what an agreement's files meet on an open hub."""
    from lightship.crypto import sign
    from lightship.usecases.draft import Ground

    return Ground(hub.registry, hub.reader, hub.decisions, sign.verify, hub.read_rules)


def draft_of(path: Path) -> Draft:
    """Read an agreement's file and the `rules.cedar` beside it, if there is one.

    Raises:
        BadFile: one of them cannot be read.
    """
    from lightship.usecases.draft import Draft

    beside = path.with_name(RULES)
    try:
        text = _read(path).decode()
    except UnicodeDecodeError as error:
        raise BadFile("The agreement file is not UTF-8", path=str(path), why=error.reason) from None
    rules = _read(beside) if beside.exists() else b""
    return Draft(text, str(path), rules, str(beside))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFile(
            "The file cannot be read",
            path=str(path),
            why=error.strerror or str(error),
            todo="Write one: lightship agreement new" if path.name != RULES else "Make it readable",
        ) from None


def _say_report(report: Report, *, as_json: bool, applied: bool | None) -> None:
    one = report.agreement
    if as_json:
        print_json(_report(report, applied))
        return
    for sentence in report.impact.sentences():
        click.echo(f"- {sentence}")
    for note in report.notes:
        say(f"Note: {note}")
    if report.refused:
        click.echo(f"{one.id} stays as it is: what is held forbids this change.")
    elif report.unchanged:
        click.echo(f"{one.id} version {report.version} is in force already; nothing changes.")
    elif applied:
        click.echo(f"{one.id} version {report.version} is applied: {report.status.value}, {one.authority}.")
    else:
        click.echo(f"{one.id} has no mistakes; it would become version {report.version}.")


def _report(report: Report, applied: bool | None) -> dict[str, Any]:
    """Return what `--json` prints of a report: sentences, and the same as values."""
    impact = report.impact
    return {
        "ok": not report.refused,
        "agreement": report.agreement.id,
        "version": report.version,
        "status": report.status.value,
        "unchanged": report.unchanged,
        "applied": applied,
        "impact": impact.sentences(),
        "members_gained": impact.members_gained,
        "members_lost": impact.members_lost,
        "collections": [asdict(one) for one in impact.collections],
        "rules": impact.rules,
        "withdrawn": [asdict(one) for one in impact.withdrawals],
        "not_released": [
            asdict(one) | {"release_at": format_stamp(one.release_at)} for one in impact.stranded
        ],
        "forbidden": {
            "total": impact.breaches.total,
            "objects": [asdict(one) for one in impact.breaches.named],
        },
        "notes": report.notes,
    }


def _problem(one: BadFile) -> dict[str, Any]:
    return {"file": one.path, "line": one.line, "title": one.title, "why": one.why, "todo": one.todo}
