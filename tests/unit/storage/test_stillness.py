"""The counter that says whether anything was committed: across mappings, crashes and a file of before."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from lightship.storage.sqlite.stillness import UNKNOWN, Stillness
from lightship.storage.sqlite.store import open_store
from storekit import HandClock, credential, event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "write.lock"


def test_a_commit_is_seen_through_another_mapping_of_the_file(path: Path) -> None:
    writer, reader = Stillness(path), Stillness(path)
    before = reader.now()
    assert before % 2 == 0
    writer.disturb()
    assert reader.now() % 2 == 1
    writer.settle()
    assert reader.now() % 2 == 0
    assert reader.now() != before


def test_after_a_crash_in_the_midst_of_a_commit_nothing_stands_still_until_the_next_one(path: Path) -> None:
    died, reader = Stillness(path), Stillness(path)
    before = reader.now()
    died.disturb()
    assert reader.now() % 2 == 1
    next_writer = Stillness(path)
    next_writer.disturb()
    assert reader.now() % 2 == 1, "two disturbances are not a settlement"
    next_writer.settle()
    assert reader.now() % 2 == 0
    assert reader.now() > before


def test_a_lock_file_of_an_older_version_is_empty_and_is_taken_over(path: Path) -> None:
    path.touch()
    assert Stillness(path).now() % 2 == 0
    assert path.stat().st_size == 8


def test_where_nothing_can_be_said_nothing_may_be_committed(path: Path) -> None:
    path.mkdir()
    stillness = Stillness(path)
    assert stillness.now() == UNKNOWN
    assert UNKNOWN % 2 == 1
    with pytest.raises(OSError, match="directory"):
        stillness.disturb()
    path.rmdir()
    assert stillness.now() % 2 == 0, "it recovers by itself"


def test_the_counter_begins_anew_after_its_last_value(path: Path) -> None:
    path.write_bytes(b"\xfe" + b"\xff" * 7)
    stillness = Stillness(path)
    stillness.disturb()
    stillness.settle()
    assert stillness.now() == 0


def deleted(path: Path) -> None:
    path.unlink()


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replaced(path: Path) -> None:
    path.with_name("new").write_bytes(bytes(8))
    path.with_name("new").rename(path)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("change", [deleted, moved, replaced, emptied])
def test_a_commit_is_seen_after_the_file_was_taken_away(change: Callable[[Path], None], path: Path) -> None:
    reader, writer = Stillness(path), Stillness(path)
    before = reader.look()
    assert before % 2 == 0
    change(path)
    for one in (writer, Stillness(path)):
        one.disturb()
        assert reader.look() % 2 == 1
        one.settle()
        now = reader.look()
        assert now % 2 == 0
        assert now != before
        before = now


def test_a_file_replaced_during_a_commit_leaves_nothing_still_until_the_next_one(path: Path) -> None:
    writer, reader = Stillness(path), Stillness(path)
    writer.disturb()
    deleted(path)
    early = reader.look()  # before the commit
    writer.look()
    writer.settle()
    assert reader.look() % 2 == 1
    writer.disturb()
    writer.settle()
    assert reader.look() % 2 == 0
    assert reader.look() != early


@pytest.mark.parametrize("change", [deleted, moved, replaced, emptied])
def test_a_store_sees_what_another_commits_after_its_lock_file_was_taken_away(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    with closing(open_store(tmp_path, HandClock())) as server:
        assert server.epoch() == server.epoch() == 0
        change(tmp_path / "write.lock")
        with closing(open_store(tmp_path, HandClock())) as other:
            other.put_credential(credential(), event())
            assert server.epoch() == other.epoch() == 1
