"""Fuzz target: a query string, read, turned into a place to go on from, and answered from two stores.

An input is `ENDPOINT QUERY`, such as `manifest limit=2&match[type]=malware`; the words NEXT0, NEXT1 … in it
stand for tokens that the hub gave out. Whatever it is, it must come to a MalformedRequest or to pages that
are valid JSON, equal from both stores, in rising order, and that end; nothing else may be raised.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lightship.core.collection import pack, stamp_of
from lightship.core.cursor import FROM_START, Token, read_token, resume, write_token
from lightship.core.errors import MalformedRequest
from lightship.core.ports import Page
from lightship.core.query import EVERY, Asked, Endpoint, Filters, Query, Versions, read_query
from lightship.core.time import MAX_MICROS, Micros
from lightship.storage.memory import MemoryStore
from lightship.storage.sqlite.store import open_store
from lightship.taxii import resources
from storekit import HandClock, HubStore, activate, candidate, collection, grant, object_id, publish, withdraw

KEY = b"k" * 32
PAGE = 7
_RENDERS = {
    Endpoint.OBJECTS: resources.envelope,
    Endpoint.OBJECT: resources.envelope,
    Endpoint.MANIFEST: resources.manifest,
    Endpoint.VERSIONS: resources.versions,
}
_VERSIONS = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000001Z", "2026-02-01T00:00:00.5Z")
_WITH_ID = frozenset({Endpoint.OBJECT, Endpoint.VERSIONS, Endpoint.DELETE})


@contextmanager
def opened() -> Iterator[Callable[[bytes], None]]:
    """Give the target, over two stores with the same object versions."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    stores = [_filled(MemoryStore(HandClock())), _filled(open_store(folder, HandClock()))]
    tokens = _tokens()

    def target(data: bytes) -> None:
        """Ask one thing."""
        name, _, query = data.partition(b" ")
        endpoint = _ENDPOINTS.get(name.strip())
        if endpoint is None:
            return
        for number, token in enumerate(tokens):
            query = query.replace(b"NEXT%d" % number, token)
        try:
            asked = read_query(query, endpoint, object_id(1) if endpoint in _WITH_ID else "")
            _check_asked(asked)
            if endpoint is not Endpoint.DELETE:
                _read(stores, endpoint, asked)
        except MalformedRequest as error:
            _check_refusal(error)

    try:
        yield target
    finally:
        stores[1].close()
        shutil.rmtree(folder)


_ENDPOINTS = {one.value.encode(): one for one in Endpoint}


def _filled(store: HubStore) -> HubStore:
    activate(store, 1, 2)
    for number in range(1, 6):
        for version in _VERSIONS[: 1 + number % 3]:
            publish(store, candidate(number, version, type_name=("indicator", "malware")[number % 2]))
    publish(store, candidate(1, _VERSIONS[2]), candidate(1, _VERSIONS[0]), candidate(1, _VERSIONS[1]))
    publish(store, candidate(1, _VERSIONS[1], spec="2.0", content="old"), candidate(2, spec="2.0"))
    publish(store, candidate(7, "", type_name="ipv4-addr", owned=False), candidate(8, "", type_name="url"))
    withdraw(store, object_id(4, "indicator"))
    return store


def _tokens() -> list[bytes]:
    here, there = collection(1).id, collection(2).id
    every = Filters(types=("indicator",), versions=EVERY, spec_versions=("2.0", "2.1"))
    one = Filters(ids=(object_id(1),))
    start = Micros(1_790_000_000_300_000)
    made = [
        Token(here, Endpoint.OBJECTS, Filters(), start),
        Token(here, Endpoint.MANIFEST, every, FROM_START),
        Token(here, Endpoint.OBJECT, one, start),
        Token(here, Endpoint.VERSIONS, Filters(ids=one.ids, versions=EVERY), FROM_START),
        Token(there, Endpoint.OBJECTS, Filters(versions=Versions(last=True, first=True)), start),
        Token(here, Endpoint.OBJECTS, every, MAX_MICROS),
    ]
    return [write_token(KEY, token).encode() for token in made]


def _check_asked(asked: Asked) -> None:
    """Check that filters are canonical and that a token says them again."""
    filters = asked.filters
    for values in (filters.ids, filters.types, filters.spec_versions):
        assert list(values) == sorted(set(values)), values
    assert asked.limit is None or asked.limit > 0
    assert asked.added_after is None or 0 <= asked.added_after <= MAX_MICROS
    token = Token(collection(1).id, Endpoint.OBJECTS, filters, Micros(5))
    assert read_token(KEY, write_token(KEY, token)) == token


def _read(stores: Sequence[HubStore], endpoint: Endpoint, asked: Asked) -> None:
    """Read three pages from both stores and compare."""
    here = collection(1).id
    filters, after = asked.filters, asked.added_after if asked.added_after is not None else FROM_START
    if asked.token is not None:
        filters, after = resume(read_token(KEY, asked.token), asked, here, endpoint)
    limit = min(asked.limit or PAGE, PAGE)
    for _ in range(3):
        first, second = (
            store.page(grant(store), Query(filters, after, limit), bodies=True, max_bytes=1 << 20)
            for store in stores
        )
        assert _named(first) == _named(second)
        stamps = [stamp_of(row.key) for row in first.rows]
        assert stamps == sorted(set(stamps)), stamps
        assert not stamps or stamps[0] > after
        assert first.rows or not first.more
        for store, page in zip(stores, (first, second), strict=True):
            start = store.first_after(grant(store), filters, after)
            assert start == (page.rows[0].key if page.rows else None)
        token = write_token(KEY, Token(here, endpoint, filters, stamps[-1])) if first.more else None
        _check_page(_RENDERS[endpoint](first.rows, token), first)
        if token is None:
            return
        again, place = resume(read_token(KEY, token), Asked(filters=filters), here, endpoint)
        assert (again, pack(1, place)) == (filters, first.rows[-1].key)
        after = place


def _named(page: Page) -> object:
    rows = [(row.id, row.version_text, row.spec_version, row.type, row.body) for row in page.rows]
    return rows, page.more


def _check_page(body: bytes, page: Page) -> None:
    shown = json.loads(body)
    assert ("next" in shown) == page.more == shown["more"]
    assert len(shown.get("objects", shown.get("versions"))) == len(page.rows)


def _check_refusal(error: MalformedRequest) -> None:
    """A refusal says what to do, and stays short whatever was sent."""
    assert error.title
    assert error.todo
    assert len(str(error).encode()) < 2_000
