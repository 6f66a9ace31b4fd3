"""Was everything handed out that the log says, and nothing else? Objects received against a verified log.

The log is read up to a checkpoint before the objects are asked for and up to another one afterwards. What
was live throughout must have come with its digest; what came and is not live must have left in between.
What was added in between may have come or not: it is due the next time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import NamedTuple

from lightship.core.collection import WithdrawReason
from lightship.core.log.findings import Failure
from lightship.core.log.shelf import LoggedVersion, Shelf
from lightship.core.time import NO_INSTANT, Micros, parse_instant

MOST_MISSING = 10_000
"""Objects that one comparison names as missing; it ends with the last of them."""


class Proof(StrEnum):
    """What vouches for an object."""

    SIGNED = "signed"
    ATTESTED = "hub-attested"
    UNWITNESSED = "not yet witnessed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an object version: a proof or the name of a failure; `held` is what the log has."""

    id: str
    digest: str
    result: Proof | Failure
    held: LoggedVersion | None = None

    @property
    def good(self) -> bool:
        """Whether it can be used."""
        return isinstance(self.result, Proof)


class Came(NamedTuple):
    """An object version as it was handed out: `version` as written in it, `digest` hex SHA-256 of its JCS."""

    id: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Completeness:
    """Objects received, in their order, and what should have come and did not, at most `MOST_MISSING`.

    `upto` is how far they were compared: with more missing it is the stamp of the last that is told.
    """

    received: tuple[Outcome, ...]
    missing: tuple[LoggedVersion, ...]
    upto: Micros


def compare(
    shelf: Shelf,
    received: Sequence[Came],
    *,
    before: int,
    after: Micros,
    upto: Micros,
    witnessed: bool = True,
) -> Completeness:
    """Compare what a hub handed out with what the log says.

    Args:
        shelf: what is held at the later checkpoint.
        received: in the order they came, every version asked for.
        before: size of the log at the earlier checkpoint.
        after, upto: the window begins behind the first stamp and ends with the second.
        witnessed: False if the checkpoint lacks cosignatures that it needs.
    """
    outcomes = tuple(_outcome(shelf, one, before=before, witnessed=witnessed) for one in received)
    got = {one.held.place for one in outcomes if one.good and one.held is not None}
    missing: list[LoggedVersion] = []
    for held in takewhile(lambda one: one.stamp <= upto, shelf.after(after)):
        if held.index < before and _is_missing(held, got):
            missing.append(held)
            if len(missing) == MOST_MISSING:
                return Completeness(outcomes, tuple(missing), held.stamp)
    return Completeness(outcomes, tuple(missing), upto)


def found(shelf: Shelf, one: Came) -> LoggedVersion | None:
    """Return the version that came, as the log has it; None if the log has no such bytes of it."""
    try:
        held = shelf.version(one.id, parse_instant(one.version) if one.version else NO_INSTANT)
    except ValueError:
        return None
    return held if held is not None and _is(held, one.digest) else None


def _is_missing(held: LoggedVersion, got: Collection[int]) -> bool:
    return held.live and held.place not in got


def _is(held: LoggedVersion, digest: str) -> bool:
    return held.digest == digest


def _outcome(shelf: Shelf, one: Came, *, before: int, witnessed: bool) -> Outcome:
    held = found(shelf, one)
    if held is None:
        known = shelf.knows(one.id)
        return Outcome(one.id, one.digest, Failure.ALTERED if known else Failure.NOT_IN_LOG)
    failure = held.problem or _left(held, before)
    if failure is not None:
        return Outcome(one.id, one.digest, failure, held)
    proof = Proof.SIGNED if held.key else Proof.ATTESTED
    return Outcome(one.id, one.digest, proof if witnessed else Proof.UNWITNESSED, held)


def _left(held: LoggedVersion, before: int) -> Failure | None:
    """An object that left before the first checkpoint must not be handed out, a distrusted one never."""
    if held.withdrawn is WithdrawReason.DISTRUSTED:
        return Failure.DISTRUSTED
    return Failure.WITHDRAWN if held.withdrawn is not None and held.gone < before else None
