"""A hub whose members sign: admin keys in its agreement, rosters, outboxes, and consumers that verify.

The client's own code on one side, the whole hub over the embedded store on the other, HTTP in between.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from hubkit import HubKit, InProcess, Store, make_hub
from lightship.client.connection import Connection
from lightship.client.drafts import Draft, draft_of, statements
from lightship.client.following import first_look, follow
from lightship.client.kept_log import Kept
from lightship.client.log_source import LogSource
from lightship.client.outbox import Outbox, Proof, Refusal, Sent
from lightship.client.submitting import submit
from lightship.client.verifying import Report, pull
from lightship.core import dsse
from lightship.core.agreement.chain import key_text
from lightship.core.collection import WithdrawReason
from lightship.core.log import roster, statement
from lightship.core.log.roster import PublishKey, Revoked, Roster
from lightship.core.log.statement import Add, Statement, Withdrawal
from lightship.core.time import Micros
from lightship.crypto.sign import SigningKey, new_signing_key, verify
from lightship.keys.hub_key import load_hub_key
from lightship.storage.fsck import fsck
from lightship.storage.fsck_log import HubKey
from lightship.storage.memory import MemoryStore
from lightship.usecases.rosters import apply_roster

MEMBERS = ("uslax", "uslgb")
WITHDRAWN = WithdrawReason.PUBLISHER


@dataclass
class SignedHub:
    """The hub, the keys of its members, their rosters."""

    kit: HubKit
    admins: dict[str, SigningKey]
    keys: dict[str, SigningKey] = field(default_factory=dict)
    last: dict[str, Roster] = field(default_factory=dict)

    def clean(self) -> bool:
        """True if fsck finds nothing; over the store in memory there is nothing to look at."""
        hub = self.kit.hub
        if isinstance(hub.registry, MemoryStore):
            return True
        public = load_hub_key(hub.dir).public
        return fsck(hub.dir / "data", key=HubKey(public, verify)).findings == ()

    @property
    def uuid(self) -> str:
        return self.kit.collection("indicators")

    @property
    def hub(self) -> str:
        return self.kit.hub.directory.view().agreements[self.kit.agreement].hub

    def next_roster(self, member: str, keys: dict[str, PublishKey]) -> Roster:
        last = self.last.get(member)
        prev = hashlib.sha256(last.payload()).hexdigest() if last else ""
        version = last.version + 1 if last else 1
        return Roster(self.kit.agreement, self.hub, member, version, prev, keys)

    def apply(self, made: Roster, signer: SigningKey | None = None) -> None:
        signer = signer or self.admins[made.member]
        hub = self.kit.hub
        assert hub.signing is not None
        envelope = dsse.encode(roster.sign(made, signer.keyid, signer.sign))
        view, now = hub.directory.view(), hub.clock.now()
        apply_roster(hub.signing, hub.registry, view, envelope, verify=verify, req=uuid.uuid4().hex, now=now)
        self.last[made.member] = made

    def enrol(self, member: str) -> SigningKey:
        """Give a member a new publish key on its roster."""
        key = self.keys[member] = new_signing_key()
        last = self.last.get(member)
        keys = dict(last.keys) if last else {}
        self.apply(self.next_roster(member, keys | {key.keyid: PublishKey(key.public)}))
        return key

    def revoke(self, member: str, **distrust: int) -> None:
        """Revoke a member's key."""
        key = self.keys[member]
        gone = PublishKey(
            key.public, Revoked("stolen", {k.replace("_", "/"): v for k, v in distrust.items()})
        )
        self.apply(self.next_roster(member, dict(self.last[member].keys) | {key.keyid: gone}))

    def connection(self, member: str) -> Connection:
        user, secret = self.kit.credential(member)
        transport = InProcess(self.kit.app, self.kit.loop, "127.0.0.1")
        return Connection("https://hub.test", user, secret, transport=transport)

    def client(self, member: str) -> httpx2.Client:
        return self.kit.client(
            member, headers={"Accept": "application/json", "Content-Type": "application/json"}
        )

    def post(
        self, member: str, publication: Any, objects: Sequence[Any], collection: str = ""
    ) -> httpx2.Response:
        """Post as it is, past the client's own checks."""
        body = json.dumps({"publication": publication, "objects": list(objects)})
        with self.client(member) as client:
            return client.post(f"/log/{collection or self.uuid}/publish", content=body)

    def statement(
        self,
        member: str,
        objects: Sequence[Any] = (),
        seq: int = 1,
        prev: str = "",
        withdraw: Sequence[Withdrawal] = (),
        key: SigningKey | None = None,
        **more: str,
    ) -> dict[str, Any]:
        """Return a signed statement as a JSON value."""
        key = key or self.keys[member]
        adds: tuple[Add, ...] = tuple(draft(one).add for one in objects)
        fields: dict[str, Any] = {"collection": self.uuid, "hub": self.hub, "key": key.keyid} | more
        made = Statement(**fields, seq=seq, prev=prev, add=adds, withdraw=tuple(withdraw))
        return dsse.as_value(statement.sign(made, key.sign))

    def consumer(self, member: str = "uslax") -> Consumer:
        connection = self.connection(member)
        source = LogSource(connection, self.kit.agreement, self.uuid)
        return Consumer(self, connection, source, first_look(source, verify))

    def box(self, member: str, folder: Path) -> Desk:
        return Desk(
            self, member, Outbox(folder, self.keys[member], self.uuid, self.hub), self.consumer(member)
        )


