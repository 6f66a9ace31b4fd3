"""Feeds are found by name and by file ending; other packages can add theirs, not replace ours."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from typing import BinaryIO, ClassVar

import pytest

from lightship.core.errors import BadFile, NotFound
from lightship_feeds import registry
from lightship_feeds.base import Draft, FeedIn
from lightship_feeds.stix_bundle import StixBundle


class Lines:
    """A feed of another package."""

    name: ClassVar[str] = "lines"
    summary: ClassVar[str] = "one id a line"
    suffixes: ClassVar[tuple[str, ...]] = (".ids",)

    def read(self, source: BinaryIO, where: str) -> Iterator[Draft]:
        for n, line in enumerate(source):
            yield Draft(n, n + 1, line.strip())


def add(monkeypatch: pytest.MonkeyPatch, name: str, attribute: str) -> None:
    entry = EntryPoint(name, f"{__name__}:{attribute}", registry.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: globals()[attribute])
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints([entry]))


def test_stix_is_shipped_and_is_a_feed() -> None:
    assert isinstance(registry.feed("stix"), FeedIn)
    for path in ("a.json", "A.JSON", "b.ndjson", "-", "noending", "x.unknown"):
        assert registry.feed_for(path).name == "stix"


def test_an_unknown_feed_is_refused_by_name() -> None:
    with pytest.raises(NotFound, match=r"No feed misp.*stix"):
        registry.feed("misp")


def test_another_package_adds_a_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, "lines", "Lines")
    assert registry.feed_for("a.ids").name == "lines"
    assert registry.feed_for("a.json").name == "stix"


def test_a_shipped_feed_cannot_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, "stix", "Lines")
    assert isinstance(registry.feed("stix"), StixBundle)


def test_what_is_no_feed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, "bad", "dict")
    monkeypatch.setattr(EntryPoint, "load", lambda self: dict)
    with pytest.raises(BadFile, match="bad is no feed"):
        registry.feeds()

    def broken(self: EntryPoint) -> object:
        raise ImportError("gone")

    monkeypatch.setattr(EntryPoint, "load", broken)
    with pytest.raises(BadFile, match=r"cannot be loaded.*gone"):
        registry.feeds()
