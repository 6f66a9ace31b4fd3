"""Was everything handed out that the log says, and nothing else? Objects received against a verified log.

The log is read up to a checkpoint before the objects are asked for and up to another one afterwards. What
was live throughout must have come with its digest; what came and is not live must have left in between.
What was added in between may have come or not: it is due the next time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lightship.core.collection import WithdrawReason
from lightship.core.log.findings import Failure
from lightship.core.log.held import Held, Holdings
from lightship.core.time import Micros


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
    held: Held | None = None

    @property
    def good(self) -> bool:
        """Whether it can be used."""
        return isinstance(self.result, Proof)


@dataclass(frozen=True, slots=True)
class Completeness:
    """Objects received, in their order, and what should have come and did not."""

    received: tuple[Outcome, ...]
    missing: tuple[Held, ...]


def compare(
    holdings: Holdings,
    received: Sequence[tuple[str, str]],
    *,
    before: int,
    after: Micros,
    witnessed: bool = True,
) -> Completeness:
    """Compare what a hub handed out with what the log says.

    Args:
        holdings: at the later checkpoint.
        received: (id, hex SHA-256 of the JCS bytes) in the order they came, every version asked for.
        before: size of the log at the earlier checkpoint.
        after: the window begins behind this stamp.
        witnessed: False if the checkpoint lacks cosignatures that it needs.
    """
    outcomes = tuple(_outcome(holdings, *one, before=before, witnessed=witnessed) for one in received)
    got = {id(one.held) for one in outcomes if one.good}
    due = (one for one in holdings.after(after) if one.index < before)
    return Completeness(outcomes, tuple(one for one in due if _is_missing(one, got)))


def _is_missing(held: Held, got: Collection[int]) -> bool:
    return held.live and id(held) not in got


def _is(held: Held, digest: str) -> bool:
    return held.digest == digest


def _outcome(holdings: Holdings, object_id: str, digest: str, *, before: int, witnessed: bool) -> Outcome:
    known = holdings.of(object_id)
    held = next((one for one in known if _is(one, digest)), None)
    if held is None:
        return Outcome(object_id, digest, Failure.ALTERED if known else Failure.NOT_IN_LOG)
    failure = held.problem or _left(held, before)
    if failure is not None:
        return Outcome(object_id, digest, failure, held)
    proof = Proof.SIGNED if held.key else Proof.ATTESTED
    return Outcome(object_id, digest, proof if witnessed else Proof.UNWITNESSED, held)


def _left(held: Held, before: int) -> Failure | None:
    """An object that left before the first checkpoint must not be handed out, a distrusted one never."""
    if held.withdrawn is WithdrawReason.DISTRUSTED:
        return Failure.DISTRUSTED
    return Failure.WITHDRAWN if held.withdrawn is not None and held.gone < before else None
