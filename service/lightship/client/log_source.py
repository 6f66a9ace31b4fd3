"""What a hub says about a collection's log and its agreement, fetched as bytes; nothing is believed here.

C2SP tlog-tiles for checkpoint and bundles of entries; agreement versions and rosters as DSSE envelopes.
"""

from __future__ import annotations

from lightship.client.connection import Connection
from lightship.core.errors import NotFound
from lightship.core.log import tiles

MAX_VERSIONS = 10_000
"""Versions of an agreement that are asked for at most."""


class LogSource:
    """One collection's log at one hub.

    Args:
        connection: to the hub.
        agreement: id of the agreement.  collection: the collection's UUID.
    """

    def __init__(self, connection: Connection, agreement: str, collection: str) -> None:
        self._connection = connection
        self.agreement, self.collection = agreement, collection

    def checkpoint(self) -> bytes:
        """Return the newest checkpoint as a note."""
        return self._connection.fetch(f"/log/{self.collection}/checkpoint").content

    def entries(self, begin: int, end: int) -> list[bytes]:
        """Return the entries from `begin` to before `end`.

        Raises:
            BadBundle: what came is no bundle.
        """
        found: list[bytes] = []
        for tile in tiles.bundles(begin, end):
            bundle = self._connection.fetch(f"/log/{self.collection}/{tile.path()}").content
            entries = tiles.unpack(bundle, tile.width)
            found += entries[max(begin - tile.first, 0) :]
        return found

    def version(self, number: int) -> bytes | None:
        """Return a version of the agreement, None if there is none yet."""
        return self._optional(f"/agreements/{self.agreement}/{number}.json")

    def roster(self, digest: str) -> bytes | None:
        """Return the roster whose payload has this SHA-256, None if the hub does not show it."""
        return self._optional(f"/agreements/{self.agreement}/rosters/{digest}.json")

    def _optional(self, path: str) -> bytes | None:
        try:
            return self._connection.fetch(path).content
        except NotFound:
            return None
