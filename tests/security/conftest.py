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
