"""fsck finds each kind of damage and names the entry; a sound hub has no finding, also while it is in use."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import apsw
import pytest

from fsckhub import AUDIT, DiskHub, agreement, damage, findings, make_hub, stix
from lightship.core.errors import BadFile, NewerStore
from lightship.core.ports import FsckReport
from lightship.storage.fsck import fsck
from lightship.storage.fsck_scratch import MOST_FINDINGS
from storekit import object_id, uuid_of

ONE = object_id(1)
FOUR = object_id(4)
LIVE = f"WHERE id = '{ONE}' AND version_text = '2026-01-01T00:00:00Z'"
SECOND = "WHERE key = (1 << 52) + 1"
EVENT = "WHERE idx = 2"
COLUMNS = "version, version_text, owner, idhash, id, digest"
WORD = "(SELECT id FROM word WHERE text = '{}')"


def swap(table: str, old: str, new: str, where: str, column: str = "body") -> str:
    """Return SQL that replaces text inside a column of bytes."""
    text = f"replace(CAST({column} AS TEXT), '{old}', '{new}')"
    return f"UPDATE {table} SET {column} = CAST({text} AS BLOB) {where}"


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with one of everything, made once."""
    data_dir = tmp_path_factory.mktemp("sound")
    make_hub(data_dir)
    return data_dir


@pytest.fixture
def hub(sound: Path, tmp_path: Path) -> Path:
    """A copy of it to be damaged."""
    return Path(shutil.copytree(sound, tmp_path / "data"))


def test_a_sound_hub_has_no_findings(sound: Path) -> None:
    assert fsck(sound) == FsckReport(objects=612, statements=14, events=10)


def test_fsck_writes_nothing(hub: Path) -> None:
    before = {path.name: path.read_bytes() for path in hub.glob("*.db")}
    fsck(hub)
    assert {path.name: path.read_bytes() for path in hub.glob("*.db")} == before


