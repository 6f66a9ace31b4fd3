"""The embedded store against the store in memory, step by step: they must never be told apart.

Stamps may differ by rounding (several requests share a transaction in one of them), so rows are compared by
their names: the n-th row that was ever added under an id and version.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lightship.core import dsse
from lightship.core.access import Grant
from lightship.core.collection import (
    Candidate,
    Collection,
    CollectionSettings,
    Level,
    Verdict,
    WithdrawReason,
    pack,
    stamp_of,
)
from lightship.core.errors import LightshipError
from lightship.core.log import statement
from lightship.core.log.roster import Revoked
from lightship.core.log.statement import Add, Statement, Withdrawal
from lightship.core.marks import Cited, MarkingSet
from lightship.core.ports import (
    EpochChanged,
    Expired,
    HeldSet,
    InUse,
    Logged,
    NotOwner,
    NotTaken,
    Published,
    Released,
    SignedRequest,
    StoredRoster,
    Withdrawn,
    WouldBreak,
)
from lightship.core.query import Filters, Query, Versions
from lightship.core.time import Micros, format_stamp, parse_instant
from lightship.storage.memory import MemoryStore
from lightship.storage.sqlite import held as held_reads
from lightship.storage.sqlite import reader, streams, transaction
from lightship.storage.sqlite.store import open_store
from storekit import (
    ALICE,
    BOB,
    SECOND,
    START,
    WAIT,
    HandClock,
    HubStore,
    activate,
    candidate,
    check_statements,
    collection,
    credential,
    event,
    expiring,
    grant,
    object_id,
    publishing,
    releasing,
    uuid_of,
    withdrawing,
)

VERSIONS = [f"2026-0{month}-01T00:00:00{digits}Z" for month in (1, 2) for digits in ("", ".5", ".000")]
TYPES = ["indicator", "malware", "ipv4-addr", "marking-definition"]
Name = tuple[int, str, str, int]
Send = Callable[[HubStore, Micros], Future[Any]]
DEFINITIONS = [
    candidate(number, VERSIONS[0], content=content, type_name="marking-definition", owned=False)
    for number in (0, 1)
    for content in ("", "other")
]

KEYS = ["a" * 64, "b" * 64]
numbers = st.integers(1, 2)
objects = st.tuples(st.integers(0, 2), st.sampled_from(TYPES)).map(lambda pair: object_id(*pair))


@st.composite
def markings(draw: st.DrawFn) -> MarkingSet:
    """Most objects carry a level; some wait, end, or cite definitions that may be there."""
    if draw(st.booleans()):
        return MarkingSet(draw(st.sampled_from([None, Level.AMBER, Level.RED])))
    cited = draw(st.lists(st.sampled_from(DEFINITIONS), max_size=2, unique_by=lambda one: one.id))
    release_at = draw(st.sampled_from([None, None, 1, 3]))
    share_until = draw(st.sampled_from([None, None, 2, 5]))
    return MarkingSet(
        level=draw(st.sampled_from([None, Level.AMBER, Level.RED])),
        release_at=None if release_at is None else Micros(START + release_at * SECOND),
        share_until=None if share_until is None else Micros(START + share_until * SECOND),
        cites=tuple(sorted(Cited(one.id, one.digest) for one in cited)),
    )


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    kind = draw(st.sampled_from(TYPES))
    if kind == "marking-definition":
        return draw(st.sampled_from(DEFINITIONS))
    return candidate(
        draw(st.integers(0, 2)),
        "" if kind == "ipv4-addr" else draw(st.sampled_from(VERSIONS)),
        content=draw(st.sampled_from(["", "", "", "other"])),
        type_name=kind,
        spec=draw(st.sampled_from(["2.0", "2.1", "2.1"])),
        owned=kind == "indicator",
        size=draw(st.integers(0, 300)),
    )


@st.composite
def filters(draw: st.DrawFn) -> Filters:
    instants = draw(st.sets(st.sampled_from(VERSIONS).map(parse_instant), max_size=2))
    versions = Versions(draw(st.booleans()), draw(st.booleans()), draw(st.booleans()), frozenset(instants))
    if not (versions.last or versions.first or versions.every or versions.instants):
        versions = Versions()
    return Filters(
        ids=tuple(sorted(draw(st.sets(objects, max_size=3)))),
        types=tuple(sorted(draw(st.sets(st.sampled_from([*TYPES, "tool"]), max_size=2)))),
        versions=draw(st.sampled_from([versions, Versions()])),
        spec_versions=draw(st.sampled_from([(), (), ("2.0",), ("2.1",), ("2.0", "2.1")])),
    )


@st.composite
def requests(draw: st.DrawFn) -> tuple[int, Send]:
    """Draw a write that can be sent to any store, and the collection it goes to."""
    number, member = draw(numbers), draw(st.sampled_from([ALICE, ALICE, BOB, None]))
    quota = draw(st.sampled_from([None, None, None, 3]))
    where: Collection = collection(number, CollectionSettings(max_objects=quota))
    late = draw(st.sampled_from([0, 0, 0, 0, 0, 1]))
    tag = draw(st.uuids(version=4)).hex

    def allowed(store: HubStore, who: str | None) -> Grant:
        return grant(store, who, on=where, epoch=store.epoch() - late)

    kind = draw(st.sampled_from(["publish", "publish", "publish", "withdraw", "release", "expire"]))
    if kind == "publish":
        posted = draw(st.lists(candidates(), max_size=5))
        marks = draw(st.lists(markings(), min_size=len(posted), max_size=len(posted)))
        return number, lambda store, now: store.publish(
            publishing(allowed(store, member), posted, marks=marks, status_id=tag, req=tag, now=now)
        )
    if kind == "release":
        owner = draw(st.sampled_from([ALICE, BOB]))
        which = draw(st.sets(st.integers(1, 12), max_size=8))
        refused = dict.fromkeys(draw(st.sets(st.integers(1, 12), max_size=1)), "no")
        return number, lambda store, now: store.release(
            releasing(allowed(store, None), owner, which - refused.keys(), refused, now=now, req=tag)
        )
    if kind == "expire":
        limit = draw(st.integers(1, 5))
        return number, lambda store, now: store.expire(
            expiring(allowed(store, None), now=now, limit=limit, req=tag)
        )
    name, picked = draw(objects), draw(filters())
    reason = draw(st.sampled_from(WithdrawReason))
    staged_only = draw(st.sampled_from([False, False, True]))
    return number, lambda store, now: store.withdraw(
        withdrawing(allowed(store, member), name, picked, reason=reason, req=tag, staged_only=staged_only)
    )


class Side:
    """One of the two stores, and the names of all rows that it ever had."""

    def __init__(self, store: HubStore) -> None:
        self.store = store
        self.names: dict[int, Name] = {}
        self.counts: dict[tuple[int, str, str], int] = {}

    def answer(self, number: int, future: Future[Any]) -> object:
        """Return what a write came to, by names."""
        try:
            done = future.result(WAIT)
        except NotTaken as error:
            return [item.verdict for item in error.items], error.withdrawals
        except (LightshipError, EpochChanged, NotOwner, InUse) as error:
            return type(error), getattr(error, "rule", "")
        if isinstance(done, Withdrawn):
            assert not any(row.key for row in done.cancelled)
            return [self.names[row.key] for row in done.rows], done.cancelled
        if isinstance(done, Expired):
            return [self.names[row.key] for row in done.rows], done.more, done.event
        assert isinstance(done, Published | Released | Logged)
        items = done.items if isinstance(done, Logged) else done.outcome.items
        for item in items:
            if item.verdict is Verdict.ADD:
                identity = (number, item.candidate.id, item.candidate.version)
                self.counts[identity] = self.counts.get(identity, 0) + 1
                self.names[pack(number, item.stamp)] = (*identity, self.counts[identity])
        told = [
            (item.verdict, self.names[pack(number, item.stamp)] if item.stamp else None) for item in items
        ]
        if isinstance(done, Logged):
            return told, done.index, done.event is None
        return (told, done.failed, done.event is None) if isinstance(done, Released) else told


class Twins(RuleBasedStateMachine):
    """Sends the same to both stores."""

    def __init__(self) -> None:
        super().__init__()
        self.dir = Path(tempfile.mkdtemp(prefix="twin-"))
        self.clock = HandClock()
        self.sides = (Side(MemoryStore(self.clock)), Side(open_store(self.dir, self.clock)))
        self.agreement = self.rosters = 0
        self.chains: dict[tuple[int, str], tuple[int, str]] = {}

    def teardown(self) -> None:
        for side in self.sides:
            side.store.close()
        shutil.rmtree(self.dir)

    def same(self, ask: Callable[[Side], object]) -> Any:
        answers = [ask(side) for side in self.sides]
        assert answers[0] == answers[1]
        return answers[0]

    @initialize()
    def begin(self) -> None:
        self.activate()

    @rule(micros=st.sampled_from([0, 1, 999, 5_000, 2_000_000]))
    def time_passes(self, micros: int) -> None:
        self.clock.advance(micros)

    @rule(sent=st.lists(requests(), min_size=1, max_size=6))
    def writes_at_once(self, sent: list[tuple[int, Send]]) -> None:
        def write(side: Side) -> list[object]:
            futures = [(number, send(side.store, self.clock.now())) for number, send in sent]
            return [side.answer(number, future) for number, future in futures]

        self.same(write)

    @rule(
        place=st.tuples(numbers, st.sampled_from(KEYS), st.sampled_from([ALICE, BOB])),
        posted=st.lists(candidates(), max_size=3),
        gone=st.lists(st.tuples(objects, st.sampled_from([*VERSIONS, ""])), max_size=3),
        expired=st.booleans(),
        quota=st.sampled_from([None, None, 3]),
        skips=st.sampled_from([0, 0, 0, 0, 1, -1]),
        data=st.data(),
    )
    def signs(
        self,
        place: tuple[int, str, str],
        posted: list[Candidate],
        gone: list[tuple[str, str]],
        expired: bool,
        quota: int | None,
        skips: int,
        data: st.DataObject,
    ) -> None:
        """A statement in its form: nothing in it is named twice."""
        number, key, member = place
        adds = {(one.id, one.version): one for one in posted}
        reason = WithdrawReason.EXPIRED if expired else WithdrawReason.PUBLISHER
        left = {(name, parse_instant(text) if text else ""): (name, text) for name, text in gone}
        withdrawn = [Withdrawal(*pair, reason) for at, pair in left.items() if at not in adds]
        if not adds and not withdrawn:
            return
        seq, prev = self.chains.get((number, key), (0, ""))
        listed = tuple(Add(one.id, one.version_text, one.digest.hex()) for one in adds.values())
        if seq + 1 + skips < 1:
            return
        made = Statement(
            *(uuid_of(number), "c" * 64, key, seq + 1 + skips),
            prev if seq + skips else "",
            listed,
            tuple(withdrawn),
        )
        envelope = dsse.Envelope(statement.PAYLOAD_TYPE, made.payload(), (dsse.Signature(key, b"s"),))
        marks = data.draw(st.lists(markings(), min_size=len(adds), max_size=len(adds)))
        tag = data.draw(st.uuids(version=4)).hex
        candidates_ = [one._replace(position=at) for at, one in enumerate(adds.values())]
        where = collection(number, CollectionSettings(max_objects=quota))

        def sign(side: Side) -> object:
            asked = publishing(
                *(grant(side.store, member, on=where), candidates_),
                marks=marks,
                status_id=tag,
                req=tag,
                now=self.clock.now(),
            )
            return side.answer(number, side.store.publish_signed(SignedRequest(asked, made, envelope)))

        told = self.same(sign)
        if isinstance(told, tuple) and len(told) == 3 and not told[2]:
            self.chains[number, key] = made.seq, statement.digest_of(envelope.payload)

    @rule(key=st.sampled_from(KEYS), since=st.sampled_from([None, None, 0, 1, 3, 7]), stale=st.booleans())
    def a_roster_is_applied_and_may_distrust_a_key(self, key: str, since: int | None, stale: bool) -> None:
        version = self.rosters + (0 if stale else 1)
        digest = f"{version:064x}"
        one = StoredRoster("exercise", ALICE, version, digest, b"{}", self.agreement, "ed25519:x")
        distrust = {} if since is None else {key: Revoked("stolen", {"*": since})}

        def apply(side: Side) -> object:
            try:
                return dict(side.store.apply_roster(one, event("roster"), distrust))
            except LightshipError as error:
                return type(error)

        if isinstance(self.same(apply), dict):
            self.rosters = version

    @rule(key=st.sampled_from(KEYS))
    def asks_what_a_key_has_logged(self, key: str) -> None:
        def read(side: Side) -> object:
            found = side.store.trace("exercise", key)
            return [
                (one.collection, one.size, [(index, live) for index, _, live in one.statements])
                for one in found
            ]

        self.same(read)
        self.same(lambda side: list(side.store.rosters("exercise")))

    @rule(number=numbers, asked=filters(), limit=st.integers(1, 6), size=st.sampled_from([1, 900, 1 << 24]))
    def reads_page_by_page(self, number: int, asked: Filters, limit: int, size: int) -> None:
        def read(side: Side) -> list[object]:
            allowed = grant(side.store, on=number)
            seen: list[object] = []
            after = Micros(-1)
            for _ in range(200):
                first = side.store.first_after(allowed, asked, after)
                page = side.store.page(allowed, Query(asked, after, limit), bodies=True, max_bytes=size)
                assert first == (page.rows[0].key if page.rows else None)
                seen += [(side.names[row.key], row.spec_version, row.type, row.body) for row in page.rows]
                seen.append(page.more)
                if not page.more:
                    return seen
                after = stamp_of(page.rows[-1].key)
            raise AssertionError("no end of pages")

        self.same(read)

    @precondition(lambda self: self.sides[0].names)
    @rule(data=st.data(), asked=filters())
    def reads_by_date_added(self, data: st.DataObject, asked: Filters) -> None:
        name = data.draw(st.sampled_from(sorted(self.sides[0].names.values())))

        def read(side: Side) -> list[Name]:
            key = next(key for key, known in side.names.items() if known == name)
            versions = Versions(False, instants=frozenset({parse_instant(format_stamp(stamp_of(key)))}))
            query = Query(Filters(asked.ids, asked.types, versions, asked.spec_versions))
            page = side.store.page(grant(side.store, on=name[0]), query, bodies=False, max_bytes=1)
            return [side.names[row.key] for row in page.rows]

        self.same(read)

    @rule(number=numbers, back=st.integers(-2, 12))
    def asks_what_was_dropped(self, number: int, back: int) -> None:
        def read(side: Side) -> object:
            allowed = grant(side.store, on=number)
            since = side.store.state(allowed).generation - back
            keys = side.store.dropped_since(allowed, since) if since >= 0 else None
            return None if keys is None else [side.names[key] for key in keys]

        self.same(read)

    @rule(number=numbers, name=objects)
    def asks_whether_it_exists(self, number: int, name: str) -> None:
        self.same(lambda side: side.store.exists(grant(side.store, on=number), name))

    @rule()
    def activate(self) -> None:
        self.agreement += 1
        for side in self.sides:
            activate(side.store, 1, 2, version=self.agreement)

    @rule(
        red=st.booleans(),
        ordered=st.dictionaries(numbers, st.lists(objects, max_size=3), max_size=2),
    )
    def a_change_orders_objects_out_and_may_be_refused(
        self, red: bool, ordered: dict[int, list[str]]
    ) -> None:
        def change(side: Side) -> object:
            def admits(collection_id: str, held: HeldSet) -> bool:
                return red or held.marks.level is not Level.RED

            try:
                activate(side.store, 1, 2, version=self.agreement + 1, admits=admits, withdraw=ordered)
            except WouldBreak as error:
                return frozenset(error.held)
            except InUse:
                return "in use"
            return "done"

        if self.same(change) == "done":
            self.agreement += 1

    @precondition(lambda self: self.sides[0].names)
    @rule(data=st.data(), limit=st.integers(1, 6))
    def old_ones_are_withdrawn(self, data: st.DataObject, limit: int) -> None:
        """Retention until nothing is left to do; stamps are each store's own."""
        name = data.draw(st.sampled_from(sorted(self.sides[0].names.values())))

        def retain(side: Side) -> list[object]:
            key = next(key for key, known in side.names.items() if known == name)
            answers: list[object] = []
            for _ in range(100):
                allowed = grant(side.store, None, on=name[0])
                request = expiring(
                    allowed,
                    added_before=stamp_of(key),
                    now=self.clock.now(),
                    limit=limit,
                    req=f"{len(answers)}",
                )
                done = side.store.expire(request).result(WAIT)
                answers.append([side.names[row.key] for row in done.rows])
                if not done.more:
                    return answers
            raise AssertionError("no end of expiry")

        self.same(retain)

    @rule(number=numbers, after=st.integers(0, 12), failed=st.booleans(), limit=st.integers(1, 4))
    def asks_what_is_due(self, number: int, after: int, failed: bool, limit: int) -> None:
        now = self.clock.now()
        self.same(
            lambda side: list(
                side.store.due(grant(side.store, on=number), now, failed=failed, after=after, limit=limit)
            )
        )

    @rule(number=numbers, name=objects)
    def asks_when_it_was_there(self, number: int, name: str) -> None:
        self.same(lambda side: [gone for _, gone in side.store.added(grant(side.store, on=number), name)])

    @rule(name=st.sampled_from("ab"), number=st.integers(1, 3))
    def puts_a_credential(self, name: str, number: int) -> None:
        def put(side: Side) -> object:
            try:
                side.store.put_credential(credential(name, number), event(f"{name}{number}"))
            except LightshipError as error:
                return type(error)
            return side.store.credential_by_digest(credential(name, number).digest)

        self.same(put)

    @rule()
    def settles(self) -> None:
        """Settle what is pending; both forget it by their next write."""
        for side in self.sides:
            side.store.settle([one.req for one in side.store.pending()])
        self.activate()

    @invariant()
    def all_else_is_equal(self) -> None:
        self.same(lambda side: (side.store.epoch(), list(side.store.credentials())))
        self.same(lambda side: len(side.store.chain("exercise")))
        if not self.agreement:
            return
        for number in (1, 2):
            self.same(partial(summary, number=number))


