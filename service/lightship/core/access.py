"""Who asks, for what, and the answer: values of the access decision.

The rules that decide stand behind `ports.Decisions`; every decision names one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from lightship.core.collection import Collection
from lightship.core.time import Micros

Profile = Literal["standard", "empty-list"]
CredentialKind = Literal["secret", "certificate"]


class Action(StrEnum):
    """The actions that rules speak about.

    `READ_AUDIT` is searching the access events of one's own member, `READ_JOINT_AUDIT` those of all members.
    Neither shows content.
    """

    LIST = "list"
    READ = "read"
    PUBLISH = "publish"
    WITHDRAW = "withdraw"
    READ_STATUS = "readStatus"
    READ_AUDIT = "readAudit"
    READ_JOINT_AUDIT = "readJointAudit"
    READ_METRICS = "readMetrics"
    APPROVE = "approve"
    ADMINISTER = "administer"


@dataclass(frozen=True, slots=True)
class Credential:
    """A minted secret's record, or a client certificate's; a secret itself is never kept, only its SHA-256.

    `digest` is that of the secret's text or, with the kind `certificate`, of a public key
    (SubjectPublicKeyInfo): its pin. What is public opens nothing as a secret, so a credential is found by
    kind and digest. `name` is the Basic user name, a lower-case slug that is unique on the hub. `allowed` are
    networks in CIDR form, empty = from anywhere. Times are microseconds since the epoch.
    """

    id: str
    agreement: str
    member: str
    name: str
    digest: bytes
    created: Micros
    expires: Micros | None
    revoked: Micros | None = None
    allowed: tuple[str, ...] = ()
    profile: Profile = "standard"
    note: str = ""
    kind: CredentialKind = "secret"

    def holds(self, now: Micros) -> bool:
        """True if it is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or self.expires > now)

    def goes_by(self, text: str) -> bool:
        """True if people mean it by this: its name, `member/name`, its id or its pin."""
        return text in {self.id, self.pin or self.id} or text.replace("/", "-", 1) == self.name

    @property
    def pin(self) -> str:
        """The pin of its public key, lower-case hex; empty for a secret."""
        return self.digest.hex() if self.kind == "certificate" else ""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a connection's client certificate comes to, once its chain was found to hold.

    `pin` is the lower-case hex SHA-256 of its public key (DER SubjectPublicKeyInfo), empty if that cannot be
    read; `not_after` when it ends, microseconds.
    """

    pin: str
    not_after: Micros


@dataclass(frozen=True, slots=True)
class Client:
    """Whose client a pin is: one member's of one agreement."""

    agreement: str
    member: str


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated client of a member.

    `credential` is the credential's id, `name` its user name; for a client that only the member's roster
    names, its pin and `<member>-<first 16 characters of the pin>`. `certificate`: its connection shows a
    client certificate whose key, `pin`, is pinned for this member. `listed`: the member's roster in force
    lists the credential, or this key.
    """

    agreement: str
    member: str
    credential: str
    name: str
    roles: frozenset[str] = frozenset()
    profile: Profile = "standard"
    certificate: bool = False
    pin: str = ""
    listed: bool = False


@dataclass(frozen=True, slots=True)
class System:
    """Work without a principal (fsck, restore, recovery): `reason` is logged."""

    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer and the rule that gave it; `say` is the rule's sentence for the user."""

    allowed: bool
    rule: str
    say: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission to act on one collection: only a decision makes one, and every store read takes one."""

    subject: Principal | System
    action: Action
    collection: Collection
    epoch: int
    decision: Decision = field(default_factory=lambda: Decision(True, "", ""))
