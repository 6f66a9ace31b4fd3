"""fsck of the access log's trees: one byte changed anywhere in the file is found, and named by its entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auditlab import AuditLab, hub_events


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> AuditLab:
    lab = AuditLab(tmp_path_factory.mktemp("sound"))
    lab.record(hub_events(1100), together=50)
    return lab


@pytest.fixture
def lab(sound: AuditLab, tmp_path: Path) -> AuditLab:
    made = AuditLab(tmp_path, key=sound.key)
    made.data.mkdir()
    made.file.write_bytes(sound.file.read_bytes())
    return made


def bend(lab: AuditLab, table: str, column: str, where: str) -> None:
    """Change one bit of one value."""

    def change(db: Any) -> None:
        value = db.execute(f"SELECT {column} FROM {table} WHERE {where}").get
        if isinstance(value, bytes):
            at = len(value) // 2
            new: Any = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
        elif isinstance(value, str):
            new = value[:-1] + chr(ord(value[-1]) ^ 1)
        else:
            new = value ^ 1
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (new,))

    lab.edit(change)


def test_a_sound_log_has_no_findings(lab: AuditLab) -> None:
    assert lab.fsck() == []


@pytest.mark.parametrize(
    ("table", "column", "where", "said"),
    [
        ("event", "leaf", "idx = 300", "hub event 300: its bytes are not those that were hashed"),
        ("event", "hash", "idx = 300", "hub event 300: its bytes are not those that were hashed"),
        ("event", "at", "idx = 300", "hub event 300: column at"),
        ("event", "outcome", "idx = 300", "hub event 300: column outcome"),
        ("event", "req", "idx = 300", "hub event 300: column req"),
        ("event", "who", "idx = 300", "hub event 300: column who"),
        ("event", "q", "idx = 300", "hub event 300: q is not what its digest"),
        ("event", "ip_salt", "idx = 300", "hub event 300: ip is not what its digest"),
        ("event", "seal", "idx = 300", "hub event 300: it is not what the hub signed"),
        ("node", "hash", "idx = 2", "hub event 512: events 512 to 767 do not have the hash"),
        ("head", "peaks", "true", "the head of its tree is not that of its events"),
        ("head", "size", "true", "the head of its tree is not that of its events"),
        ("head", "newest", "true", "the head of its tree is not that of its events"),
        ("head", "origin", "true", "it is not what the hub signed"),
        ("checkpoint", "note", "true", "hub checkpoint 1050"),
        ("checkpoint", "size", "true", "checkpoint"),
    ],
)
def test_one_bit_changed_is_found_and_named(
    lab: AuditLab, table: str, column: str, where: str, said: str
) -> None:
    bend(lab, table, column, where)
    found = lab.fsck()
    assert any(said in one for one in found), found


def test_an_entry_rewritten_with_all_its_hashes_is_named_by_its_group(lab: AuditLab) -> None:
    changed = "CAST(replace(CAST(leaf AS TEXT), 'uslax', 'uslay') AS BLOB)"
    lab.edit(lambda db: db.execute(f"UPDATE event SET leaf = {changed} WHERE idx = 300"), rebuild=True)
    found = lab.fsck()
    assert any("hub event 300: it is not what the hub signed" in one for one in found)
    assert any("hub checkpoint 1050: the events are not those" in one for one in found)


def test_an_entry_at_another_place_is_missed_at_its_own(lab: AuditLab) -> None:
    lab.edit(lambda db: db.execute("UPDATE event SET idx = 5000 WHERE idx = 300"))
    assert any("hub event 5000: events 300 to 4999 before it are missing" in one for one in lab.fsck())


def test_events_taken_away_are_missed(lab: AuditLab) -> None:
    lab.edit(lambda db: db.execute("DELETE FROM event WHERE idx > 1000"), rebuild=True)
    assert any("events are missing: a checkpoint over 1050 was signed" in one for one in lab.fsck())
