"""A release as a job of a group: staged objects enter their collection, judged again, or get a problem."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace

import apsw

from lightship.core.collection import FULL, PROBLEMS, Candidate, Verdict
from lightship.core.ports import Released, ReleaseRequest, Staged
from lightship.storage.sqlite import definitions
from lightship.storage.sqlite.adding import Adding
from lightship.storage.sqlite.publish import forget, outcome_of
from lightship.storage.sqlite.staging import Waiting, read_staged
from lightship.storage.sqlite.transaction import Head, Transaction, Version, Writing

_WHERE = """
s.number IN (SELECT value FROM carray(?)) AND collection = ? AND owner = ? AND release_at <= ?
ORDER BY release_at, s.number"""
_FAIL = "UPDATE staged SET problem = ? WHERE number = ?"


class Release:
    """The job of one ReleaseRequest. It MUST be alone in its transaction: it asks what is written."""

    def __init__(self, request: ReleaseRequest) -> None:
        self.request = request
        self.weight = max(1, len(request.numbers) + len(request.refused))

    def needs(self) -> tuple[tuple[int, str], ...]:
        """Nothing that is known before the rows are read."""
        return ()

    def status_ids(self) -> tuple[str, ...]:
        """None."""
        return ()

    def decide(self, txn: Transaction) -> ReleasePlan:
        """Judge every object that still waits, and take part in the working set."""
        request = self.request
        head = txn.enter(request.grant)
        found = self._found(txn, head)
        adding = Adding(txn, head, request.owner)
        known = definitions.Known(txn, head)
        items: list[tuple[Candidate, Verdict, Version | None]] = []
        gone: list[Waiting] = []
        failed: list[Staged] = []
        for one, waiting in found:
            problem = request.refused.get(one.number, "")
            verdict = Verdict.ADD if problem else self._judge(adding, known, one)
            if not problem and verdict is Verdict.ADD and not _has_room(request, adding, one):
                problem = FULL
            if problem or verdict not in {Verdict.ADD, Verdict.DUPLICATE}:
                failed.append(replace(one, problem=problem or PROBLEMS[verdict]))
                continue
            version = adding.same(one.candidate) if verdict is Verdict.DUPLICATE else None
            items.append((one.candidate, verdict, version or adding.add(one.candidate, one.marks)))
            gone.append(waiting)
        parts = adding.parts()
        txn.check_room(head, parts, adds=True)
        # From here on nothing fails.
        adding.settle()
        _leave(txn, head, gone)
        return ReleasePlan(
            request, items, adding, gone, failed, txn.reserve(head, request.owner, parts), bool(found)
        )

    def _found(self, txn: Transaction, head: Head) -> list[tuple[Staged, Waiting]]:
        """Return what still waits of what was asked for."""
        request = self.request
        numbers = array("q", {*request.numbers, *request.refused})
        if not numbers:  # apsw takes no empty array
            return []
        values = (apsw.carray(numbers), head.number, request.owner, request.now)
        rows = read_staged(txn.db, _WHERE, values)
        txn.load((head.number, one.candidate.id) for one in rows)
        waiting = {
            one.number: one
            for row in rows
            for one in txn.staging.of(head.number, row.candidate.id)
            if one.number
        }
        return [(one, waiting[one.number]) for one in rows if one.number in waiting]

    def _judge(self, adding: Adding, known: definitions.Known, one: Staged) -> Verdict:
        verdict = adding.judge(one.candidate)
        if verdict is Verdict.ADD and not known.all_of(one.marks.cites):
            return Verdict.UNKNOWN_MARKING
        return verdict


@dataclass(slots=True)
class ReleasePlan:
    """A decided release."""

    request: ReleaseRequest
    items: list[tuple[Candidate, Verdict, Version | None]]
    adding: Adding
    gone: list[Waiting]
    failed: list[Staged]
    writing: Writing
    found: bool

    @property
    def writings(self) -> tuple[Writing]:
        """The statements of one collection."""
        return (self.writing,)

    def apply(self, txn: Transaction) -> Released:
        """Write everything, its stamps being chosen."""
        writing, request = self.writing, self.request
        keys = writing.entry_keys()
        self.adding.stamp(keys)
        outcome = outcome_of(self.items, keys)
        failed = tuple(self.failed)
        if not self.found:
            return Released(outcome, failed, None)
        forget(txn, writing.head, self.gone)
        if keys:
            self.adding.write()
            writing.head.last_added = outcome.added_last
        txn.db.executemany(_FAIL, [(one.problem, one.number) for one in failed])
        event = request.render_event(outcome, failed)
        txn.append(writing, event.req)
        txn.keep_event(event)
        return Released(outcome, failed, event)


def _has_room(request: ReleaseRequest, adding: Adding, one: Staged) -> bool:
    """True if what is live leaves room for one more."""
    settings, head = request.grant.collection.settings, adding.head
    objects = head.objects + len(adding.added) + 1
    size = head.stored_bytes + adding.size + len(one.candidate.body)
    return (settings.max_objects is None or objects <= settings.max_objects) and (
        settings.max_bytes is None or size <= settings.max_bytes
    )


def _leave(txn: Transaction, head: Head, gone: list[Waiting]) -> None:
    for one in gone:
        txn.held_sets.change((head.number, one.marks, one.owner), staged=-1)
        left = [other for other in txn.staging.of(head.number, one.id) if other is not one]
        txn.staging.hold(head.number, one.id, left)
