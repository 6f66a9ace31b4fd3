"""The leaves of a collection's log: publications, agreement changes, suspensions, rosters.

A leaf is canonical JSON. Its bytes are verified against the log's root first and read only then; nothing
here verifies anything. Objects are not in a leaf, so that they can be erased without breaking a proof. The
stamps of a leaf's objects follow from `at` (`core.stamps.entry_stamps`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

from lightship.core import dsse
from lightship.core.agreement.suspension import PAYLOAD_TYPE
from lightship.core.log import record, statement
from lightship.core.log.record import BadRecord
from lightship.core.log.statement import Statement
from lightship.core.stamps import entry_stamps
from lightship.core.time import MAX_MICROS, Micros, format_stamp, instant_micros, parse_instant

MAX_ENTRY = 65_535
"""Bytes of an entry in a bundle of tlog-tiles."""
SUSPENSION_TYPE = PAYLOAD_TYPE
KIND = "log entry"
_STAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z", re.ASCII)
MAX_VERSION = 1_000_000


@dataclass(frozen=True, slots=True)
class Publication:
    """A statement: `by` is the member whose it is, empty for what the hub does by itself (expiry, orders)."""

    agreement: int
    at: Micros
    by: str
    envelope: dsse.Envelope
    statement: Statement

    @property
    def size(self) -> int:
        """Stamps that it takes."""
        return self.statement.size


@dataclass(frozen=True, slots=True)
class AgreementChange:
    """From here on this version of the agreement is in force; `sha256` is its payload's."""

    agreement: int
    at: Micros
    sha256: str
    size: int = 1


@dataclass(frozen=True, slots=True)
class RosterChange:
    """From here on the member's roster is the one whose payload has this SHA-256."""

    agreement: int
    at: Micros
    member: str
    sha256: str
    size: int = 1


@dataclass(frozen=True, slots=True)
class Suspension:
    """A party's signed stop of a member or of the whole agreement, or what ends one early."""

    agreement: int
    at: Micros
    envelope: dsse.Envelope
    size: int = 1


Leaf = Publication | AgreementChange | RosterChange | Suspension


def stamps(leaf: Leaf) -> range:
    """Return the stamps of a leaf's entries: withdrawals first, then adds, the last one at `at`."""
    return entry_stamps(leaf.at, leaf.size)


def add_stamps(leaf: Publication) -> range:
    """Return the `date_added` of each object that a publication adds, in its order, microseconds."""
    return entry_stamps(leaf.at, len(leaf.statement.add))


def publication(agreement: int, at: int, by: str, envelope: dsse.Envelope) -> bytes:
    """Return the leaf of a statement.

    Raises:
        BadRecord: it would not fit an entry.
    """
    return _written(
        {"agreement": agreement, "at": format_stamp(at), "by": by, "pub": dsse.as_value(envelope)}
    )


def agreement_change(agreement: int, at: int, sha256: str) -> bytes:
    """Return the leaf that a version of the agreement takes effect."""
    return _written({"agreement": agreement, "at": format_stamp(at), "sha256": sha256})


def roster_change(agreement: int, at: int, member: str, sha256: str) -> bytes:
    """Return the leaf that a member's roster takes effect."""
    return _written({"agreement": agreement, "at": format_stamp(at), "member": member, "roster": sha256})


def suspension(agreement: int, at: int, envelope: dsse.Envelope) -> bytes:
    """Return the leaf of a suspension or of its end."""
    return _written({"agreement": agreement, "at": format_stamp(at), "suspend": dsse.as_value(envelope)})


def read(entry: bytes) -> Leaf:
    """Return the leaf in bytes whose hash has been verified.

    Raises:
        BadRecord: it is no leaf of a collection's log.
    """
    value = record.read_canonical(KIND, entry, MAX_ENTRY)
    if value.get("v") != 1:
        raise BadRecord(KIND, "v", "is not 1: a newer version may read it")
    agreement = record.number(KIND, "agreement", value.get("agreement"), 1, MAX_VERSION)
    at = _moment(value.get("at"))
    if "pub" in value:
        record.members(KIND, value, ("agreement", "at", "by", "pub", "v"))
        by = record.slug(KIND, "by", value["by"], empty=True)
        envelope, found = statement.read_envelope(value["pub"], signed=False)
        if found.key and not by:
            raise BadRecord(KIND, "by", "is missing beside a signature")
        return Publication(agreement, at, by, envelope, found)
    if "roster" in value:
        record.members(KIND, value, ("agreement", "at", "member", "roster", "v"))
        member = record.slug(KIND, "member", value["member"])
        return RosterChange(agreement, at, member, record.sha256(KIND, "roster", value["roster"]))
    if "suspend" in value:
        record.members(KIND, value, ("agreement", "at", "suspend", "v"))
        found_envelope = record.envelope(
            KIND, "suspend", value["suspend"], SUSPENSION_TYPE, 1, dsse.MAX_SIGNATURES
        )
        return Suspension(agreement, at, found_envelope)
    record.members(KIND, value, ("agreement", "at", "sha256", "v"))
    return AgreementChange(agreement, at, record.sha256(KIND, "sha256", value["sha256"]))


def _written(value: dict[str, Any]) -> bytes:
    entry = orjson.dumps(
        value | {"v": 1}, option=orjson.OPT_SORT_KEYS
    )  # ASCII names, small integers: RFC 8785
    if len(entry) > MAX_ENTRY:
        raise BadRecord(KIND, "bytes", f"are {len(entry)}, more than the {MAX_ENTRY} of a log's entry")
    return entry


def _moment(value: Any) -> Micros:
    if not isinstance(value, str) or _STAMP.fullmatch(value) is None:
        raise BadRecord(KIND, "at", "must be a UTC time with six digits")
    try:
        found = instant_micros(parse_instant(value))
    except ValueError:
        raise BadRecord(KIND, "at", "is a time that does not exist") from None
    if not 0 <= found <= MAX_MICROS:
        raise BadRecord(KIND, "at", "is out of range")
    return found
