"""A pull gives each object once, goes on where the caller committed, and never moves by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lightship.client import Connection, Cursor, NotTaxii, PulledPage, load_cursor, save_cursor
from lightship.client.pulling import pull
from lightship.core.errors import BadFile, Unavailable
from lightship.core.time import Micros, format_stamp, parse_added_after

PATH = "/a/collections/c/"


class Shelf:
    """A collection behind HTTP: pages by `added_after` and `next`, as TAXII 2.1 section 3.5 says."""

    def __init__(self, n: int) -> None:
        self.rows = [(Micros(1_000_000 + i), obj(i)) for i in range(n)]
        self.asked: list[dict[str, str]] = []
        self.broken_after: int | None = None
        self.takes_next = True

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        params = dict(request.url.params)
        self.asked.append(params)
        if self.broken_after is not None and len(self.asked) > self.broken_after:
            return httpx2.Response(503, json={"title": "Down"}, headers={"Retry-After": "900"})
        if "next" in params and not self.takes_next:
            return httpx2.Response(400, json={"title": "next was never given out"})
        start = int(params["next"]) if "next" in params else 0
        if "added_after" in params:
            start = max(start, int(parse_added_after(params["added_after"])))
        rows = [row for row in self.rows if row[0] > start]
        page = rows[: int(params.get("limit", 1000))]
        more = len(rows) > len(page)
        body: dict[str, Any] = {"more": more}
        headers = {}
        if page:
            body["objects"] = [value for _, value in page]
            headers = {
                "X-TAXII-Date-Added-First": format_stamp(page[0][0]),
                "X-TAXII-Date-Added-Last": format_stamp(page[-1][0]),
            }
        if more:
            body["next"] = str(page[-1][0])
        return httpx2.Response(200, json=body, headers=headers)

    def pull(self, cursor: Cursor | None = None, **how: Any) -> Iterator[PulledPage]:
        return pull(self.connection(), PATH, cursor, **how)

    def connection(self) -> Connection:
        return Connection("https://hub.example", "u", "s", transport=httpx2.MockTransport(self))


def obj(i: int) -> dict[str, Any]:
    return {"type": "indicator", "id": f"indicator--{i:08d}", "modified": f"2026-01-01T00:00:{i % 60:02d}Z"}


def ids(pages: Iterator[PulledPage]) -> list[str]:
    return [str(one["id"]) for page in pages for one in page.objects]


def test_every_object_comes_once_over_many_pages() -> None:
    shelf = Shelf(25)
    assert ids(shelf.pull(limit=7)) == [f"indicator--{i:08d}" for i in range(25)]


def test_the_saved_cursor_gives_only_what_is_new() -> None:
    shelf = Shelf(10)
    *_, last = shelf.pull(limit=4)
    assert last.cursor.next == ""
    shelf.rows.append((Micros(2_000_000), obj(99)))
    assert ids(shelf.pull(last.cursor)) == ["indicator--00000099"]


def test_an_empty_pull_keeps_the_place() -> None:
    shelf = Shelf(3)
    *_, last = shelf.pull()
    (nothing,) = shelf.pull(last.cursor)
    assert nothing.objects == ()
    assert nothing.cursor == last.cursor


def test_after_an_outage_the_pull_goes_on_from_what_was_committed() -> None:
    shelf = Shelf(20)
    shelf.broken_after = 2
    pages = shelf.pull(limit=6)
    committed = [next(pages), next(pages)]
    with pytest.raises(Unavailable):
        next(pages)
    shelf.broken_after = None
    got = ids(iter(committed)) + ids(shelf.pull(committed[-1].cursor, limit=6))
    assert got == [f"indicator--{i:08d}" for i in range(20)]


def test_a_pull_goes_on_in_the_middle_of_a_page() -> None:
    shelf = Shelf(10)
    pages = shelf.pull(limit=6)
    next(pages)
    second = next(pages)
    assert ids(shelf.pull(second.after(1), limit=6)) == [f"indicator--{i:08d}" for i in range(7, 10)]
    first = next(shelf.pull(limit=6))
    assert ids(shelf.pull(first.after(2), limit=3)) == [f"indicator--{i:08d}" for i in range(2, 10)]
    assert first.after(6) == first.cursor


def test_a_next_that_is_no_longer_taken_is_replaced_by_the_date() -> None:
    shelf = Shelf(10)
    first = next(shelf.pull(limit=4))
    shelf.takes_next = False
    rest = shelf.pull(first.cursor)
    assert ids(rest) == [f"indicator--{i:08d}" for i in range(4, 10)]


def test_what_a_server_sends_twice_is_given_once() -> None:
    shelf = Shelf(6)
    shelf.rows.append((Micros(1_000_100), obj(3)))
    assert len(ids(shelf.pull(limit=2))) == 6


def test_filters_are_sent_with_every_page() -> None:
    shelf = Shelf(5)
    list(shelf.pull(limit=2, match={"type": "indicator"}))
    assert [one["match[type]"] for one in shelf.asked] == ["indicator"] * 3


def test_a_server_that_says_more_but_not_where_is_no_endless_loop() -> None:
    def stuck(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"more": True, "objects": [obj(1)]})

    connection = Connection("https://hub.example", "u", "s", transport=httpx2.MockTransport(stuck))
    with pytest.raises(NotTaxii, match="more, but not where"):
        list(pull(connection, PATH))


def test_the_cursor_file_keeps_the_place_and_its_source(tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert load_cursor(path, "hub a") == Cursor()
    kept = Cursor("2026-01-01T00:00:00.000000Z", "token", frozenset({"aa", "bb"}))
    save_cursor(path, "hub a", kept)
    assert load_cursor(path, "hub a") == kept
    with pytest.raises(BadFile, match="another pull"):
        load_cursor(path, "hub b")
    assert [one.name for one in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"v":1}', '{"added_after":"x","next":"","handled":[],"source":"s"}']
)
def test_a_broken_cursor_file_is_refused_not_taken_as_the_beginning(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state"
    path.write_text(text)
    with pytest.raises(BadFile, match="state file"):
        load_cursor(path, "s")
