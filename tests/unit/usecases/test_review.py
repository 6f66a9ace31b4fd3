"""Pages of the access log: together the whole, each event once, whatever the page size and how far one
looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_samples import MAY, event
from lightship.core.audit import AccessEvent, AuditQuery
from lightship.core.cursor import Token, write_token
from lightship.core.query import Endpoint, Filters
from lightship.core.time import Micros
from lightship.storage.memory_access import MemoryAccessLog
from lightship.usecases.review import LATE, Mark, look, narrowed, offered_test

KEY = b"k" * 32
X = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"
SPANS = {"col-1": [(Micros(MAY), None)]}
Test = Callable[[AccessEvent], bool]


def walk(log: MemoryAccessLog, query: AuditQuery, test: Test | None, scanned: int) -> list[AccessEvent]:
    """Return the events of all pages; no page is larger than it may be."""
    found: list[AccessEvent] = []
    mark: Mark | None = Mark()
    for _ in range(500):
        if mark is None:
            return found
        page = look(log, query, mark, test, scanned)
        assert len(page.events) <= query.limit
        found += page.events
        mark = page.next
    raise AssertionError("the pages do not end")


@settings(deadline=None)
@given(
    times=st.lists(st.integers(0, 4), max_size=30),
    limit=st.integers(1, 8),
    scanned=st.integers(1, 8),
    since=st.integers(0, 3),
    tested=st.booleans(),
)
def test_pages_are_the_whole(times: list[int], limit: int, scanned: int, since: int, tested: bool) -> None:
    log = MemoryAccessLog()
    for number, offset in enumerate(times):
        log.record(event(number, at=Micros(MAY + offset), n=number))
    test = (lambda one: one.n % 3 == 0) if tested else None
    query = AuditQuery(since=Micros(MAY + since), limit=limit)
    whole = [one for one in log.search(replace(query, limit=1000)) if test is None or test(one)]
    assert walk(log, query, test, scanned) == whole


def read(q: str = "", act: str = "read-objects", **over: object) -> AccessEvent:
    """Return a read whose page reached over the object."""
    return event(1, act=act, q=q, first=MAY - 1, last=MAY + 1, **over)


@pytest.mark.parametrize(
    ("q", "act", "offered"),
    [
        ("", "read-objects", True),
        ("limit=5&added_after=2026-04-01T00:00:00Z", "read-manifest", True),
        ("match[type]=indicator,malware", "read-objects", True),
        ("match[type]=malware", "read-objects", False),
        (f"match[id]={X}", "read-objects", True),
        ("match[id]=indicator--00000000-0000-4000-8000-000000000000", "read-objects", False),
        (X, "read-object", True),
        (f"{X}?match[version]=all", "read-object", True),
        (X, "read-versions", True),
        ("indicator--00000000-0000-4000-8000-000000000000", "read-object", False),
        ("match[type]=mal", "read-objects", False),
        ("", "publish", False),
        ("", "read-root", False),
        ("match[type]=" + "x" * 2000, "read-objects", True),
        ("next=cut-of", "read-objects", True),
    ],
)
def test_what_offered_an_object(q: str, act: str, offered: bool) -> None:
    """A query that cannot be told any more counts as one that took it."""
    assert offered_test(X, SPANS, KEY)(read(q, act)) == offered


@pytest.mark.parametrize(("types", "offered"), [(("malware",), False), (("indicator",), True), ((), True)])
def test_a_token_carries_its_filters(types: tuple[str, ...], offered: bool) -> None:
    text = write_token(KEY, Token("col-1", Endpoint.OBJECTS, Filters(types=types), Micros(MAY - 5)))
    assert offered_test(X, SPANS, KEY)(read(f"next={text}")) == offered


@pytest.mark.parametrize(
    "over", [{"col": "col-2"}, {"st": 403}, {"n": 0}, {"first": MAY + 1, "last": MAY + 2}]
)
def test_what_did_not_reach_it_did_not_offer_it(over: dict[str, object]) -> None:
    assert not offered_test(X, SPANS, KEY)(replace(read(), **over))  # type: ignore[arg-type]  # names of AccessEvent


def test_after_a_withdrawal_nothing_is_offered() -> None:
    spans = {"col-1": [(Micros(MAY), Micros(MAY + 100))]}
    test = offered_test(X, spans, KEY)
    assert test(read(at=Micros(MAY + 99)))
    assert not test(read(at=Micros(MAY + 100 + LATE)))


def test_a_narrowed_search_keeps_every_event_that_offered_it() -> None:
    log = MemoryAccessLog()
    before = read(at=Micros(MAY - 250_000))
    log.record(before)
    query = narrowed(AuditQuery(), SPANS)
    assert (query.collection, query.outcome) == ("col-1", "ok")
    assert list(log.search(query)) == [before]
    assert narrowed(AuditQuery(), SPANS | {"col-2": SPANS["col-1"]}).collection == ""
    assert narrowed(AuditQuery(outcome="failed", collection="c"), SPANS).outcome == "failed"
