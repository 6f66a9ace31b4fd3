"""The client finds collections by the names that people use, and stays at the hub it was given."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from lightship.client import Client, Connection, NotTaxii
from lightship.core.errors import NotFound

ID = "0c1f6f55-0d4b-4d49-8c39-6c9d1c1d8a01"
OTHER = "0c1f6f55-0d4b-4d49-8c39-6c9d1c1d8a02"


class Hub:
    """Two agreements, as TAXII 2.1 sections 4 and 5 show them; counts what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {
            "/taxii2/": {"title": "hub", "api_roots": ["https://public.example/bay/", "/sea"]},
            "/bay/": {
                "title": "Bay",
                "versions": ["application/taxii+json;version=2.1"],
                "max_content_length": 5000,
            },
            "/sea/": {"title": "Sea", "versions": [], "max_content_length": "much"},
            "/bay/collections/": {"collections": [collection(ID, "Indicators", "indicators")]},
            "/sea/collections/": {
                "collections": [collection(OTHER, "Indicators", "indicators", can_write=False)]
            },
        } | answers

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        assert request.url.host == "hub.example"
        self.asked.append(request.url.path)
        if request.url.path not in self.answers:
            return httpx2.Response(404, json={"title": "Not here"})
        return httpx2.Response(200, json=self.answers[request.url.path])

    def client(self) -> Client:
        return Client(Connection("https://hub.example", "u", "s", transport=httpx2.MockTransport(self)))


def collection(key: str, title: str, alias: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "title": title, "alias": alias, "can_read": True, "can_write": True} | more


def test_roots_are_asked_at_the_hub_that_was_given_whatever_it_calls_itself() -> None:
    hub = Hub()
    assert [root.name for root in hub.client().roots()] == ["bay", "sea"]
    assert hub.asked == ["/taxii2/", "/bay/", "/sea/"]


def test_a_collection_is_found_by_alias_id_and_title() -> None:
    client = Hub().client()
    for name in ("bay/indicators", f"bay/{ID}", "bay/Indicators", ID):
        assert client.collection(name).id == ID
    assert client.collection("sea/indicators").can_write is False


def test_a_name_that_means_several_is_refused_with_all_of_them() -> None:
    with pytest.raises(NotFound, match=r"several have that name: bay/indicators, sea/indicators"):
        Hub().client().collection("indicators")


def test_an_unknown_name_is_refused_with_what_there_is() -> None:
    with pytest.raises(NotFound, match=r"this credential sees: bay/indicators"):
        Hub().client().collection("bay/incidents")
    with pytest.raises(NotFound, match="No agreement"):
        Hub().client().status("none", "x")


def test_what_does_not_change_is_asked_once() -> None:
    hub = Hub()
    client = hub.client()
    for _ in range(3):
        client.collection("bay/indicators")
    assert len(hub.asked) == len(set(hub.asked))


def test_the_size_of_an_envelope_is_what_the_root_says_or_a_safe_one() -> None:
    bay, sea = Hub().client().roots()
    assert (bay.max_content_length, sea.max_content_length) == (5000, 1024 * 1024)


def test_an_answer_of_another_kind_is_no_taxii() -> None:
    answers: dict[str, Any] = {"/taxii2/": ["not", "discovery"]}
    with pytest.raises(NotTaxii, match="discovery"):
        Hub(**answers).client().roots()
