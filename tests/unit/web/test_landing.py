"""Work leaves the loop in one go, its results come back in one go: each once, errors to their waiter."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from functools import partial
from threading import Thread
from typing import Any

import pytest

from lightship.web.landing import Landing

WAIT = 30


def begun(future: Future[int]) -> Future[int]:
    return future


def complete(futures: list[Future[int]]) -> None:
    for number, future in enumerate(futures):
        future.set_result(number)


def test_many_results_of_one_thread_arrive_with_one_wake_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> tuple[list[int], int]:
        loop, wakes = asyncio.get_running_loop(), 0
        real = loop.call_soon_threadsafe

        def counted(*arguments: Any) -> Any:
            nonlocal wakes
            wakes += 1
            return real(*arguments)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        landing, futures = Landing(), [Future[int]() for _ in range(100)]
        waiting = [landing.wait(partial(begun, future)) for future in futures]
        await asyncio.sleep(0)
        thread = Thread(target=complete, args=(futures,))
        thread.start()
        thread.join(WAIT)  # the loop stands still meanwhile
        return await asyncio.wait_for(asyncio.gather(*waiting), WAIT), wakes

    assert asyncio.run(run()) == (list(range(100)), 1)


def test_results_that_come_while_the_loop_runs_all_arrive() -> None:
    async def run() -> None:
        landing = Landing()
        for _ in range(50):
            futures = [Future[int]() for _ in range(40)]
            waiting = [landing.wait(partial(begun, future)) for future in futures]
            threads = [Thread(target=complete, args=(futures[at::4],)) for at in range(4)]
            for thread in threads:
                thread.start()
            found = await asyncio.wait_for(asyncio.gather(*waiting), WAIT)
            assert found == [at // 4 for at in range(40)]
            for thread in threads:
                thread.join(WAIT)

    asyncio.run(run())


def test_an_error_arrives_and_a_finished_future_needs_no_wake_up() -> None:
    async def run() -> None:
        landing = Landing()
        failed, done, cancelled = Future[int](), Future[int](), Future[int]()
        waiting = landing.wait(lambda: failed)
        Thread(target=failed.set_exception, args=(OSError("disk"),)).start()
        with pytest.raises(OSError, match="disk"):
            await asyncio.wait_for(waiting, WAIT)
        done.set_result(7)
        cancelled.cancel()
        assert await asyncio.wait_for(landing.wait(lambda: done), WAIT) == 7
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(landing.wait(lambda: cancelled), WAIT)

    asyncio.run(run())


def test_a_wait_that_is_given_up_leaves_its_future_alone() -> None:
    async def run() -> None:
        landing, future = Landing(), Future[int]()
        begun_too: list[Future[int]] = []

        def start() -> Future[int]:
            begun_too.append(future)
            return future

        waiting = landing.wait(start)
        waiting.cancel()
        await asyncio.sleep(0)
        assert begun_too == [future], "what was handed in leaves, whoever waits"
        assert not future.cancelled()
        complete([future])
        await asyncio.sleep(0)
        assert waiting.cancelled()
        assert future.result() == 0

    asyncio.run(run())


def test_a_result_after_the_loop_has_closed_is_nobodys() -> None:
    future, landing = Future[int](), Landing()

    async def run() -> None:
        landing.wait(lambda: future)
        await asyncio.sleep(0)

    asyncio.run(run())
    complete([future])
    assert future.result() == 0


def test_what_one_round_hands_in_leaves_together_and_in_order_after_it() -> None:
    async def run() -> None:
        landing = Landing()
        order: list[int] = []

        def start(number: int) -> Future[int]:
            order.append(number)
            future = Future[int]()
            if number == 3:
                raise ValueError("this one cannot begin")
            future.set_result(number)
            return future

        waiting = [landing.wait(partial(start, number)) for number in range(6)]
        assert order == []
        found = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), WAIT)
        assert order == list(range(6))
        assert [one for one in found if not isinstance(one, BaseException)] == [0, 1, 2, 4, 5]
        assert isinstance(found[3], ValueError)

    asyncio.run(run())
