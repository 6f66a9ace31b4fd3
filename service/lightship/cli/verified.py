"""`lightship pull --verify`: what the hub hands out is checked against its log before it is written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from lightship.cli import exits
from lightship.cli.agreement_show import suspended
from lightship.cli.command import together
from lightship.cli.local import wall_clock
from lightship.cli.output import counting, dumps, say
from lightship.cli.pins import Pin
from lightship.cli.remote import client_of
from lightship.core.time import format_stamp

if TYPE_CHECKING:
    from lightship.client.verifying import Report
    from lightship.core.agreement.suspension import Stop
    from lightship.core.log.complete import Outcome
    from lightship.core.log.findings import Finding
    from lightship.core.log.ledger import Gone
    from lightship.core.log.shelf import LoggedVersion

SHOWN = 20
"""Lines that are printed; JSON has more."""
NAMED = 10_000
"""Objects or entries of each kind of trouble that JSON names; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What a pull is checked against, and what is kept of that.

    Args:
        verify: whether at all; without it nothing else may be given.
        strict: whether warnings are failures.
        pinned: id of the key that signed the agreement; empty takes the first one seen.
        deletions: where what was withdrawn goes.  checkpoint: where the verified checkpoint goes.
        compare: checkpoints of other consumers.
    """

    verify: bool
    strict: bool
    pinned: str
    deletions: Path | None
    checkpoint: Path | None
    compare: tuple[Path, ...]

    @property
    def more(self) -> bool:
        """Whether anything is given that goes with `verify`."""
        files = (self.deletions, self.checkpoint)
        return bool(self.strict or self.pinned or self.compare or any(one is not None for one in files))


_file = click.Path(path_type=Path, dir_okay=False)
verifying_options = together(
    "checks",
    Checks,
    click.option(
        "--verify", is_flag=True, help="Check all of it against the collection's log; needs --state."
    ),
    click.option(
        "--strict", is_flag=True, help="With --verify: warnings, such as old age, are failures too."
    ),
    click.option(
        "--root",
        "pinned",
        type=Pin(),
        default="",
        help="With --verify: key that signed the agreement first: its id, or a file with it.",
    ),
    click.option(
        "--deletions",
        type=_file,
        help="With --verify: append what was withdrawn to this file, as NDJSON.",
    ),
    click.option(
        "--checkpoint",
        type=_file,
        help="With --verify: write the checkpoint that was verified to this file, for others to compare.",
    ),
    click.option(
        "--compare",
        multiple=True,
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="With --verify: a checkpoint that another consumer verified; may be repeated.",
    ),
)
"""Adds `--verify` and what goes with it, as `checks: Checks`."""


def pull_verified(
    collection: str, out: Path | None, state: Path, checks: Checks, profile_name: str, *, as_json: bool
) -> int:
    """Pull what is new, verify it, write what may be used, then keep the state; return the exit code."""
    from lightship.cli.evidence import telling
    from lightship.client.verified import verified

    total = Total(collection)
    with (
        telling(state, as_json=as_json) as keeper,
        client_of(profile_name) as client,
        counting("Verifying the log") as progress,
        verified(
            *(client, collection, state),
            pinned_key=checks.pinned,
            strict=checks.strict,
            now=wall_clock,
            progress=progress,
            keeper=keeper,
            compare=[path.read_bytes() for path in checks.compare],
        ) as parts,
    ):
        for part in parts:
            report, kept = part.report, part.kept
            fresh = not kept.committed
            begins = kept.handed == 0
            if checks.deletions is not None:
                gone = (f"{dumps(_shape(one))}\n".encode() for one in report.gone)
                _write(checks.deletions, gone, append=True)
            _write(out, (body + b"\n" for body in part.bodies()), append=not begins)
            part.keep()
            total.add(report)
            total.stops = [one for one in kept.log.ledger.suspensions.stops if one.holds(wall_clock())]
            if checks.checkpoint is not None:
                checks.checkpoint.write_bytes(kept.log.note)
            if fresh and not checks.pinned:
                say(f"First look: the agreement that begins with {kept.log.chain.hub} is pinned in {state}.")
                say("Compare it with what the steward or another member says (`--root` pins a key).")
    failed = total.failed(strict=checks.strict)
    if as_json:
        kept_in = [str(path) for path in keeper.kept]
        click.echo(dumps(total.summary() | {"evidence": kept_in}), err=out is None)
    else:
        _tell(total, failed=failed)
    return exits.FAILED if failed else exits.OK


class Total:
    """What all parts of a pull came to; of each kind of trouble no more than `NAMED` are named."""

    def __init__(self, collection: str) -> None:
        self.collection = collection
        self.proofs: Counter[str] = Counter()
        self.failures: list[Outcome] = []
        self.missing: list[LoggedVersion] = []
        self.findings: list[Finding] = []
        self.unnamed = self.withdrawn = 0
        self.stops: list[Stop] = []
        """Suspensions in effect, as the verified log has them."""
        self.last: Report | None = None

    def add(self, report: Report) -> None:
        """Take a part in."""
        self.proofs.update(str(one.result) for one in report.delivered)
        self.withdrawn += len(report.gone)
        self._name(self.failures, report.failures)
        self._name(self.missing, report.missing)
        self._name(self.findings, report.findings)
        self.last = report

    def _name(self, into: list[Any], new: Sequence[Any]) -> None:
        room = max(NAMED - len(into), 0)
        into += new[:room]
        self.unnamed += len(new[room:])

    def failed(self, *, strict: bool) -> bool:
        """Whether anything is wrong; with `strict` warnings are."""
        wrong = self.failures or self.missing or self.findings
        return bool(wrong) or (strict and self.last is not None and bool(self.last.warnings))

    def summary(self) -> dict[str, Any]:
        """Return it as JSON."""
        last = self.last
        return {
            "collection": self.collection,
            "objects": self.proofs.total(),
            "added_after": format_stamp(last.reached) if last is not None and last.reached else "",
            "proofs": dict(self.proofs),
            "failures": [
                {"id": one.id, "digest": one.digest, "failure": str(one.result)} for one in self.failures
            ],
            "missing": [{"id": one.id, "version": one.version, "digest": one.digest} for one in self.missing],
            "findings": [_finding(one) for one in self.findings],
            "warnings": [_finding(one) for one in last.warnings] if last is not None else [],
            "suspensions": [one.shape() for one in self.stops],
            "unnamed": self.unnamed,
            "withdrawn": self.withdrawn,
            "size": last.size if last is not None else 0,
            "authority": last.authority if last is not None else "",
        }


def _finding(one: Finding) -> dict[str, Any]:
    return {"failure": one.failure, "entry": one.index, "object": one.object_id, "why": one.why}


def _shape(one: Gone) -> dict[str, Any]:
    return {
        "id": one.id,
        "version": one.version,
        "reason": one.reason,
        "at": format_stamp(one.at),
        "signed": one.signed,
        "entry": one.index,
    }


def _tell(total: Total, *, failed: bool) -> None:
    """Print the verdict first, then what is wrong."""
    last = total.last
    proofs = ", ".join(f"{n} {name}" for name, n in total.proofs.items())
    verdict = "NOT VERIFIED" if failed else "verified"
    size, authority = (last.size, last.authority) if last is not None else (0, "")
    say(
        f"{total.collection}: {verdict}; {proofs or 'nothing new'}; "
        f"withdrawn: {total.withdrawn}; log of {size} entries, agreement signed by {authority}"
    )
    lines = [f"{one.result}: {one.id}" for one in total.failures]
    lines += [f"missing: {one.id} {one.version}" for one in total.missing]
    lines += [str(one) for one in total.findings]
    lines += [suspended(one.shape()) for one in total.stops]
    lines += [f"warning: {one}" for one in (last.warnings if last is not None else ())]
    for line in lines[:SHOWN]:
        say(line)
    left = len(lines) + total.unnamed - SHOWN
    if left > 0:
        say(f"and {left} more; --json names {NAMED} of each kind")


def _write(path: Path | None, lines: Iterable[bytes], *, append: bool) -> None:
    """Write lines and make them durable."""
    if path is None:
        with click.open_file("-", "wb") as stdout:
            _copy(stdout, lines)
        return
    with path.open("ab" if append else "wb") as file:
        _copy(file, lines)
        os.fsync(file.fileno())


def _copy(file: IO[bytes], lines: Iterable[bytes]) -> None:
    file.writelines(lines)
    file.flush()
