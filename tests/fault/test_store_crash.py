"""kill -9 of a process that writes: what it acknowledged is there, whole, and nothing else is half there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import apsw
import orjson
import pytest

from lightship.core.time import Micros
from lightship.storage.sqlite.store import SqliteStore, open_store
from storekit import (
    ALICE,
    ALL,
    SECOND,
    HandClock,
    activate,
    candidate,
    check_statements,
    grant,
    principal,
    publish,
    pull,
    withdraw,
)

WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from storekit import *
from lightship.storage.sqlite.store import open_store

class Clock:
    def now(self): return time.time_ns() // 1000
    def monotonic(self): return time.monotonic_ns() // 1000

store, start, out = open_store(Path(sys.argv[2]), Clock()), int(sys.argv[3]), sys.stdout
allowed = {number: grant(store, on=number) for number in (1, 2)}
waits = MarkingSet(release_at=Micros(START + SECOND), share_until=Micros(START + 2 * SECOND))
hub = grant(store, None)
for turn in range(10**6):
    sent = []
    for n in range(8):
        number = start + turn * 8 + n
        some = [candidate(number * 4 + index) for index in range(number % 4 + 1)]
        made = publishing(allowed[number % 2 + 1], some, status_id=uuid_of(number), req=f"p{number}")
        sent.append((number, store.publish(made)))
    gone = start + turn * 8
    if turn % 3 == 0:
        made = withdrawing(allowed[gone % 2 + 1], object_id(gone * 4), req=f"w{gone}")
        sent.append((-gone, store.withdraw(made)))
    later = 10**9 + gone
    two = [candidate(later), candidate(later + 1)]
    made = publishing(allowed[1], two, marks=[waits, waits], req=f"p{later}")
    sent.append((later, store.publish(made)))
    numbers = [one.number for one in store.staged(hub, ALICE)][::2]
    ready, past = Micros(START + SECOND), Micros(START + 2 * SECOND)
    store.release(releasing(hub, ALICE, numbers, now=ready, req=f"r{gone}"))
    store.expire(expiring(hub, now=past, limit=1, req=f"e{gone}"))
    for number, future in sent:
        done = future.result(30)
        first = done.outcome.added_first if number >= 0 else 0
        out.write(f"{number} {first}\\n")
    out.flush()
"""


LATER = 10**9
"""Numbers from here on are of objects that were staged."""


def real_start(clock: HandClock) -> HandClock:
    """Set a clock to now, so that it can open what a process with the real clock wrote."""
    clock.wall = time.time_ns() // 1000
    return clock


def run_and_kill(folder: Path, start: int, after: float) -> list[tuple[int, int]]:
    """Let a process write, kill it, return what it had acknowledged."""
    helpers = Path(__file__).resolve().parent.parent
    log = folder / f"acknowledged-{start}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(helpers), str(folder), str(start)], stdout=out
        )
        try:
            deadline = time.monotonic() + 20
            while not log.stat().st_size and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.005)
            time.sleep(after)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait(20) == -signal.SIGKILL
    lines = log.read_bytes().split(b"\n")[:-1]
    return [(int(number), int(first)) for number, first in (line.split() for line in lines)]


def check_after_crash(store: SqliteStore, acknowledged: list[tuple[int, int]]) -> None:
    """Check that every acknowledged effect is there with its status and event, and that all adds up."""
    rows = {(number, row.id): row for number in (1, 2) for row in pull(store, ALL, on=number)}
    withdrawn = {
        name
        for number in (1, 2)
        for statement in check_statements(store, number)
        for name, _, _ in orjson.loads(statement.body).get("withdraw", [])
    }
    events = {one.req for one in store.pending()}
    waiting = {one.candidate.id for one in store.staged(grant(store), ALICE)}
    for number in (1, 2):
        held = store.held_sets(grant(store, on=number))
        live = [row for where, row in rows if where == number]
        assert sum(one.live for one in held) == len(live)
        assert sum(one.staged for one in held) == (len(waiting) if number == 1 else 0)
    for number, first in acknowledged:
        if number < 0:
            assert f"w{-number}" in events
            assert candidate(-number * 4).id in withdrawn
            continue
        assert f"p{number}" in events
        if number >= LATER:
            names = {candidate(number).id, candidate(number + 1).id}
            assert names <= waiting | withdrawn | {name for _, name in rows}
            continue
        assert store.status(principal(ALICE), candidate(number).id.partition("--")[2]) is not None
        for index in range(number % 4 + 1):
            one = candidate(number * 4 + index)
            row = rows.get((number % 2 + 1, one.id))
            assert row is not None or one.id in withdrawn
            if row is not None:
                assert (row.body, row.key & ((1 << 52) - 1)) == (one.body, first + index)


def check_file(folder: Path) -> None:
    """Ask SQLite itself."""
    db = apsw.Connection(str(folder / "hub.db"))
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


def rounds(folder: Path, delays: list[float]) -> None:
    clock = HandClock()
    store = open_store(folder, real_start(clock))
    activate(store, 1, 2)
    store.close()
    acknowledged: list[tuple[int, int]] = []
    for turn, delay in enumerate(delays):
        acknowledged += run_and_kill(folder, 1_000_000 * (turn + 1), delay)
        store = open_store(folder, real_start(clock))
        check_after_crash(store, acknowledged)
        last = max(row.at for number in (1, 2) for row in store.statements(number))
        clock.wall = max(clock.wall, last - 10 * SECOND)
        publish(store, candidate(turn + 1), on=1)
        store.close()
        check_file(folder)
    assert len(acknowledged) > 20 * len(delays)


def test_everything_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    rounds(tmp_path, [0.0, 0.05, 0.13, 0.31])


@pytest.mark.long
def test_everything_acknowledged_survives_kill_9_two_hundred_times(tmp_path: Path) -> None:
    rounds(tmp_path, [0.003 * (turn % 40) for turn in range(200)])


def test_events_of_a_process_that_died_are_pending_until_settled(tmp_path: Path) -> None:
    clock = HandClock()
    store = open_store(tmp_path, clock)
    activate(store, 1)
    publish(store, candidate(1), req="p1")
    withdraw(store, candidate(1).id)
    before = store.pending()
    store.close()
    store = open_store(tmp_path, clock)
    assert store.pending() == before
    assert len(before) == 3
    store.settle([one.req for one in before])
    store.close()  # forgets what is settled, without another write
    store = open_store(tmp_path, clock)
    assert list(store.pending()) == []
    assert store.state(grant(store)).last > Micros(0)
    store.close()