def summary(side: Side, number: int) -> object:
    """Return statements and counters of a collection, without stamps."""
    rows = check_statements(side.store, number)
    state = side.store.state(grant(side.store, on=number))
    here = grant(side.store, on=number)
    held = side.store.held_sets(here)
    assert len(set(held)) == len(held)
    assert sum(one.live for one in held) == state.objects
    holding = [side.store.holding(here, [one], 1_000) for one in held]
    assert [some.total for some in holding] == [one.live + one.staged for one in held]
    assert [len(some.rows) for some in holding] == [one.live + one.staged for one in held]
    return (
        [(row.idx, row.by, row.agreement, row.body) for row in rows],
        (state.generation, state.objects, state.stored_bytes),
        frozenset(held),
        list(side.store.staged(here, "")),
        side.store.next_due([here], START),
        list(side.store.definitions(here, [1, 2], [one.id for one in DEFINITIONS])),
    )


BOUNDED = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_the_embedded_store_and_the_one_in_memory_cannot_be_told_apart() -> None:
    run_state_machine_as_test(Twins, settings=BOUNDED)


def test_nor_where_all_ids_of_all_collections_share_two_hash_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def colliding(number: int, name: str) -> int:
        return -(2**63) if name.endswith("1") else 2**63 - 1

    monkeypatch.setattr(reader, "idhash", colliding)
    monkeypatch.setattr(streams, "idhash", colliding)
    monkeypatch.setattr(transaction, "idhash", colliding)
    monkeypatch.setattr(held_reads, "idhash", colliding)
    run_state_machine_as_test(Twins, settings=BOUNDED)
