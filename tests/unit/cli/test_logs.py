"""The log: one line an event, nothing that was posted or asked for, never in a request's way."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from hubkit import HubKit, make_hub
from lightship.cli import logs
from lightship.cli.logs import LineLog, as_json, as_text
from lightship.core.audit import AuditQuery
from lightship.core.time import Micros
from lightship.usecases.directory import HubView
from lightship.web.message import Request
from stixsamples import indicator


async def nothing() -> dict[str, object]:
    return {}


def asked() -> Request:
    return Request(
        UUID(int=7),
        Micros(0),
        "GET",
        "/secret-path",
        b"match[id]=secret-query",
        {b"authorization": b"secret-header"},
        "192.0.2.77",
        nothing,
        HubView(0, {}),
        act="read-objects",
        agr="pedro",
        who="uslax",
        cred="c1",
        q="match[id]=secret-query",
    )


@pytest.fixture
def written() -> list[bytes]:
    return []


@pytest.fixture
def make(written: list[bytes]) -> Iterator[Callable[..., LineLog]]:
    made: list[LineLog] = []

    def maker(form: Callable[[logs.Fields], bytes] = as_json, **more: bool) -> LineLog:
        made.append(LineLog(written.append, form, **more))
        return made[-1]

    yield maker
    for one in made:
        one.close()


def lines(written: list[bytes]) -> list[dict[str, object]]:
    return [json.loads(line) for line in b"".join(written).splitlines()]


def test_a_request_is_one_line_with_ids_and_the_route_and_nothing_else(
    make: Callable[..., LineLog], written: list[bytes]
) -> None:
    log = make()
    log.request(asked(), 200, 12_345)
    log.close()
    (line,) = lines(written)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line.pop("time")))
    assert line == {
        "level": "info",
        "logger": "lightship.request",
        "event": "request",
        "request": UUID(int=7).hex,
        "method": "GET",
        "route": "read-objects",
        "status": 200,
        "ms": 12.3,
        "agreement": "pedro",
        "member": "uslax",
        "credential": "c1",
    }


def test_text_is_one_line_of_words_that_nobody_can_break_out_of(
    make: Callable[..., LineLog], written: list[bytes]
) -> None:
    log = make(as_text)
    hostile = 'x" level=error\nevent="forged" \u2028é\x1b[2J'
    record = logging.makeLogRecord(
        {"msg": hostile, "levelname": "INFO", "name": "a", "fields": {"key": hostile, "n": 1.5, "no": ""}}
    )
    log.emit(record)
    log.close()
    (line,) = b"".join(written).splitlines()
    text = line.decode("ascii")
    assert re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', text)[1:3] == [("level", "info"), ("logger", "a")]
    found = dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', text))
    assert json.loads(found["event"]) == json.loads(found["key"]) == hostile
    assert (found["n"], found["no"]) == ("1.5", '""')
    assert "\x1b" not in text


@pytest.mark.parametrize(("messages", "told"), [(False, False), (True, True)])
def test_the_message_of_an_unforeseen_exception_stays_out_unless_debugging(
    make: Callable[..., LineLog], written: list[bytes], messages: bool, told: bool
) -> None:
    log = make(messages=messages)
    try:
        try:
            raise KeyError("posted-secret")
        except KeyError as error:
            raise ValueError("posted-secret") from error
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "", 1, "request %s failed", ("r1",), sys.exc_info())
    log.emit(record)
    log.close()
    (line,) = lines(written)
    assert (b"posted-secret" in b"".join(written)) is told
    assert line["event"] == "request r1 failed"
    assert line["exception"] == "ValueError < KeyError"
    assert "test_logs.py" in str(line["trace"])


def test_lines_that_nobody_reads_are_dropped_and_counted_and_requests_go_on(
    make: Callable[..., LineLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "GATHER_S", 0)
    reading, begun, written = threading.Event(), threading.Event(), list[bytes]()

    def blocked(piece: bytes) -> None:
        begun.set()
        reading.wait(10)
        written.append(piece)

    log = LineLog(blocked, as_json)
    log.request(asked(), 200, 1)
    assert begun.wait(10)
    for _ in range(logs.MOST_LINES + 25):
        log.request(asked(), 200, 1)
    reading.set()
    log.close()
    told = lines(written)
    assert told[-1]["lines"] == 25
    assert len(told) == logs.MOST_LINES + 2


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    def broken(_: bytes) -> None:
        raise OSError("no space")

    log = LineLog(broken, as_json)
    log.request(asked(), 200, 1)
    log.close()
    assert not log._thread.is_alive()


def test_everything_of_a_process_goes_to_stderr_also_the_last_line(tmp_path: Path) -> None:
    code = (
        "import logging; from lightship.cli.logs import start_log; start_log('info', 'json');"
        "logging.getLogger('x').debug('no'); logging.getLogger('x').warning('last')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    assert done.stdout == b""
    assert [line["event"] for line in lines([done.stderr])] == ["last"]


def test_no_secret_query_or_content_of_a_real_hub_gets_into_the_log(
    tmp_path: Path, make: Callable[..., LineLog], written: list[bytes]
) -> None:
    log = make()
    own = logging.getLogger("lightship")
    level = own.level
    own.addHandler(log)
    own.setLevel(logging.INFO)
    try:
        with make_hub(tmp_path) as kit:
            kit.hub.traffic.line = log.request
            one = indicator(name="very-particular-name", pattern="[ipv4-addr:value = '198.51.100.77']")
            _everything(kit, one)
            secrets = [secret for _, secret in kit.held.values()]
    finally:
        own.removeHandler(log)
        own.setLevel(level)
    log.close()
    text = b"".join(written).decode()
    for hidden in (
        *secrets,
        "198.51.100.77",
        "very-particular",
        str(one["id"]),
        "added_after",
        "wrong-secret",
    ):
        assert hidden not in text
    requests = [line for line in lines(written) if line["event"] == "request"]
    assert [(line["route"], line["status"]) for line in requests] == [
        ("publish", 202),
        ("publish", 202),
        ("publish", 400),
        ("read-objects", 200),
        ("read-object", 200),
        ("read-root", 401),
        ("read-root", 404),
        ("read-objects", 400),
    ]
    events = {event.req for event in kit.hub.access.search(AuditQuery(limit=1000))}
    assert {str(line["request"]) for line in requests} <= events


def _everything(kit: HubKit, one: dict[str, object]) -> None:
    place = kit.path("indicators", "objects/")
    with kit.client("uslgb") as lgb, kit.client("uslax") as lax, kit.client(None) as nobody:
        lgb.post(place, json={"objects": [one]})
        lgb.post(place, json={"objects": [{**one, "pattern": "198.51.100.77 is no pattern"}]})
        lgb.post(place, content=b'{"objects": [{"name": very-particular}]}')
        lax.get(place, params={"added_after": "2020-01-01T00:00:00Z"})
        lax.get(f"{place}{one['id']}/")
        nobody.get(kit.root, headers={"Authorization": "Bearer wrong-secret"})
        lax.get("/very-particular-path")
        lax.get(place, params={"added_after": "198.51.100.77"})
