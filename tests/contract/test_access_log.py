"""What every access log keeps to (`core.ports.Access`), over both drivers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from audit_samples import MAY, SAMPLE, YEAR_2026, StillClock, event
from lightship.core.audit import AccessEvent, AuditQuery
from lightship.core.time import Micros
from lightship.storage.memory_access import MemoryAccessLog
from lightship.storage.sqlite.access_log import SqliteAccessLog, open_access_log

Log = MemoryAccessLog | SqliteAccessLog
Opener = Callable[[], Log]
WAIT = 30


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    opened: Log = MemoryAccessLog() if request.param == "memory" else open_access_log(tmp_path, StillClock())
    yield opened
    opened.close()


def record(log: Log, *events: AccessEvent) -> None:
    for done in [log.record(one) for one in events]:
        assert done.result(WAIT) is None


def found(log: Log, **filters: object) -> list[AccessEvent]:
    return list(log.search(AuditQuery(**filters)))  # type: ignore[arg-type]  # names of AuditQuery


def test_a_recorded_event_is_found_with_every_field(log: Log) -> None:
    record(log, event(1))
    assert found(log) == [event(1)]


def test_an_event_with_nothing_but_its_request_is_found_as_it_was(log: Log) -> None:
    bare = AccessEvent(req="not-a-uuid", at=Micros(MAY), act="init")
    record(log, bare)
    assert found(log) == [bare]


def test_the_same_request_with_an_effect_recorded_twice_leaves_one_event(log: Log) -> None:
    one, two = event(1, act="publish"), event(2, act="withdraw")
    record(log, one, one)
    record(log, one, two)
    assert found(log) == [one, two]


def test_request_ids_that_differ_only_in_case_are_two_events(log: Log) -> None:
    req = "abcdef00" * 4
    record(log, event(1, req=req, act="publish"), event(2, req=req.upper(), act="publish"))
    assert [one.req for one in found(log)] == [req, req.upper()]


def test_search_gives_the_oldest_first_whatever_the_order_of_recording(log: Log) -> None:
    for number in (5, 1, 4, 2, 3):
        record(log, event(number))
    assert found(log) == [event(number) for number in (1, 2, 3, 4, 5)]


def test_events_of_one_microsecond_are_all_found(log: Log) -> None:
    same = [event(number, at=Micros(MAY)) for number in range(50)]
    record(log, *same)
    assert sorted(one.req for one in found(log)) == sorted(one.req for one in same)


@pytest.mark.parametrize(
    ("filters", "changes"),
    [
        ({"agreement": "pacific"}, {"agr": "pacific"}),
        ({"member": "uslgb"}, {"who": "uslgb"}),
        ({"principal": "cred-2"}, {"cred": "cred-2"}),
        ({"collection": "col-2"}, {"col": "col-2"}),
        ({"action": "publish"}, {"act": "publish"}),
        ({"outcome": "refused"}, {"st": 403}),
        ({"outcome": "failed"}, {"st": 503}),
        (
            {"member": "uslgb", "outcome": "refused", "action": "publish"},
            {"who": "uslgb", "st": 404, "act": "publish"},
        ),
    ],
)
def test_each_filter_finds_its_events_and_no_others(
    log: Log, filters: dict[str, object], changes: dict[str, object]
) -> None:
    record(log, *(event(number) for number in range(10)))
    record(log, *(event(number, **changes) for number in range(10, 20)))
    assert found(log, **filters) == [event(number, **changes) for number in range(10, 20)]


def test_the_outcome_ok_leaves_out_what_was_refused_or_failed(log: Log) -> None:
    record(log, event(1), event(2, st=401), event(3, st=503), event(4, st=0))
    assert found(log, outcome="ok") == [event(1), event(4, st=0)]


def test_filters_are_anded(log: Log) -> None:
    record(log, event(1, who="uslgb"), event(2, col="col-2"), event(3, who="uslgb", col="col-2"))
    assert found(log, member="uslgb", collection="col-2") == [event(3, who="uslgb", col="col-2")]


def test_a_filter_of_something_that_never_occurred_finds_nothing(log: Log) -> None:
    record(log, event(1))
    assert found(log, member="nobody") == []


def test_since_is_inclusive_and_until_exclusive(log: Log) -> None:
    record(log, *(event(number) for number in range(5)))
    assert found(log, since=Micros(MAY + 1), until=Micros(MAY + 3)) == [event(1), event(2)]


@pytest.mark.parametrize("limit", [0, 1, 7])
def test_the_limit_bounds_a_search(log: Log, limit: int) -> None:
    record(log, *(event(number) for number in range(10)))
    assert found(log, limit=limit) == [event(number) for number in range(limit)]


def test_a_search_larger_than_one_batch_gives_every_event_once(log: Log) -> None:
    events = [event(number, at=Micros(MAY + number // 3)) for number in range(2500)]
    record(log, *events)
    assert found(log, limit=5000) == events
    assert found(log, limit=2001) == events[:2001]


def test_a_search_spans_new_year(log: Log) -> None:
    old = event(1, at=Micros(YEAR_2026 - 1))
    new = event(2, at=Micros(YEAR_2026))
    record(log, new, old)
    assert found(log) == [old, new]
    assert found(log, until=Micros(YEAR_2026)) == [old]
    assert found(log, since=Micros(YEAR_2026)) == [new]


def test_hostile_text_is_recorded_and_found(log: Log) -> None:
    hostile = event(
        1, q="match[id]=\x00'; DROP TABLE event;--\u2028", col="../../etc/passwd", who="\U0001f6a2"
    )
    record(log, hostile)
    assert found(log, member="\U0001f6a2") == [hostile]


def test_a_caller_that_goes_away_does_not_take_its_event_back(log: Log) -> None:
    done = log.record(event(1))
    done.cancel()
    record(log, event(2))
    assert found(log) == [event(1), event(2)]


def test_the_sample_is_not_empty_anywhere() -> None:
    compared = [one.name for one in fields(SAMPLE) if one.compare and one.name != "req"]
    assert all(getattr(SAMPLE, name) for name in compared)


def test_a_found_event_has_the_digests_that_stand_for_its_query_and_address(log: Log) -> None:
    log.record(event(1)).result(30)
    log.record(event(2)).result(30)
    one, two = log.search(AuditQuery())
    digests = {one.q_digest, one.ip_digest, two.q_digest, two.ip_digest}
    assert len(digests) == 4  # each has a salt of its own
    assert all(len(digest) == 64 for digest in digests)


def test_events_recorded_together_are_each_found_and_told_apart(log: Log) -> None:
    before = event(3, act="publish")
    log.record(before).result(30)
    events = [event(1), before, event(2, agr="hub"), event(4, at=Micros(YEAR_2026 - 1))]
    assert len(log.record_all(events).result(30)) == 4
    assert sorted(one.req for one in log.search(AuditQuery())) == sorted(one.req for one in events)
    assert list(log.record_all([]).result(30)) == []
