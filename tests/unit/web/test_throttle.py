"""Failed logins: counted per source in a sliding window, in bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lightship.core.time import Micros
from lightship.web.throttle import Throttle, source_of

S = 1_000_000


def test_the_twentieth_failure_is_answered_and_the_next_one_waits() -> None:
    throttle = Throttle(20, 300)
    for second in range(20):
        assert throttle.wait("a", Micros(second * S)) == 0
        throttle.fail("a", Micros(second * S))
    assert throttle.wait("a", Micros(20 * S)) == 280
    assert throttle.wait("b", Micros(20 * S)) == 0


def test_the_window_slides() -> None:
    throttle = Throttle(2, 10)
    throttle.fail("a", Micros(0))
    throttle.fail("a", Micros(6 * S))
    assert throttle.wait("a", Micros(9_999_999)) == 1
    assert throttle.wait("a", Micros(10 * S)) == 0
    throttle.fail("a", Micros(10 * S))
    assert throttle.wait("a", Micros(10 * S)) == 6


def test_memory_is_bounded_and_a_source_past_its_window_is_forgotten() -> None:
    throttle = Throttle(2, 10, sources=100)
    for number in range(1000):
        throttle.fail(str(number), Micros(0))
    assert len(throttle) == 100
    assert throttle.wait("999", Micros(11 * S)) == 0
    assert len(throttle) == 99


@given(st.lists(st.tuples(st.integers(0, 30 * S), st.booleans()), max_size=80))
def test_never_more_than_the_limit_within_any_window(steps: list[tuple[int, bool]]) -> None:
    throttle = Throttle(3, 10)
    taken: list[int] = []
    for at in sorted(at for at, _ in steps):
        if throttle.wait("a", Micros(at)) == 0:
            throttle.fail("a", Micros(at))
            taken.append(at)
    for first, fourth in zip(taken, taken[3:], strict=False):
        assert fourth - first >= 10 * S


def test_sources_are_addresses_and_networks_of_one_customer() -> None:
    assert source_of("2001:db8:1:2::3") == source_of("2001:db8:1:2:ffff::1") != source_of("2001:db8:1:3::3")
    assert source_of("::ffff:192.0.2.1") == source_of("192.0.2.1") != source_of("192.0.2.2")
    assert source_of("") == "address "
