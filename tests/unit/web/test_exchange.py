"""The life of a request: an event for each, durable before the answer, and nothing of the inside told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

from hubkit import HEADERS, TAXII, HubKit, make_hub
from lightship.core.audit import AccessEvent
from lightship.core.errors import Unavailable
from lightship.core.log.receipt import Group, Sealed, parse_receipt
from lightship.core.ports import Access
from lightship.wiring import make_app
from stixsamples import indicator


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[HubKit]:
    with make_hub(tmp_path) as made:
        yield made


class FailingLog:
    """An access log whose disk is full, then is not."""

    def __init__(self, inner: Any, error: Exception) -> None:
        self.inner = inner
        self.error: Exception | None = error

    def record(self, event: AccessEvent) -> Future[Any]:
        return self._unless_full(self.inner.record, event)

    def record_all(self, events: Sequence[AccessEvent]) -> Future[Any]:
        return self._unless_full(self.inner.record_all, events)

    def _unless_full(self, record: Any, what: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.error is None:
            future = record(what)
        else:
            future.set_exception(self.error)
        return future

    def search(self, query: Any) -> Any:
        return self.inner.search(query)


def with_log(kit: HubKit, error: Exception) -> FailingLog:
    log = FailingLog(kit.hub.access, error)
    kit.app = make_app(replace(kit.hub, access=log))
    return log


def test_every_request_makes_one_event_with_the_rule_that_decided(kit: HubKit) -> None:
    lax = kit.client("uslax")
    objects = kit.path("indicators", "objects/")
    expected = []
    for method, path, status, act, why in [
        ("GET", "/taxii2/", 200, "discover", "allow-member-list"),
        ("GET", objects, 200, "read-objects", "allow-audience-read"),
        ("HEAD", objects, 200, "read-objects", "allow-audience-read"),
        ("GET", objects + "?limit=x", 400, "read-objects", "malformed-request"),
        ("PUT", objects, 405, "other-method", "method-not-allowed"),
        ("OPTIONS", objects, 204, "options", "allow-member-list"),
        ("POST", objects, 400, "publish", "malformed-request"),
        ("GET", "/nobody/", 404, "read-root", "not-found"),
        ("GET", "/", 404, "unknown-path", "not-found"),
        ("GET", "/openapi.json", 200, "read-openapi", "allow-member-list"),
    ]:
        assert lax.request(method, path).status_code == status, (method, path)
        expected.append((act, status, why))
    assert kit.client(None).get("/taxii2/").status_code == 401
    made = [(one.act, one.st, one.why) for one in kit.events() if one.ip]
    assert made == [*expected, ("discover", 401, "deny-no-credential")]
    assert len({one.req for one in kit.events()}) == len(kit.events())


def test_the_event_tells_who_what_and_how_much(kit: HubKit) -> None:
    kit.client("uslgb").post(kit.path("indicators", "objects/"), json={"objects": [indicator(), indicator()]})
    answer = kit.client("uslax", address="192.0.2.4").get(kit.path("indicators", "objects/?limit=5"))
    posted, event = (one for one in kit.events() if one.ip)
    assert (event.who, event.agr, event.col) == ("uslax", "exercise", kit.collection("indicators"))
    assert (event.ip, event.q, event.n) == ("192.0.2.4", "limit=5", 2)
    assert event.first == posted.first < event.last == posted.last
    assert UUID(hex=event.req).version == 4
    assert answer.headers["x-request-id"] == event.req
    assert (posted.act, posted.st, posted.n, posted.why) == ("publish", 202, 2, "allow-publisher-publish")


class SealingLog:
    """An access log that gives receipts, as the one on disk does."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.record = inner.record

    def record_all(self, events: Sequence[AccessEvent]) -> Future[Any]:
        self.inner.record_all(events).result()
        leaves = [event.req.encode().ljust(32)[:32] for event in events]
        group = Group("localhost/audit/trial/2026", 40, leaves, lambda _: bytes(64))
        future: Future[Any] = Future()
        future.set_result([Sealed(group, place) for place in range(len(events))])
        return future


def test_an_answer_carries_the_receipt_of_its_event(kit: HubKit) -> None:
    kit.app = make_app(replace(kit.hub, access=cast(Access, SealingLog(kit.hub.access))))
    lax = kit.client("uslax")
    for path in ("/taxii2/", kit.path("indicators", "objects/"), "/nowhere/"):
        answer = lax.get(path)
        receipt = parse_receipt(answer.headers["audit-receipt"])
        assert receipt.index == 40
        assert receipt.leaf.decode() == answer.headers["x-request-id"]
    assert "audit-receipt" not in kit.client("uslax").get("/healthz").headers


