"""Rendered pages, kept in memory within a bound of bytes and valid for every reader of a collection.

A page is kept under its first row, so that pollers with different `added_after` share it. It is dropped when
a row in its range was superseded, withdrawn or shown again (the store lists those keys); the last page of a
collection also when anything was added. Two counters that every request reads decide that, so nothing stale
is ever served, also when another process wrote. Belongs to one thread: the event loop's.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lightship.core.access import Grant
from lightship.core.collection import stamp_of
from lightship.core.ports import CollectionState, Reader
from lightship.core.query import Endpoint, Filters
from lightship.core.time import Micros, format_stamp

Compress = Callable[[bytes], bytes]
OVERHEAD = 1_000
"""Bytes that a kept page is counted for beside its bodies."""
MAX_FIRSTS = 2_000
"""Starting places whose first row is remembered."""
MAX_REMEMBERED_VALUES = 20
"""Filters with more values are not remembered."""


@dataclass(frozen=True, slots=True)
class PageKey:
    """What a page is kept under. `first` is the storage key of its first row."""

    collection: int
    endpoint: Endpoint
    filters: Filters
    first: int
    limit: int
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = (self.collection, self.endpoint, self.filters, self.first, self.limit)
        object.__setattr__(self, "_hash", hash(parts))

    def __hash__(self) -> int:
        """Return what was computed once: a kept page is looked up by its own key at every request."""
        return self._hash


@dataclass(slots=True, weakref_slot=True)
class PageBody:
    """One rendered page. `seen_last` is the collection's newest stamp when it was read.

    `checked` is the generation at which `more` was last known to be right, `etag` the strong validator of the
    plain form, without quotes.
    """

    key: PageKey
    body: bytes
    last: int
    count: int
    more: bool
    seen_last: Micros
    checked: int
    etag: str
    packed: bytes | None = None
    shown: dict[bool, Any] = field(default_factory=dict)
    """What a face of the hub made of the page, packed or not, and wants to have again."""
    first_text: bytes = field(init=False)
    last_text: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.first_text = format_stamp(stamp_of(self.key.first)).encode()
        self.last_text = format_stamp(stamp_of(self.last)).encode()

    @property
    def size(self) -> int:
        """Bytes that the page is counted for."""
        return len(self.body) + len(self.packed or b"") + OVERHEAD


def etag_of(key: PageKey, last: int, count: int, more: bool, state: CollectionState) -> str:
    """Return a validator from range and generation: equal ones mean equal bytes."""
    versions = key.filters.versions
    text = repr(
        (
            *(key.collection, key.endpoint.value, key.first, key.limit, last, count, more),
            *(key.filters.ids, key.filters.types, key.filters.spec_versions),
            *(versions.last, versions.first, versions.every, sorted(versions.instants)),
            state.generation,
        )
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Pages:
    """The kept pages of all collections, the least recently used dropped first."""

    def __init__(self, reader: Reader, compress: Compress, max_bytes: int) -> None:
        self._reader = reader
        self._compress = compress
        self._max_bytes = max_bytes
        self._kept: OrderedDict[PageKey, PageBody] = OrderedDict()
        self._of: dict[int, set[PageKey]] = {}
        self._generation: dict[int, int] = {}
        self._firsts: dict[tuple[int, Filters, Micros], tuple[int, int]] = {}
        self.bytes = 0
        self.hits = self.misses = 0
        """Pages asked for: served from memory, and not."""

    def first_after(
        self, grant: Grant, state: CollectionState, filters: Filters, after: Micros
    ) -> int | None:
        """Return the key of the first matching row after `after`; `state` has to be read in this request.

        Nothing can be after the newest stamp. A row that was first stays first until something is superseded
        or withdrawn, since rows are only ever added at the end.
        """
        if after >= state.last:
            return None
        place = (grant.collection.number, filters, after)
        generation, first = self._firsts.get(place, (-1, 0))
        if generation == state.generation:
            return first
        found = self._reader.first_after(grant, filters, after)
        if found is not None and len(filters.ids) <= MAX_REMEMBERED_VALUES:
            self._firsts[place] = (state.generation, found)
            if len(self._firsts) > MAX_FIRSTS:
                del self._firsts[next(iter(self._firsts))]
        return found

    def find(self, grant: Grant, state: CollectionState, key: PageKey) -> PageBody | None:
        """Return the page if it is kept and still right; `state` has to be read in this request."""
        self._apply_drops(grant, state)
        page = self._kept.get(key)
        if page is None:
            return None
        if page.more:
            if page.checked != state.generation and not self._goes_on(grant, page):
                self._forget(key)
                return None
            page.checked = state.generation
        elif page.seen_last != state.last:
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return page

    def again(self, page: PageBody) -> bool:
        """True if a page that was right a moment ago, since when nothing was committed, is still kept."""
        if self._kept.get(page.key) is not page:
            return False
        self._kept.move_to_end(page.key)
        return True

    def keep(self, page: PageBody) -> None:
        """Keep a page that was read under the generation applied last."""
        if self._generation.get(page.key.collection) != page.checked or page.size > self._max_bytes // 4:
            return
        self._forget(page.key)
        self._kept[page.key] = page
        self._of.setdefault(page.key.collection, set()).add(page.key)
        self.bytes += page.size
        self._shrink()

    def pack(self, page: PageBody) -> bytes:
        """Return the page's gzip form, made once."""
        if page.packed is None:
            packed = self._compress(page.body)
            page.packed = packed
            if self._kept.get(page.key) is page:
                self.bytes += len(packed)
                self._shrink()
        return page.packed

    def _goes_on(self, grant: Grant, page: PageBody) -> bool:
        """True if a matching row after the page is still there: its `more` is right."""
        return self._reader.first_after(grant, page.key.filters, stamp_of(page.last)) is not None

    def _apply_drops(self, grant: Grant, state: CollectionState) -> None:
        number = grant.collection.number
        known = self._generation.get(number)
        if known == state.generation:
            return
        self._generation[number] = state.generation
        keys = self._of.get(number)
        if not keys or known is None:
            return
        found = self._reader.dropped_since(grant, known) if known < state.generation else None
        if found is None:
            for key in list(keys):
                self._forget(key)
            return
        dropped = sorted(found)
        for key in list(keys):
            page = self._kept[key]
            place = bisect_left(dropped, key.first)
            if place < len(dropped) and (dropped[place] <= page.last or not page.more):
                self._forget(key)

    def _forget(self, key: PageKey) -> None:
        page = self._kept.pop(key, None)
        if page is not None:
            self.bytes -= page.size
            self._of[key.collection].discard(key)

    def _shrink(self) -> None:
        while self.bytes > self._max_bytes:
            self._forget(next(iter(self._kept)))
