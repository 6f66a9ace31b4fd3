"""Attacks on the log of a collection by somebody who can write the hub's file, but has no key.

None of them gets the hub to sign what it did not write. What the hub cannot know, since all in it is of its
own making (an older state of the whole file, at a start), is said here too: those outside see it.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from lightship.core.collection import pack
from lightship.core.errors import Conflict, LightshipError, Unavailable
from lightship.storage.migrate import Kind, migrate
from lightship.storage.sqlite.store import FILE, SqliteStore
from storekit import BOB, candidate, event, grant, object_id, publish, withdraw
from tamperlab import SEALER, TamperLab, is_genuine, rehash, signed_root


@pytest.fixture(name="lab")
def _lab(tmp_path: Path) -> TamperLab:
    return TamperLab(tmp_path)


def refuses(store: SqliteStore, number: int = 999) -> None:
    """Publishing in the collection is refused with 503 and names what to do; the other one is not hit."""
    with pytest.raises(Unavailable, match="lightship fsck") as refused:
        publish(store, candidate(number))
    assert refused.value.retry_after >= 60
    publish(store, candidate(number), on=2)
    assert is_genuine(store, on=2)


def blank(db: apsw.Connection) -> None:
    db.execute("UPDATE log_head SET note = x'' WHERE collection = 1")


def test_an_untouched_log_goes_on_in_every_process(lab: TamperLab) -> None:
    with closing(lab.open()) as one, closing(lab.open()) as two:
        for number in range(20, 40):
            publish(one if number % 3 else two, candidate(number))
    with closing(lab.open()) as again:
        publish(again, candidate(50))
        assert is_genuine(again)
        assert signed_root(again)[0] == 26
    assert lab.findings() == []


def test_leaf_rewritten_with_its_hashes_and_head(lab: TamperLab) -> None:
    before = lab.open()
    root = signed_root(before)
    before.close()
    lab.rewrite()
    with closing(lab.open()) as store:
        refuses(store)
        assert signed_root(store) == root  # what leaves is what was signed before
        assert len(store.entries(grant(store), 0, 9)) == 5  # reads go on
    assert any("checkpoint of collection 1" in one for one in lab.findings())


def test_leaf_rewritten_under_a_running_process(lab: TamperLab) -> None:
    with closing(lab.open()) as store:
        publish(store, candidate(20))
        lab.rewrite()
        refuses(store)


def test_leaf_rewritten_and_the_note_blanked(lab: TamperLab) -> None:
    """A blank note is what a process without the key leaves: it is signed by nobody's wish."""
    lab.rewrite()
    lab.edit(blank)
    with closing(lab.open()) as store:
        refuses(store)
        with pytest.raises(Unavailable, match="lightship fsck"):
            store.checkpoint(grant(store))
    assert any("no checkpoint was signed" in one for one in lab.findings())


def test_leaf_rewritten_and_the_head_taken_away(lab: TamperLab) -> None:
    lab.rewrite()
    lab.edit("DELETE FROM log_head WHERE collection = 1")
    with closing(lab.open()) as store:
        refuses(store)


def test_leaf_rewritten_and_everything_below_it_left_out(lab: TamperLab) -> None:
    """Size, statements and head fit each other and begin with a leaf of the attacker's."""

    def change(db: apsw.Connection) -> None:
        db.execute("DELETE FROM statement WHERE key > ? AND key < ?", (pack(1, 1), pack(2, 0)))
        db.execute("UPDATE statement SET by = 'eve' WHERE key = ?", (pack(1, 1),))
        db.execute("UPDATE collection SET size = 2 WHERE number = 1")
        rehash(db)
        blank(db)

    lab.edit(change)
    with closing(lab.open()) as store:
        refuses(store)


