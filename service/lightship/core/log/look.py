"""What a look at a log goes through: the checkpoint that it goes for, and entries part by part."""

from __future__ import annotations

from dataclasses import dataclass

from lightship.core.log.findings import Finding
from lightship.core.log.leaf import Leaf, RosterChange
from lightship.core.log.ledger import Gone
from lightship.core.log.merkle import Frontier
from lightship.core.log.notes import Checkpoint
from lightship.core.time import Micros


@dataclass(frozen=True, slots=True)
class Aim:
    """A checkpoint that was opened and whose entries are not all judged yet.

    Args:
        note: as it came.  at: when it was seen first.
        versions: of the agreement that were known then.
        proof: that what is trusted so far is the beginning of its tree.
    """

    note: bytes
    checkpoint: Checkpoint
    at: Micros
    versions: int
    proof: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries from what is trusted on: their bytes are verified, what they say is not."""

    frontier: Frontier
    leaves: tuple[Leaf, ...]
    proof: tuple[bytes, ...]

    @property
    def rosters(self) -> tuple[str, ...]:
        """SHA-256 of the payloads of the rosters that are needed to go on."""
        return tuple(one.sha256 for one in self.leaves if isinstance(one, RosterChange))


@dataclass(frozen=True, slots=True)
class Applied:
    """What a batch brought: its leaves from index `first` on, what left, what does not hold."""

    first: int
    leaves: tuple[Leaf, ...]
    gone: tuple[Gone, ...]
    findings: tuple[Finding, ...]
