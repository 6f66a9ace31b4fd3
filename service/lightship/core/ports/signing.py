"""The port to signed statements and to the rosters that say whose keys sign them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from lightship.core import dsse
from lightship.core.access import Grant
from lightship.core.audit import AccessEvent
from lightship.core.errors import Conflict
from lightship.core.log.roster import Revoked
from lightship.core.log.statement import Statement
from lightship.core.ports.requests import ItemOutcome, PublishRequest
from lightship.core.time import Micros


@dataclass(frozen=True, slots=True)
class StoredRoster:
    """One version of a member's roster.

    Args:
        digest: hex SHA-256 of its payload.  envelope: DSSE, as it is shown.
        agreement_version: in force when it was applied.  admin_key: text of the key that this version names
            for the member, which signed the roster.
    """

    agreement: str
    member: str
    version: int
    digest: str
    envelope: bytes
    agreement_version: int
    admin_key: str


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """One signed statement, its signature verified and its key authorised under the grant's epoch.

    Args:
        publish: the objects that it adds, in its order; none of them refused so far. Its `grant` covers the
            withdrawals too.
        statement: what was signed.  envelope: as it came.
    """

    publish: PublishRequest
    statement: Statement
    envelope: dsse.Envelope


@dataclass(slots=True)
class FreshProof:
    """That a leaf is under the checkpoint which was signed with it: inclusion proof and signed note.

    Empty where the log was not signed; then the proof is made of what is stored.
    """

    path: tuple[bytes, ...] = ()
    checkpoint: bytes = b""


@dataclass(frozen=True, slots=True)
class Logged:
    """A statement that is in the log: its index there, its status resource, the objects that it brought.

    `event` is None, and `items` empty, for one that was logged before; `proof` is for one that was just
    logged, and for nobody before its transaction is durable.
    """

    index: int
    status: bytes
    items: tuple[ItemOutcome, ...] = field(default=())
    event: AccessEvent | None = None
    proof: FreshProof | None = None


@dataclass(frozen=True, slots=True)
class KeyTrace:
    """What a publish key has logged in one collection.

    Args:
        collection: its UUID.  origin: name of its log, empty before anything in it was signed.
        size: entries of that log.
        statements: those of the key, oldest first: (index, time in microseconds, live versions that it put
            in).
    """

    collection: str
    origin: str
    size: int
    statements: tuple[tuple[int, Micros, int], ...]


class NotTaken(Exception):
    """Something in a statement cannot be done, so nothing of it was.

    `items` are its adds with their verdicts, `withdrawals` maps the index of a withdrawal to what is wrong.
    """

    def __init__(self, items: Sequence[ItemOutcome], withdrawals: dict[int, str]) -> None:
        super().__init__("the statement is not taken")
        self.items = tuple(items)
        self.withdrawals = withdrawals


class OutOfSequence(Conflict):
    """A statement does not follow what its key had logged last; nothing was logged (HTTP 409)."""

    code = "out-of-sequence"

    def __init__(self, title: str, *, rule: str, why: str = "", todo: str = "") -> None:
        super().__init__(title, why=why, todo=todo)
        self.rule = rule


class Signing(Protocol):
    """Signed statements and rosters.

    - A statement MUST be taken whole or not at all (NotTaken): any verdict but ADD and DUPLICATE, any
      withdrawal of what is not live or another member's, leave no trace, and its `seq` unused.
    - Its `seq` and `prev` MUST be compared inside the transaction with what its key had logged last in this
      collection: OutOfSequence, with the rule `deny-equivocation` for a number that was used for another
      payload, else `deny-sequence`.
    - A payload that is in the log already MUST be answered with what was answered then, and change nothing.
    - Withdrawals take effect before adds; the leaf MUST hold the envelope as it came.
    - A roster MUST be stored, and its digest logged in every collection that the agreement ever had, in one
      transaction with its access event; it raises the epoch. Conflict unless its version is one more than the
      member's newest and the agreement's newest version is the one that it was checked under.
    - In the same transaction, behind the roster's leaf, what a key of `distrust` put in from the leaf on
      that is named for a log, and is live, MUST leave as `distrusted`, in statements of the hub's own. The
      add that made a version live counts: not who attested it later. BadRoster if it names a log or an entry
      that is not there, is too much for one transaction, or takes a definition that what stays cites.
    - The log of a new collection MUST begin, after the agreement's version, with the rosters in force.
    """

    def publish_signed(self, request: SignedRequest) -> Future[Logged]: ...

    def logged(self, grant: Grant, digest: str) -> Logged | None:
        """Return what was answered to the statement whose payload has this SHA-256, None if there is none."""
        ...

    def rosters(self, agreement: str) -> Sequence[StoredRoster]:
        """Return all rosters of an agreement's members, in the order in which they were applied."""
        ...

    def apply_roster(
        self, roster: StoredRoster, event: AccessEvent, distrust: Mapping[str, Revoked]
    ) -> Mapping[str, int]:
        """Put a roster in force; return collection id -> how many versions left.

        `distrust`: key id -> a revocation with `distrust_from`, of the keys that this roster newly distrusts.
        """
        ...

    def trace(self, agreement: str, key: str) -> Sequence[KeyTrace]:
        """Return what a publish key has logged, for each collection that the agreement ever had."""
        ...
