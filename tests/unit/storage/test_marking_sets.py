"""Schema 3 gives what was stored before its true marking set, in any number of steps, and counts it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import pytest

from governance_samples import NOW, content
from lightship.core import dsse
from lightship.core.collection import Level
from lightship.core.marks import Cited, MarkingSet, decode
from lightship.core.stix.json import canonical
from lightship.core.stix.markings import TLP2_IDS
from lightship.core.time import instant_micros, parse_instant
from lightship.crypto.sign import new_signing_key
from lightship.storage import marking_sets
from lightship.storage.migrate import Kind, load, migrate
from lightship.storage.sqlite.rows import idhash
from stixsamples import address, indicator, sharing_terms, statement_marking

INCIDENTS = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa1"
WARNINGS = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa3"
END = "2026-12-01T00:00:00Z"


def marked(*refs: str, **over: Any) -> dict[str, Any]:
    return indicator(object_marking_refs=list(refs), **over)


TERMS = sharing_terms("la-lb-mou", share_until=END)
STATEMENT = statement_marking()
UNREADABLE = statement_marking(definition_type="house", definition={"house": "rules"})
PLAIN, GREEN, RED = indicator(), marked(TLP2_IDS[Level.GREEN]), marked(TLP2_IDS[Level.RED])
ENDS = marked(TLP2_IDS[Level.AMBER], TERMS["id"])
GRANULAR = indicator(granular_markings=[{"marking_ref": TLP2_IDS[Level.AMBER], "selectors": ["name"]}])
STRANGER = marked(TLP2_IDS[Level.GREEN], statement_marking()["id"])
ODD = marked(TLP2_IDS[Level.RED], UNREADABLE["id"])
HERE = [TERMS, STATEMENT, UNREADABLE, PLAIN, GREEN, RED, ENDS, GRANULAR, STRANGER, ODD, address()]
THERE = [marked(TLP2_IDS[Level.GREEN], STATEMENT["id"]), marked(TLP2_IDS[Level.RED])]


def digest(value: Mapping[str, Any]) -> bytes:
    return sha256(canonical(dict(value))).digest()


def cited(*values: Mapping[str, Any]) -> tuple[Cited, ...]:
    return tuple(sorted(Cited(value["id"], digest(value)) for value in values))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A hub at schema 2 with two versions of an agreement and objects in two collections."""
    path = tmp_path / "hub.db"
    migrate(path, Kind.HUB, NOW, load(Kind.HUB)[:2])
    db = apsw.Connection(str(path))
    key = new_signing_key()
    for version, audience in ((1, ["uslax"]), (2, ["uslax", "uslgb"])):
        value = content({"hub": key}, version=version)
        value["collections"]["incidents"]["audience"] = audience
        value["collections"]["warnings"]["audience"] = ["uslgb"]
        payload = dsse.canonical(value)
        db.execute("INSERT INTO agreement VALUES ('la-lb-mou', ?, ?, x'', '', 0)", (version, payload))
    for number, uuid in ((1, INCIDENTS), (2, WARNINGS)):
        db.execute(
            "INSERT INTO collection (number, id, agreement, agreement_version, hub)"
            " VALUES (?, ?, 'la-lb-mou', 2, '')",
            (number, uuid),
        )
    types: dict[str, int] = {}
    for number, objects in ((1, HERE), (2, THERE)):
        for index, value in enumerate(objects):
            kind = types.setdefault(value["type"], len(types) + 1)
            body = canonical(value)
            row = ((number << 52) + NOW + index, 15, kind, "", "", "uslax", idhash(number, value["id"]))
            db.execute(
                "INSERT INTO object"
                " (key, class, type, version, version_text, owner, idhash, id, digest, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, value["id"], digest(value), body),
            )
    db.executemany("INSERT INTO type (name, number) VALUES (?, ?)", list(types.items()))
    db.close()
    return path


def sets(path: Path) -> dict[str, MarkingSet]:
    db = apsw.Connection(str(path))
    try:
        sql = "SELECT o.id, s.body FROM object AS o JOIN marking_set AS s ON s.number = o.marks"
        return {row[0]: decode(row[1]) for row in db.execute(sql)}
    finally:
        db.close()


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    db = apsw.Connection(str(path))
    try:
        return list(db.execute(sql))
    finally:
        db.close()


def test_every_object_says_what_its_markings_say(old: Path) -> None:
    migrate(old, Kind.HUB, NOW, load(Kind.HUB)[:3])
    found, end = sets(old), instant_micros(parse_instant(END))
    unlevelled = MarkingSet(levelled=False)
    assert [found[value["id"]] for value in HERE] == [
        MarkingSet(levelled=False, share_until=end),
        unlevelled,
        unlevelled,
        MarkingSet(),
        MarkingSet(Level.GREEN),
        MarkingSet(Level.RED, red_members=frozenset({"uslax", "uslgb"})),
        MarkingSet(Level.AMBER, share_until=end, cites=cited(TERMS)),
        MarkingSet(Level.AMBER),
        MarkingSet(Level.GREEN),
        MarkingSet(Level.RED),
        MarkingSet(),
    ]


def test_definitions_count_in_the_whole_agreement_and_red_means_each_collections_audience(old: Path) -> None:
    migrate(old, Kind.HUB, NOW, load(Kind.HUB)[:3])
    found = sets(old)
    assert found[THERE[0]["id"]] == MarkingSet(Level.GREEN, cites=cited(STATEMENT))
    assert found[THERE[1]["id"]] == MarkingSet(Level.RED, red_members=frozenset({"uslgb"}))


def test_what_ends_is_found_by_its_end_and_all_is_counted(old: Path) -> None:
    migrate(old, Kind.HUB, NOW, load(Kind.HUB)[:3])
    ends = ask(
        old, "SELECT id FROM object INDEXED BY object_expires WHERE collection = 1 AND expires IS NOT NULL"
    )
    assert {row[0] for row in ends} == {TERMS["id"], ENDS["id"]}
    counted = ask(old, "SELECT sum(live), sum(staged), count(*) FROM held_set")
    assert counted == [(len(HERE) + len(THERE), 0, 10)]


def test_some_rows_at_a_time_come_to_the_same_and_tell_how_far_they_are(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(old.read_bytes())
    migrate(old, Kind.HUB, NOW, load(Kind.HUB)[:3])
    monkeypatch.setattr(marking_sets, "ROWS", 2)
    monkeypatch.setattr(marking_sets, "TELL", 4)
    with caplog.at_level(logging.WARNING, "lightship"):
        migrate(copy, Kind.HUB, NOW, load(Kind.HUB)[:3])
    every = "SELECT * FROM held_set UNION ALL SELECT key, marks, owner, expires, 0 FROM object"
    assert ask(copy, every) == ask(old, every)
    assert [record.args for record in caplog.records] == [(4,), (8,), (12,)]


def test_an_agreement_that_cannot_be_read_leaves_the_level(old: Path) -> None:
    db = apsw.Connection(str(old))
    db.execute("UPDATE agreement SET payload = x'7b7d'")
    db.close()
    migrate(old, Kind.HUB, NOW, load(Kind.HUB)[:3])
    found = sets(old)
    assert found[GREEN["id"]] == MarkingSet(Level.GREEN)
    assert found[RED["id"]] == MarkingSet(Level.RED, red_members=frozenset())