HUB_DAMAGE = {
    "a byte of a body": (
        swap("object", "buoy", "bouy", LIVE),
        f"{ONE} 2026-01-01T00:00:00Z of ",
        "the body is not what its digest says",
    ),
    "a space inside a body": (
        swap("object", '"name":', '"name": ', LIVE),
        ONE,
        "the body is not in canonical form",
    ),
    "a body that is no JSON": (f"UPDATE object SET body = x'7b22' {LIVE}", ONE, "the body cannot be read"),
    "a body that is no object": (f"UPDATE object SET body = x'5b5d' {LIVE}", ONE, "the body is no object"),
    "a member twice in a body": (
        f'UPDATE object SET body = CAST(\'{{"id":1,"id":2}}\' AS BLOB) {LIVE}',
        ONE,
        "the body cannot be read",
    ),
    "another digest": (f"UPDATE object SET digest = zeroblob(32) {LIVE}", ONE, "not what its digest says"),
    "another id": (f"UPDATE object SET id = '{object_id(77)}' {LIVE}", object_id(77), "column id says"),
    "another type": (
        f"UPDATE object SET type = (SELECT number FROM type WHERE name = 'domain-name') {LIVE}",
        ONE,
        "column type says 'domain-name', the body says 'indicator'",
    ),
    "a type that is not kept": (f"UPDATE object SET type = 99 {LIVE}", ONE, "column type says None"),
    "another version": (f"UPDATE object SET version = '2025' {LIVE}", ONE, "column version says '2025'"),
    "another version text": (
        f"UPDATE object SET version_text = '2026-01-01T00:00:00.0Z' {LIVE}",
        ONE,
        "column version_text says",
    ),
    "another spec_version": (
        f"UPDATE object SET class = class & 7 {LIVE}",
        ONE,
        "column spec_version says '2.0'",
    ),
    "flags that no filter asks for, so that the object is left out of answers": (
        f"PRAGMA ignore_check_constraints = ON; UPDATE object SET class = class | 32 {LIVE}",
        ONE,
        "its flags are no class of a version: ",
    ),
    "a value that the schema forbids": (
        "PRAGMA ignore_check_constraints = ON; UPDATE hub SET one = 0",
        "hub.db",
        "SQLite: CHECK constraint failed in hub",
    ),
    "an owner that is no text": (
        f"UPDATE object SET owner = CAST(x'ff' AS TEXT) {LIVE}",
        "hub.db, object of key ",
        "column owner is no text: \\xff",
    ),
    "a request that is no text": (
        "UPDATE statement SET req = CAST(x'61ff' AS TEXT) WHERE key = (SELECT min(key) FROM statement)",
        "hub.db, statement of key ",
        "column req is no text: a\\xff",
    ),
    "another hash": (
        f"UPDATE object SET idhash = idhash + 1 {LIVE}",
        ONE,
        "its index hash is not that of its id",
    ),
    "another owner": (f"UPDATE object SET owner = 'uslgb' {LIVE}", ONE, "its owner is 'uslgb'"),
    "an object in another collection": (
        f"UPDATE object SET key = key + (1 << 52) + 5000000 {LIVE}",
        f"collection 2, {ONE}",
        "no statement adds it",
    ),
    "an object with another stamp": (
        f"UPDATE object SET key = key - 5000 {LIVE}",
        ONE,
        "no statement adds it at this stamp",
    ),
    "an object in a collection that is not kept": (
        f"UPDATE object SET key = key + (900 << 52) {LIVE}",
        "collection 901",
        "rows of it in `object`",
    ),
    "a deleted object": (
        f"DELETE FROM object {LIVE}",
        ONE,
        "statement 1 adds it and nothing withdraws it, but it is not stored",
    ),
    "an object that nobody added": (
        f"INSERT INTO object (key, class, type, {COLUMNS}, body)"
        f" SELECT key + 5000, 15, type, {COLUMNS}, body FROM object {LIVE}",
        ONE,
        "this version is stored twice",
    ),
    "last set on an old version": (
        f"UPDATE object SET class = class | 1 {LIVE}",
        ONE,
        "the flag `last` is set but should not be",
    ),
    "last missing": (
        f"UPDATE object SET class = class & ~1 WHERE id = '{ONE}' AND version_text LIKE '2026-03%'",
        ONE,
        "the flag `last` is not set but should be",
    ),
    "first missing": (f"UPDATE object SET class = class & ~2 {LIVE}", ONE, "the flag `first` is not set"),
    "highest spec_version missing": (
        f"UPDATE object SET class = class & ~4 {LIVE}",
        ONE,
        "the flag `highest spec_version` is not set",
    ),
    "a missing statement": (
        f"DELETE FROM statement {SECOND}",
        "collection 1, statement 2",
        "statements 1 to 1 are missing",
    ),
    "the newest statement missing": (
        "DELETE FROM statement WHERE key = (SELECT max(key) FROM statement WHERE key >> 52 = 1)",
        "collection 1 (",
        "size is 9, counted were 8",
    ),
    "an altered statement": (
        swap("statement", ONE, object_id(88), SECOND),
        ONE,
        f"statement 1 adds {object_id(88)}",
    ),
    "an unreadable statement": (
        f"UPDATE statement SET body = x'7b' {SECOND}",
        "collection 1, statement 1",
        "it cannot be read",
    ),
    "a statement with a space": (
        f"UPDATE statement SET body = CAST(body || ' ' AS BLOB) {SECOND}",
        "statement 1",
        "canonical form",
    ),
    "a statement of another collection": (
        swap("statement", uuid_of(1), uuid_of(2), SECOND),
        "collection 1, statement 1",
        "of another collection or hub",
    ),
    "a statement by somebody else": (
        f"UPDATE statement SET by = 'uslgb' {SECOND}",
        ONE,
        "collection 1, statement 1 is by 'uslgb'",
    ),
    "a statement's stamp": (
        f"UPDATE statement SET at = at - 1000000000 {SECOND}",
        "collection 1, statement 1",
        "stamps do not rise",
    ),
    "a statement's stamp that is no time": (
        f"UPDATE statement SET at = -5 {SECOND}",
        "collection 1, statement 1",
        "its stamp -5 is no time",
    ),
    "a statement's agreement": (
        f"UPDATE statement SET agreement = 9 {SECOND}",
        "collection 1, statement 1",
        "names version 9",
    ),
    "a statement without its request": (
        f"UPDATE statement SET req = '' {SECOND}",
        "collection 1, statement 1",
        "it names no event",
    ),
    "an agreement's entry": (
        swap("statement", '"sha256":"', '"sha256":"0', "WHERE key = 1 << 52"),
        "collection 1, statement 0",
        "does not name version 1 of exercise",
    ),
    "a withdrawn object stored again": (
        f"INSERT INTO object (key, class, type, {COLUMNS}, body)"
        f" SELECT (SELECT key + 1 FROM object WHERE id = '{object_id(3)}'), 15, 1, {COLUMNS}, x'7b7d'"
        " FROM withdrawn",
        FOUR,
        "withdraws it, but its body is still stored",
    ),
    "a forgotten withdrawal": (
        f"DELETE FROM withdrawn WHERE id = '{FOUR}'",
        FOUR,
        "withdraws it, but it is not kept as withdrawn",
    ),
    "another reason": (
        "UPDATE withdrawn SET reason = 'expired'",
        FOUR,
        "kept as withdrawn (expired), but no statement withdraws it",
    ),
    "a withdrawn digest": (
        "UPDATE withdrawn SET digest = zeroblob(32)",
        FOUR,
        "reason or digest are kept otherwise",
    ),
    "a withdrawal without statement": (
        f"UPDATE withdrawn SET id = '{object_id(66)}'",
        object_id(66),
        "but no statement withdraws it",
    ),
    "a counter of objects": (
        "UPDATE collection SET objects = 7 WHERE number = 1",
        "collection 1",
        "objects is 7",
    ),
    "a counter of bytes": (
        "UPDATE collection SET stored_bytes = 7 WHERE number = 1",
        "collection 1",
        "stored_bytes is 7",
    ),
    "a counter of statements": (
        "UPDATE collection SET size = 7 WHERE number = 1",
        "collection 1",
        "size is 7",
    ),
    "the last stamp": ("UPDATE collection SET last = 7 WHERE number = 1", "collection 1", "last is 7"),
    "the last added": (
        "UPDATE collection SET last_added = 7 WHERE number = 1",
        "collection 1",
        "last_added is 7",
    ),
    "the generation": (
        "UPDATE collection SET generation = 99 WHERE number = 1",
        "collection 1",
        "generation is 99",
    ),
    "the row that counts changes of the rules": ("DELETE FROM hub", "hub.db", "is not there"),
    "a deleted collection": (
        "DELETE FROM collection WHERE number = 2",
        "collection 2",
        "rows of it in `statement`, but it is not kept",
    ),
    "an agreement's payload": (
        swap("agreement", "exercise", "exorcise", "WHERE version = 1", "payload"),
        "agreement exercise, version 1",
        "the payload is not what its digest says",
    ),
    "a chain that does not link": (
        swap("agreement", '"prev":"', '"prev":"0', "WHERE version = 2", "payload"),
        "agreement exercise, version 2",
        "it does not name the payload of the version before",
    ),
    "an agreement's envelope": (
        'UPDATE agreement SET envelope = CAST(\'{"payload":"e30="}\' AS BLOB) WHERE version = 2',
        "agreement exercise, version 2",
        "its envelope holds another payload",
    ),
    "an agreement version missing": (
        "DELETE FROM agreement WHERE version = 1",
        "agreement exercise, version 2",
        "version 1 is missing",
    ),
    "a status": ("UPDATE status SET body = x'7b' WHERE number = 1", "status ", "it cannot be read"),
    "a credential's digest": ("UPDATE credential SET digest = x'00'", "credential splunk", "not 32 bytes"),
    "a credential's networks": ("UPDATE credential SET allowed = '{'", "credential splunk", "cannot be read"),
    "a pending event": ("UPDATE pending_event SET body = x'7b'", "pending event ", "it cannot be read"),
    "a pending event of strange types": (
        'UPDATE pending_event SET body = CAST(\'{"req":"a","at":"b","act":1}\' AS BLOB)',
        "pending event ",
        "it cannot be read",
    ),
    "a pending event deleted": (
        "DELETE FROM pending_event",
        "collection 1, statement 8",
        "is in no access log",
    ),
}

