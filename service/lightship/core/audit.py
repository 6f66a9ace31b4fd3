"""Access events: one for every request, with the deciding rule; of a flood without a credential one for many.

`q` and `ip` are personal or sensitive: the leaf of an event holds salted digests of them, and the store keeps
the values and the salts beside it, where they can be erased.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lightship.core.time import Micros

HUB_SCOPE = "hub"
"""The log of what lies outside any agreement."""
STEWARD = "steward"
"""Who acted, and the rule that allowed it, in events of commands on a hub's directory."""

Outcome = Literal["ok", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class AccessEvent:
    """What one request or command did.

    Args:
        req: unique request id (UUIDv4 hex); recorded twice, an event that has an effect is kept once.
        at: when it was handled, microseconds.
        act: what was asked for, e.g. `read-objects`, `publish`, `withdraw`, `credential-mint`.
        agr: agreement id, or `hub`.
        who: member, empty when nobody was authenticated.
        cred: credential id, or its name's owner for commands (`steward`).
        col: collection id, or empty.
        q: the query as sent, or object ids; empty if none.
        ip: the peer's address, empty for commands.
        st: HTTP status, or exit code for commands.
        why: the deciding rule.
        n: number of objects offered, accepted or withdrawn; with act `others` the number of requests that it
            stands for, with `why` `flood` and `ip` their network (empty: of many networks).
        first, last: `date_added` of the first and last one, 0 if none.
        q_digest, ip_digest: hex digests of `q` and `ip` under this event's own salts, as they stand in the
            log; known to a search only, and never compared.
    """

    req: str
    at: Micros
    act: str
    agr: str = HUB_SCOPE
    who: str = ""
    cred: str = ""
    col: str = ""
    q: str = ""
    ip: str = ""
    st: int = 0
    why: str = ""
    n: int = 0
    first: int = 0
    last: int = 0
    q_digest: str = field(default="", compare=False)
    ip_digest: str = field(default="", compare=False)

    @property
    def has_effect(self) -> bool:
        """False for an act `read-...`, which changes nothing: only its own request ever records it."""
        return not self.act.startswith("read-")

    @property
    def outcome(self) -> Outcome:
        """`ok` below 400, `refused` for 401, 403, 404 and 429, else `failed`."""
        if self.st < 400:
            return "ok"
        return "refused" if self.st in {401, 403, 404, 429} else "failed"


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Filters of an audit search, all ANDed; empty = any. `since` inclusive, `until` exclusive."""

    agreement: str = ""
    member: str = ""
    principal: str = ""
    collection: str = ""
    outcome: Outcome | Literal[""] = ""
    action: str = ""
    since: Micros = Micros(0)
    until: Micros | None = None
    limit: int = 1000
