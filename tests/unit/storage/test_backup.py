"""Backup and restore: nothing acknowledged is missing, nothing is ever deleted, no archive is trusted."""

from __future__ import annotations

import gzip
import io
import os
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import orjson
import pytest

from fsckhub import AUDIT, DiskHub, damage, make_hub, stix
from lightship.core.audit import AuditQuery
from lightship.core.errors import BadFile, Conflict, Damaged, NewerStore, Unavailable
from lightship.core.marks import MarkingSet
from lightship.core.time import Micros
from lightship.storage.archive import open_archive
from lightship.storage.backup import backup
from lightship.storage.migrate import Kind, load
from lightship.storage.restore import restore
from storekit import (
    ALICE,
    ALL,
    SECOND,
    START,
    WAIT,
    expiring,
    grant,
    object_id,
    pull,
    releasing,
)

FILES = {
    "lightship.toml": 0o644,
    "agreements/exercise/agreement.toml": 0o644,
    "keys/hub.key": 0o400,
    "keys/cursor.key": 0o400,
    "tls/ca.pem": 0o644,
    "tls/server.key": 0o600,
}


def furnish(hub_dir: Path) -> None:
    """Put the files beside the data that a hub directory has."""
    for name, mode in FILES.items():
        path = hub_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}\n")
        path.chmod(mode)


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole hub directory, made once; never written to."""
    hub_dir = tmp_path_factory.mktemp("hub")
    make_hub(hub_dir / "data")
    furnish(hub_dir)
    return hub_dir


@pytest.fixture(scope="session")
def archive(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it."""
    path = tmp_path_factory.mktemp("backup") / "hub.tar"
    backup(sound, path, START)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file of a directory but those that SQLite makes and removes beside a database."""
    files = [
        path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    ]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def content(tar: tarfile.TarFile, name: str) -> bytes:
    """Return one file of an archive as Python's own reader sees it."""
    found = tar.extractfile(name)
    assert found is not None
    return found.read()


