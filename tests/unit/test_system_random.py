"""Request ids: UUIDv4s that never come twice, in threads and in forked processes either."""

from __future__ import annotations

import os
import subprocess
import sys
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


_FORKED = """
import os, sys
from lightship.system_random import AT_ONCE, random_uuid
random_uuid()  # so that some are kept
child = os.fork()
sys.stdout.buffer.write(b"".join(random_uuid().bytes for _ in range(AT_ONCE)))
if child:
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_forked_process_gives_other_ids() -> None:
    command = [sys.executable, "-c", _FORKED]  # forked where no other thread runs
    made = subprocess.run(command, check=True, capture_output=True, timeout=30).stdout
    ids = {made[at : at + 16] for at in range(0, len(made), 16)}
    assert len(ids) == len(made) // 16 == 2 * AT_ONCE
