"""Evidence: what who verified a log hands to somebody who was not there, as one file.

It holds the agreement's signed versions, checkpoints of one log that the hub signed, entries with their
inclusion proofs (RFC 9162 section 2.1.3), and rosters that say whose a publish key is. Here is its form;
nothing here verifies anything (`evidence_check`).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Any

import orjson

from lightship.core.errors import MalformedRequest
from lightship.core.log import notes, record
from lightship.core.log.record import BadRecord
from lightship.core.stix.json import decode as decode_json

KIND = "evidence"
VERSION = 1
ACCEPTED, EQUIVOCATION, REPLAYED, CONFLICT = "accepted", "equivocation", "replayed-statement", "conflict"
TWO_LOGS = "two-logs"
ENTRIES = {ACCEPTED: 1, EQUIVOCATION: 2, REPLAYED: 2, CONFLICT: 2, TWO_LOGS: 0}
"""What evidence can show, and by how many entries."""
MAX_BYTES = 64 * 1024 * 1024
_MEMBERS = (
    *("agreement", "checkpoints", "collection", "consistency", "entries", "kind"),
    *("prefix", "rosters", "v", "versions"),
)
_MOST_PATH = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the log, its place, and its proof under one of the checkpoints (by number)."""

    index: int
    leaf: bytes
    path: tuple[bytes, ...]
    checkpoint: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a file says. Nothing in it has been verified.

    Args:
        kind: one of ENTRIES.
        agreement: its id.  collection: the collection's UUID.
        versions, rosters: envelopes.  checkpoints: notes.
        prefix: for two logs of different size: the root of the larger one's first entries, as many as the
            smaller one has; `consistency` proves it. Empty if the hub does not show it.
    """

    kind: str
    agreement: str
    collection: str
    versions: tuple[bytes, ...]
    checkpoints: tuple[bytes, ...]
    entries: tuple[Entry, ...] = ()
    rosters: tuple[bytes, ...] = ()
    prefix: bytes = b""
    consistency: tuple[bytes, ...] = ()


def encode(one: Evidence) -> bytes:
    """Return the bytes of a file: JSON, the same for the same evidence."""
    return orjson.dumps(
        {
            "v": VERSION,
            "kind": one.kind,
            "agreement": one.agreement,
            "collection": one.collection,
            "versions": [_text(each) for each in one.versions],
            "rosters": [_text(each) for each in one.rosters],
            "checkpoints": [each.decode(errors="replace") for each in one.checkpoints],
            "entries": [
                {
                    "checkpoint": each.checkpoint,
                    "index": each.index,
                    "leaf": _text(each.leaf),
                    "proof": [_text(part) for part in each.path],
                }
                for each in one.entries
            ],
            "prefix": _text(one.prefix),
            "consistency": [_text(part) for part in one.consistency],
        },
        option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


def decode(data: bytes) -> Evidence:
    """Return what a file says, unverified.

    Raises:
        BadRecord: it is no evidence; `field` says where.
    """
    if len(data) > MAX_BYTES:
        raise BadRecord(KIND, "bytes", f"are more than {MAX_BYTES}")
    try:
        value = record.members(KIND, decode_json(data), _MEMBERS)
    except MalformedRequest as error:
        raise BadRecord(KIND, "JSON", f"is not strict: {error.title} ({error.why})") from None
    record.number(KIND, "v", value["v"], VERSION, VERSION)
    kind = record.text(KIND, "kind", value["kind"], 40)
    if kind not in ENTRIES:
        raise BadRecord(KIND, "kind", f"must be one of {', '.join(ENTRIES)}")
    listed = record.array(KIND, "entries", value["entries"], 2)
    points = record.array(KIND, "checkpoints", value["checkpoints"], 2)
    if len(points) < (2 if kind == TWO_LOGS else 1):
        raise BadRecord(KIND, "checkpoints", f"are not as many as `{kind}` needs")
    if len(listed) != ENTRIES[kind]:
        raise BadRecord(KIND, "entries", f"are not as many as `{kind}` needs")
    return Evidence(
        kind,
        record.slug(KIND, "agreement", value["agreement"]),
        record.text(KIND, "collection", value["collection"], 36),
        _all("versions", value["versions"], 10_000),
        tuple(
            record.text(KIND, f"checkpoints[{at}]", one, notes.MAX_NOTE).encode()
            for at, one in enumerate(points)
        ),
        tuple(_entry(f"entries[{at}]", one, len(points)) for at, one in enumerate(listed)),
        _all("rosters", value["rosters"], 10_000),
        _bytes("prefix", value["prefix"]),
        _all("consistency", value["consistency"], _MOST_PATH),
    )


def _entry(where: str, value: Any, checkpoints: int) -> Entry:
    one = record.members(KIND, value, ("checkpoint", "index", "leaf", "proof"), where)
    path = _all(f"{where}.proof", one["proof"], _MOST_PATH)
    return Entry(
        record.number(KIND, f"{where}.index", one["index"]),
        _bytes(f"{where}.leaf", one["leaf"]),
        path,
        record.number(KIND, f"{where}.checkpoint", one["checkpoint"], 0, checkpoints - 1),
    )


def _all(where: str, value: Any, most: int) -> tuple[bytes, ...]:
    return tuple(
        _bytes(f"{where}[{at}]", one) for at, one in enumerate(record.array(KIND, where, value, most))
    )


def _bytes(where: str, value: Any) -> bytes:
    try:
        raw = b64decode(value.encode("ascii"), validate=True)
    except (AttributeError, UnicodeEncodeError, Base64Error, ValueError):
        raise BadRecord(KIND, where, "is no base64") from None
    if _text(raw) != value:
        raise BadRecord(KIND, where, "is no canonical base64")
    return raw


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()
