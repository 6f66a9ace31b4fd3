"""fsck of object rows: each body against its digest, its canonical form and every column made from it.

One row at a time; the flags of an object's versions are judged together, by index order. Read-only.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import groupby
from typing import Any, NamedTuple

import apsw

from lightship.core.collection import KEY_SHIFT, stamp_of
from lightship.core.errors import MalformedRequest
from lightship.core.stix.json import canonical, decode
from lightship.core.stix.objects import declares
from lightship.core.stix.references import SCO
from lightship.core.time import MAX_MICROS, Instant, format_stamp, parse_instant
from lightship.storage.fsck_scratch import Scratch
from lightship.storage.sqlite.classes import CLASSES, FIRST, LAST, SPEC_21, TOP, classify, spec_of
from lightship.storage.sqlite.rows import idhash

_ROWS = """
SELECT o.key, o.class, t.name, o.version, o.version_text, o.owner, o.idhash, o.id, o.digest, o.body
FROM object AS o LEFT JOIN type AS t ON t.number = o.type WHERE o.key BETWEEN ? AND ? ORDER BY o.key"""
_NAMES = {LAST: "last", FIRST: "first", TOP: "highest spec_version", SPEC_21: "spec_version 2.1"}


class Stored(NamedTuple):
    """One row of `object`, with the name of its type."""

    key: int
    row_class: int
    type: str | None
    version: str
    version_text: str
    owner: str
    idhash: int
    id: str
    digest: bytes
    body: bytes

    @property
    def place(self) -> str:
        """How a finding names it."""
        return place(self.key >> KEY_SHIFT, self.id, self.version_text, stamp_of(self.key))


def place(collection: int, object_id: str, version_text: str, stamp: int) -> str:
    """Name one object version."""
    return f"collection {collection}, {object_id} {version_text or '-'} of {format_stamp(stamp)}"


def stored(db: apsw.Connection, collection: int) -> Iterator[Stored]:
    """Yield the rows of a collection in key order."""
    low = collection << KEY_SHIFT
    for row in db.execute(_ROWS, (low, low | MAX_MICROS)):
        yield Stored(*row)


def check_row(row: Stored, scratch: Scratch) -> None:
    """Check one row by itself."""
    if sha256(row.body).digest() != row.digest:
        scratch.find(row.place, "the body is not what its digest says")
    try:
        value = decode(row.body)
    except MalformedRequest as error:
        scratch.find(row.place, f"the body cannot be read: {error.title}")
        return
    if not isinstance(value, dict):
        scratch.find(row.place, "the body is no object")
        return
    if _canonical(value) != row.body:
        scratch.find(row.place, "the body is not in canonical form (RFC 8785)")
    for column, kept, said in _columns(row, value):
        if kept != said:
            scratch.find(row.place, f"column {column} says {kept!r}, the body says {said!r}")
    if row.idhash != idhash(row.key >> KEY_SHIFT, row.id):
        scratch.find(row.place, "its index hash is not that of its id in this collection")


def _canonical(value: object) -> bytes | None:
    try:
        return canonical(value)
    except ValueError:
        return None


def _columns(row: Stored, value: dict[str, Any]) -> Iterator[tuple[str, object, object]]:
    yield "id", row.id, value.get("id")
    yield "type", row.type, value.get("type")
    yield "version_text", row.version_text, version_text_of(row.type, value, row.version_text)
    yield "version", row.version, instant_of(row.version_text)
    unstated = "2.0" if "created" in value and row.type not in SCO else None
    stated = value.get("spec_version", unstated)
    if stated is not None:  # observables need not state it
        yield "spec_version", spec_of(row.row_class), stated


def version_text_of(name: str | None, value: dict[str, Any], kept: str = "") -> object:
    """Return what a body of a type says about its version; `kept` is what stands beside it.

    An observable has no version, also where it has properties of its own named `created` or `modified`.
    """
    if name in SCO or (not kept and declares(value, "new-sco")):
        return ""
    if name == "marking-definition":
        return value.get("created", "")
    return value.get("modified", value.get("created", ""))


def instant_of(text: str) -> str | None:
    """Return the instant that a version's text names, None if it names none."""
    try:
        return parse_instant(text) if text else Instant("")
    except ValueError:
        return None


def check_flags(db: apsw.Connection, scratch: Scratch) -> None:
    """Check the flags of all versions of each object: first, last, of the highest spec_version."""
    rows = db.execute(
        "SELECT idhash, id, key, class, version, version_text FROM object INDEXED BY object_id"
        " ORDER BY idhash"
    )
    for _, group in groupby(rows, key=lambda row: row[0]):
        objects: dict[tuple[str, int], list[tuple[Any, ...]]] = {}
        for row in group:
            objects.setdefault((row[1], row[2] >> KEY_SHIFT), []).append(row)
        for (object_id, collection), versions in objects.items():
            _check_versions(collection, object_id, versions, scratch)


def _check_versions(
    collection: int, object_id: str, versions: list[tuple[Any, ...]], scratch: Scratch
) -> None:
    right = classify((key, row_class, version) for _, _, key, row_class, version, _ in versions)
    seen: set[str] = set()
    for _, _, key, row_class, version, text in versions:
        where = place(collection, object_id, text, stamp_of(key))
        for bit, name in _NAMES.items():
            if (right[key] ^ row_class) & bit:
                should = "set but should not be" if row_class & bit else "not set but should be"
                scratch.find(where, f"the flag `{name}` is {should}")
        if row_class not in CLASSES:
            scratch.find(where, f"its flags are no class of a version: {row_class!r}")
        if version in seen:
            scratch.find(where, "this version is stored twice")
        seen.add(version)
