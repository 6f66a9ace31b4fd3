"""What waits at a hub, as the SDK reads it: paths quoted, answers taken as they are, anything else named."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from lightship.client import Client, Connection, Held, NotTaxii
from lightship.client.waiting import cancel, staged
from lightship.core.errors import NotFound

ENTRY = {
    "id": "indicator--1",
    "version": "2026-01-01T00:00:00Z",
    "release_at": "2027-01-01T00:00:00.000000Z",
    "posted": "2026-05-05T00:00:00.000000Z",
    "problem": "",
}


class Hub:
    """Answers each path with what it was given."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, str]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.raw_path.decode()
        self.asked.append((request.method, path, request.headers["accept"]))
        status, value = self.answers.get(
            request.method.lower(), (404, {"title": "There is no such resource"})
        )
        return httpx2.Response(status, json=value)

    def connection(self) -> Connection:
        return Connection("https://hub.example", "u", "s", transport=httpx2.MockTransport(self))


def test_what_waits_is_read_as_the_hub_says_it() -> None:
    hub = Hub(get=(200, {"staged": [ENTRY, {"id": "x", "later": 1}]}))
    assert staged(hub.connection(), "la-lb-mou", "c/1") == (Held(**ENTRY), Held("x", ""))
    assert hub.asked == [("GET", "/staged/la-lb-mou/c%2F1/", "application/json")]


def test_taking_back_names_what_was_taken_back() -> None:
    hub = Hub(delete=(200, {"cancelled": [{"id": "indicator--1", "version": "v"}]}))
    assert cancel(hub.connection(), "a", "c", "indicator--1") == (Held("indicator--1", "v"),)
    assert hub.asked == [("DELETE", "/staged/a/c/indicator--1/", "application/json")]


def test_nothing_that_waits_is_not_found() -> None:
    with pytest.raises(NotFound):
        cancel(Hub().connection(), "a", "c", "indicator--1")


@pytest.mark.parametrize("value", [[], {"staged": {}}, {"staged": [1]}, {"objects": []}])
def test_another_answer_is_none_of_a_hub(value: Any) -> None:
    with pytest.raises(NotTaxii):
        staged(Hub(get=(200, value)).connection(), "a", "c")


def test_the_client_finds_the_collection_first() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        known: dict[str, Any] = {
            "/taxii2/": {"api_roots": ["https://hub.example/a/"]},
            "/a/": {"title": "A", "max_content_length": 1000},
            "/a/collections/": {"collections": [{"id": "1", "title": "T", "alias": "indicators"}]},
            "/staged/a/1/": {"staged": [ENTRY]},
            "/staged/a/1/indicator--1/": {"cancelled": [{"id": "indicator--1", "version": ""}]},
        }
        return httpx2.Response(200, json=known[request.url.path])

    connection = Connection("https://hub.example", "u", "s", transport=httpx2.MockTransport(answer))
    with Client(connection) as client:
        assert client.staged("a/indicators") == (Held(**ENTRY),)
        assert client.cancel("indicators", "indicator--1") == (Held("indicator--1", ""),)
