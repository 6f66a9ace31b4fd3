"""Searching one file of the access log: the events in its search table, and the newest, which it lacks.

Each batch is one statement, so it sees one committed state: an event is in the table or among the newest ones
that are read through, never in both and never in none. Never writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from lightship.core.audit import AccessEvent, AuditQuery, Outcome
from lightship.core.errors import Damaged
from lightship.storage.event_leaf import from_leaf
from lightship.storage.sqlite.connection import open_database

OUTCOMES: dict[Outcome, int] = {"ok": 0, "refused": 1, "failed": 2}
FEW = 20_000
"""An index range with at most so many events is read through; beyond, the table answers the question."""

BATCH = 1000
"""Events per read transaction of a search."""

_FIRST_SCHEMA_WITH_TABLE = 2


def search_file(path: Path, query: AuditQuery, limit: int) -> Iterator[AccessEvent]:
    """Yield at most `limit` matching events of a file, oldest first."""
    conn = open_database(path, readonly=True)
    try:
        # Another process may be making this file just now.
        made = conn.pragma("user_version") >= _FIRST_SCHEMA_WITH_TABLE
        wanted = _wanted(conn, query) if made else None
        if wanted is None:
            return
        span = (query.since, (1 << 62) if query.until is None else query.until)
        sql = search_sql(wanted, _best_index(conn, wanted, span))
        at, seq = query.since, -1
        while limit > 0:
            rows = _rows(
                conn, path, sql, {**wanted, "at": at, "seq": seq, "until": span[1], "n": min(limit, BATCH)}
            )
            for row in rows:
                yield _event(path, row)
            if len(rows) < min(limit, BATCH):
                return
            limit -= len(rows)
            at, seq = rows[-1][0], rows[-1][1]
    finally:
        conn.close()


def _rows(conn: apsw.Connection, path: Path, sql: str, values: dict[str, int]) -> list[tuple[Any, ...]]:
    try:
        return conn.execute(sql, values).fetchall()
    except UnicodeDecodeError as error:
        raise Damaged(
            "An event of the access log cannot be read",
            why=f"{path.name}: {error}"[:200],
            todo="Run `lightship fsck`: it names the entry",
        ) from None


def _event(path: Path, row: tuple[Any, ...]) -> AccessEvent:
    try:
        return from_leaf(row[2], row[3], row[4])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(
            "An event of the access log cannot be read",
            why=f"{path.name}, event {row[1]}: {error}"[:200],
            todo="Run `lightship fsck`",
        ) from error


def word_number(conn: apsw.Connection, text: str) -> int | None:
    """Return the number that stands for a text in this file, None if it never occurred."""
    row = conn.execute("SELECT id FROM word WHERE text = ?", (text,)).fetchone()
    return None if row is None else int(row[0])


def _wanted(conn: apsw.Connection, query: AuditQuery) -> dict[str, int] | None:
    """Return column -> number of each filter; None if a word never occurs in this file."""
    texts = (
        ("agr", query.agreement),
        ("who", query.member),
        ("cred", query.principal),
        ("col", query.collection),
        ("act", query.action),
    )
    wanted = {}
    for column, text in texts:
        if text:
            number = word_number(conn, text)
            if number is None:
                return None
            wanted[column] = number
    if query.outcome:
        wanted["outcome"] = OUTCOMES[query.outcome]
    return wanted


def _best_index(conn: apsw.Connection, wanted: dict[str, int], span: tuple[int, int]) -> str:
    """Return the index with the fewest events in its range, by counting FEW + 1 entries of each at most."""
    best, fewest = "at", FEW + 1
    for column, number in wanted.items():
        if column == "agr" or (column == "outcome" and number == 0):
            continue
        partly = " AND outcome <> 0" if column == "outcome" else ""
        sql = (
            f"SELECT count(*) FROM (SELECT 1 FROM search INDEXED BY search_{column}"  # noqa: S608  (names of columns only)
            f" WHERE {column} = ? AND at >= ? AND at < ?{partly} LIMIT {FEW + 1})"
        )
        count = int(conn.execute(sql, (number, *span)).get)
        if count < fewest:
            best, fewest = column, count
    if best == "at" and len(wanted) == 1 and "agr" not in wanted and wanted.get("outcome") != 0:
        (best,) = wanted  # a single filter needs no other column, however many events match
    return best


def search_sql(wanted: dict[str, int], index: str) -> str:
    """Return the query of one batch: equal to these columns, along `search_<index>`, oldest first."""
    filters = "".join(f" AND {column} = :{column}" for column in wanted)
    if index == "outcome":
        filters += " AND outcome <> 0"
    way = "NOT INDEXED" if index == "at" else f"INDEXED BY search_{index}"
    after = f"(at, seq) > (:at, :seq) AND at < :until{filters} ORDER BY at, seq LIMIT :n"
    return (
        "SELECT e.at, e.seq, e.leaf, e.q, e.ip FROM ("  # noqa: S608  (names of columns only)
        f"SELECT at, seq FROM (SELECT at, seq FROM search {way} WHERE {after})"
        " UNION ALL SELECT at, seq FROM (SELECT at, seq FROM event NOT INDEXED"
        f" WHERE seq > (SELECT seq FROM filled) AND {after})"
        " ORDER BY at, seq LIMIT :n) AS found CROSS JOIN event AS e ON e.seq = found.seq"
        " ORDER BY found.at, found.seq"
    )
