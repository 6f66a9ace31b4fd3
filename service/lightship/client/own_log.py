"""What a publisher looks up in the verified log of its collection: what is live, what its key had logged."""

from __future__ import annotations

from lightship.core.log.shelf import Held
from lightship.core.log.trusted import TrustedLog


def live_versions(log: TrustedLog, object_id: str) -> list[Held]:
    """Return the live versions of an object, the one that was added first at first."""
    return [one for one in log.ledger.held.shelf.of(object_id) if one.live]


def logged_digest(log: TrustedLog, key: str, seq: int) -> str:
    """Return the payload digest of what a key had logged under a number, empty if there is nothing."""
    found = log.ledger.held.shelf.statement(key, seq)
    return found[0] if found is not None else ""
