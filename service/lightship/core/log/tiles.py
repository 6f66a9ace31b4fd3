"""Tiles of a log and their paths (C2SP tlog-tiles): 256 hashes of a level, and bundles of entries.

A number in a path is written in groups of three digits, all but the last with an `x` before them; a tile that
is not full yet ends in `.p/<width>`. A bundle is each entry behind its length in two bytes, big-endian.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lightship.core.errors import CallerError, NotFound

WIDTH = 256
MAX_LEVEL = 7
"""With 8 levels of tiles a log can have 2^64 entries."""
_NUMBER = re.compile(r"(?:x\d{3}/)*\d{3}", re.ASCII)
_PARTIAL = re.compile(r"(.+)\.p/([1-9]\d{0,2})", re.ASCII)


class BadBundle(CallerError):
    """Bytes that are no bundle of entries, or not of as many as were asked for."""

    code = "bad-bundle"


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile: its number, counted in tiles, and its width; `level` is -1 for a bundle of entries."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def first(self) -> int:
        """The index of its first hash or entry."""
        return self.number * WIDTH

    def path(self) -> str:
        """Return it as it stands in a path below the log's prefix."""
        kind = "entries" if self.level < 0 else str(self.level)
        partial = f".p/{self.width}" if self.width < WIDTH else ""
        return f"tile/{kind}/{number_path(self.number)}{partial}"


def number_path(number: int) -> str:
    """Return a tile's number as path segments: 1234067 is `x001/x234/067`."""
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.insert(0, f"x{number % 1000:03d}")
    return "/".join(groups)


def parse_path(path: str) -> Tile:
    """Return the tile of a path that begins behind `tile/`.

    Raises:
        NotFound: there can be no such tile.
    """
    kind, _, rest = path.partition("/")
    partial = _PARTIAL.fullmatch(rest)
    digits, width = (partial[1], int(partial[2])) if partial else (rest, WIDTH)
    level = -1 if kind == "entries" else int(kind) if kind in map(str, range(MAX_LEVEL + 1)) else None
    if level is None or not _NUMBER.fullmatch(digits) or len(digits) > 32 or width > WIDTH:
        raise NotFound("There is no such tile")
    tile = Tile(level, int(digits.replace("x", "").replace("/", "")), width)
    if number_path(tile.number) != digits or (partial and width == WIDTH):
        raise NotFound("There is no such tile", why="its path is written in another way")
    return tile


def bundles(begin: int, end: int) -> Iterator[Tile]:
    """Yield the bundles that hold entries `begin` to before `end`, the last one as wide as `end` has it."""
    for number in range(begin // WIDTH, -(-end // WIDTH)):
        yield Tile(-1, number, min(WIDTH, end - number * WIDTH))


def pack(entries: Sequence[bytes]) -> bytes:
    """Return a bundle."""
    return b"".join(len(one).to_bytes(2, "big") + one for one in entries)


def unpack(bundle: bytes, width: int) -> list[bytes]:
    """Return the entries of a bundle.

    Raises:
        BadBundle: it does not hold exactly `width` of them.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(bundle):
        size = int.from_bytes(bundle[at : at + 2], "big")
        entry = bundle[at + 2 : at + 2 + size]
        if len(bundle) < at + 2 or len(entry) != size or len(entries) == width:
            raise BadBundle("The bundle of entries cannot be read", why=f"entry {len(entries)} does not fit")
        entries.append(entry)
        at += 2 + size
    if len(entries) != width:
        raise BadBundle("The bundle of entries is too short", why=f"it has {len(entries)} of {width} entries")
    return entries
