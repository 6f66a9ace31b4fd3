"""A publish as a job of a group: first decided against the working set, then written with its stamps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightship.core.access import Principal
from lightship.core.collection import (
    Candidate,
    CollectionSettings,
    Held,
    Verdict,
    judge,
    stamp_of,
)
from lightship.core.errors import Refused
from lightship.core.ports import ItemOutcome, Published, PublishOutcome, PublishRequest
from lightship.core.time import Micros
from lightship.storage import statements
from lightship.storage.sqlite.classes import ALONE, classify, spec_bit
from lightship.storage.sqlite.transaction import Head, Transaction, Version, Writing, member_of

_INSERT = """
INSERT INTO object (key, class, type, version, version_text, owner, idhash, id, digest, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


@dataclass(slots=True)
class _Judged:
    """What one request comes to; nothing in the working set knows of it yet."""

    items: list[tuple[Candidate, Verdict, Version | None]]
    added: list[tuple[Candidate, Version]]
    revived: list[Candidate]
    touched: dict[str, list[Version]]


class Publish:
    """The job of one PublishRequest."""

    def __init__(self, request: PublishRequest) -> None:
        self.request = request
        self.weight = max(1, len(request.candidates))

    def needs(self) -> list[tuple[int, str]]:
        """Return the (collection, id) that it will ask about."""
        number = self.request.grant.collection.number
        return [(number, one.id) for one in self.request.candidates]

    def status_ids(self) -> tuple[str, ...]:
        """Return the status id that it will take."""
        return (self.request.status_id,)

    def decide(self, txn: Transaction) -> PublishPlan:
        """Judge every candidate and take part in the working set, or raise and leave no trace."""
        head = txn.enter(self.request.grant)
        member = member_of(self.request.grant.subject)
        judged = _judge_all(txn, head, self.request.candidates, member)
        size = sum(version.size for _, version in judged.added)
        if judged.added:
            _check_quota(self.request.grant.collection.settings, head, len(judged.added), size)
        parts = statements.publication(
            head.id,
            head.hub,
            add=[(one.id, one.version_text, one.digest.hex()) for one, _ in judged.added],
        )
        txn.check_room(head, parts)
        txn.take_status(self.request.status_id)
        # From here on nothing fails.
        generation, changed = head.generation, _reclassify(judged)
        for object_id, versions in judged.touched.items():
            txn.hold(head, object_id, versions)
        head.generation += len(changed)
        head.objects += len(judged.added)
        head.stored_bytes += size
        return PublishPlan(self.request, judged, changed, generation, txn.reserve(head, member, parts))


@dataclass(slots=True)
class PublishPlan:
    """A decided publish."""

    request: PublishRequest
    judged: _Judged
    changed: list[tuple[Version, int]]
    generation: int
    writing: Writing

    @property
    def writings(self) -> tuple[Writing]:
        """The statements of one collection."""
        return (self.writing,)

    def apply(self, txn: Transaction) -> Published:
        """Write everything, its stamps being chosen."""
        writing, request = self.writing, self.request
        head, added = writing.head, self.judged.added
        keys = writing.entry_keys()
        for key, (_, version) in zip(keys, added, strict=True):
            version.key = key
        outcome = self._outcome(keys)
        if added:
            self._write(txn, head, writing.by)
            head.last_added = outcome.added_last
        status, event = request.render_status(outcome), request.render_event(outcome)
        txn.append(writing, event.req)
        if isinstance(request.grant.subject, Principal):
            txn.keep_status(request.grant.subject, request.status_id, status)
        txn.keep_event(event)
        return Published(outcome, status, event)

    def _outcome(self, keys: Sequence[int]) -> PublishOutcome:
        items = tuple(
            ItemOutcome(one, verdict, stamp_of(version.key) if version is not None else 0)
            for one, verdict, version in self.judged.items
        )
        if not keys:
            return PublishOutcome(items, Micros(0), Micros(0))
        return PublishOutcome(items, stamp_of(keys[0]), stamp_of(keys[-1]))

    def _write(self, txn: Transaction, head: Head, member: str) -> None:
        if self.judged.revived:
            txn.write_rows()
        for one in self.judged.revived:
            txn.db.execute(
                "DELETE FROM withdrawn WHERE idhash = ? AND collection = ? AND id = ? AND version = ?",
                (txn.hash_of(head, one.id), head.number, one.id, one.version),
            )
        txn.insert(
            _INSERT,
            [
                (
                    version.key,
                    version.row_class,
                    txn.type_number(one.type),
                    one.version,
                    one.version_text,
                    member,
                    txn.hash_of(head, one.id),
                    one.id,
                    one.digest,
                    one.body,
                )
                for one, version in self.judged.added
            ],
        )
        if self.changed:
            txn.change_classes(self.changed)
            txn.drop(head, self.generation, [version.key for version, _ in self.changed])


def _judge_all(txn: Transaction, head: Head, candidates: Sequence[Candidate], member: str) -> _Judged:
    judged = _Judged([], [], [], {})
    touched = judged.touched
    for one in candidates:
        known = touched.get(one.id)
        if known is None:
            known = txn.versions(head, one.id)
        verdict = judge([version.held for version in known], one, member)
        version: Version | None = None
        if verdict is Verdict.ADD:
            held = Held(one.spec_version, one.version, one.digest, member)
            version = Version(held, 0, spec_bit(one.spec_version), one.version_text, one.type, len(one.body))
            others = [other for other in known if other.held.version != one.version]
            if len(others) < len(known):  # what `judge` lets in under a known version was withdrawn
                judged.revived.append(one)
            touched[one.id] = [*others, version]
            judged.added.append((one, version))
        elif verdict is Verdict.DUPLICATE:
            version = next(other for other in known if other.held.version == one.version)
        judged.items.append((one, verdict, version))
    return judged


def _reclassify(judged: _Judged) -> list[tuple[Version, int]]:
    """Set the classes of all versions touched; return the older rows whose class is another one now."""
    new = {id(version) for _, version in judged.added}
    changed = []
    for versions in judged.touched.values():
        live = [version for version in versions if version.held.withdrawn is None]
        if len(live) == 1:
            live[0].row_class |= ALONE
            continue
        for version, now in classify((one, one.row_class, one.held.version) for one in live).items():
            if version.row_class != now and id(version) not in new:
                changed.append((version, now))
            version.row_class = now
    return changed


def _check_quota(settings: CollectionSettings, head: Head, objects: int, size: int) -> None:
    if settings.max_objects is not None and head.objects + objects > settings.max_objects:
        raise Refused(
            "The collection is full",
            rule="deny-publish-quota",
            why=f"it may hold {settings.max_objects} object versions and holds {head.objects}",
            todo="Withdraw old objects, or ask the steward for a larger quota",
        )
    if settings.max_bytes is not None and head.stored_bytes + size > settings.max_bytes:
        raise Refused(
            "The collection is full",
            rule="deny-publish-quota",
            why=f"it may hold {settings.max_bytes} bytes and holds {head.stored_bytes}",
            todo="Withdraw old objects, or ask the steward for a larger quota",
        )
