"""The store in memory: the same contract as the embedded one, for tests and as its oracle.

Written for plainness: it looks at everything on each call. Durable only as long as the process lives.
Several stores share nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from threading import RLock
from typing import TypeVar

from lightship.core.access import Credential, CredentialKind, Grant, Principal
from lightship.core.audit import AccessEvent
from lightship.core.collection import stamp_of
from lightship.core.errors import NotFound
from lightship.core.log.merkle import Frontier, append, leaf_hash, root_of
from lightship.core.log.roster import Revoked
from lightship.core.marks import Definition
from lightship.core.ports import (
    Clock,
    CollectionState,
    Expired,
    ExpireRequest,
    HeldSet,
    Holding,
    KeyTrace,
    Logged,
    Page,
    Published,
    PublishRequest,
    Released,
    ReleaseRequest,
    Row,
    SignedAgreement,
    SignedRequest,
    SignedSuspension,
    Staged,
    StoredRoster,
    Withdrawn,
    WithdrawRequest,
)
from lightship.core.query import Filters, Query
from lightship.core.time import MAX_MICROS, Micros
from lightship.storage import memory_registry, memory_signed, memory_writes
from lightship.storage.leaves import leaf_of
from lightship.storage.memory_rows import MemoryCollection, MemoryObject, holding, matches, waiting
from lightship.storage.memory_state import MemoryState, definitions, held_sets
from lightship.storage.sqlite.access_tree import Sealer
from lightship.storage.sqlite.collection_vouch import log_origin
from lightship.storage.statements import Statement

T = TypeVar("T")


class MemoryStore:
    """The ports of the store, `Logs` too, in memory; may be called from several threads."""

    def __init__(self, clock: Clock, sealer: Sealer | None = None) -> None:
        self._sealer = sealer
        self._state = MemoryState(clock, (clock.now(), clock.monotonic()))
        self._lock = RLock()

    def close(self) -> None:
        """Nothing is held open."""

    # --- Reader ---------------------------------------------------------------------------------

    def state(self, grant: Grant) -> CollectionState:
        """Return what every request reads; zeros for a collection that was never activated."""
        with self._lock:
            held = self._state.collections.get(grant.collection.number)
            if held is None:
                return CollectionState(self._state.epoch, 0, 0, Micros(0), 0, 0)
            size = sum(len(one.candidate.body) for one in held.live)
            return CollectionState(
                self._state.epoch,
                held.generation,
                len(held.statements),
                held.last_added,
                len(held.live),
                size,
            )

    def page(self, grant: Grant, query: Query, *, bodies: bool, max_bytes: int) -> Page:
        """Return matching rows in key order."""
        with self._lock:
            found = self._matching(grant.collection.number, query.filters, query.after)
            rows: list[Row] = []
            used = 0
            for one in found[: max(query.limit, 1)]:
                used += len(one.candidate.body) if bodies else 0
                if rows and used > max_bytes:
                    break
                rows.append(one.row(body=bodies))
            return Page(tuple(rows), len(rows) < len(found))

    def first_after(self, grant: Grant, filters: Filters, after: Micros) -> int | None:
        """Return the first matching key after `after`."""
        with self._lock:
            found = self._matching(grant.collection.number, filters, after)
            return found[0].key if found else None

    def dropped_since(self, grant: Grant, generation: int) -> Sequence[int] | None:
        """Return the keys whose visibility changed after `generation`; None if that is too long ago."""
        with self._lock:
            held = self._state.collections.get(grant.collection.number)
            current = held.generation if held else 0
            keys = [key for at, key in held.dropped if at > generation] if held else []
            return keys if len(keys) == current - generation else None

    def exists(self, grant: Grant, object_id: str) -> bool:
        """True if any live version of the object is in the collection."""
        with self._lock:
            held = self._state.collections.get(grant.collection.number)
            return held is not None and bool(held.of(object_id))

    def added(self, grant: Grant, object_id: str) -> Sequence[tuple[Micros, Micros | None]]:
        """Return (date_added, when withdrawn or None) of every version of an object."""
        with self._lock:
            held = self._state.collections.get(grant.collection.number)
            if held is None:
                return []
            found: list[tuple[Micros, Micros | None]] = [
                (stamp_of(one.key), None) for one in held.of(object_id)
            ]
            found += [(one.added, one.at) for (id_, _), one in held.withdrawn.items() if id_ == object_id]
            return sorted(found, key=lambda pair: pair[0])

    def definitions(
        self, grant: Grant, collections: Sequence[int], ids: Sequence[str]
    ) -> Sequence[Definition]:
        """Return the marking definitions with these ids that these collections hold, live or staged."""
        with self._lock:
            known = self._state.collections
            found = [
                one for number in set(collections) & known.keys() for one in definitions(known[number], ids)
            ]
            return sorted(found, key=lambda one: (one.id, one.collection, one.owner))

    def held_sets(self, grant: Grant) -> Sequence[HeldSet]:
        """Return what the collection holds, by marking set and owner."""
        with self._lock:
            held = self._state.collections.get(grant.collection.number)
            return held_sets(held) if held else []

    def holding(
        self,
        grant: Grant,
        sets: Sequence[HeldSet],
        limit: int,
        *,
        without: Collection[str] = (),
        staged_of: str = "",
    ) -> Holding:
        """Return how many versions of these sets and owners there are, and some of them."""
        with self._lock:
            held = self._state.collections.get(grant.collection.number)
            found = holding(held, sets, frozenset(without), staged_of) if held else []
            return Holding(len(found), tuple(found[: max(limit, 0)]))

    def staged(self, grant: Grant, owner: str) -> Sequence[Staged]:
        """Return what an owner ('' for all) has waiting."""
        with self._lock:
            held = self._state.collections.get(grant.collection.number)
            return waiting(held, owner) if held else []

    def due(self, grant: Grant, now: Micros, *, failed: bool, after: int, limit: int) -> Sequence[Staged]:
        """Return staged objects whose release is not after `now`, by number."""
        with self._lock:
            held = self._state.collections.get(grant.collection.number)
            found = [
                one
                for one in (held.staged if held else ())
                if one.release_at <= now and one.number > after and (failed or not one.problem)
            ]
            return sorted(found, key=lambda one: one.number)[:limit]

    def next_due(self, grants: Sequence[Grant], after: Micros) -> Micros | None:
        """Return the earliest moment after `after` at which something becomes due."""
        with self._lock:
            found: list[Micros] = []
            for grant in grants:
                if held := self._state.collections.get(grant.collection.number):
                    found += [one.release_at for one in held.staged if not one.problem]
                    found += [one.marks.share_until for one in held.live if one.marks.share_until is not None]
            return min((one for one in found if one > after), default=None)

    def statements(self, collection: int, start: int = 0) -> list[Statement]:
        """Return the statement rows of a collection from index `start`."""
        with self._lock:
            held = self._state.collections.get(collection)
            return held.statements[start:] if held else []

    # --- Logs -----------------------------------------------------------------------------------

    def checkpoint(self, grant: Grant) -> bytes:
        """Return the newest checkpoint as a signed note."""
        tree, _ = append(Frontier(), [leaf_hash(one) for one in self.entries(grant, 0, MAX_MICROS)])
        if self._sealer is None or not tree.size:
            raise NotFound("This collection has no signed log yet")
        return self._sealer.checkpoint(log_origin(self._sealer.host, grant.collection.id), tree)

    def entries(self, grant: Grant, first: int, count: int) -> Sequence[bytes]:
        """Return leaves from index `first` on, fewer if there are not so many."""
        found = self.statements(grant.collection.number)[first : first + count]
        return [leaf_of(one.at, one.by, one.agreement, one.body, one.signatures) for one in found]

    def hashes(self, grant: Grant, level: int, first: int, count: int) -> Sequence[bytes]:
        """Return hashes of whole subtrees of a level, a multiple of 8; fewer if there are not so many."""
        leaves = [leaf_hash(one) for one in self.entries(grant, 0, MAX_MICROS)]
        ends = range((first + 1) << level, min(len(leaves), (first + count) << level) + 1, 1 << level)
        return [root_of(leaves[end - (1 << level) : end]) for end in ends]

    def _matching(self, number: int, filters: Filters, after: Micros) -> list[MemoryObject]:
        held = self._state.collections.get(number)
        if held is None:
            return []
        by_id: dict[str, list[MemoryObject]] = {}
        for one in held.live:
            by_id.setdefault(one.candidate.id, []).append(one)
        floor = min(max(after, 0), MAX_MICROS)
        return [
            one
            for one in sorted(held.live, key=lambda one: one.key)
            if stamp_of(one.key) > floor and matches(one, by_id[one.candidate.id], filters)
        ]

    # --- Writer ---------------------------------------------------------------------------------

    def publish(self, request: PublishRequest) -> Future[Published]:
        """Judge and add objects."""
        return self._done(lambda: memory_writes.publish(self._state, request))

    def withdraw(self, request: WithdrawRequest) -> Future[Withdrawn]:
        """Take versions of one object out."""
        return self._done(lambda: memory_writes.withdraw(self._state, request))

    def release(self, request: ReleaseRequest) -> Future[Released]:
        """Let staged objects enter."""
        return self._done(lambda: memory_writes.release(self._state, request))

    def expire(self, request: ExpireRequest) -> Future[Expired]:
        """Take out what is due."""
        return self._done(lambda: memory_writes.expire(self._state, request))

    def settle(self, reqs: Iterable[str]) -> None:
        """Forget pending events."""
        with self._lock:
            for req in reqs:
                self._state.pending.pop(req, None)

    def pending(self) -> Sequence[AccessEvent]:
        """Return the events that nobody settled."""
        with self._lock:
            return list(self._state.pending.values())

    def _done(self, work: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)
        return future

    # --- Statuses and Registry ------------------------------------------------------------------

    def status(self, principal: Principal, status_id: str) -> bytes | None:
        """Return the status of this credential's own post."""
        with self._lock:
            owner, body = self._state.statuses.get(status_id, (None, b""))
            if owner is None:
                return None
            mine = (owner.agreement, owner.credential) == (principal.agreement, principal.credential)
            return body if mine else None

    def epoch(self) -> int:
        """Return the policy epoch."""
        with self._lock:
            return self._state.epoch

    def chain(self, agreement: str) -> Sequence[SignedAgreement]:
        """Return all versions of an agreement, oldest first."""
        with self._lock:
            return tuple(self._state.chains.get(agreement, ()))

    def agreement_ids(self) -> Sequence[str]:
        """Return the ids of all agreements, sorted."""
        with self._lock:
            return sorted(self._state.chains)

    def collection_numbers(self) -> Mapping[str, int]:
        """Return collection id -> number."""
        with self._lock:
            return {one.id: one.number for one in self._state.collections.values()}

    def activate(
        self,
        signed: SignedAgreement,
        collections: Sequence[str],
        event: AccessEvent,
        *,
        admits: Callable[[str, HeldSet], bool],
        withdraw: Mapping[str, Sequence[str]],
    ) -> None:
        """Append a version to its chain and log it in each collection of the agreement."""
        with self._lock:
            memory_registry.activate(self._state, signed, collections, admits, withdraw)
            self._changed(event)

    def suspensions(self, agreement: str) -> Sequence[SignedSuspension]:
        """Return all suspensions of an agreement and what ended them early, by number."""
        with self._lock:
            return tuple(self._state.suspensions.get(agreement, ()))

    def suspend(self, signed: SignedSuspension, event: AccessEvent) -> None:
        """Append to an agreement's suspensions and log it in each of its collections."""
        with self._lock:
            memory_writes.suspend(self._state, signed)
            self._changed(event)

    def credential_by_digest(self, digest: bytes, kind: CredentialKind = "secret") -> Credential | None:
        """Return the credential of this kind with this digest."""
        with self._lock:
            held = self._state.credentials.values()
            return next((one for one in held if (one.digest, one.kind) == (digest, kind)), None)

    def credentials(self, agreement: str | None = None) -> Sequence[Credential]:
        """Return credentials in order of their names."""
        with self._lock:
            held = self._state.credentials.values()
            found = [one for one in held if agreement is None or one.agreement == agreement]
            return sorted(found, key=lambda one: one.name)

    def put_credential(self, credential: Credential, event: AccessEvent) -> None:
        """Insert, or replace by id."""
        with self._lock:
            self._state.put_credential(credential)
            self._changed(event)

    # --- Signing --------------------------------------------------------------------------------

    def publish_signed(self, request: SignedRequest) -> Future[Logged]:
        """Take a signed statement whole, or not at all."""
        return self._done(lambda: memory_signed.publish(self._state, request))

    def logged(self, grant: Grant, digest: str) -> Logged | None:
        """Return what was answered to a payload that is in the log."""
        with self._lock:
            held = self._state.collections.get(grant.collection.number)
            return held.signed.get(digest) if held is not None else None

    def rosters(self, agreement: str) -> Sequence[StoredRoster]:
        """Return all rosters of an agreement's members, in the order in which they were applied."""
        with self._lock:
            return tuple(self._state.rosters.get(agreement, ()))

    def apply_roster(
        self, roster: StoredRoster, event: AccessEvent, distrust: Mapping[str, Revoked]
    ) -> Mapping[str, int]:
        """Put a roster in force, and take out what it distrusts."""
        with self._lock:
            gone = memory_signed.apply_roster(self._state, roster, distrust, self._origin)
            self._changed(event)
            return gone

    def trace(self, agreement: str, key: str) -> Sequence[KeyTrace]:
        """Return what a publish key has logged, for each collection that the agreement ever had."""
        with self._lock:
            return memory_signed.trace(self._state, agreement, key, self._origin)

    def _origin(self, held: MemoryCollection) -> str:
        """Return the name of a collection's log, empty where nothing is signed."""
        return log_origin(self._sealer.host, held.id) if self._sealer and held.statements else ""

    def _changed(self, event: AccessEvent) -> None:
        self._state.epoch += 1
        self._state.note(event)
