"""`POST /agreements/<agreement>/rosters`: a member hands in its next roster itself, at any hour.

The roster says by its signature whose it is, and counts only if the admin key signed it that the agreement
names; so whoever of the member may log in may bring it, also while the member is suspended. What it revokes
is revoked when the answer comes. Nobody hands in another member's. Each one is an entry in every log of the
agreement and has all rules decided anew, so a member hands in so many an hour and no more.
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
from lightship.core.errors import Refused, Throttled
from lightship.core.log import roster
from lightship.core.log.roster import MAX_ROSTER
from lightship.core.ports import Clock, Registry, Signing
from lightship.usecases.directory import Directory
from lightship.usecases.entry import CredentialGone, open_root
from lightship.usecases.rosters import ACT, RosterBook, apply_roster
from lightship.web.limits import Limits, read_body
from lightship.web.message import JSON_TYPE, NO_STORE, Answer, Request, Route
from lightship.web.negotiate import body_is_gzip, check_json_content_type
from lightship.web.throttle import Throttle

Found = tuple[Route, Mapping[str, str]] | None
RULE = "allow-member-list"
MOST, WITHIN_S = 30, 3_600
"""Rosters of a member that one process takes within so many seconds. Only what is taken counts, so its admin
key signed it: who stole a credential cannot keep the officer from revoking."""
OTHER_RULE = "deny-other-member"


class RosterPosts:
    """The handler, and what finds its route.

    Args:
        signing, registry: the store.  directory: who is who now.  rosters: those in force.
        verify: the signature check.
        limits: of a body; a roster has a smaller one.
    """

    def __init__(
        self,
        signing: Signing,
        registry: Registry,
        directory: Directory,
        rosters: RosterBook,
        verify: Verify,
        limits: Limits,
        clock: Clock,
        executor: Executor,
    ) -> None:
        self._signing, self._registry, self._directory = signing, registry, directory
        self._rosters = rosters
        self._verify, self._clock, self._executor = verify, clock, executor
        self._limits = replace(limits, body=min(limits.body, 2 * MAX_ROSTER))
        self._handed = Throttle(MOST, WITHIN_S)
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
        open_root(request.view, principal, path["root"])
        check_json_content_type(request.headers.get(b"content-type"))
        body_is_gzip(request.headers.get(b"content-encoding"))
        body = await read_body(request, self._limits)
        self._check_rate(principal)
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._executor, partial(self._apply, request, principal, body))
        self._handed.fail(_source(principal), self._clock.monotonic())
        return answer

    def _check_rate(self, principal: Principal) -> None:
        if wait := self._handed.wait(_source(principal), self._clock.monotonic()):
            raise Throttled(
                "Your member has handed in too many rosters",
                retry_after=wait,
                why=f"{MOST} are taken in {WITHIN_S // 60} minutes",
                todo=f"Put what is to change into one roster and send it in {wait} seconds; at once the hub's"
                " steward can apply it, or suspend the key",
            )

    def _apply(self, request: Request, principal: Principal, body: bytes) -> Answer:
        _, wanted = roster.read(body)
        if (wanted.agreement, wanted.member) != (principal.agreement, principal.member):
            raise Refused(
                "The roster is not yours to hand in",
                rule=OTHER_RULE,
                why=f"it is of {wanted.member} in `{wanted.agreement}`, you are {principal.member} in"
                f" `{principal.agreement}` ({OTHER_RULE})",
                todo="Use a credential of that member",
            )
        request.done(RULE)
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
            book=self._rosters,
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


def _source(principal: Principal) -> str:
    return f"{principal.agreement}/{principal.member}"
