"""The file of a verifying consumer: SQLite, one user at a time, every row with a checksum.

The only database of the client; nothing of a log's rules is in here. A transaction begins with the first
change and ends with `commit`; whatever ends the process before, the file is as it was. The checksums tell of
damage, not of an attacker who can write the file: each row's is looked at when the row is read, the sum over
all of them when the file is opened (of a large file once a day).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import orjson

from lightship.client.durable import sync_folder
from lightship.core.errors import BadFile, StewardError

VERSION = 2
APPLICATION = 0x4C534B56
"""`LSKV` in the file's header."""
SMALL = 4_000
"""Rows that are all looked at whenever the file is opened."""
CHECK_EVERY = 86_400 * 1_000_000
"""Microseconds after which a larger file is looked at whole again."""
MAGIC = b"SQLite format 3\0"
_WRAP = 1 << 64
_TABLES = {
    "object": "place,id,version,digest,owner,key,entry,stamp,problem,withdrawn,gone,owed,exact,name",
    "statement": "key,seq,digest,entry",
    "signed": "n,kind,version,at,data",
    "told": "n,kind,data",
}
"""Tables and the columns that a row's checksum is over."""
_SCHEMA = """
CREATE TABLE head(one INTEGER PRIMARY KEY CHECK(one = 1), data BLOB NOT NULL, digest BLOB NOT NULL);
CREATE TABLE signed(n INTEGER PRIMARY KEY, kind TEXT NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL,
  data BLOB NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE object(place INTEGER PRIMARY KEY, id TEXT NOT NULL, version TEXT NOT NULL, digest BLOB NOT NULL,
  owner TEXT NOT NULL, key BLOB NOT NULL, entry INTEGER NOT NULL, stamp INTEGER NOT NULL, problem TEXT,
  withdrawn TEXT, gone INTEGER NOT NULL, owed INTEGER NOT NULL, exact INTEGER NOT NULL, name INTEGER NOT NULL,
  sum INTEGER NOT NULL);
CREATE INDEX object_exact ON object(exact);
CREATE INDEX object_first ON object(name, problem IS NOT NULL, place);
CREATE INDEX object_stamp ON object(stamp);
CREATE INDEX object_key ON object(key, entry) WHERE key != x'';
CREATE INDEX object_owed ON object(stamp) WHERE owed;
CREATE TABLE statement(key BLOB NOT NULL, seq INTEGER NOT NULL, digest BLOB NOT NULL, entry INTEGER NOT NULL,
  sum INTEGER NOT NULL, PRIMARY KEY(key, seq)) WITHOUT ROWID;
CREATE TABLE told(n INTEGER PRIMARY KEY, kind TEXT NOT NULL, data BLOB NOT NULL, sum INTEGER NOT NULL);
"""
_REMEDY = (
    "Restore it from a backup. Without it the log is verified from its beginning, but what the hub showed "
    "before is not compared"
)


class StateBusy(StewardError):
    """Another process uses the file."""

    code = "state-busy"


class NotKept(StewardError):
    """The file could not be written, for want of space or rights; it is as it was."""

    code = "state-not-kept"


