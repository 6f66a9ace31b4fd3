"""The paths of TAXII 2.1 (section 3.1): discovery, API roots, and what lies below them.

Matched on the raw path, segment by segment, escapes decoded strictly. A path without its last slash is
served, not redirected. What fits no pattern is nothing, for everybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from lightship.core.ids import RESERVED_SLUGS, is_slug
from lightship.taxii.reads import Reads
from lightship.taxii.writes import Writes
from lightship.web.message import Route, Router

MAX_SEGMENT = 600
MAX_SEGMENTS = 10
"""A tile of a log has the longest paths: its number is written in groups of three digits."""
SHORT = 256
"""Characters up to which a path is remembered with its route."""
REMEMBERED = 2_000
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NO_VALUES: Mapping[str, str] = {}

Below = Callable[[list[str]], tuple[Route, Mapping[str, str]] | None]
"""Finds a route and the values in its path by the segments after a reserved first one."""


def taxii_router(
    reads: Reads, writes: Writes, others: Mapping[str, Route], beside: Mapping[str, Below] | None = None
) -> Router:
    """Return the router of all paths.

    Args:
        reads, writes: the handlers of TAXII.
        others: further fixed paths, such as `/openapi.json`.
        beside: reserved first segment, such as `staged` -> what finds the routes below it.

    Raises:
        ValueError: a first segment of `beside` is not reserved: an agreement could take it.
    """
    under = dict(beside or {})
    if free := under.keys() - RESERVED_SLUGS:
        raise ValueError(f"not reserved: {sorted(free)}")
    discovery = Route({"GET": ("discover", reads.discovery)})
    root = Route({"GET": ("read-root", reads.api_root)})
    collections = Route({"GET": ("list-collections", reads.collections)})
    collection = Route({"GET": ("read-collection", reads.collection)})
    status = Route({"GET": ("read-status", reads.status)})
    manifest = Route({"GET": ("read-manifest", reads.manifest)})
    objects = Route({"GET": ("read-objects", reads.objects), "POST": ("publish", writes.post)})
    one = Route({"GET": ("read-object", reads.object), "DELETE": ("withdraw", writes.delete)})
    versions = Route({"GET": ("read-versions", reads.versions)})

    def below(root_id: str, rest: list[str]) -> tuple[Route, Mapping[str, str]] | None:
        """Match what comes after an API root."""
        match rest:
            case []:
                return root, {"root": root_id}
            case ["status", value]:
                return status, {"root": root_id, "status": value}
            case ["collections"]:
                return collections, {"root": root_id}
            case ["collections", name]:
                return collection, {"root": root_id, "collection": name}
            case ["collections", name, "manifest"]:
                return manifest, {"root": root_id, "collection": name}
            case ["collections", name, "objects"]:
                return objects, {"root": root_id, "collection": name}
            case ["collections", name, "objects", value]:
                return one, {"root": root_id, "collection": name, "object": value}
            case ["collections", name, "objects", value, "versions"]:
                return versions, {"root": root_id, "collection": name, "object": value}
            case _:
                return None

    @lru_cache(REMEMBERED)
    def route(path: str) -> tuple[Route, Mapping[str, str]] | None:
        """Match a raw path; what was matched is remembered, so nobody may change it."""
        if path in others:
            return others[path], _NO_VALUES
        segments = split_path(path)
        if not segments:
            return None
        if segments == ["taxii2"]:
            return discovery, _NO_VALUES
        if segments[0] in under:
            return under[segments[0]](segments[1:])
        if segments[0] in RESERVED_SLUGS or not is_slug(segments[0]):
            return None
        return below(segments[0], segments[1:])

    return lambda path: (route if len(path) <= SHORT else route.__wrapped__)(path)


def split_path(path: str) -> list[str] | None:
    """Return the segments of a raw path, escapes decoded, the last slash left out.

    None if one is empty, no UTF-8, holds a slash or a control character, or is longer than any id.
    """
    if not path.startswith("/"):
        return None
    segments = path[1:].removesuffix("/").split("/")
    if len(segments) > MAX_SEGMENTS:
        return None
    if "%" in path:
        try:
            segments = [_decode(segment) for segment in segments]
        except ValueError:
            return None
    if any(not segment or len(segment) > MAX_SEGMENT for segment in segments):
        return None
    return segments


def _decode(segment: str) -> str:
    if _BROKEN.search(segment):
        raise ValueError("a broken escape")
    text = unquote_to_bytes(segment).decode("utf-8")
    if "/" in text or any(character < " " or character == "\x7f" for character in text):
        raise ValueError("a slash or a control character")
    return text