def test_no_answer_without_its_event(kit: HubKit) -> None:
    with_log(kit, Unavailable("The disk is full", retry_after=9))
    for member in ("uslax", None):
        answer = kit.client(member).get(kit.path("indicators", "objects/"))
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "9"
        assert answer.json()["error_code"] == "unavailable"
    assert [one for one in kit.events() if one.ip] == []


def test_an_unforeseen_failure_of_the_log_is_the_same(kit: HubKit, caplog: pytest.LogCaptureFixture) -> None:
    with_log(kit, Unavailable("not yet")).error = OSError("/secret/place")
    answer = kit.client("uslax").get("/taxii2/")
    assert answer.status_code == 503
    assert "secret" not in answer.text
    assert "/secret/place" in caplog.text


def test_a_write_keeps_its_event_pending_until_it_is_in_the_log(kit: HubKit) -> None:
    log = with_log(kit, Unavailable("The disk is full"))
    sent = {"objects": [indicator()]}
    assert kit.client("uslgb").post(kit.path("indicators", "objects/"), json=sent).status_code == 503
    (pending,) = [one for one in kit.hub.writer.pending() if one.act == "publish"]
    assert pending.n == 1
    log.error = None
    again = kit.client("uslgb").post(kit.path("indicators", "objects/"), json=sent)
    assert again.json()["success_count"] == 1
    assert pending in kit.events(), "made up for as soon as the log could be written again"
    assert kit.hub.writer.pending() == []


def test_a_steward_who_lets_the_hub_answer_unlogged_is_on_record(kit: HubKit) -> None:
    """The choice is an event before anything is served; how many answers had none is one afterwards."""
    settings = kit.hub.settings.model_copy(update={"answer_unlogged": True})
    hub = replace(kit.hub, settings=settings)
    kit.app = make_app(hub)
    chosen = [one for one in kit.events() if one.act == "answer-unlogged"]
    assert {one.agr for one in chosen} == {"hub", kit.agreement}, "auditors of an agreement see it too"
    assert [one.cred for one in chosen] == ["steward"] * 2
    log = FailingLog(kit.hub.access, Unavailable("The disk is full"))
    log.error = None
    kit.app = make_app(replace(hub, access=log))
    log.error = Unavailable("The disk is full")
    lax = kit.client("uslax")
    assert [lax.get("/taxii2/").status_code for _ in range(3)] == [200] * 3
    assert "audit-receipt" not in lax.get("/taxii2/").headers
    posted = kit.client("uslgb").post(kit.path("indicators", "objects/"), json={"objects": [indicator()]})
    assert posted.status_code == 202
    with pytest.raises(Unavailable):
        make_app(replace(hub, access=log))  # a choice that cannot be recorded does not hold
    log.error = None
    assert lax.get("/taxii2/").status_code == 200
    (told,) = [one for one in kit.events() if one.act == "unlogged"]
    assert (told.n, told.agr) == (4, kit.agreement), "in the log of those whose requests they were"
    assert [one.act for one in kit.events() if one.act == "publish"] == ["publish"], "made up for"


def test_an_event_left_over_from_a_crash_is_recorded_before_anything_is_served(kit: HubKit) -> None:
    with_log(kit, Unavailable("The disk is full"))
    kit.client("uslgb").post(kit.path("indicators", "objects/"), json={"objects": [indicator()]})
    (pending,) = [one for one in kit.hub.writer.pending() if one.act == "publish"]
    make_app(kit.hub)
    assert pending in kit.events()
    assert kit.hub.writer.pending() == []


