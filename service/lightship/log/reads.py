"""`/log/<collection>/…` and `/agreements/<agreement>/…`: what a verifier fetches (C2SP tlog-tiles).

Checkpoint, tiles of hashes, bundles of entries, versions of an agreement: the bytes as they were signed or
hashed. Same authentication and audience as the collection's objects; an agreement is shown to its members.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

import orjson

from lightship.core.access import Action, Grant, Principal
from lightship.core.ids import is_uuid4
from lightship.core.log import tiles
from lightship.core.log.tiles import WIDTH, Tile
from lightship.core.ports import Decisions, Logs, Registry, Signing
from lightship.usecases.entry import Hidden, open_root, permit
from lightship.usecases.rosters import RosterBook
from lightship.usecases.standing import asker, standing
from lightship.web.message import JSON_TYPE, NO_STORE, Answer, Header, Request, Route
from lightship.web.negotiate import check_accept_json
from lightship.web.places import enter

LIST_RULE = "allow-member-list"
_TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")
_BYTES: Header = (b"content-type", b"application/octet-stream")
_FOREVER: Header = (b"cache-control", b"private, max-age=31536000, immutable")
"""Whole tiles and versions never change; `private`, since who may have them is asked anew."""

Found = tuple[Route, Mapping[str, str]] | None


class LogReads:
    """The handlers, and what finds their routes.

    Args:
        logs: of all collections.  registry: of the agreements.  signing: of the rosters, None without any.
        decisions: the rules.  executor: reads entries and hashes, up to 16 MB at once.
        rosters: whose keys are whose, None without any.
    """

    def __init__(
        self,
        logs: Logs,
        registry: Registry,
        signing: Signing | None,
        decisions: Decisions,
        executor: Executor,
        rosters: RosterBook | None = None,
    ) -> None:
        self._logs = logs
        self._signing = signing
        self._registry = registry
        self._decisions = decisions
        self._executor = executor
        self._checkpoint = Route({"GET": ("read-checkpoint", self.checkpoint)}, negotiates=False)
        self._tile = Route({"GET": ("read-log", self.tile)}, negotiates=False)
        self._rosters = rosters
        self._standing = Route({"GET": ("read-standing", self.standing)}, negotiates=False)
        self._version = Route({"GET": ("read-agreement", self.version)}, negotiates=False)
        self._roster = Route({"GET": ("read-roster", self.roster)}, negotiates=False)

    def below_log(self, segments: list[str]) -> Found:
        """Match what comes after `/log/`."""
        match segments:
            case [collection, "checkpoint"] if is_uuid4(collection):
                return self._checkpoint, {"collection": collection}
            case [collection, "tile", *rest] if is_uuid4(collection) and rest:
                return self._tile, {"collection": collection, "tile": "/".join(rest)}
            case _:
                return None

    def below_agreements(self, segments: list[str]) -> Found:
        """Match what comes after `/agreements/`."""
        match segments:
            case [root]:
                return self._standing, {"root": root}
            case [root, name] if name.endswith(".json"):
                return self._version, {"root": root, "version": name.removesuffix(".json")}
            case [root, "rosters", name] if name.endswith(".json"):
                return self._roster, {"root": root, "digest": name.removesuffix(".json")}
            case _:
                return None

    async def checkpoint(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """The newest checkpoint."""
        grant = self._grant(request, principal, path)
        return Answer(200, self._logs.checkpoint(grant), (_TEXT, NO_STORE))

    async def tile(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """A tile of hashes or a bundle of entries, of exactly the width that the path names."""
        grant = self._grant(request, principal, path)
        tile = tiles.parse_path(path["tile"])
        loop = asyncio.get_running_loop()
        body = await loop.run_in_executor(self._executor, self._read, grant, tile)
        if body is None:
            raise Hidden
        return Answer(200, body, (_BYTES, _FOREVER if tile.width == WIDTH else NO_STORE))

    async def standing(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """How the agreement stands now, and what of it concerns who asks."""
        check_accept_json(request.headers.get(b"accept"))
        agreement = open_root(request.view, principal, path["root"])

        def look() -> bytes:
            shape = standing(self._registry, self._rosters, agreement, request.view.epoch, request.at)
            mine = asker(self._registry, principal, agreement, request.at)
            return orjson.dumps(shape | {"you": mine})

        body = await asyncio.get_running_loop().run_in_executor(self._executor, look)
        request.done(LIST_RULE)
        return Answer(200, body, (JSON_TYPE, NO_STORE))

    async def version(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """A version of the agreement, in the envelope that was signed; 204 for the next one.

        Who verifies asks for that at each look: nothing that an auditor should find among refusals.
        """
        agreement = open_root(request.view, principal, path["root"])
        number = path["version"]
        if not (number.isascii() and number.isdigit() and len(number) <= 7) or number != str(int(number)):
            raise Hidden
        chain = self._registry.chain(agreement.id)
        if not 1 <= int(number) <= len(chain) + 1:
            raise Hidden
        request.done(LIST_RULE)
        if int(number) > len(chain):
            return Answer(204, headers=(NO_STORE,))
        return Answer(200, chain[int(number) - 1].envelope, (JSON_TYPE, _FOREVER))

    async def roster(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """A version of a member's roster, in the envelope that its admin key signed."""
        agreement = open_root(request.view, principal, path["root"])
        if self._signing is None:
            raise Hidden
        loop = asyncio.get_running_loop()
        stored = await loop.run_in_executor(self._executor, self._signing.rosters, agreement.id)
        found = next((one for one in stored if one.digest == path["digest"]), None)
        if found is None:
            raise Hidden
        request.done(LIST_RULE)
        return Answer(200, found.envelope, (JSON_TYPE, _FOREVER))

    def _grant(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Grant:
        """The collection is found among those of the principal's own agreement."""
        place = enter(request, principal, {"root": principal.agreement, "collection": path["collection"]})
        grant = permit(self._decisions, place, Action.READ, request.at)
        request.done(grant.decision.rule)
        return grant

    def _read(self, grant: Grant, tile: Tile) -> bytes | None:
        if tile.level < 0:
            entries = self._logs.entries(grant, tile.first, tile.width)
            return tiles.pack(entries) if len(entries) == tile.width else None
        hashes: Sequence[bytes] = self._logs.hashes(grant, tile.level * 8, tile.first, tile.width)
        return b"".join(hashes) if len(hashes) == tile.width else None
