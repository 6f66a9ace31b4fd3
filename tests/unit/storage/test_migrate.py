"""Migrations: once, in order, after a backup; nothing foreign and nothing newer is touched."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

import lightship.storage
from audit_samples import MAY
from fsckhub import make_hub
from lightship.core.errors import BadFile, Damaged, NewerStore
from lightship.core.time import Micros
from lightship.storage.fsck import fsck
from lightship.storage.migrate import (
    APPLICATION_IDS,
    Kind,
    Migration,
    MigrationReport,
    check,
    integrity,
    load,
    migrate,
    open_migrated,
)

NOW = Micros(MAY)
SCHEMA = Path(lightship.storage.__file__).parent / "schema"
FIRST = Migration(1, "initial", "0.1.0", "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT) STRICT;")
SECOND = Migration(
    2, "colour", "0.2.0", "ALTER TABLE thing ADD COLUMN colour TEXT; UPDATE thing SET colour = 'red';"
)
BROKEN = Migration(2, "broken", "0.2.0", "ALTER TABLE thing ADD COLUMN colour TEXT; SELECT * FROM nowhere;")


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    conn = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return list(conn.execute(sql))
    finally:
        conn.close()


def old_file(path: Path) -> None:
    """Make a database at schema 1 with data in it."""
    conn = open_migrated(path, Kind.HUB, NOW, (FIRST,))
    conn.execute("INSERT INTO thing(name) VALUES ('buoy'), ('beacon')")
    conn.close()


@pytest.mark.parametrize("kind", list(Kind))
def test_the_shipped_migrations_make_a_file_of_mode_0600_that_says_what_it_is(
    tmp_path: Path, kind: Kind
) -> None:
    path = tmp_path / "new.db"
    report = migrate(path, kind, NOW)
    assert report.pending == tuple(step.label for step in load(kind))
    assert (report.found, report.backup) == (0, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert rows(path, "PRAGMA application_id") == [(APPLICATION_IDS[kind],)]
    assert rows(path, "SELECT schema, needs, applied_at FROM meta") == [
        (step.number, step.needs, NOW) for step in load(kind)
    ]
    assert not (tmp_path / "backups").exists()


def test_data_of_an_old_schema_is_kept_and_brought_forward(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    old_file(path)
    report = migrate(path, Kind.HUB, NOW, (FIRST, SECOND))
    assert report.pending == ("0002_colour",)
    assert rows(path, "SELECT name, colour FROM thing ORDER BY id") == [("buoy", "red"), ("beacon", "red")]
    assert check(path, Kind.HUB, (FIRST, SECOND)).pending == ()


def test_a_hub_with_data_at_the_shipped_schema_survives_a_later_migration(tmp_path: Path) -> None:
    make_hub(tmp_path)
    path = tmp_path / "hub.db"
    before = rows(path, "SELECT * FROM object"), rows(path, "SELECT * FROM statement")
    later = Migration(
        len(load(Kind.HUB)) + 1, "later", "7.1.0", "ALTER TABLE object ADD COLUMN seen INTEGER;"
    )
    report = migrate(path, Kind.HUB, NOW, (*load(Kind.HUB), later))
    assert report.pending == (later.label,)
    kept = [row[:-1] for row in rows(path, "SELECT * FROM object")], rows(path, "SELECT * FROM statement")
    assert kept == before
    with pytest.raises(NewerStore, match=r"Use Lightship 7\.1\.0 or newer"):
        migrate(path, Kind.HUB, NOW)
    assert report.backup is not None
    report.backup.replace(path)  # the way back
    assert fsck(tmp_path).findings == ()


@pytest.mark.parametrize("name", sorted(path.name for path in (SCHEMA / "audit").glob("*.sql")))
def test_each_shipped_schema_of_the_access_log_is_brought_forward(tmp_path: Path, name: str) -> None:
    steps = load(Kind.AUDIT)
    old = int(name[:4])
    path = tmp_path / "audit-2026.db"
    migrate(path, Kind.AUDIT, NOW, steps[:old])
    assert migrate(path, Kind.AUDIT, NOW).found == old
    assert check(path, Kind.AUDIT).pending == ()


def test_before_a_migration_a_verified_backup_of_the_old_data_is_made(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    old_file(path)
    backup = migrate(path, Kind.HUB, NOW, (FIRST, SECOND)).backup
    assert backup is not None
    assert re.fullmatch(r"hub-v1-20260501T000000\.000000Z\.db", backup.name)
    assert backup.parent == tmp_path / "backups"
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert integrity(backup) == []
    assert rows(backup, "PRAGMA user_version") == [(1,)]
    assert rows(backup, "SELECT * FROM thing") == [(1, "buoy"), (2, "beacon")]


def test_a_file_that_is_up_to_date_is_neither_backed_up_nor_locked(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    old_file(path)
    (tmp_path / "migrate.lock").unlink()
    assert migrate(path, Kind.HUB, NOW, (FIRST,)).pending == ()
    assert not (tmp_path / "backups").exists()
    assert not (tmp_path / "migrate.lock").exists()


def test_a_migration_that_fails_leaves_the_old_data_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    old_file(path)
    with pytest.raises(apsw.SQLError):
        migrate(path, Kind.HUB, NOW, (FIRST, BROKEN))
    assert rows(path, "SELECT * FROM thing") == [(1, "buoy"), (2, "beacon")]
    assert rows(path, "PRAGMA user_version") == [(1,)]
    assert migrate(path, Kind.HUB, NOW, (FIRST, SECOND)).pending == ("0002_colour",)


def test_check_changes_nothing_and_names_what_would_run(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    assert check(path, Kind.HUB, (FIRST, SECOND)).pending == ("0001_initial", "0002_colour")
    assert not path.exists()
    old_file(path)
    before = path.read_bytes()
    assert check(path, Kind.HUB, (FIRST, SECOND)) == MigrationReport(path, Kind.HUB, 1, 2, ("0002_colour",))
    assert path.read_bytes() == before


def test_a_file_of_a_newer_version_is_refused_with_the_version_that_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    old_file(path)
    migrate(path, Kind.HUB, NOW, (FIRST, SECOND))
    before = path.read_bytes()
    for act in (check, lambda *args: migrate(args[0], args[1], NOW, args[2])):
        with pytest.raises(NewerStore, match=r"Use Lightship 0\.2\.0 or newer") as caught:
            act(path, Kind.HUB, (FIRST,))
        assert caught.value.details["needed"] == "0.2.0"
    assert path.read_bytes() == before


def text_file(path: Path) -> None:
    path.write_text("port, terminal\n" * 500)


def other_database(path: Path) -> None:
    conn = apsw.Connection(str(path))
    conn.execute("CREATE TABLE somebody_elses (x)")
    conn.close()


def other_kind(path: Path) -> None:
    migrate(path, Kind.AUDIT, NOW)


@pytest.mark.parametrize("make", [text_file, other_database, other_kind])
def test_a_file_that_is_not_ours_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "hub.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(BadFile, match=r"hub\.db: This is no Lightship data file"):
        migrate(path, Kind.HUB, NOW)
    assert path.read_bytes() == before


def test_a_damaged_file_is_not_migrated(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    conn = open_migrated(path, Kind.HUB, NOW, (FIRST,))
    conn.execute("CREATE INDEX by_name ON thing(name)")
    conn.execute("INSERT INTO thing(name) SELECT hex(randomblob(50)) FROM json_each(?)", (str([0] * 2000),))
    conn.pragma("wal_checkpoint", "truncate")
    page = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'by_name'").get
    size = conn.pragma("page_size")
    conn.close()
    raw = bytearray(path.read_bytes())
    raw[(page - 1) * size + 2] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(Damaged):
        migrate(path, Kind.HUB, NOW, (FIRST, SECOND))
    assert rows(path, "PRAGMA user_version") == [(1,)]
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.parametrize("names", [["0002_later.sql"], ["0001_a.sql", "0003_c.sql"], ["first.sql"]])
def test_migrations_with_gaps_or_odd_names_are_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("-- needs: 0.1.0\nSELECT 1;\n")
    with pytest.raises(BadFile):
        load(Kind.HUB, tmp_path)


def test_a_migration_must_say_which_version_it_needs(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("SELECT 1;\n")
    with pytest.raises(BadFile, match="needs"):
        load(Kind.HUB, tmp_path)


START = """
import sys
from pathlib import Path
from lightship.core.time import Micros
from lightship.storage.migrate import Kind, load, migrate
steps = load(Kind.HUB, Path(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
print(*migrate(Path(sys.argv[1]), Kind.HUB, Micros(0), steps).pending)
"""


def test_processes_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    path, folder = tmp_path / "hub.db", tmp_path / "migrations"
    old_file(path)
    folder.mkdir()
    for step in (FIRST, SECOND):
        (folder / f"{step.label}.sql").write_text(f"-- needs: {step.needs}\n{step.sql}\n")
    command = [sys.executable, "-c", START, str(path), str(folder)]
    starting = [subprocess.Popen(command, stdin=-1, stdout=-1, text=True) for _ in range(3)]
    for process in starting:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in starting:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate(timeout=30)[0].strip() for process in starting]
    assert [process.returncode for process in starting] == [0, 0, 0]
    assert sorted(results) == ["", "", "0002_colour"]
    assert len(list((tmp_path / "backups").iterdir())) == 1
    assert rows(path, "SELECT count(*) FROM meta") == [(2,)]