def test_an_unforeseen_error_is_a_500_with_an_id_and_a_traceback_in_the_log(
    kit: HubKit, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("secret inside")

    kit.app = make_app(replace(kit.hub, reader=Broken()))
    answer = kit.client("uslax").get(kit.path("indicators", "objects/"))
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["content-type"] == TAXII
    assert answer.json()["error_id"] in caplog.text
    assert "secret inside" in caplog.text
    assert kit.events()[-1].why == "internal-error"


def test_rights_are_decided_before_the_body_is_read(kit: HubKit) -> None:
    kit.add_agreement("exercise", collections={"indicators": {"publishers": ["uslgb"]}})
    answer, taken = asyncio.run(post(kit, "uslax", [b"x" * 1000] * 5))
    assert answer[0]["status"] == 403
    assert answer[0]["taken"] == 0, "something of the body was read before the answer"
    assert taken == 5000, "the rest was not drained"
    assert (b"connection", b"close") in answer[0]["headers"]


def test_a_client_that_waits_for_100_continue_is_not_waited_for(kit: HubKit) -> None:
    kit.add_agreement("exercise", collections={"indicators": {"publishers": ["uslgb"]}})
    answer, taken = asyncio.run(post(kit, "uslax", [b"x"] * 5, expect=b"100-continue"))
    assert (answer[0]["status"], taken) == (403, 0)


def test_a_client_that_goes_away_while_posting_leaves_an_event(kit: HubKit) -> None:
    answer, _ = asyncio.run(post(kit, "uslgb", [], goes=True))
    assert answer[0]["status"] == 400
    assert kit.events()[-1].why == "client-gone"


async def post(
    kit: HubKit, member: str, pieces: list[bytes], *, expect: bytes = b"", goes: bool = False
) -> tuple[list[dict[str, Any]], int]:
    """Post without a length; return what was sent back and how much of the body was taken."""
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    headers += [
        (b"authorization", f"Bearer {kit.secret(member)}".encode()),
        (b"transfer-encoding", b"chunked"),
    ]
    headers += [(b"expect", expect)] if expect else []
    path = kit.path("indicators", "objects/")
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "scheme": "https",
        "http_version": "1.1",
    }
    answer: list[dict[str, Any]] = []
    left, taken = list(pieces), 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        if goes or not left:
            return {"type": "http.disconnect"}
        piece = left.pop(0)
        taken += len(piece)
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    async def send(message: Any) -> None:
        answer.append({**message, "taken": taken})

    await kit.app(scope, receive, send)
    return answer, taken


def test_errors_of_the_framework_have_the_taxii_shape_too(kit: HubKit) -> None:
    client = kit.client(None)
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.head("/healthz").status_code == 200
    answer = client.post("/healthz")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.headers["content-type"] == TAXII
    assert answer.json()["http_status"] == "405"
    assert [one for one in kit.events() if one.ip] == []


def test_a_hub_whose_store_cannot_be_read_lives_but_is_not_ready(
    kit: HubKit, caplog: pytest.LogCaptureFixture
) -> None:
    class Breaking:
        broken = False

        def epoch(self) -> int:
            if self.broken:
                raise OSError("secret")
            return kit.hub.registry.epoch()

        def __getattr__(self, name: str) -> Any:
            return getattr(kit.hub.registry, name)

    caplog.set_level(logging.CRITICAL)
    registry = Breaking()
    kit.app = make_app(replace(kit.hub, registry=registry))
    registry.broken = True
    assert kit.client(None).get("/healthz").status_code == 200
    answer = kit.client(None).get("/readyz")
    assert answer.status_code == 503
    assert "secret" not in answer.text


def test_the_openapi_document_needs_a_credential_and_lists_every_taxii_route(kit: HubKit) -> None:
    assert kit.client(None).get("/openapi.json").status_code == 401
    document = kit.client("uslax", headers={"Accept": "application/json"}).get("/openapi.json").json()
    operations = {(path, method) for path, item in document["paths"].items() for method in item}
    assert operations >= {
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/schemas/", "get"),
        ("/schemas/maritime-context-1.0.json", "get"),
        ("/schemas/sharing-terms-1.0.json", "get"),
        ("/taxii2/", "get"),
        ("/{root}/", "get"),
        ("/{root}/status/{status}/", "get"),
        ("/{root}/collections/", "get"),
        ("/{root}/collections/{collection}/", "get"),
        ("/{root}/collections/{collection}/manifest/", "get"),
        ("/{root}/collections/{collection}/objects/", "get"),
        ("/{root}/collections/{collection}/objects/", "post"),
        ("/{root}/collections/{collection}/objects/{object}/", "get"),
        ("/{root}/collections/{collection}/objects/{object}/", "delete"),
        ("/{root}/collections/{collection}/objects/{object}/versions/", "get"),
        ("/staged/{root}/{collection}/", "get"),
        ("/staged/{root}/{collection}/{object}/", "delete"),
        ("/why/{root}/{collection}/", "get"),
        ("/why/{root}/{collection}/", "post"),
        ("/audience/{root}/{collection}/", "get"),
        ("/audience/{root}/{collection}/", "post"),
        ("/audit/{root}/", "get"),
    }
    assert {"Envelope", "Status", "Error", "Health"} <= set(document["components"]["schemas"])


def test_a_websocket_is_closed(kit: HubKit) -> None:
    sent: list[Any] = []

    async def run() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            raise AssertionError("nothing is to be received")

        await kit.app({"type": "websocket", "path": "/"}, receive, send)

    asyncio.run(run())
    assert [one["type"] for one in sent] == ["websocket.close"]