@dataclass
class Consumer:
    """Somebody who verifies."""

    hub: SignedHub
    connection: Connection
    source: LogSource
    kept: Kept

    def pull(self) -> Report:
        path = self.hub.kit.path("indicators")
        with pull(self.connection, path, self.source, self.kept, self.hub.kit.hub.clock.now) as done:
            self.kept = done.kept
            return done.report

    def proofs(self) -> list[str]:
        report = self.pull()
        assert report.ok, (report.findings, report.failures, report.missing)
        return [str(one.result) for one in report.delivered]


@dataclass
class Desk:
    """A publisher with its outbox."""

    hub: SignedHub
    member: str
    outbox: Outbox
    consumer: Consumer

    def put(self, *objects: Any, withdraw: Sequence[Withdrawal] = ()) -> None:
        for drafts, gone in statements([draft(one) for one in objects], withdraw):
            self.outbox.put(drafts, gone)

    def submit(self, body: bytes, envelope: dsse.Envelope) -> Proof | Refusal:
        log = self.consumer.kept.log
        follow(self.consumer.source, log, self.hub.kit.hub.clock.now())
        return submit(self.consumer.connection, log, body, envelope)

    def send(self) -> list[Sent]:
        return list(self.outbox.send(self.submit, self.hub.kit.hub.clock.now))

    def publish(self, *objects: Any, withdraw: Sequence[Withdrawal] = ()) -> Proof | Refusal:
        self.put(*objects, withdraw=withdraw)
        (sent,) = self.send()
        return sent.answer


def draft(value: Any) -> Draft:
    """Return an object on its way into a statement."""
    return draft_of(json.dumps(value).encode())


def gone(value: Any) -> Withdrawal:
    """Return the entry that withdraws an object."""
    return Withdrawal(value["id"], value["modified"], WITHDRAWN)


def signed_hub(tmp_path: Path, store: Store = "sqlite", **more: Any) -> SignedHub:
    """Return a hub with two members that have admin keys; close its `kit`."""
    admins = {member: new_signing_key() for member in MEMBERS}
    members = {member: {"admin_key": key_text(one.public)} for member, one in admins.items()}
    return SignedHub(make_hub(tmp_path, store, members=members, **more), admins)


def now_of(hub: SignedHub) -> Micros:
    """Return the hub's time."""
    return hub.kit.hub.clock.now()
