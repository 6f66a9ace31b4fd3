"""The state of verified pulls as Lightship kept it before its file: one JSON document, read once more.

What it says is verified as it was then (chain, rosters, hashes, a SHA-256 over all of it), and goes into the
new form. It was written whole after each pull, which a log of a million entries does not allow.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from lightship.client.kept_file import locked
from lightship.core import dsse
from lightship.core.agreement.chain import Verify
from lightship.core.collection import WithdrawReason
from lightship.core.errors import BadFile, CallerError
from lightship.core.log import merkle
from lightship.core.log.findings import Failure
from lightship.core.log.leaf import SUSPENSION_TYPE
from lightship.core.log.shelf import LoggedVersion, Shelf
from lightship.core.log.trusted import TrustedLog
from lightship.core.time import NO_INSTANT, Instant, Micros, parse_instant

VERSION = 1
_SUM = "sha256"


@dataclass(frozen=True, slots=True)
class FormerState:
    """A state in the former form: `log` stands where it stood, with nothing on its shelf."""

    log: TrustedLog
    value: dict[str, Any]

    @property
    def reached(self) -> Micros:
        """See `Kept`."""
        return Micros(self.value["reached"])

    def fill(self, log: TrustedLog) -> None:
        """Put what is held and was signed where it belongs in another log with the same chain."""
        value, shelf = self.value, log.ledger.held.shelf
        for version, text in value["rosters"]:
            log.ledger.take_roster(b64decode(text), log.terms[version - 1])
        for version, at, text in value.get("suspensions", ()):
            opened = dsse.decode(b64decode(text), payload_type=SUSPENSION_TYPE)
            log.ledger.take_suspension(opened, log.terms[version - 1], Micros(at))
        for keyid, rows in value["keys"].items():
            for seq, digest, index in rows:
                shelf.put_statement(keyid, seq, digest, index)
        owed = {(object_id, digest) for object_id, digest in value["owed"]}
        for row in value["objects"]:
            held = _held(row)
            held.owed = (held.id, held.digest) in owed
            shelf.put(held, _instant(held.version))
        log.version, log.last_at = value["version"], Micros(value["last_at"])
        log.seen = Micros(value["seen"])

    def early(self, shelf: Shelf) -> dict[int, int]:
        """Return `Kept.early` in its present form."""
        stamps = {(object_id, digest): stamp for object_id, digest, stamp in self.value["early"]}
        found = {}
        for row in self.value["objects"]:
            stamp = stamps.get((row[0], row[2]))
            held = None if stamp is None else shelf.version(row[0], _instant(row[1]))
            if held is not None and stamp is not None:
                found[held.place] = stamp
        return found


def read_former(path: Path, verify: Verify, take: Callable[[Path, FormerState, Verify], None]) -> None:
    """Read and verify a state in the former form, and have it taken over while it is locked.

    Raises:
        BadFile: it is damaged, or of another kind.  StateBusy: another process uses it.
    """
    with locked(path) as data:
        try:
            value = orjson.loads(data)
            if value.pop(_SUM) != _sum(value):
                raise ValueError("its bytes are not those that were kept")
            take(path, FormerState(_log(value, verify), value), verify)
        except (
            CallerError,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            IndexError,
            Base64Error,
        ) as error:
            raise BadFile(
                "The state of verified pulls cannot be used",
                path=str(path),
                why=f"{type(error).__name__}: {error}",
                todo="Restore it from a backup. Without it the log is verified from its beginning, but what "
                "the hub showed before is not compared",
            ) from None


def _log(value: dict[str, Any], verify: Verify) -> TrustedLog:
    if value["v"] != VERSION:
        raise ValueError(f"it is of version {value['v']}")
    log = TrustedLog(
        str(value["agreement"]), str(value["collection"]), str(value["origin"]), verify, hub=str(value["hub"])
    )
    for text in value["versions"]:
        log.add_agreement(b64decode(text))
    note, peaks = value["checkpoint"].encode(), b64decode(value["peaks"])
    log.go_on(merkle.frontier_of(log.open(note).size, peaks), note, None)
    return log


def _sum(value: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _held(row: list[Any]) -> LoggedVersion:
    object_id, version, digest, owner, key, index, stamp, problem, withdrawn, gone = row
    return LoggedVersion(
        *(object_id, version, digest, owner, key, index, Micros(stamp)),
        problem=None if problem is None else Failure(problem),
        withdrawn=None if withdrawn is None else WithdrawReason(withdrawn),
        gone=gone,
    )


def _instant(version: str) -> Instant:
    return parse_instant(version) if version else NO_INSTANT
