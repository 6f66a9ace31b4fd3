"""Fuzz target: bytes on a connection, through the HTTP/1.1 protocol and the whole application.

An input is what a client sends: request lines, header fields, bodies, several requests if it likes; the word
CUT ends a piece that arrives by itself, SECRET stands for the secret of a credential that may do everything,
NEXT for a token. No answer may be a 5xx, every answer of 400 and above is a TAXII error, every JSON body is
JSON, nothing hangs, and after each post the collection can be read. Every other hub is on disk; fsck
looks at it when its turn is over.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from lightship.core.cursor import Token, write_token
from lightship.core.query import Endpoint, Filters
from lightship.core.time import Micros
from lightship.storage.fsck import fsck
from lightship.storage.sqlite.access_log import open_access_log
from lightship.storage.sqlite.store import open_store
from lightship.web.message import Receive, Scope, Send
from lightship.web.protocol import BoundedProtocol
from lightship.web.server import HubServer
from lightship.wiring import make_app
from probehub import ProbeHub
from stixsamples import address, indicator
from taxiiprobe import ERROR_NAMES, TAXII

INPUTS_A_HUB = 1_000
"""Inputs after which a fresh hub is taken, so that no input's reads grow with those before it."""
SECONDS_BETWEEN = 20
"""So that failed logins of one input are not throttled because of those before it."""
_NO_BODY = frozenset({204, 304})
_ID = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"


class Connection(asyncio.Transport):
    """The server's end of a connection that nobody reads."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 40000), "sockname": ("127.0.0.1", 9443)})
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing is read by itself."""

    resume_reading = pause_reading
    set_protocol = pause_reading  # type: ignore[assignment] # a connection keeps its protocol here


class Watch:
    """Stands before the application and judges each answer."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.findings: list[str] = []
        self.requests = 0
        self.posted = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        self.requests += 1
        status, kind, body = 0, "", bytearray()

        async def judge(message: MutableMapping[str, Any]) -> None:
            nonlocal status, kind
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = dict(message["headers"])
                kind = headers.get(b"content-type", b"").decode()
            else:
                body.extend(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, judge)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever it is, it is a finding
            self.findings.append(f"{scope['method']} {scope.get('raw_path')!r}: raised {error!r}")
            raise
        self.posted |= status == 202
        if status and (wrong := _judged(scope["method"], status, kind, bytes(body))):
            self.findings.append(f"{scope['method']} {scope.get('raw_path')!r}: {status} {wrong}")


def _judged(method: str, status: int, kind: str, body: bytes) -> str:
    """Return what is wrong with an answer, empty if nothing is."""
    if status >= 500:
        return repr(body[:300])
    if method == "HEAD" or status in _NO_BODY or (status == 200 and method == "DELETE"):
        return "has a body" if body else ""
    if body.startswith(b"\x1f\x8b") or kind.startswith("text/") or (status == 400 and not body):
        return ""
    try:
        value = json.loads(body)
    except ValueError as error:
        return f"is no JSON: {error}"
    if status >= 400 and (kind != TAXII or not value.get("title") or set(value) - ERROR_NAMES):
        return f"is no TAXII error: {kind} {value}"
    return ""


class DiskHub(ProbeHub):
    """A hub over the embedded store, all of whose data can be checked."""

    def _open_store(self) -> None:
        self.data = Path(tempfile.mkdtemp(prefix="fuzz-"))
        self.store, self.access = open_store(self.data, self.clock), open_access_log(self.data, self.clock)
        self._remove = partial(shutil.rmtree, self.data)

    def close(self) -> None:
        """Check, then close."""
        try:
            report = fsck(self.data)
            assert not report.findings, report.findings
        finally:
            super().close()


class Wire:
    """One hub after the other, asked over connections that never were."""

    def __init__(self, kinds: Sequence[type[ProbeHub]]) -> None:
        self.kinds = cycle(kinds)
        self.inputs = 0
        self.hub: ProbeHub | None = None

    def __call__(self, data: bytes) -> None:
        """Send one input over a connection of its own."""
        if self.hub is None or self.inputs % INPUTS_A_HUB == 0:
            self._fresh()
        assert self.hub is not None
        self.inputs += 1
        self.hub.advance(SECONDS_BETWEEN)
        self.watch.posted, self.watch.requests = False, 0
        for word, stands_for in self.words.items():
            data = data.replace(word, stands_for)
        connection = self.hub.driver.loop.run_until_complete(self._talk(data.split(b"CUT")))
        findings, self.watch.findings = self.watch.findings, []
        assert not findings, findings
        if not self.watch.requests and connection.written:
            assert connection.written.startswith(b"HTTP/1.1 4"), bytes(connection.written[:200])
        if self.watch.posted:
            assert self.hub.lax.objects({"match[version]": "all", "limit": 10_000}).objects
            assert self.hub.lax.manifest({"match[version]": "all", "limit": 10_000}).objects

    def close(self) -> None:
        """End the hub at hand."""
        hub, self.hub = self.hub, None
        if hub is not None:
            hub.close()

    def _fresh(self) -> None:
        self.close()
        hub = self.hub = next(self.kinds)()
        hub.lgb.publish(indicator(id=_ID), address())
        self.watch = Watch(make_app(hub.hub, plain=True))
        self.server = HubServer(self.watch, host="127.0.0.1", port=0, tls=None)
        self.server.config.load()
        place = Token(hub.collections["indicators"], Endpoint.OBJECTS, Filters(), Micros(5))
        self.words = {
            b"SECRET": hub.login("uslgb")[1].encode(),
            b"NEXT": write_token(hub.hub.cursor_key, place).encode(),
        }

    async def _talk(self, pieces: list[bytes]) -> Connection:
        """Send pieces, wait for answers, hang up."""
        loop = asyncio.get_running_loop()
        connection, tasks = Connection(), self.server.server_state.tasks
        protocol = BoundedProtocol(
            config=self.server.config, server_state=self.server.server_state, app_state={}, _loop=loop
        )
        protocol.connection_made(connection)
        for piece in pieces:
            if not connection.closed:
                protocol.data_received(piece)
                await asyncio.sleep(0)
        for _ in range(1_000):
            cycle: RequestResponseCycle | None = protocol.cycle  # None before the first request
            if not tasks or (cycle is not None and cycle.more_body):
                break
            await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(20):
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        if tasks:
            _, hanging = await asyncio.wait(set(tasks), timeout=10)
            assert not hanging, "a request does not end after its client went away"
        return connection


@contextmanager
def opened(*kinds: type[ProbeHub]) -> Iterator[Callable[[bytes], None]]:
    """Give the target; its hubs are in memory and on disk by turns, or of the given kinds."""
    loggers = [logging.getLogger("uvicorn.error"), logging.getLogger("lightship")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    wire = Wire(kinds or (ProbeHub, DiskHub))
    try:
        yield wire
    finally:
        wire.close()
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
