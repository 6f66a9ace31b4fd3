"""Why a decision came out as it did: the deciding rules, and the permits that could have helped.

Values only; made by whoever decides (`ports.Decisions.explain`), shown by `lightship why`.
"""

from __future__ import annotations

from dataclasses import dataclass

from lightship.core.access import Decision


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule that held, with its sentence for the user."""

    rule: str
    say: str


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a rule, as it is written there, and whether it held."""

    text: str
    holds: bool


@dataclass(frozen=True, slots=True)
class NearPermit:
    """A permit for this kind of principal and action; it permits when every condition holds."""

    rule: str
    say: str
    conditions: tuple[Condition, ...]

    @property
    def holds(self) -> bool:
        """True when nothing is missing."""
        return all(one.holds for one in self.conditions)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, every rule that decided it, and the nearest permits.

    `reasons` are the forbids that held, else the permits that held; empty for a default deny.
    """

    decision: Decision
    reasons: tuple[Reason, ...]
    permits: tuple[NearPermit, ...]