# --- backup -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hub.tar", "hub.tar.gz"])
def test_a_restored_hub_holds_what_was_backed_up(sound: Path, tmp_path: Path, name: str) -> None:
    manifest = backup(sound, tmp_path / name, START)
    done = restore(tmp_path / name, tmp_path / "new", START)
    assert done.fsck.findings == ()
    assert (done.fsck.objects, done.fsck.events, done.aside) == (612, 10, None)
    assert done.manifest == manifest
    for path, mode in FILES.items():
        assert (tmp_path / "new" / path).read_text() == f"content of {path}\n"
        assert stat.S_IMODE((tmp_path / "new" / path).stat().st_mode) == mode
    folders = [path for path in (tmp_path / "new").rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    before, after = DiskHub(sound / "data"), DiskHub(tmp_path / "new" / "data")
    assert pull(after.store, ALL) == pull(before.store, ALL)
    assert after.store.pending() == before.store.pending()
    assert list(after.access.search(AuditQuery())) == list(before.access.search(AuditQuery()))
    before.close()
    after.close()


def test_what_waits_and_what_ends_is_restored_and_goes_on(tmp_path: Path) -> None:
    furnish(tmp_path / "old")
    soon = Micros(START + SECOND)
    hub = DiskHub(tmp_path / "old" / "data")
    hub.activate(1, "")
    hub.publish(stix(1), stix(2), marks=[MarkingSet(release_at=soon), MarkingSet(share_until=soon)])

    def held(hub: DiskHub) -> list[object]:
        here = grant(hub.store)
        sets, due = hub.store.held_sets(here), hub.store.next_due([here], Micros(0))
        return [list(sets), list(hub.store.staged(here, "")), due]

    before = held(hub)
    hub.close()
    backup(tmp_path / "old", tmp_path / "hub.tar", START)
    assert restore(tmp_path / "hub.tar", tmp_path / "new", START).fsck.findings == ()
    hub = DiskHub(tmp_path / "new" / "data")
    assert held(hub) == before
    allowed = grant(hub.store, None)
    assert len(hub.store.release(releasing(allowed, ALICE, [1], now=soon)).result(WAIT).outcome.items) == 1
    assert len(hub.store.expire(expiring(allowed, now=soon)).result(WAIT).rows) == 1
    hub.close()


def test_a_backup_is_one_private_file_and_leaves_nothing_else(sound: Path, tmp_path: Path) -> None:
    backup(sound, tmp_path / "hub.tar.gz", START)
    assert [path.name for path in tmp_path.iterdir()] == ["hub.tar.gz"]
    assert stat.S_IMODE((tmp_path / "hub.tar.gz").stat().st_mode) == 0o600


def test_a_backup_can_be_read_with_tar(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        manifest = orjson.loads(content(tar, "manifest.json"))
        for entry in manifest["files"]:
            assert sha256(content(tar, entry["path"])).hexdigest() == entry["sha256"]
    assert names == ["manifest.json", "data/hub.db", f"data/{AUDIT}", *sorted(FILES)]
    assert manifest["schemas"] == {"data/hub.db": len(load(Kind.HUB)), f"data/{AUDIT}": len(load(Kind.AUDIT))}


def test_a_backup_never_replaces_a_file(sound: Path, tmp_path: Path) -> None:
    (tmp_path / "hub.tar").write_text("precious")
    with pytest.raises(Conflict, match="exists"):
        backup(sound, tmp_path / "hub.tar", START)
    assert (tmp_path / "hub.tar").read_text() == "precious"


def test_a_directory_without_a_hub_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="no hub directory"):
        backup(tmp_path, tmp_path / "hub.tar", START)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_hub_is_not_passed_off_as_a_backup(archive: Path, tmp_path: Path) -> None:
    restore(archive, tmp_path / "hub", START)
    with (tmp_path / "hub" / "data" / "hub.db").open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\xff" * 4096 * 4)
    with pytest.raises(Damaged, match="no backup was made"):
        backup(tmp_path / "hub", tmp_path / "new.tar", START)
    assert [path.name for path in tmp_path.iterdir()] == ["hub"]


def test_an_access_log_that_is_just_being_made_does_not_spoil_a_backup(archive: Path, tmp_path: Path) -> None:
    restore(archive, tmp_path / "hub", START)
    (tmp_path / "hub" / "data" / "audit-2027.db").touch()
    backup(tmp_path / "hub", tmp_path / "new.tar", START)
    assert restore(tmp_path / "new.tar", tmp_path / "again", START).fsck.findings == ()


def test_a_place_that_cannot_be_written_to_is_refused(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="No backup can be written here"):
        backup(sound, tmp_path / "nowhere" / "hub.tar", START)


FULL = """
import resource, sys
from pathlib import Path
from lightship.core.errors import Unavailable
from lightship.core.time import Micros
from lightship.storage.backup import backup
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), -1))
try:
    backup(Path(sys.argv[1]), Path(sys.argv[2]), Micros(0))
except Unavailable as error:
    print(error)
"""


@pytest.mark.parametrize("during", ["copying", "packing"])
def test_a_full_disk_leaves_no_half_backup(sound: Path, archive: Path, tmp_path: Path, during: str) -> None:
    with open_archive(archive) as (manifest, _):
        room = manifest.files[0].size + (10_000 if during == "packing" else -10_000)
        assert 100_000 < room < manifest.total
    command = [sys.executable, "-c", FULL, str(sound), str(tmp_path / "hub.tar"), str(room)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "cannot be written" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_linked_certificate_is_backed_up_by_content(archive: Path, tmp_path: Path) -> None:
    restore(archive, tmp_path / "hub", START)
    (tmp_path / "outside.pem").write_text("a certificate")
    (tmp_path / "hub" / "tls" / "linked.pem").symlink_to(tmp_path / "outside.pem")
    backup(tmp_path / "hub", tmp_path / "new.tar", START)
    restore(tmp_path / "new.tar", tmp_path / "again", START)
    assert not (tmp_path / "again" / "tls" / "linked.pem").is_symlink()
    assert (tmp_path / "again" / "tls" / "linked.pem").read_text() == "a certificate"


def test_a_name_that_a_backup_cannot_hold_is_refused_not_left_out(archive: Path, tmp_path: Path) -> None:
    restore(archive, tmp_path / "hub", START)
    (tmp_path / "hub" / "keys" / ("long" * 40)).write_text("x")
    with pytest.raises(BadFile, match="cannot hold this file"):
        backup(tmp_path / "hub", tmp_path / "new.tar", START)


def test_a_backup_tells_how_far_it_is(sound: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    manifest = backup(sound, tmp_path / "hub.tar", START, lambda *args: told.append(args))
    assert told[-1] == ("packing", manifest.total, manifest.total)
    assert any(what == "copying hub.db" and done == total for what, done, total in told)


def test_backups_of_a_hub_in_use_are_sound_and_miss_nothing_acknowledged_before(tmp_path: Path) -> None:
    hub = DiskHub(tmp_path / "hub" / "data")
    furnish(tmp_path / "hub")
    hub.activate(1, "")
    acknowledged: list[int] = []
    stop, wrong = threading.Event(), list[Exception]()

    def write() -> None:
        try:
            for number in range(1, 100_000):
                if stop.is_set():
                    return
                hub.clock.advance(2000)
                hub.publish(stix(number), log=number % 3 > 0)
                acknowledged.append(number)
        except Exception as error:
            wrong.append(error)

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for turn in range(4):
            known = list(acknowledged)
            backup(tmp_path / "hub", tmp_path / f"{turn}.tar", START)
            done = restore(tmp_path / f"{turn}.tar", tmp_path / f"hub{turn}", START)
            assert done.fsck.findings == ()
            with apsw.Connection(str(tmp_path / f"hub{turn}" / "data" / "hub.db")) as conn:
                kept = {row[0] for row in conn.execute("SELECT id FROM object")}
            conn.close()
            assert {object_id(number) for number in known} <= kept
    finally:
        stop.set()
        writing.join(20)
        hub.close()
    assert wrong == []
    assert len(acknowledged) > 10


# --- restore ------------------------------------------------------------------------------------


def test_a_hub_is_not_restored_over_without_force(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "lightship.toml").write_text("mine")
    with pytest.raises(Conflict, match=r"is not empty.*lightship\.toml.*--force"):
        restore(archive, tmp_path / "hub", START)
    assert tree(tmp_path / "hub") == {"lightship.toml": b"mine"}


def test_force_moves_the_old_hub_aside_and_deletes_nothing(archive: Path, tmp_path: Path) -> None:
    restore(archive, tmp_path / "hub", START)
    (tmp_path / "hub" / "lightship.toml").write_text("mine")
    before = tree(tmp_path / "hub")
    done = restore(archive, tmp_path / "hub", START, force=True)
    assert done.aside == tmp_path / "hub" / "before-restore-20260921T141320.000000Z"
    assert tree(done.aside) == before
    assert (tmp_path / "hub" / "lightship.toml").read_text() == "content of lightship.toml\n"
    assert done.fsck.findings == ()
    again = restore(archive, tmp_path / "hub", Micros(START + 1), force=True)
    assert again.aside is not None
    assert tree(done.aside) == before


def test_a_hub_in_use_is_not_restored_over(archive: Path, tmp_path: Path) -> None:
    restore(archive, tmp_path / "hub", START)
    hub = DiskHub(tmp_path / "hub" / "data")
    hub.store.epoch()
    with pytest.raises(Conflict, match="A process has the data"):
        restore(archive, tmp_path / "hub", START, force=True)
    hub.close()
    assert restore(archive, tmp_path / "hub", START, force=True).aside is not None


def test_a_backup_of_a_damaged_hub_is_restored_and_its_findings_are_told(
    archive: Path, tmp_path: Path
) -> None:
    restore(archive, tmp_path / "hub", START)
    damage(tmp_path / "hub" / "data" / "hub.db", "UPDATE collection SET objects = 7 WHERE number = 1")
    backup(tmp_path / "hub", tmp_path / "new.tar", START)
    done = restore(tmp_path / "new.tar", tmp_path / "again", START)
    assert [one.what for one in done.fsck.findings] == ["objects is 7, counted were 12"]


def test_a_backup_of_a_newer_version_is_refused(archive: Path, tmp_path: Path) -> None:
    restore(archive, tmp_path / "hub", START)
    path = tmp_path / "hub" / "data" / "hub.db"
    damage(path, "INSERT INTO meta VALUES (9, '3.1.4', 0)", "PRAGMA user_version = 9")
    newer = rebuild(archive, tmp_path / "newer.tar", {"data/hub.db": path.read_bytes()})
    with pytest.raises(NewerStore, match=r"Use Lightship 3\.1\.4 or newer"):
        restore(newer, tmp_path / "again", START)
    assert list((tmp_path / "again").iterdir()) == []


# --- hostile archives ---------------------------------------------------------------------------


def rebuild(
    archive: Path,
    target: Path,
    contents: dict[str, bytes] | None = None,
    change: Callable[[dict[str, Any]], object] = lambda manifest: None,
) -> Path:
    """Write an archive again with other contents (their digests made right), then change its manifest."""
    with tarfile.open(archive) as tar:
        files = {name: content(tar, name) for name in tar.getnames()}
    manifest = orjson.loads(files.pop("manifest.json"))
    files |= contents or {}
    for entry in manifest["files"]:
        body = files[entry["path"]]
        entry["size"], entry["sha256"] = len(body), sha256(body).hexdigest()
    change(manifest)
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as out:
        for name, body in ({"manifest.json": orjson.dumps(manifest)} | files).items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            out.addfile(info, io.BytesIO(body))
    return target


def test_an_archive_written_again_by_tar_is_restored(archive: Path, tmp_path: Path) -> None:
    assert restore(rebuild(archive, tmp_path / "a.tar"), tmp_path / "hub", START).fsck.findings == ()


def renamed(path: object) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest["files"][-1].update(path=path)


MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a path above": renamed("tls/../../evil"),
    "an absolute path": renamed("/etc/evil"),
    "a path that begins above": renamed("../evil"),
    "a path with an empty step": renamed("tls//evil"),
    "a path with a NUL": renamed("tls/evil\0"),
    "a path with a backslash": renamed("tls\\..\\evil"),
    "a path that is not text": renamed(7),
    "a file that is no part of a hub": renamed(".ssh/authorized_keys"),
    "a write-ahead log": renamed("data/hub.db-wal"),
    "a folder": renamed("tls"),
    "a file twice": lambda manifest: manifest["files"].append(manifest["files"][-1]),
    "a file in upper case": renamed("KEYS/hub.key"),
    "a mode with setuid": lambda manifest: manifest["files"][-1].update(mode=0o4755),
    "a mode for all to write": lambda manifest: manifest["files"][-1].update(mode=0o666),
    "a negative size": lambda manifest: manifest["files"][-1].update(size=-1),
    "a size too large": lambda manifest: manifest["files"][-1].update(size=1 << 40),
    "another digest": lambda manifest: manifest["files"][-1].update(sha256="0" * 64),
    "a digest that is none": lambda manifest: manifest["files"][-1].update(sha256="x"),
    "a file not named": lambda manifest: manifest["files"].pop(),
    "a file too many named": lambda manifest: manifest["files"].append(
        {"path": "tls/more.pem", "size": 0, "mode": 0o600, "sha256": sha256(b"").hexdigest()}
    ),
    "files in another order": lambda manifest: manifest["files"].reverse(),
    "no files": lambda manifest: manifest.update(files=[]),
    "no list of files": lambda manifest: manifest.update(files=None),
    "a member that nobody knows": lambda manifest: manifest.update(more=1),
    "another schema": lambda manifest: manifest["schemas"].update({"data/hub.db": 5}),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_lies_is_refused_and_nothing_is_kept(
    archive: Path, tmp_path: Path, name: str
) -> None:
    hostile = rebuild(archive, tmp_path / "a.tar", change=MANIFESTS[name])
    outside = tree(tmp_path)
    with pytest.raises((BadFile, Unavailable), match="backup"):
        restore(hostile, tmp_path / "hub", START)
    assert tree(tmp_path) == outside


def member(kind: bytes, **fields: object) -> Callable[[tarfile.TarInfo], None]:
    def change(info: tarfile.TarInfo) -> None:
        info.type = kind
        for name, value in fields.items():
            setattr(info, name, value)

    return change


MEMBERS: dict[str, Callable[[tarfile.TarInfo], None]] = {
    "a symbolic link": member(tarfile.SYMTYPE, linkname="/etc/passwd", size=0),
    "a hard link": member(tarfile.LNKTYPE, linkname="keys/hub.key", size=0),
    "a device": member(tarfile.CHRTYPE, devmajor=1, devminor=3, size=0),
    "a pipe": member(tarfile.FIFOTYPE, size=0),
    "a folder": member(tarfile.DIRTYPE, size=0),
    "a sparse file": member(tarfile.GNUTYPE_SPARSE),
    "an extended header": member(tarfile.XHDTYPE),
    "a long name": member(tarfile.GNUTYPE_LONGNAME),
}


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("place", [0, 3])
def test_an_archive_with_anything_but_regular_files_is_refused(
    archive: Path, tmp_path: Path, name: str, place: int
) -> None:
    hostile = tmp_path / "a.tar"
    with tarfile.open(archive) as tar, hostile.open("wb") as out:
        for index, info in enumerate(tar.getmembers()):
            body = content(tar, info.name)
            if index == place:
                MEMBERS[name](info)
            out.write(info.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % 512))
        out.write(bytes(1024))
    outside = tree(tmp_path)
    with pytest.raises(BadFile, match="not a regular file"):
        restore(hostile, tmp_path / "hub", START)
    assert tree(tmp_path) == outside


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("zipped", [False, True])
def test_an_archive_that_is_cut_off_is_refused(
    archive: Path, tmp_path: Path, share: float, zipped: bool
) -> None:
    body = archive.read_bytes()[:-1024]
    body = gzip.compress(body, 1) if zipped else body
    (tmp_path / "a.tar").write_bytes(body[: int(len(body) * share)])
    with pytest.raises(BadFile, match="cannot be used"):
        restore(tmp_path / "a.tar", tmp_path / "hub", START)
    assert list((tmp_path / "hub").iterdir()) == []


def test_one_bit_altered_anywhere_is_refused(archive: Path, tmp_path: Path) -> None:
    sound = bytearray(archive.read_bytes())
    with open_archive(archive) as (manifest, _):
        header = 512 * (1 + -(-len(orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2)) // 512))
    for index in [header + 600, header + 30_000, archive.read_bytes().rindex(b"content of")]:
        altered = bytearray(sound)
        altered[index] ^= 1
        (tmp_path / "a.tar").write_bytes(altered)
        with pytest.raises(BadFile, match="not what its manifest says"):
            restore(tmp_path / "a.tar", tmp_path / "hub", START)
        assert list((tmp_path / "hub").iterdir()) == []


@pytest.mark.parametrize("tail", [b"x", b"\0" * 10_240 + b"x", b"\0" * 5_000_000])
def test_anything_after_the_end_is_refused(archive: Path, tmp_path: Path, tail: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(archive.read_bytes() + tail)
    with pytest.raises(BadFile, match="more than its manifest says"):
        restore(tmp_path / "a.tar", tmp_path / "hub", START)


@pytest.mark.parametrize("body", [b"", b"hello", b"\x1f\x8b", b"\x1f\x8b" + b"\xff" * 600, os.urandom(4096)])
def test_what_is_no_archive_is_refused(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(body)
    with pytest.raises(BadFile, match=r"a\.tar: This backup cannot be used"):
        restore(tmp_path / "a.tar", tmp_path / "hub", START)


def test_an_archive_of_another_format_names_the_version_needed(archive: Path, tmp_path: Path) -> None:
    hostile = rebuild(archive, tmp_path / "a.tar", change=lambda one: one.update(format=2, needs="4.0.0"))
    with pytest.raises(NewerStore, match=r"Use Lightship 4\.0\.0 or newer"):
        restore(hostile, tmp_path / "hub", START)


def test_a_database_of_somebody_else_is_refused(archive: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    conn = apsw.Connection(str(other))
    conn.execute("CREATE TABLE t (x)")
    conn.close()
    hostile = rebuild(archive, tmp_path / "a.tar", {"data/hub.db": other.read_bytes()})
    with pytest.raises(BadFile, match="no Lightship data file"):
        restore(hostile, tmp_path / "hub", START)
    assert list((tmp_path / "hub").iterdir()) == []


def test_the_manifest_counts_its_bytes(archive: Path) -> None:
    with open_archive(archive) as (manifest, _):
        assert manifest.total == sum(entry.size for entry in manifest.files)
        assert replace(manifest, files=()).total == 0