AUDIT_DAMAGE = {
    "a deleted event": (
        f"DELETE FROM event {EVENT}",
        "exercise event 3",
        "events 2 to 2 before it are missing",
    ),
    "a deleted event is missed by its statement": (
        f"DELETE FROM event {EVENT}",
        "collection 1, statement 2",
        "is in no access log",
    ),
    "the newest event deleted": (
        "DELETE FROM event WHERE idx = 9",
        "audit-2026.db, exercise",
        "the newest events are missing: there were 10",
    ),
    "an altered event": (
        swap("event", "uslax", "uslgb", EVENT, "leaf"),
        "exercise event 2",
        "column who says 'uslax', the event says 'uslgb'",
    ),
    "an altered column": (
        f"UPDATE event SET who = {WORD.format('publish')} {EVENT}",
        "exercise event 2",
        "column who says",
    ),
    "an altered time": (f"UPDATE event SET at = at + 1 {EVENT}", "exercise event 2", "column at says"),
    "another outcome": (f"UPDATE event SET outcome = 1 {EVENT}", "exercise event 2", "column outcome says 1"),
    "another request": (f"UPDATE event SET req = x'00' {EVENT}", "exercise event 2", "column req says"),
    "an altered query": (
        f"UPDATE event SET q = 'q=2' {EVENT}",
        "exercise event 2",
        "q is not what its digest",
    ),
    "an altered address": (
        f"UPDATE event SET ip = '::1' {EVENT}",
        "exercise event 2",
        "ip is not what its digest",
    ),
    "half an erasure": (
        f"UPDATE event SET q = NULL {EVENT}",
        "exercise event 2",
        "only one of q and its salt",
    ),
    "an unreadable event": (
        f"UPDATE event SET leaf = x'7b' {EVENT}",
        "exercise event 2",
        "it cannot be read",
    ),
    "an event with a space": (
        f"UPDATE event SET leaf = CAST(leaf || ' ' AS BLOB) {EVENT}",
        "exercise event 2",
        "canonical form",
    ),
    "another effect": (f"UPDATE event SET effect = 0 {EVENT}", "exercise event 2", "column effect says 0"),
    "an event of an effect that no longer counts is missed by its statement": (
        f"UPDATE event SET effect = 0 {EVENT}",
        "collection 1, statement 2",
        "is in no access log",
    ),
    "the same request twice": (
        "UPDATE event SET effect = 0, req = (SELECT req FROM event WHERE idx = 3) " + EVENT,
        "exercise event 2",
        "is recorded again: audit-2026.db, exercise event 3",
    ),
    "the same number twice": (
        "DROP INDEX event_place; UPDATE event SET idx = 1 WHERE idx = 2",
        "exercise event 1",
        "there is another one of this number before it",
    ),
    "an event that the search table should hold": (
        "UPDATE filled SET seq = 5",
        "exercise event 2",
        "the table that is searched does not hold it as it is",
    ),
    "an event that the search table holds too early": (
        "INSERT INTO search SELECT at, seq, agr, who, cred, col, act, outcome FROM event WHERE idx = 2",
        "exercise event 2",
        "the table that is searched does not hold it as it is",
    ),
    "an event that the search table holds otherwise": (
        "UPDATE filled SET seq = (SELECT max(seq) FROM event);"
        " INSERT INTO search SELECT at, seq, agr, who, cred, col, act, outcome <> 2 FROM event",
        "exercise event 2",
        "the table that is searched does not hold it as it is",
    ),
    "an event that is in the search table alone": (
        "INSERT INTO search SELECT at, seq + 99, agr, who, cred, col, act, outcome FROM event WHERE idx = 2",
        "audit-2026.db",
        "holds events that are not there",
    ),
    "a renamed word": (
        "UPDATE word SET text = 'withdrawn' WHERE text = 'withdraw'",
        "event ",
        "column act says 'withdrawn'",
    ),
    "a word that is no text": (
        "UPDATE word SET text = CAST(x'77ff' AS TEXT) WHERE text = 'withdraw'",
        f"{AUDIT}, word of id ",
        "column text is no text: w\\xff",
    ),
}


