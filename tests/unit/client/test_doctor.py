"""The doctor names what is wrong and what to do, one thing at a time, and goes on as far as it can."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from lightship.client import Client, Connection, Limits
from lightship.client.doctor import Finding, examine

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
TYPE = "application/taxii+json;version=2.1"
DATES = {
    "X-TAXII-Date-Added-First": "2026-04-01T00:00:00.000000Z",
    "X-TAXII-Date-Added-Last": "2026-04-01T00:00:00.000000Z",
}


class Patient:
    """A hub that is healthy but for what a test changes."""

    def __init__(self) -> None:
        self.date = NOW
        self.kind = TYPE
        self.strict_accept = False
        self.refuse = 0
        self.can_read = True
        self.pages: list[dict[str, Any]] = [
            {"more": True, "next": "n", "objects": [{"id": "a"}]},
            {"more": False, "objects": [{"id": "b"}]},
        ]
        self.dates = DATES
        self.down = False

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if self.down:
            raise httpx2.ConnectError("Connection refused")
        headers = {"Date": self.date.strftime("%a, %d %b %Y %H:%M:%S GMT"), "Content-Type": self.kind}
        path = request.url.path
        if self.refuse:
            return httpx2.Response(self.refuse, json={"title": "No"}, headers=headers)
        if self.strict_accept and request.headers["accept"] == "*/*":
            return httpx2.Response(406, json={"title": "No"}, headers=headers)
        if path.endswith("/objects/"):
            page = self.pages[1 if "next" in request.url.params else 0]
            return httpx2.Response(200, json=page, headers=headers | self.dates)
        body: dict[str, Any] = {"title": "x", "api_roots": ["/bay/"], "max_content_length": 1000}
        if path == "/bay/collections/":
            rights = {"can_read": self.can_read, "can_write": False}
            body = {"collections": [{"id": "1", "title": "I", "alias": "i", **rights}]}
        return httpx2.Response(200, json=body, headers=headers)

    def examine(self) -> dict[str, Finding]:
        connection = Connection(
            "http://localhost:1", "u", "s", transport=httpx2.MockTransport(self), limits=Limits(attempts=1)
        )
        with Client(connection) as client:
            return {one.check: one for one in examine(client, NOW)}


def test_a_healthy_hub_is_ok() -> None:
    found = Patient().examine()
    assert {one.verdict for one in found.values()} == {"ok", "warning"}
    assert [name for name, one in found.items() if one.verdict == "warning"] == ["tls"]  # plain http here


def test_a_hub_that_does_not_answer_ends_it() -> None:
    patient = Patient()
    patient.down = True
    found = patient.examine()
    assert list(found) == ["address"]
    assert found["address"].verdict == "failed"
    assert "Check the address" in found["address"].todo


@pytest.mark.parametrize(("seconds", "way"), [(300, "behind"), (-300, "ahead of")])
def test_a_wrong_clock_is_named_with_its_direction(seconds: int, way: str) -> None:
    patient = Patient()
    patient.date = NOW + timedelta(seconds=seconds)
    clock = patient.examine()["clock"]
    assert clock.verdict == "failed"
    assert f"300 s {way} the hub" in clock.text


def test_a_refused_credential_is_named_and_ends_it() -> None:
    patient = Patient()
    patient.refuse = 401
    found = patient.examine()
    assert found["credential"].verdict == "failed"
    assert "lightship login" in found["credential"].todo
    assert "paging" not in found


def test_no_rights_are_a_failure() -> None:
    patient = Patient()
    patient.can_read = False
    assert patient.examine()["rights"].verdict == "failed"


def test_an_accept_header_that_is_not_served_is_a_warning() -> None:
    patient = Patient()
    patient.strict_accept = True
    accept = patient.examine()["accept"]
    assert accept.verdict == "warning"
    assert "*/*" in accept.text


def test_paging_that_stands_still_is_a_failure() -> None:
    patient = Patient()
    patient.pages[1] = patient.pages[0]
    assert "same page again" in patient.examine()["paging"].text


def test_date_headers_that_something_dropped_are_a_failure() -> None:
    patient = Patient()
    patient.dates = {}
    assert patient.examine()["paging"].verdict == "failed"


def test_an_empty_collection_is_no_failure() -> None:
    patient = Patient()
    patient.pages = [{"more": False}]
    assert patient.examine()["paging"].verdict == "ok"
