"""Contract of `ports.Logs`: one tree for all that is written, signed as it was committed. Both drivers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from lightship.core.errors import NotFound, Unavailable
from lightship.core.log import leaf, merkle, notes
from lightship.crypto.sign import new_signing_key, verify
from lightship.storage.memory import MemoryStore
from lightship.storage.sqlite.access_tree import Sealer
from lightship.storage.sqlite.store import SqliteStore, open_store
from storekit import (
    ALICE,
    BOB,
    HandClock,
    activate,
    candidate,
    check_statements,
    event,
    grant,
    object_id,
    publish,
    uuid_of,
    withdraw,
)

KEY = new_signing_key()
SEALER = Sealer("hub.test:9443", KEY.public, KEY.sign)
Store = MemoryStore | SqliteStore


@pytest.fixture(name="store", params=["memory", "sqlite"])
def _store(request: pytest.FixtureRequest, tmp_path: Path, hub_clock: HandClock) -> Iterator[Store]:
    made: Store = (
        MemoryStore(hub_clock, SEALER)
        if request.param == "memory"
        else open_store(tmp_path, hub_clock, sealer=SEALER)
    )
    activate(made, 1, 2)
    yield made
    made.close()


def check_log(store: Store, number: int) -> list[leaf.Leaf]:
    """Verify a whole log as a stranger would: signature, root, every hash, every proof, rising times."""
    where = grant(store, on=number)
    origin = f"hub.test:9443/c/{uuid_of(number)}"
    note = notes.parse_note(store.checkpoint(where))
    assert notes.verify_note(note, [notes.NoteKey(origin, KEY.public)], verify)
    checkpoint = notes.parse_checkpoint(note.text)
    entries = store.entries(where, 0, checkpoint.size + 1)
    assert (checkpoint.origin, checkpoint.size) == (origin, len(entries))
    hashes = [merkle.leaf_hash(one) for one in entries]
    assert merkle.root_of(hashes) == checkpoint.root
    assert list(store.hashes(where, 0, 0, len(entries) + 1)) == hashes

    def read(level: int, first: int, count: int) -> list[bytes]:
        return list(store.hashes(where, level, first, count))

    assert merkle.root(read, checkpoint.size) == checkpoint.root
    for index in {0, checkpoint.size // 2, checkpoint.size - 1}:
        path = merkle.inclusion(read, index, checkpoint.size)
        assert merkle.verify_inclusion(hashes[index], index, checkpoint.size, path, checkpoint.root)
    found = [leaf.read(one) for one in entries]
    for before, one in pairwise(found):
        assert one.at - one.size + 1 > before.at
    assert len(check_statements(store, number)) == len(found)
    return found


def test_all_that_is_written_is_in_the_log(store: Store) -> None:
    assert [type(one).__name__ for one in check_log(store, 1)] == ["AgreementChange"]
    publish(store, candidate(1), candidate(2))
    withdraw(store, object_id(1))
    publish(store, candidate(3), member=BOB, on=2)
    activate(store, 1, 2, version=2)
    first = check_log(store, 1)
    assert [type(one).__name__ for one in first] == [
        *("AgreementChange", "Publication", "Publication", "AgreementChange")
    ]
    assert isinstance(first[1], leaf.Publication)
    assert first[1].by == ALICE
    assert [one.id for one in first[1].statement.add] == [object_id(1), object_id(2)]
    assert [type(one).__name__ for one in check_log(store, 2)][1] == "Publication"


def test_a_checkpoint_is_a_beginning_of_every_later_one(store: Store) -> None:
    old = notes.parse_checkpoint(notes.parse_note(store.checkpoint(grant(store))).text)
    for number in range(40):
        publish(store, candidate(number))
        new = notes.parse_checkpoint(notes.parse_note(store.checkpoint(grant(store))).text)
        path = merkle.consistency(lambda *at: store.hashes(grant(store), *at), old.size, new.size)
        assert merkle.verify_consistency(old.size, new.size, old.root, new.root, path)
        assert new.size == old.size + 1
        old = new


def test_writers_at_once_share_one_tree(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: publish(store, candidate(n), on=1 + n % 2), range(80)))
    assert len(check_log(store, 1)) == 41
    assert len(check_log(store, 2)) == 41


def test_a_write_that_fails_leaves_the_log_as_it_was(store: Store) -> None:
    before = store.checkpoint(grant(store))
    with pytest.raises(NotFound):
        withdraw(store, object_id(77))
    assert store.checkpoint(grant(store)) == before
    assert len(check_log(store, 1)) == 1


def test_whole_subtrees_of_higher_levels(store: Store) -> None:
    for start in range(0, 600, 60):
        for number in range(start, start + 60):
            publish(store, candidate(number))
    found = check_log(store, 1)
    assert len(found) == 601
    hashes = store.hashes(grant(store), 0, 0, 601)
    assert list(store.hashes(grant(store), 8, 0, 5)) == [
        merkle.root_of(hashes[:256]),
        merkle.root_of(hashes[256:512]),
    ]
    assert list(store.hashes(grant(store), 8, 1, 1)) == [merkle.root_of(hashes[256:512])]
    assert not store.hashes(grant(store), 8, 2, 1)
    assert not store.entries(grant(store), 601, 10)
    assert len(store.entries(grant(store), 600, 10)) == 1


def test_nothing_is_signed_without_a_key(tmp_path: Path, hub_clock: HandClock) -> None:
    """Nor afterwards because it is asked for: somebody has to vouch for it (tests/security)."""
    plain = open_store(tmp_path, hub_clock)
    activate(plain, 1)
    with pytest.raises(NotFound):
        plain.checkpoint(grant(plain))
    plain.close()
    keyed = open_store(tmp_path, hub_clock, sealer=SEALER)
    with pytest.raises(Unavailable):
        keyed.checkpoint(grant(keyed))
    tree = keyed.tree(grant(keyed))
    keyed.vouch(grant(keyed), tree.size, tree.root, event())
    assert len(check_log(keyed, 1)) == 1  # signed as it was committed
    publish(keyed, candidate(1))
    assert len(check_log(keyed, 1)) == 2
    keyed.close()


def test_the_name_of_a_log_stays_when_the_hub_gets_another_address(
    tmp_path: Path, hub_clock: HandClock
) -> None:
    for host in ("hub.test:9443", "elsewhere.test"):
        store = open_store(tmp_path, hub_clock, sealer=Sealer(host, KEY.public, KEY.sign))
        if host == "hub.test:9443":
            activate(store, 1)
        else:
            publish(store, candidate(1))
        check_log(store, 1)
        store.close()
