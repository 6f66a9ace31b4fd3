"""What a check of the whole store reports."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FsckFinding:
    """One thing that does not hold together."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class FsckReport:
    """What `lightship fsck` looked at and what it found."""

    objects: int
    statements: int
    events: int
    findings: tuple[FsckFinding, ...] = field(default=())
