"""What the access log's files look like: canonical events, erasable values, indexes, one file a year."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from shutil import copy
from typing import Any

import apsw
import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit_samples import MAY, YEAR_2026, StillClock, event
from lightship.core.audit import AccessEvent, AuditQuery
from lightship.core.errors import BadFile, NewerStore, Unavailable
from lightship.core.time import MAX_MICROS, Micros
from lightship.storage.event_leaf import KEYS, Salts, clean, from_leaf, salted, to_leaf
from lightship.storage.sqlite import access_search, access_writer
from lightship.storage.sqlite.access_log import SqliteAccessLog, audit_files, open_access_log, year_of

SALTS = Salts(b"q" * 16, b"i" * 16)
TEXT = st.text(max_size=40)
STAMP = st.integers(0, MAX_MICROS)


def rows(path: Path, sql: str, values: dict[str, int] | None = None) -> list[Any]:
    conn = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return list(conn.execute(sql, values))
    finally:
        conn.close()


@given(
    texts=st.fixed_dictionaries(
        dict.fromkeys(("req", "act", "agr", "who", "cred", "col", "why", "q", "ip"), TEXT)
    ),
    numbers=st.fixed_dictionaries({"at": STAMP, "first": STAMP, "last": STAMP}),
    st_=st.integers(0, 599),
    n=st.integers(0, 2**53 - 1),
)
def test_a_leaf_is_canonical_and_gives_its_event_back(
    texts: dict[str, str], numbers: dict[str, int], st_: int, n: int
) -> None:
    one = AccessEvent(**texts, **numbers, st=st_, n=n)  # type: ignore[arg-type]  # fields by name
    leaf = to_leaf(one, SALTS)
    assert leaf == rfc8785.dumps(json.loads(leaf))
    assert json.loads(leaf).keys() == KEYS
    assert from_leaf(leaf, one.q, one.ip) == one


def test_the_leaf_of_a_known_event_does_not_change() -> None:
    digest = "b37d25343ffa6e40719b5d2a6f5d8cd6d0456752d3e4bc1f01f9f3c1ffec6d7f"
    assert sha256(to_leaf(event(1), SALTS)).hexdigest() == digest


def test_q_and_ip_stand_in_the_leaf_as_salted_digests_only() -> None:
    leaf = to_leaf(event(1), SALTS)
    value = orjson.loads(leaf)
    assert value["q"] == sha256(b"q" * 16 + event(1).q.encode()).hexdigest() == salted(SALTS.q, event(1).q)
    assert value["ip"] == sha256(b"i" * 16 + event(1).ip.encode()).hexdigest()
    assert event(1).q.encode() not in leaf
    assert event(1).ip.encode() not in leaf


def test_an_erased_query_is_empty_and_the_event_stays() -> None:
    assert from_leaf(to_leaf(event(1), SALTS), None, None) == event(1, q="", ip="")


@pytest.mark.parametrize("hostile", ["\ud800", "a\udcffb", "\udfff" * 50])
def test_lone_surrogates_of_a_hostile_request_line_are_recorded(tmp_path: Path, hostile: str) -> None:
    log = open_access_log(tmp_path, StillClock())
    log.record(event(1, q=hostile, col=hostile)).result(30)
    (found,) = log.search(AuditQuery())
    log.close()
    assert found.q == found.col == clean(hostile)
    assert "\ufffd" in found.q


@pytest.mark.parametrize(
    "leaf", [b"", b"[]", b"{}", b'{"act":1}', to_leaf(event(1), SALTS).replace(b'"n":3', b'"n":"3"')]
)
def test_what_is_no_event_is_refused(leaf: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_leaf(leaf, None, None)


def test_each_event_has_salts_of_its_own(tmp_path: Path) -> None:
    numbers = iter(range(100))
    log = open_access_log(
        tmp_path,
        StillClock(),
        lambda size: b"".join(next(numbers).to_bytes(16, "big") for _ in range(size // 16)),
    )
    for number in range(3):
        log.record(event(number)).result(30)
    log.close()
    kept = rows(tmp_path / "audit-2026.db", "SELECT q_salt, ip_salt FROM event")
    assert len({salt for pair in kept for salt in pair}) == 6


def test_salts_are_random_and_16_bytes_long(tmp_path: Path) -> None:
    log = open_access_log(tmp_path, StillClock())
    log.record(event(1)).result(30)
    log.close()
    ((q_salt, ip_salt),) = rows(tmp_path / "audit-2026.db", "SELECT q_salt, ip_salt FROM event")
    assert len(q_salt) == len(ip_salt) == 16
    assert q_salt != ip_salt


def test_each_agreement_counts_its_own_events_from_0_without_gaps(tmp_path: Path) -> None:
    log = open_access_log(tmp_path, StillClock())
    published = [event(number, agr=("a", "b", "hub")[number % 3], act="publish") for number in range(30)]
    done = [log.record(one) for one in published + published[::3]]  # the last ten are known already
    for one in done:
        one.result(30)
    log.close()
    path = tmp_path / "audit-2026.db"
    for name in ("a", "b", "hub"):
        sql = f"SELECT idx FROM event JOIN word ON id = agr WHERE text = '{name}' ORDER BY seq"
        assert rows(path, sql) == [(number,) for number in range(10)]
    assert rows(path, "SELECT size FROM head") == [(10,)] * 3


def test_an_event_that_cannot_be_stored_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = access_writer.req_key

    def refuse(req: str) -> bytes:
        if req == event(7).req:
            raise ValueError("this one cannot be stored")
        return real(req)

    monkeypatch.setattr(access_writer, "req_key", refuse)
    log = open_access_log(tmp_path, StillClock())
    done = [log.record(event(number, who=f"member-{number}")) for number in range(20)]
    assert [number for number, one in enumerate(done) if one.exception(30) is not None] == [7]
    assert len(list(log.search(AuditQuery()))) == 19
    log.close()
    assert rows(tmp_path / "audit-2026.db", "SELECT max(idx) FROM event") == [(18,)]


def test_this_years_file_is_made_at_start_and_new_year_makes_the_next(tmp_path: Path) -> None:
    log = open_access_log(tmp_path, StillClock(YEAR_2026 - 1))
    assert [year for year, _ in audit_files(tmp_path)] == [2025]
    log.record(event(1, at=Micros(YEAR_2026))).result(30)
    assert [year for year, _ in audit_files(tmp_path)] == [2025, 2026]
    log.close()


def test_a_file_that_is_just_being_made_holds_nothing_yet(tmp_path: Path) -> None:
    log = open_access_log(tmp_path, StillClock())
    log.record(event(1)).result(30)
    (tmp_path / "audit-2027.db").touch()
    assert list(log.search(AuditQuery(member="uslax"))) == [event(1)]
    log.close()


def test_a_newer_or_foreign_file_is_refused_at_start(tmp_path: Path) -> None:
    open_access_log(tmp_path, StillClock()).close()
    conn = apsw.Connection(str(tmp_path / "audit-2026.db"))
    conn.execute("PRAGMA user_version = 99")
    conn.close()
    with pytest.raises(NewerStore):
        open_access_log(tmp_path, StillClock())
    (tmp_path / "audit-2020.db").write_text("something else")
    with pytest.raises(BadFile):
        open_access_log(tmp_path, StillClock())


@pytest.mark.parametrize(
    ("at", "year"),
    [(0, 1970), (YEAR_2026 - 1, 2025), (YEAR_2026, 2026), (MAY, 2026), (MAX_MICROS, 2112)],
)
def test_the_year_is_that_of_utc(at: int, year: int) -> None:
    assert year_of(at) == year


@pytest.mark.parametrize("tail", [1, 64, 1024])
@pytest.mark.parametrize("few", [0, 3, 20_000])
def test_every_way_through_the_indexes_gives_the_same_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int, tail: int
) -> None:
    monkeypatch.setattr(access_search, "FEW", few)
    monkeypatch.setattr(access_search, "BATCH", 7)
    monkeypatch.setattr(access_writer, "TAIL", tail)
    log = open_access_log(tmp_path, StillClock())
    events = [
        event(
            number,
            at=Micros(MAY + number // 4),
            agr=("a", "b")[number % 2],
            who=("x", "y", "z")[number % 3],
            cred=f"cred-{number % 5}",
            col=f"col-{number % 7}",
            act=("read", "publish")[number % 11 == 0],
            st=(200, 403, 503)[number % 13 % 3],
        )
        for number in range(400)
    ]
    for done in [log.record(one) for one in events]:
        done.result(30)
    questions = [
        AuditQuery(agreement="a", member="x"),
        AuditQuery(member="y", outcome="refused"),
        AuditQuery(principal="cred-3", action="publish"),
        AuditQuery(collection="col-2", outcome="ok", since=Micros(MAY + 10), until=Micros(MAY + 60)),
        AuditQuery(outcome="failed", limit=11),
        AuditQuery(outcome="ok"),
        AuditQuery(member="z"),
    ]
    for query in questions:
        wanted = [
            one
            for one in events
            if (not query.agreement or one.agr == query.agreement)
            and (not query.member or one.who == query.member)
            and (not query.principal or one.cred == query.principal)
            and (not query.collection or one.col == query.collection)
            and (not query.action or one.act == query.action)
            and (not query.outcome or one.outcome == query.outcome)
            and one.at >= query.since
            and (query.until is None or one.at < query.until)
        ]
        assert list(log.search(query)) == wanted[: query.limit]
        assert wanted
    log.close()


@pytest.mark.parametrize("column", ["at", "who", "cred", "col", "act", "outcome"])
def test_a_search_never_reads_the_whole_table(tmp_path: Path, column: str) -> None:
    open_access_log(tmp_path, StillClock()).close()
    sql = access_search.search_sql({} if column == "at" else {column: 1}, column)
    values = {column: 1, "at": 0, "until": 9, "seq": 0, "n": 5}
    plan = str(rows(tmp_path / "audit-2026.db", f"EXPLAIN QUERY PLAN {sql}", values))
    wanted = "SEARCH search USING PRIMARY KEY" if column == "at" else f"INDEX search_{column}"
    assert wanted in plan
    assert "SEARCH event USING INTEGER PRIMARY KEY (rowid>?)" in plan  # the newest, which the table lacks
    assert not re.search(r"SCAN (search|event|e)\b", plan)


def found(log: SqliteAccessLog, **filters: object) -> list[AccessEvent]:
    return list(log.search(AuditQuery(limit=10_000, **filters)))  # type: ignore[arg-type]  # names of AuditQuery


def test_the_search_table_is_filled_many_events_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_writer, "TAIL", 10)
    log = open_access_log(tmp_path, StillClock())
    path, sizes = tmp_path / "audit-2026.db", []
    for number in range(25):
        log.record(event(number)).result(30)
        assert [one.req for one in found(log, member="uslax")] == [event(n).req for n in range(number + 1)]
        sizes.append(rows(path, "SELECT count(*) FROM search")[0][0])
    log.close()
    assert sorted(set(sizes)) == [0, 10, 20]
    assert rows(path, "SELECT seq FROM filled") == [(20,)]


def test_two_logs_fill_one_search_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_writer, "TAIL", 10)
    logs = [open_access_log(tmp_path, StillClock()) for _ in range(2)]
    for number in range(57):
        logs[number % 5 % 2].record(event(number)).result(30)
    assert found(logs[0]) == found(logs[1], collection="col-1") == [event(number) for number in range(57)]
    for log in logs:
        log.close()
    assert rows(tmp_path / "audit-2026.db", "SELECT count(*) >= 40, count(*) = max(seq) FROM search") == [
        (1, 1)
    ]


def test_a_search_between_two_fillings_finds_every_event_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_writer, "TAIL", 40)
    monkeypatch.setattr(access_search, "BATCH", 5)
    log = open_access_log(tmp_path, StillClock())
    for number in range(39):
        log.record(event(number)).result(30)
    searching = log.search(AuditQuery(limit=10_000))
    first = [next(searching) for _ in range(7)]
    log.record(event(39)).result(30)
    assert rows(tmp_path / "audit-2026.db", "SELECT seq FROM filled") == [(40,)]
    assert first + list(searching) == [event(number) for number in range(40)]
    log.close()


def test_a_filling_that_fails_takes_its_events_back_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_writer, "TAIL", 10)
    log = open_access_log(tmp_path, StillClock())
    for number in range(9):
        log.record(event(number)).result(30)
    conn = apsw.Connection(str(tmp_path / "audit-2026.db"))
    conn.execute("ALTER TABLE filled RENAME TO hidden").fetchall()
    with pytest.raises(Unavailable):
        log.record(event(9, who="newcomer")).result(30)
    conn.execute("ALTER TABLE hidden RENAME TO filled").fetchall()
    conn.close()
    assert len(found(log)) == 9
    log.record(event(10, who="newcomer")).result(30)
    assert found(log, member="newcomer") == [event(10, who="newcomer")]
    assert rows(tmp_path / "audit-2026.db", "SELECT seq FROM filled") == [(10,)]
    log.close()


def test_what_was_known_of_a_file_is_not_held_of_the_one_put_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, older = tmp_path / "audit-2026.db", tmp_path / "older.db"
    log = open_access_log(tmp_path, StillClock())
    log.record(event(0)).result(30)
    log.close()
    copy(path, older)
    log = open_access_log(tmp_path, StillClock())
    later = [event(number, who="newcomer", agr="pacific") for number in (1, 2, 3)]
    for one in later[:2]:
        log.record(one).result(30)
    for name in tmp_path.glob("audit-2026.db*"):
        name.unlink()
    copy(older, path)

    def fail(*_: object) -> None:
        raise apsw.IOError("a fault of the disk")

    with monkeypatch.context() as patch:
        patch.setattr(access_writer, "read_head", fail)
        with pytest.raises(Unavailable):
            log.record(later[2]).result(30)
    log.record(later[2]).result(30)
    assert found(log, member="newcomer", agreement="pacific") == later[2:]
    log.close()


def test_only_what_has_an_effect_is_looked_up_by_its_request(tmp_path: Path) -> None:
    log = open_access_log(tmp_path, StillClock())
    acts = ("read-objects", "read-manifest", "publish", "withdraw", "credential-mint", "discover")
    for number, act in enumerate(acts):
        log.record(event(number, act=act)).result(30)
    log.close()
    path = tmp_path / "audit-2026.db"
    assert rows(path, "SELECT effect FROM event ORDER BY seq") == [(0,), (0,), (1,), (1,), (1,), (1,)]
    plan = str(rows(path, "EXPLAIN QUERY PLAN SELECT 1 FROM event WHERE req = x'00' AND effect = 1"))
    assert "USING COVERING INDEX event_req" in plan or "USING INDEX event_req" in plan
