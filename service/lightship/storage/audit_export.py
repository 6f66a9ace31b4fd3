"""`lightship audit export`: an agreement's access log as files that are verified without the hub.

A folder holds `export.json`, `keys` (the hub's public key), `agreement/N.json` (its signed versions), and for
each year `checkpoint` (signed now, over the tree as it was built), `checkpoints.ndjson` (those that were
kept), `seals` (signatures of groups since the last of these), `entries.ndjson` (one leaf a line) and `hashes`
(32 bytes a leaf, as kept). What is stored is written as it is: judging it is the verifier's. Values that
stand in a leaf as salted digests are given to nobody but the member whose they are: a member's own part has
its entries only, each with its proof, in `part.ndjson`. The folder appears whole or not at all.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw
import orjson

from lightship import __version__
from lightship.core.errors import BadFile, Conflict, Damaged, NotFound
from lightship.core.log.merkle import Frontier, frontier, inclusion
from lightship.core.log.notes import Checkpoint, parse_checkpoint, parse_note
from lightship.core.log.receipt import audit_origin
from lightship.core.time import Micros, format_stamp
from lightship.storage.progress import Progress, no_progress
from lightship.storage.sqlite.access_files import audit_files
from lightship.storage.sqlite.access_search import word_number
from lightship.storage.sqlite.access_tree import Head, Sealer, hashes_of, read_head
from lightship.storage.sqlite.access_vouch import checkpoint_of
from lightship.storage.sqlite.connection import open_database

FORMAT = 1
_STEP = 4096
_FIRST_SCHEMA_WITH_TREES = 3


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export.

    Args:
        scope: agreement id, or `hub`.
        years: empty for all there are.
        member: only the entries of this member, with proofs and values; empty for the whole log.
        since: checkpoints (of any of its years) that the verifier keeps: entries before these are left out.
        envelopes: the signed versions of the agreement, oldest first.
        key_text: the hub's public key, as agreements write it.
        made: microseconds.
    """

    scope: str
    envelopes: Sequence[bytes]
    key_text: str
    made: Micros
    years: Sequence[int] = ()
    member: str = ""
    since: Mapping[str, Checkpoint] | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: year -> entries, its origins, and the years that the hub does not vouch for."""

    entries: Mapping[int, int]
    origins: Sequence[str]
    unvouched: Sequence[int] = ()


def export_log(
    data_dir: Path, out: Path, request: ExportRequest, sealer: Sealer, progress: Progress = no_progress
) -> Exported:
    """Write the export into the new folder `out`.

    Raises:
        Conflict: `out` exists.  NotFound: there is no entry of that scope and these years.
        BadFile: an access log file is of an older schema.
    """
    if os.path.lexists(out):
        raise Conflict(f"{out} exists", todo="Name another folder; an export never replaces one")
    with _partial(out) as partial:
        entries, origins, unvouched = {}, [], []
        for year, path in audit_files(data_dir):
            if request.years and year not in request.years:
                continue
            found = _export_year(path, year, partial / str(year), request, sealer, progress)
            if found is not None:
                entries[year] = found[0]
                origins.append(found[1])
                unvouched += [year] if not found[2] else []
        missing = sorted(set(request.years) - set(entries))
        if missing or not entries:
            raise NotFound(
                f"There is no access log of `{request.scope}`{_in_years(missing)}",
                todo="Name an agreement of this hub, or `hub`, and years that it has a log of",
            )
        _write_about(partial, request, sorted(entries))
        partial.rename(out)
    return Exported(entries, origins, unvouched)


@contextmanager
def _partial(out: Path) -> Iterator[Path]:
    """Yield an empty folder beside `out`, of this process alone; what a killed one left there goes first.

    Raises:
        Conflict: another process exports to the same place now.
    """
    partial = out.with_name(f".{out.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    held = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.path.samestat(os.fstat(held), os.stat(partial))
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            raise Conflict(f"Something is being exported to {out} now", todo="Name another folder")
        try:
            for left in partial.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    finally:
        os.close(held)


def _in_years(years: Sequence[int]) -> str:
    return f" in {', '.join(map(str, years))}" if years else ""


def _write_about(folder: Path, request: ExportRequest, years: Sequence[int]) -> None:
    about = {
        "agreement": request.scope,
        "lightship": __version__,
        "made": format_stamp(request.made),
        "member": request.member,
        "v": FORMAT,
        "years": list(years),
    }
    (folder / "export.json").write_bytes(orjson.dumps(about, option=orjson.OPT_SORT_KEYS) + b"\n")
    (folder / "keys").write_text(f"{request.key_text}\n", encoding="ascii")
    (folder / "agreement").mkdir()
    for number, envelope in enumerate(request.envelopes, 1):
        (folder / "agreement" / f"{number}.json").write_bytes(envelope)


def _export_year(
    path: Path, year: int, folder: Path, request: ExportRequest, sealer: Sealer, progress: Progress
) -> tuple[int, str, bool] | None:
    """Return number of entries, origin, and whether the hub vouches for all of them."""
    db = open_database(path, readonly=True)
    try:
        if int(db.pragma("user_version")) < _FIRST_SCHEMA_WITH_TREES:
            raise BadFile(
                "The access log is of an older schema", path=str(path), todo="Run `lightship migrate` first"
            )
        db.execute("BEGIN")
        agr = word_number(db, request.scope)
        head = None if agr is None else read_head(db, agr)
        if agr is None or head is None:
            return None
        folder.mkdir()
        origin = head.origin or audit_origin(sealer.host, request.scope, year)
        note = checkpoint_of(db, agr, origin, head.tree, sealer)
        vouched = parse_checkpoint(parse_note(note).text).origin == origin
        (folder / "checkpoint").write_bytes(note)
        if request.member:
            return _export_part(db, agr, head, folder, request.member, progress), origin, vouched
        begin = (request.since or {}).get(origin)
        first = min(begin.size, head.tree.size) if begin is not None else 0
        if first:
            _write_start(folder, frontier(hashes_of(db, agr), first))
        _write_signed(db, agr, folder, first)
        return _write_entries(db, agr, first, head.tree.size, folder, progress), origin, vouched
    except (ValueError, TypeError) as error:  # hashes that a proof needs are missing, or none
        raise Damaged(
            f"The access log of `{request.scope}` in {year} does not hold together",
            why=str(error),
            todo="Run `lightship fsck`: it names the entry. The whole log can be exported all the same",
        ) from None
    finally:
        db.close()


def _write_start(folder: Path, tree: Frontier) -> None:
    start = {"peaks": [peak.hex() for peak in tree.peaks], "size": tree.size}
    (folder / "start.json").write_bytes(orjson.dumps(start) + b"\n")


def _write_signed(db: apsw.Connection, agr: int, folder: Path, first: int) -> None:
    """Write the checkpoints that were kept, and the seals of the groups since the newest of them."""
    newest = 0
    with (folder / "checkpoints.ndjson").open("wb") as file:
        sql = "SELECT size, note FROM checkpoint WHERE agr = ? AND size >= ? ORDER BY size"
        for size, note in db.execute(sql, (agr, first)):
            newest = int(size)
            file.write(orjson.dumps({"note": bytes(note).decode(errors="replace"), "size": size}) + b"\n")
    with (folder / "seals").open("w", encoding="ascii") as seals:
        sql = "SELECT idx, seal FROM event WHERE agr = ? AND idx >= ? AND seal IS NOT NULL ORDER BY idx"
        for idx, seal in db.execute(sql, (agr, max(newest, first))):
            seals.write(f"{idx} {int.from_bytes(seal[:4], 'big')} {b64encode(seal[4:]).decode()}\n")


def _write_entries(
    db: apsw.Connection, agr: int, first: int, size: int, folder: Path, progress: Progress
) -> int:
    count = 0
    with (folder / "entries.ndjson").open("wb") as entries, (folder / "hashes").open("wb") as hashes:
        sql = "SELECT leaf, hash FROM event WHERE agr = ? AND idx >= ? ORDER BY idx"
        for leaf, digest in db.execute(sql, (agr, first)):
            entries.write(leaf)
            entries.write(b"\n")
            hashes.write(digest)
            count += 1
            if count % _STEP == 0:
                progress(f"exporting {folder.name}", count, size - first)
    progress(f"exporting {folder.name}", count, count)
    return count


def _export_part(
    db: apsw.Connection, agr: int, head: Head, folder: Path, member: str, progress: Progress
) -> int:
    read, size, count = hashes_of(db, agr), head.tree.size, 0
    with (folder / "part.ndjson").open("wb") as file:
        for idx, leaf, values in _of_member(db, agr, member):
            path = [one.hex() for one in inclusion(read, idx, size)]
            line = {"index": idx, "leaf": leaf.decode(errors="replace"), "path": path, "values": values}
            file.write(orjson.dumps(line) + b"\n")
            count += 1
            if count % _STEP == 0:
                progress(f"exporting {folder.name}", count, 0)
    return count


def _of_member(
    db: apsw.Connection, agr: int, member: str
) -> Iterator[tuple[int, bytes, dict[str, list[str]]]]:
    """Yield index, leaf and what stands beside it (name -> salt in hex, value) of a member's entries."""
    who = word_number(db, member)
    sql = "SELECT idx, leaf, q_salt, q, ip_salt, ip FROM event WHERE agr = ? AND who = ? ORDER BY idx"
    for idx, leaf, q_salt, q, ip_salt, ip in db.execute(sql, (agr, who)) if who is not None else ():
        kept = (("q", q_salt, q), ("ip", ip_salt, ip))
        yield idx, leaf, {name: [salt.hex(), value] for name, salt, value in kept if salt is not None}
