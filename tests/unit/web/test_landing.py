"""Events leave the loop in few batches, their results come back in one go, errors to their waiter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from threading import Thread
from typing import Any

import pytest

from lightship.core.audit import AccessEvent
from lightship.core.errors import Unavailable
from lightship.core.log.receipt import Group, Sealed
from lightship.core.ports import Recorded
from lightship.core.time import Micros
from lightship.web.landing import AT_ONCE, MOST, Landing

WAIT = 30


class Log:
    """Takes batches; they are complete when the test says so, or at once."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.batches: list[list[str]] = []
        self.futures: list[Future[Sequence[Recorded]]] = []
        self.at_once = at_once

    def record_all(self, events: Sequence[AccessEvent]) -> Future[Sequence[Recorded]]:
        self.batches.append([event.req for event in events])
        self.futures.append(Future())
        if self.at_once:
            self.complete()
        return self.futures[-1]

    def complete(self, number: int = -1) -> None:
        self.futures[number].set_result([None] * len(self.batches[number]))

    def all(self) -> list[str]:
        return [req for batch in self.batches for req in batch]


def event(number: int) -> AccessEvent:
    return AccessEvent(req=f"{number:04}", at=Micros(1), act="read-objects")


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT):
        while not true():
            await asyncio.sleep(0)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def test_what_a_round_hands_in_leaves_together_in_order_and_lands_with_one_wake_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        loop, wakes = asyncio.get_running_loop(), 0
        real = loop.call_soon_threadsafe

        def counted(*arguments: Any) -> Any:
            nonlocal wakes
            wakes += 1
            return real(*arguments)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        log = Log()
        landing = Landing(log.record_all)
        waiting = [landing.wait(event(number)) for number in range(40)]
        assert log.batches == []
        await until(lambda: log.batches)
        thread = Thread(target=log.complete)
        thread.start()
        thread.join(WAIT)
        assert await asyncio.wait_for(asyncio.gather(*waiting), WAIT) == [b""] * 40
        assert log.batches == [[f"{number:04}" for number in range(40)]]
        assert wakes == 1

    run(main)


def test_what_comes_in_the_next_rounds_leaves_with_the_first() -> None:
    async def main() -> None:
        log = Log(at_once=True)
        landing = Landing(log.record_all)
        waiting = [landing.wait(event(0))]
        await asyncio.sleep(0)
        waiting.append(landing.wait(event(1)))
        await asyncio.gather(*waiting)
        assert log.batches == [["0000", "0001"]]

    run(main)


def test_what_comes_while_a_batch_is_under_way_gathers_until_it_has_landed() -> None:
    async def main() -> None:
        log = Log()
        landing = Landing(log.record_all)
        waiting = [landing.wait(event(0))]
        await until(lambda: log.batches)
        for number in range(1, 4):
            waiting.append(landing.wait(event(number)))
            for _ in range(5):
                await asyncio.sleep(0)
        assert log.batches == [["0000"]]
        log.complete()
        await until(lambda: len(log.batches) == 2)
        assert log.batches[1] == ["0001", "0002", "0003"]
        log.complete()
        await asyncio.wait_for(asyncio.gather(*waiting), WAIT)

    run(main)


def test_a_full_batch_does_not_wait_for_the_one_under_way() -> None:
    async def main() -> None:
        log = Log()
        landing = Landing(log.record_all)
        waiting = [landing.wait(event(0))]
        await until(lambda: log.batches)
        waiting += [landing.wait(event(number)) for number in range(1, MOST + 1)]
        await until(lambda: len(log.batches) == 2)
        log.complete(1)
        log.complete(0)
        await asyncio.wait_for(asyncio.gather(*waiting), WAIT)

    run(main)


def test_who_was_answered_together_is_waited_for_but_not_for_ever() -> None:
    async def main() -> None:
        log = Log(at_once=False)
        landing = Landing(log.record_all)
        waiting = [landing.wait(event(number)) for number in range(3)]
        await until(lambda: log.batches)
        log.complete()
        await asyncio.wait_for(asyncio.gather(*waiting), WAIT)
        again = [landing.wait(event(3)), landing.wait(event(4))]  # the third does not come back
        await until(lambda: len(log.batches) == 2)
        assert log.batches[1] == ["0003", "0004"]
        log.complete()
        await asyncio.wait_for(asyncio.gather(*again), WAIT)

    run(main)


def test_the_wait_for_who_was_answered_begins_when_the_answers_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        loop, seen = asyncio.get_running_loop(), list[str]()
        real = loop.call_later

        def counted(delay: float, callback: Any, *arguments: Any) -> asyncio.TimerHandle:
            if getattr(callback, "__name__", "") == "_tick":
                seen.append("counting")
            return real(delay, callback, *arguments)

        monkeypatch.setattr(loop, "call_later", counted)
        log = Log()
        landing = Landing(log.record_all)

        async def answered(number: int) -> None:
            await landing.wait(event(number))
            seen.append("written")

        waiting = asyncio.gather(*(answered(number) for number in range(3)))
        await until(lambda: log.batches)
        log.complete()
        await asyncio.wait_for(waiting, WAIT)
        await until(lambda: "counting" in seen)
        assert seen == ["written", "written", "written", "counting"]

    run(main)


