"""What tests of the store share: a clock set by hand, small objects, and short ways to ask the ports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Protocol
from uuid import UUID, uuid4

import orjson

from lightship.core.access import Action, Credential, Grant, Principal, System
from lightship.core.audit import AccessEvent
from lightship.core.collection import (
    Candidate,
    Collection,
    CollectionSettings,
    Level,
    WithdrawReason,
    stamp_of,
)
from lightship.core.ids import type_of
from lightship.core.marks import MarkingSet
from lightship.core.ports import (
    ExpireRequest,
    HeldSet,
    Published,
    PublishOutcome,
    PublishRequest,
    Reader,
    Registry,
    ReleaseRequest,
    Row,
    SignedAgreement,
    Signing,
    Statuses,
    Withdrawn,
    WithdrawRequest,
    Writer,
)
from lightship.core.query import DEFAULT_FILTERS, Filters, Query, Versions
from lightship.core.time import Instant, Micros, parse_instant
from lightship.storage.statements import Statement

START = Micros(1_790_000_000_000_000)
SECOND = 1_000_000
WAIT = 30
"""Seconds that a test waits for a future before it fails."""
EVERY = Versions(last=False, every=True)
FIRST = Versions(last=False, first=True)
ALL = Filters(versions=EVERY, spec_versions=("2.0", "2.1"))
ALICE, BOB = "uslax", "uslgb"


class HubStore(Reader, Writer, Statuses, Registry, Signing, Protocol):
    """All ports of the store, and the statement rows."""

    def statements(self, collection: int, start: int = 0) -> list[Statement]: ...

    def close(self) -> None: ...


class HandClock:
    """A clock that moves when told to. `ticks` are added to the wall clock call by call, while they last."""

    def __init__(self, start: Micros = START) -> None:
        self.wall: int = start
        self.steady = 5_000_000
        self.ticks: list[int] = []

    def now(self) -> Micros:
        """Return the wall clock."""
        if self.ticks:
            self.advance(self.ticks.pop(0))
        return Micros(self.wall)

    def monotonic(self) -> Micros:
        """Return the clock that never goes back."""
        return Micros(self.steady)

    def advance(self, micros: int) -> None:
        """Let time pass."""
        self.wall += micros
        self.steady += micros

    def jump(self, micros: int) -> None:
        """Set the wall clock forward or back without time passing."""
        self.wall += micros


def uuid_of(number: int) -> str:
    """Return a fixed UUIDv4."""
    return str(UUID(int=number, version=4))


def object_id(number: int, type_name: str = "indicator") -> str:
    """Return a fixed STIX id."""
    return f"{type_name}--{uuid_of(number)}"


def collection(
    number: int = 1, settings: CollectionSettings | None = None, agreement: str = "exercise"
) -> Collection:
    """Return the fixed collection of a number."""
    return Collection(
        number=number,
        id=uuid_of(number),
        agreement=agreement,
        alias=f"c{number}",
        title=f"Collection {number}",
        description="",
        ceiling=Level.RED,
        audience=frozenset({ALICE, BOB}),
        publishers=frozenset({ALICE, BOB}),
        settings=settings or CollectionSettings(),
    )


def principal(member: str = ALICE, credential: str = "", agreement: str = "exercise") -> Principal:
    """Return a client of a member."""
    return Principal(agreement, member, credential or f"cred-{member}", f"{member}-tool")


def grant(
    store: Registry,
    member: str | None = ALICE,
    *,
    on: int | Collection = 1,
    epoch: int | None = None,
    credential: str = "",
) -> Grant:
    """Return a positive decision of now; `member` None is the hub itself."""
    where = on if isinstance(on, Collection) else collection(on)
    who = System("test") if member is None else principal(member, credential)
    return Grant(who, Action.READ, where, store.epoch() if epoch is None else epoch)


def event(req: str = "") -> AccessEvent:
    """Return an access event."""
    return AccessEvent(req or uuid4().hex, START, "test")


def signed(version: int = 1, agreement: str = "exercise") -> SignedAgreement:
    """Return a version of an agreement."""
    payload = orjson.dumps({"id": agreement, "members": {}, "version": version})
    return SignedAgreement(agreement, version, payload, b"{}", sha256(payload).hexdigest(), START)


def activate(
    store: Registry,
    *numbers: int,
    version: int = 1,
    agreement: str = "exercise",
    admits: Callable[[str, HeldSet], bool] = lambda collection_id, held: True,
    withdraw: Mapping[int, Sequence[str]] | None = None,
    req: str = "",
) -> None:
    """Bring an agreement version in force with the collections of these numbers."""
    store.activate(
        signed(version, agreement),
        [uuid_of(number) for number in numbers],
        event(req),
        admits=admits,
        withdraw={uuid_of(number): ids for number, ids in (withdraw or {}).items()},
    )


def candidate(
    number: int = 1,
    version: str = "2026-01-01T00:00:00Z",
    *,
    content: str = "",
    type_name: str = "indicator",
    spec: str = "2.1",
    owned: bool = True,
    size: int = 0,
) -> Candidate:
    """Return an object of a fixed id; `version` empty makes an observable."""
    name = object_id(number, type_name)
    body = orjson.dumps({"content": content, "id": name, "version": version, "x": "x" * size})
    return Candidate(
        position=0,
        id=name,
        type=type_of(name),
        spec_version="2.0" if spec == "2.0" else "2.1",
        version=parse_instant(version) if version else Instant(""),
        version_text=version,
        digest=sha256(body).digest(),
        body=body,
        owned=owned,
    )


def render_status(outcome: PublishOutcome) -> bytes:
    """Return a status that tells verdicts and stamps."""
    return orjson.dumps([[str(item.verdict), item.stamp] for item in outcome.items])


def publishing(
    allowed: Grant,
    candidates: Iterable[Candidate],
    *,
    marks: Sequence[MarkingSet] = (),
    status_id: str = "",
    req: str = "",
    now: Micros = START,
) -> PublishRequest:
    """Return a request; without `marks` each object says no more than its level."""
    made = event(req)
    posted = tuple(candidates)
    return PublishRequest(
        grant=allowed,
        candidates=posted,
        marks=tuple(marks) or tuple(MarkingSet(one.level) for one in posted),
        status_id=status_id or str(uuid4()),
        render_status=render_status,
        render_event=lambda outcome: AccessEvent(
            made.req,
            START,
            "publish",
            n=len(outcome.items),
            first=outcome.added_first,
            last=outcome.added_last,
        ),
        now=now,
    )


def publish(
    store: HubStore,
    *candidates: Candidate,
    member: str | None = ALICE,
    on: int | Collection = 1,
    marks: Sequence[MarkingSet] = (),
    status_id: str = "",
    req: str = "",
    now: Micros = START,
) -> Published:
    """Publish and wait."""
    request = publishing(
        grant(store, member, on=on), candidates, marks=marks, status_id=status_id, req=req, now=now
    )
    return store.publish(request).result(WAIT)


def withdrawing(
    allowed: Grant,
    name: str,
    filters: Filters = ALL,
    *,
    reason: WithdrawReason = WithdrawReason.PUBLISHER,
    req: str = "",
    staged_only: bool = False,
) -> WithdrawRequest:
    """Return a request."""
    made = event(req)
    return WithdrawRequest(
        grant=allowed,
        object_id=name,
        filters=filters,
        reason=reason,
        render_event=lambda rows: AccessEvent(made.req, START, "withdraw", n=len(rows)),
        now=START,
        staged_only=staged_only,
    )


def releasing(
    allowed: Grant,
    owner: str,
    numbers: Iterable[int],
    refused: Mapping[int, str] | None = None,
    *,
    now: Micros,
    req: str = "",
) -> ReleaseRequest:
    """Return a request."""
    made = event(req)
    return ReleaseRequest(
        grant=allowed,
        owner=owner,
        numbers=tuple(numbers),
        refused=refused or {},
        render_event=lambda outcome, failed: AccessEvent(
            made.req, START, "release", n=len(outcome.items) + len(failed)
        ),
        now=now,
    )


def expiring(
    allowed: Grant, *, now: Micros, added_before: Micros | None = None, limit: int = 100, req: str = ""
) -> ExpireRequest:
    """Return a request."""
    made = event(req)
    return ExpireRequest(
        grant=allowed,
        added_before=added_before,
        now=now,
        limit=limit,
        render_event=lambda rows: AccessEvent(made.req, START, "expire", n=len(rows)),
    )


def withdraw(
    store: HubStore,
    name: str,
    filters: Filters = ALL,
    *,
    member: str | None = ALICE,
    on: int | Collection = 1,
    reason: WithdrawReason = WithdrawReason.PUBLISHER,
) -> Withdrawn:
    """Withdraw and wait."""
    request = withdrawing(grant(store, member, on=on), name, filters, reason=reason)
    return store.withdraw(request).result(WAIT)


def pull(store: HubStore, filters: Filters = DEFAULT_FILTERS, *, on: int = 1, limit: int = 1000) -> list[Row]:
    """Return all rows, page by page; each page with `more` must hold something."""
    rows: list[Row] = []
    after = Micros(-1)
    while True:
        page = store.page(grant(store, on=on), Query(filters, after, limit), bodies=True, max_bytes=1 << 24)
        rows += page.rows
        if not page.more:
            return rows
        assert page.rows, "an empty page that says there is more"
        after = stamp_of(page.rows[-1].key)


def shown(store: HubStore, filters: Filters = DEFAULT_FILTERS, *, on: int = 1) -> list[tuple[str, str]]:
    """Return (id, version) of all rows, in order."""
    return [(row.id, row.version_text) for row in pull(store, filters, on=on)]


def credential(name: str = "splunk", number: int = 1, *, agreement: str = "exercise") -> Credential:
    """Return a credential with a digest of its own."""
    digest = sha256(f"{number}".encode()).digest()
    return Credential(uuid_of(number), agreement, ALICE, name, digest, START, None)


def check_statements(store: HubStore, number: int) -> list[Statement]:
    """Check the statement rows of a collection against its live rows and counters; return them.

    Indexes have no gaps, stamps rise, every live row's stamp follows from the statement that added it.
    """
    rows = store.statements(number)
    state = store.state(grant(store, on=number))
    assert [row.idx for row in rows] == list(range(state.size))
    assert all(row.collection == number for row in rows)
    before = 0
    named: dict[int, tuple[str, str]] = {}
    for row in rows:
        body = orjson.loads(row.body)
        entries: Sequence[list[str]] = body["add"] or body["withdraw"] if "add" in body else [["", ""]]
        assert 1 <= len(entries) <= 256
        assert len(row.body) <= 45_000
        assert row.at - len(entries) >= before
        if body.get("add"):
            for index, (name, version, _) in enumerate(entries):
                named[row.at - (len(entries) - 1 - index)] = (name, version)
        before = row.at
    live = pull(store, ALL, on=number)
    assert all(named[stamp_of(row.key)] == (row.id, row.version_text) for row in live)
    assert state.objects == len(live)
    assert state.stored_bytes == sum(len(row.body) for row in live)
    return rows
