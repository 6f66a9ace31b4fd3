"""A fresh hub in memory for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from probehub import ProbeHub, probe_hub


@pytest.fixture
def hub() -> Iterator[ProbeHub]:
    """A hub with the settings that it ships with, but for a smaller `max_content_length`."""
    with probe_hub() as made:
        yield made


@pytest.fixture
def small_pages() -> Iterator[ProbeHub]:
    """A hub with pages of 10 objects, 20 at most, and 64 KiB."""
    with probe_hub(page_default=10, page_max=20, page_max_bytes=64 * 1024) as made:
        yield made
