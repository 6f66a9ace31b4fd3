"""What a dishonest hub can try against the machinery that reads a long log, rather than against its rules.

Answers without end or measure, hashes and bundles that change, interruptions, a state of half a look: all is
bounded and named, and nothing believed that was not proved. Windows are small here: a short log has several.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from lightship.client import bounded, connection, following, log_source, receiving, verifying
from lightship.client.bounded import BadPacking, TooMuch, TooSlow
from lightship.client.errors import NotTaxii
from lightship.client.kept_log import Kept, load
from lightship.client.verifying import pull_parts
from lightship.core.errors import LightshipError
from lightship.core.log import checkpoint_check, leaf, merkle, notes, tiles
from lightship.core.log.findings import Failure, LogRefused
from lightship.crypto.sign import new_signing_key, verify
from logworld import Consumer
from simulator import AGREEMENT, SECOND, Simulator, indicator, withdrawal_of

Patch = pytest.MonkeyPatch
ENTRIES = 900


@pytest.fixture(name="hub")
def _hub(monkeypatch: Patch) -> Simulator:
    monkeypatch.setattr(log_source, "WINDOW", 1)
    monkeypatch.setattr(following, "COMMIT_EVERY_S", 0.0)
    hub = Simulator()
    for number in range(ENTRIES):
        hub.attest("uslgb", indicator(number))
    return hub


@pytest.fixture(name="consumer")
def _consumer(hub: Simulator, tmp_path: Path) -> Consumer:
    return Consumer(hub, tmp_path / "state")


def bring(consumer: Consumer, windows: int = 0) -> Kept:
    """Bring a consumer's log up, or stop it with Ctrl-C after so many windows; return what was kept."""
    seen = count(1)

    def progress(done: int, total: int) -> None:
        if next(seen) == windows:
            raise KeyboardInterrupt

    with consumer.kept() as kept:
        try:
            following.bring_up(
                consumer.source, kept, consumer.hub.clock(), clock=lambda: 0.0, progress=progress
            )
            kept.commit()
        except KeyboardInterrupt:
            pass
    found = load(consumer.state, verify)
    assert found is not None
    found.close()
    return found


def asked(hub: Simulator) -> list[str]:
    """Return the list of paths that will be asked for, growing."""
    paths: list[str] = []

    def note(request: httpx2.Request) -> None:
        paths.append(request.url.path)

    hub.answer = note
    return paths


def instead(hub: Simulator, part: str, answer: Callable[[httpx2.Request], httpx2.Response]) -> None:
    """Answer requests with this in their path in another way."""
    hub.answer = lambda request: answer(request) if part in request.url.path else None


