"""The shelf in a consumer's file and the one in memory say the same, whatever is put on them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.client.kept_file import KeptFile
from lightship.client.kept_shelf import FileShelf
from lightship.core.collection import WithdrawReason
from lightship.core.log.findings import Failure
from lightship.core.log.held import Holdings
from lightship.core.log.shelf import MemoryShelf, Shelf
from lightship.core.log.statement import Add, Withdrawal
from lightship.core.time import Micros

IDS = [f"indicator--00000000-0000-4000-8000-00000000000{n}" for n in range(3)]
VERSIONS = ["", "2026-04-01T08:00:00Z", "2026-04-01T08:00:00.000Z", "2026-04-02T08:00:00Z"]
MEMBERS = st.sampled_from(["uslax", "uslgb"])
KEYS = st.sampled_from(["", "aa" * 32, "bb" * 32])

ADD = st.tuples(
    st.just("add"),
    *(st.sampled_from(IDS), st.sampled_from(VERSIONS), st.sampled_from(["11" * 32, "22" * 32])),
    *(MEMBERS, KEYS, st.sampled_from([None, None, None, Failure.FORGED])),
)
WITHDRAW = st.tuples(
    st.just("withdraw"),
    *(st.sampled_from(IDS), st.sampled_from(VERSIONS), st.sampled_from(list(WithdrawReason)), MEMBERS, KEYS),
)
DISTRUST = st.tuples(st.just("distrust"), KEYS, st.integers(0, 30))
OWE = st.tuples(st.just("owe"), st.integers(0, 5))
STATEMENT = st.tuples(st.just("statement"), KEYS.filter(bool), st.integers(1, 9))


def do(shelf: Shelf, step: int, act: tuple[Any, ...]) -> Any:
    """Do one thing; return what came of it."""
    held, stamp = Holdings(shelf), Micros(1_000 * (step + 1))
    match act:
        case ("add", object_id, version, digest, by, key, problem):
            return held.add(Add(object_id, version, digest), by, key, step, stamp, problem)
        case ("withdraw", object_id, version, reason, by, key):
            return held.withdraw(Withdrawal(object_id, version, reason), by, key, step, frozenset(IDS[:1]))
        case ("distrust", key, first):
            return sorted(held.distrust(key, first, step), key=lambda one: one.place) if key else None
        case ("owe", number):
            for one in list(held)[number : number + 2]:
                one.owed = not one.owed
                shelf.change(one)
        case ("statement", key, seq):
            if shelf.statement(key, seq) is None:
                shelf.put_statement(key, seq, f"{step:064x}", step)
    return None


def said(shelf: Shelf) -> Any:
    """Return all that a shelf says."""
    return (
        [list(shelf.after(Micros(stamp))) for stamp in (-1, 5_000, 12_000)],
        [list(shelf.of(one)) for one in IDS],
        [(shelf.first(one), shelf.knows(one)) for one in (*IDS, "indicator--none")],
        [[shelf.version(one, Add(one, v, "").instant) for v in VERSIONS] for one in IDS],
        [sorted(one.place for one in shelf.of_key(key, 3)) for key in ("aa" * 32, "bb" * 32)],
        [shelf.last_statement(key) for key in ("aa" * 32, "bb" * 32, "cc" * 32)],
        [shelf.statement("aa" * 32, seq) for seq in range(4)],
        shelf.owed(),
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(ADD, ADD, ADD, WITHDRAW, DISTRUST, OWE, STATEMENT), max_size=25))
def test_the_shelf_in_a_file_is_that_in_memory(acts: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, memory = Path(folder) / "state", MemoryShelf()
        file = KeptFile(path, make=True)
        try:
            shelf = FileShelf(file)
            for step, act in enumerate(acts):
                assert do(shelf, step, act) == do(memory, step, act)
            file.commit({})
            assert said(shelf) == said(memory)
            file.close()
            file = KeptFile(path)
            file.check(0)
            assert said(FileShelf(file)) == said(memory)
        finally:
            file.close()
