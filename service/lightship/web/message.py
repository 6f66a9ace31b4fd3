"""One request and one answer, as the HTTP faces of the hub see them, and what a request's event needs.

Plain slotted values: no framework object is made for a request. The peer's address is the transport's; no
forwarding header is ever read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from lightship.core.access import ClientCertificate, Principal
from lightship.core.audit import HUB_SCOPE, AccessEvent
from lightship.core.collection import Verdict
from lightship.core.ports import PublishOutcome
from lightship.core.time import Micros
from lightship.usecases.directory import HubView

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

TAXII = "application/taxii+json;version=2.1"
TAXII_TYPE: Header = (b"content-type", TAXII.encode())
JSON_TYPE: Header = (b"content-type", b"application/json")
NO_STORE: Header = (b"cache-control", b"no-store")
MAX_LOGGED_QUERY = 2_000
"""Characters of a query that the access event keeps."""


@dataclass(slots=True)
class Request:
    """One request. `headers` has lower-case names; a repeated header is joined by a comma and a blank.

    `view` is what the hub offers at the policy epoch that the request is decided under. The fields from `act`
    on are filled in while it is handled, for its access event.
    """

    id: UUID
    at: Micros
    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    address: str
    receive: Receive
    view: HubView
    size: int = 0
    """Bytes of all header names and values."""
    certificate: ClientCertificate | None = None
    """What the connection showed in its handshake."""
    body_begun: bool = False
    body_ended: bool = False
    act: str = "unknown-path"
    agr: str = HUB_SCOPE
    who: str = ""
    cred: str = ""
    col: str = ""
    q: str = ""
    why: str = ""
    n: int = 0
    first: int = 0
    last: int = 0
    receipt: bytes = b""
    """The receipt of its event, empty where there is none."""
    written: AccessEvent | None = None
    """The event that a write's transaction holds as pending; then it counts, not the fields above."""

    def has_body(self) -> bool:
        """True if a body was announced."""
        length = self.headers.get(b"content-length", b"0")
        return length.strip() not in {b"0", b""} or b"transfer-encoding" in self.headers

    def belongs_to(self, principal: Principal) -> None:
        """Note who asks."""
        self.agr, self.who, self.cred = principal.agreement, principal.member, principal.credential

    def done(self, why: str, n: int = 0, first: int = 0, last: int = 0) -> None:
        """Note the permitting rule, and how many objects with which stamps it was about."""
        self.why, self.n, self.first, self.last = why, n, first, last

    def event(self, status: int) -> AccessEvent:
        """Return the access event of this request, answered with `status`."""
        return self._event(status, self.n, self.first, self.last)

    def publish_event(self, status: int, outcome: PublishOutcome) -> AccessEvent:
        """Return the access event of a request that published: what it added, between which stamps."""
        added = sum([item.verdict is Verdict.ADD for item in outcome.items])
        return self._event(status, added, outcome.added_first, outcome.added_last)

    def _event(self, status: int, n: int, first: int, last: int) -> AccessEvent:
        return AccessEvent(
            req=self.id.hex,
            at=self.at,
            act=self.act,
            agr=self.agr,
            who=self.who,
            cred=self.cred,
            col=self.col,
            q=self.q[:MAX_LOGGED_QUERY],
            ip=self.address,
            st=status,
            why=self.why,
            n=n,
            first=first,
            last=last,
        )


WHOLE = "lightship.whole"
"""A message, and the ASGI extension that offers it: a complete answer in one piece. `head` is the finished
lines of its header fields, Content-Length among them, each with its line end; `status`, `body` as usual."""
CERTIFICATE = "lightship.certificate"
"""The extension with the connection's `ClientCertificate`, there only if it showed one whose chain holds."""
_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `headers` hold all but Content-Length, which follows from `body`.

    `head` is the same as lines (`head_of`), for an answer that is given again and again; empty otherwise.
    """

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = (TAXII_TYPE, NO_STORE)
    head: bytes = b""


def head_of(headers: Iterable[Header]) -> bytes:
    """Return header fields as lines.

    Raises:
        ValueError: a name or value with a control character, which would end its line (RFC 9110 section 5.5).
    """
    lines = [name + b": " + value for name, value in headers]
    if any(len(line) != len(line.translate(None, _CONTROLS)) for line in lines):
        raise ValueError("a control character in a header field")
    return b"".join(line + b"\r\n" for line in lines)


def with_head(answer: Answer) -> Answer:
    """Return the answer with its finished lines."""
    length = (b"content-length", str(len(answer.body)).encode())
    return replace(answer, head=head_of((*answer.headers, length)))


Handler = Callable[[Request, Principal, Mapping[str, str]], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """What one path pattern answers: a handler and an action's name for each method (HEAD is GET's).

    `negotiates` is False where another media type than TAXII's is answered.
    """

    methods: Mapping[str, tuple[str, Handler]]
    negotiates: bool = True
    allow: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        named = set(self.methods) | {"OPTIONS"} | ({"HEAD"} if "GET" in self.methods else set())
        object.__setattr__(self, "allow", tuple(sorted(named)))


Router = Callable[[str], tuple[Route, Mapping[str, str]] | None]
"""Finds the route of a raw path (percent escapes as sent) and the values in it, None if there is none."""
