"""A small hub on disk with one of everything that fsck looks at, and short ways to make one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import apsw
import orjson

from audit_samples import StillClock
from lightship.core.audit import AccessEvent
from lightship.core.collection import Candidate, WithdrawReason
from lightship.core.marks import MarkingSet
from lightship.core.ports import PublishOutcome, PublishRequest, SignedAgreement, WithdrawRequest
from lightship.core.query import Filters
from lightship.core.stix.json import canonical
from lightship.core.time import Instant, Micros, parse_instant
from lightship.storage.fsck import fsck
from lightship.storage.sqlite.access_log import SqliteAccessLog, open_access_log
from lightship.storage.sqlite.store import SqliteStore, open_store
from storekit import ALICE, ALL, START, WAIT, HandClock, credential, grant, object_id, uuid_of

AUDIT = "audit-2026.db"


def stix(
    number: int, version: str = "2026-01-01T00:00:00Z", *, spec: str = "2.1", name: str = "a buoy"
) -> Candidate:
    """Return a candidate whose body is STIX as far as fsck reads it; no version makes an observable."""
    kind = "indicator" if version else "domain-name"
    value: dict[str, object] = {"type": kind, "id": object_id(number, kind), "name": name}
    if version:
        value |= {"created": "2026-01-01T00:00:00Z", "modified": version}
    if spec == "2.1":
        value["spec_version"] = "2.1"
    body = canonical(value)
    return Candidate(
        position=0,
        id=object_id(number, kind),
        type=kind,
        spec_version="2.0" if spec == "2.0" else "2.1",
        version=parse_instant(version) if version else Instant(""),
        version_text=version,
        digest=sha256(body).digest(),
        body=body,
        owned=bool(version),
    )


def agreement(version: int, prev: str, name: str = "exercise") -> SignedAgreement:
    """Return a version that links to the one before."""
    value: dict[str, object] = {"agreement": {"id": name}, "version": version}
    payload = canonical(value | ({"prev": prev} if prev else {}))
    envelope = orjson.dumps({"payload": b64encode(payload).decode(), "signatures": []})
    return SignedAgreement(name, version, payload, envelope, sha256(payload).hexdigest(), START)


class DiskHub:
    """A store and an access log in one directory, with a count of requests."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.clock = HandClock()
        self.store: SqliteStore = open_store(data_dir, self.clock)
        self.access: SqliteAccessLog = open_access_log(data_dir, StillClock(START))
        self.requests = 0

    def event(self, act: str, q: str = "q=1") -> AccessEvent:
        """Return the event of a new request."""
        self.requests += 1
        at = Micros(START + self.requests)
        req = sha256(f"{self.requests}".encode()).hexdigest()[:32]
        return AccessEvent(req, at, act, "exercise", ALICE, "cred", uuid_of(1), q, "192.0.2.1", 200)

    def log(self, event: AccessEvent) -> None:
        """Record an event and settle it."""
        self.access.record(event).result(WAIT)
        self.store.settle([event.req])

    def activate(self, version: int, prev: str) -> SignedAgreement:
        """Bring a version in force with collections 1 and 2."""
        signed, event = agreement(version, prev), self.event("activate")
        self.store.activate(
            signed, [uuid_of(1), uuid_of(2)], event, admits=lambda collection_id, held: True, withdraw={}
        )
        self.log(event)
        return signed

    def publish(
        self, *candidates: Candidate, on: int = 1, log: bool = True, marks: Sequence[MarkingSet] = ()
    ) -> None:
        """Publish as Alice; without `marks` each object says no more than its level."""
        event = self.event("publish")
        status_id = uuid_of(1000 + self.requests)

        def status(outcome: PublishOutcome) -> bytes:
            return orjson.dumps({"id": status_id, "total_count": len(outcome.items)})

        sets = tuple(marks) or tuple(MarkingSet(one.level) for one in candidates)
        request = PublishRequest(
            grant(self.store, on=on), candidates, sets, status_id, status, lambda _: event, START
        )
        self.store.publish(request).result(WAIT)
        if log:
            self.log(event)

    def withdraw(self, name: str, filters: Filters = ALL) -> None:
        """Withdraw as Alice."""
        event = self.event("withdraw")
        request = WithdrawRequest(
            grant(self.store), name, filters, WithdrawReason.PUBLISHER, lambda _: event, START
        )
        self.store.withdraw(request).result(WAIT)
        self.log(event)

    def close(self) -> None:
        """Close both."""
        self.store.close()
        self.access.close()


def make_hub(data_dir: Path) -> None:
    """Make a hub: two agreement versions, versions, withdrawals, one added again, a pending event."""
    hub = DiskHub(data_dir)
    first = hub.activate(1, "")
    hub.publish(*(stix(number) for number in range(1, 6)))
    hub.publish(
        stix(1, "2026-02-01T00:00:00Z"),
        stix(1, "2026-03-01T00:00:00Z"),
        stix(2, spec="2.0", version="2026-02-02T00:00:00Z"),
    )
    hub.publish(*(stix(number, "") for number in range(20, 24)))
    hub.publish(*(stix(number, name="x" * 300) for number in range(100, 700)), on=2)
    hub.withdraw(object_id(4))
    hub.withdraw(object_id(5))
    hub.publish(stix(5))
    hub.activate(2, first.digest)
    minted = credential()
    event = hub.event("credential-mint", minted.name)
    hub.store.put_credential(minted, event)
    hub.log(event)
    hub.publish(stix(9), log=False)  # its event stays pending, as after a crash
    hub.close()


def damage(path: Path, *statements: str) -> None:
    """Run SQL on a closed data file, as somebody with a shell would."""
    conn = apsw.Connection(str(path))
    try:
        for statement in statements:
            conn.execute(statement)
        conn.pragma("wal_checkpoint", "truncate")
    finally:
        conn.close()


def findings(data_dir: Path) -> Sequence[str]:
    """Return what fsck finds, one text each."""
    return [f"{one.where}: {one.what}" for one in fsck(data_dir).findings]
