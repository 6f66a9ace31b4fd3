"""The drivers that the contract of the store is checked on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lightship.storage.memory import MemoryStore
from lightship.storage.sqlite.store import open_store
from storekit import HandClock, HubStore, activate


@pytest.fixture
def hub_clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["memory", "sqlite"])
def empty_store(request: pytest.FixtureRequest, tmp_path: Path, hub_clock: HandClock) -> Iterator[HubStore]:
    """A store that knows no agreement."""
    made: HubStore = MemoryStore(hub_clock) if request.param == "memory" else open_store(tmp_path, hub_clock)
    yield made
    made.close()


@pytest.fixture
def hub_store(empty_store: HubStore) -> HubStore:
    """A store with the collections 1 and 2 of one agreement."""
    activate(empty_store, 1, 2)
    return empty_store
