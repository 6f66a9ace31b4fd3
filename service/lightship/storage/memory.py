"""The store in memory: the same contract as the embedded one, for tests and as its oracle.

Written for plainness: it looks at everything on each call. Durable only as long as the process lives.
Several stores share nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from threading import RLock
from typing import TypeVar

from lightship.core import collection as rules
from lightship.core import stamps
from lightship.core.access import Credential, Grant, Principal
from lightship.core.audit import AccessEvent
from lightship.core.collection import Candidate, Verdict, pack, stamp_of
from lightship.core.errors import Conflict, NotFound, Refused
from lightship.core.ids import MAX_COLLECTIONS
from lightship.core.ports import (
    Clock,
    CollectionState,
    EpochChanged,
    ItemOutcome,
    NotOwner,
    Page,
    Published,
    PublishOutcome,
    PublishRequest,
    Row,
    SignedAgreement,
    Withdrawn,
    WithdrawRequest,
)
from lightship.core.query import Filters, Query
from lightship.core.time import MAX_MICROS, Micros
from lightship.storage import statements
from lightship.storage.memory_rows import MemoryCollection, MemoryObject, as_held, held_of, matches
from lightship.storage.statements import Part, Statement

T = TypeVar("T")


class MemoryStore:
    """`ports.Reader`, `Writer`, `Statuses` and `Registry` in memory; may be called from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = (clock.now(), clock.monotonic())
        self._lock = RLock()
        self._epoch = 0
        self._collections: dict[int, MemoryCollection] = {}
        self._chains: dict[str, list[SignedAgreement]] = {}
        self._credentials: dict[str, Credential] = {}
        self._statuses: dict[str, tuple[Principal, bytes]] = {}
        self._pending: dict[str, AccessEvent] = {}

    def close(self) -> None:
        """Nothing is held open."""

    # --- Reader ---------------------------------------------------------------------------------

    def state(self, grant: Grant) -> CollectionState:
        """Return what every request reads; zeros for a collection that was never activated."""
        with self._lock:
            held = self._collections.get(grant.collection.number)
            if held is None:
                return CollectionState(self._epoch, 0, 0, Micros(0), 0, 0)
            size = sum(len(one.candidate.body) for one in held.live)
            return CollectionState(
                self._epoch, held.generation, len(held.statements), held.last_added, len(held.live), size
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
            held = self._collections.get(grant.collection.number)
            current = held.generation if held else 0
            keys = [key for at, key in held.dropped if at > generation] if held else []
            return keys if len(keys) == current - generation else None

    def exists(self, grant: Grant, object_id: str) -> bool:
        """True if any live version of the object is in the collection."""
        with self._lock:
            held = self._collections.get(grant.collection.number)
            return held is not None and bool(held.of(object_id))

    def statements(self, collection: int, start: int = 0) -> list[Statement]:
        """Return the statement rows of a collection from index `start`."""
        with self._lock:
            held = self._collections.get(collection)
            return held.statements[start:] if held else []

    def _matching(self, number: int, filters: Filters, after: Micros) -> list[MemoryObject]:
        held = self._collections.get(number)
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
        return self._done(lambda: self._publish(request))

    def withdraw(self, request: WithdrawRequest) -> Future[Withdrawn]:
        """Take versions of one object out."""
        return self._done(lambda: self._withdraw(request))

    def settle(self, reqs: Iterable[str]) -> None:
        """Forget pending events."""
        with self._lock:
            for req in reqs:
                self._pending.pop(req, None)

    def pending(self) -> Sequence[AccessEvent]:
        """Return the events that nobody settled."""
        with self._lock:
            return list(self._pending.values())

    def _publish(self, request: PublishRequest) -> Published:
        grant = request.grant
        held = self._checked(grant)
        member = grant.subject.member if isinstance(grant.subject, Principal) else ""
        verdicts: list[Verdict] = []
        added: list[Candidate] = []
        for candidate in request.candidates:
            known = held_of(held, candidate.id) + [
                as_held(one, member) for one in added if one.id == candidate.id
            ]
            verdict = rules.judge(known, candidate, member)
            verdicts.append(verdict)
            if verdict is Verdict.ADD:
                added.append(candidate)
        _check_quota(grant, held, added)
        entries = [(one.id, one.version_text, one.digest.hex()) for one in added]
        new, rows = self._stamped(held, member, statements.publication(held.id, held.hub, add=entries))
        keys = {
            (one.id, one.version): pack(held.number, stamp) for one, stamp in zip(added, new, strict=True)
        }
        live = {(one.candidate.id, one.candidate.version): one.key for one in held.live} | keys
        items = tuple(
            ItemOutcome(
                one,
                verdict,
                stamp_of(live[one.id, one.version]) if verdict in {Verdict.ADD, Verdict.DUPLICATE} else 0,
            )
            for one, verdict in zip(request.candidates, verdicts, strict=True)
        )
        outcome = PublishOutcome(items, *((new[0], new[-1]) if new else (Micros(0), Micros(0))))
        status, event = request.render_status(outcome), request.render_event(outcome)
        if request.status_id in self._statuses:
            raise Conflict("This status id is taken")
        # From here on nothing fails.
        ids = {one.id for one in added}
        before: dict[int, tuple[bool, bool, bool]] = {}
        for object_id in ids:
            before |= held.visibility(object_id)
        for one in added:
            held.live.append(MemoryObject(keys[one.id, one.version], one, member))
            held.withdrawn.pop((one.id, one.version), None)
        held.drop(before, ids)
        self._keep(held, rows)
        held.last_added = outcome.added_last or held.last_added
        if isinstance(grant.subject, Principal):
            self._statuses[request.status_id] = (grant.subject, status)
        self._pending.setdefault(event.req, event)
        return Published(outcome, status, event)

    def _withdraw(self, request: WithdrawRequest) -> Withdrawn:
        held = self._checked(request.grant)
        subject = request.grant.subject
        group = held.of(request.object_id)
        picked = sorted(
            (one for one in group if matches(one, group, request.filters)), key=lambda one: one.key
        )
        if not picked:
            raise NotFound("No such object in this collection")
        if isinstance(subject, Principal) and any(one.owner != subject.member for one in picked):
            raise NotOwner("This object belongs to another member")
        entries = [(one.candidate.id, one.candidate.version_text, str(request.reason)) for one in picked]
        by = subject.member if isinstance(subject, Principal) else ""
        _, rows = self._stamped(held, by, statements.publication(held.id, held.hub, withdraw=entries))
        taken = tuple(one.row(body=False) for one in picked)
        event = request.render_event(taken)
        before = held.visibility(request.object_id)
        for one in picked:
            held.live.remove(one)
            held.withdrawn[one.candidate.id, one.candidate.version] = replace(
                as_held(one.candidate, one.owner), withdrawn=request.reason
            )
        held.drop(before, [request.object_id])
        self._keep(held, rows)
        self._pending.setdefault(event.req, event)
        return Withdrawn(taken, event)

    def _checked(self, grant: Grant) -> MemoryCollection:
        if grant.epoch != self._epoch:
            raise EpochChanged
        held = self._collections.get(grant.collection.number)
        if held is None:
            raise NotFound("No such collection")
        return held

    def _stamped(
        self, held: MemoryCollection, by: str, parts: Sequence[Part]
    ) -> tuple[list[Micros], list[Statement]]:
        """Return the stamps of all entries, and the statement rows; nothing is kept yet."""
        now, passed = self._clock.now(), self._clock.monotonic() - self._started[1]
        stamps.check_drift(now - self._started[0], passed)
        if not parts:
            return [], []
        ats = list(stamps.assign([part.size for part in parts], held.last, Micros(now + rules.LEAD)))
        ats[-1] = stamps.round_up(ats[-1], now)
        stamps.check_backlog(ats[-1], now)
        size = len(held.statements)
        rows = [
            Statement(held.number, size + index, at, by, held.agreement_version, part.body)
            for index, (at, part) in enumerate(zip(ats, parts, strict=True))
        ]
        entries = [
            Micros(stamp)
            for at, part in zip(ats, parts, strict=True)
            for stamp in stamps.entry_stamps(at, part.size)
        ]
        return entries, rows

    def _keep(self, held: MemoryCollection, rows: Sequence[Statement]) -> None:
        held.statements += rows
        held.last = rows[-1].at if rows else held.last

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
            owner, body = self._statuses.get(status_id, (None, b""))
            if owner is None:
                return None
            mine = (owner.agreement, owner.credential) == (principal.agreement, principal.credential)
            return body if mine else None

    def epoch(self) -> int:
        """Return the policy epoch."""
        with self._lock:
            return self._epoch

    def chain(self, agreement: str) -> Sequence[SignedAgreement]:
        """Return all versions of an agreement, oldest first."""
        with self._lock:
            return tuple(self._chains.get(agreement, ()))

    def agreement_ids(self) -> Sequence[str]:
        """Return the ids of all agreements, sorted."""
        with self._lock:
            return sorted(self._chains)

    def collection_numbers(self) -> Mapping[str, int]:
        """Return collection id -> number."""
        with self._lock:
            return {one.id: one.number for one in self._collections.values()}

    def activate(self, signed: SignedAgreement, collections: Sequence[str], event: AccessEvent) -> None:
        """Append a version to its chain and log it in each collection of the agreement."""
        with self._lock:
            chain = self._chains.get(signed.agreement, [])
            if signed.version != len(chain) + 1:
                raise Conflict("This is not the agreement's next version", why=f"{len(chain)} is in force")
            by_id = {one.id: one for one in self._collections.values()}
            new = [one for one in dict.fromkeys(collections) if one not in by_id]
            if any(by_id[one].agreement != signed.agreement for one in collections if one in by_id):
                raise Conflict("A collection of another agreement has this id")
            if len(by_id) + len(new) > MAX_COLLECTIONS:
                raise Conflict("A hub can have 2047 collections in its life")
            hub = chain[0].digest if chain else signed.digest
            made = [
                MemoryCollection(len(by_id) + index, one, signed.agreement, signed.version, hub)
                for index, one in enumerate(new, 1)
            ]
            theirs = [one for one in by_id.values() if one.agreement == signed.agreement] + made
            part = statements.agreement_change(signed.version, signed.digest)
            rows = [self._stamped(one, "", [part])[1] for one in theirs]
            for one, row in zip(theirs, rows, strict=True):
                one.agreement_version = signed.version
                self._keep(one, [replace(row[0], agreement=signed.version)])
                self._collections[one.number] = one
            self._chains[signed.agreement] = [*chain, signed]
            self._changed(event)

    def credential_by_digest(self, digest: bytes) -> Credential | None:
        """Return the credential whose secret has this SHA-256."""
        with self._lock:
            return next((one for one in self._credentials.values() if one.digest == digest), None)

    def credentials(self, agreement: str | None = None) -> Sequence[Credential]:
        """Return credentials in order of their names."""
        with self._lock:
            held = self._credentials.values()
            found = [one for one in held if agreement is None or one.agreement == agreement]
            return sorted(found, key=lambda one: one.name)

    def put_credential(self, credential: Credential, event: AccessEvent) -> None:
        """Insert, or replace by id."""
        with self._lock:
            for one in self._credentials.values():
                if one.id != credential.id and (
                    one.name == credential.name or one.digest == credential.digest
                ):
                    raise Conflict("Another credential has this name or secret")
            held = self._credentials.get(credential.id)
            if held is not None and held.revoked is not None and credential.revoked is None:
                raise Conflict("The credential was revoked meanwhile")
            self._credentials[credential.id] = credential
            self._changed(event)

    def _changed(self, event: AccessEvent) -> None:
        self._epoch += 1
        self._pending.setdefault(event.req, event)


def _check_quota(grant: Grant, held: MemoryCollection, added: Sequence[Candidate]) -> None:
    settings = grant.collection.settings
    size = sum(len(one.candidate.body) for one in held.live) + sum(len(one.body) for one in added)
    over_objects = settings.max_objects is not None and len(held.live) + len(added) > settings.max_objects
    over_bytes = settings.max_bytes is not None and size > settings.max_bytes
    if added and (over_objects or over_bytes):
        raise Refused("The collection is full", rule="deny-publish-quota")
