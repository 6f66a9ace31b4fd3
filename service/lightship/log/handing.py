"""`POST /agreements/<agreement>/rosters`: a member hands in its next roster itself, at any hour.

The roster says by its signature whose it is, and counts only if the admin key signed it that the agreement
names; so whoever of the member may log in may bring it, also while the member is suspended. What it revokes
is revoked when the answer comes. Nobody hands in another member's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial

import orjson

from lightship.core.access import Principal
from lightship.core.agreement import Verify
from lightship.core.errors import Refused
from lightship.core.log import roster
from lightship.core.log.roster import MAX_ROSTER
from lightship.core.ports import Clock, Registry, Signing
from lightship.usecases.directory import Directory
from lightship.usecases.entry import CredentialGone, open_root
from lightship.usecases.rosters import ACT, apply_roster
from lightship.web.limits import Limits, read_body
from lightship.web.message import JSON_TYPE, NO_STORE, Answer, Request, Route
from lightship.web.negotiate import body_is_gzip, check_json_content_type

Found = tuple[Route, Mapping[str, str]] | None
RULE = "allow-member-list"
OTHER_RULE = "deny-other-member"


class RosterPosts:
    """The handler, and what finds its route.

    Args:
        signing, registry: the store.  directory: who is who now.
        verify: the signature check.
        limits: of a body; a roster has a smaller one.
    """

    def __init__(
        self,
        signing: Signing,
        registry: Registry,
        directory: Directory,
        verify: Verify,
        limits: Limits,
        clock: Clock,
        executor: Executor,
    ) -> None:
        self._signing, self._registry, self._directory = signing, registry, directory
        self._verify, self._clock, self._executor = verify, clock, executor
        self._limits = replace(limits, body=min(limits.body, 2 * MAX_ROSTER))
        self._route = Route({"POST": (ACT, self.post)}, negotiates=False)

    def below_agreements(self, segments: list[str]) -> Found:
        """Match what comes after `/agreements/`."""
        match segments:
            case [root, "rosters"]:
                return self._route, {"root": root}
            case _:
                return None

    async def post(self, request: Request, principal: Principal, path: Mapping[str, str]) -> Answer:
        """Put the roster in force, or say why not."""
        agreement = open_root(request.view, principal, path["root"])
        check_json_content_type(request.headers.get(b"content-type"))
        body_is_gzip(request.headers.get(b"content-encoding"))
        body = await read_body(request, self._limits)
        _, wanted = roster.read(body)
        if (wanted.agreement, wanted.member) != (agreement.id, principal.member):
            raise Refused(
                "The roster is not yours to hand in",
                rule=OTHER_RULE,
                why=f"it is of {wanted.member} in `{wanted.agreement}`, you are {principal.member} in"
                f" `{agreement.id}` ({OTHER_RULE})",
                todo="Use a credential of that member",
            )
        request.done(RULE)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, partial(self._apply, request, principal, body))

    def _apply(self, request: Request, principal: Principal, body: bytes) -> Answer:
        now, view = self._clock.now(), self._directory.view()
        open_root(view, principal, principal.agreement)
        if not self._directory.holds(principal, now):
            raise CredentialGone
        made = apply_roster(
            self._signing,
            self._registry,
            view,
            body,
            verify=self._verify,
            req=request.id.hex,
            now=now,
            by=request.event(200),
        )
        request.written = made.event
        found = made.roster
        shape = {
            "agreement": found.agreement,
            "member": found.member,
            "version": found.version,
            "sha256": made.event.q if made.event is not None else "",
            "keys": [keyid for keyid, one in found.keys.items() if one.revoked is None],
            "revoked": [keyid for keyid, one in found.keys.items() if one.revoked is not None],
            "withdrawn": made.withdrawn,
        }
        return Answer(200, orjson.dumps(shape), (JSON_TYPE, NO_STORE))
