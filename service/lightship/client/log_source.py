"""What a hub says about a collection's log and its agreement, fetched as bytes; nothing is believed here.

C2SP tlog-tiles for checkpoint, tiles of hashes and bundles of entries; agreement versions and rosters as DSSE
envelopes. Every answer has its bound, bundles are fetched some ahead of who reads them, and no more of a log
than one window is ever held.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from lightship.client.connection import Connection
from lightship.core.dsse import MAX_ENVELOPE
from lightship.core.errors import NotFound
from lightship.core.log import merkle, tiles
from lightship.core.log.leaf import MAX_ENTRY
from lightship.core.log.notes import MAX_NOTE
from lightship.core.log.tiles import WIDTH, BadBundle, Tile

MAX_VERSIONS = 10_000
"""Versions of an agreement that are asked for at most."""
WINDOW = 16
"""Bundles that are verified and judged at once, if they are small."""
WINDOW_BYTES = 4 * 1024 * 1024
"""A window ends behind the bundle that brings it to so many bytes."""
AHEAD = 3
"""Bundles that are under way while another one is read."""
_TILES = 64
"""Tiles of hashes that are remembered, 8 KiB each."""


class LogSource:
    """One collection's log at one hub.

    Args:
        connection: to the hub.
        agreement: id of the agreement.  collection: the collection's UUID.
    """

    def __init__(self, connection: Connection, agreement: str, collection: str) -> None:
        self._connection = connection
        self._tiles: OrderedDict[Tile, bytes] = OrderedDict()
        self.agreement, self.collection = agreement, collection

    def checkpoint(self) -> bytes:
        """Return the newest checkpoint as a note."""
        return self._connection.fetch(f"/log/{self.collection}/checkpoint", most=MAX_NOTE).content

    def windows(self, begin: int, end: int) -> Iterator[list[bytes]]:
        """Yield the entries from `begin` to before `end`, window by window.

        Raises:
            BadBundle: what came is no bundle.
        """
        window: list[bytes] = []
        size = count = 0
        for tile, entries in self._ahead(begin, end):
            window += entries[max(begin - tile.first, 0) :]
            size, count = size + sum(map(len, entries)), count + 1
            if size >= WINDOW_BYTES or count >= WINDOW:
                yield window
                window, size, count = [], 0, 0
        if window:
            yield window

    def _ahead(self, begin: int, end: int) -> Iterator[tuple[Tile, list[bytes]]]:
        """Fetch bundles in order, some before they are asked for; one alone in this thread."""
        wanted = tiles.bundles(begin, end)
        if end - begin <= WIDTH:
            yield from ((tile, self.entries(tile)) for tile in wanted)
            return
        waiting: deque[tuple[Tile, Future[list[bytes]]]] = deque()
        with ThreadPoolExecutor(AHEAD, "bundles") as pool:
            try:
                for tile in wanted:
                    waiting.append((tile, pool.submit(self.entries, tile)))
                    if len(waiting) > AHEAD:
                        first, got = waiting.popleft()
                        yield first, got.result()
                while waiting:
                    first, got = waiting.popleft()
                    yield first, got.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def entries(self, tile: Tile) -> list[bytes]:
        """Return the entries of one bundle.

        Raises:
            BadBundle: what came is no bundle, or not of that width.
        """
        most = tile.width * (MAX_ENTRY + 2)
        bundle = self._connection.fetch(f"/log/{self.collection}/{tile.path()}", most=most).content
        return tiles.unpack(bundle, tile.width)

    def proof(self, old: int, size: int) -> list[bytes]:
        """Return the proof that the first `old` entries are the beginning of the first `size`, from tiles.

        Raises:
            BadBundle: a tile has another width.
        """

        def read(level: int, first: int, count: int) -> Sequence[bytes]:
            return self.hashes(level, first, count, size)

        return merkle.consistency(read, old, size)

    def hashes(self, level: int, first: int, count: int, size: int) -> list[bytes]:
        """Return hashes of one level, all of one tile, as the tree of `size` entries has them.

        Raises:
            BadBundle: the tile has another width.
        """
        number, at = divmod(first, WIDTH)
        width = min(WIDTH, (size >> level) - number * WIDTH)
        tile = Tile(level // merkle.TILE_HEIGHT, number, width)
        data = self._tiles.get(tile)
        if data is None:
            path, most = f"/log/{self.collection}/{tile.path()}", width * merkle.HASH_BYTES
            data = self._connection.fetch(path, most=most).content
            if len(data) != most:
                raise BadBundle("A tile of hashes cannot be used", why=f"it has {len(data)} bytes of {most}")
            self._tiles[tile] = data
            if len(self._tiles) > _TILES:
                self._tiles.popitem(last=False)
        self._tiles.move_to_end(tile)
        bytes_ = merkle.HASH_BYTES
        return [data[(at + n) * bytes_ : (at + n + 1) * bytes_] for n in range(count)]

    def version(self, number: int) -> bytes | None:
        """Return a version of the agreement, None if there is none yet (404, or 204 for the next one)."""
        return self._optional(f"/agreements/{self.agreement}/{number}.json")

    def roster(self, digest: str) -> bytes | None:
        """Return the roster whose payload has this SHA-256, None if the hub does not show it."""
        return self._optional(f"/agreements/{self.agreement}/rosters/{digest}.json")

    def _optional(self, path: str) -> bytes | None:
        try:
            return self._connection.fetch(path, most=MAX_ENVELOPE).content or None
        except NotFound:
            return None
