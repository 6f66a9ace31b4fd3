"""Agreements as values: what the rest of the hub works with once a version is in force."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from lightship.core.agreement.suspension import Stop
from lightship.core.collection import Collection
from lightship.core.time import Micros, format_stamp


class AgreementStatus(StrEnum):
    """Where an agreement stands.

    `grace` are the 30 days after `not_after`, in which everything goes on but loudly; then it is `expired`:
    reading and withdrawing go on, publishing does not. Only a signed version that says so makes it `ended`.
    While all of it is `suspended` nothing can be read, published or withdrawn.
    """

    PROPOSED = "proposed"
    IN_FORCE = "in-force"
    GRACE = "grace"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    ENDED = "ended"


GRACE = Micros(30 * 86_400 * 1_000_000)
AUDIT_RETENTION_DAYS = 1095
"""Three years; 33 CFR 105.225 asks for two at least."""


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation with access. `slug` is its key in the agreement, e.g. `uslax`."""

    slug: str
    name: str
    unlocode: str
    country: str
    group: str
    roles: frozenset[str]
    identities: frozenset[str]


@dataclass(frozen=True, slots=True)
class Agreement:
    """One version of an agreement as signed.

    `digest` is the hex SHA-256 of its payload, `hub` that of version 1's. `authority` says who signed.
    `auditors` are the members that the agreement names for its audit, beside those with the role. `rules` is
    the text of its own forbid rules (`rules.cedar`), empty without any. `suspensions` are all that were ever
    taken, of any version.
    """

    id: str
    version: int
    title: str
    description: str
    legal_basis: str
    not_before: Micros | None
    not_after: Micros | None
    members: dict[str, Member]
    collections: tuple[Collection, ...]
    digest: str
    hub: str
    authority: str
    ended: bool = False
    auditors: frozenset[str] = frozenset()
    audit_retention_days: int = AUDIT_RETENTION_DAYS
    rules: str = ""
    suspensions: tuple[Stop, ...] = ()

    def status(self, now: Micros) -> AgreementStatus:
        """Return where the agreement stands at `now`."""
        if self.ended:
            return AgreementStatus.ENDED
        if self.suspended("", now) is not None:
            return AgreementStatus.SUSPENDED
        if self.not_before is not None and now < self.not_before:
            return AgreementStatus.PROPOSED
        if self.not_after is None or now < self.not_after:
            return AgreementStatus.IN_FORCE
        return AgreementStatus.GRACE if now < self.not_after + GRACE else AgreementStatus.EXPIRED

    def suspended(self, member: str, now: Micros, key: str = "") -> Stop | None:
        """Return the suspension in effect at `now` that ends last: of a member, a key, or with '' of all."""
        if not self.suspensions:
            return None
        found = [one for one in self.suspensions if (one.member, one.key) == (member, key) and one.holds(now)]
        return max(found, key=lambda one: one.until, default=None)

    def for_request(self, now: Micros) -> Agreement:
        """Return it for a request under way that began at `now`: what was stopped since then counts."""
        if all(one.since <= now for one in self.suspensions):
            return self
        counted = tuple(replace(one, since=min(one.since, now)) for one in self.suspensions)
        return replace(self, suspensions=counted)

    def stops(self, now: Micros) -> tuple[Stop, ...]:
        """Return every suspension in effect at `now`, in the order of their numbers."""
        return tuple(one for one in self.suspensions if one.holds(now))

    def notice(self, now: Micros) -> str:
        """Return what everybody concerned should read at `now`; empty while all is well."""
        said = [self._standing(now)]
        said += [
            f"The {one.named} is suspended until {format_stamp(one.until)[:16]}Z"
            for one in self.stops(now)
            if one.named
        ]
        return ". ".join(one for one in said if one)

    def _standing(self, now: Micros) -> str:
        """Return the sentence about the agreement as a whole."""
        status = self.status(now)
        if (stop := self.suspended("", now)) is not None and status is AgreementStatus.SUSPENDED:
            until = f"{format_stamp(stop.until)[:16]}Z"
            return f"The agreement {self.id} is suspended until {until}: nothing can be read or published"
        if status is AgreementStatus.ENDED:
            return f"The agreement {self.id} has ended: nothing can be read or published"
        if status is AgreementStatus.PROPOSED and self.not_before is not None:
            begins = format_stamp(self.not_before)[:10]
            return f"The agreement {self.id} is proposed: nothing can be read or published before {begins}"
        if self.not_after is None:
            return ""
        said = f"The agreement {self.id} ended before {format_stamp(self.not_after)[:10]}"
        match status:
            case AgreementStatus.GRACE:
                stops = format_stamp(self.not_after + GRACE)[:10]
                return f"{said}; publishing stops on {stops} if it is not renewed"
            case AgreementStatus.EXPIRED:
                return f"{said}: nothing can be published until it is renewed"
            case _:
                return ""
