"""Attacks on the access log, one test each: what is done is found, and is not found without its mechanism."""

from __future__ import annotations

import os
import shutil
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apsw
import pytest

from audit_samples import MAY, StillClock, event
from auditlab import ORIGIN, AuditLab, hub_events
from lightship.client import auditing
from lightship.core.log import audit_check, receipt
from lightship.core.log.audit import LATE, TimeOrder
from lightship.core.log.merkle import leaf_hash, root_of
from lightship.core.log.notes import (
    Checkpoint,
    NoteKey,
    NoteSignature,
    format_note,
    parse_checkpoint,
    parse_note,
    sign_note,
)
from lightship.core.log.receipt import Sealed
from lightship.core.time import Micros
from lightship.crypto.sign import new_signing_key, verify
from lightship.storage.event_leaf import Salts, to_leaf
from lightship.storage.sqlite.access_log import open_access_log

COUNT = 40


@pytest.fixture
def lab(tmp_path: Path) -> AuditLab:
    made = AuditLab(tmp_path)
    made.record(hub_events(COUNT))
    return made


@dataclass(frozen=True)
class Attack:
    """What was done: what to verify it with, and what has to be said about it."""

    said: str
    given: dict[str, Any]
    out: Path | None = None


def entry_altered(lab: AuditLab) -> Attack:
    """One byte of one entry is changed in the database."""
    changed = "CAST(replace(CAST(leaf AS TEXT), 'uslax', 'uslay') AS BLOB)"
    lab.edit(lambda db: db.execute(f"UPDATE event SET leaf = {changed} WHERE idx = 17"))
    return Attack("entry 17: it was altered", {})


def entry_deleted(lab: AuditLab) -> Attack:
    """An entry is taken out, and everything that follows from it is made anew."""
    lab.edit(lambda db: db.execute("DELETE FROM event WHERE idx = 17"), rebuild=True)
    return Attack("not what the hub signed when it was recorded", {})


def entry_rewritten(lab: AuditLab) -> Attack:
    """An entry is replaced by another one, and everything that follows from it is made anew."""
    leaf = to_leaf(event(17, agr="hub", who="uslgb"), Salts(b"q" * 16, b"i" * 16))
    lab.edit(lambda db: db.execute("UPDATE event SET leaf = ? WHERE idx = 17", (leaf,)), rebuild=True)
    return Attack("entry 14: it is not what the hub signed when it was recorded, with the 6 after it", {})


def newest_forged(lab: AuditLab) -> Attack:
    """An entry is added behind the hub's back, and everything that follows from it is made anew."""

    def add(db: apsw.Connection) -> None:
        names = [row[1] for row in db.execute("PRAGMA table_info(event)")]
        wanted = ", ".join(f"{'NULL' if name in {'seq', 'seal'} else name}" for name in names)
        wanted = wanted.replace("idx", "idx + 1").replace("req", "randomblob(16)")
        db.execute(f"INSERT INTO event SELECT {wanted} FROM event WHERE idx = {COUNT - 1}")

    lab.edit(add, rebuild=True)
    return Attack(f"entry {COUNT}: it is covered by no signature", {})


def log_truncated(lab: AuditLab) -> Attack:
    """The operator cuts off the newest entries and signs what is left with the hub's key."""
    kept = lab.export() / "2026" / "checkpoint"
    lab.start_over(hub_events(COUNT - 5))
    return Attack("cut off or replaced", {"since": [("kept", kept.read_bytes())]})


def log_rolled_back(lab: AuditLab) -> Attack:
    """An old copy of the file is put in place, and the hub goes on from there."""
    copy = lab.folder / "copy"
    shutil.copytree(lab.data, copy)
    lab.record(hub_events(10, COUNT))
    kept = lab.export() / "2026" / "checkpoint"
    shutil.rmtree(lab.data)
    shutil.copytree(copy, lab.data)
    lab.record(hub_events(20, COUNT + 100))
    return Attack(
        "its first 50 entries are not those kept was signed over", {"since": [("kept", kept.read_bytes())]}
    )


