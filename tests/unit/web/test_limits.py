"""Bodies: bounded as they come and as they unpack, in time, and drained when the answer came first."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Iterable
from selectors import SelectorKey, SelectSelector
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.core.errors import LightshipError, MalformedRequest, TooLarge, UnsupportedMedia
from lightship.core.time import Micros
from lightship.usecases.directory import HubView
from lightship.web.limits import ClientGone, Limits, check_sizes, drain, read_body, unpack
from lightship.web.message import Request
from lightship.web.problems import HeadersTooLarge, SlowBody, TargetTooLong

SMALL = Limits(body=1000, body_idle=0.05, body_total=0.2, drain=5000, drain_total=0.05)


class Sender:
    """A client that sends pieces and then stays silent, or goes away."""

    def __init__(self, pieces: Iterable[bytes], *, stays: bool = False) -> None:
        self.pieces = list(pieces)
        self.taken = 0
        self.stays = stays

    async def receive(self) -> dict[str, Any]:
        if self.pieces:
            piece = self.pieces.pop(0)
            self.taken += len(piece)
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or self.stays}
        if self.stays:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}


def request(receive: Callable[[], Awaitable[Any]], **headers: bytes) -> Request:
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return Request(UUID(int=0), Micros(0), "POST", "/", b"", named, "", receive, HubView(0, {}))


def read(sender: Sender, **headers: bytes) -> bytes:
    return asyncio.run(read_body(request(sender.receive, **headers), SMALL))


def test_a_body_in_pieces_is_joined() -> None:
    assert read(Sender([b"a" * 500, b"", b"b" * 500])) == b"a" * 500 + b"b" * 500


def test_a_body_that_announces_too_much_is_refused_unread() -> None:
    for announced in (b"1001", b"9" * 400):
        sender = Sender([b"a" * 1001])
        with pytest.raises(TooLarge) as refused:
            read(sender, content_length=announced)
        assert refused.value.details == {"max_content_length": "1000"}
        assert sender.taken == 0


def test_a_body_without_a_length_is_counted() -> None:
    sender = Sender([b"a" * 400] * 9)
    with pytest.raises(TooLarge):
        read(sender)
    assert sender.taken == 1200


def test_a_body_that_stops_coming_is_given_up() -> None:
    with pytest.raises(SlowBody):
        read(Sender([b"a"], stays=True))


def test_a_body_that_dribbles_is_given_up() -> None:
    async def dribble() -> dict[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"a", "more_body": True}

    with pytest.raises(SlowBody):
        asyncio.run(read_body(request(dribble), SMALL))


def test_a_client_that_goes_away_is_no_body() -> None:
    with pytest.raises(ClientGone):
        read(Sender([]))


def test_gzip_is_unpacked_members_and_all() -> None:
    packed = gzip.compress(b"a" * 400) + gzip.compress(b"b" * 500)
    assert read(Sender([packed[:7], packed[7:]]), content_encoding=b"gzip") == b"a" * 400 + b"b" * 500


def test_a_gzip_bomb_stops_at_the_limit() -> None:
    with pytest.raises(TooLarge):
        read(Sender([gzip.compress(b"\0" * 900_000)]), content_encoding=b"gzip")
    with pytest.raises(TooLarge):
        read(Sender([gzip.compress(b"\0" * 600) * 2]), content_encoding=b"gzip")


@pytest.mark.parametrize(
    "packed",
    [b"", b"{}", gzip.compress(b"abc")[:-1], gzip.compress(b"abc") + b"x"],
    ids=["empty", "json", "cut off", "trailing"],
)
def test_what_is_no_gzip_is_refused(packed: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(Sender([packed]), content_encoding=b"gzip")


def test_gzip_of_very_many_members_is_refused() -> None:
    with pytest.raises(MalformedRequest, match="members"):
        unpack(gzip.compress(b"") * 65, SMALL)
    assert unpack(gzip.compress(b"a") * 64, SMALL) == b"a" * 64


@given(st.binary(max_size=3000))
def test_whatever_fits_comes_out_as_it_went_in(body: bytes) -> None:
    packed = gzip.compress(body)
    if len(body) > SMALL.body:
        with pytest.raises(TooLarge):
            unpack(packed, SMALL)
    else:
        assert unpack(packed, SMALL) == body


@given(st.binary(min_size=1, max_size=300))
def test_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    with pytest.raises(LightshipError):
        unpack(b"\x1f\x8b" + body, SMALL)


def test_another_coding_is_refused_before_anything_is_read() -> None:
    sender = Sender([b"x"])
    with pytest.raises(UnsupportedMedia):
        read(sender, content_encoding=b"br")
    assert sender.taken == 0


def test_a_drain_ends_with_the_body_the_bound_or_the_time() -> None:
    done = Sender([b"a" * 400] * 3)
    asyncio.run(drain(request(done.receive), SMALL))
    assert done.taken == 1200
    flood = Sender([b"a" * 1000] * 50)
    asyncio.run(drain(request(flood.receive), SMALL))
    assert flood.taken <= 6000
    silent = Sender([b"a"], stays=True)
    asyncio.run(asyncio.wait_for(drain(request(silent.receive), SMALL), 5))


def test_long_targets_and_headers_are_refused() -> None:
    check_sizes(65_536, 65_536)
    with pytest.raises(TargetTooLong):
        check_sizes(65_537, 0)
    with pytest.raises(HeadersTooLarge):
        check_sizes(0, 65_537)


class Dribbler:
    """A client that sends one byte at a time, never stopping."""

    def __init__(self, pause: float, size: int) -> None:
        self.pause = pause
        self.left = size

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(self.pause)
        self.left -= 1
        return {"type": "http.request", "body": b"x", "more_body": self.left > 0}


def test_a_body_that_dribbles_in_is_refused_although_it_never_stops() -> None:
    limits = Limits(body_idle=5, body_total=5, body_rate=1000, body_grace=0.05)
    with pytest.raises(SlowBody, match="1000 bytes a second"):
        asyncio.run(read_body(request(Dribbler(0.01, 1000).receive), limits))


def test_a_small_slow_body_is_taken_within_its_grace() -> None:
    limits = Limits(body_rate=1000, body_grace=5)
    assert asyncio.run(read_body(request(Dribbler(0.01, 5).receive), limits)) == b"xxxxx"


class Swift(asyncio.SelectorEventLoop):
    """A loop whose clock goes on to the next timer at once when nothing else is to be done."""

    def __init__(self) -> None:
        self.now = 0.0
        loop = self

        class Selector(SelectSelector):
            def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
                loop.now += max(timeout or 0.0, 0.0)
                return super().select(0)

        super().__init__(Selector())

    def time(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("pause", "piece", "ends"),
    [
        (29.0, 64 * 1024, 300.0),  # each in time, never all of it
        (31.0, 64 * 1024, 30.0),
        (0.5, 500, 10.5),  # too slow once its grace is over
    ],
)
def test_a_body_that_never_ends_has_its_time_and_no_more(pause: float, piece: int, ends: float) -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": bytes(piece), "more_body": True}

    async def main() -> float:
        with pytest.raises(SlowBody):
            await read_body(request(receive), Limits())
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=Swift) as runner:
        assert runner.run(main()) == pytest.approx(ends, abs=0.6)


def test_a_body_may_take_longer_than_one_pause_and_come_late_in_its_last_piece() -> None:
    pauses = [29.0, 29.0, 29.0, 0.1]

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pauses.pop(0))
        return {"type": "http.request", "body": b"x" * 40_000, "more_body": bool(pauses)}

    with asyncio.Runner(loop_factory=Swift) as runner:
        assert len(runner.run(read_body(request(receive), Limits()))) == 160_000