def test_leaf_rewritten_with_its_hashes_but_not_the_head(lab: TamperLab) -> None:
    """The hub signs on over what it wrote itself; the forged leaf is under no checkpoint."""
    lab.rewrite(head=False)
    with closing(lab.open()) as store:
        publish(store, candidate(20))
        assert not is_genuine(store)
        lab.rewrite(by="alice", head=False)
        lab.edit(f"UPDATE statement SET by = 'uslax' WHERE key = {pack(1, 1)}")
        lab.edit(lambda db: rehash(db, head=False))
        assert is_genuine(store)  # and what it signed holds for the leaves as they were


def test_older_genuine_note_with_its_tree_under_a_running_process(lab: TamperLab) -> None:
    with closing(lab.open()) as store:
        saved = lab.save()
        publish(store, candidate(20))
        assert signed_root(store)[0] == 6
        lab.put_back(saved)
        assert signed_root(store)[0] == 5
        refuses(store)


def test_older_genuine_note_with_its_tree_at_a_restart_is_for_those_outside_to_see(lab: TamperLab) -> None:
    """Nothing in the file says that there was more; who kept a checkpoint sees the fork, as the docs say."""
    saved = lab.save()
    with closing(lab.open()) as store:
        publish(store, candidate(20))
        seen = signed_root(store)
    lab.put_back(saved)
    with closing(lab.open()) as store:
        publish(store, candidate(21))
        size, root = signed_root(store)
        assert size == seen[0]
        assert root != seen[1]
        assert is_genuine(store)


def test_rows_truncated_under_an_older_genuine_note(lab: TamperLab) -> None:
    """With one process that saw more, also after another one began on the shorter log and signed."""
    saved = lab.save()
    with closing(lab.open()) as witness:
        publish(witness, candidate(20))
        lab.put_back(saved)
        with closing(lab.open()) as fresh:
            publish(fresh, candidate(21))
            publish(fresh, candidate(22))
        refuses(witness)


def test_a_genuine_head_of_another_log(lab: TamperLab) -> None:
    """Else the hub would sign a second branch of the other log, under that one's name."""
    lab.edit("UPDATE collection SET size = 1 WHERE number = 1")
    lab.edit(f"DELETE FROM statement WHERE key > {pack(1, 0)} AND key < {pack(2, 0)}")
    lab.edit(
        "UPDATE log_head SET (origin, size, peaks, note) ="
        " (SELECT origin, size, peaks, note FROM log_head WHERE collection = 2) WHERE collection = 1"
    )
    with closing(lab.open()) as store:
        refuses(store)


@pytest.mark.parametrize("origin", ["hub.test:9443/audit/exercise/2026", "elsewhere/c/x"])
def test_another_name_for_a_log_that_is_yet_empty(lab: TamperLab, origin: str) -> None:
    def change(db: apsw.Connection) -> None:
        db.execute(f"DELETE FROM statement WHERE key >= {pack(1, 0)} AND key < {pack(2, 0)}")
        db.execute("UPDATE collection SET size = 0 WHERE number = 1")
        db.execute(
            "UPDATE log_head SET origin = ?, size = 0, peaks = x'', note = x'' WHERE collection = 1",
            (origin,),
        )

    lab.edit(change)
    with closing(lab.open()) as store:
        refuses(store)


def test_entries_put_in_between_two_processes(lab: TamperLab) -> None:
    """A note of the hub's own over a tree that does not go on from what the process knew."""
    with closing(lab.open()) as one, closing(lab.open()) as two:
        publish(one, candidate(20))
        publish(two, candidate(21))
        lab.edit(f"UPDATE statement SET hash = zeroblob(32) WHERE key = {pack(1, 6)}")
        refuses(one)


def test_a_process_that_slept_follows_a_long_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightship.storage.sqlite.collection_vouch.FEW", 10)
    lab = TamperLab(tmp_path)
    with closing(lab.open()) as sleeper, closing(lab.open()) as busy:
        publish(sleeper, candidate(20))
        for number in range(21, 600):
            publish(busy, candidate(number))
        publish(sleeper, candidate(700))
        assert is_genuine(sleeper)
        for number in range(720, 740):
            publish(busy, candidate(number))
        lab.edit("UPDATE log_node SET hash = zeroblob(32) WHERE collection = 1")
        refuses(sleeper)