def checkpoint_forged(lab: AuditLab) -> Attack:
    """A checkpoint over an altered log is signed with another key, under the name of the hub's."""
    out = lab.export()
    entries = (out / "2026" / "entries.ndjson").read_bytes().splitlines()[:-1]
    (out / "2026" / "entries.ndjson").write_bytes(b"\n".join([*entries, b""]))
    (out / "2026" / "hashes").write_bytes(b"".join(leaf_hash(one) for one in entries))
    seals = (out / "2026" / "seals").read_text().splitlines()
    first = int(seals[-1].split()[0])
    (out / "2026" / "seals").write_text(
        "\n".join([*seals[:-1], seals[-1].replace(f"{first} 5", f"{first} 4"), ""])
    )
    text = Checkpoint(ORIGIN, COUNT - 1, receipt_root(entries)).to_text()
    line = sign_note(text, NoteKey(ORIGIN, lab.key.public), new_signing_key().sign)
    (out / "2026" / "checkpoint").write_bytes(format_note(text, [line]))
    return Attack("2026/checkpoint: The signature does not hold", {}, out)


def receipt_root(entries: list[bytes]) -> bytes:
    return root_of([leaf_hash(one) for one in entries])


def entry_backdated(lab: AuditLab) -> Attack:
    """The operator writes an entry of long ago, with the hub's key, past what would announce it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lightship.storage.sqlite.access_writer.LATE", 1 << 60)
        lab.record([event(1000, agr="hub", at=Micros(MAY - 10 * LATE))])
    return Attack(f"entry {COUNT}: it is dated", {})


def access_never_logged(lab: AuditLab) -> Attack:
    """The hub answers and gives the receipt, but the operator writes a log without that access."""
    (given,) = lab.record(hub_events(1, COUNT, who="uslgb"))
    lab.start_over(hub_events(COUNT))
    return Attack(
        f"entry {COUNT}: it is missing: theirs was given for it",
        {"receipts": [receipt.KeptReceipt("theirs", given)]},
    )


def access_replaced(lab: AuditLab) -> Attack:
    """As above, with another access in its place."""
    (given,) = lab.record(hub_events(1, COUNT, who="uslgb"))
    lab.start_over(hub_events(COUNT + 1))
    return Attack(
        f"entry {COUNT}: it is not the access that theirs was given for",
        {"receipts": [receipt.KeptReceipt("theirs", given)]},
    )


def receipt_of_another_access(lab: AuditLab) -> Attack:
    """The operator logs nothing of an access and answers it with the genuine receipt of another member's."""
    (given,) = lab.record(hub_events(1, COUNT, who="uslgb"))
    kept = receipt.KeptReceipt("mine", given, request=event(COUNT + 1).req)
    said = f"entry {COUNT}: it is the access of request '{event(COUNT).req}', but mine was given for"
    return Attack(said, {"receipts": [kept]})


def signature_type_confusion(lab: AuditLab) -> Attack:
    """The seal of a group of entries is passed off as the signature of a checkpoint."""
    lab.start_over(hub_events(3))
    out = lab.export()
    point = parse_checkpoint(parse_note((out / "2026" / "checkpoint").read_bytes()).text)
    _, _, seal = (out / "2026" / "seals").read_text().split()
    line = NoteSignature(ORIGIN, NoteKey(ORIGIN, lab.key.public).hash, b64decode(seal))
    (out / "2026" / "checkpoint").write_bytes(format_note(point.to_text(), [line]))
    return Attack("2026/checkpoint: The signature does not hold", {}, out)


def without_rehashing(patch: pytest.MonkeyPatch) -> None:
    """The hashes of the export are believed."""
    real = audit_check.LogCheck.take

    def take(self: audit_check.LogCheck, data: bytes, kept: bytes | None = None) -> None:
        patch.setattr(audit_check, "leaf_hash", lambda _: kept)
        real(self, data, kept)

    patch.setattr(audit_check.LogCheck, "take", take)


