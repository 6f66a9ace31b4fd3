"""Receipts of answers are appended to a file, refusals' too, as the verifier reads them; nothing else is."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx2
import pytest

from auditlab import AuditLab, hub_events
from lightship.client.audit_files import read_receipts
from lightship.client.connection import Connection, Limits
from lightship.core.errors import LightshipError


def test_each_answer_with_a_receipt_leaves_a_line(tmp_path: Path) -> None:
    lab = AuditLab(tmp_path)
    events = hub_events(3)
    given = lab.record(events)
    ids = iter([one.req for one in events])
    values = iter(one.header().decode() for one in given)
    answers = iter([200, 404, 200])

    def hub(request: httpx2.Request) -> httpx2.Response:
        headers = {"Content-Type": "application/taxii+json;version=2.1", "Date": "today"}
        if request.url.path != "/healthz/":
            headers["X-Request-ID"] = next(ids)
            headers["Audit-Receipt"] = next(values)
        return (
            httpx2.Response(next(answers), headers=headers, json={})
            if "Audit-Receipt" in headers
            else (httpx2.Response(200, headers=headers, json={}))
        )

    kept = tmp_path / "receipts.ndjson"
    transport = httpx2.MockTransport(hub)
    connection = Connection(
        "https://hub.example", "u", "secret", limits=Limits(attempts=1), receipts=kept, transport=transport
    )
    with connection:
        connection.get("/taxii2/", {"limit": 7})
        connection.get("/healthz/")
        with pytest.raises(LightshipError):
            connection.get("/nothing/")
        connection.get("/a/")
    lines = [json.loads(line) for line in kept.read_bytes().splitlines()]
    assert [(line["path"], line["status"]) for line in lines] == [
        ("/taxii2/", 200),
        ("/nothing/", 404),
        ("/a/", 200),
    ]
    assert [line["request"] for line in lines] == [one.req for one in events]
    assert "limit" not in kept.read_text()
    assert "secret" not in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    found = read_receipts(kept)
    assert [(one.receipt, one.request) for one in found] == [
        (receipt, one.req) for receipt, one in zip(given, events, strict=True)
    ]
    assert lab.verify(receipts=found).ok


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    answer = httpx2.Response(200, headers={"Audit-Receipt": "v1"}, json={})
    connection = Connection(
        "https://hub.example",
        "u",
        "secret",
        receipts=tmp_path / "nowhere" / "file",
        transport=httpx2.MockTransport(lambda request: answer),
    )
    with connection, pytest.raises(OSError, match="nowhere"):
        connection.get("/taxii2/")
