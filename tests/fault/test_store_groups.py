"""Requests that share a transaction: what queued up while another process held the lock is one group."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillWaiting
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from lightship.core.collection import MAX_BACKLOG
from lightship.core.errors import Unavailable
from lightship.core.ports import Published
from lightship.storage.sqlite.connection import open_database
from lightship.storage.sqlite.store import SqliteStore, open_store
from storekit import (
    ALL,
    WAIT,
    HandClock,
    activate,
    candidate,
    check_statements,
    grant,
    object_id,
    publish,
    publishing,
    pull,
    withdraw,
    withdrawing,
)

V1, V2 = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store(tmp_path: Path, clock: HandClock) -> Iterator[SqliteStore]:
    made = open_store(tmp_path, clock)
    activate(made, 1)
    yield made
    made.close()


@contextmanager
def lock_held(folder: Path) -> Iterator[None]:
    """Be another process that writes."""
    handle = os.open(folder / "write.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(handle)


def test_a_writer_waits_while_another_process_writes(store: SqliteStore, tmp_path: Path) -> None:
    with lock_held(tmp_path):
        future = store.publish(publishing(grant(store), [candidate(1)]))
        with pytest.raises(StillWaiting):
            future.result(0.25)
        assert pull(store) == []
    assert future.result(WAIT).outcome.added_last
    assert len(pull(store)) == 1


def test_only_the_last_statement_of_a_transaction_is_rounded(store: SqliteStore, tmp_path: Path) -> None:
    """Rounding each would outrun the clock at 1,000 statements a second."""
    allowed = grant(store)
    with lock_held(tmp_path):
        first = store.publish(publishing(allowed, [candidate(1)]))
        with pytest.raises(StillWaiting):
            first.result(0.25)  # the writer has taken it alone, and waits for the lock
        futures = [store.publish(publishing(allowed, [candidate(n)])) for n in range(2, 42)]
    stamps = [future.result(WAIT).outcome.added_last for future in futures]
    assert stamps[-1] % 1_000 == first.result(WAIT).outcome.added_last % 1_000 == 0
    assert stamps[:-1] == list(range(stamps[0], stamps[0] + 39))
    assert stamps[-1] - stamps[0] < 1_000
    check_statements(store, 1)


def test_a_backlog_reached_within_a_group_stops_the_rest_of_it(
    store: SqliteStore, tmp_path: Path, clock: HandClock
) -> None:
    last = publish(store, candidate(1)).outcome.added_last
    clock.advance(last - MAX_BACKLOG + 5 - clock.wall)  # five stamps are left
    allowed = grant(store)
    futures: list[Future[Published]] = []
    with lock_held(tmp_path):
        futures.append(store.publish(publishing(allowed, [candidate(2)])))
        with pytest.raises(StillWaiting):
            futures[0].result(0.25)
        pairs = [[candidate(number), candidate(number + 1)] for number in (10, 20, 30)]
        futures += [store.publish(publishing(allowed, pair)) for pair in pairs]
    assert [future.exception(WAIT) is None for future in futures] == [True, True, True, False]
    assert isinstance(futures[3].exception(), Unavailable)
    assert store.state(allowed).last == last + 5
    check_statements(store, 1)


def test_a_group_where_one_fails_late_is_written_without_it(store: SqliteStore, tmp_path: Path) -> None:
    allowed = grant(store)
    bad = publishing(allowed, [candidate(1, V1), candidate(5)])
    object.__setattr__(bad, "render_event", lambda outcome: 1 // 0)
    with lock_held(tmp_path):
        first = store.publish(publishing(allowed, [candidate(9)]))
        with pytest.raises(StillWaiting):
            first.result(0.25)
        failing = store.publish(bad)
        after = store.publish(publishing(allowed, [candidate(1, V1), candidate(1, V2)]))
        gone = store.withdraw(withdrawing(allowed, object_id(5)))
    assert isinstance(failing.exception(WAIT), ZeroDivisionError)
    assert [str(item.verdict) for item in after.result(WAIT).outcome.items] == ["add", "add"]
    assert gone.exception(WAIT) is not None
    assert [row.version_text for row in pull(store)] == [candidate(9).version_text, V2]
    check_statements(store, 1)


def test_a_version_added_again_is_no_longer_kept_as_withdrawn(store: SqliteStore, tmp_path: Path) -> None:
    def tombstones() -> list[tuple[object, ...]]:
        db = open_database(tmp_path / "hub.db", readonly=True)
        try:
            return db.execute("SELECT id, version_text, owner, reason FROM withdrawn").fetchall()
        finally:
            db.close()

    publish(store, candidate(1, V1), candidate(1, V2))
    for _ in range(2):
        withdraw(store, object_id(1))
        kept = [(object_id(1), version, "uslax", "publisher") for version in (V1, V2)]
        assert tombstones() == kept
        publish(store, candidate(1, V1))
        assert tombstones() == kept[1:]
        publish(store, candidate(1, V2))
        assert tombstones() == []
    assert len(pull(store, ALL)) == 2


def test_a_commit_that_returned_survives_power_loss(tmp_path: Path) -> None:
    db = open_database(tmp_path / "a.db")
    try:
        asked = ("synchronous", "journal_mode", "foreign_keys", "secure_delete")
        assert [db.pragma(name) for name in asked] == [2, "wal", 1, 1]
    finally:
        db.close()
    readonly = open_database(tmp_path / "a.db", readonly=True)
    with pytest.raises(apsw.ReadOnlyError):
        readonly.execute("CREATE TABLE t (x)")
    readonly.close()
