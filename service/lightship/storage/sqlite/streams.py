"""Which keys a filtered read looks at: ascending streams out of indexes, together every row that matches.

Each range has both ends: no row of another collection can be met. Nothing is counted and nothing skipped.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import chain

import apsw

from lightship.core.collection import pack
from lightship.core.query import Filters
from lightship.core.time import MAX_MICROS, NO_INSTANT, Instant, instant_micros
from lightship.storage.sqlite.classes import spec_bits, wanted
from lightship.storage.sqlite.connection import select
from lightship.storage.sqlite.rows import idhash

FETCH = 512
"""Rows fetched at a time where keys come from several indexes."""

_OF_CLASS = """
SELECT key FROM object INDEXED BY object_class
WHERE class = ? AND key > ? AND key <= ? ORDER BY key LIMIT ?"""
_OF_TYPE = """
SELECT key FROM object INDEXED BY object_type
WHERE type = ? AND class = ? AND key > ? AND key <= ? ORDER BY key LIMIT ?"""
_TYPES_OF_VERSION = """
WITH RECURSIVE found (type) AS (
  SELECT * FROM (SELECT type FROM object INDEXED BY object_version
    WHERE version = ?1 AND version <> '' ORDER BY type LIMIT 1)
  UNION ALL
  SELECT (SELECT type FROM object INDEXED BY object_version
    WHERE version = ?1 AND version <> '' AND type > found.type ORDER BY type LIMIT 1)
  FROM found WHERE found.type IS NOT NULL
)
SELECT type FROM found WHERE type IS NOT NULL"""
"""One seek a type, however many rows share the version."""
_FIRSTS_OF_VERSION = """
SELECT t.value, b.value, (SELECT key FROM object INDEXED BY object_version
  WHERE version = ?1 AND version <> '' AND type = t.value AND class & 12 = b.value AND key > ?4 AND key <= ?5
  ORDER BY key LIMIT 1)
FROM carray(?2) AS t CROSS JOIN carray(?3) AS b"""
_OF_VERSION = """
SELECT key FROM object INDEXED BY object_version
WHERE version = ? AND version <> '' AND type = ? AND class & 12 = ? AND key > ? AND key <= ?
ORDER BY key LIMIT ?"""
_OF_ID = """
SELECT key, class FROM object INDEXED BY object_id WHERE idhash = ? AND key > ? AND key <= ?"""
_OF_ID_AND_VERSION = """
SELECT key FROM object INDEXED BY object_id
WHERE idhash = ? AND key > ? AND key <= ? AND (version = '' OR version IN (SELECT value FROM carray(?)))"""


def streams(
    db: apsw.Connection, number: int, filters: Filters, after: int, types: frozenset[int]
) -> list[Iterator[int]]:
    """Return ascending key streams that together hold every matching row, and few others.

    How many there are, and so the cost, depends on the filters and on how many types there are, never on how
    many rows share a type, a class or a version.
    """
    low, high = pack(number, after), pack(number, MAX_MICROS)
    instants = filters.versions.instants
    classes = wanted(filters)
    dates = sorted(key for key in (_key_of(number, one) for one in instants) if key and low < key <= high)
    if filters.ids:
        held: list[int] = []
        for object_id in filters.ids:
            bounds = (idhash(number, object_id), low, high)
            held += [key for key, row_class in select(db, _OF_ID, bounds) if row_class in classes]
            if instants:  # an observable's version is its date_added: looked at row by row
                dated = (*bounds, apsw.carray(tuple(sorted(instants))))
                held += [row[0] for row in select(db, _OF_ID_AND_VERSION, dated)]
        return [iter(sorted(held))]

    if types:
        found = [_keys(db, _OF_TYPE, (one, each), low, high) for one in sorted(types) for each in classes]
    else:
        found = [_keys(db, _OF_CLASS, (each,), low, high) for each in classes]
    bits = array("q", spec_bits(filters))
    for instant in sorted(instants):
        known = (row[0] for row in select(db, _TYPES_OF_VERSION, (instant,)))
        there = array("q", (one for one in known if not types or one in types))
        if not (there and bits):  # apsw takes no empty array
            continue
        firsts = (instant, apsw.carray(there), apsw.carray(bits), low, high)
        for one, passing, first in select(db, _FIRSTS_OF_VERSION, firsts):
            if first is not None:
                rest = _keys(db, _OF_VERSION, (instant, one, passing), first, high)
                found.append(chain((first,), rest))
    return [*found, iter(dates)]


def _keys(
    db: apsw.Connection, sql: str, values: tuple[int | str, ...], after: int, high: int
) -> Iterator[int]:
    """Yield ascending keys, some at a time: many streams at once share one statement, and keep none open."""
    want = 1
    while some := [row[0] for row in select(db, sql, (*values, after, high, want))]:
        yield from some
        if len(some) < want:
            return
        after, want = some[-1], min(8 * want, FETCH)


def distinct(keys: Iterator[int]) -> Iterator[int]:
    """Leave out repeats of ascending keys."""
    last = -1
    for key in keys:
        if key != last:
            yield key
        last = key


def _key_of(number: int, instant: Instant) -> int:
    """Return the key of an object without a version that was added at `instant`, 0 if none can be."""
    if instant == NO_INSTANT:
        return 0
    micros = instant_micros(instant)
    return pack(number, micros) if 0 < micros <= MAX_MICROS else 0
