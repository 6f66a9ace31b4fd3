"""Several processes write one store at once: no stamp twice, no object lost, nothing stale is read."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lightship.core.ports import EpochChanged
from lightship.core.query import Query
from lightship.core.time import Micros
from lightship.storage.sqlite.store import open_store
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
    signed,
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

store, start = open_store(Path(sys.argv[2]), Clock()), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
allowed = grant(store)
sent = []
for turn in range(150):
    some = [candidate(start + turn * 3 + index) for index in range(3)] + [candidate(turn % 7)]
    sent.append(store.publish(publishing(allowed, some)))
    if turn % 10 == 9:
        for one in sent:
            one.result(30)
store.close()
"""


class RealClock:
    """The clocks of this machine."""

    def now(self) -> Micros:
        return Micros(time.time_ns() // 1000)

    def monotonic(self) -> Micros:
        return Micros(time.monotonic_ns() // 1000)


def test_three_processes_write_while_one_follows_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    store = open_store(tmp_path, RealClock())
    activate(store, 1)
    helpers = Path(__file__).resolve().parent.parent
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(helpers), str(tmp_path), str(start)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for start in (1_000, 2_000, 3_000)
    ]
    try:
        for one in writers:
            assert one.stdout is not None
            assert one.stdout.readline() == b"ready\n"
        for one in writers:
            assert one.stdin is not None
            one.stdin.write(b"go\n")
            one.stdin.flush()
        seen: list[int] = []
        after = Micros(-1)
        allowed = grant(store)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            done = all(one.poll() is not None for one in writers)
            page = store.page(allowed, Query(after=after, limit=50), bodies=False, max_bytes=1)
            seen += [row.key for row in page.rows]
            if page.rows:
                after = Micros(page.rows[-1].key & ((1 << 52) - 1))
                assert store.state(allowed).last >= after
            elif done:
                break
        assert [one.wait(30) for one in writers] == [0, 0, 0]
    finally:
        for one in writers:
            one.kill()
            one.communicate()
    rows = pull(store, ALL)
    assert len(rows) == 3 * 450 + 7
    assert seen == [row.key for row in rows]
    check_statements(store, 1)
    store.close()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_what_one_process_changes_the_other_sees_at_once(tmp_path: Path, clock: HandClock) -> None:
    """Two stores over one file share nothing in memory, like two processes."""
    one, two = open_store(tmp_path, clock), open_store(tmp_path, clock)
    try:
        activate(one, 1)
        assert two.epoch() == 1
        old = grant(two)
        publish(two, candidate(1))
        assert [row.id for row in pull(one)] == [object_id(1)]
        publish(one, candidate(1, "2026-05-01T00:00:00Z"))
        assert [row.version_text for row in pull(two)] == ["2026-05-01T00:00:00Z"]
        assert len(two.dropped_since(old, 0) or ()) == 1
        withdraw(two, object_id(1))
        assert pull(one, ALL) == []
        activate(one, 1, 2, version=2)
        assert list(two.chain("exercise")) == [signed(1), signed(2)]
        with pytest.raises(EpochChanged):
            two.publish(publishing(old, [candidate(2)])).result(WAIT)
        publish(two, candidate(2), on=2)
        assert {row.agreement for row in one.statements(2)} == {2}
        check_statements(one, 1)
    finally:
        one.close()
        two.close()


def test_stamps_of_two_processes_rise_in_commit_order(tmp_path: Path, clock: HandClock) -> None:
    one, two = open_store(tmp_path, clock), open_store(tmp_path, clock)
    try:
        activate(one, 1)
        stamps = [
            publish(store, candidate(2 * turn + side)).outcome.added_last
            for turn in range(30)
            for side, store in enumerate((one, two))
        ]
        assert stamps == sorted(set(stamps))
        check_statements(two, 1)
    finally:
        one.close()
        two.close()


def test_threads_that_come_and_go_leave_no_connection_behind(tmp_path: Path, clock: HandClock) -> None:
    store = open_store(tmp_path, clock)

    def open_files() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    try:
        activate(store, 1)
        publish(store, *[candidate(n) for n in range(50)])
        counts = []
        for _ in range(6):
            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(lambda _: len(pull(store, ALL, limit=7)), range(40))) == [50] * 40
            counts.append(open_files())
        assert max(counts) <= counts[0] + 8  # SQLite keeps a closed one's descriptor for the next to open
    finally:
        store.close()
