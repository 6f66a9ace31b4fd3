"""What a verifier finds: names of failures, findings, and the error that a log as a whole is not trusted.

A failure of the log itself (its chain, checkpoint or hashes) is raised: nothing of it is believed. What is
wrong with one entry is a finding: its objects fail by name and the others stand. Warnings are no failures
unless the caller is strict.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lightship.core.errors import CallerError


class Failure(StrEnum):
    """The name of everything that a verifier can object to."""

    # of the log as a whole
    AGREEMENT_FORGED = "agreement-forged"
    AGREEMENT_ROLLBACK = "agreement-rollback"
    AGREEMENT_SKIPPED = "agreement-skipped"
    AGREEMENT_WITHHELD = "agreement-withheld"
    CHECKPOINT_FORGED = "checkpoint-forged"
    OTHER_LOG = "other-log"
    ROLLBACK = "rollback"
    SPLIT_VIEW = "split-view"
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"
    UNREADABLE = "unreadable-entry"
    ENDLESS = "endless-log"
    FROM_THE_FUTURE = "from-the-future"
    # of one entry
    BACKDATED = "backdated"
    WRONG_AGREEMENT = "wrong-agreement"
    OTHER_COLLECTION = "other-collection"
    OTHER_HUB = "other-hub"
    NOT_A_PUBLISHER = "not-a-publisher"
    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "unknown-key"
    IMPERSONATION = "impersonation"
    REVOKED_KEY = "revoked-key"
    FORGED = "forged-statement"
    EQUIVOCATION = "equivocation"
    REPLAYED = "replayed-statement"
    GAP = "statement-missing"
    ROSTER = "roster-refused"
    SUSPENSION = "suspension-refused"
    SUSPENDED = "suspended-member"
    SUSPENDED_KEY = "suspended-key"
    # of one object version
    CONFLICT = "conflict"
    ADDED_AFTER_WITHDRAWAL = "added-after-withdrawal"
    NOT_OWNER = "not-owner"
    NOTHING_TO_WITHDRAW = "nothing-to-withdraw"
    NOT_ORDERED = "not-ordered"
    NOT_DISTRUSTED = "not-distrusted"
    DISTRUSTED = "distrusted"
    ALTERED = "altered"
    NOT_IN_LOG = "not-in-log"
    WITHDRAWN = "withdrawn"
    MISSING = "missing"
    UNREADABLE_OBJECT = "unreadable-object"
    WRONG_DATE = "wrong-date"
    # warnings
    STALE = "stale"
    NOT_WITNESSED = "not-witnessed"
    AGREEMENT_BEHIND = "agreement-behind"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold: at which entry of the log (-1: none in particular), and why.

    `object_id` names the object that it is about, empty if it is about all of the entry. `other` is the entry
    that it contradicts, -1 if there is none.
    """

    failure: Failure
    why: str
    index: int = -1
    object_id: str = ""
    warning: bool = False
    other: int = -1

    def __str__(self) -> str:
        place = f" at entry {self.index}" if self.index >= 0 else ""
        about = f" {self.object_id}" if self.object_id else ""
        return f"{self.failure}{place}{about}: {self.why}"


class LogRefused(CallerError):
    """The log is not trusted: nothing of it is believed. `finding` says what and where."""

    code = "log-refused"

    def __init__(self, failure: Failure, why: str, index: int = -1) -> None:
        self.finding = Finding(failure, why, index)
        super().__init__(
            "The log is not trusted",
            why=str(self.finding),
            todo="Keep the state that was kept before, and ask the hub's steward and another consumer",
            details={"failure": failure, "index": str(index)},
        )
