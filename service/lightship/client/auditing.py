"""Verifying an exported access log offline: `lightship verify`, and the library call behind it.

Needs no network and no hub. Reads the folder that `lightship audit export` wrote, with bounded memory, and
gives a report. Whatever is wrong in that folder is a finding that names file and line, entry or field;
nothing is passed over in silence. Errors are raised only for what the caller gave.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from lightship.client.audit_files import (
    MAX_VERSIONS,
    About,
    BadExport,
    lines_of,
    open_plain,
    read_about,
    read_hub_key,
    read_kept,
    read_part,
    read_seals,
    read_start,
    strangers,
    whole_file,
)
from lightship.core import dsse
from lightship.core.agreement.chain import HUB_PARTY, Chain
from lightship.core.audit import HUB_SCOPE
from lightship.core.errors import LightshipError
from lightship.core.log.audit import CONTINUED, LOG, BadLeaf, read_leaf
from lightship.core.log.audit_check import (
    Findings,
    HubKeys,
    LogCheck,
    check_part,
    is_origin,
    receipts_by_origin,
)
from lightship.core.log.merkle import HASH_BYTES
from lightship.core.log.notes import BadNote, Checkpoint
from lightship.core.log.receipt import UNVOUCHED, KeptReceipt
from lightship.crypto.sign import verify

Progress = Callable[[str, int, int], None]
"""(what, done, total)."""
_STEP = 8192


@dataclass(frozen=True, slots=True)
class LogReport:
    """One log that was looked at. `begin` entries before it were left out; `late` ones were recorded late."""

    origin: str
    year: int
    size: int
    begin: int
    entries: int
    late: int
    root: str


@dataclass(slots=True)
class AuditReport:
    """What a verification showed. `ok` only if nothing was found and the key is one that the caller named."""

    agreement: str = ""
    member: str = ""
    authority: str = ""
    keyid: str = ""
    pinned: bool = False
    logs: list[LogReport] = field(default_factory=list)
    receipts: int = 0
    older: int = 0
    findings: Findings = field(default_factory=Findings)

    @property
    def ok(self) -> bool:
        """True if everything holds."""
        return not self.findings.count and self.pinned

    @property
    def entries(self) -> int:
        """How many entries were looked at."""
        return sum(log.entries for log in self.logs)

    @property
    def verdict(self) -> str:
        """The outcome in one line."""
        if self.findings.count:
            first, others = self.findings.listed[0], self.findings.count - 1
            more = f" ({_several(others, 'further finding', 'further findings')})" if others else ""
            return f"FAILED: {first.where}: {first.what}{more}"
        years = ", ".join(str(log.year) for log in self.logs)
        count = _several(self.entries, "entry", "entries")
        what = f"{count} of {self.agreement}, {years}"
        if self.member:
            what = f"{count} of {self.member} in the log of {self.agreement}, {years}"
        late = sum(log.late for log in self.logs)
        facts = [f"authority: {self.authority}"]
        facts += [f"{_several(self.receipts, 'receipt', 'receipts')} found"] if self.receipts else []
        older = _several(self.older, "older checkpoint", "older checkpoints")
        facts += [f"consistent with {older}"] if self.older else []
        facts += [f"{late:,} recorded late"] if late else []
        facts += ["whether these are all is not shown by a part"] if self.member else []
        if self.pinned:
            return f"OK: {what}, {', '.join(facts)}"
        return (
            f"NOT PINNED: {what} hold together, {', '.join(facts)}; but the key is only what came with them "
            f"({self.keyid}): name the hub's own with --root"
        )


def _several(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def verify_export(
    folder: Path,
    *,
    pins: Sequence[str] = (),
    since: Sequence[tuple[str, bytes]] = (),
    receipts: Sequence[KeptReceipt] = (),
    progress: Progress = lambda what, done, total: None,
) -> AuditReport:
    """Verify an export.

    Args:
        folder: what `lightship audit export` wrote.
        pins: ids (hex SHA-256) of the keys that the caller trusts: the hub's, or the agreement's root keys.
        since: (name, signed note): checkpoints of earlier exports that were kept.
        receipts: to look for; the id that is kept beside one must be that of its entry.
    """
    report = AuditReport()
    try:
        about = read_about(folder)
        report.agreement, report.member = about.agreement, about.member
        public = read_hub_key(folder)
        report.keyid = dsse.key_id(public)
        _authority(folder, about, public, pins, report)
        _Export(folder, about, HubKeys(public, verify), report, progress).check(since, receipts)
    except BadExport as error:
        report.findings.add(error.where, error.what)
    return report


def _authority(folder: Path, about: About, public: bytes, pins: Sequence[str], report: AuditReport) -> None:
    """Verify the agreement's chain, and that the hub's key is one that the caller or the agreement names."""
    files = list(islice((folder / "agreement").glob("*"), MAX_VERSIONS + 1))
    if about.agreement == HUB_SCOPE:
        report.authority = "the hub's own key"
        report.pinned = report.keyid in pins
        for path in sorted(files):
            report.findings.add(f"agreement/{path.name}", "the hub's own log has no agreement")
        if pins and not report.pinned:
            report.findings.add("keys", "the hub's key is none of those given with --root")
        return
    expected = [folder / "agreement" / f"{number}.json" for number in range(1, len(files) + 1)]
    if set(files) != set(expected) or not 0 < len(files) <= MAX_VERSIONS:
        raise BadExport("agreement", "its signed versions must be 1.json, 2.json, ... without a gap")
    chain = _chain(about.agreement, expected, pins)
    if chain.last is None:
        raise BadExport("agreement", "it has no version")
    root = chain.last.root
    report.authority = root.text
    report.pinned = bool(pins)  # else _chain had refused
    key = root.keys.get(report.keyid)
    if (key is None or key.party != HUB_PARTY) and report.keyid not in pins:
        report.findings.add("keys", "the key that signs the log is not one that the agreement names")


def _chain(agreement: str, paths: Sequence[Path], pins: Sequence[str]) -> Chain:
    """Return the verified chain; if there are pinned keys, one of them must have signed its first version."""
    first = whole_file(paths[0], dsse.MAX_ENVELOPE)
    for pin in pins:
        chain = Chain(agreement, verify, pinned_key=pin)
        try:
            chain.append(first)
        except LightshipError:
            continue
        break
    else:
        chain = Chain(agreement, verify)
        _append(chain, first, 1)
        if pins:
            raise BadExport(
                "agreement/1.json", "none of the keys given with --root is a root key that signed it"
            )
    for number, path in enumerate(paths[1:], 2):
        _append(chain, whole_file(path, dsse.MAX_ENVELOPE), number)
    return chain


def _append(chain: Chain, envelope: bytes, number: int) -> None:
    try:
        chain.append(envelope)
    except LightshipError as error:
        raise BadExport(f"agreement/{number}.json", f"{error.title}: {error.why}") from None


class _Export:
    """The logs of one export."""

    def __init__(
        self, folder: Path, about: About, keys: HubKeys, report: AuditReport, progress: Progress
    ) -> None:
        self._folder, self._about, self._keys = folder, about, keys
        self._report, self._progress = report, progress
        self._found = report.findings
        self._older: dict[str, list[tuple[str, Checkpoint]]] = {}
        self._unvouched: list[str] = []

    def check(self, since: Sequence[tuple[str, bytes]], receipts: Sequence[KeptReceipt]) -> None:
        """Look at each year, oldest first."""
        about = self._about
        for name in strangers(self._folder, about):
            self._found.add(name, "it does not belong to the export, and was not looked at")
        points = {year: self._checkpoint(year) for year in about.years}
        origins = [point.origin for point in points.values()]
        for name, data in since:
            self._keep(name, data, origins)
        for year in about.years:
            self._continued(year, {point.origin: other for other, point in points.items()})
        found = receipts_by_origin(receipts, origins, self._keys, self._found)
        for year, point in points.items():
            if about.member:
                self._part(year, point)
                continue
            try:
                self._log(year, point, found[point.origin])
            except BadExport as error:
                self._found.add(error.where, error.what)
        for name in self._unvouched:
            self._found.add(name, "the hub says itself that not all entries are what it signed at their time")
        self._report.receipts = len(receipts)
        self._report.older = len(since)
        if about.member and (since or receipts):
            self._found.add("export.json", "a part of a log is not compared with checkpoints or receipts")

    def _checkpoint(self, year: int) -> Checkpoint:
        name = f"{year}/checkpoint"
        try:
            point = self._keys.checkpoint(whole_file(self._folder / name, 64 * 1024))
        except BadNote as error:
            raise BadExport(name, f"{error.title}: {error.why}") from None
        if point.origin.endswith(UNVOUCHED):
            point = replace(point, origin=point.origin.removesuffix(UNVOUCHED))
            self._unvouched.append(name)
        if not is_origin(point.origin, self._about.agreement, year):
            raise BadExport(name, f"it is of another log, {point.origin}")
        return point

    def _keep(self, name: str, data: bytes, origins: Sequence[str]) -> None:
        try:
            point = self._keys.checkpoint(data)
        except BadNote as error:
            self._found.add(name, f"{error.title}: {error.why}")
            return
        if point.origin not in origins:
            self._found.add(name, f"it is of another log, {point.origin}")
        self._older.setdefault(point.origin, []).append((name, point))

    def _continued(self, year: int, origins: dict[str, int]) -> None:
        """Take the checkpoint in a year's first leaf as one that was kept of the log before."""
        if self._about.member or os.path.lexists(self._folder / str(year) / "start.json"):
            return
        first = next(iter(lines_of(self._folder / f"{year}/entries.ndjson")), b"")
        try:
            leaf = read_leaf(first)
            if leaf.act != CONTINUED or leaf.cred != LOG:
                if any(other < year for other in origins.values()):
                    self._found.add(
                        f"{year}", "its first entry does not hold the checkpoint of the year before"
                    )
                return
            point = self._keys.checkpoint(leaf.why.encode())
        except (BadLeaf, BadNote):
            return  # said when the entries pass
        self._older.setdefault(point.origin, []).append((f"the checkpoint in the log of {year}", point))

    def _log(self, year: int, point: Checkpoint, receipts: Sequence[KeptReceipt]) -> None:
        folder = self._folder / str(year)
        begin = read_start(folder, year)
        older = list(self._older.get(point.origin, ()))
        if begin.size and not any(one.size >= begin.size for _, one in older):
            what = f"its first {begin.size} entries are not in it: give the checkpoint you kept with --since"
            self._found.add(f"{year}", what)
        kept, sealed_from = self._kept(folder, year, point.origin)
        check = LogCheck(
            point,
            self._about.agreement,
            year,
            self._keys,
            self._found,
            begin=begin,
            older=[*older, *kept],
            sealed_from=sealed_from,
            seals=read_seals(folder, year),
            receipts=receipts,
        )
        for count, (line, digest) in enumerate(_entries(folder, year), 1):
            check.take(line, digest)
            if count % _STEP == 0:
                self._progress(f"verifying {year}", count, point.size - begin.size)
        check.finish()
        self._progress(f"verifying {year}", 1, 1)
        entries = check.tree.size - begin.size
        self._report.logs.append(
            LogReport(point.origin, year, point.size, begin.size, entries, check.order.late, point.root.hex())
        )

    def _kept(self, folder: Path, year: int, origin: str) -> tuple[list[tuple[str, Checkpoint]], int]:
        found, newest = [], 0
        for number, size, note in read_kept(folder, year):
            where = f"{year}/checkpoints.ndjson, line {number}"
            try:
                point = self._keys.checkpoint(note)
            except BadNote as error:
                self._found.add(where, f"{error.title}: {error.why}")
                continue
            if point.origin != origin or point.size != size:
                self._found.add(where, f"it is one of {point.origin} over {point.size}")
                continue
            found.append((f"the checkpoint that the hub kept over {size}", point))
            newest = max(newest, size)
        return found, newest

    def _part(self, year: int, point: Checkpoint) -> None:
        count, last = 0, -1
        for number, entry in read_part(self._folder / str(year), year):
            where = f"{year}/part.ndjson, line {number}"
            try:
                leaf = read_leaf(entry.leaf)
            except BadLeaf as error:
                self._found.add(where, error.why)
                continue
            if leaf.who != self._about.member or leaf.agr != self._about.agreement:
                self._found.add(where, f"it is an entry of `{leaf.who}` in `{leaf.agr}`")
            if entry.index <= last:
                self._found.add(where, "its index does not rise")
            last = entry.index
            if problem := check_part(entry.leaf, entry.index, entry.path, entry.values, point):
                self._found.add(f"{where} (entry {entry.index})", problem)
            count += 1
        self._report.logs.append(LogReport(point.origin, year, point.size, 0, count, 0, point.root.hex()))


def _entries(folder: Path, year: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield each leaf and the hash that the export gives for it."""
    with open_plain(folder / "hashes", f"{year}/hashes") as hashes:
        for number, line in enumerate(lines_of(folder / "entries.ndjson")):
            digest = hashes.read(HASH_BYTES)
            if len(digest) != HASH_BYTES:
                raise BadExport(f"{year}/hashes", f"it ends before entry {number} of the export")
            yield line, digest
        if hashes.read(1):
            raise BadExport(f"{year}/hashes", "it has more hashes than there are entries")
