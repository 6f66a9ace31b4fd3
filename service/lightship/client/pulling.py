"""Pulling a collection: pages in order of `date_added`, a cursor that the caller saves after it committed.

TAXII 2.1 sections 3.4, 3.5 and 5.4. A cursor never moves by itself: what was not committed comes again. It
holds the page being read (`next`, else `added_after`) and what of that page was handled already, so that a
pull can also go on in the middle of a page.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from lightship.client.connection import Answer, Connection
from lightship.client.durable import SHARED, replace_file
from lightship.client.errors import NotTaxii
from lightship.core.errors import BadFile, MalformedRequest
from lightship.core.time import parse_added_after

Object = dict[str, Any]
WINDOW = 20_000
"""How many of the last (id, version) pairs are remembered, to drop what a server sends twice."""
FIRST = "X-TAXII-Date-Added-First"
LAST = "X-TAXII-Date-Added-Last"


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where to go on. `added_after` is exclusive; `handled` are keys of the page that begins here."""

    added_after: str = ""
    next: str = ""
    handled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PulledPage:
    """One page. `first` and `last` are its date headers, empty where the page is. Save `cursor` only after
    what `objects` holds is safe; `after(n)` is the cursor for the first n of them."""

    objects: tuple[Object, ...]
    first: str
    last: str
    more: bool
    cursor: Cursor
    _start: Cursor = field(repr=False, default_factory=Cursor)

    def after(self, n: int) -> Cursor:
        """Return the cursor to save when only the first `n` objects are safe."""
        if n >= len(self.objects):
            return self.cursor
        done = frozenset(key_of(one) for one in self.objects[:n])
        return replace(self._start, handled=self._start.handled | done)


def key_of(value: Mapping[str, Any]) -> str:
    """Return a short key of (id, version); the version is `modified`, else `created`, else none."""
    version = value.get("modified") or value.get("created") or ""
    return blake2b(f"{value.get('id')}\0{version}".encode(errors="replace"), digest_size=12).hexdigest()


def pull(
    connection: Connection,
    path: str,
    cursor: Cursor | None = None,
    *,
    limit: int | None = None,
    match: Mapping[str, str] | None = None,
) -> Iterator[PulledPage]:
    """Yield the pages of a collection's objects after `cursor`, oldest first, until there are no more.

    Args:
        connection: to the hub.
        path: the collection's path, ending in a slash.
        cursor: where to go on; None = from the beginning.
        limit: objects a page; None = the server's default.
        match: `id`, `type`, `version`, `spec_version` -> comma-separated values; the same for one cursor.

    Raises:
        LightshipError: see `Connection.get`. What was yielded before stays good.
    """
    at = cursor or Cursor()
    filters = {f"match[{field}]": value for field, value in (match or {}).items()}
    recent: deque[str] = deque(maxlen=WINDOW)
    known: set[str] = set()
    while True:
        answer, start = _page(connection, path, at, limit, filters)
        objects, more, token = _read(answer)
        fresh: list[Object] = []
        for one in objects:
            key = key_of(one)
            if key in known or key in start.handled:
                continue
            if len(recent) == WINDOW:
                known.discard(recent[0])
            recent.append(key)
            known.add(key)
            fresh.append(one)
        first, last = answer.headers.get(FIRST, ""), answer.headers.get(LAST, "")
        after = last or start.added_after
        at = Cursor(after, token if more else "")
        if more and (at.next, at.added_after) == (start.next, start.added_after):
            raise NotTaxii("The server says that there is more, but not where", why="no new `next` or date")
        if fresh or not more:
            yield PulledPage(tuple(fresh), first, last, more, at, start)
        if not more:
            return


def _page(
    connection: Connection, path: str, at: Cursor, limit: int | None, filters: Mapping[str, str]
) -> tuple[Answer, Cursor]:
    """Ask for one page; a `next` that the server no longer takes is replaced by `added_after`."""
    params: dict[str, str | int] = dict(filters)
    if limit is not None:
        params["limit"] = limit
    if at.next:
        try:
            return connection.get(f"{path}objects/", {**params, "next": at.next}), at
        except MalformedRequest:
            at = replace(at, next="")
    if at.added_after:
        params["added_after"] = at.added_after
    return connection.get(f"{path}objects/", params), at


def _read(answer: Answer) -> tuple[list[Object], bool, str]:
    value = answer.value if answer.value is not None else {}
    objects = value.get("objects", []) if isinstance(value, dict) else None
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        raise NotTaxii("The answer is no TAXII envelope", why="`objects` is not a list of objects")
    token = value.get("next")
    return objects, value.get("more") is True, token if isinstance(token, str) else ""


# --- the cursor as a file -------------------------------------------------------------------------


def load_cursor(path: Path, source: str) -> Cursor:
    """Return the cursor kept in `path`, a fresh one if there is no such file.

    Args:
        path: the state file.
        source: what is pulled (address, collection, filters); a cursor of another source is refused.

    Raises:
        BadFile: not a cursor file, or one of another source.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return Cursor()
    todo = "Give another --state file, or delete this one to pull from the beginning"
    try:
        kept = orjson.loads(text)
        cursor = Cursor(str(kept["added_after"]), str(kept["next"]), frozenset(map(str, kept["handled"])))
        if cursor.added_after:
            parse_added_after(cursor.added_after)
        was = kept["source"]
    except (orjson.JSONDecodeError, KeyError, TypeError, MalformedRequest) as error:
        raise BadFile("Not a pull state file", path=str(path), why=str(error), todo=todo) from None
    if was != source:
        raise BadFile("The state file is of another pull", path=str(path), why=f"it is of {was}", todo=todo)
    return cursor


def save_cursor(path: Path, source: str, cursor: Cursor) -> None:
    """Keep a cursor; a crash leaves the old one or the new one."""
    kept = {
        "v": 1,
        "source": source,
        "added_after": cursor.added_after,
        "next": cursor.next,
        "handled": sorted(cursor.handled),
    }
    replace_file(path, orjson.dumps(kept, option=orjson.OPT_INDENT_2) + b"\n", SHARED)
