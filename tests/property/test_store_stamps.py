"""Stamps, statements and row classes: arithmetic that holds for all inputs."""

from __future__ import annotations

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from lightship.core import stamps
from lightship.core.collection import MAX_BACKLOG, STATEMENT_BYTES, STATEMENT_ENTRIES
from lightship.core.errors import Unavailable
from lightship.core.query import Filters, Versions
from lightship.core.time import MAX_MICROS, Micros
from lightship.storage.sqlite import classes
from lightship.storage.statements import Entry, agreement_change, publication
from storekit import START, object_id

micros = st.integers(0, MAX_MICROS // 2).map(Micros)
sizes = st.lists(st.integers(1, 256), min_size=1, max_size=40)


@given(sizes=sizes, last=micros, target=micros)
def test_every_stamp_is_unique_above_the_last_and_not_before_the_target(
    sizes: list[int], last: Micros, target: Micros
) -> None:
    ats = stamps.assign(sizes, last, target)
    taken = [stamp for at, size in zip(ats, sizes, strict=True) for stamp in stamps.entry_stamps(at, size)]
    assert taken == sorted(set(taken))
    assert len(taken) == sum(sizes)
    assert taken[0] > last
    assert taken[0] >= target
    assert taken[0] == max(last + 1, target, 1)


@given(at=micros, size=st.integers(1, 256))
def test_object_i_of_n_has_at_minus_n_less_1_less_i(at: Micros, size: int) -> None:
    assert list(stamps.entry_stamps(at, size)) == [at - (size - 1 - index) for index in range(size)]


@given(at=micros, now=micros)
def test_rounding_goes_up_to_a_whole_millisecond_or_not_at_all(at: Micros, now: Micros) -> None:
    rounded = stamps.round_up(at, now)
    assert 0 <= rounded - at < 1_000
    if rounded != at:
        assert rounded % 1_000 == 0
        assert rounded <= now + 1_000_000
    if at % 1_000 and rounded == at:
        assert at // 1_000 * 1_000 + 1_000 > now + 1_000_000


@given(counts=st.lists(sizes, min_size=1, max_size=30), steps=st.lists(st.integers(0, 3_000), min_size=30))
def test_transactions_one_after_another_never_give_a_stamp_twice(
    counts: list[list[int]], steps: list[int]
) -> None:
    now, last, taken = START, Micros(0), list[int]()
    for some, step in zip(counts, steps, strict=False):
        now = Micros(now + step)
        ats = list(stamps.assign(some, last, Micros(now + 250_000)))
        ats[-1] = stamps.round_up(ats[-1], now)
        for at, size in zip(ats, some, strict=True):
            taken += stamps.entry_stamps(at, size)
        last = ats[-1]
    assert taken == sorted(set(taken))


@given(ahead=st.integers(-(10**9), 10**9))
def test_stamps_over_thirty_seconds_ahead_wait(ahead: int) -> None:
    at = Micros(START + ahead)
    if ahead <= MAX_BACKLOG:
        stamps.check_backlog(at, START)
    else:
        with pytest.raises(Unavailable) as caught:
            stamps.check_backlog(at, START)
        assert 1 <= caught.value.retry_after <= 3600


def test_no_stamp_is_beyond_what_a_key_holds() -> None:
    with pytest.raises(Unavailable):
        stamps.check_backlog(Micros(MAX_MICROS + 1), Micros(MAX_MICROS))


@given(wall=st.integers(-(10**9), 10**9), monotonic=st.integers(0, 10**9))
def test_clocks_that_disagree_by_over_a_minute_stop_publishing(wall: int, monotonic: int) -> None:
    if abs(wall - monotonic) <= 60_000_000:
        stamps.check_drift(wall, monotonic)
    else:
        with pytest.raises(Unavailable):
            stamps.check_drift(wall, monotonic)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    count = draw(st.integers(0, 700))
    kinds = draw(st.lists(st.sampled_from(["tool", "indicator", "x-" + "a" * 240]), min_size=1, max_size=5))
    digest = "ab" * 32
    return [
        (object_id(index, kinds[index % len(kinds)]), "2026-01-01T00:00:00.000Z", digest)
        for index in range(count)
    ]


@given(some=entries(), adds=st.booleans())
def test_statements_hold_all_entries_in_order_within_their_limits(some: list[Entry], adds: bool) -> None:
    name, other = ("add", "withdraw") if adds else ("withdraw", "add")
    parts = publication("c", "ab" * 32, add=some) if adds else publication("c", "ab" * 32, withdraw=some)
    held: list[Entry] = []
    for index, part in enumerate(parts):
        body = orjson.loads(part.body)
        assert rfc8785.dumps(body) == part.body
        assert len(part.body) <= STATEMENT_BYTES
        assert 1 <= part.size == len(body[name]) <= STATEMENT_ENTRIES
        assert body[other] == []
        held += [(one[0], one[1], one[2]) for one in body[name]]
        if index + 1 < len(parts) and part.size < STATEMENT_ENTRIES and len(held) % STATEMENT_ENTRIES:
            following = orjson.loads(parts[index + 1].body)[name][0]
            assert len(part.body) + len(orjson.dumps(following)) + 1 > STATEMENT_BYTES
    assert held == some


def test_an_agreement_change_is_canonical() -> None:
    body = agreement_change(8, "ab" * 32).body
    assert body == rfc8785.dumps({"sha256": "ab" * 32, "agreement": 8})


@given(
    st.dictionaries(
        st.tuples(st.sampled_from([0, classes.SPEC_21]), st.text("012", max_size=2)),
        st.integers(0, 15),
        min_size=1,
        max_size=8,
    )
)
def test_each_spec_version_of_an_object_has_one_first_and_one_last(
    held: dict[tuple[int, str], int],
) -> None:
    before = [(key, key[0] | (held[key] & 7), key[1]) for key in held]
    found = classes.classify(before)
    assert set(found) == set(held)
    for spec in {key[0] for key in held}:
        group = {key[1]: found[key] for key in held if key[0] == spec}
        assert [one for one, row in group.items() if row & classes.LAST] == [max(group)]
        assert [one for one, row in group.items() if row & classes.FIRST] == [min(group)]
        assert all(row & classes.SPEC_21 == spec for row in group.values())
        assert all(bool(row & classes.TOP) == (spec == max(key[0] for key in held)) for row in group.values())
    assert classes.classify([(key, found[key], key[1]) for key in held]) == found


def test_the_default_asks_for_what_a_reader_without_filters_sees() -> None:
    assert {one for one in range(16) if one & classes.SHOWN == classes.SHOWN} == set(
        classes.wanted(Filters())
    )
    every = Filters(versions=Versions(last=False, every=True), spec_versions=("2.0", "2.1"))
    assert set(classes.wanted(every)) == set(range(16))
    assert classes.wanted(Filters(versions=Versions(last=False))) == ()
