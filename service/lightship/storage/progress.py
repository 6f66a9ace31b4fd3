"""How long work (backup, restore, fsck) tells how far it is; who shows it is the caller's business."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done and how much there is in all (0 = unknown)."""


def no_progress(what: str, done: int, total: int) -> None:
    """Tell nobody."""
