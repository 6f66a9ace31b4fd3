"""fsck of rows that follow from others: what keys had logged, changes noted for caches, migrations, strays.

Nothing here is signed by itself; it is made anew from what is, and compared. Read-only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import apsw
import orjson

from lightship.core.collection import KEY_SHIFT, stamp_of
from lightship.storage.fsck_scratch import Scratch
from lightship.storage.fsck_statements import Head
from lightship.storage.migrate import Kind, load
from lightship.storage.sqlite.transaction import KEPT_DROPS

_SIGNED = "SELECT key, body FROM statement WHERE signatures <> x'' ORDER BY key"
_OF_COLLECTIONS = (
    "log_head",
    "log_node",
    "dropped",
    "held_set",
    "publish_key",
    "signed_statement",
    "withdrawn",
)


def check_meta(db: apsw.Connection, kind: Kind, name: str, scratch: Scratch) -> None:
    """Check that the migrations noted are those of the schema."""
    said: list[Any] = db.execute("SELECT schema, needs FROM meta ORDER BY schema").fetchall()
    if said != [(step.number, step.needs) for step in load(kind)]:
        scratch.find(name, "the migrations noted in it are not those of its schema")


def check_strays(db: apsw.Connection, heads: Sequence[Head], scratch: Scratch) -> None:
    """Check that no row is one of a collection that is not kept."""
    known = {head.number for head in heads}
    for table in _OF_COLLECTIONS:
        rows: list[Any] = db.execute(f"SELECT DISTINCT collection FROM {table}").fetchall()  # noqa: S608  (one of a few fixed names)
        for (number,) in rows:
            if number not in known:
                scratch.find(f"collection {number}", f"there are rows of it in `{table}`, but it is not kept")


def check_dropped(db: apsw.Connection, heads: Sequence[Head], scratch: Scratch) -> None:
    """Check that the changes noted for caches are the newest ones, without a gap."""
    for head in heads:
        sql = "SELECT count(*), min(generation), max(generation) FROM dropped WHERE collection = ?"
        noted: list[Any] = db.execute(sql, (head.number,)).fetchall()
        count, first, last = noted[0]
        where = f"collection {head.number} ({head.id})"
        if last is not None and (last != head.generation or last - first + 1 != count):
            scratch.find(where, f"generation is {head.generation}, changes are noted from {first} to {last}")
        elif count < min(head.generation, KEPT_DROPS):
            scratch.find(where, f"generation is {head.generation}, only {count} changes are noted")
        strange = "SELECT count(*) FROM dropped WHERE collection = ? AND key >> ? <> collection"
        if db.execute(strange, (head.number, KEY_SHIFT)).get:
            scratch.find(where, "a change is noted of a row that lies in another collection")


def check_signed_rows(db: apsw.Connection, scratch: Scratch) -> None:
    """Check what keys had logged last, and where each signed statement lies, against the statements."""
    chains: dict[tuple[int, str], tuple[int, str]] = {}
    places: dict[tuple[int, str], int] = {}
    rows: Iterator[Any] = iter(db.execute(_SIGNED))
    for key, body in rows:
        number, digest = key >> KEY_SHIFT, hashlib.sha256(body).hexdigest()
        places[number, digest] = stamp_of(key)
        try:
            value = orjson.loads(body)
            chains[number, value["key"]] = value["seq"], digest
        except (ValueError, KeyError, TypeError):
            continue  # said where statements are read
    kept: list[Any] = db.execute("SELECT collection, key, seq, digest FROM publish_key").fetchall()
    if {(number, key): (seq, digest) for number, key, seq, digest in kept} != chains:
        scratch.find("hub.db", "what each key had logged last is not what its statements say")
    answers: Iterator[Any] = iter(db.execute("SELECT collection, digest, idx, status FROM signed_statement"))
    for number, digest, idx, status in answers:
        where = f"signed statement {digest} of collection {number}"
        if places.pop((number, digest), None) != idx:
            scratch.find(where, f"it is not statement {idx}")
        if not _is_status(status):
            scratch.find(where, "the answer to it cannot be read")
    for number, digest in places:
        scratch.find(f"signed statement {digest} of collection {number}", "the answer to it is not kept")


def _is_status(body: bytes) -> bool:
    try:
        value = orjson.loads(body)
    except ValueError:
        return False
    return isinstance(value, dict) and isinstance(value.get("id"), str)
