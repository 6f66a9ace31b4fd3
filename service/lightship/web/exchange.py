"""The life of one request, the same for every face: who, may they, do it, log it, then answer.

Order: a new request id; the route, matched on the raw path; authentication; the method; Accept; the handler,
which decides the rights before it reads a body; the access event, durable; only then the answer. Every
request makes one event, refused and failed ones too, and names the rule that decided. If the access log
cannot be written nothing is answered but 503. The event of a write is the one that its transaction holds as
pending, so that no effect can be without its event; it is settled once it is in the log.

Two things make no event, since they tell nothing about anybody: the health check, which never comes here, and
bytes that are no HTTP request. Of a flood without a credential only so many have an event of their own; the
others are counted, answered without waiting, and stood for by one event when the minute is over.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from uuid import UUID

from lightship.core.audit import AccessEvent
from lightship.core.errors import LightshipError, MethodNotAllowed, NotFound, Unavailable
from lightship.core.log.receipt import HEADER
from lightship.core.ports import Access, Clock, Writer
from lightship.core.time import Micros
from lightship.usecases.directory import Directory, HubView
from lightship.usecases.recover import recover, tell_unlogged
from lightship.web.authenticate import Authenticator
from lightship.web.floods import Floods, record
from lightship.web.landing import Landing
from lightship.web.limits import ClientGone, Limits, check_sizes, drain
from lightship.web.message import (
    CERTIFICATE,
    WHOLE,
    Answer,
    Header,
    Receive,
    Request,
    Router,
    Scope,
    Send,
    head_of,
)
from lightship.web.negotiate import check_accept
from lightship.web.problems import answer_error, answer_unknown, log_unknown, rule_of
from lightship.web.traffic import Traffic

_log = logging.getLogger("lightship.web")
_NO_BODY = frozenset({204, 304})
_JOINABLE = b", "
RECEIPT = HEADER.lower().encode()
SLOW = 408
"""A body that came too slowly is not waited for again."""
_NOTHING = HubView(-1, {})
_SECURITY: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"strict-transport-security", b"max-age=31536000"),
)


class Exchange:
    """An ASGI application that carries out the order above for the routes of a router.

    With `answers_unlogged` an answer leaves although the access log cannot be written; how many did is
    recorded once it can. `stays_on_tls` tells browsers never to use plain HTTP with this host name (RFC
    6797): not for one that other programs of the same machine answer to as well.
    """

    def __init__(
        self,
        *,
        router: Router,
        directory: Directory,
        authenticate: Authenticator,
        access: Access,
        writer: Writer,
        clock: Clock,
        new_id: Callable[[], UUID],
        limits: Limits,
        traffic: Traffic,
        floods: Floods,
        answers_unlogged: bool = False,
        stays_on_tls: bool = True,
    ) -> None:
        self._answers_unlogged = answers_unlogged
        self._unlogged_counts = Counter[str]()  # by agreement
        self._router = router
        self._directory = directory
        self._authenticate = authenticate
        self._access = access
        self._landing = Landing(access.record_all)
        self._writer = writer
        self._clock = clock
        self._new_id = new_id
        self._limits = limits
        self._traffic = traffic
        self._floods = floods
        self._owes_events = False
        self._always = _SECURITY if stays_on_tls else _SECURITY[:1]
        self._always_lines = head_of(self._always)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one `http` scope."""
        begun = self._clock.monotonic()
        request = self._request(scope, receive)
        try:
            request.view = self._directory.view()
            answer = await self._handle(request)
        except LightshipError as error:
            request.why = rule_of(error)
            answer = answer_error(error, request.id)
        except ClientGone:
            request.why = "client-gone"
            answer = Answer(400)
        except Exception:  # the last line of defence: nothing of it may reach the client
            log_unknown(request.id)
            request.why = "internal-error"
            answer = answer_unknown(request.id)
        if request.cred or request.written or self._floods.admit(request.address, request.at):
            answer = await self._logged(request, answer)
        await self._release(request, answer, scope, send)
        self._traffic.done(request, answer.status, self._clock.monotonic() - begun)
        if self._floods.owes:
            await self._record_others(request.at)

    def _request(self, scope: Scope, receive: Receive) -> Request:
        headers: dict[bytes, bytes] = {}
        size = 0
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            held = headers.get(name)
            headers[name] = value if held is None else held + _JOINABLE + value
        client = scope.get("client")
        raw_path = scope.get("raw_path")
        extensions = scope.get("extensions")
        return Request(
            id=self._new_id(),
            at=self._clock.now(),
            method=scope["method"],
            path=raw_path.decode("latin-1") if raw_path is not None else scope["path"],
            query=scope["query_string"],
            headers=headers,
            address=client[0] if client else "",
            receive=receive,
            view=_NOTHING,
            size=size,
            certificate=extensions.get(CERTIFICATE) if extensions else None,
        )

    async def _handle(self, request: Request) -> Answer:
        """Return the answer of the request's handler; raises what it raises."""
        check_sizes(len(request.path) + len(request.query), request.size)
        found = self._router(request.path)
        if found is None:
            raise NotFound("There is nothing here", todo="Start from discovery at /taxii2/")
        route, values = found
        method = "GET" if request.method == "HEAD" else request.method
        request.act, handler = route.methods.get(method, ("other-method", None))
        principal = self._authenticate(
            request.view, request.headers, request.address, request.at, request.certificate
        )
        request.belongs_to(principal)
        request.q = request.query.decode("latin-1")  # a stranger's is not kept: it may hold a secret
        if request.method == "OPTIONS":
            request.act, request.why = "options", "allow-member-list"
            return Answer(204, headers=((b"allow", ", ".join(route.allow).encode()),))
        if handler is None:
            raise MethodNotAllowed(
                "This resource has no such method", allow=route.allow, todo=f"Use {', '.join(route.allow)}"
            )
        if route.negotiates:
            check_accept(request.headers.get(b"accept"))
        return await handler(request, principal, values)

    async def _logged(self, request: Request, answer: Answer) -> Answer:
        """Return the answer once its event is durable, or the 503 that is answered instead."""
        event = request.written or request.event(answer.status)
        try:
            request.receipt = await self._landing.wait(event, len(answer.body))
        except LightshipError as error:
            return self._unlogged(event, answer, error, request)
        except Exception:  # a log that fails in an unforeseen way is a log that cannot be written
            log_unknown(request.id)
            fault = Unavailable("The access log cannot be written")
            return self._unlogged(event, answer, fault, request)
        if request.written is not None:
            self._writer.settle([event.req])
        if self._owes_events or self._unlogged_counts:
            await self._pay_events()
        return answer

    async def _record_others(self, now: Micros) -> None:
        """Record what stands for the floods of the minutes that are over; tried again in a minute."""
        owed = self._floods.take(now)
        if owed:
            for one in await asyncio.to_thread(record, owed, self._access, self._new_id):
                self._floods.give_back(one, now)

    async def _pay_events(self) -> None:
        """Record what was committed while the log could not be written, now that it can."""
        self._owes_events = False
        counts, self._unlogged_counts = self._unlogged_counts, Counter()
        try:
            await asyncio.to_thread(recover, self._writer, self._access)
        except Unavailable:
            self._owes_events = True
            self._unlogged_counts += counts
            return
        if counts:
            told = (counts, lambda: self._new_id().hex, self._clock.now())
            self._unlogged_counts += Counter(await asyncio.to_thread(tell_unlogged, self._access, *told))

    def _unlogged(
        self, event: AccessEvent, answer: Answer, error: LightshipError, request: Request
    ) -> Answer:
        """Return the 503; or the answer, where the steward has chosen so, and count it."""
        self._owes_events |= request.written is not None
        fields = {"error_id": str(request.id)}
        _log.error("event %s could not be recorded: %s", event.req, error, extra={"fields": fields})
        if self._answers_unlogged:
            if request.written is None:
                self._unlogged_counts[event.agr] += 1
            return answer
        return answer_error(
            Unavailable(
                "The access log cannot be written, so nothing is answered",
                retry_after=getattr(error, "retry_after", 5),
                todo="Try again later, or tell the hub's steward",
            ),
            request.id,
        )

    async def _release(self, request: Request, answer: Answer, scope: Scope, send: Send) -> None:
        unread = request.has_body() and not request.body_ended
        if answer.head and not unread and request.method == "GET" and WHOLE in scope.get("extensions", ()):
            head = b"%b%bx-request-id: %b\r\n" % (answer.head, self._always_lines, request.id.hex.encode())
            if request.receipt:
                head += b"%b: %b\r\n" % (RECEIPT, request.receipt)
            await send({"type": WHOLE, "status": answer.status, "head": head, "body": answer.body})
            return
        headers = [*answer.headers, *self._always, (b"x-request-id", request.id.hex.encode())]
        if request.receipt:
            headers.append((RECEIPT, request.receipt))
        if answer.status not in _NO_BODY:
            headers.append((b"content-length", str(len(answer.body)).encode()))
        if unread:
            headers.append((b"connection", b"close"))
        body = b"" if request.method == "HEAD" else answer.body
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if unread and answer.status != SLOW and self._may_drain(request):
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await drain(request, self._limits)
            body = b""
        await send({"type": "http.response.body", "body": body, "more_body": False})

    @staticmethod
    def _may_drain(request: Request) -> bool:
        """False if the client waits for 100 Continue: it has sent nothing and now will not."""
        waits = request.headers.get(b"expect", b"").lower() == b"100-continue"
        return request.body_begun or not waits
