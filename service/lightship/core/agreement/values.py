"""Agreements as values: what the rest of the hub works with once a version is in force."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lightship.core.collection import Collection
from lightship.core.time import Micros


class AgreementStatus(StrEnum):
    """Where an agreement stands; `grace` are the 30 days after `not_after`."""

    PROPOSED = "proposed"
    IN_FORCE = "in-force"
    GRACE = "grace"
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
    `auditors` are the members that the agreement names for its audit, beside those with the role.
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

    def status(self, now: Micros) -> AgreementStatus:
        """Return where the agreement stands at `now`."""
        if self.ended:
            return AgreementStatus.ENDED
        if self.not_before is not None and now < self.not_before:
            return AgreementStatus.PROPOSED
        if self.not_after is None or now < self.not_after:
            return AgreementStatus.IN_FORCE
        return AgreementStatus.GRACE if now < self.not_after + GRACE else AgreementStatus.ENDED