def expect(data_dir: Path, where: str, what: str) -> None:
    found = fsck(data_dir).findings
    assert any(where in one.where and what in one.what for one in found), found


@pytest.mark.parametrize("name", HUB_DAMAGE)
def test_damage_of_the_store_is_found_and_named(hub: Path, name: str) -> None:
    sql, where, what = HUB_DAMAGE[name]
    damage(hub / "hub.db", sql)
    expect(hub, where, what)


@pytest.mark.parametrize("name", AUDIT_DAMAGE)
def test_damage_of_the_access_log_is_found_and_named(hub: Path, name: str) -> None:
    sql, where, what = AUDIT_DAMAGE[name]
    damage(hub / AUDIT, sql)
    expect(hub, where, what)


def test_an_event_of_another_year_is_found(hub: Path) -> None:
    for path in hub.glob("audit-2026*"):
        path.rename(path.with_name(path.name.replace("2026", "2025")))
    expect(hub, "audit-2025.db, exercise event 0", "it belongs to another year")


def test_a_missing_access_log_is_found_by_its_statements(hub: Path) -> None:
    for path in hub.glob("audit-*"):
        path.unlink()
    expect(hub, "collection 1, statement 0", "is in no access log")


def test_a_pending_event_that_differs_from_the_logged_one_is_found(hub: Path) -> None:
    damage(
        hub / AUDIT,
        "ATTACH '" + str(hub / "hub.db") + "' AS hub",
        "INSERT INTO hub.pending_event SELECT lower(hex(req)), CAST(json_object("
        "'req', lower(hex(req)), 'at', at, 'act', 'publish', 'st', 503) AS BLOB) FROM event WHERE idx = 2",
    )
    expect(hub, "pending event ", "the access log has another event of this request")


