"""`lightship verify` on what somebody else made: every byte counts, no file holds it up or fills memory."""

from __future__ import annotations

import os
import random
import re
import shutil
import tracemalloc
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlab import AuditLab, hub_events
from lightship.cli import exits
from lightship.cli.main import execute
from lightship.client.auditing import verify_export
from lightship.core.agreement.chain import key_text
from lightship.core.log.notes import parse_checkpoint, parse_note

PROVES_NOTHING = {
    "export.json": "when it was made, by which version, and white space; what it is of is compared",
    "keys": "white space around the key; the key itself is pinned",
}
"""File -> which of its bytes may change without being noticed. All others must be."""


@pytest.fixture(name="lab", scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> AuditLab:
    lab = AuditLab(tmp_path_factory.mktemp("lab"))
    lab.record(hub_events(5), together=2)
    return lab


@pytest.fixture(name="export", scope="module")
def _export(lab: AuditLab) -> Path:
    out = lab.export()
    assert lab.verify(out).ok
    return out


def files(export: Path) -> list[str]:
    return sorted(str(path.relative_to(export)) for path in export.rglob("*") if path.is_file())


def test_every_byte_of_an_export(lab: AuditLab, export: Path) -> None:
    """One bit of each byte of each file: the verdict is not OK, or the byte proves nothing."""
    chance, unseen = random.Random(5), dict[str, bytes]()
    for name in files(export):
        path = export / name
        right = path.read_bytes()
        quiet = bytearray()
        for at, byte in enumerate(right):
            path.write_bytes(right[:at] + bytes([byte ^ 1 << chance.randrange(8)]) + right[at + 1 :])
            if verify_export(export, pins=[lab.key.keyid]).ok:
                quiet.append(byte)
        path.write_bytes(right)
        if quiet:
            unseen[name] = bytes(quiet)
    assert set(unseen) <= set(PROVES_NOTHING), unseen
    assert not set(unseen.get("keys", b"")) - set(b"\n")
    about = (export / "export.json").read_bytes()
    made = about[about.index(b'"lightship"') :]
    assert len(unseen["export.json"]) < len(made) - len(b'"lightship""made""member""v""years"')
    assert lab.verify(export).ok


def twice(text: bytes, name: bytes, value: bytes) -> bytes:
    """Return a JSON object with one more member of a name, before the one that most readers take."""
    assert b'"%b":' % name in text
    return text.replace(b"{", b'{"%b":%b,' % (name, value), 1)


SPELT: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "the agreement's name twice": ("export.json", lambda text: twice(text, b"agreement", b'"other"')),
    "a version that is no whole number": ("export.json", lambda text: text.replace(b'"v":1', b'"v":1.0')),
    "a version that is a truth value": ("export.json", lambda text: text.replace(b'"v":1', b'"v":true')),
    "a checkpoint twice": ("checkpoints.ndjson", lambda text: twice(text, b"note", b'"x"')),
    "a seal's place": ("seals", lambda text: b"0" + text),
    "where it starts twice": ("start.json", lambda text: twice(text, b"size", b"0")),
    "peaks in capital letters": ("start.json", lambda text: re.sub(rb"[0-9a-f]{64}", _upper, text)),
    "an index twice": ("part.ndjson", lambda text: twice(text, b"index", b"9")),
    "a space in a hash": ("part.ndjson", lambda text: text.replace(b'"path":["', b'"path":[" ', 1)),
    "a space in a salt": ("part.ndjson", lambda text: text.replace(b'"ip":["', b'"ip":[" ', 1)),
}
"""What two programs may read in two ways -> file, and how it is changed."""


def _upper(found: re.Match[bytes]) -> bytes:
    return found[0].upper()


