"""Keeping evidence: what a verifier found, as a file that somebody else can verify without the hub.

Made when a log is refused or an entry in it does not hold, from what the hub shows at that moment: two logs
under one name, two statements of one key under one number, one statement logged twice, two contents of one
object version. Hash tiles give the proofs (C2SP tlog-tiles). Judging is `core.log.evidence_check`.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from lightship.client.bounded import TooMuch
from lightship.client.durable import SHARED, replace_file
from lightship.client.log_source import LogSource
from lightship.core.errors import BadFile, CallerError, LightshipError
from lightship.core.log import evidence, leaf, merkle, notes, roster, tiles
from lightship.core.log.evidence import ACCEPTED, CONFLICT, EQUIVOCATION, REPLAYED, TWO_LOGS, Entry, Evidence
from lightship.core.log.findings import Failure, Finding, LogRefused
from lightship.core.log.leaf import Publication, RosterChange
from lightship.core.log.notes import Checkpoint
from lightship.core.log.tiles import WIDTH
from lightship.core.log.trusted import TrustedLog

_KINDS = {
    Failure.EQUIVOCATION: EQUIVOCATION,
    Failure.REPLAYED: REPLAYED,
    Failure.CONFLICT: CONFLICT,
}
_DIFFERENT = frozenset({Failure.SPLIT_VIEW, Failure.REWRITTEN, Failure.ROLLBACK})


class Keeper:
    """Keeps evidence in a folder beside a consumer's state.

    `kept` are its files. `problem` says why some of it could not be kept, empty if all could.
    """

    def __init__(self, state: Path) -> None:
        self.folder = state.with_name(f"{state.name}.evidence")
        self.kept: list[Path] = []
        self.problem = ""

    def keep(self, source: LogSource, log: TrustedLog, refused: LogRefused | None = None) -> None:
        """Keep what the log as it is shown now gives evidence of; never raises what the hub or the disk says.

        Args:
            source: the log.  log: as it was verified last.
            refused: why it is not trusted; None if it is, but for some of its entries.
        """
        self._keep(lambda: _made(source, log, refused))

    def compared(self, source: LogSource, log: TrustedLog, note: bytes) -> None:
        """Keep evidence that another consumer's checkpoint is not of the log that was verified here."""
        self._keep(lambda: [two_logs(source, log.envelopes, note, log.note)])

    def _keep(self, made: Callable[[], Iterable[Evidence | None]]) -> None:
        try:
            self.kept += [keep(self.folder, one) for one in made() if one is not None]
        except (LightshipError, OSError) as error:
            self.problem = str(error)


def _made(source: LogSource, log: TrustedLog, refused: LogRefused | None) -> Iterator[Evidence]:
    if refused is not None:
        before = log.note or (log.aim.note if log.aim is not None else b"")
        one = of_refusal(source, log.envelopes, before, refused.finding.failure)
        yield from () if one is None else (one,)
        return
    note = log.note if log.aim is None else log.aim.note
    rosters = [envelope for _, envelope in log.ledger.applied_rosters]
    yield from of_findings(source, log.envelopes, rosters, note, log.troubles)


def of_refusal(
    source: LogSource, versions: Sequence[bytes], before: bytes, failure: Failure
) -> Evidence | None:
    """Return evidence that the hub signed two logs, None if there is none.

    Args:
        versions: the agreement's, verified.
        before: the checkpoint that was kept.
        failure: why the log is refused now.

    Raises:
        LightshipError: the hub does not answer.
    """
    if failure not in _DIFFERENT or not before:
        return None
    return two_logs(source, versions, before, source.checkpoint())


def two_logs(source: LogSource, versions: Sequence[bytes], one: bytes, other: bytes) -> Evidence | None:
    """Return evidence that the hub signed two logs, None if its tree shows that they are one.

    Args:
        versions: the agreement's, verified.
        one, other: checkpoints; those that are not of one log are no evidence.

    Raises:
        LightshipError: the hub cannot be reached.
    """
    points = _point(one), _point(other)
    if points[0] is None or points[1] is None or points[0] == points[1]:
        return None
    less, more = sorted((points[0], points[1]), key=lambda point: point.size)
    found = Evidence(TWO_LOGS, source.agreement, source.collection, tuple(versions), (one, other))
    if less.size == more.size:
        return found
    read = _reader(source, more.size)
    try:
        if merkle.root(read, more.size) != more.root:
            return found
        prefix = merkle.root(read, less.size)
        path = tuple(merkle.consistency(read, less.size, more.size))
    except (ValueError, CallerError, TooMuch):  # it does not show the tiles of that tree
        return found
    return None if prefix == less.root else replace(found, prefix=prefix, consistency=path)


