"""Exports as an auditor gets them: whole, from a checkpoint on, of one member, over years.

What is no export is refused by file and line, without a traceback and never with an OK.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from audit_samples import MAY, YEAR_2026, event
from auditlab import ORIGIN, AuditLab, hub_events
from lightship.client.audit_files import read_pins, read_receipts
from lightship.client.auditing import verify_export
from lightship.core.audit import AccessEvent
from lightship.core.errors import LightshipError, MalformedRequest
from lightship.core.log.audit import LATE
from lightship.core.log.receipt import KeptReceipt, Receipt
from lightship.core.time import Micros


@pytest.fixture
def lab(tmp_path: Path) -> AuditLab:
    made = AuditLab(tmp_path)
    made.record(hub_events(30))
    return made


def test_a_whole_log_is_ok_and_its_receipts_hold(lab: AuditLab) -> None:
    given = lab.record(hub_events(3, 30))
    report = lab.verify(receipts=[KeptReceipt(f"receipt {one.index}", one) for one in given])
    assert report.ok
    assert report.verdict == "OK: 33 entries of hub, 2026, authority: the hub's own key, 3 receipts found"
    (log,) = report.logs
    assert (log.origin, log.size, log.begin, log.late) == (ORIGIN, 33, 0, 0)


def test_an_export_goes_on_from_a_checkpoint_that_was_kept(lab: AuditLab) -> None:
    kept = (lab.export() / "2026" / "checkpoint").read_bytes()
    lab.record(hub_events(10, 30))
    report = lab.verify(since=[("kept", kept)])
    assert report.ok
    assert report.entries == 40
    from lightship.core.log.notes import parse_checkpoint, parse_note

    point = parse_checkpoint(parse_note(kept).text)
    part = lab.export(since={point.origin: point})
    report = lab.verify(part, since=[("kept", kept)])
    assert report.ok
    assert (report.entries, report.logs[0].begin) == (10, 30)
    assert "give the checkpoint you kept" in lab.verify(part).verdict
    other = AuditLab(lab.folder / "other", key=lab.key)
    other.record(hub_events(30, 50))
    forged = (other.export() / "2026" / "checkpoint").read_bytes()
    assert "are not those" in lab.verify(part, since=[("kept", forged)]).verdict


def test_a_members_part_shows_its_entries_and_what_it_asked_for(lab: AuditLab) -> None:
    lab.record(hub_events(5, 30, who="uslgb", q="limit=5"))
    out = lab.export(member="uslgb")
    report = lab.verify(out)
    assert report.ok
    assert report.verdict.startswith("OK: 5 entries of uslgb in the log of hub, 2026")
    assert report.verdict.endswith("whether these are all is not shown by a part")
    text = (out / "2026" / "part.ndjson").read_text()
    assert '["' in text
    assert "limit=5" in text
    assert not (out / "2026" / "entries.ndjson").exists()
    (out / "2026" / "part.ndjson").write_text(text.replace("limit=5", "limit=6", 1))
    assert "line 1 (entry 30): `q` is not what its digest in the entry says" in lab.verify(out).verdict
    (out / "2026" / "part.ndjson").write_text(text.replace('"index":30', '"index":29', 1))
    assert "its proof does not lead to the checkpoint" in lab.verify(out).verdict


def test_a_whole_export_tells_nobody_what_was_asked_for_or_from_where(lab: AuditLab) -> None:
    out = lab.export()
    kept = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    one = event(0)
    assert one.q.encode() not in kept
    assert one.ip.encode() not in kept
    assert b"uslax" in kept


def test_a_new_year_goes_on_from_the_checkpoint_of_the_old_one(lab: AuditLab) -> None:
    year = 365 * 86_400_000_000
    new: list[AccessEvent] = [event(900, agr="hub", at=Micros(YEAR_2026 + year + 5))]
    lab.record(new)
    out = lab.export()
    first = json.loads((out / "2027" / "entries.ndjson").read_bytes().splitlines()[0])
    assert (first["act"], first["n"], first["why"].split("\n")[0]) == ("log-continued", 30, ORIGIN)
    assert lab.verify(out).ok
    lab.record(hub_events(2, 30))  # something of before a crash still reaches the old year's log
    assert lab.verify().ok
    lab.edit(lambda db: db.execute("DELETE FROM event WHERE idx > 20"), rebuild=True)
    said = [one.what for one in lab.verify().findings.listed]
    assert any("the checkpoint in the log of 2027" in one for one in said)


def test_late_entries_are_announced_and_counted(lab: AuditLab) -> None:
    lab.record([event(100, agr="hub", at=Micros(MAY - 3 * LATE), act="publish"), *hub_events(1, 40)])
    report = lab.verify()
    assert report.ok
    assert report.logs[0].late == 1
    assert "1 recorded late" in report.verdict
    assert report.entries == 33


BENT = [
    ("export.json", b"{", "export.json: it is not JSON"),
    ("export.json", b"[]", "export.json: it is no JSON object"),
    ("export.json", b'{"v":2}', "export.json: `v` is not 1"),
    ("export.json", b'{"v":1}', "export.json: it needs agreement"),
    (
        "export.json",
        b'{"agreement":"hub","lightship":"","made":"","member":"","v":1,"years":[2025]}',
        "`years` is [2025], but there are folders of [2026]",
    ),
    (
        "export.json",
        b'{"agreement":"other","lightship":"","made":"","member":"","v":1,"years":[2026]}',
        "agreement: its signed versions must be 1.json",
    ),
    ("keys", b"", "keys: it is not `ed25519:`"),
    ("keys", b"ed25519:AAAA", "keys: it is not `ed25519:`"),
    ("2026/checkpoint", b"", "2026/checkpoint: The note cannot be read"),
    ("2026/checkpoint", b"x" * 70_000, "2026/checkpoint: it has more than 65536 bytes"),
    ("2026/entries.ndjson", b"{}\n", "entry 0: it was altered"),
    ("2026/entries.ndjson", b"{}", "2026/entries.ndjson, line 1: it does not end"),
    ("2026/entries.ndjson", b"x" * 600_000, "2026/entries.ndjson, line 1: it is too long"),
    ("2026/entries.ndjson", b"", "2026/hashes: it has more hashes"),
    ("2026/hashes", b"\0" * 33, "2026/hashes: it ends before entry 1"),
    ("2026/seals", b"0\n", "2026/seals, line 1: it is not index, size and signature"),
    ("2026/seals", b"0 7 AAAA\n", "2026/seals, line 1: its size"),
    ("2026/seals", b"0 \xd9\xa3 AAAA\n", "2026/seals, line 1: it is not"),
    ("2026/seals", b"", "entry 0: it is covered by no signature"),
    ("2026/checkpoints.ndjson", b"7\n", "2026/checkpoints.ndjson, line 1: it is no JSON object"),
    ("2026/checkpoints.ndjson", b'{"note":7,"size":1}\n', "line 1: it needs note (text)"),
    ("2026/checkpoints.ndjson", b'{"note":"","size":1}\n', "line 1: The note cannot be read"),
    ("2026/start.json", b'{"size":1,"peaks":[]}', "2026/start.json: a tree of 1 has not 0 peaks"),
    ("2026/start.json", b'{"size":true,"peaks":[]}', "2026/start.json: it needs size and peaks only"),
    ("agreement/1.json", b"{}", "agreement/1.json: the hub's own log has no agreement"),
]


@pytest.mark.parametrize(("name", "data", "said"), BENT, ids=lambda one: str(one)[:40])
def test_a_file_that_is_not_as_it_must_be_is_named(lab: AuditLab, name: str, data: bytes, said: str) -> None:
    out = lab.export()
    (out / name).write_bytes(data)
    report = lab.verify(out)
    assert not report.ok
    assert any(said in f"{one.where}: {one.what}" for one in report.findings.listed), report.findings.listed


@pytest.mark.parametrize(
    "name",
    ["export.json", "keys", *(f"2026/{one}" for one in ("checkpoint", "entries.ndjson", "hashes", "seals"))],
)
def test_a_missing_file_is_named(lab: AuditLab, name: str) -> None:
    out = lab.export()
    (out / name).unlink()
    report = lab.verify(out)
    assert not report.ok
    assert report.findings.listed[0].where.startswith(name)
    assert "No such file" in report.findings.listed[0].what


def test_a_part_that_is_not_as_it_must_be_is_named_by_line(lab: AuditLab) -> None:
    out = lab.export(member="uslax")
    path = out / "2026" / "part.ndjson"
    good = path.read_text().splitlines()
    for bent, said in (
        ("{", "it is not JSON"),
        ('{"index":1}', "it needs index, leaf"),
        (good[1].replace('"index":1', '"index":"1"'), "`index` must be"),
        (good[1].replace('"path":["', '"path":["z'), "`path` is no list"),
        (good[1].replace('"values":{"q":["', '"values":{"q":["z'), "`values` must give"),
        (good[1].replace('\\"who\\":\\"uslax\\"', '\\"who\\":\\"uslgb\\"'), "it is an entry of `uslgb`"),
        (good[0], "its index does not rise"),
    ):
        path.write_text("\n".join([good[0], bent, *good[2:], ""]))
        report = lab.verify(out)
        assert not report.ok
        assert any(
            one.where.startswith("2026/part.ndjson, line 2") and said in one.what
            for one in report.findings.listed
        ), (bent, report.findings.listed)


def test_no_byte_changed_anywhere_is_passed_over_and_none_makes_it_fail(lab: AuditLab) -> None:
    """Random bytes of every file that proves something; seeded, so that a failure comes again."""
    chance = random.Random(9)
    lab.record(hub_events(1100, 30), together=100)
    good = lab.export()
    names = ["keys", *(f"2026/{name}" for name in ("checkpoint", "entries.ndjson", "hashes", "seals"))]
    names.append("2026/checkpoints.ndjson")
    for turn in range(120):
        out = lab.folder / "bent"
        shutil.copytree(good, out)
        path = out / names[turn % len(names)]
        data = bytearray(path.read_bytes())
        at = chance.randrange(len(data))
        data[at] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        report = lab.verify(out)
        assert not report.ok, (path.name, at)
        assert report.findings.count or not report.pinned
        shutil.rmtree(out)


def test_a_file_cut_off_anywhere_is_found(lab: AuditLab) -> None:
    good = lab.export()
    for name in ("export.json", "2026/checkpoint", "2026/entries.ndjson", "2026/hashes", "2026/seals"):
        for share in (0.0, 0.3, 0.7, 0.99):
            out = lab.folder / "bent"
            shutil.copytree(good, out)
            data = (out / name).read_bytes()
            (out / name).write_bytes(data[: int(len(data) * share)])
            assert not lab.verify(out).ok, (name, share)
            shutil.rmtree(out)


def test_keys_and_receipts_are_read_by_line(tmp_path: Path, lab: AuditLab) -> None:
    assert read_pins(f"# the hub\n{lab.key.keyid}  # told by telephone\n\n") == (lab.key.keyid,)
    for text, said in (("", "no key"), ("# nothing", "no key"), (f"{lab.key.keyid}\nx", "Line 2")):
        with pytest.raises(MalformedRequest, match=said):
            read_pins(text)
    (given,) = lab.record(hub_events(1, 30))
    value = given.header().decode()
    folder = tmp_path / "receipts"
    folder.mkdir()
    (folder / "a").write_text(f"{value}\n\naudit-receipt: {value}\n")
    (folder / "b").write_text(json.dumps({"receipt": value, "url": "x"}) + "\n")
    found = read_receipts(folder)
    assert found == [KeptReceipt(where, given) for where in ("a, line 1", "a, line 3", "b, line 1")]
    assert lab.verify(receipts=found).ok
    (folder / "b").write_text("v1 x\n")
    with pytest.raises(MalformedRequest, match="b, line 1 holds no receipt"):
        read_receipts(folder)
    with pytest.raises(MalformedRequest, match="no receipt in"):
        read_receipts(_empty(tmp_path / "none"))


def test_receipts_are_the_callers_own_and_may_be_a_link(lab: AuditLab, tmp_path: Path) -> None:
    (given,) = lab.record(hub_events(1, 90))
    (tmp_path / "kept").write_bytes(given.header() + b"\n")
    (tmp_path / "link").symlink_to("kept")
    assert read_receipts(tmp_path / "link") == [KeptReceipt("link, line 1", given)]
    with pytest.raises(MalformedRequest, match="nowhere cannot be read"):
        read_receipts(tmp_path / "nowhere")


def test_the_receipt_of_somebody_elses_access_is_not_taken_for_ones_own(
    lab: AuditLab, tmp_path: Path
) -> None:
    """A hub that logs nothing of an access can still give a genuine receipt: that of another one."""
    mine, other = hub_events(1, 90)[0], hub_events(1, 91, who="uslgb")[0]
    own, theirs = lab.record([mine, other])
    kept = tmp_path / "kept"

    def line(receipt: Receipt, **more: object) -> bytes:
        return json.dumps({"receipt": receipt.header().decode(), **more}).encode() + b"\n"

    kept.write_bytes(line(own, request=mine.req) + line(theirs, request=""))
    assert lab.verify(receipts=read_receipts(kept)).ok  # without an id there is nothing to compare
    kept.write_bytes(line(own, request=mine.req) + line(theirs, request=mine.req))
    report = lab.verify(receipts=read_receipts(kept))
    (found,) = report.findings.listed
    assert found.where == f"hub 2026, entry {theirs.index}"
    assert found.what == (
        f"it is the access of request '{other.req}', but kept, line 2 was given for '{mine.req}'"
    )
    assert report.verdict.startswith("FAILED: hub 2026")
    kept.write_bytes(line(own, request=7))
    with pytest.raises(MalformedRequest, match="kept, line 1 holds no receipt"):
        read_receipts(kept)


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_receipt_of_another_log_is_said_to_be_one(lab: AuditLab, tmp_path: Path) -> None:
    other = AuditLab(tmp_path / "other")
    (given,) = other.record(hub_events(1))
    report = lab.verify(receipts=[KeptReceipt("theirs", given)])
    assert report.verdict.startswith("FAILED: theirs: the receipt holds for none of these logs")


def test_an_export_never_replaces_a_folder_and_leaves_none_behind(lab: AuditLab) -> None:
    out = lab.export()
    lab.exports -= 1
    with pytest.raises(LightshipError, match="exists"):
        lab.export()
    shutil.rmtree(out)
    with pytest.raises(LightshipError, match="no access log of `hub` in 1999"):
        lab.export(years=[1999])
    assert [path.name for path in lab.folder.iterdir()] == ["data"]


def test_verifying_needs_no_hub(lab: AuditLab, tmp_path: Path) -> None:
    out = lab.export()
    shutil.move(out, tmp_path / "elsewhere")
    shutil.rmtree(lab.data)
    assert verify_export(tmp_path / "elsewhere", pins=[lab.key.keyid]).ok
