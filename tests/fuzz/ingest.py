"""Fuzz target: the bytes of a post, all the way from the body to what readers get.

An input is a body. It must be refused as a whole, or each of its items must be either refused by name or
become a candidate whose stored form is canonical, and which every read then shows as valid JSON. What is
taken passes the row checks of fsck each time, and the whole of fsck on a fresh SQLite store for some inputs.
Markings go the whole way too: the set of each candidate is read, written and decided about, or the object is
refused because nobody knows what it is marked with.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from zlib import crc32

from fsckhub import DiskHub
from lightship.core.audit import AccessEvent
from lightship.core.collection import Candidate, CollectionSettings, Level, Verdict, pack
from lightship.core.errors import MalformedRequest, Unprocessable
from lightship.core.ids import is_stix_id
from lightship.core.marks import MarkingSet, UnknownMarking, encode, marking_set, usable
from lightship.core.marks import decode as decode_marks
from lightship.core.ports import PublishRequest
from lightship.core.query import Filters, Versions
from lightship.core.stix.ingest import Ingest, Refusal
from lightship.core.stix.json import canonical, decode
from lightship.core.time import Micros, parse_instant
from lightship.data import extension_schemas, stix_schemas
from lightship.storage.fsck import fsck
from lightship.storage.fsck_objects import Stored, check_row
from lightship.storage.fsck_scratch import Scratch
from lightship.storage.memory import MemoryStore
from lightship.storage.sqlite.classes import spec_bit
from lightship.storage.sqlite.rows import idhash
from lightship.taxii import resources
from lightship.usecases.status import Failure, render_status
from policy_rules import cedar_rules, shipped
from policy_worlds import mou, place
from storekit import ALL, WAIT, HandClock, HubStore, activate, grant, pull, uuid_of

NOW = Micros(1_780_000_000_000_000)
Marked = tuple[Candidate, MarkingSet]
_PLACE = place()
_AGREEMENT, _RULES = mou(_PLACE), cedar_rules()
WHOLE = 64
"""One input in so many, of those with something to store, goes to disk and through the whole of fsck."""
_SETTINGS = (
    CollectionSettings(),
    CollectionSettings(validation="lenient", unmarked=Level.CLEAR, max_future_s=None),
    CollectionSettings(custom_objects=False, authors="any"),
)
_READS = (
    Filters(),
    ALL,
    Filters(versions=Versions(last=True, first=True)),
    Filters(spec_versions=("2.0",)),
    Filters(types=("indicator",)),
)


@contextmanager
def opened(whole: int = WHOLE) -> Iterator[Callable[[bytes], None]]:
    """Give the target; `whole` 1 takes every input to disk."""
    ingest, scratch = Ingest(stix_schemas(), extension_schemas()), Scratch()

    def target(data: bytes) -> None:
        """Post one body."""
        try:
            items = ingest.read_envelope(data)
        except (MalformedRequest, Unprocessable) as error:
            _check_short(error)
            return
        mark = crc32(data)
        candidates, refusals = ingest.check(items, _SETTINGS[mark % len(_SETTINGS)], NOW)
        positions = [one.position for one in candidates] + [one.position for one in refusals]
        assert sorted(positions) == list(range(len(items))), positions
        for refusal in refusals:
            _check_refusal(refusal)
        for one in candidates:
            _check_candidate(one, scratch)
        marked, unknown = _marks(candidates)
        refusals += unknown
        if marked:
            memory = MemoryStore(HandClock())
            activate(memory, 1)
            _post_and_read(memory, marked, refusals)
            if mark // 3 % whole == 0:
                _to_disk(marked, refusals)

    try:
        yield target
    finally:
        scratch.close()


def _check_short(error: Exception) -> None:
    """What is said of a hostile body stays short."""
    assert len(str(error).encode()) < 2_000, error


def _check_refusal(one: Refusal) -> None:
    assert is_stix_id(one.id), one
    assert one.rule, one
    assert 0 < len(one.message) <= 700, one
    assert not one.version_text or parse_instant(one.version_text)


def _check_candidate(one: Candidate, scratch: Scratch) -> None:
    value = decode(one.body)
    assert canonical(value) == one.body
    assert json.loads(one.body) == value
    assert sha256(one.body).digest() == one.digest
    assert is_stix_id(one.id)
    row = Stored(
        *(pack(1, NOW), spec_bit(one.spec_version), one.type, one.version, one.version_text, "uslax"),
        *(idhash(1, one.id), one.id, one.digest, one.body),
    )
    check_row(row, scratch)
    assert not scratch.findings, scratch.findings


def _marks(candidates: Sequence[Candidate]) -> tuple[list[Marked], list[Refusal]]:
    """Return each candidate with its marking set, and refuse those whose markings nobody knows.

    As long as a definition is refused, so is what cites it.
    """
    left, refused = list(candidates), list[Refusal]()
    while True:
        known, marked, before = usable([], left, "uslax", frozenset()), list[Marked](), len(refused)
        for one in left:
            try:
                marks = marking_set(one, _PLACE, known)
            except UnknownMarking as error:
                refused.append(Refusal(one.position, one.id, one.version_text, error.rule, error.message))
                _check_refusal(refused[-1])
                continue
            assert decode_marks(encode(marks)) == marks
            assert _RULES.admits(_PLACE, _AGREEMENT, "uslax", marks).rule in {"", *shipped().by_id}
            marked.append((one, marks))
        if len(refused) == before:
            return marked, refused
        left = [one for one, _ in marked]


def _post_and_read(store: HubStore, marked: Sequence[Marked], refusals: Sequence[Refusal]) -> None:
    """Post twice: the second time everything is there already or conflicts; then read in every way."""
    failures = [Failure(one.position, one.id, one.version_text, one.message) for one in refusals]
    candidates = [one for one, _ in marked]
    seen = []
    for number in (1, 2):
        done = store.publish(_request(store, number, marked, failures)).result(WAIT)
        status = json.loads(done.status)
        assert status["success_count"] + status["failure_count"] == status["total_count"]
        assert status["total_count"] == len(candidates) + len(refusals)
        seen.append([item.verdict for item in done.outcome.items])
    assert Verdict.ADD not in seen[1]
    added = [one for one, verdict in zip(candidates, seen[0], strict=True) if verdict is Verdict.ADD]
    held = pull(store, ALL)
    assert sorted(row.body for row in held) == sorted(one.body for one in added)
    for filters in _READS:
        rows = pull(store, filters, limit=3)
        shown = json.loads(resources.envelope(rows, None))
        assert shown["objects"] == [json.loads(row.body) for row in rows]
        entries = json.loads(resources.manifest(rows, "x"))["objects"]
        versions = json.loads(resources.versions(rows, None))["versions"]
        assert [entry["version"] for entry in entries] == versions
        assert [entry["id"] for entry in entries] == [row.id for row in rows]


def _request(
    store: HubStore, number: int, marked: Sequence[Marked], failures: Sequence[Failure]
) -> PublishRequest:
    status_id = uuid_of(number)
    releases = {one.position: marks.release_at for one, marks in marked if marks.release_at is not None}
    return PublishRequest(
        grant=grant(store),
        candidates=tuple(one for one, _ in marked),
        marks=tuple(marks for _, marks in marked),
        status_id=status_id,
        render_status=lambda outcome: render_status(status_id, NOW, outcome, failures, releases),
        render_event=lambda outcome: AccessEvent(
            f"{number:032x}", NOW, "publish", n=len(outcome.items), first=outcome.added_first
        ),
        now=NOW,
    )


def _to_disk(marked: Sequence[Marked], refusals: Sequence[Refusal]) -> None:
    """Post to a fresh SQLite store and check everything in it."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        hub = DiskHub(folder)
        try:
            hub.activate(1, "")
            _post_and_read(hub.store, marked, refusals)
            held = len(pull(hub.store, ALL))
            for event in hub.store.pending():
                hub.log(event)
        finally:
            hub.close()
        report = fsck(folder)
        assert not report.findings, report.findings
        assert report.objects == held
    finally:
        shutil.rmtree(folder)
