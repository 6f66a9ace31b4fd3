"""The GET endpoints of TAXII 2.1: HTTP on one side, use cases on the other; no rule is decided here.

Pages carry the date headers of section 3.2, a strong ETag for each encoding and the address of the
collection's log, and may be kept by the client alone. HEAD is a GET whose body stays here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from lightship.core.access import Action, Principal
from lightship.core.collection import stamp_of
from lightship.core.ports import Decisions, Statuses
from lightship.core.query import Endpoint, read_query
from lightship.taxii import resources
from lightship.usecases.entry import Hidden, Place, open_root, permit, rights
from lightship.usecases.pages import PageBody
from lightship.usecases.pull import Pull
from lightship.usecases.status import read_status
from lightship.web.message import TAXII_TYPE, Answer, Header, Request, with_head
from lightship.web.negotiate import accepts_gzip, etag_matches
from lightship.web.places import enter, object_of

GZIP_ABOVE = 512
"""Bytes below which a page is not worth packing."""
LIST_RULE = "allow-member-list"
STATUS_RULE = "allow-own-status"
_VARY: Header = (b"vary", b"Accept-Encoding, Authorization, X-API-Key")
_CACHE: Header = (b"cache-control", b"private, no-cache")
_GZIP: Header = (b"content-encoding", b"gzip")


@dataclass(frozen=True, slots=True)
class About:
    """What discovery and the API roots say of the hub. `root_url` makes an API root's URL of its path."""

    title: str
    description: str
    contact: str
    root_url: Callable[[str], str]
    max_content_length: int


class Reads:
    """Handlers of the GET endpoints."""

    def __init__(self, *, about: About, pull: Pull, decisions: Decisions, statuses: Statuses) -> None:
        self._about = about
        self._pull = pull
        self._decisions = decisions
        self._statuses = statuses

    async def discovery(self, request: Request, principal: Principal, _: Mapping[str, str]) -> Answer:
        """Section 4.1: the API roots of this principal."""
        request.done(LIST_RULE)
        roots = [self._about.root_url(principal.agreement)]
        about = self._about
        return Answer(200, resources.discovery(about.title, about.description, about.contact, roots))

    async def api_root(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """Section 4.2: what one API root is."""
        agreement = open_root(request.view, principal, path["root"])
        request.done(LIST_RULE)
        return Answer(200, resources.api_root(agreement, self._about.max_content_length, request.at))

    async def collections(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """Section 5.1: the collections that the principal may know of, in the agreement's order."""
        agreement = open_root(request.view, principal, path["root"])
        places = [Place(principal, agreement, one, request.view.epoch) for one in agreement.collections]
        found = [rights(self._decisions, place, request.at) for place in places]
        request.done(LIST_RULE)
        return Answer(200, resources.collections([one for one in found if one is not None]))

    async def collection(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """Section 5.2: one collection."""
        place = enter(request, principal, path)
        found = rights(self._decisions, place, request.at)
        if found is None:
            raise Hidden
        request.done(LIST_RULE)
        return Answer(200, resources.collection(found))

    async def status(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """Section 4.3: what became of a post of this credential."""
        open_root(request.view, principal, path["root"])
        request.q = path["status"]
        body = read_status(self._statuses, principal, path["status"])
        request.done(STATUS_RULE)
        return Answer(200, body)

    async def objects(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """Section 5.4."""
        return await self._page(request, principal, path, Endpoint.OBJECTS)

    async def manifest(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """Section 5.3."""
        return await self._page(request, principal, path, Endpoint.MANIFEST)

    async def object(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """Section 5.6."""
        return await self._page(request, principal, path, Endpoint.OBJECT)

    async def versions(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """Section 5.8."""
        return await self._page(request, principal, path, Endpoint.VERSIONS)

    async def _page(
        self, request: Request, principal: Principal, path: Mapping[str, str], endpoint: Endpoint
    ) -> Answer:
        place = enter(request, principal, path)
        grant = permit(self._decisions, place, Action.READ, request.at)
        object_id = object_of(request, path) if "object" in path else ""
        asked = read_query(request.query, endpoint, object_id)
        page = await self._pull(grant, endpoint, asked)
        if page is None:
            request.done(grant.decision.rule)
            return _answer_nothing(request, endpoint, principal, place.collection.id)
        first, last = stamp_of(page.key.first), stamp_of(page.last)
        request.done(grant.decision.rule, page.count, first, last)
        return self._answer_page(request, page, place.collection.id)

    def _answer_page(self, request: Request, page: PageBody, collection: str) -> Answer:
        packs = len(page.body) > GZIP_ABOVE and accepts_gzip(request.headers.get(b"accept-encoding"))
        if b"if-none-match" not in request.headers and (known := page.shown.get(packs)) is not None:
            return cast(Answer, known)
        etag = (f'"{page.etag}-gzip"' if packs else f'"{page.etag}"').encode() if page.etag else b""
        if etag and etag_matches(request.headers.get(b"if-none-match"), etag):
            return Answer(304, headers=((b"etag", etag), _VARY, _CACHE))
        headers: list[Header] = [
            TAXII_TYPE,
            (b"x-taxii-date-added-first", page.first_text),
            (b"x-taxii-date-added-last", page.last_text),
            _log_of(collection),
            _VARY,
            _CACHE,
        ]
        if etag:
            headers.append((b"etag", etag))
        if packs:
            headers.append(_GZIP)
        body = self._pull.pack(page) if packs else page.body
        page.shown[packs] = answer = with_head(Answer(200, body, tuple(headers)))
        return answer


def _log_of(collection: str) -> Header:
    """Return the header that names the log of a collection (RFC 8288), for those who verify."""
    return b"link", f'</log/{collection}/checkpoint>; rel="describedby"'.encode()


def _answer_nothing(request: Request, endpoint: Endpoint, principal: Principal, collection: str) -> Answer:
    etag = f'"nothing-{endpoint.value}-{principal.profile}"'.encode()
    if etag_matches(request.headers.get(b"if-none-match"), etag):
        return Answer(304, headers=((b"etag", etag), _VARY, _CACHE))
    body = resources.nothing(endpoint, principal.profile)
    return Answer(200, body, (TAXII_TYPE, (b"etag", etag), _log_of(collection), _VARY, _CACHE))
