"""Suspensions: what one party may sign, and what is refused by name."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.core import dsse
from lightship.core.agreement import Agreement, AgreementStatus, suspension
from lightship.core.agreement.chain import Root, RootKey
from lightship.core.agreement.suspension import (
    AGAIN,
    LONGEST,
    BadSuspension,
    Order,
    Refusal,
    Suspensions,
)
from lightship.core.log.record import BadRecord
from lightship.core.time import Micros
from lightship.crypto.sign import SigningKey, new_signing_key, verify

HUB, OTHER_HUB = "a" * 64, "b" * 64
NOW = Micros(1_790_000_000_000_000)
HOUR = 3_600_000_000
LAX, LGB, STRANGER = new_signing_key(), new_signing_key(), new_signing_key()
ROOT = Root(2, {LAX.keyid: RootKey(LAX.public, "uslax"), LGB.keyid: RootKey(LGB.public, "uslgb")})
MEMBERS = {"uslax", "uslgb", "jptyo"}


def order(taken: Suspensions, **changes: Any) -> Order:
    first = Order("mou", HUB, 3, taken.number + 1, taken.digest, "jptyo", NOW, Micros(NOW + HOUR), "Stolen")
    return replace(first, **changes)


def envelope(one: Order, *keys: SigningKey) -> dsse.Envelope:
    return suspension.sign(one, [(key.keyid, key.sign) for key in keys])


def fresh() -> Suspensions:
    return Suspensions("mou", HUB, verify)


def take(taken: Suspensions, one: Order, *keys: SigningKey, at: int = NOW) -> None:
    taken.take(envelope(one, *keys), ROOT, 3, MEMBERS, Micros(at))


def refused(taken: Suspensions, one: Order, *keys: SigningKey, at: int = NOW) -> Refusal:
    before = (taken.number, taken.digest, taken.stops)
    with pytest.raises(BadSuspension) as caught:
        take(taken, one, *keys, at=at)
    assert (taken.number, taken.digest, taken.stops) == before
    return caught.value.refusal


def test_a_log_that_begins_now_has_the_first_order_in_effect_and_all_after_it() -> None:
    def stop(number: int, member: str, since: int, until: int | None) -> Order:
        end = None if until is None else Micros(NOW + until * HOUR)
        return Order("mou", HUB, 3, number, "", member, Micros(NOW + since * HOUR), end, "Stolen")

    over, short, ended = stop(1, "uslax", 0, 1), stop(2, "uslgb", 0, 4), stop(4, "jptyo", 1, 9)
    end_of_another, end = stop(3, "", 1, None), stop(5, "jptyo", 2, None)
    listed = [over, short, end_of_another, ended, end]
    for hour, expected in ((0, 0), (1, 1), (3, 1), (4, 5), (8, 5)):
        assert suspension.first_running(listed, Micros(NOW + hour * HOUR)) == expected
    early = stop(5, "jptyo", 0, None)  # dated before what it follows: it ended nothing of that
    assert suspension.first_running([ended, early], Micros(NOW + 5 * HOUR)) == 0
    assert suspension.first_running([], NOW) == 0


def test_one_party_is_enough_to_stop_although_two_are_needed_to_grant() -> None:
    taken = fresh()
    take(taken, order(taken), LAX)
    (stop,) = taken.stops
    assert (stop.party, stop.member, stop.holds(NOW)) == ("uslax", "jptyo", True)
    assert not stop.holds(Micros(NOW + HOUR))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"agreement": "other"}, Refusal.OTHER_AGREEMENT),
        ({"hub": OTHER_HUB}, Refusal.OTHER_AGREEMENT),
        ({"version": 2}, Refusal.OTHER_VERSION),
        ({"number": 2}, Refusal.NOT_NEXT),
        ({"prev": "c" * 64}, Refusal.NOT_NEXT),
        ({"member": "nobody"}, Refusal.UNKNOWN_MEMBER),
        ({"until": Micros(NOW + LONGEST + 1)}, Refusal.TOO_LONG),
        ({"since": Micros(NOW + 1)}, Refusal.NOT_NOW),
        ({"since": Micros(NOW - HOUR), "until": NOW}, Refusal.NOT_NOW),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(changes: dict[str, Any], expected: Refusal) -> None:
    taken = fresh()
    assert refused(taken, order(taken, **changes), LAX) is expected


def test_exactly_72_hours_are_allowed() -> None:
    taken = fresh()
    take(taken, order(taken, until=Micros(NOW + LONGEST)), LAX)
    assert taken.number == 1


@pytest.mark.parametrize("keys", [(STRANGER,), (LAX, LGB)])
def test_it_is_signed_by_exactly_one_party(keys: tuple[SigningKey, ...]) -> None:
    taken = fresh()
    assert refused(taken, order(taken), *keys) is Refusal.NOT_SIGNED


def test_a_signature_over_another_order_does_not_count() -> None:
    taken = fresh()
    signed = envelope(order(taken, reason="Another"), LAX)
    forged = replace(signed, payload=order(taken).payload())
    with pytest.raises(BadSuspension) as caught:
        taken.take(forged, ROOT, 3, MEMBERS, NOW)
    assert caught.value.refusal is Refusal.NOT_SIGNED


def test_the_same_again_waits_30_days_after_the_last_one_ended() -> None:
    taken = fresh()
    take(taken, order(taken), LAX)
    free = NOW + HOUR + AGAIN
    early = order(taken, since=Micros(free - 1), until=Micros(free + HOUR))
    assert refused(taken, early, LAX, at=free) is Refusal.TOO_SOON
    other = order(taken, since=Micros(free - 1), until=Micros(free + HOUR))
    take(taken, other, LGB, at=free)  # another party
    member = order(taken, member="uslgb", since=Micros(free - 1), until=Micros(free + HOUR))
    take(taken, member, LAX, at=free)  # another target
    take(taken, order(taken, since=Micros(free), until=Micros(free + HOUR)), LAX, at=free)
    assert taken.number == 4


def test_ending_it_early_needs_all_parties_that_a_version_needs() -> None:
    taken = fresh()
    take(taken, order(taken), LAX)
    later = Micros(NOW + HOUR // 2)
    end = order(taken, since=later, until=None)
    assert refused(taken, end, LGB, at=later) is Refusal.NOT_SIGNED
    take(taken, end, LAX, LGB, at=later)
    assert [one.until for one in taken.stops] == [later]
    again = order(taken, since=later, until=None)
    assert refused(taken, again, LAX, LGB, at=later) is Refusal.NOTHING_TO_END


def test_an_end_can_not_be_dated_back_over_what_was() -> None:
    taken = fresh()
    take(taken, order(taken), LAX)
    later = NOW + HOUR - 1
    assert refused(taken, order(taken, until=None), LAX, LGB, at=later) is Refusal.NOT_NOW


def test_one_that_was_taken_cannot_be_replayed() -> None:
    taken = fresh()
    first = order(taken)
    take(taken, first, LAX)
    assert refused(taken, first, LAX) is Refusal.NOT_NEXT


@pytest.mark.parametrize(
    "payload",
    [
        order(fresh()).payload().replace(b'"number":1', b'"number":1,"number":1'),
        order(fresh()).payload().replace(b'"number":1', b'"number": 1'),
        order(fresh()).payload().replace(b'"reason"', b'"because"'),
        order(fresh()).payload().replace(b'"member":"jptyo"', b'"agreement":"other"'),
        order(fresh()).payload().replace(b'"number":1', b'"number":0'),
        order(fresh()).payload().replace(b"Stolen", b" "),
        order(fresh()).payload().replace(b"Stolen", b"two\\nlines"),
        order(fresh()).payload().replace(b".000000Z", b"Z"),
        b"[]",
    ],
    ids=["duplicate", "spaced", "unknown", "target", "number", "blank", "lines", "time", "list"],
)
def test_what_has_not_the_form_is_not_read(payload: bytes) -> None:
    with pytest.raises(BadRecord):
        suspension.read_payload(payload)


def test_what_is_written_is_read_back() -> None:
    one = order(fresh())
    assert suspension.read(dsse.encode(envelope(one, LAX)))[1] == one
    assert suspension.read_payload(replace(one, until=None, member="").payload()).until is None


# --- a single key ---------------------------------------------------------------------------------

KEY, OTHER_KEY = "1" * 64, "2" * 64
BEFORE_KEYS = (
    b'{"agreement":"mou","from":"2026-09-21T14:13:20.000000Z","hub":"'
    + b"a" * 64
    + b'","number":1,"prev":"",'
    b'"reason":"Stolen","target":{"member":"jptyo"},"until":"2026-09-21T15:13:20.000000Z","version":3}'
)


def test_suspensions_from_before_keys_could_be_suspended_are_the_same_bytes() -> None:
    assert suspension.read_payload(BEFORE_KEYS).payload() == BEFORE_KEYS
    assert order(fresh()).payload() == BEFORE_KEYS


def test_a_suspended_key_stops_neither_its_member_nor_the_agreement() -> None:
    taken = fresh()
    take(taken, order(taken, member="", key=KEY), LAX)
    one = replace(AGREEMENT, suspensions=taken.stops)
    assert one.suspended("", NOW, KEY) == taken.stops[0]
    assert one.suspended("", NOW, OTHER_KEY) is None
    assert one.suspended("jptyo", NOW) is None
    assert one.suspended("", NOW) is None
    assert one.status(NOW) is AgreementStatus.IN_FORCE
    assert f"key {KEY} is suspended until" in one.notice(NOW)
    assert one.suspended("", Micros(NOW + HOUR), KEY) is None
    assert not taken.stops[0].of_member("jptyo")


def test_a_key_waits_its_30_days_alone_and_is_ended_alone() -> None:
    taken = fresh()
    take(taken, order(taken, member="", key=KEY), LAX)
    take(taken, order(taken, member="", key=OTHER_KEY), LAX)  # another target
    take(taken, order(taken), LAX)
    take(taken, order(taken, member=""), LAX)
    assert refused(taken, order(taken, member="", key=KEY), LAX) is Refusal.TOO_SOON
    assert (
        refused(taken, order(taken, member="", key="3" * 64, until=None), LAX, LGB) is Refusal.NOTHING_TO_END
    )
    take(taken, order(taken, member="", key=KEY, until=None), LAX, LGB)
    assert [one.until == NOW for one in taken.stops] == [True, False, False, False]


@pytest.mark.parametrize(
    "target",
    [
        '{"key":""}',
        '{"key":"abc"}',
        f'{{"key":"{KEY}","member":"jptyo"}}',
        '{"key":1}',
        f'{{"key":["{KEY}"]}}',
    ],
)
def test_a_target_that_is_no_key_is_not_read(target: str) -> None:
    payload = BEFORE_KEYS.replace(b'{"member":"jptyo"}', target.encode())
    with pytest.raises(BadRecord):
        suspension.read_payload(payload)


AGREEMENT = Agreement("mou", 3, "T", "", "", None, None, {}, (), "d", HUB, "")


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(MEMBERS)), st.integers(1, 72), st.integers(0, 2000)), max_size=12
    )
)
def test_it_only_ever_stops_for_its_hours_and_all_of_it_comes_back(
    steps: list[tuple[str, int, int]],
) -> None:
    """Whatever one party signs: what is taken never stops a target for more than 72 hours in any 30 days."""
    taken, now = fresh(), int(NOW)
    for member, hours, pause in steps:
        one = order(taken, member=member, since=Micros(now), until=Micros(now + hours * HOUR))
        with suppress(BadSuspension):
            take(taken, one, LAX, at=now)
        now += pause * HOUR
    agreement = replace(AGREEMENT, suspensions=taken.stops)
    for target in MEMBERS:
        mine = [one for one in taken.stops if one.member == target]
        for before, after in pairwise(mine):
            assert after.since - before.until >= AGAIN
        for stop in mine:
            assert stop.until - stop.since <= LONGEST
            assert agreement.suspended(target, stop.since) == stop
            assert agreement.suspended(target, Micros(stop.since - 1)) is None
            assert agreement.suspended(target, stop.until) is None


def test_a_suspended_agreement_says_so_and_a_suspended_member_is_not_all_of_it() -> None:
    taken = fresh()
    take(taken, order(taken), LAX)
    one = replace(AGREEMENT, suspensions=taken.stops)
    assert one.status(NOW) is AgreementStatus.IN_FORCE
    assert "jptyo is suspended until" in one.notice(NOW)
    take(taken, order(taken, member=""), LAX)
    whole = replace(AGREEMENT, suspensions=taken.stops)
    assert whole.status(NOW) is AgreementStatus.SUSPENDED
    assert "mou is suspended until" in whole.notice(NOW)
    assert whole.status(Micros(NOW + HOUR)) is AgreementStatus.IN_FORCE
    assert whole.notice(Micros(NOW + HOUR)) == ""
    assert replace(whole, ended=True).status(NOW) is AgreementStatus.ENDED
