"""What a feed is: an adapter between an outside form and STIX objects; it knows no storage and no routes.

A way in reads text or bytes and yields drafts; publishing them goes through the same door as everybody.
Third parties add one by an entry point of the group `lightship.feeds` (see `registry`). Nothing that a feed
reads is ever resolved, fetched or contacted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, ClassVar, Protocol, runtime_checkable

from lightship.core.errors import BadFile


@dataclass(frozen=True, slots=True)
class Draft:
    """One object read from a source.

    Args:
        position: from 0, in the order of the source.
        line: where it begins in the source, from 1.
        raw: its JSON text as UTF-8, exactly as it stood in the source.
    """

    position: int
    line: int
    raw: bytes


@runtime_checkable
class FeedIn(Protocol):
    """A way in. `name` is its slug, `summary` one line for people, `suffixes` the file endings it takes."""

    name: ClassVar[str]
    summary: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]

    def read(self, source: BinaryIO, where: str) -> Iterator[Draft]:
        """Yield the objects of a source, in its order.

        Args:
            source: bytes, read once from where it stands.
            where: what to call the source in errors, e.g. the file's path.

        Raises:
            BadFile: the source is not of this form; `line` says where. Drafts yielded before stay good.
        """
        ...


__all__ = ["BadFile", "Draft", "FeedIn"]
