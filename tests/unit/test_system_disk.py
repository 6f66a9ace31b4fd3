"""Free space: what a publish is told is never older than it says."""

from __future__ import annotations

import shutil
import time
from collections import namedtuple
from pathlib import Path

import pytest

from lightship.system_disk import AGE_S, FreeSpace

Usage = namedtuple("Usage", "total used free")


def test_it_is_looked_at_again_once_it_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free, at = 100, 1000.0
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, free) if path == tmp_path else None)
    monkeypatch.setattr(time, "monotonic", lambda: at)
    space = FreeSpace(tmp_path)
    assert space.lately() == 100
    free = 7
    at += AGE_S * 0.9
    assert (space.lately(), space.now(), space.lately()) == (100, 7, 7)
    free = 5
    at += AGE_S * 0.9
    assert space.lately() == 7
    at += AGE_S * 0.2
    assert space.lately() == 5


def test_it_is_the_machines_own_figure(tmp_path: Path) -> None:
    assert 0 < FreeSpace(tmp_path).lately() <= shutil.disk_usage(tmp_path).total