def without_seals(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(audit_check.LogCheck, "_seal", lambda self, index, digest: None)
    patch.setattr(auditing, "read_seals", lambda *given: {})


def without_order_of_times(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TimeOrder, "take", lambda self, leaf: "")


def without_signatures(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(auditing, "verify", lambda public, signature, message: True)


def without_context(patch: pytest.MonkeyPatch) -> None:
    """Groups are signed as checkpoints are."""

    def message(origin: str, first: int, size: int, root: bytes) -> bytes:
        return Checkpoint(origin, first + size, root).to_text().encode()

    patch.setattr(receipt, "group_message", message)
    patch.setattr(audit_check, "group_message", message)


def without_request_ids(patch: pytest.MonkeyPatch) -> None:
    """Nobody kept the ids of requests."""
    real = audit_check.LogCheck._compare_receipt
    patch.setattr(
        audit_check.LogCheck,
        "_compare_receipt",
        lambda self, index, kept, *more: real(self, index, replace(kept, request=""), *more),
    )


def without_what_was_kept(patch: pytest.MonkeyPatch) -> None:
    """Nobody kept an older checkpoint or a receipt."""
    real = auditing._Export.check
    patch.setattr(auditing._Export, "check", lambda self, since, receipts: real(self, (), ()))


ATTACKS = [
    (entry_altered, without_rehashing),
    (entry_deleted, without_seals),
    (entry_rewritten, without_seals),
    (newest_forged, without_seals),
    (log_truncated, without_what_was_kept),
    (log_rolled_back, without_what_was_kept),
    (checkpoint_forged, without_signatures),
    (entry_backdated, without_order_of_times),
    (access_never_logged, without_what_was_kept),
    (receipt_of_another_access, without_request_ids),
    (access_replaced, without_what_was_kept),
    (signature_type_confusion, without_context),
]


@pytest.mark.parametrize(("attack", "mechanism"), ATTACKS, ids=lambda one: one.__name__)
def test_the_attack_is_found(
    attack: Callable[[AuditLab], Attack], mechanism: Callable[[pytest.MonkeyPatch], None], lab: AuditLab
) -> None:
    assert lab.verify().ok
    done = attack(lab)
    report = lab.verify(done.out, **done.given)
    assert not report.ok
    assert report.verdict.startswith("FAILED: ")
    assert any(done.said in f"{one.where}: {one.what}" for one in report.findings.listed), (
        report.findings.listed
    )


@pytest.mark.parametrize(("attack", "mechanism"), ATTACKS, ids=lambda one: one.__name__)
def test_the_attack_is_not_found_with_its_mechanism_switched_off(
    attack: Callable[[AuditLab], Attack],
    mechanism: Callable[[pytest.MonkeyPatch], None],
    lab: AuditLab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mechanism(monkeypatch)
    monkeypatch.setattr("lightship.storage.sqlite.access_vouch.is_vouched", lambda *given: True)
    done = attack(lab)
    report = lab.verify(done.out, **done.given)
    assert report.ok, report.findings.listed


def test_another_hubs_log_is_not_taken_for_this_ones(lab: AuditLab, tmp_path: Path) -> None:
    other = AuditLab(tmp_path / "other")
    other.record(hub_events(COUNT))
    report = lab.verify(other.export())
    assert "none of those given with --root" in report.verdict
    unpinned = auditing.verify_export(other.export())
    assert not unpinned.ok
    assert unpinned.verdict.startswith("NOT PINNED: ")


def test_history_before_a_kept_checkpoint_cannot_be_rewritten_by_dropping_it(tmp_path: Path) -> None:
    lab = AuditLab(tmp_path)
    lab.record(hub_events(1100), together=50)
    assert lab.verify().ok
    leaf = to_leaf(event(17, agr="hub", who="uslgb"), Salts(b"q" * 16, b"i" * 16))
    lab.edit(lambda db: db.execute("UPDATE event SET leaf = ? WHERE idx = 17", (leaf,)), rebuild=True)
    assert "its first 1050 entries are not those" in lab.verify().verdict
    lab.edit(lambda db: db.execute("DELETE FROM checkpoint"))
    assert "entry 0: it is not what the hub signed" in lab.verify().verdict
    lab.edit(lambda db: db.execute("UPDATE event SET seal = NULL"))
    assert "entry 0: it is covered by no signature" in lab.verify().verdict


@pytest.mark.parametrize("watched", [True, False])
def test_the_hub_signs_no_checkpoint_over_what_was_written_behind_it(
    watched: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else waiting for the next checkpoint would turn a forged entry into one that the hub vouches for."""
    if not watched:
        monkeypatch.setattr("lightship.storage.sqlite.access_writer.is_vouched", lambda *given: True)
    lab = AuditLab(tmp_path)
    lab.record(hub_events(500), together=50)
    leaf = to_leaf(event(17, agr="hub", who="uslgb"), Salts(b"q" * 16, b"i" * 16))
    lab.edit(lambda db: db.execute("UPDATE event SET leaf = ? WHERE idx = 17", (leaf,)), rebuild=True)
    lab.record(hub_events(1000, 500), together=50)
    report = lab.verify()
    assert report.ok is not watched
    if watched:
        assert "entry 0: it is not what the hub signed when it was recorded" in report.verdict
        assert any("hub event 0: it is not what the hub signed" in one for one in lab.fsck())


def test_a_log_forged_without_the_key_is_not_clean_for_want_of_signatures(lab: AuditLab) -> None:
    leaf = to_leaf(event(17, agr="hub", who="uslgb"), Salts(b"q" * 16, b"i" * 16))
    lab.edit(
        lambda db: db.execute("UPDATE event SET leaf = ? WHERE idx = 17", (leaf,)),
        rebuild=True,
    )
    lab.edit(lambda db: db.execute("UPDATE event SET seal = NULL"))
    assert any("hub event 17: it is covered by no signature" in one for one in lab.fsck())


@pytest.mark.parametrize("watched", [True, False])
def test_a_checkpoint_of_an_export_cannot_be_put_among_those_that_the_hub_kept(
    watched: bool, lab: AuditLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else any export over forged entries, a member's part above all, would launder them for the next one."""
    if not watched:
        monkeypatch.setattr("lightship.storage.sqlite.access_vouch.is_vouched", lambda *given: True)
    leaf = to_leaf(event(17, agr="hub", who="uslgb"), Salts(b"q" * 16, b"i" * 16))
    lab.edit(lambda db: db.execute("UPDATE event SET leaf = ? WHERE idx = 17", (leaf,)), rebuild=True)
    part = lab.export(member="uslgb")
    note = (part / "2026/checkpoint").read_bytes()
    assert lab.verify(part).ok is not watched
    lab.edit(
        lambda db: db.execute(
            "INSERT INTO checkpoint SELECT id, ?, ? FROM word WHERE text = 'hub'", (COUNT, note)
        )
    )
    report = lab.verify()
    assert report.ok is not watched
    if watched:
        assert any(one.where == "2026/checkpoint" for one in report.findings.listed)


def test_nothing_in_an_export_is_passed_over(lab: AuditLab) -> None:
    out = lab.export()
    assert lab.verify(out).ok
    for name in ("notes.txt", "2026/part.ndjson", "2026 "):
        (out / name).write_text("?\n")
        report = lab.verify(out)
        assert [one.where for one in report.findings.listed] == [name]
        (out / name).unlink()
    seals = out / "2026/seals"
    kept = seals.read_text()
    first, *others = kept.splitlines(keepends=True)
    seals.write_text("".join([first, first.replace("0 ", "3 ", 1), *others]))
    assert "entry 3: a signature over a group is given for it" in lab.verify(out).verdict


@pytest.mark.parametrize(
    "name", ["export.json", "keys", "2026/checkpoint", "2026/entries.ndjson", "2026/hashes"]
)
def test_pipes_and_links_in_an_export_are_refused_and_never_waited_for(name: str, lab: AuditLab) -> None:
    out = lab.export()
    (out / name).rename(out.with_name("elsewhere"))
    (out / name).symlink_to(out.with_name("elsewhere"))
    assert lab.verify(out).verdict == f"FAILED: {name}: it is a link"
    (out / name).unlink()
    os.mkfifo(out / name)
    assert lab.verify(out).verdict == f"FAILED: {name}: it is no plain file"
    (out / name).unlink()
    assert f"FAILED: {name}: " in lab.verify(out).verdict


def test_the_first_entry_of_a_year_does_not_vouch_for_what_was_forged_in_the_year_before(
    tmp_path: Path,
) -> None:
    lab = AuditLab(tmp_path)
    lab.record(hub_events(COUNT))
    leaf = to_leaf(event(17, agr="hub", who="uslgb"), Salts(b"q" * 16, b"i" * 16))
    lab.edit(lambda db: db.execute("UPDATE event SET leaf = ? WHERE idx = 17", (leaf,)), rebuild=True)
    year = 366 * 86_400_000_000
    lab.record([event(99, agr="hub", at=Micros(MAY + year))], now=MAY + year)
    said = [f"{one.where}: {one.what}" for one in lab.verify().findings.listed]
    assert any("hub 2027, entry 0: the checkpoint in it is one of" in one for one in said), said


def test_two_processes_vouch_for_each_others_entries(tmp_path: Path) -> None:
    lab = AuditLab(tmp_path)
    for turn in range(12):  # each time another writer, which knows nothing of the groups before
        lab.record(hub_events(250, turn * 250), together=9)
    assert lab.verify().ok
    assert lab.fsck() == []
    kept = (lab.export() / "2026" / "checkpoints.ndjson").read_text().splitlines()
    assert len(kept) == 2


def test_a_request_that_a_neighbour_recorded_first_still_gets_its_receipt(tmp_path: Path) -> None:
    """A worker that starts records what is pending, also what another worker is about to answer."""
    lab = AuditLab(tmp_path)
    posted = [event(number, agr="hub", act="publish") for number in range(5)]
    lab.record(posted, together=1)
    receipts = lab.record([*posted[1:4], event(9, agr="hub", act="publish")])
    assert [one.index for one in receipts] == [1, 2, 3, 5]
    assert all(receipt.verify_receipt(one, ORIGIN, lab.key.public, verify) for one in receipts)
    report = lab.verify(receipts=[receipt.KeptReceipt(f"receipt {one.index}", one) for one in receipts])
    assert report.ok, report.verdict
    assert (report.entries, report.receipts) == (6, 4)


@pytest.mark.parametrize("watched", [True, False])
def test_a_forged_entry_for_a_request_of_the_forgers_own_gets_no_signature(
    watched: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who writes the file holds the hub up, puts in another entry for his post, and asks for its receipt."""
    lab = AuditLab(tmp_path)
    posted = [event(number, agr="hub", act="publish") for number in range(5)]
    lab.record(posted, together=1)
    leaf = to_leaf(replace(posted[4], who="uslgb"), Salts(b"q" * 16, b"i" * 16))
    change = "UPDATE event SET leaf = ?, q_salt = ?, ip_salt = ? WHERE idx = 4"
    lab.edit(lambda db: db.execute(change, (leaf, b"q" * 16, b"i" * 16)), rebuild=True)
    assert not lab.verify().ok
    if not watched:
        monkeypatch.setattr("lightship.storage.sqlite.access_writer.to_leaf", lambda *given: leaf)
    log = open_access_log(lab.data, StillClock(MAY), sealer=lab.sealer)
    (sealed,) = log.record_all(posted[4:]).result(60)
    log.close()
    assert isinstance(sealed, Sealed) is not watched
    if isinstance(sealed, Sealed):
        seal = (1).to_bytes(4, "big") + sealed.receipt().signature
        lab.edit(lambda db: db.execute("UPDATE event SET seal = ? WHERE idx = 4", (seal,)))
        assert lab.verify().ok
