"""Ports: what the use cases need from the outside, as Protocols with contracts in MUST words.

A driver that breaks one of these sentences is wrong, whatever its tests say. `tests/contract/` holds one
suite that every driver passes.
"""

from __future__ import annotations

from lightship.core.ports.checking import FsckFinding, FsckReport
from lightship.core.ports.clock import Clock
from lightship.core.ports.logs import Logs, Vouches
from lightship.core.ports.reading import (
    CollectionState,
    HeldSet,
    Holding,
    Page,
    Reader,
    Row,
    Staged,
    Statuses,
)
from lightship.core.ports.registry import (
    Access,
    Recorded,
    Registry,
    SignedAgreement,
    SignedSuspension,
    WouldBreak,
)
from lightship.core.ports.requests import (
    EpochChanged,
    Expired,
    ExpireRequest,
    InUse,
    ItemOutcome,
    NotOwner,
    Published,
    PublishOutcome,
    PublishRequest,
    Released,
    ReleaseRequest,
    Withdrawn,
    WithdrawRequest,
)
from lightship.core.ports.rules import Decisions
from lightship.core.ports.signing import (
    FreshProof,
    KeyTrace,
    Logged,
    NotTaken,
    OutOfSequence,
    SignedRequest,
    Signing,
    StoredRoster,
)
from lightship.core.ports.writing import COMMIT_MICROS, GROUP_SIZES, CommitFigures, Writer

__all__ = [
    "COMMIT_MICROS",
    "GROUP_SIZES",
    "Access",
    "Clock",
    "CollectionState",
    "CommitFigures",
    "Decisions",
    "EpochChanged",
    "ExpireRequest",
    "Expired",
    "FreshProof",
    "FsckFinding",
    "FsckReport",
    "HeldSet",
    "Holding",
    "InUse",
    "ItemOutcome",
    "KeyTrace",
    "Logged",
    "Logs",
    "NotOwner",
    "NotTaken",
    "OutOfSequence",
    "Page",
    "PublishOutcome",
    "PublishRequest",
    "Published",
    "Reader",
    "Recorded",
    "Registry",
    "ReleaseRequest",
    "Released",
    "Row",
    "SignedAgreement",
    "SignedRequest",
    "SignedSuspension",
    "Signing",
    "Staged",
    "Statuses",
    "StoredRoster",
    "Vouches",
    "WithdrawRequest",
    "Withdrawn",
    "WouldBreak",
    "Writer",
]