def of_findings(
    source: LogSource,
    versions: Sequence[bytes],
    rosters: Sequence[bytes],
    checkpoint: bytes,
    findings: Sequence[Finding],
) -> Iterator[Evidence]:
    """Yield evidence of entries that contradict others, in a log that was verified.

    Args:
        versions, rosters: the agreement's and its members', verified.
        checkpoint: over all entries that the findings are about.
        findings: what was found.

    Raises:
        LightshipError: the hub does not answer.
    """
    point = _point(checkpoint)
    for finding in findings:
        kind = _KINDS.get(finding.failure)
        if kind is None or finding.other < 0 or point is None:
            continue
        pair = [_entry(source, at, point.size) for at in (finding.other, finding.index)]
        late = leaf.read(pair[1].leaf)
        by = late.by if isinstance(late, Publication) and kind != CONFLICT else ""
        of_author = tuple(one for one in rosters if by and roster.read(one)[1].member == by)
        yield Evidence(
            *(kind, source.agreement, source.collection, tuple(versions), (checkpoint,)),
            entries=tuple(pair),
            rosters=of_author,
        )


def _entry(source: LogSource, index: int, size: int) -> Entry:
    """Return an entry as the log shows it, with its proof."""
    first = index - index % WIDTH
    (tile,) = tiles.bundles(first, min(first + WIDTH, size))
    path = merkle.inclusion(_reader(source, size), index, size)
    return Entry(index, source.entries(tile)[index - first], tuple(path))


def _reader(source: LogSource, size: int) -> merkle.Hashes:
    def read(level: int, first: int, count: int) -> Sequence[bytes]:
        return source.hashes(level, first, count, size)

    return read


def collection_of(path: Path) -> str:
    """Return the collection of a statement in a file that an outbox keeps below `delivered/`.

    Raises:
        BadFile: it is no such file.
    """
    return _delivered(path)[2].statement.collection


def of_delivery(path: Path, source: LogSource) -> Evidence:
    """Return evidence that the hub accepted a statement.

    Args:
        path: what an outbox keeps of it below `delivered/`.
        source: the log; shows the agreement's versions, and the rosters that say whose the key is.

    Raises:
        BadFile: it is no such file.  LightshipError: the hub does not answer.
    """
    entry, note, found = _delivered(path)
    versions: list[bytes] = []
    while (envelope := source.version(len(versions) + 1)) is not None:
        versions.append(envelope)
    digests: list[str] = []
    for window in source.windows(0, entry.index):
        changes = (leaf.read(each) for each in window)
        digests += [one.sha256 for one in changes if isinstance(one, RosterChange) and one.member == found.by]
    rosters = (source.roster(digest) for digest in digests)
    return Evidence(
        *(ACCEPTED, source.agreement, source.collection, tuple(versions), (note,), (entry,)),
        rosters=tuple(one for one in rosters if one is not None),
    )


def _delivered(path: Path) -> tuple[Entry, bytes, Publication]:
    try:
        value: dict[str, Any] = orjson.loads(path.read_bytes())
        proof = tuple(b64decode(one, validate=True) for one in value["proof"])
        entry = Entry(int(value["index"]), b64decode(value["leaf"], validate=True), proof)
        found, note = leaf.read(entry.leaf), value["checkpoint"].encode()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, CallerError) as error:
        raise BadFile("This is no proof that an outbox keeps", path=str(path), why=str(error)) from None
    if not isinstance(found, Publication):
        raise BadFile("This is no proof that an outbox keeps", path=str(path), why="it is of no statement")
    return entry, note, found


def keep(folder: Path, one: Evidence) -> Path:
    """Write evidence into a file of a folder; the same evidence has the same name.

    Raises:
        OSError: it cannot be written.
    """
    data = evidence.encode(one)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{one.kind}-{hashlib.sha256(data).hexdigest()[:16]}.json"
    replace_file(path, data, SHARED)
    return path


def _point(note: bytes) -> Checkpoint | None:
    try:
        return notes.parse_checkpoint(notes.parse_note(note).text)
    except notes.BadNote:
        return None