def test_erased_queries_and_addresses_are_no_finding(hub: Path) -> None:
    damage(hub / AUDIT, "UPDATE event SET q = NULL, q_salt = NULL, ip = NULL, ip_salt = NULL")
    assert findings(hub) == []


def test_an_index_that_lost_an_entry_is_found_by_sqlite_itself(hub: Path) -> None:
    conn = apsw.Connection(str(hub / "hub.db"))
    sql = conn.execute("SELECT sql FROM sqlite_schema WHERE name = 'object_version'").get
    conn.execute("PRAGMA writable_schema = ON")
    rename = "UPDATE sqlite_schema SET sql = ? WHERE name = 'object_version'"
    conn.execute(rename, (sql + " AND version < '2026-02'",))
    conn.execute("PRAGMA writable_schema = RESET")
    conn.execute("REINDEX object_version")
    conn.execute("PRAGMA writable_schema = ON")
    conn.execute(rename, (sql,))
    conn.close()
    expect(hub, "hub.db", "SQLite: ")


@pytest.mark.parametrize("name", ["hub.db", AUDIT])
def test_pages_overwritten_on_disk_are_found(hub: Path, name: str) -> None:
    damage(hub / name, "PRAGMA user_version")
    with (hub / name).open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096 * 4)
    expect(hub, name, "")


def test_findings_are_bounded_and_say_how_many_there_are(hub: Path) -> None:
    damage(hub / "hub.db", "UPDATE object SET digest = zeroblob(32), owner = 'x', idhash = idhash + 1")
    found = fsck(hub).findings
    assert len(found) == MOST_FINDINGS + 1
    assert "further findings are not listed" in found[-1].what


def test_a_directory_without_a_hub_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="There is no data here"):
        fsck(tmp_path)


def test_a_newer_hub_is_refused_with_the_version_needed(hub: Path) -> None:
    damage(hub / "hub.db", "INSERT INTO meta VALUES (99, '9.9.9', 0)", "PRAGMA user_version = 99")
    with pytest.raises(NewerStore, match=r"Use Lightship 9\.9\.9 or newer"):
        fsck(hub)


def test_progress_is_told(hub: Path) -> None:
    told: list[tuple[str, int, int]] = []
    fsck(hub, lambda what, done, total: told.append((what, done, total)))
    assert ("checking objects", 612, 612) in told
    assert (f"checking {AUDIT}", 10, 10) in told


def test_a_hub_that_is_being_written_to_has_no_findings(tmp_path: Path) -> None:
    hub = DiskHub(tmp_path)
    hub.activate(1, "")
    stop, wrong = threading.Event(), []

    def write() -> None:
        try:
            for number in range(1, 100_000):
                if stop.is_set():
                    return
                hub.clock.advance(2000)
                hub.publish(stix(number), stix(number, ""), log=number % 3 > 0)
                if number % 5 == 0:
                    hub.withdraw(object_id(number))
        except Exception as error:
            wrong.append(error)

    writing = threading.Thread(target=write)
    writing.start()
    try:
        reports = [fsck(tmp_path) for _ in range(10)]
        while reports[-1].objects <= reports[0].objects and writing.is_alive():
            reports.append(fsck(tmp_path))
    finally:
        stop.set()
        writing.join(20)
        hub.close()
    assert wrong == []
    assert [report.findings for report in reports] == [()] * len(reports)
    assert reports[-1].objects > reports[0].objects


def test_the_builder_links_agreements() -> None:
    assert agreement(2, "ab").payload != agreement(2, "cd").payload
