"""What is in a log in a member's name: every statement that the member's own outboxes do not know.

A hub cannot forge a publisher's signature, but it can attest that a member posted something. Only the
member can tell that it did not; so it looks at the log itself, entry by entry.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from lightship.client.outbox import DELIVERED, SENDING, sent_payload
from lightship.core.log.leaf import Publication
from lightship.core.log.statement import digest_of
from lightship.core.log.trusted import Applied
from lightship.core.time import Micros


@dataclass(frozen=True, slots=True)
class Foreign:
    """A statement by the member that no outbox of it sent: its entry, time, and the objects it names."""

    index: int
    at: Micros
    signed: bool
    added: tuple[str, ...]
    withdrawn: tuple[str, ...]


def foreign(applied: Applied, member: str, known: Container[str]) -> Iterator[Foreign]:
    """Yield the statements by a member among new entries of a verified log that are not its own.

    Args:
        applied: what `verifying.follow` brought.
        member: its name in the agreement.
        known: SHA-256 of the payloads that it sent (`known_payloads`).
    """
    for index, one in enumerate(applied.leaves, applied.first):
        if isinstance(one, Publication) and one.by == member and not _is_known(one, known):
            yield Foreign(
                index,
                one.at,
                bool(one.statement.key),
                tuple(entry.id for entry in one.statement.add),
                tuple(entry.id for entry in one.statement.withdraw),
            )


def known_payloads(outboxes: Path) -> set[str]:
    """Return the SHA-256 of every payload that outboxes below a directory sent, answered or not."""
    found = {path.stem.rpartition("-")[2] for path in outboxes.rglob(f"{DELIVERED}/*-*-*.json")}
    return found | {sent_payload(path) for path in outboxes.rglob(SENDING)}


def _is_known(one: Publication, known: Container[str]) -> bool:
    return digest_of(one.envelope.payload) in known
