"""A hub on disk with rows in every table, and one change of one row or one cell at a time.

`cells` says what there is to change, `mutate` does it in a copy. What a change is worth (found by fsck, or
harmless for a reason that is written down) is for the tests that use it.
"""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import apsw

from hubkit import MEMBER
from lightship.cli.main import execute
from lightship.core.access import Credential
from lightship.core.agreement.chain import key_text
from lightship.core.audit import AccessEvent
from lightship.wiring import open_hub
from signedhub import gone, signed_hub
from stixsamples import address, indicator, indicator_20, sharing_terms

OWN = {"sqlite_schema", "sqlite_sequence", "sqlite_stat1", "sqlite_stat4"}
RULES = """
@id("rule-no-suppliers")
@say("Suppliers read here and do not publish.")
forbid (principal is Member, action == Action::"publish", resource) when { principal.group == "supplier" };
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """A column of a table; `""` stands for a whole row."""

    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}" if self.column else self.table


def make_world(folder: Path) -> Path:
    """Make the hub; return its directory. Nothing in it is wrong."""
    hub = signed_hub(folder)
    kit = hub.kit
    soon = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    place, objects = kit.path("indicators", "objects/"), [indicator(name=f"one {n}") for n in range(6)]
    waits = sharing_terms(kit.agreement, release_at=soon)
    ends = sharing_terms(kit.agreement, share_until=soon)
    later = {**objects[0], "modified": "2026-06-01T00:00:00.000Z", "name": "changed"}
    mixed = [*objects, later, indicator_20(), address(), waits, ends]
    with kit.client("uslgb") as lgb:
        assert lgb.post(place, json={"objects": mixed}).json()["failure_count"] == 0
        marked = [indicator(object_marking_refs=[one["id"]]) for one in (waits, waits, ends)]
        assert lgb.post(place, json={"objects": marked}).json()["failure_count"] == 0
        assert lgb.delete(kit.path("indicators", f"objects/{objects[1]['id']}/")).status_code == 200
    members = {one: {**MEMBER, "admin_key": key_text(key.public)} for one, key in hub.admins.items()}
    kit.add_agreement(kit.agreement, members=members, rules=RULES)
    for member in ("uslgb", "uslax"):
        hub.enrol(member)
    box, signed = hub.box("uslgb", folder / "box"), [indicator(name=f"signed {n}") for n in range(3)]
    box.publish(*signed)
    box.publish(indicator(), withdraw=[gone(signed[0])])
    with kit.client("uslgb") as lgb:  # more than a tile of the log
        for number in range(260):
            assert lgb.post(place, json={"objects": [indicator(name=f"n {number}")]}).status_code == 202
    kit.mint("uslax", "second", note="a note", allowed=("192.0.2.0/24",))
    kit.revoke("uslax/second")
    hub_dir = kit.hub.dir
    kit.close()
    words = ["--member", "uslax", "--hours", "1", "--reason", "a test", "--yes", "--hub", str(hub_dir)]
    assert execute(["agreement", "suspend", kit.agreement, *words]) == 0
    _leave_pending(hub_dir)
    return hub_dir


def _leave_pending(hub_dir: Path) -> None:
    """Mint a credential and let its event wait for the access log, as after a crash."""
    hub = open_hub(hub_dir)
    now = hub.clock.now()
    made = Credential(str(uuid4()), "exercise", "uslgb", "uslgb-third", bytes(range(32)), now, None)
    said = AccessEvent(uuid4().hex, now, "credential-mint", "exercise", "uslgb", "steward", q=made.name)
    hub.registry.put_credential(made, said)
    hub.close()


def cells(path: Path) -> list[Cell]:
    """Return every column of every table of a file, and every table as rows."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = []
        for table in sorted(map(str, tables)):
            if table in OWN:
                continue
            names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            found += [Cell(table, ""), *(Cell(table, str(name)) for name in names)]
        return found
    finally:
        db.close()


def mutate(path: Path, cell: Cell, kind: str, seed: int) -> str:
    """Change, delete or insert one row; return what was done, empty if nothing of that kind can be done.

    Args:
        kind: `cell` changes the column of a row; `delete` and `insert` are for a whole row.
    """
    chance = random.Random(f"{seed} {cell} {kind}")
    db = apsw.Connection(str(path))
    try:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("PRAGMA ignore_check_constraints = ON")  # bytes of a file obey none
        names = [str(row[1]) for row in db.execute(f"PRAGMA table_info({cell.table})")]
        rows: list[Any] = db.execute(f"SELECT {', '.join(names)} FROM {cell.table}").fetchall()
        if not rows:
            return ""
        row = chance.choice(rows)
        where = " AND ".join(f"{name} IS ?" for name in names)
        try:
            if kind == "delete":
                db.execute(f"DELETE FROM {cell.table} WHERE {where}", row)
                return f"deleted {_short(row)}"
            if kind == "insert":
                return _insert(db, cell.table, names, row, chance)
            at = names.index(cell.column)
            new = other(row[at], chance)
            db.execute(f"UPDATE {cell.table} SET {cell.column} = ? WHERE {where}", (new, *row))
            return f"{cell}: {_short((row[at],))} -> {_short((new,))}"
        except (apsw.ConstraintError, apsw.MismatchError):
            return ""
    finally:
        db.pragma("wal_checkpoint", "truncate")
        db.close()


def other(value: Any, chance: random.Random) -> Any:
    """Return another value of the same kind."""
    match value:
        case None:
            return chance.choice([1, b"\0", "x"])
        case int():
            return chance.choice([value + 1, value - 1, -value - 1, 0 if value else 7, value + (1 << 40)])
        case float():
            return value + 1
        case str():
            if not value:
                return "x"
            at = chance.randrange(len(value))
            letter = chance.choice([one for one in "0aZ-é" if one != value[at]])
            return chance.choice([value[:at] + letter + value[at + 1 :], value[:at] + value[at + 1 :], ""])
        case _:
            if not value:
                return b"\0"
            at = chance.randrange(len(value))
            flipped = value[:at] + bytes([value[at] ^ 1 << chance.randrange(8)]) + value[at + 1 :]
            return chance.choice([flipped, value[:at] + value[at + 1 :], value + b"\0", b""])


def _insert(db: apsw.Connection, table: str, names: list[str], row: Any, chance: random.Random) -> str:
    """Insert a copy of a row that differs in as few columns as its keys demand."""
    new = list(row)
    for _ in range(40):
        try:
            marks = ", ".join("?" * len(names))
            db.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", new)
            return f"inserted {_short(new)}"
        except (apsw.ConstraintError, apsw.MismatchError):
            at = chance.randrange(len(names))
            new[at] = other(row[at], chance)
    return ""


def _short(values: Any) -> str:
    return ", ".join(repr(one)[:60] for one in values)


def copy_world(world: Path, folder: Path) -> Path:
    """Return a copy of a hub directory's data."""
    shutil.copytree(world / "data", folder / "data")
    return folder / "data"
