"""Faults of disk and time: the store answers `Unavailable`, keeps what it has, and goes on afterwards."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from lightship.core.errors import Damaged, Unavailable
from lightship.core.marks import MarkingSet
from lightship.core.query import Query
from lightship.core.time import Micros
from lightship.storage.sqlite import connection
from lightship.storage.sqlite.connection import open_database
from lightship.storage.sqlite.store import SqliteStore, open_store
from storekit import (
    ALICE,
    ALL,
    SECOND,
    START,
    WAIT,
    HandClock,
    activate,
    candidate,
    check_statements,
    credential,
    event,
    expiring,
    grant,
    object_id,
    principal,
    publish,
    publishing,
    pull,
    releasing,
    uuid_of,
    withdraw,
)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store(tmp_path: Path, clock: HandClock) -> Iterator[SqliteStore]:
    made = open_store(tmp_path, clock)
    activate(made, 1, 2)
    publish(made, candidate(1), candidate(2))
    yield made
    made.close()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: a write fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_told_and_publishing_goes_on_once_there_is_room(
    store: SqliteStore, tmp_path: Path
) -> None:
    before = store.state(grant(store))
    room = (tmp_path / "hub.db-wal").stat().st_size + 50_000
    allowed = grant(store)
    with file_size_limit(room):
        futures = [store.publish(publishing(allowed, [candidate(100 + n, size=200_000)])) for n in range(5)]
        for future in futures:
            assert isinstance(future.exception(WAIT), Unavailable)
        with pytest.raises(Unavailable):
            store.put_credential(credential("big" * 40_000), event())
        assert store.state(grant(store)) == before
        assert len(pull(store)) == 2
    publish(store, candidate(3, size=200_000))
    assert [row.id for row in pull(store)] == [object_id(n) for n in (1, 2, 3)]
    check_statements(store, 1)


def test_a_file_that_may_not_grow_is_a_full_disk(
    tmp_path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLITE_FULL itself, from SQLite's own limit of pages."""
    first = open_store(tmp_path, clock)
    activate(first, 1)
    first.close()
    pages = [200]

    def limited(db: apsw.Connection) -> None:
        db.execute(f"PRAGMA max_page_count = {pages[0]}").fetchall()

    monkeypatch.setattr("lightship.storage.sqlite.store.widen_cache", limited)
    store = open_store(tmp_path, clock)
    try:
        with pytest.raises(Unavailable, match="disk is full"):
            publish(store, candidate(1, size=2_000_000))
        assert pull(store) == []
        pages[0] = 2**30
        publish(store, candidate(1, size=2_000_000))
        assert len(pull(store)) == 1
        check_statements(store, 1)
    finally:
        store.close()


def test_a_full_disk_leaves_what_waits_and_what_is_due_as_it_was(store: SqliteStore, tmp_path: Path) -> None:
    soon = Micros(START + SECOND)
    waits, ends = MarkingSet(release_at=soon), MarkingSet(share_until=soon)
    many = [candidate(100 + number, size=20_000) for number in range(10)]
    publish(store, *many, candidate(99), marks=[waits] * 10 + [ends])
    hub, before = grant(store, None), store.state(grant(store))
    held, waiting = store.held_sets(hub), store.staged(hub, ALICE)
    release = releasing(hub, ALICE, [one.number for one in waiting], now=soon)
    with file_size_limit((tmp_path / "hub.db-wal").stat().st_size + 8_192):
        released, expired = store.release(release), store.expire(expiring(hub, now=soon))
        assert isinstance(released.exception(WAIT), Unavailable)
        assert isinstance(expired.exception(WAIT), Unavailable)
        assert (store.state(hub), store.held_sets(hub), store.staged(hub, ALICE)) == (before, held, waiting)
    assert len(store.release(release).result(WAIT).outcome.items) == 10
    assert [row.id for row in store.expire(expiring(hub, now=soon)).result(WAIT).rows] == [object_id(99)]
    assert not store.staged(hub, ALICE)
    check_statements(store, 1)


def test_data_that_may_not_be_written_is_told_and_publishing_goes_on_afterwards(
    tmp_path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path, clock)
    activate(store, 1)
    publish(store, candidate(1))
    store.close()
    readonly = [True]

    def connect(path: Path, *, readonly: bool = False) -> apsw.Connection:
        return open_database(path, readonly=readonly)

    def sealed(db: apsw.Connection) -> None:
        db.execute(f"PRAGMA query_only = {int(readonly[0])}").fetchall()

    monkeypatch.setattr("lightship.storage.sqlite.store.open_database", connect)
    monkeypatch.setattr("lightship.storage.sqlite.store.widen_cache", sealed)
    store = open_store(tmp_path, clock)
    try:
        for _ in range(2):
            with pytest.raises(Unavailable, match="cannot be written"):
                publish(store, candidate(2))
            with pytest.raises(Unavailable, match="cannot be written"):
                withdraw(store, object_id(1))
        assert [row.id for row in pull(store)] == [object_id(1)]
        readonly[0] = False
        publish(store, candidate(2))
        assert len(pull(store)) == 2
    finally:
        store.close()


