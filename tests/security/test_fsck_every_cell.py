"""fsck finds every change of a row or a cell, but for those listed here with the reason.

Of a hub with rows in every table one row is changed, deleted or inserted at a time, in `hub.db` and in the
access log; a table or column that nobody thought of fails, since it is on no list.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import apsw
import pytest

from lightship.cli.main import execute
from lightship.core.errors import LightshipError
from lightship.crypto.sign import verify
from lightship.keys.hub_key import load_hub_key
from lightship.storage.fsck import fsck
from lightship.storage.fsck_log import HubKey
from tamperworld import Cell, cells, copy_world, make_world, mutate

SEEDS = 1
_STATUS = "the answer to a post, kept for a day for who posted: says nothing that the log does not say"
_EVENT = "when it was taken: compared with its event within two minutes, since no other clock is kept"
_CREDENTIAL = "nobody signs credentials; who minted and revoked them is in the access log, and compared"

NOTHING_PROVABLE = {
    "hub.db": {
        "agreement.activated": _EVENT,
        "roster.applied": _EVENT,
        "suspension.applied": _EVENT,
        "withdrawn.at": "the writer's clock; compared with the stamp of the withdrawal within two minutes",
        "withdrawn.number": "names the row, and nothing refers to it",
        "credential.id": _CREDENTIAL,
        "credential.digest": _CREDENTIAL,
        "credential.created": _CREDENTIAL,
        "credential.expires": _CREDENTIAL,
        "credential.allowed": _CREDENTIAL,
        "credential.profile": _CREDENTIAL,
        "credential.note": _CREDENTIAL,
        "credential.kind": _CREDENTIAL,
        "dropped.key": "which cached page is made anew; within its collection, and none is missing",
        "hub.epoch": "a counter: any other number makes every process read the rules anew",
        "meta.applied_at": "when a migration ran",
        "signed_statement.status": _STATUS,
        "staged.number": "names what waits, for who cancels it",
        "staged.posted": "nobody signs what waits; its statement comes with its release",
        "staged.problem": "why a release failed, for its owner",
        "staged.about": "what rules ask about; what it cites, and by whom, is compared with the body",
        "status delete": _STATUS,
        "status insert": _STATUS,
        "status.number": _STATUS,
        "status.agreement": _STATUS,
        "status.credential": _STATUS,
        "status.at": _STATUS,
        "status.body": _STATUS,
        "type insert": "a name that no object has",
        "pending_event delete": "it may belong to a credential: then its event is said to be missing",
    },
    "audit.db": {
        "checkpoint delete": "one that was kept: the signatures of the groups before it hold as well",
        "meta.applied_at": "when a migration ran",
        "word insert": "a word that no event has",
        "filled.seq": "up to where the table that is searched is filled: the rest is found by reading",
    },
}


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:  # so that few events fill every table
        patch.setattr("lightship.storage.sqlite.access_writer.CHECKPOINT_EVERY", 100)
        patch.setattr("lightship.storage.sqlite.access_writer.TAIL", 50)
        world = make_world(tmp_path_factory.mktemp("world"))
    assert look(world / "data", world) == []
    return world


def look(data: Path, world: Path) -> list[str]:
    found = fsck(data, key=HubKey(load_hub_key(world).public, verify)).findings
    return [f"{one.where}: {one.what}" for one in found]


def file_of(world: Path, name: str) -> str:
    if name == "hub.db":
        return name
    (path,) = (world / "data").glob("audit-*.db")
    return path.name


def missed(world: Path, folder: Path, name: str, cell: Cell, kind: str) -> list[str]:
    """Return what fsck did not find of the changes of one kind."""
    found = []
    for seed in range(SEEDS):
        shutil.rmtree(folder / "data", ignore_errors=True)
        data = copy_world(world, folder)
        done = mutate(data / file_of(world, name), cell, kind, seed)
        if done and not look(data, world):
            found.append(done)
    return found


@pytest.mark.parametrize("name", sorted(NOTHING_PROVABLE))
def test_fsck_finds_every_change_that_is_not_listed(world: Path, tmp_path: Path, name: str) -> None:
    listed, unseen = NOTHING_PROVABLE[name], []
    everything = cells(world / "data" / file_of(world, name))
    for cell in everything:
        for kind in ("cell",) if cell.column else ("delete", "insert"):
            what = str(cell) if cell.column else f"{cell} {kind}"
            if what not in listed:
                unseen += [f"{what}: {one}" for one in missed(world, tmp_path, name, cell, kind)]
    assert unseen == []
    tables = {cell.table for cell in everything}
    assert {one.split()[0].partition(".")[0] for one in listed} <= tables


@pytest.mark.parametrize("name", sorted(NOTHING_PROVABLE))
def test_every_table_has_rows(world: Path, name: str) -> None:
    """Else nothing of it would have been changed."""
    path = world / "data" / file_of(world, name)
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    names = {cell.table for cell in cells(path)}
    empty = [one for one in sorted(names) if not db.execute(f"SELECT count(*) FROM {one}").get]
    db.close()
    assert empty == []


def test_an_older_hub_db_beside_its_access_log_is_found(world: Path, tmp_path: Path) -> None:
    """The whole file put back to an earlier state, which in itself is sound: the access log knows of more."""
    hub_dir = tmp_path / "hub"
    shutil.copytree(world, hub_dir)
    db = apsw.Connection(str(hub_dir / "data" / "hub.db"))
    db.pragma("wal_checkpoint", "truncate")
    db.close()
    old = (hub_dir / "data" / "hub.db").read_bytes()
    assert execute(["credential", "mint", "exercise", "uslgb/late", "--hub", str(hub_dir)]) == 0
    assert look(hub_dir / "data", world) == []
    for path in (hub_dir / "data").glob("hub.db-*"):
        path.unlink()
    (hub_dir / "data" / "hub.db").write_bytes(old)
    assert any("credential uslgb-late: an event names it" in one for one in look(hub_dir / "data", world))


def test_bytes_of_the_files_at_random(world: Path, tmp_path: Path) -> None:
    """Whatever is in a file: findings or a clear error, never anything else."""
    chance = random.Random(7)
    for name in ("hub.db", file_of(world, "audit.db")):
        for _ in range(12):
            shutil.rmtree(tmp_path / "data", ignore_errors=True)
            data = copy_world(world, tmp_path)
            content = bytearray((data / name).read_bytes())
            for _ in range(chance.choice([1, 20, 400])):
                content[chance.randrange(len(content))] = chance.randrange(256)
            (data / name).write_bytes(content[: chance.choice([len(content), len(content) // 2])])
            try:
                look(data, world)
            except LightshipError as error:
                assert error.todo or error.why  # noqa: PT017  (both ends are allowed)
