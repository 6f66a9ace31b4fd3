"""What a verifying consumer keeps between two pulls: the trusted log, how far it came, what is still owed.

One JSON file, replaced in one step. It is the consumer's own memory: on loading, the agreement's chain and
the rosters are verified again and the hashes must lead to the kept checkpoint, so that a damaged file is
refused.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from lightship.core import dsse
from lightship.core.agreement.chain import Verify
from lightship.core.collection import WithdrawReason
from lightship.core.errors import BadFile, CallerError
from lightship.core.log import merkle, notes
from lightship.core.log.findings import Failure
from lightship.core.log.held import Held
from lightship.core.log.leaf import SUSPENSION_TYPE
from lightship.core.log.ledger import KeyChain
from lightship.core.log.trusted import TrustedLog
from lightship.core.time import NO_INSTANT, Micros, parse_instant

VERSION = 1
_SUM = "sha256"
"""Over all else in the file: it tells of damage, not of an attacker who can write it."""


@dataclass(slots=True)
class Kept:
    """A trusted log and the place of a consumer in it.

    Args:
        log: as it was verified last.
        reached: what the log had up to this stamp was handed to the consumer, or is owed.
        owed: (id, digest) of objects that the log has and the hub has not handed out so far.
        early: what was handed on although its `date_added` is later: (id, digest) -> that stamp.
    """

    log: TrustedLog
    reached: Micros = Micros(0)
    owed: set[tuple[str, str]] = field(default_factory=set)
    early: dict[tuple[str, str], int] = field(default_factory=dict)


def save(path: Path, kept: Kept) -> None:
    """Keep it: written beside, synced, renamed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    with beside.open("wb") as file:
        value = _dump(kept)
        file.write(orjson.dumps(value | {_SUM: _sum(value)}) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def load(path: Path, verify: Verify) -> Kept | None:
    """Return what was kept, None if there is no such file.

    Raises:
        BadFile: it is damaged, or of another kind.
    """
    try:
        value = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, orjson.JSONDecodeError) as error:
        raise _bad(path, str(error)) from None
    try:
        if value.pop(_SUM) != _sum(value):
            raise ValueError("its bytes are not those that were kept")
        return _load(value, verify)
    except (CallerError, KeyError, TypeError, ValueError, AttributeError, IndexError, Base64Error) as error:
        raise _bad(path, f"{type(error).__name__}: {error}") from None


def _sum(value: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _bad(path: Path, why: str) -> BadFile:
    return BadFile(
        "The state of verified pulls cannot be used",
        path=str(path),
        why=why,
        todo="Restore it from a backup. Without it the log is verified from its beginning, but what the hub "
        "showed before is not compared",
    )


def _dump(kept: Kept) -> dict[str, Any]:
    log = kept.log
    return {
        "v": VERSION,
        "agreement": log.agreement,
        "collection": log.collection,
        "origin": log.origin,
        "hub": log.chain.hub,
        "versions": [_text(one) for one in log.envelopes],
        "rosters": [[version, _text(one)] for version, one in log.ledger.applied_rosters],
        "suspensions": [
            [version, at, _text(dsse.encode(one))] for version, at, one in log.ledger.applied_suspensions
        ],
        "checkpoint": log.note.decode(),
        "peaks": _text(log.frontier.to_bytes()),
        "version": log.version,
        "last_at": log.last_at,
        "seen": log.seen,
        "keys": {
            keyid: [[seq, digest, index] for seq, (digest, index) in chain.logged.items()]
            for keyid, chain in log.ledger.keys.items()
        },
        "objects": [_row(held) for held in sorted(log.ledger.held, key=lambda one: one.stamp)],
        "reached": kept.reached,
        "owed": sorted(kept.owed),
        "early": sorted([*key, stamp] for key, stamp in kept.early.items()),
    }


def _load(value: dict[str, Any], verify: Verify) -> Kept:
    if value["v"] != VERSION:
        raise ValueError(f"it is of version {value['v']}")
    log = TrustedLog(
        str(value["agreement"]), str(value["collection"]), str(value["origin"]), verify, hub=str(value["hub"])
    )
    for text in value["versions"]:
        log.add_agreement(b64decode(text))
    checkpoint = log.open(value["checkpoint"].encode())
    frontier = merkle.frontier_of(checkpoint.size, b64decode(value["peaks"]))
    if frontier.root != checkpoint.root:
        raise ValueError("its hashes do not lead to its checkpoint")
    for version, text in value["rosters"]:
        log.ledger.take_roster(b64decode(text), log.terms[version - 1])
    for version, at, text in value.get("suspensions", ()):
        opened = dsse.decode(b64decode(text), payload_type=SUSPENSION_TYPE)
        log.ledger.take_suspension(opened, log.terms[version - 1], Micros(at))
    log.frontier, log.note = frontier, value["checkpoint"].encode()
    log.version, log.last_at, log.seen = value["version"], Micros(value["last_at"]), Micros(value["seen"])
    for keyid, rows in value["keys"].items():
        logged = {seq: (digest, index) for seq, digest, index in rows}
        log.ledger.keys[keyid] = KeyChain(logged, max(logged, default=0))
    for row in value["objects"]:
        held = _held(row)
        log.ledger.held.put(held, parse_instant(held.version) if held.version else NO_INSTANT)
    owed = {(object_id, digest) for object_id, digest in value["owed"]}
    early = {(object_id, digest): stamp for object_id, digest, stamp in value["early"]}
    return Kept(log, Micros(value["reached"]), owed, early)


def _row(one: Held) -> list[Any]:
    return [
        *(one.id, one.version, one.digest, one.owner, one.key, one.index, one.stamp),
        *(one.problem, one.withdrawn, one.gone),
    ]


def _held(row: list[Any]) -> Held:
    object_id, version, digest, owner, key, index, stamp, problem, withdrawn, gone = row
    return Held(
        *(object_id, version, digest, owner, key, index, Micros(stamp)),
        problem=None if problem is None else Failure(problem),
        withdrawn=None if withdrawn is None else WithdrawReason(withdrawn),
        gone=gone,
    )


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()


def digest_of(content: bytes) -> str:
    """Return the hex SHA-256 of an object's JCS bytes."""
    return hashlib.sha256(content).hexdigest()


def origin_in(note: bytes, collection: str) -> str:
    """Return the origin in an unverified checkpoint of this collection, to be pinned at the first look.

    Raises:
        BadNote: it is no checkpoint, or not of this collection.
    """
    checkpoint = notes.parse_checkpoint(notes.parse_note(note).text)
    if not checkpoint.origin.endswith(f"/c/{collection}"):
        raise notes.BadNote(
            "The checkpoint is of another log", why=f"it is of {checkpoint.origin}, not of {collection}"
        )
    return checkpoint.origin