def test_what_takes_away_goes_on_and_is_signed_by_nobody(lab: TamperLab) -> None:
    with closing(lab.open()) as store:
        root = signed_root(store)
    lab.rewrite()
    with closing(lab.open()) as store:
        withdraw(store, object_id(1))
        assert not store.exists(grant(store), object_id(1))
        assert signed_root(store) == root
        refuses(store)


def take_back(lab: TamperLab) -> None:
    """Make the file one of schema 3, so that what came later is made again from what it holds."""
    lab.edit(
        "DROP TABLE log_node; DROP TABLE log_head; ALTER TABLE statement DROP COLUMN hash;"
        "ALTER TABLE statement DROP COLUMN signatures; DROP TABLE roster; DROP TABLE publish_key;"
        "DROP TABLE signed_statement; DROP TABLE suspension; DELETE FROM meta WHERE schema > 3"
    )
    db = apsw.Connection(str(lab.data / FILE))
    try:
        if "kind" in [row[1] for row in db.execute("PRAGMA table_info(credential)")]:
            db.execute("ALTER TABLE credential DROP COLUMN kind")
        db.pragma("user_version", 3)
    finally:
        db.close()


def test_a_file_taken_back_to_an_older_schema(lab: TamperLab, tmp_path: Path) -> None:
    """Migrating makes logs anew; only a steward's own `lightship migrate` has them signed."""
    lab.rewrite()
    take_back(lab)
    with closing(lab.open()) as store:
        with pytest.raises(Unavailable, match="lightship fsck"):
            publish(store, candidate(99))
        with pytest.raises(Unavailable, match="lightship fsck"):
            store.checkpoint(grant(store))


def test_a_stewards_own_migration_signs_what_there_is(lab: TamperLab) -> None:
    """The negative control of the one before: the same file, with the hub's key."""
    take_back(lab)
    migrate(lab.data / FILE, Kind.HUB, lab.clock.now(), sealer=SEALER)
    with closing(lab.open()) as store:
        publish(store, candidate(99), member=BOB)
        assert is_genuine(store)


def test_a_log_that_somebody_vouches_for_goes_on(lab: TamperLab) -> None:
    lab.edit(blank)
    with closing(lab.open()) as store:
        refuses(store)
        tree = store.tree(grant(store))
        said = event()
        store.vouch(grant(store), tree.size, tree.root, said)
        publish(store, candidate(60))
        assert is_genuine(store)
        assert said.req in [one.req for one in store.pending()]
    assert not [one for one in lab.findings() if "checkpoint" in one]


def test_nobody_vouches_for_another_head_than_he_looked_at(lab: TamperLab) -> None:
    with closing(lab.open()) as store:
        tree = store.tree(grant(store))
        publish(store, candidate(20))
        with pytest.raises(Conflict):
            store.vouch(grant(store), tree.size, tree.root, event())


def test_what_was_signed_in_a_transaction_that_was_undone_is_not_taken_as_known(lab: TamperLab) -> None:
    """Else the head of a write that failed would count as the hub's, and what is in the file as forged."""
    with closing(lab.open()) as store:
        publish(store, candidate(20))
        db = apsw.Connection(str(lab.data / FILE))
        db.execute("CREATE TRIGGER no BEFORE UPDATE ON log_head BEGIN SELECT RAISE(ROLLBACK, 'no'); END")
        with pytest.raises(LightshipError):
            publish(store, candidate(21))
        db.execute("DROP TRIGGER no")
        db.close()
        publish(store, candidate(22))
        assert is_genuine(store)
        assert signed_root(store)[0] == 7
