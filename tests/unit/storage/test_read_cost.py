"""What a filtered read costs: as much in a large collection as in a small one (`ports.Reader.page`).

Counted in steps of SQLite's virtual machine, which are the same on every machine and under any load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import apsw
import pytest

from lightship.core.access import Grant
from lightship.core.marks import MarkingSet
from lightship.core.query import Filters, Query, Versions
from lightship.core.time import Micros, parse_instant
from lightship.storage.sqlite.held import HeldReader
from lightship.storage.sqlite.reader import SqliteReader
from lightship.storage.sqlite.store import SqliteStore, open_store
from storekit import BOB, SECOND, START, HandClock, activate, candidate, grant, object_id, publish

SHARED, OTHER = "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"
FEW, MANY = 300, 3000
LATER = Micros(START + SECOND)


def asked(last: bool = False, types: tuple[str, ...] = (), specs: tuple[str, ...] = ()) -> Filters:
    instants = frozenset(map(parse_instant, (SHARED, OTHER)))
    return Filters(versions=Versions(last=last, instants=instants), types=types, spec_versions=specs)


QUESTIONS = {
    "type of the first and the last row": (asked(types=("malware",)), 2),
    "type of other versions only": (asked(types=("tool",)), 0),
    "spec_version of the last row": (asked(specs=("2.0",)), 1),
    "type and spec_version": (asked(types=("malware",), specs=("2.0",)), 0),
    "with last": (asked(last=True, types=("malware", "tool")), 3),
    "everything": (asked(), 10),
}
"""Filters, and rows on a page of at most ten."""


def filled(data_dir: Path, rows: int) -> SqliteStore:
    """Return a store in which `rows` indicators share one version; few other rows have it."""
    store = open_store(data_dir, HandClock())
    activate(store, 1, 2)
    publish(store, candidate(1, SHARED, type_name="malware"))
    publish(store, candidate(4, "2026-03-01T00:00:00.000Z", type_name="tool"))
    publish(store, *[candidate(number, SHARED) for number in range(10, 10 + rows)])
    publish(store, *[candidate(number, SHARED, type_name="tool") for number in range(5, 9)], on=2)
    publish(store, candidate(2, SHARED, type_name="malware"), candidate(3, SHARED, spec="2.0"))
    return store


def steps(data_dir: Path, store: SqliteStore, filters: Filters) -> tuple[int, int, int]:
    """Return the steps of `first_after`, the steps of a page, and its rows."""
    reader, counted = SqliteReader(data_dir / "hub.db"), [0]

    def count() -> bool:
        counted[0] += 1
        return False

    def watch(db: apsw.Connection) -> None:
        db.set_progress_handler(count, 1)

    try:
        subject = grant(store)
        reader.ask(watch)
        reader.first_after(subject, filters, Micros(-1))
        first = counted[0]
        page = reader.page(subject, Query(filters, limit=10), bodies=True, max_bytes=1 << 20)
        return first, counted[0] - first, len(page.rows)
    finally:
        reader.close()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Path, SqliteStore]]]:
    made = []
    for rows in (FEW, MANY):
        data_dir = tmp_path_factory.mktemp("data")
        made.append((data_dir, filled(data_dir, rows)))
    yield made
    for _, store in made:
        store.close()


@pytest.mark.parametrize("name", QUESTIONS)
def test_rows_that_share_a_version_but_fail_another_filter_cost_nothing(
    stores: list[tuple[Path, SqliteStore]], name: str
) -> None:
    filters, rows = QUESTIONS[name]
    small, large = (steps(data_dir, store, filters) for data_dir, store in stores)
    assert small[2] == large[2] == rows
    assert large == small
    assert large[1] < 5 * FEW


HELD: dict[str, Callable[[HeldReader, Grant], Sequence[object]]] = {
    "counted sets": lambda held, allowed: held.held_sets(allowed),
    "definitions": lambda held, allowed: held.definitions([1, 2], [object_id(1, "marking-definition")]),
    "what is due next": lambda held, allowed: [held.next_due([allowed], Micros(0))],
    "what somebody has waiting": lambda held, allowed: held.staged(allowed, BOB),
    "when an object was there": lambda held, allowed: held.added(allowed, object_id(12)),
}
"""Questions about what is held, none of which may look at all of it."""


def filled_with_sets(data_dir: Path, rows: int) -> SqliteStore:
    """Return a store with `rows` objects that end and as many that wait, and one definition."""
    store = open_store(data_dir, HandClock())
    activate(store, 1, 2)
    publish(store, candidate(1, SHARED, type_name="marking-definition", owned=False))
    ends, waits = MarkingSet(share_until=LATER), MarkingSet(release_at=LATER)
    publish(store, *[candidate(number) for number in range(10, 10 + rows)], marks=[ends] * rows)
    publish(store, *[candidate(number) for number in range(9000, 9000 + rows)], marks=[waits] * rows)
    publish(store, candidate(5), member=BOB, marks=[waits])
    return store


@pytest.mark.parametrize("name", HELD)
def test_what_is_held_is_told_without_looking_at_it_all(
    held_stores: list[tuple[Path, SqliteStore]], name: str
) -> None:
    small, large = (asked_about(data_dir, store, name) for data_dir, store in held_stores)
    assert small[1] == large[1] > 0
    assert large[0] <= small[0] + 40  # a level more of an index
    assert large[0] < 5 * FEW


def asked_about(data_dir: Path, store: SqliteStore, name: str) -> tuple[int, int]:
    """Return the steps of a question, and how much was answered."""
    reader, counted = SqliteReader(data_dir / "hub.db"), [0]

    def count() -> bool:
        counted[0] += 1
        return False

    try:
        reader.ask(lambda db: db.set_progress_handler(count, 1))
        answer = HELD[name](HeldReader(reader.ask), grant(store))
        return counted[0], len(answer)
    finally:
        reader.close()


@pytest.fixture(scope="module")
def held_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Path, SqliteStore]]]:
    made = []
    for rows in (FEW, MANY):
        data_dir = tmp_path_factory.mktemp("held")
        made.append((data_dir, filled_with_sets(data_dir, rows)))
    yield made
    for _, store in made:
        store.close()
