"""fsck of texts: SQLite takes any bytes for one, and reading what is no UTF-8 ends a whole pass. Read-only.

Asked only once a pass has stumbled: then each such text is named by its table, row and column.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw

from lightship.storage.fsck_scratch import Scratch


def check_texts(db: apsw.Connection, name: str, scratch: Scratch) -> None:
    """Name every text in a file that is not UTF-8, each once."""
    for where, what in _broken(db, name):
        scratch.find_once(where, what)


def _broken(db: apsw.Connection, name: str) -> Iterator[tuple[str, str]]:
    tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    for (table,) in db.execute(tables).fetchall():
        columns: list[Any] = db.execute(f"PRAGMA table_info({table})").fetchall()
        keys = [row[1] for row in sorted(columns, key=lambda row: row[5]) if row[5]]
        for text in (row[1] for row in columns if row[2] == "TEXT"):
            shown = ", ".join(f"CAST({one} AS BLOB)" for one in (*keys, text))
            for row in db.execute(f"SELECT {shown} FROM {table}"):  # noqa: S608  (names of the file's own schema)
                *place, kept = row
                if kept is not None and not _is_text(kept):
                    key = ", ".join(f"{one} {_shown(value)}" for one, value in zip(keys, place, strict=True))
                    yield f"{name}, {table} of {key or 'no key'}", f"column {text} is no text: {_shown(kept)}"


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shown(value: bytes | None) -> str:
    return (value or b"").decode(errors="backslashreplace")[:100]
