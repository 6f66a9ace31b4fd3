"""Asks a TAXII application in process, down to the raw bytes, and judges each answer by the standard.

An ASGI driver of its own instead of an HTTP library: paths, queries, headers and body pieces go in exactly as
a hostile client would send them, and what an answer is made of comes out untouched. Every TAXII answer that
passes through `Reply.json` or `Reply.error` is checked for media type and shape on the way.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

TAXII = "application/taxii+json;version=2.1"
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)
ERROR_NAMES = {
    *{"title", "description", "error_id", "error_code", "http_status", "external_details", "details"}
}
ADVICE = frozenset(
    {
        *{"send", "use", "give", "leave", "ask", "write", "post", "split", "try", "start", "correct", "pick"},
        *{"percent-encode", "publish", "refer", "set"},
    }
)
"""The words that a sentence of advice begins with."""

Params = Mapping[str, str | int] | Sequence[tuple[str, str]] | str
App = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Header names are lower case; repeated headers are joined by a comma and a blank."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as a TAXII resource; checks media type, encoding and that no list in it is empty."""
        assert self.headers.get("content-type") == TAXII, self
        value = json.loads(self.body.decode("utf-8"))
        assert isinstance(value, dict), self
        return value

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The objects of an envelope or the entries of a manifest."""
        assert self.status == 200, self
        return list(self.json.get("objects", []))

    @property
    def first(self) -> str:
        return self.headers["x-taxii-date-added-first"]

    @property
    def last(self) -> str:
        return self.headers["x-taxii-date-added-last"]

    def ok(self) -> Reply:
        """Return self if the status is a success."""
        assert 200 <= self.status < 300, (self.status, self.body[:2000])
        return self

    def error(self, *statuses: int) -> dict[str, Any]:
        """Return the TAXII error of this answer, which has one of `statuses` and says what to do."""
        assert self.status in statuses, (self.status, self.body[:2000])
        value = self.json
        assert set(value) <= ERROR_NAMES, value
        assert isinstance(value["title"], str), value
        assert value["title"].strip(), value
        assert value.get("http_status", str(self.status)) == str(self.status), value
        assert all(isinstance(value[name], str) for name in value if name != "details"), value
        assert "Traceback" not in self.body.decode()
        owed = {401: "www-authenticate", 405: "allow", 429: "retry-after", 503: "retry-after"}
        if self.status in owed:
            assert self.headers[owed[self.status]]
        return value

    def advice(self, *statuses: int) -> str:
        """Return the title of this TAXII error after checking that it says what to do."""
        title = str(self.error(*statuses)["title"])
        begins = {sentence.split(" ")[0].lower() for sentence in title.split(". ")}
        assert begins & ADVICE, f"the title does not say what to do: {title!r}"
        return title


@dataclass(slots=True)
class Driver:
    """Runs requests against one application, one after the other, in one event loop."""

    app: App
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    address: str = "127.0.0.1"

    def close(self) -> None:
        """Close the loop."""
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def ask(
        self,
        method: str,
        path: str,
        query: bytes = b"",
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | Sequence[bytes] = b"",
        address: str | None = None,
    ) -> Reply:
        """Send one request. `path` may hold percent escapes; a body in pieces goes without Content-Length."""
        return self.loop.run_until_complete(
            self.request(method, path, query, headers=headers, body=body, address=address)
        )

    async def request(
        self,
        method: str,
        path: str,
        query: bytes = b"",
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | Sequence[bytes] = b"",
        address: str | None = None,
    ) -> Reply:
        """Send one request inside a running loop (for several at once)."""
        whole = isinstance(body, bytes)
        pieces = [body] if isinstance(body, bytes) else list(body)
        sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        if whole and body and not any(name == b"content-length" for name, _ in sent):
            sent.append((b"content-length", str(len(pieces[0])).encode()))
        if not any(name == b"host" for name, _ in sent):
            sent.append((b"host", b"localhost:9443"))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": _decoded(path),
            "raw_path": path.encode("latin-1"),
            "root_path": "",
            "query_string": query,
            "headers": sent,
            "client": (address or self.address, 40000),
            "server": ("127.0.0.1", 9443),
            "state": {},
        }
        exchange = _Exchange(pieces)
        await asyncio.wait_for(self.app(scope, exchange.receive, exchange.send), 30)
        return exchange.reply()


class _Exchange:
    """The two ends of one ASGI exchange."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = list(pieces)
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._done = False

    async def receive(self) -> dict[str, Any]:
        if self._pieces:
            piece = self._pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}
        return {"type": "http.disconnect"}

    async def send(self, message: Mapping[str, Any]) -> None:
        assert not self._done, "sent after the last body"
        if message["type"] == "http.response.start":
            assert not self._status, "two starts"
            self._status = message["status"]
            for name, value in message.get("headers", ()):
                key = name.decode().lower()
                held = self._headers.get(key)
                self._headers[key] = value.decode("latin-1") if held is None else f"{held}, {value.decode()}"
        elif message["type"] == "http.response.body":
            assert self._status, "a body before the start"
            self._body += message.get("body", b"")
            self._done = not message.get("more_body", False)

    def reply(self) -> Reply:
        assert self._done, "no complete answer"
        return Reply(self._status, self._headers, bytes(self._body))


