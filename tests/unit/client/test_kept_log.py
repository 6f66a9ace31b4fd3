"""What a verifying consumer keeps between two pulls: damage anywhere is refused, one user at a time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from lightship.client import kept_file
from lightship.client.kept_file import KeptFile, NotKept, StateBusy
from lightship.client.kept_log import Kept, load
from lightship.core import dsse
from lightship.core.errors import BadFile, LightshipError
from lightship.crypto.sign import verify
from logworld import Consumer
from simulator import WARNINGS, Simulator, indicator, withdrawal_of


@pytest.fixture(name="consumer")
def _consumer(tmp_path: Path) -> Consumer:
    hub = Simulator()
    for number in range(12):
        hub.publish("uslgb", indicator(number))
    hub.publish("uslgb", withdraw=[withdrawal_of(indicator(3))])
    consumer = Consumer(hub, tmp_path / "state")
    assert consumer.pull().ok
    return consumer


def everything(path: Path) -> Any:
    """Return every row of a state."""
    with closing(sqlite3.connect(path)) as db:
        return {
            table: db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            for table in ("signed", "object", "statement", "told", "head")
        }


def refused(path: Path, rows: Any) -> bool:
    """Whether a state is refused; if it is not, it must say the same as before."""
    try:
        with load(path, verify) or pytest.fail("a damaged state is no first look"):
            pass
    except BadFile:
        return True
    assert everything(path) == rows
    return False


def test_a_flipped_byte_anywhere_is_refused_or_changes_nothing(consumer: Consumer) -> None:
    path = consumer.state
    whole, rows = path.read_bytes(), everything(path)
    count = 0
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        count += refused(path, rows)
    assert count > len(whole) / 97 / 10
    path.write_bytes(whole)
    assert consumer.pull().ok


def test_a_truncated_state_is_refused_and_never_taken_for_a_first_look(consumer: Consumer) -> None:
    path = consumer.state
    whole, rows = path.read_bytes(), everything(path)
    pages = len(whole) // 4096
    for size in (0, 1, 15, 16, 100, *(page * 4096 for page in range(1, pages)), len(whole) - 1):
        path.write_bytes(whole[:size])
        assert refused(path, rows) or size > len(whole) - 2 * 4096  # the last pages may be free ones


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE object SET stamp = stamp + 1 WHERE place = 2",
        "UPDATE object SET digest = (SELECT digest FROM object WHERE place = 3) WHERE place = 2",
        "UPDATE object SET owed = 1 WHERE place = 2",
        "DELETE FROM object WHERE place = 2",
        "DELETE FROM object",
        "UPDATE statement SET seq = seq + 1 WHERE seq = (SELECT max(seq) FROM statement)",
        "DELETE FROM statement WHERE seq = 1",
        "DELETE FROM signed WHERE kind = 'roster'",
        "UPDATE signed SET data = x'00' WHERE n = 1",
        "DELETE FROM head",
        "UPDATE head SET data = replace(data, '\"seen\":', '\"seen\":1')",
        "DROP TABLE told",
        "DROP INDEX object_exact",
        "PRAGMA user_version = 9",
        "PRAGMA application_id = 9",
    ],
)
def test_a_state_that_somebody_changed_is_refused(consumer: Consumer, change: str) -> None:
    with closing(sqlite3.connect(consumer.state, isolation_level=None)) as db:
        db.execute(change)
    with pytest.raises(BadFile):
        consumer.look()


def test_rows_of_another_state_are_refused(consumer: Consumer, tmp_path: Path) -> None:
    other = Consumer(consumer.hub, tmp_path / "other")
    other.pull()
    with closing(sqlite3.connect(consumer.state, isolation_level=None)) as db:
        db.execute("ATTACH ? AS other", (str(other.state),))
        db.execute("UPDATE object SET sum = (SELECT sum FROM other.object AS o WHERE o.place = object.place)")
    with pytest.raises(BadFile, match="a row is not as it was kept"):
        consumer.look()


def test_the_state_of_another_collection_says_so(tmp_path: Path) -> None:
    one, two = Simulator(), Simulator(collection=WARNINGS)
    Consumer(one, tmp_path / "state").pull()
    assert "other-log" in str(Consumer(two, tmp_path / "state").failures()) or Consumer(
        two, tmp_path / "state"
    ).failures() == {"checkpoint-forged"}


def test_an_older_state_put_back_repeats_and_loses_nothing(consumer: Consumer, tmp_path: Path) -> None:
    """A restored backup: what came since comes again, and nothing is called a lie."""
    shutil.copy(consumer.state, tmp_path / "backup")
    consumer.hub.publish("uslgb", indicator(50), withdraw=[withdrawal_of(indicator(1))])
    first = consumer.pull()
    shutil.copy(tmp_path / "backup", consumer.state)
    again = consumer.pull()
    assert again.ok
    assert [one.id for one in again.delivered] == [one.id for one in first.delivered] != []
    assert again.gone == first.gone != ()


def test_two_pulls_at_once_on_one_state(consumer: Consumer) -> None:
    with consumer.kept() as held:
        assert held.log.size
        for _ in range(2):
            with pytest.raises(StateBusy, match="in use"):
                consumer.look()
    assert consumer.look().ok


def test_two_first_looks_at_once_keep_one_state(tmp_path: Path) -> None:
    one, two = (Consumer(Simulator(), tmp_path / "state") for _ in range(2))
    with one.kept() as first:
        two.pull()
        kept = two.state.read_bytes()
        first.log.add_agreement(one.hub.envelopes[0])
        with pytest.raises(StateBusy):
            first.commit()
    assert two.state.read_bytes() == kept
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_full_disk_leaves_the_state_as_it_was(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(consumer.state)
    for number in range(100, 400):
        consumer.hub.publish("uslgb", indicator(number))
    opened = KeptFile._open

    def full(self: KeptFile, path: Path) -> None:
        opened(self, path)
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        self._db.execute(f"PRAGMA max_page_count={max(pages, 1)}")

    monkeypatch.setattr(KeptFile, "_open", full)
    with pytest.raises(NotKept, match="cannot be written"):
        consumer.pull()
    monkeypatch.undo()
    assert everything(consumer.state) == before
    assert len(consumer.pull().delivered) == 300


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(LightshipError, match="cannot be written"):
        Consumer(Simulator(), tmp_path / "no" / "state").pull()


def test_a_large_state_is_looked_at_whole_once_a_day(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_file, "SMALL", 3)
    moment = consumer.hub.clock()
    with load(consumer.state, verify, moment) or pytest.fail("there is one") as kept:
        kept.commit()
    with closing(sqlite3.connect(consumer.state, isolation_level=None)) as db:
        db.execute("DELETE FROM object WHERE place = 2")
    with load(consumer.state, verify, moment + 1) or pytest.fail("there is one"):
        pass
    with pytest.raises(BadFile, match="taken out"):
        load(consumer.state, verify, moment + kept_file.CHECK_EVERY)
    with pytest.raises(BadFile, match="taken out"):
        load(consumer.state, verify, moment - 1)


# --- the form of before ---------------------------------------------------------------------------


def former(kept: Kept) -> dict[str, Any]:
    """Return a state as it was kept before: one JSON document with a SHA-256 over the rest."""
    log, shelf = kept.log, kept.log.ledger.held.shelf
    keys = [keyid for member in ("uslgb",) for keyid in log.ledger.rosters.current(member).roster.keys]  # type: ignore[union-attr]  # uslgb has a roster
    objects = list(shelf.after(-1))  # type: ignore[arg-type]  # before the first
    return {
        "v": 1,
        "agreement": log.agreement,
        "collection": log.collection,
        "origin": log.origin,
        "hub": log.chain.hub,
        "versions": [b64encode(one).decode() for one in log.envelopes],
        "rosters": [[version, b64encode(one).decode()] for version, one in log.ledger.applied_rosters],
        "suspensions": [
            [version, at, b64encode(dsse.encode(one)).decode()]
            for version, at, one in log.ledger.applied_suspensions
        ],
        "checkpoint": log.note.decode(),
        "peaks": b64encode(log.frontier.to_bytes()).decode(),
        "version": log.version,
        "last_at": log.last_at,
        "seen": log.seen,
        "keys": {
            key: [
                [seq, *found]
                for seq in range(1, shelf.last_statement(key)[0] + 1)
                if (found := shelf.statement(key, seq))
            ]
            for key in keys
        },
        "objects": [
            [
                *(one.id, one.version, one.digest, one.owner, one.key, one.index, one.stamp),
                *(one.problem, one.withdrawn, one.gone),
            ]
            for one in objects
        ],
        "reached": kept.reached,
        "owed": [[objects[4].id, objects[4].digest]],
        "early": [[objects[5].id, objects[5].digest, objects[5].stamp]],
    }


def write(path: Path, value: dict[str, Any]) -> None:
    total = hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()
    path.write_bytes(orjson.dumps(value | {"sha256": total}) + b"\n")


@pytest.fixture(name="old")
def _old(consumer: Consumer) -> dict[str, Any]:
    with consumer.kept() as kept:
        return former(kept)


def test_a_state_of_the_former_form_is_taken_over(consumer: Consumer, old: dict[str, Any]) -> None:
    before = everything(consumer.state)
    write(consumer.state, old)
    consumer.hub.publish("uslgb", indicator(50))
    report = consumer.pull()
    assert report.ok
    owed = old["owed"][0][0]
    assert {one.id for one in report.delivered} == {owed, indicator(50)["id"]}
    after = everything(consumer.state)
    assert len(after["object"]) == len(before["object"]) + 1
    assert [row[:8] for row in after["object"]][: len(before["object"])] == [
        row[:8] for row in before["object"]
    ]
    assert [path.name for path in consumer.state.parent.iterdir()] == ["state"]


def test_a_damaged_state_of_the_former_form_is_refused_and_stays(
    consumer: Consumer, old: dict[str, Any]
) -> None:
    path = consumer.state
    write(path, old)
    value = json.loads(path.read_bytes())
    for name in value:
        others: tuple[object, ...] = ("x", None, [], -1, {})
        for other in (one for one in others if one != value[name]):
            text = json.dumps({**value, name: other})
            path.write_text(text)
            with pytest.raises(BadFile):
                load(path, verify)
            assert path.read_text() == text
        path.write_text(json.dumps({one: held for one, held in value.items() if one != name}))
        with pytest.raises(BadFile):
            load(path, verify)
    path.write_text("[]")
    with pytest.raises(BadFile):
        load(path, verify)


def test_two_processes_do_not_take_over_one_state_at_once(consumer: Consumer, old: dict[str, Any]) -> None:
    write(consumer.state, old)
    with kept_file.locked(consumer.state), pytest.raises(StateBusy):
        load(consumer.state, verify)
    assert consumer.look().ok
    assert not [name for name in os.listdir(consumer.state.parent) if name != "state"]
