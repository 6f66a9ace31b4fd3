"""Access logs of before become verifiable: every event a leaf, signed once when the migration has run."""

from __future__ import annotations

import tarfile
from pathlib import Path

import apsw
import pytest

from audit_samples import MAY, YEAR_2026, StillClock, event
from auditlab import HOST, AuditLab, hub_events
from lightship.core.audit import AuditQuery
from lightship.core.log.receipt import KeptReceipt
from lightship.core.time import Micros
from lightship.storage.migrate import Kind, load, migrate
from lightship.storage.sqlite import access_tree
from lightship.storage.sqlite.access_log import audit_files, open_access_log

ARCHIVES = sorted((Path(__file__).parents[2] / "releases").glob("hub-*.tar.xz"))


def old_log(lab: AuditLab, count: int) -> None:
    """Write a file of the schema before this one."""
    lab.data.mkdir(parents=True)
    migrate(lab.file, Kind.AUDIT, Micros(MAY), load(Kind.AUDIT)[:2])
    new = AuditLab(lab.folder / "new")
    new.record(hub_events(count))
    db = apsw.Connection(str(lab.file))
    db.execute("ATTACH ? AS new", (str(new.file),))
    names = "seq, agr, idx, at, who, cred, col, act, outcome, effect, req, leaf, q_salt, q, ip_salt, ip"
    db.execute(f"INSERT INTO event SELECT {names} FROM new.event; INSERT INTO word SELECT * FROM new.word")
    db.execute(
        "INSERT INTO scope SELECT agr, size FROM new.head; INSERT INTO search SELECT * FROM new.search"
    )
    db.execute("UPDATE filled SET seq = (SELECT seq FROM new.filled)")
    db.close()


@pytest.mark.parametrize("count", [1, 255, 256, 700])
def test_events_of_before_are_leaves(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_tree, "_BATCH", 100)
    lab = AuditLab(tmp_path)
    old_log(lab, count)
    migrate(lab.file, Kind.AUDIT, Micros(MAY), sealer=lab.sealer)
    (given,) = lab.record(hub_events(1, count))
    report = lab.verify(receipts=[KeptReceipt("after", given)])
    assert report.ok, report.findings.listed
    assert report.entries == count + 1
    assert lab.fsck() == []


def test_what_was_signed_at_the_migration_is_not_signed_again(tmp_path: Path) -> None:
    """Else forging events and taking the signatures away would have them signed at the next start."""
    lab = AuditLab(tmp_path)
    old_log(lab, 40)
    migrate(lab.file, Kind.AUDIT, Micros(MAY), sealer=lab.sealer)
    lab.record(hub_events(1, 40))
    changed = "CAST(replace(CAST(leaf AS TEXT), 'uslax', 'uslay') AS BLOB)"
    lab.edit(lambda db: db.execute(f"UPDATE event SET leaf = {changed} WHERE idx = 17"), rebuild=True)
    lab.edit(lambda db: db.execute("DELETE FROM checkpoint; UPDATE head SET origin = ''"))
    lab.record(hub_events(1, 41))
    assert "entry 0: it is covered by no signature" in lab.verify().verdict


def test_a_start_migrates_but_signs_nothing_of_before(tmp_path: Path) -> None:
    """Else a file that was taken back to the older schema would have all that is in it signed."""
    lab = AuditLab(tmp_path)
    old_log(lab, 40)
    lab.record(hub_events(1, 40))
    assert "entry 0: it is covered by no signature" in lab.verify().verdict
    assert lab.verify().entries == 41


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
def test_the_log_of_every_release_verifies_and_goes_on(archive: Path, tmp_path: Path) -> None:
    lab = AuditLab(tmp_path)
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    for _, path in audit_files(lab.data):
        migrate(path, Kind.AUDIT, Micros(MAY), sealer=lab.sealer)
    log = open_access_log(lab.data, StillClock(YEAR_2026), sealer=lab.sealer)
    before = list(log.search(AuditQuery(limit=10_000)))
    (newest, _) = audit_files(lab.data)[-1]
    sealed = log.record(event(1, agr="hub", at=before[-1].at)).result(30)
    assert sealed is not None
    log.close()
    assert newest >= 2026
    if "audit-0003" in archive.name:
        return  # signed with a key that nobody kept
    assert sealed.group.first == sum(one.agr == "hub" for one in before) or newest > 2026
    report = lab.verify()
    assert report.ok, report.findings.listed
    assert report.logs[-1].origin.startswith(f"{HOST}/audit/hub/")