def streamed(parts: Iterator[bytes], **headers: str) -> httpx2.Response:
    """Return an answer whose body comes in parts."""

    class Body(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return parts

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(200, headers=named, stream=Body())


# --- windows --------------------------------------------------------------------------------------


def test_a_log_in_windows_is_the_log_in_one(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    paths = asked(hub)
    assert consumer.pull().ok
    assert len([path for path in paths if "/tile/0/" in path or "/tile/1/" in path]) >= 2
    monkeypatch.setattr(log_source, "WINDOW", 16)
    whole = Consumer(hub, consumer.state.with_name("whole"))
    assert whole.pull().ok
    with consumer.kept() as one, whole.kept() as other:
        assert (one.log.frontier, one.log.note) == (other.log.frontier, other.log.note)
        assert list(one.log.ledger.held) == list(other.log.ledger.held)
    assert consumer.got == whole.got


def test_an_entry_of_a_window_is_not_read_before_it_is_proved(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch
) -> None:
    """One entry in the middle of a long log was changed after the checkpoint was signed."""
    hub.note = hub.sign_note()
    old = leaf.read(hub.entries[300])
    assert isinstance(old, leaf.Publication)
    hub.entries[300] = leaf.publication(1, old.at, "uslax", old.envelope)
    read: list[bytes] = []
    true = leaf.read

    def noted(entry: bytes) -> leaf.Leaf:
        read.append(entry)
        return true(entry)

    monkeypatch.setattr(leaf, "read", noted)
    signed = Simulator.__new__(Simulator)
    signed.entries = [*hub.entries]
    signed.entries[300] = leaf.publication(1, old.at, "uslgb", old.envelope)
    monkeypatch.setattr(hub, "_hashes", signed._hashes)
    with pytest.raises(LogRefused, match="rewritten"):
        bring(consumer)
    assert hub.entries[300] not in read
    assert hub.entries[10] in read
    monkeypatch.setattr(checkpoint_check, "_same_beginning", lambda *_: None)
    with pytest.raises(LogRefused, match="rewritten"):  # at the very end, when it has been believed
        bring(consumer)
    assert hub.entries[300] in read


def flipped(hashes: list[bytes]) -> list[bytes]:
    return [one[:-1] + bytes([one[-1] ^ 1]) for one in hashes]


def turned(hashes: list[bytes]) -> list[bytes]:
    return hashes[::-1]


@pytest.mark.parametrize("spoil", [flipped, turned])
def test_tile_hashes_that_are_wrong(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch, spoil: Callable[[list[bytes]], list[bytes]]
) -> None:
    true = hub._hashes
    monkeypatch.setattr(hub, "_hashes", lambda level: spoil(true(level)))
    assert consumer.failures() == {Failure.REWRITTEN}
    monkeypatch.setattr(checkpoint_check, "_same_beginning", lambda *_: None)
    assert not consumer.failures()


@pytest.mark.parametrize("data", [b"", b"\0" * 31, b"\0" * 8193, b"\0" * 8192])
def test_tiles_of_the_wrong_size(hub: Simulator, consumer: Consumer, data: bytes) -> None:
    hub.answer = lambda request: (
        httpx2.Response(200, content=data)
        if "/tile/" in request.url.path and "/entries/" not in request.url.path
        else None
    )
    (failure,) = consumer.failures()
    assert failure in {Failure.TRUNCATED, Failure.REWRITTEN}


# --- interruptions --------------------------------------------------------------------------------


def test_a_first_look_that_is_interrupted_goes_on_where_it_was(hub: Simulator, consumer: Consumer) -> None:
    kept = bring(consumer, windows=2)
    assert kept.log.size == 256  # the second window was not kept any more
    assert (kept.log.promised, kept.log.note, kept.handed) == (ENTRIES + 3, b"", 0)
    paths = asked(hub)
    report = consumer.pull()
    assert report.ok
    assert not [path for path in paths if path.endswith("tile/entries/000")]
    assert len(report.delivered) == ENTRIES
    with consumer.kept() as done:
        assert done.log.aim is None


def test_what_was_wrong_before_an_interruption_is_told_after_it(hub: Simulator, tmp_path: Path) -> None:
    consumer = Consumer(Simulator(), tmp_path / "state")
    consumer.hub.attest("uslax", withdraw=[withdrawal_of(indicator(1))])
    for number in range(600):
        consumer.hub.attest("uslgb", indicator(number))
    assert bring(consumer, windows=2).log.size == 256
    assert [one.failure for one in consumer.look().findings] == [Failure.NOTHING_TO_WITHDRAW]
    assert [one.failure for one in consumer.pull().findings] == [Failure.NOTHING_TO_WITHDRAW]
    assert not consumer.pull().findings


def test_an_interrupted_look_does_not_make_old_entries_backdated(hub: Simulator, consumer: Consumer) -> None:
    bring(consumer, windows=3)
    hub.now += 86_400 * SECOND
    hub.attest("uslgb", indicator(5000))
    assert consumer.pull().ok


def test_rollback_behind_a_checkpoint_whose_entries_were_not_read_yet(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch
) -> None:
    bring(consumer, windows=2)
    hub.entries, hub.shelf = hub.entries[:600], hub.shelf[:597]
    assert consumer.failures() == {Failure.ROLLBACK}
    monkeypatch.setattr(checkpoint_check, "_not_back", lambda *_: None)
    assert consumer.failures() == {Failure.TRUNCATED}  # and what was promised is demanded all the same


def test_a_bundle_that_changes_between_two_fetches(hub: Simulator, consumer: Consumer) -> None:
    """What was promised and not read yet is another thing after an interruption, and signed for as well."""
    bring(consumer, windows=2)
    hub.entries, hub.shelf = hub.entries[:-1], hub.shelf[:-1]
    hub.attest("uslgb", indicator(7000))
    assert consumer.failures() == {Failure.SPLIT_VIEW}
    hub.attest("uslgb", indicator(7001))
    assert consumer.failures() == {Failure.REWRITTEN}
    hub.entries[1] = hub.entries[2]
    assert consumer.failures() == {Failure.REWRITTEN}


def test_a_state_of_half_a_look_that_claims_to_have_seen_more(hub: Simulator, consumer: Consumer) -> None:
    """Its hashes must lead to the signed checkpoint that it goes for, also with a checksum made anew."""
    bring(consumer, windows=2)
    with consumer.kept() as kept:
        kept.log.frontier = merkle.append(kept.log.frontier, [bytes(32)])[0]
        kept.commit()
    with pytest.raises(LightshipError, match="hashes do not lead"):
        consumer.look()


# --- answers without measure ----------------------------------------------------------------------


def test_a_bundle_without_end(hub: Simulator, consumer: Consumer) -> None:
    sent = count()

    def endless() -> Iterator[bytes]:
        while True:
            next(sent)
            yield b"\xff" * 65536

    instead(hub, "/tile/entries/", lambda request: streamed(endless()))
    with pytest.raises(LogRefused, match="larger than it can be"):
        bring(consumer)
    assert next(sent) * 65536 < 6 * 256 * 65537  # one answer and those under way beside it


@pytest.mark.parametrize("cut", [0, 1, 500, -1])
def test_a_bundle_that_is_too_short(hub: Simulator, consumer: Consumer, cut: int) -> None:
    packed = tiles.pack(hub.entries[:256])[:cut]
    instead(hub, "/tile/entries/000", lambda request: httpx2.Response(200, content=packed))
    assert consumer.failures() == {Failure.TRUNCATED}


@pytest.mark.parametrize("place", ["/checkpoint", "/tile/entries/", "/tile/0/", "/agreements/", "/objects/"])
def test_a_gzip_bomb(hub: Simulator, consumer: Consumer, monkeypatch: Patch, place: str) -> None:
    """A few hundred kilobytes that would unpack to a gigabyte."""
    monkeypatch.setattr(connection, "MOST", 1 << 20)
    bomb = gzip.compress(b" " * (1 << 26))
    chunks = count()

    def body() -> Iterator[bytes]:
        while True:
            next(chunks)
            yield bomb

    instead(hub, place, lambda request: streamed(body(), content_encoding="gzip"))
    with pytest.raises((TooMuch, LogRefused), match="larger than it can be"):
        consumer.pull()
    assert next(chunks) < 10 * 2


def test_packing_that_was_not_asked_for_or_is_broken() -> None:
    def read(body: bytes, packing: str) -> bytes:
        answer = streamed(iter([body[:5], body[5:]]), content_encoding=packing)
        answer.request = httpx2.Request("GET", "https://hub.test/")
        return bounded.read_whole(answer, 100, 1.0, lambda: 0.0).content

    twice = gzip.compress(b"one") + gzip.compress(b"two")
    assert read(twice, "gzip") == b"onetwo"
    assert read(b"as it is", "identity") == b"as it is"
    for body, packing in (
        (b"anything", "br"),
        (b"anything", "gzip, gzip"),
        (b"no gzip", "gzip"),
        (twice[:-3], "gzip"),
    ):
        with pytest.raises(BadPacking):
            read(body, packing)
    with pytest.raises(TooMuch):
        read(gzip.compress(b"x" * 101), "gzip")
    assert len(read(gzip.compress(b"x" * 100), "x-gzip")) == 100


def test_an_answer_that_drips(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """A byte every fifty seconds is under every time-out between two bytes."""
    moment = 0.0

    def drip() -> Iterator[bytes]:
        nonlocal moment
        while True:
            moment += 50
            yield b"\0"

    monkeypatch.setattr(connection, "time", SimpleNamespace(monotonic=lambda: moment))
    instead(hub, "/checkpoint", lambda request: streamed(drip()))
    with pytest.raises(TooSlow):
        bring(consumer)
    assert moment < 200


def test_redirects_to_elsewhere(hub: Simulator, consumer: Consumer) -> None:
    asked_hosts = set()

    def elsewhere(request: httpx2.Request) -> httpx2.Response:
        asked_hosts.add(request.url.host)
        return httpx2.Response(302, headers={"Location": "https://elsewhere.test/"})

    instead(hub, "/tile/", elsewhere)
    with pytest.raises(LightshipError):
        bring(consumer)
    assert asked_hosts == {"hub.test"}


@pytest.mark.parametrize("size", [1 << 62, (1 << 63) - 1, 1 << 52, 200_000_000])
def test_a_checkpoint_of_a_log_without_end(hub: Simulator, consumer: Consumer, size: int) -> None:
    """Signed by the hub; nothing is fetched for it."""
    text = notes.Checkpoint(hub.origin, size, bytes(32)).to_text()
    line = notes.sign_note(text, notes.NoteKey(hub.origin, hub.key.public), hub.key.sign)
    hub.note = notes.format_note(text, [line])
    paths = asked(hub)
    assert consumer.failures() == {Failure.ENDLESS}
    assert not [path for path in paths if "/tile/" in path]


@pytest.mark.parametrize("what", ["agreements", "rosters"])
def test_versions_and_rosters_without_end(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch, what: str
) -> None:
    """Each is signed and follows the one before; a hub and a member can go on with that for ever."""
    hub.entries, hub.shelf = hub.entries[:10], hub.shelf[:7]
    assert consumer.pull().ok
    monkeypatch.setattr(following, "MOST_SIGNED", 40_000)
    for _ in range(60):
        if what == "agreements":
            hub.agree()
        else:
            hub.enrol("uslgb")
    assert consumer.failures() == {Failure.ENDLESS}
    monkeypatch.setattr(following, "_bounded", lambda *_: None)
    assert not consumer.failures()


def test_a_checkpoint_larger_than_the_log(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    text = notes.Checkpoint(hub.origin, 50_000, bytes(32)).to_text()
    line = notes.sign_note(text, notes.NoteKey(hub.origin, hub.key.public), hub.key.sign)
    hub.note = notes.format_note(text, [line])
    assert consumer.failures() == {Failure.TRUNCATED}


def test_a_note_that_is_no_checkpoint_at_the_first_look(hub: Simulator, consumer: Consumer) -> None:
    for note in (b"", b"\xff" * 100, b"x\n" * 40_000, hub.sign_note(key=new_signing_key())):
        instead(hub, "/checkpoint", lambda request, note=note: httpx2.Response(200, content=note))  # type: ignore[misc]  # a default keeps the loop's value
        assert consumer.failures(fresh=True) == {Failure.CHECKPOINT_FORGED}


def test_pages_of_objects_without_end(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    monkeypatch.setattr(receiving, "MARGIN", 500)
    pages = count()

    def page(request: httpx2.Request) -> httpx2.Response:
        number = next(pages)
        objects = [indicator(100_000 + number * 100 + n) for n in range(100)]
        return httpx2.Response(200, json={"more": True, "next": f"{number}", "objects": objects})

    instead(hub, "/objects/", page)
    with pytest.raises(NotTaxii, match="goes on for ever"):
        consumer.pull()
    assert next(pages) < 20
    instead(hub, "/objects/", lambda request: httpx2.Response(200, json={"more": True, "next": "x"}))
    with pytest.raises(NotTaxii, match="goes on for ever"):
        consumer.pull()


# --- in parts -------------------------------------------------------------------------------------


def parts_of(consumer: Consumer, kept: Kept, part: int) -> Iterator[verifying.VerifiedPull]:
    path = f"/{AGREEMENT}/collections/{consumer.hub.collection}/"
    return pull_parts(
        *(consumer.connection, path, consumer.source, kept, consumer.hub.clock),
        part=part,
        clock=lambda: 0.0,
    )


@pytest.mark.parametrize("part", [1, 7, 100, 5_000])
def test_a_pull_in_parts_is_the_pull_in_one(hub: Simulator, tmp_path: Path, part: int) -> None:
    hub.entries, hub.shelf = hub.entries[:63], hub.shelf[:60]
    for number in (3, 30, 59):
        hub.attest("uslgb", withdraw=[withdrawal_of(indicator(number))])
    left = hub.shelf.pop(20)
    whole, few = Consumer(hub, tmp_path / "whole"), Consumer(hub, tmp_path / "few")
    expected = whole.pull()
    got: list[bytes] = []
    gone: list[Any] = []
    missing: list[str] = []
    with few.kept() as kept:
        for one in parts_of(few, kept, part):
            got += one.bodies()
            gone += one.report.gone
            missing += [held.id for held in one.report.missing]
            one.keep()
    assert got == whole.got
    assert tuple(gone) == expected.gone
    assert missing == [left.id] == [one.id for one in expected.missing]
    hub.shelf.insert(20, left)
    assert [one.id for one in few.pull().delivered] == [left.id]
    assert few.pull().ok


def test_more_missing_than_can_be_named_is_told_in_parts(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch
) -> None:
    """A hub that hands out the newest object alone: everything else is owed, a bounded number at a time."""
    monkeypatch.setattr("lightship.core.log.complete.MOST_MISSING", 100)
    shelf = hub.shelf
    hub.shelf = shelf[-1:]
    missing, delivered, most = 0, 0, 0
    with consumer.kept() as kept:
        for one in parts_of(consumer, kept, 50):
            most = max(most, len(one.report.missing))
            missing, delivered = missing + len(one.report.missing), delivered + len(one.report.delivered)
            one.keep()
    assert (missing, delivered) == (ENTRIES - 1, 1)
    assert most <= 100
    hub.shelf = shelf
    report = consumer.pull()
    assert report.ok
    assert len(report.delivered) == ENTRIES - 1
