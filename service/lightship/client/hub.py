"""The client of one hub: discovery, collections, pull, publish, status (TAXII 2.1 sections 4 and 5).

Synchronous. One `Client` is for one thread; make one for each.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import orjson

from lightship.client import asking, publishing, pulling, waiting
from lightship.client.connection import Connection, Limits
from lightship.client.errors import NotTaxii
from lightship.client.profiles import Profile
from lightship.client.receipts import VARIABLE
from lightship.client.waiting import Held
from lightship.core.errors import NotFound

LEAST_CONTENT = 1024 * 1024
"""Taken as `max_content_length` where a server names none or nonsense."""


@dataclass(frozen=True, slots=True)
class Root:
    """One API root: on a Lightship hub one agreement. `path` ends in a slash; `name` is its last segment."""

    path: str
    title: str
    max_content_length: int
    description: str = ""

    @property
    def name(self) -> str:
        return self.path.strip("/").rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class RemoteCollection:
    """A collection as the hub shows it to this credential."""

    root: str
    id: str
    title: str
    alias: str
    description: str
    can_read: bool
    can_write: bool
    path: str
    max_content_length: int

    @property
    def name(self) -> str:
        """How commands name it: `<agreement>/<alias>`."""
        return f"{self.root}/{self.alias or self.id}"


class Client:
    """A hub as one credential sees it.

    >>> with Client.of(profile) as hub:
    ...     for page in hub.pull("la-lb-mou/indicators", cursor):
    ...         store(page.objects)
    ...         save(page.cursor)
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._roots: tuple[Root, ...] | None = None
        self._collections: dict[str, tuple[RemoteCollection, ...]] = {}

    @classmethod
    def of(
        cls, profile: Profile, *, environ: Mapping[str, str] | None = None, limits: Limits | None = None
    ) -> Self:
        """Return the client of a profile; the secret is read now. LIGHTSHIP_RECEIPTS names a receipts' file.

        Raises:
            BadFile, NotFound: the profile's secret, CA file or client certificate cannot be used.
        """
        environ = os.environ if environ is None else environ
        secret, named = profile.secret(environ), environ.get(VARIABLE)
        receipts = Path(named) if named else None
        return cls(
            Connection(
                profile.url,
                profile.user,
                secret,
                ca=profile.ca,
                client=profile.client,
                limits=limits,
                receipts=receipts,
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def roots(self) -> tuple[Root, ...]:
        """Return the API roots of this credential, asked once."""
        if self._roots is None:
            found = _mapping(self.connection.get("/taxii2/").value, "discovery")
            paths = [
                self.connection.path_of(url) for url in found.get("api_roots", []) if isinstance(url, str)
            ]
            self._roots = tuple(self._root(path) for path in dict.fromkeys(paths))
        return self._roots

    def collections(self, root: str = "") -> tuple[RemoteCollection, ...]:
        """Return the collections of one API root (by its name), or of all."""
        found: list[RemoteCollection] = []
        for one in self.roots():
            if root in {"", one.name}:
                if one.path not in self._collections:
                    self._collections[one.path] = self._collections_of(one)
                found += self._collections[one.path]
        return tuple(found)

    def collection(self, name: str) -> RemoteCollection:
        """Return a collection by `<agreement>/<alias>`, or by alias, id or title alone where that is enough.

        Raises:
            NotFound: there is none, or several, that this credential may see.
        """
        root, _, last = name.rpartition("/")
        listed = self.collections(root)
        found = [one for one in listed if last in {one.alias, one.id, one.title}]
        if len(found) == 1:
            return found[0]
        known = ", ".join(sorted(one.name for one in (found or listed or self.collections()))) or "none"
        why = f"{'several have that name' if found else 'this credential sees'}: {known}"
        raise NotFound(f"No collection {name}" if not found else f"Which collection {name}", why=why)

    def pull(
        self,
        collection: str,
        cursor: pulling.Cursor | None = None,
        *,
        limit: int | None = None,
        match: Mapping[str, str] | None = None,
    ) -> Iterator[pulling.PulledPage]:
        """Yield pages of objects after `cursor`; see `pulling.pull`."""
        path = self.collection(collection).path
        return pulling.pull(self.connection, path, cursor, limit=limit, match=match)

    def publish(
        self,
        collection: str,
        objects: Iterable[bytes | Mapping[str, Any]],
        *,
        count: int = publishing.DEFAULT_COUNT,
        progress: publishing.Progress | None = None,
    ) -> publishing.PublishReport:
        """Post objects (JSON texts, passed on as they are, or values); see `publishing.publish`."""
        target = self.collection(collection)
        texts = (one if isinstance(one, bytes) else orjson.dumps(one) for one in objects)
        return publishing.publish(
            self.connection,
            target.path,
            texts,
            max_bytes=target.max_content_length,
            count=count,
            progress=progress,
        )

    def withdraw(self, collection: str, object_id: str, version: str = "") -> None:
        """Take an object of this member out of a collection (TAXII 2.1 section 5.7): one version, or all.

        Raises:
            NotFound: it is not there.  Refused: it is another member's.  Conflict: something cites it.
        """
        target = self.collection(collection)
        match = {"match[version]": version or "all", "match[spec_version]": "2.0,2.1"}
        self.connection.delete(f"{target.path}objects/{quote(object_id, safe='')}/?{urlencode(match)}")

    def staged(self, collection: str) -> tuple[Held, ...]:
        """Return what this credential's member has waiting for its release there, by release."""
        target = self.collection(collection)
        return waiting.staged(self.connection, target.root, target.id)

    def cancel(self, collection: str, object_id: str) -> tuple[Held, ...]:
        """Take back what waits of an object there; return what was taken back.

        Raises:
            NotFound: nothing of it waits.
        """
        target = self.collection(collection)
        return waiting.cancel(self.connection, target.root, target.id, object_id)

    def agreement(self, name: str) -> Mapping[str, Any]:
        """Return how an agreement stands now: status, versions, what is suspended, whose keys count.

        Raises:
            NotFound: this credential's member is not in it.
        """
        return asking.agreement(self.connection, name)

    def status(self, root: str, status_id: str) -> Mapping[str, Any]:
        """Return a status resource (TAXII 2.1 section 4.3); only who posted can see it."""
        for one in self.roots():
            if one.name == root:
                return _mapping(self.connection.get(f"{one.path}status/{status_id}/").value, "status")
        raise NotFound(f"No agreement {root}", why="this credential does not belong to it")

    def _root(self, path: str) -> Root:
        value = _mapping(self.connection.get(path).value, "API root")
        most = value.get("max_content_length")
        size = most if isinstance(most, int) and most > 0 else LEAST_CONTENT
        return Root(path, str(value.get("title", "")), size, str(value.get("description", "")))

    def _collections_of(self, root: Root) -> tuple[RemoteCollection, ...]:
        value = _mapping(self.connection.get(f"{root.path}collections/").value, "list of collections")
        return tuple(
            RemoteCollection(
                root=root.name,
                id=str(one.get("id", "")),
                title=str(one.get("title", "")),
                alias=str(one.get("alias", "")),
                description=str(one.get("description", "")),
                can_read=one.get("can_read") is True,
                can_write=one.get("can_write") is True,
                path=f"{root.path}collections/{one.get('id', '')}/",
                max_content_length=root.max_content_length,
            )
            for one in value.get("collections", [])
        )


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise NotTaxii(f"The answer is no TAXII {what}", todo="Give the hub's own address")
    return value