def test_a_lock_file_that_cannot_be_opened_is_told(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "write.lock").mkdir()
    store = open_store(tmp_path, clock)
    try:
        with pytest.raises(Unavailable):
            activate(store, 1)
        (tmp_path / "write.lock").rmdir()
        activate(store, 1)
    finally:
        store.close()


def test_an_error_of_the_file_is_named_by_what_to_do() -> None:
    assert isinstance(connection.hub_error(apsw.CorruptError("malformed")), Damaged)
    assert isinstance(connection.hub_error(apsw.NotADBError("no")), Damaged)
    assert isinstance(connection.hub_error(apsw.IOError("disk")), Unavailable)
    assert "disk is full" in str(connection.hub_error(apsw.FullError("full")))
    assert "/" not in str(connection.hub_error(PermissionError(13, "Permission denied", "/a/secret/path")))


def test_a_damaged_file_is_told_as_damage(tmp_path: Path, clock: HandClock) -> None:
    store = open_store(tmp_path, clock)
    activate(store, 1)
    publish(store, *[candidate(n, size=3000) for n in range(200)])
    store.close()
    path = tmp_path / "hub.db"
    data = bytearray(path.read_bytes())
    data[8192:-4096] = b"\xa5" * (len(data) - 12288)
    path.write_bytes(data)
    store = SqliteStore(tmp_path, clock)
    try:
        allowed = grant(store, epoch=1)
        with pytest.raises(Damaged):
            store.page(allowed, Query(), bodies=True, max_bytes=1 << 24)
        with pytest.raises(Damaged):
            store.publish(publishing(allowed, [candidate(500)])).result(WAIT)
    finally:
        store.close()


def test_a_store_that_is_closed_says_so(tmp_path: Path, clock: HandClock) -> None:
    store = open_store(tmp_path, clock)
    activate(store, 1)
    allowed = grant(store)
    store.close()
    store.close()
    with pytest.raises(Unavailable):
        store.publish(publishing(allowed, [candidate(1)])).result(WAIT)
    with pytest.raises(Unavailable):
        store.state(allowed)
    with pytest.raises(Unavailable):
        store.epoch()


def test_what_is_queued_when_the_store_closes_is_still_written(tmp_path: Path, clock: HandClock) -> None:
    store = open_store(tmp_path, clock)
    activate(store, 1)
    allowed = grant(store)
    futures = [store.publish(publishing(allowed, [candidate(n)])) for n in range(50)]
    store.close()
    assert all(future.result(WAIT).outcome.added_last for future in futures)
    store = open_store(tmp_path, clock)
    assert len(pull(store)) == 50
    store.close()


def test_a_group_that_takes_too_long_gets_new_stamps(store: SqliteStore, clock: HandClock) -> None:
    """The lead is used up while rows are written: no stamp may lie behind the clock at COMMIT."""
    begun = clock.wall
    clock.ticks = [0, 0, 200_000]
    done = publish(store, candidate(3))
    assert clock.wall >= begun + 200_000
    assert done.outcome.added_first >= clock.wall + 100_000
    assert [row.id for row in pull(store)][-1] == object_id(3)
    check_statements(store, 1)


def test_a_group_that_is_always_too_slow_is_given_up(store: SqliteStore, clock: HandClock) -> None:
    clock.ticks = [60 * SECOND] * 18
    with pytest.raises(Unavailable):
        publish(store, candidate(3))
    clock.ticks = []
    assert len(pull(store, ALL)) == 2
    publish(store, candidate(3))
    check_statements(store, 1)


def test_withdrawn_bodies_are_erased_from_the_file(tmp_path: Path, clock: HandClock) -> None:
    secret = "very-particular-content"
    store = open_store(tmp_path, clock)
    activate(store, 1)
    for number in range(30):
        publish(store, candidate(number, content=secret, size=number * 300))
    store.close()
    assert secret.encode() in (tmp_path / "hub.db").read_bytes()
    store = open_store(tmp_path, clock)
    for number in range(30):
        withdraw(store, object_id(number))
    store.close()
    assert not any(secret.encode() in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


def test_only_the_newest_changes_are_kept_for_caches(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightship.storage.sqlite.transaction.KEPT_DROPS", 5)
    for month in range(2, 10):
        publish(store, candidate(1, f"2026-0{month}-01T00:00:00Z"))
    allowed = grant(store)
    assert store.state(allowed).generation == 8
    assert store.dropped_since(allowed, 2) is None
    assert len(store.dropped_since(allowed, 3) or ()) == 5
    assert store.dropped_since(allowed, 8) == []


def test_statuses_are_kept_for_a_day_and_purged_after_it(store: SqliteStore, clock: HandClock) -> None:
    publish(store, candidate(10), status_id=uuid_of(10))
    clock.advance(24 * 3600 * SECOND)
    publish(store, candidate(11), status_id=uuid_of(11))
    assert store.status(principal(), uuid_of(10)) is not None
    clock.advance(2 * 3600 * SECOND)
    publish(store, candidate(12), status_id=uuid_of(12))
    assert store.status(principal(), uuid_of(10)) is None
    assert store.status(principal(), uuid_of(11)) is not None
