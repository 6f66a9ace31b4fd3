"""Reading objects, one object, its versions, or the manifest (TAXII 2.1 sections 5.3, 5.4, 5.6, 5.8).

Where a read goes on comes from `added_after` or from the token; the page that starts there is served from
memory or read and rendered once. `more` and the token come both or neither, and no page is empty with `more`.
Never counts, never skips by number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from weakref import ref

from lightship.core.access import Grant
from lightship.core.collection import stamp_of
from lightship.core.cursor import FROM_START, Token, read_token, resume, write_token
from lightship.core.ports import CollectionState, Reader, Row
from lightship.core.query import Asked, Endpoint, Filters, Query
from lightship.core.time import Micros
from lightship.usecases.entry import Hidden
from lightship.usecases.pages import PageBody, PageKey, Pages, etag_of

Render = Callable[[Sequence[Row], str | None], bytes]
"""Makes a page's body of its rows and the token of the next page, if there is one."""

INLINE_ROWS = 200
"""Pages up to this many rows are read in the event loop, larger ones in the executor."""
STEADY_TRIES = 3
MAX_RECENT = 500
"""Questions whose page is found at once as long as nothing is committed."""
WITH_BODIES = frozenset({Endpoint.OBJECTS, Endpoint.OBJECT})


@dataclass(frozen=True, slots=True)
class PageLimits:
    """Rows a page without `limit`, rows and bytes a page at most."""

    default: int = 1000
    most: int = 10_000
    most_bytes: int = 16 * 1024 * 1024


class Pull:
    """Finds or makes the page that a request asks for."""

    def __init__(
        self,
        *,
        reader: Reader,
        pages: Pages,
        renders: Mapping[Endpoint, Render],
        cursor_key: bytes,
        limits: PageLimits,
        executor: Executor,
    ) -> None:
        self._reader = reader
        self._pages = pages
        self._renders = renders
        self._key = cursor_key
        self._limits = limits
        self._executor = executor
        self._recent: dict[tuple[int, Endpoint, int], tuple[Asked, CollectionState, ref[PageBody]]] = {}

    async def __call__(self, grant: Grant, endpoint: Endpoint, asked: Asked) -> PageBody | None:
        """Return the page, None if nothing matches.

        Raises:
            MalformedRequest: the token was not given out for this.
            Hidden: the object that the path names is not in the collection.
        """
        state = self._reader.state(grant)
        place = (grant.collection.number, endpoint, id(asked))
        held = self._recent.get(place)
        if held is not None and held[0] is asked and held[1] is state:
            known = held[2]()
            if known is not None and self._pages.again(known):
                self._pages.hits += 1
                return known
        page = await self._page(grant, endpoint, asked, state)
        if page is not None and page.etag:
            if len(self._recent) >= MAX_RECENT:
                self._recent.clear()
            self._recent[place] = (asked, state, ref(page))
        return page

    async def _page(
        self, grant: Grant, endpoint: Endpoint, asked: Asked, state: CollectionState
    ) -> PageBody | None:
        filters, after = self._where(grant, endpoint, asked)
        first = self._pages.first_after(grant, state, filters, after)
        if first is None:
            if endpoint in {Endpoint.OBJECT, Endpoint.VERSIONS} and not self._reader.exists(
                grant, filters.ids[0]
            ):
                raise Hidden
            return None
        limit = min(asked.limit or self._limits.default, self._limits.most)
        key = PageKey(grant.collection.number, endpoint, filters, first, limit)
        page = self._pages.find(grant, state, key)
        if page is not None:
            self._pages.hits += 1
            return page
        self._pages.misses += 1
        return await self._read(grant, key, state)

    def pack(self, page: PageBody) -> bytes:
        """Return the page's gzip form."""
        return self._pages.pack(page)

    def _where(self, grant: Grant, endpoint: Endpoint, asked: Asked) -> tuple[Filters, Micros]:
        if asked.token is not None:
            return resume(read_token(self._key, asked.token), asked, grant.collection.id, endpoint)
        return asked.filters, FROM_START if asked.added_after is None else asked.added_after

    async def _read(self, grant: Grant, key: PageKey, state: CollectionState) -> PageBody | None:
        """Read and render a page; keep it if the collection stood still meanwhile."""
        page: PageBody | None = None
        for _ in range(STEADY_TRIES):
            if key.limit <= INLINE_ROWS:
                page = self._render(grant, key, state)
            else:
                loop = asyncio.get_running_loop()
                page = await loop.run_in_executor(self._executor, self._render, grant, key, state)
            now = self._reader.state(grant)
            if (now.generation, now.last) == (state.generation, state.last):
                if page is not None:
                    self._pages.keep(page)
                return page
            state = now
        if page is not None:
            page.etag = ""  # written to all the while: right as read, but nothing to compare later
        return page

    def _render(self, grant: Grant, key: PageKey, state: CollectionState) -> PageBody | None:
        query = Query(key.filters, Micros(stamp_of(key.first) - 1), key.limit)
        found = self._reader.page(
            grant, query, bodies=key.endpoint in WITH_BODIES, max_bytes=self._limits.most_bytes
        )
        if not found.rows:
            return None
        first, last = found.rows[0].key, found.rows[-1].key
        token = None
        if found.more:
            place = Token(grant.collection.id, key.endpoint, key.filters, stamp_of(last))
            token = write_token(self._key, place)
        if first != key.first:
            key = PageKey(key.collection, key.endpoint, key.filters, first, key.limit)
        return PageBody(
            key=key,
            body=self._renders[key.endpoint](found.rows, token),
            last=last,
            count=len(found.rows),
            more=found.more,
            seen_last=state.last,
            checked=state.generation,
            etag=etag_of(key, last, len(found.rows), found.more, state),
        )