def _decoded(path: str) -> str:
    """Return a path as ASGI servers pass it on: percent escapes resolved, bad UTF-8 replaced."""
    raw = re.sub(
        rb"%([0-9A-Fa-f]{2})", lambda found: bytes([int(found.group(1), 16)]), path.encode("latin-1")
    )
    return raw.decode("utf-8", "replace")


def query_bytes(params: Params | None) -> bytes:
    """Return a query string; brackets, commas and colons stay as clients write them."""
    if not params:
        return b""
    if isinstance(params, str):
        return params.encode("latin-1")
    pairs = params.items() if isinstance(params, Mapping) else params
    return "&".join(f"{quote(str(k), '[]')}={quote(str(v), ',:')}" for k, v in pairs).encode()


def basic(name: str, secret: str) -> str:
    """Return an Authorization value for HTTP Basic."""
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody who asks: a credential (None: nobody), an address, and the collection meant by default."""

    driver: Driver
    authorization: str | None
    collection: str
    address: str | None = None

    def ask(
        self,
        method: str,
        path: str,
        params: Params | None = None,
        *,
        headers: Mapping[str, str | None] | None = None,
        body: bytes | Sequence[bytes] = b"",
    ) -> Reply:
        """Send one request; a header given as None is left out."""
        wanted: dict[str, str | None] = {"Accept": TAXII, "User-Agent": "conformance"}
        wanted |= {"Authorization": self.authorization}
        if body:
            wanted["Content-Type"] = TAXII
        wanted |= dict(headers or {})
        sent = [(name, value) for name, value in wanted.items() if value is not None]
        return self.driver.ask(
            method, path, query_bytes(params), headers=sent, body=body, address=self.address
        )

    def get(self, path: str, params: Params | None = None, **headers: str | None) -> Reply:
        """GET; header names are written with underscores."""
        return self.ask("GET", path, params, headers=_names(headers))

    def delete(self, path: str, params: Params | None = None, **headers: str | None) -> Reply:
        return self.ask("DELETE", path, params, headers=_names(headers))

    def at(self, rest: str) -> str:
        """Return a path below the default collection."""
        return f"{self.collection}{rest}"

    def objects(self, params: Params | None = None, **headers: str | None) -> Reply:
        return self.get(self.at("objects/"), params, **headers)

    def manifest(self, params: Params | None = None, **headers: str | None) -> Reply:
        return self.get(self.at("manifest/"), params, **headers)

    def object(self, stix_id: str, params: Params | None = None, **headers: str | None) -> Reply:
        return self.get(self.at(f"objects/{stix_id}/"), params, **headers)

    def versions(self, stix_id: str, params: Params | None = None, **headers: str | None) -> Reply:
        return self.get(self.at(f"objects/{stix_id}/versions/"), params, **headers)

    def withdraw(self, stix_id: str, params: Params | None = None, **headers: str | None) -> Reply:
        return self.delete(self.at(f"objects/{stix_id}/"), params, **headers)

    def send(self, body: bytes | Sequence[bytes], **headers: str | None) -> Reply:
        """POST these bytes to the default collection."""
        return self.ask("POST", self.at("objects/"), headers=_names(headers), body=body)

    def post(self, *objects: Any, **headers: str | None) -> Reply:
        """POST an envelope of these objects."""
        return self.send(json.dumps({"objects": list(objects)}).encode(), **headers)

    def publish(self, *objects: Any) -> dict[str, Any]:
        """POST an envelope and return its status; everything in it has to be taken."""
        status = self.post(*objects).ok().json
        assert status["failure_count"] == 0, status
        return status

    def all(self, params: Mapping[str, str | int] | None = None) -> list[dict[str, Any]]:
        """Return all objects by following `next`."""
        found: list[dict[str, Any]] = []
        asked: dict[str, str | int] = dict(params or {})
        while True:
            page = self.objects(asked)
            found += page.objects
            if not page.json.get("more"):
                assert "next" not in page.json
                return found
            asked["next"] = page.json["next"]


def _names(headers: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