class KeptFile:
    """An open file, locked against everybody else until `close`.

    Args:
        path: of the file.
        make: it must not be there; what is made appears under its name with the first `commit`.
    """

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self.path = path
        self._beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}.new") if make else None
        self.head: dict[str, Any] = {}
        self.salt = os.urandom(16)
        self.total = self.rows = self.checked = 0
        self._db = sqlite3.connect(":memory:")
        try:
            self._open(self._beside or path)
            with self._translated():
                self._make() if make else self._take()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        self._db.executescript(f"PRAGMA application_id={APPLICATION};PRAGMA user_version={VERSION};")
        self._db.execute("BEGIN EXCLUSIVE")
        for one in _SCHEMA.split(";\n"):
            self._db.execute(one)

    def _take(self) -> None:
        """Take the lock, which stays until `close`, and read the head."""
        self._db.execute("BEGIN EXCLUSIVE")
        self._db.execute("COMMIT")
        self._read_head()

    def _open(self, path: Path) -> None:
        self._db.close()
        with self._translated():
            self._db = sqlite3.connect(path, timeout=0, isolation_level=None, cached_statements=64)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA cache_size=-65536")
            self._db.execute("PRAGMA temp_store=MEMORY")
            self._db.execute("PRAGMA trusted_schema=OFF")
            self._db.execute("PRAGMA cell_size_check=ON")

    def _read_head(self) -> None:
        kind = self._db.execute("PRAGMA application_id").fetchone()[0]
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if (kind, version) != (APPLICATION, VERSION):
            raise self.bad(f"it is of kind {kind:#x}, version {version}")
        made = {row[0] for row in self._db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
        if made != {one.strip() for one in _SCHEMA.split(";\n") if one.strip()}:
            raise self.bad("its tables are not those of such a file")
        found = self._db.execute("SELECT data, digest FROM head").fetchall()
        if len(found) != 1 or sha256(found[0][0]).digest() != found[0][1]:
            raise self.bad("its head is not the one that was kept")
        self.head = orjson.loads(found[0][0])
        self.salt = bytes.fromhex(self.head["salt"])
        self.total, self.rows, self.checked = self.head["total"], self.head["rows"], self.head["checked"]

    def check(self, now: int) -> None:
        """Look at every row if there are few, or if that was not done for a day; `now` in microseconds.

        Raises:
            BadFile: they are not those that were kept.
        """
        if self.rows > SMALL and 0 <= now - self.checked < CHECK_EVERY:
            return
        total = rows = 0
        with self._translated():
            for table, columns in _TABLES.items():
                for *row, kept in self._db.execute(f"SELECT {columns}, sum FROM {table}"):  # noqa: S608 -- names from above
                    self.same(tuple(row), kept)
                    total, rows = (total + kept) % _WRAP, rows + 1
            if self._db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise self.bad("its index does not fit its rows")
        if (total, rows) != (self.total, self.rows):
            raise self.bad("rows were taken out or put in")
        self.checked = now

    # --- rows ---------------------------------------------------------------------------------------

    def sum_of(self, row: Sequence[Any]) -> int:
        """Return the checksum of a row: 63 bits, with this file's salt."""
        raw = blake2b(repr(row).encode(), key=self.salt, digest_size=8).digest()
        return int.from_bytes(raw, "big") >> 1

    def hash_of(self, text: str) -> int:
        """Return 63 bits by which a text is found; with the salt nobody can choose texts of the same ones."""
        raw = blake2b(text.encode(), key=self.salt, digest_size=8).digest()
        return int.from_bytes(raw, "big") >> 1

    def same(self, row: tuple[Any, ...], kept: int) -> None:
        """Raise BadFile if a row is not as it was kept."""
        if self.sum_of(row) != kept:
            raise self.bad("a row is not as it was kept")

    def counted(self, change: int, rows: int = 0) -> None:
        """Take a row's checksum into the sum over all."""
        self.total, self.rows = (self.total + change) % _WRAP, self.rows + rows

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a question."""
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._named(error) from None

    def one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Return the first row of a question, None without one."""
        try:
            return self._db.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise self._named(error) from None

    def write(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Change something; the first change begins the transaction. Return the new row's number."""
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            return self._db.execute(sql, values).lastrowid or 0
        except sqlite3.Error as error:
            raise self._named(error) from None

    # --- keeping ------------------------------------------------------------------------------------

    def commit(self, head: dict[str, Any]) -> None:
        """Keep everything and this head, durably.

        Raises:
            NotKept: it cannot be; the file is as it was, and must be closed.
        """
        self.head = head | {
            "salt": self.salt.hex(),
            "total": self.total,
            "rows": self.rows,
            "checked": self.checked,
        }
        data = orjson.dumps(self.head)
        self.write("INSERT OR REPLACE INTO head VALUES(1, ?, ?)", (data, sha256(data).digest()))
        with self._translated():
            self._db.execute("COMMIT")
        if self._beside is not None:
            self._appear(self._beside)

    def _appear(self, beside: Path) -> None:
        """Give the file that was made its name, unless somebody else made one meanwhile."""
        self._db.close()
        try:
            os.link(beside, self.path)
        except FileExistsError:
            raise StateBusy(
                f"{self.path} was made by another process", todo="Run the command again"
            ) from None
        finally:
            beside.unlink(missing_ok=True)
        self._beside = None
        sync_folder(self.path.parent)
        self._open(self.path)

    def close(self) -> None:
        """Forget what was not committed and let the file go."""
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        self._db.close()
        if self._beside is not None:
            self._beside.unlink(missing_ok=True)
            Path(f"{self._beside}-journal").unlink(missing_ok=True)

    def bad(self, why: str) -> BadFile:
        """Return the error that the file cannot be used."""
        return BadFile(
            "The state of verified pulls cannot be used", path=str(self.path), why=why, todo=_REMEDY
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise what SQLite or the content says as errors of the one tree."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._named(error) from None
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise self.bad(f"{type(error).__name__}: {error}") from None

    def _named(self, error: sqlite3.Error) -> StewardError:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StateBusy(
                f"{self.path} is in use by another process",
                why="two pulls at once would each undo what the other one kept",
                todo="Wait for the other one, or give each its own --state",
            )
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")):
            return NotKept(
                f"{self.path} cannot be written",
                why=f"{error}; it is as it was",
                todo="Look at the space and the rights there, then run the command again",
            )
        return self.bad(f"{name or type(error).__name__}: {error}")


@contextmanager
def locked(path: Path) -> Iterator[bytes]:
    """Hold a file that is not SQLite against others, and yield its bytes.

    Raises:
        StateBusy: somebody else holds it, or has replaced it.
    """
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateBusy(f"{path} is in use by another process", todo="Wait for the other one") from None
        if os.fstat(file.fileno()).st_ino != path.stat().st_ino:
            raise StateBusy(f"{path} was replaced by another process", todo="Run the command again")
        yield file.read()
