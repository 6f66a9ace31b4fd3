"""Every kept fuzz input again: examples, what widened the coverage, and what once broke something.

The fuzzers themselves need atheris and run in `make test-long`; this replay needs nothing but the targets.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

import pytest

from fuzz import ingest, patterns, query, wire
from fuzz.mutation import mutate_json
from fuzz.targets import CORPUS, TARGETS
from lightship.core.stix import patterns as ours
from lightship.taxii import resources
from probehub import ProbeHub

Opened = AbstractContextManager[Callable[[bytes], None]]
ROOT_REQUEST = b"GET /pedro/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer SECRET\r\n\r\n"
INDICATOR = (CORPUS / "ingest" / "indicator.json").read_bytes()


def replay(name: str, opened: Opened, *, named: bool = False) -> int:
    """Run all kept inputs of a target, or those with a name that people gave; return how many there were."""
    paths = [path for path in TARGETS[name].seeds() if path.suffix or not named]
    with opened as target:
        for path in paths:
            try:
                target(path.read_bytes())
            except BaseException as error:
                error.add_note(f"input: {path.relative_to(CORPUS)}")
                raise
    return len(paths)


def test_kept_query_strings() -> None:
    assert replay("query", query.opened()) > 10


def test_kept_patterns_each_beside_the_other_parser() -> None:
    assert replay("patterns", patterns.opened(sample=1)) > 10


def test_kept_posts() -> None:
    assert replay("ingest", ingest.opened()) > 200


def test_kept_posts_that_have_a_name_on_disk_and_checked_by_fsck() -> None:
    assert replay("ingest", ingest.opened(whole=1), named=True) > 40


@pytest.mark.parametrize("kind", [ProbeHub, wire.DiskHub])
def test_kept_connections(kind: type[ProbeHub]) -> None:
    assert replay("wire", wire.opened(kind)) > 15


def test_kept_inputs_are_small() -> None:
    sizes = [path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()]
    assert max(sizes) <= 8_192
    assert sum(sizes) < 500_000


# --- what the targets are there to see ------------------------------------------------------------


def break_it(*_: Any) -> bytes:
    raise ZeroDivisionError


def unreadable(*_: Any) -> bytes:
    return b'{"more":false,"objects":['


def test_an_error_that_nobody_foresaw_is_seen_on_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    with wire.opened() as target:
        target(ROOT_REQUEST)
        monkeypatch.setattr(resources, "api_root", break_it)
        with pytest.raises(AssertionError, match="500"):
            target(ROOT_REQUEST)


def test_an_answer_that_is_no_json_is_seen_on_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    with wire.opened() as target:
        monkeypatch.setattr(resources, "api_root", unreadable)
        with pytest.raises(AssertionError, match="is no JSON"):
            target(ROOT_REQUEST)


def test_a_collection_that_cannot_be_read_is_seen_after_a_post(monkeypatch: pytest.MonkeyPatch) -> None:
    with ingest.opened() as target:
        target(INDICATOR)
        monkeypatch.setattr(resources, "envelope", unreadable)
        with pytest.raises(ValueError, match="Expecting"):
            target(INDICATOR)


def test_a_body_that_is_not_kept_as_its_digest_says_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with ingest.opened() as target:
        monkeypatch.setattr("lightship.storage.fsck_objects.canonical", lambda _: b"{}")
        with pytest.raises(AssertionError, match="not in canonical form"):
            target(INDICATOR)


def test_stores_that_answer_differently_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with query.opened() as target:
        target(b"objects match[version]=all")
        monkeypatch.setattr("lightship.storage.memory.matches", lambda *_: True)
        with pytest.raises(AssertionError):
            target(b"objects match[type]=malware")


def test_a_shortcut_that_takes_too_much_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with patterns.opened() as target:
        monkeypatch.setattr(ours, "_SIMPLE", re.compile(".*"))
        with pytest.raises(ours.PatternError):
            target(b"[file:size = ]")


# --- the runner ---------------------------------------------------------------------------------


def test_mutations_stay_json_and_within_the_bound() -> None:
    made = {mutate_json(INDICATOR, 2_000, seed, lambda data, _: data) for seed in range(300)}
    assert len(made) > 150
    with ingest.opened(whole=10**9) as ingested:
        for one in made:
            assert len(one) <= 2_000
            ingested(one)


def test_without_atheris_fuzzing_is_skipped_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert import_module("fuzz.__main__").main(["--runs", "1"]) == 0
    assert "skipped: atheris is not installed" in capsys.readouterr().out


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_a_short_run_counts_its_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    assert import_module("fuzz.__main__").main(["patterns", "--runs", "500", "--seconds", "30"]) == 0
    assert re.search(r"^fuzzing: [5-9]\d\d inputs, 0 findings$", capsys.readouterr().out, re.MULTILINE)
