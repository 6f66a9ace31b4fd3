"""Request ids: UUIDv4s that never come twice, in threads and in forked processes either."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122, UUID

import pytest

from lightship import system_random
from lightship.system_random import AT_ONCE, random_uuid


def test_ids_are_uuid4_and_never_come_twice() -> None:
    with ThreadPoolExecutor(4) as pool:
        made = [
            one
            for some in pool.map(lambda _: [random_uuid() for _ in range(AT_ONCE)], range(40))
            for one in some
        ]
    assert len(set(made)) == len(made)
    assert {(one.version, one.variant) for one in made} == {(4, RFC_4122)}
    varied = 0
    for one in made:
        varied |= one.int ^ made[0].int
    assert (
        varied == ~((0xF << 76) | (0b11 << 62)) & (1 << 128) - 1
    )  # all bits but version and variant are random


def test_the_bits_are_the_systems_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_random, "_kept", [])
    monkeypatch.setattr(os, "urandom", lambda size: bytes(range(16)) * (size // 16))
    assert random_uuid() == UUID(bytes=bytes(range(16)), version=4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_forked_process_gives_other_ids() -> None:
    random_uuid()  # so that some are kept
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, b"".join(random_uuid().bytes for _ in range(AT_ONCE)))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    ours = {random_uuid().bytes for _ in range(AT_ONCE)}
    assert len(theirs) == 16 * AT_ONCE
    assert ours.isdisjoint(theirs[at : at + 16] for at in range(0, len(theirs), 16))
