"""Agreements in force, collection numbers, credentials, and the access log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from lightship.core.access import Credential, CredentialKind
from lightship.core.audit import AccessEvent, AuditQuery
from lightship.core.errors import Unavailable
from lightship.core.log.receipt import Sealed
from lightship.core.ports.reading import HeldSet
from lightship.core.time import Micros


@dataclass(frozen=True, slots=True)
class SignedAgreement:
    """One link of an agreement's chain: the DSSE envelope and its payload as stored.

    `rules` is the text of the agreement's own forbid rules (`rules.cedar`), whose SHA-256 the payload
    carries; empty without any.
    """

    agreement: str
    version: int
    payload: bytes
    envelope: bytes
    digest: str
    activated: Micros
    rules: bytes = b""


@dataclass(frozen=True, slots=True)
class SignedSuspension:
    """One link of an agreement's suspensions: a suspension, or what ends one early, as it was signed.

    `version` is that of the agreement, in force when it was `applied`; `digest` the hex SHA-256 of the
    payload.
    """

    agreement: str
    number: int
    version: int
    digest: str
    envelope: bytes
    applied: Micros


class WouldBreak(Exception):
    """What is held forbids this version of an agreement.

    `held` has (collection id, set) for each that would break the rule.
    """

    def __init__(self, held: Sequence[tuple[str, HeldSet]]) -> None:
        super().__init__(f"{len(held)} marking sets forbid it")
        self.held = tuple(held)


class Registry(Protocol):
    """Agreements in force, collection numbers and credentials.

    - Every change MUST raise the epoch in its own transaction, together with its pending access event, and
      MUST be visible to every process on its next `epoch()`.
    - Collection numbers MUST never be used again, also not after the collection is gone.
    """

    def epoch(self) -> int: ...

    def chain(self, agreement: str) -> Sequence[SignedAgreement]:
        """Return all versions of one agreement, oldest first; empty if unknown."""
        ...

    def agreement_ids(self) -> Sequence[str]: ...

    def collection_numbers(self) -> Mapping[str, int]:
        """Return collection id -> number."""
        ...

    def activate(
        self,
        signed: SignedAgreement,
        collections: Sequence[str],
        event: AccessEvent,
        *,
        admits: Callable[[str, HeldSet], bool],
        withdraw: Mapping[str, Sequence[str]],
    ) -> None:
        """Append a version to its chain, number new collections, log the change in each collection.

        `withdraw` names objects by collection id: every version of them MUST be withdrawn in the same
        transaction, with the reason `ordered`, staged ones cancelled; what is not there is passed over. Then
        `admits(collection id, held)` MUST be asked inside the transaction about everything that the
        collections of the new version hold; one False MUST raise WouldBreak and change nothing. It is fast
        for what was asked before the transaction. InUse if the last copy of a definition in use were
        withdrawn.

        MUST raise Conflict unless `signed.version` is exactly one more than the newest stored (1 for the
        first). MUST append to each collection of the agreement, in the same transaction, a statement row with
        `by` empty and the body `{"agreement":N,"sha256":"…"}`, which takes a stamp. A new collection's log
        MUST go on with the first suspension in effect at `signed.activated` and all after it, as `suspend`
        writes them, then with the rosters in force.
        """
        ...

    def suspensions(self, agreement: str) -> Sequence[SignedSuspension]:
        """Return all suspensions of one agreement and what ended them early, by number."""
        ...

    def suspend(self, signed: SignedSuspension, event: AccessEvent) -> None:
        """Append to the suspensions of an agreement, and log it in each of its collections.

        MUST raise NotFound without such an agreement, and Conflict unless `signed.number` is exactly one more
        than the newest stored (1 for the first) and `signed.version` is the newest stored version of the
        agreement. MUST append to each collection of the agreement, in the same transaction, a statement row
        with `by` empty and the body `{"suspend":<envelope>}`, which takes a stamp. What is signed is not
        looked at.
        """
        ...

    def credential_by_digest(self, digest: bytes, kind: CredentialKind = "secret") -> Credential | None:
        """Return the credential of this kind with this digest.

        MUST NOT return one of the other kind: the digest of a certificate's key is that of public bytes, with
        which nobody may log in as with a secret.
        """
        ...

    def credentials(self, agreement: str | None = None) -> Sequence[Credential]: ...

    def put_credential(self, credential: Credential, event: AccessEvent) -> None:
        """Insert, or replace by `id`.

        MUST raise Conflict for a name or digest that another one holds, of either kind, for another kind
        than it had, and for one that would take back a revocation: two commands at once must not bring a
        revoked secret to life.
        """
        ...


Recorded = Sealed | None | Unavailable
"""What became of one event of `Access.record_all`."""


class Access(Protocol):
    """The access log.

    - `record` MUST complete only when the event is durable; many MUST share one commit.
    - The same `req` recorded twice MUST leave one event if it has an effect (`AccessEvent.has_effect`):
      it can come again from `Writer.pending` after a crash. One without is recorded once, by its own
      request; if it were recorded again there MAY be two.
    - If it cannot be written the future MUST fail with `Unavailable`; the hub then answers 503.
    - The future's result is where the event lies in its log, which gives its receipt; None where nothing is
      signed, and for an event that was recorded before.
    """

    def record(self, event: AccessEvent) -> Future[Sealed | None]: ...

    def record_all(self, events: Sequence[AccessEvent]) -> Future[Sequence[Recorded]]:
        """Record events together: one future, a result for each; `Unavailable` if it failed alone."""
        ...

    def search(self, query: AuditQuery) -> Iterator[AccessEvent]:
        """Yield matching events, oldest first."""
        ...
