"""What withdraw, expire and an agreement's change share: versions of a collection that go out.

Bodies are erased; what was withdrawn, and why, is kept for ever. First picked (which changes nothing), then
taken from the working set, then written.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import apsw

from lightship.core.collection import WithdrawReason, stamp_of
from lightship.core.marks import Cited
from lightship.core.ports import Row
from lightship.storage import statements
from lightship.storage.sqlite.classes import classify
from lightship.storage.sqlite.connection import select
from lightship.storage.sqlite.definitions import DEFINITION, lost
from lightship.storage.sqlite.marks import Place
from lightship.storage.sqlite.publish import forget
from lightship.storage.sqlite.staging import Waiting
from lightship.storage.sqlite.transaction import Head, Transaction, Version

_ENTOMB = """
INSERT INTO withdrawn
  (collection, idhash, id, version, version_text, spec_version, digest, owner, reason, at, added)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_MARKS = "SELECT o.key, o.marks FROM carray(?) AS c CROSS JOIN object AS o ON o.key = c.value"


@dataclass(slots=True)
class Removal:
    """What goes out of one collection: live versions with the id of their object, and staged ones."""

    head: Head
    live: list[tuple[str, Version]]
    staged: list[Waiting]
    reason: WithdrawReason
    _changed: list[tuple[Version, int]] = field(default_factory=list)
    _generation: int = 0

    def parts(self) -> list[statements.Part]:
        """Return the statements that say what goes."""
        entries = [(object_id, one.version_text, str(self.reason)) for object_id, one in self.live]
        return statements.publication(self.head.id, self.head.hub, withdraw=entries)

    def rows(self) -> tuple[Row, ...]:
        """Return the rows that go, once they have their keys."""
        return tuple(
            Row(one.key, object_id, one.type, one.held.spec_version, one.version_text)
            for object_id, one in self.live
        )

    def take(self, txn: Transaction) -> None:
        """Take them from the working set; nothing fails from here on."""
        head = self.head
        self._generation = head.generation
        by_id: dict[str, set[int]] = {}
        for object_id, one in self.live:
            by_id.setdefault(object_id, set()).add(id(one))
        for object_id, gone in by_id.items():
            versions = txn.versions(head.number, object_id)
            left = [one for one in versions if one.held.withdrawn is None and id(one) not in gone]
            for version, now in classify((one, one.row_class, one.held.version) for one in left).items():
                if version.row_class != now:
                    self._changed.append((version, now))
                version.row_class = now
            tombs = [self._entombed(one) if id(one) in gone else one for one in versions]
            txn.hold(head, object_id, tombs)
        for waiting in self.staged:
            others = [other for other in txn.staging.of(head.number, waiting.id) if other is not waiting]
            txn.staging.hold(head.number, waiting.id, others)
        for place, (live, staged) in gone_by_place(txn, [self]).items():
            txn.held_sets.change(place, -live, -staged)
        head.generation += len(self._changed) + len(self.live)
        head.objects -= len(self.live)
        head.stored_bytes -= sum(one.size for _, one in self.live)

    def write(self, txn: Transaction) -> None:
        """Delete the rows, keep what was withdrawn, restore the classes of what is left."""
        head = self.head
        forget(txn, head, self.staged)
        if not self.live:
            return
        txn.write_rows()
        txn.db.executemany("DELETE FROM object WHERE key = ?", [(one.key,) for _, one in self.live])
        txn.insert(
            _ENTOMB,
            [
                (
                    head.number,
                    txn.hash_of(head, object_id),
                    object_id,
                    one.held.version,
                    one.version_text,
                    one.held.spec_version,
                    one.held.digest,
                    one.held.owner,
                    str(self.reason),
                    txn.now,
                    stamp_of(one.key),
                )
                for object_id, one in self.live
            ],
        )
        txn.change_classes(self._changed)
        keys = [one.key for _, one in self.live] + [version.key for version, _ in self._changed]
        txn.drop(head, self._generation, keys)

    def _entombed(self, version: Version) -> Version:
        """Return what is held of a version once it is withdrawn."""
        return Version(version.held._replace(withdrawn=self.reason), 0, 0, version.version_text, "", 0)


def gone_by_place(txn: Transaction, removals: Iterable[Removal]) -> dict[Place, tuple[int, int]]:
    """Return how many versions would go, live and staged, by place."""
    found: dict[Place, tuple[int, int]] = {}
    for one in removals:
        _learn_marks(txn, [version for _, version in one.live])
        for _, version in one.live:
            place = (one.head.number, version.marks, version.held.owner)
            live, staged = found.get(place, (0, 0))
            found[place] = live + 1, staged
        for waiting in one.staged:
            place = (one.head.number, waiting.marks, waiting.owner)
            live, staged = found.get(place, (0, 0))
            found[place] = live, staged + 1
    return found


def lost_definitions(txn: Transaction, agreement: str, removals: Sequence[Removal]) -> set[str]:
    """Return the definitions among what would go whose last copy something that stays cites."""
    copies: dict[Cited, int] = {}
    for one in removals:
        for name in _definitions(one):
            copies[name] = copies.get(name, 0) + 1
    return lost(txn, agreement, gone_by_place(txn, removals), copies.items()) if copies else set()


def _definitions(removal: Removal) -> list[Cited]:
    live = [Cited(name, one.held.digest) for name, one in removal.live if one.type == DEFINITION]
    return live + [Cited(one.id, one.held.digest) for one in removal.staged if one.type == DEFINITION]


def _learn_marks(txn: Transaction, versions: Iterable[Version]) -> None:
    unknown = {one.key: one for one in versions if not one.marks and one.key}
    if unknown:
        keys = array("q", sorted(unknown))
        for key, number in select(txn.db, _MARKS, (apsw.carray(keys),)):
            unknown[key].marks = number