@pytest.mark.parametrize("what", SPELT)
def test_what_two_programs_may_read_in_two_ways(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightship.storage.sqlite.access_writer.CHECKPOINT_EVERY", 4)
    monkeypatch.setattr("lightship.storage.sqlite.access_writer.TAIL", 2)
    lab = AuditLab(tmp_path)
    name, change = SPELT[what]
    lab.record(hub_events(7), together=1)
    (older,) = lab.export().glob("*/checkpoint")
    note = older.read_bytes()
    lab.record(hub_events(6, 7), together=1)
    point = parse_checkpoint(parse_note(note).text)
    since = {point.origin: point} if name == "start.json" else None
    export = lab.export(since=since, member="uslax" if name == "part.ndjson" else "")
    kept = [("kept", note)] if since else []
    assert lab.verify(export, since=kept).ok
    (path,) = export.rglob(name)
    wrong = change(path.read_bytes())
    assert wrong != path.read_bytes()
    path.write_bytes(wrong)
    report = lab.verify(export, since=kept)
    assert not report.ok
    assert name in report.findings.listed[0].where


@pytest.mark.parametrize("name", ["2026", "agreement"])
def test_a_folder_that_is_a_link_is_a_finding(lab: AuditLab, export: Path, tmp_path: Path, name: str) -> None:
    """What it leads to may be another thing tomorrow."""
    shutil.copytree(export, tmp_path / "export")
    (tmp_path / "export" / name).rename(tmp_path / "elsewhere")
    (tmp_path / "export" / name).symlink_to(tmp_path / "elsewhere")
    assert lab.verify(tmp_path / "export").verdict == f"FAILED: {name}: it is a link"


def test_a_part_of_a_member_byte_by_byte(tmp_path: Path) -> None:
    lab = AuditLab(tmp_path)
    lab.record(hub_events(3))
    export = lab.export(member="uslax")
    (part,) = export.glob("*/part.ndjson")
    right = part.read_bytes()
    assert right
    assert lab.verify(export).ok
    for at, byte in enumerate(right):
        part.write_bytes(right[:at] + bytes([byte ^ 1]) + right[at + 1 :])
        assert not lab.verify(export).ok, right[max(at - 20, 0) : at + 20]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_change_of_an_export_is_a_finding_or_changes_nothing(
    data: st.DataObject, lab: AuditLab, export: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes put in, taken out, lines doubled and swapped, files missing: never anything but a report."""
    copy = tmp_path_factory.mktemp("copy") / "export"
    shutil.copytree(export, copy)
    name = data.draw(st.sampled_from(files(copy)))
    path = copy / name
    right = path.read_bytes()
    at = data.draw(st.integers(0, len(right)))
    lines = right.splitlines(keepends=True)
    wrong = data.draw(
        st.one_of(
            st.binary(max_size=40).map(lambda more: right[:at] + more + right[at:]),
            st.integers(1, 200).map(lambda count: right[:at] + right[at + count :]),
            st.just(b"".join([*lines, *lines])),
            st.permutations(lines).map(b"".join),
            st.binary(max_size=60),
        )
    )
    path.write_bytes(wrong)
    if data.draw(st.booleans()):
        path.unlink()
        wrong = b""
    report = verify_export(copy, pins=[lab.key.keyid])
    assert report.verdict
    assert not report.ok or wrong == right or name in PROVES_NOTHING
    shutil.rmtree(copy.parent)


def test_seals_are_read_as_a_stream(lab: AuditLab, export: Path, tmp_path: Path) -> None:
    """200,000 seals that no entry asks for: each is counted, none is kept."""
    copy = tmp_path / "export"
    shutil.copytree(export, copy)
    (seals,) = copy.glob("*/seals")
    junk = b64encode(bytes(64)).decode()
    with seals.open("a", encoding="ascii") as file:
        for index in range(1000, 201_000):
            file.write(f"{index} 1 {junk}\n")
    tracemalloc.start()
    report = verify_export(copy, pins=[lab.key.keyid])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.findings.count == 200_000
    assert len(report.findings.listed) == 100
    assert peak < 8_000_000


def own_files(folder: Path) -> dict[str, Path]:
    """Make what a caller may name by mistake, or somebody else by intent."""
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "folder").mkdir()
    with (folder / "sparse").open("wb") as file:
        file.truncate(10 * 1024**3)
    names = {name: folder / name for name in ("pipe", "loop", "folder", "sparse")}
    return names | {"zero": Path("/dev/zero"), "nothing": folder / "nothing"}


@pytest.mark.parametrize("option", ["--root", "--since", "--receipts"])
@pytest.mark.parametrize("what", ["pipe", "loop", "folder", "sparse", "zero", "nothing"])
def test_what_the_caller_names_is_bounded(
    lab: AuditLab,
    export: Path,
    tmp_path: Path,
    option: str,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("lightship.client.audit_files.PATIENCE_S", 0.2)
    monkeypatch.setattr("lightship.client.audit_files.MAX_RECEIPTS", 1 << 20)
    keys = tmp_path / "keys"
    keys.write_text(key_text(lab.key.public))
    path = own_files(tmp_path)[what]
    words = [] if option == "--root" else ["--root", str(keys)]
    tracemalloc.start()
    code = execute(["verify", str(export), *words, option, str(path)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert code in {exits.USAGE, exits.FAILED}
    assert peak < 32_000_000
    said = capsys.readouterr()
    assert said.err or said.out
    assert "Traceback" not in said.err


@pytest.mark.parametrize("what", ["pipe", "loop", "folder", "sparse", "zero"])
@pytest.mark.parametrize("name", ["export.json", "keys", "checkpoint", "entries.ndjson", "hashes", "seals"])
def test_every_file_of_an_export_is_bounded(
    lab: AuditLab, export: Path, tmp_path: Path, name: str, what: str
) -> None:
    copy = tmp_path / "export"
    shutil.copytree(export, copy)
    (path,) = copy.rglob(name)
    path.unlink()
    path.symlink_to(own_files(tmp_path)[what])
    assert not verify_export(copy, pins=[lab.key.keyid]).ok
    path.unlink()
    if what in {"pipe", "sparse"}:
        (tmp_path / what).rename(path)
        tracemalloc.start()
        assert not verify_export(copy, pins=[lab.key.keyid]).ok
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8_000_000


def test_a_pipe_with_something_in_it_is_read(lab: AuditLab, export: Path, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, key_text(lab.key.public).encode())
    os.close(write)
    assert execute(["verify", str(export), "--root", f"/dev/fd/{read}"]) == exits.OK
    os.close(read)
