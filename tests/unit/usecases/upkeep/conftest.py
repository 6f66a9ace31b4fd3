"""A hub over each store with a clock that stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubkit import HubKit, StoppedClock, make_hub
from upkeeplab import COLLECTIONS, STORES


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture(params=STORES)
def kit(request: pytest.FixtureRequest, tmp_path: Path, clock: StoppedClock) -> Iterator[HubKit]:
    with make_hub(tmp_path, request.param, collections=COLLECTIONS, clock=clock) as made:
        yield made


@pytest.fixture
def on_disk(tmp_path: Path, clock: StoppedClock) -> Iterator[HubKit]:
    with make_hub(tmp_path, "sqlite", collections=COLLECTIONS, clock=clock) as made:
        yield made
