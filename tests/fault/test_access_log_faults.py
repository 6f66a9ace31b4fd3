"""The access log under kill -9, two writing processes, a full disk and a file that cannot be opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from audit_samples import YEAR_2026, StillClock, event
from fsckhub import AUDIT
from lightship.core.audit import AuditQuery
from lightship.core.errors import Unavailable
from lightship.core.log.receipt import parse_receipt, verify_receipt
from lightship.core.time import Micros
from lightship.crypto.sign import new_signing_key, verify
from lightship.storage.fsck_audit import check_events
from lightship.storage.fsck_log import HubKey
from lightship.storage.fsck_scratch import Scratch
from lightship.storage.sqlite.access_log import open_access_log
from lightship.storage.sqlite.connection import open_database

TESTS = Path(__file__).parents[1]
ROUNDS = 8
BIG_LIMIT = 1_000_000

RECORD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from audit_samples import StillClock, event
from lightship.storage.sqlite import access_writer
from lightship.crypto.sign import read_signing_key
from lightship.storage.sqlite.access_log import open_access_log
from lightship.storage.sqlite.access_tree import Sealer
access_writer.TAIL = 29  # so that the table that is searched is filled again and again
key = read_signing_key(Path(sys.argv[5]).read_bytes())
sealer = Sealer("hub.example", key.public, key.sign)
log = open_access_log(Path(sys.argv[1]), StillClock(), sealer=sealer)
number, last = int(sys.argv[2]), int(sys.argv[4])
while number < last:
    group = range(number, min(number + 20, last))
    for one, done in [(one, log.record(event(one, act="publish"))) for one in group]:
        sealed = done.result(30)  # None for an event that was recorded before
        print(one, sealed.header().decode() if sealed else "-", flush=True)
    number += 20
log.close()
"""

FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from audit_samples import StillClock, event
from lightship.core.errors import Unavailable
from lightship.storage.sqlite.access_log import open_access_log
data_dir = Path(sys.argv[1])
log = open_access_log(data_dir, StillClock())
log.record(event(0)).result(30)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
size = (data_dir / "audit-2026.db-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, hard))
refused = 0
for number in range(1, 200):
    try:
        log.record(event(number)).result(30)
        print("kept", number)
    except Unavailable as error:
        print("refused", number, flush=True)
        refused += 1
        if refused == 5:
            break
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
log.record(event(500)).result(30)
print("kept", 500)
log.close()
"""


def start(data_dir: Path, first: int, last: int = BIG_LIMIT) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RECORD, str(data_dir), str(first), str(TESTS), str(last)]
    command.append(str(data_dir / "hub.key"))
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def recorded(data_dir: Path, key: HubKey | None = None) -> set[str]:
    """Return the requests of all events, after checking that file and tree hold together."""
    scratch = Scratch()
    db = open_database(data_dir / AUDIT, readonly=True)
    assert [row[0] for row in db.execute("PRAGMA integrity_check")] == ["ok"]
    for _ in check_events(db, data_dir / AUDIT, 2026, scratch, key):
        pass
    assert scratch.report() == ()
    db.close()
    scratch.close()
    log = open_access_log(data_dir, StillClock())
    found = [one.req for one in log.search(AuditQuery(limit=BIG_LIMIT))]
    log.close()
    assert len(found) == len(set(found))
    return set(found)


def make_key(data_dir: Path) -> HubKey:
    """Make the key that the processes sign with."""
    key = new_signing_key()
    (data_dir / "hub.key").write_bytes(key.pem())
    return HubKey(key.public, verify)


def check_receipts(data_dir: Path, key: HubKey, values: list[str]) -> None:
    """Check that what each receipt was given for is in the log, at its place."""
    db = open_database(data_dir / AUDIT, readonly=True)
    for value in values:
        receipt = parse_receipt(value)
        assert verify_receipt(receipt, "hub.example/audit/san-pedro-bay/2026", key.public, key.verify)
        assert db.execute("SELECT hash FROM event WHERE idx = ?", (receipt.index,)).get == receipt.leaf
    db.close()


def test_after_kill_9_every_acknowledged_event_is_there(tmp_path: Path) -> None:
    """And every receipt that was given out holds: nothing was signed above what is committed."""
    key = make_key(tmp_path)
    acknowledged: list[int] = []
    receipts: list[str] = []
    for turn in range(ROUNDS):
        with start(tmp_path, turn * 10_000) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(5 + 37 * turn)]
            process.kill()
            lines += process.stdout.readlines()
        said = [line.rstrip().partition(" ") for line in lines if line.endswith("\n")]
        acknowledged += [int(number) for number, _, _ in said]
        receipts += [receipt for _, _, receipt in said]
        assert process.returncode == -9
        assert {event(number).req for number in acknowledged} <= recorded(tmp_path, key)
        check_receipts(tmp_path, key, receipts)


def test_two_processes_record_at_once_without_gap_or_loss(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    with start(tmp_path, 0, 600) as one, start(tmp_path, 400, 1000) as two:
        said = [process.communicate(timeout=60)[0].splitlines() for process in (one, two)]
    assert [len(lines) for lines in said] == [600, 600]
    assert recorded(tmp_path, key) == {event(number).req for number in range(1000)}
    given = [line.partition(" ")[2] for lines in said for line in lines]
    check_receipts(tmp_path, key, [one for one in given if one != "-"])


def test_a_full_disk_is_unavailable_and_the_log_goes_on_when_there_is_room(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), str(TESTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said = [line.split() for line in done.stdout.splitlines()]
    kept = {int(number) for verdict, number in said if verdict == "kept"} | {0}
    assert sum(verdict == "refused" for verdict, _ in said) == 5
    assert 500 in kept
    assert recorded(tmp_path) == {event(number).req for number in kept}


def test_a_file_that_cannot_be_opened_is_unavailable_until_it_can(tmp_path: Path) -> None:
    log = open_access_log(tmp_path, StillClock(YEAR_2026 - 1))
    (tmp_path / AUDIT).mkdir()
    new = event(1)
    for _ in range(2):
        with pytest.raises(Unavailable):
            log.record(new).result(30)
    old = event(2, at=Micros(YEAR_2026 - 5))
    log.record(old).result(30)
    (tmp_path / AUDIT).rmdir()
    log.record(new).result(30)
    assert list(log.search(AuditQuery())) == [old, new]
    log.close()


def test_a_file_of_somebody_else_is_unavailable_and_left_alone(tmp_path: Path) -> None:
    log = open_access_log(tmp_path, StillClock(YEAR_2026 - 1))
    (tmp_path / AUDIT).write_text("not a database, but precious\n" * 100)
    with pytest.raises(Unavailable, match="access log cannot be written"):
        log.record(event(1)).result(30)
    log.close()
    assert (tmp_path / AUDIT).read_text() == "not a database, but precious\n" * 100


def test_after_closing_events_are_refused_not_lost_in_silence(tmp_path: Path) -> None:
    log = open_access_log(tmp_path, StillClock())
    done = [log.record(event(number)) for number in range(500)]
    log.close()
    assert all(one.done() and one.exception() is None for one in done)
    with pytest.raises(Unavailable):
        log.record(event(501)).result(30)
