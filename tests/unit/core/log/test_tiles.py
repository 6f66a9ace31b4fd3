"""Tiles: the paths of tlog-tiles in their one spelling, bundles that are whole or refused."""

from __future__ import annotations

import pytest

from lightship.core.errors import NotFound
from lightship.core.log.tiles import BadBundle, Tile, bundles, number_path, pack, parse_path, unpack


def test_the_published_example_of_a_path() -> None:
    # C2SP tlog-tiles, "Merkle Tree": tile 1234067 is at x001/x234/067
    assert number_path(1_234_067) == "x001/x234/067"
    assert parse_path("0/x001/x234/067") == Tile(0, 1_234_067)


@pytest.mark.parametrize(
    "tile",
    [Tile(0, 0), Tile(-1, 0), Tile(0, 999, 1), Tile(2, 1000), Tile(-1, 10**9 + 7, 255), Tile(7, 5)],
)
def test_paths_are_read_as_they_are_written(tile: Tile) -> None:
    assert parse_path(tile.path().removeprefix("tile/")) == tile


@pytest.mark.parametrize(
    "path",
    [
        *("", "0", "0/", "0/0", "0/00", "0/0000", "0/x000/000", "0/001/000", "0/x001/x000", "8/000"),
        *("-1/000", "00/000", "entries/", "entry/000", "0/000.p", "0/000.p/", "0/000.p/0", "0/000.p/256"),
        *(
            "0/000.p/257",
            "0/000.p/01",
            "0/000.p/1/1",
            "0/000/",
            "0/\u0660\u0660\u0660",
            "0/" + "x001/" * 12 + "000",
        ),
        *("0/../000", "0/000%00", "0/000.P/1", "1e1/000"),
    ],
)
def test_any_other_path_is_of_no_tile(path: str) -> None:
    with pytest.raises(NotFound):
        parse_path(path)


def test_bundles_that_hold_a_range() -> None:
    assert list(bundles(0, 0)) == []
    assert list(bundles(0, 1)) == [Tile(-1, 0, 1)]
    assert list(bundles(250, 513)) == [Tile(-1, 0), Tile(-1, 1), Tile(-1, 2, 1)]
    assert list(bundles(256, 512)) == [Tile(-1, 1)]


def test_a_bundle_is_read_as_it_was_packed() -> None:
    entries = [b"", b"a", bytes(65_535)]
    assert unpack(pack(entries), 3) == entries


@pytest.mark.parametrize(
    ("bundle", "width"),
    [
        (b"", 1),
        (b"\0", 1),
        (b"\0\1", 1),
        (b"\0\1a", 2),
        (b"\0\1a\0\1b", 1),
        (b"\0\1a\0", 1),
        (b"\xff\xffa", 1),
    ],
)
def test_a_bundle_of_another_number_of_entries_is_refused(bundle: bytes, width: int) -> None:
    with pytest.raises(BadBundle):
        unpack(bundle, width)
