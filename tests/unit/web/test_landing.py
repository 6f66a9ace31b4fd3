"""Futures of another thread reach the loop: results, errors, once, with one wake-up for many."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from threading import Thread
from typing import Any

import pytest

from lightship.web.landing import Landing

WAIT = 30


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
        waiting = [landing.wait(future) for future in futures]
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
            waiting = [landing.wait(future) for future in futures]
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
        waiting = landing.wait(failed)
        Thread(target=failed.set_exception, args=(OSError("disk"),)).start()
        with pytest.raises(OSError, match="disk"):
            await asyncio.wait_for(waiting, WAIT)
        done.set_result(7)
        cancelled.cancel()
        assert landing.wait(done).done()
        assert landing.wait(cancelled).cancelled()

    asyncio.run(run())


def test_a_wait_that_is_given_up_leaves_its_future_alone() -> None:
    async def run() -> None:
        landing, future = Landing(), Future[int]()
        waiting = landing.wait(future)
        waiting.cancel()
        assert not future.cancelled()
        complete([future])
        await asyncio.sleep(0)
        assert waiting.cancelled()
        assert future.result() == 0

    asyncio.run(run())


def test_a_result_after_the_loop_has_closed_is_nobodys() -> None:
    future, landing = Future[int](), Landing()

    async def run() -> None:
        landing.wait(future)

    asyncio.run(run())
    complete([future])
    assert future.result() == 0
