"""Objects as a hub hands them out to who verifies: read strictly, hashed in canonical form, spooled.

TAXII 2.1 section 5.4 with `match[version]=all`. What they are worth is said elsewhere (`verifying`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from lightship.client.connection import ACCEPT, Connection
from lightship.client.drafts import version_of
from lightship.client.errors import NotTaxii
from lightship.client.kept_log import digest_of
from lightship.client.pulling import LAST
from lightship.core.ids import UNKNOWN_ID
from lightship.core.log.complete import Came, Outcome, found
from lightship.core.log.findings import Failure
from lightship.core.log.shelf import Shelf
from lightship.core.stix.json import Decoded, decode_listing
from lightship.core.time import Micros, format_stamp

SPEC_VERSIONS = "2.0,2.1"
MARGIN = 20_000
"""Objects beyond those in the log that a hub may send before it is thought to go on for ever."""


@dataclass(slots=True)
class Received:
    """Objects as they came, spooled to a file that goes away with it."""

    spool: IO[bytes]
    came: list[Came] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    unreadable: list[Outcome] = field(default_factory=list)
    dates: list[tuple[int, str]] = field(default_factory=list)
    there: dict[int, int] = field(default_factory=dict)
    """What the log had as it came: place on the shelf -> stamp."""
    strange: int = 0
    """Objects that the log did not have as they came."""
    all: bool = False

    @property
    def count(self) -> int:
        """Objects that came, usable or not."""
        return len(self.came) + len(self.unreadable)

    def bodies(self, wanted: Sequence[bool]) -> Iterator[bytes]:
        """Yield the canonical bytes of the objects that are wanted."""
        self.spool.seek(0)
        for size, want in zip(self.sizes, wanted, strict=True):
            body = self.spool.read(size)
            if want:
                yield body


def receive(
    connection: Connection, path: str, after: Micros, enough: int, received: Received, shelf: Shelf
) -> None:
    """Fetch every version after a stamp, page by page, until there are enough or no more.

    Raises:
        NotTaxii: what comes is no TAXII envelope, or goes on for ever.  LightshipError: the hub refuses.
    """
    params = {"match[version]": "all", "match[spec_version]": SPEC_VERSIONS}
    if after > 0:
        params["added_after"] = format_stamp(after)
    seen: set[str] = set()
    while received.count < enough:
        answer = connection.fetch(f"{path}objects/", params, accept=ACCEPT)
        had = len(received.came)
        token = _page(answer.content, received)
        for held in (found(shelf, one) for one in received.came[had:]):
            if held is None:
                received.strange += 1
            else:
                received.there[held.place] = held.stamp
        received.dates.append((len(received.came) - 1, answer.headers.get(LAST, "")))
        if not token:
            received.all = True
            return
        if token in seen or received.strange + len(received.unreadable) > MARGIN:
            raise NotTaxii("The server goes on for ever", why="it sends more than its log has")
        seen.add(token)
        params["next"] = token


def _page(content: bytes, received: Received) -> str:
    """Spool one page's objects; return `next`, empty on the last page."""
    listing = decode_listing(content or b"{}", "objects")
    if not listing.is_object or not listing.is_array:
        raise NotTaxii("The answer is no TAXII envelope", why="`objects` is not a list")
    for item in listing.items or ():
        value = item.value if isinstance(item.value, dict) else {}
        object_id = value.get("id")
        name = object_id if isinstance(object_id, str) else UNKNOWN_ID
        if isinstance(item, Decoded):
            version = version_of(value)
            received.spool.write(item.canonical)
            received.sizes.append(len(item.canonical))
            received.came.append(
                Came(name, version if isinstance(version, str) else "-", digest_of(item.canonical))
            )
        else:
            received.unreadable.append(Outcome(name, "", Failure.UNREADABLE_OBJECT))
    token = listing.members.get("next")
    return token if listing.members.get("more") is True and isinstance(token, str) else ""