def test_large_answers_are_let_go_some_megabytes_a_round_small_ones_together() -> None:
    async def main() -> None:
        log = Log()
        landing = Landing(log.record_all)
        rounds: list[list[int]] = []

        async def ask(number: int, size: int) -> None:
            await landing.wait(event(number), size)
            rounds[-1].append(number)

        async def answered(sizes: Sequence[int]) -> list[list[int]]:
            rounds[:] = [[]]
            waiting = asyncio.gather(*(ask(number, size) for number, size in enumerate(sizes)))
            before = len(log.batches)
            await until(lambda: len(log.batches) > before)
            log.complete()
            async with asyncio.timeout(WAIT):
                while not waiting.done():
                    await asyncio.sleep(0)
                    rounds.append([])
            return [found for found in rounds if found]

        assert await answered([AT_ONCE // 2] * 5) == [[0, 1], [2, 3], [4]]
        assert await answered([AT_ONCE, AT_ONCE + 1, 1, 1]) == [[0], [1], [2, 3]]
        assert await answered([AT_ONCE // 100] * 50) == [[*range(50)]]

    run(main)


def test_events_of_many_rounds_and_threads_all_arrive_once() -> None:
    async def main() -> None:
        log = Log()
        landing = Landing(log.record_all)
        done = 0

        def complete() -> None:
            nonlocal done
            while done < 50 * 40:
                for number, future in enumerate(log.futures):
                    if not future.done():
                        done += len(log.batches[number])
                        log.complete(number)

        thread = Thread(target=complete)
        thread.start()
        try:
            for turn in range(50):
                waiting = [landing.wait(event(40 * turn + number)) for number in range(40)]
                await asyncio.wait_for(asyncio.gather(*waiting), WAIT)
        finally:
            done = 50 * 40
            thread.join(WAIT)
        assert log.all() == [f"{number:04}" for number in range(50 * 40)]

    run(main)


def test_an_event_that_failed_alone_fails_its_own_waiter_a_failed_batch_all_of_its() -> None:
    async def main() -> None:
        log = Log()
        landing = Landing(log.record_all)
        one, other = landing.wait(event(0)), landing.wait(event(1))
        await until(lambda: log.batches)
        log.futures[0].set_result([None, Unavailable("not this one")])
        assert await asyncio.wait_for(one, WAIT) == b""
        with pytest.raises(Unavailable, match="not this one"):
            await asyncio.wait_for(other, WAIT)
        both = [landing.wait(event(number)) for number in (2, 3)]
        await until(lambda: len(log.batches) == 2)
        log.futures[1].set_exception(Unavailable("the disk is full"))
        for waiting in both:
            with pytest.raises(Unavailable, match="the disk is full"):
                await asyncio.wait_for(waiting, WAIT)
        again = landing.wait(event(4))
        await until(lambda: len(log.batches) == 3)
        log.complete()
        assert await asyncio.wait_for(again, WAIT) == b""

    run(main)


def test_a_receipt_that_cannot_be_made_fails_its_own_waiter_and_holds_up_nobody() -> None:
    nowhere = Sealed(Group("localhost/audit/hub/2026", 0, [bytes(32)], lambda _: bytes(64)), 1)

    async def main() -> None:
        log = Log()
        landing = Landing(log.record_all)
        spoiled = landing.wait(event(0), AT_ONCE)
        others = [landing.wait(event(number), AT_ONCE) for number in (1, 2)]
        await until(lambda: log.batches)
        log.futures[0].set_result([nowhere, None, None])
        with pytest.raises(IndexError):
            await asyncio.wait_for(spoiled, WAIT)
        assert await asyncio.wait_for(asyncio.gather(*others), WAIT) == [b"", b""]
        after = landing.wait(event(3))
        await until(lambda: len(log.batches) == 2)
        log.complete()
        assert await asyncio.wait_for(after, WAIT) == b""

    run(main)


def test_a_log_that_raises_fails_who_waits_and_nobody_after() -> None:
    async def main() -> None:
        log = Log(at_once=True)
        broken = True

        def record_all(events: Sequence[AccessEvent]) -> Future[Sequence[Recorded]]:
            if broken:
                raise ValueError("unforeseen")
            return log.record_all(events)

        landing = Landing(record_all)
        with pytest.raises(ValueError, match="unforeseen"):
            await asyncio.wait_for(landing.wait(event(0)), WAIT)
        broken = False
        assert await asyncio.wait_for(landing.wait(event(1)), WAIT) == b""

    run(main)


def test_a_wait_that_is_given_up_leaves_the_event_on_its_way() -> None:
    async def main() -> None:
        log = Log()
        landing = Landing(log.record_all)
        given_up, kept = landing.wait(event(0)), landing.wait(event(1))
        given_up.cancel()
        await until(lambda: log.batches)
        assert log.batches == [["0000", "0001"]]
        log.complete()
        assert await asyncio.wait_for(kept, WAIT) == b""
        assert given_up.cancelled()

    run(main)


def test_a_batch_that_lands_after_the_loop_has_closed_is_nobodys() -> None:
    log = Log()
    landing = Landing(log.record_all)

    async def first() -> None:
        landing.wait(event(0))
        await until(lambda: log.batches)

    run(first)
    log.complete()

    async def second() -> None:
        waiting = landing.wait(event(1))
        await until(lambda: len(log.batches) == 2)
        log.complete()
        assert await asyncio.wait_for(waiting, WAIT) == b""

    run(second)
