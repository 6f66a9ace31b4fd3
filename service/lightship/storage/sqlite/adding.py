"""What a publish and a release share: versions that enter a collection, first decided, then written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lightship.core.collection import Candidate, Held, Verdict, judge
from lightship.core.marks import MarkingSet
from lightship.storage import statements
from lightship.storage.sqlite.classes import ALONE, classify, spec_bit
from lightship.storage.sqlite.definitions import DEFINITION, contradicts
from lightship.storage.sqlite.transaction import Head, Transaction, Version

_INSERT = """
INSERT INTO object (key, class, type, version, version_text, owner, idhash, id, digest, body, marks, expires)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_REVIVE = "DELETE FROM withdrawn WHERE idhash = ? AND collection = ? AND id = ? AND version = ?"


@dataclass(slots=True)
class Adding:
    """What enters one collection; nothing in the working set knows of it before `settle`."""

    txn: Transaction
    head: Head
    member: str
    added: list[tuple[Candidate, MarkingSet, Version]] = field(default_factory=list)
    size: int = 0
    defined: dict[str, bytes] = field(default_factory=dict)  # definitions of this request: id -> digest
    _revived: list[Candidate] = field(default_factory=list)
    _touched: dict[str, list[Version]] = field(default_factory=dict)
    _changed: list[tuple[Version, int]] = field(default_factory=list)
    _generation: int = 0

    def held(self, object_id: str) -> list[Version]:
        """Return what is held of an object, with what was added here."""
        known = self._touched.get(object_id)
        return self.txn.versions(self.head.number, object_id) if known is None else known

    def judge(self, one: Candidate, known: list[Version] | None = None) -> Verdict:
        """Judge against all that is held, a definition against the whole agreement; `known` as for `add`."""
        if known is None:
            known = self.held(one.id)
        verdict = judge([version.held for version in known], one, self.member) if known else Verdict.ADD
        if verdict is Verdict.ADD and one.type == DEFINITION:
            other = self.defined.get(one.id, one.digest) != one.digest
            if other or contradicts(self.txn, self.head, one, self.member):
                return Verdict.CONFLICT
        return verdict

    def same(self, one: Candidate) -> Version:
        """Return what is held under the version of a duplicate."""
        return next(other for other in self.held(one.id) if other.held.version == one.version)

    def add(self, one: Candidate, marks: MarkingSet, known: list[Version] | None = None) -> Version:
        """Let in what was judged ADD; `known` is what `held` said of its id just now, if that was asked."""
        held = Held(one.spec_version, one.version, one.digest, self.member)
        version = Version(held, 0, spec_bit(one.spec_version), one.version_text, one.type, len(one.body))
        versions = [version]
        if known is None:
            known = self.held(one.id)
        if known:
            others = [other for other in known if other.held.version != one.version]
            if len(others) < len(known):  # what `judge` lets in under a known version was withdrawn
                self._revived.append(one)
            versions = [*others, version]
        self._touched[one.id] = versions
        self.added.append((one, marks, version))
        if one.type == DEFINITION:
            self.note(one)
        self.size += version.size
        return version

    def note(self, one: Candidate) -> None:
        """Remember the bytes of a definition that enters, or is staged, with this request."""
        if one.type == DEFINITION:
            self.defined[one.id] = one.digest

    def parts(self) -> list[statements.Part]:
        """Return the statements that say what enters."""
        entries = [(one.id, one.version_text, one.digest.hex()) for one, _, _ in self.added]
        return statements.publication(self.head.id, self.head.hub, add=entries)

    def settle(self) -> None:
        """Take part in the working set; nothing fails from here on."""
        head, sets = self.head, self.txn.held_sets
        self._generation, self._changed = head.generation, self._reclassify()
        for object_id, versions in self._touched.items():
            self.txn.hold(head, object_id, versions)
        last, number, count = None, 0, 0
        for _, marks, version in self.added:
            if marks is not last:  # neighbours mostly share one value
                sets.change((head.number, number, self.member), live=count)
                last, number, count = marks, sets.number_of(marks), 0
            version.marks = number
            count += 1
        sets.change((head.number, number, self.member), live=count)
        head.generation += len(self._changed)
        head.objects += len(self.added)
        head.stored_bytes += self.size

    def stamp(self, keys: Sequence[int]) -> None:
        """Give each version its key."""
        for key, (_, _, version) in zip(keys, self.added, strict=True):
            version.key = key

    def write(self) -> None:
        """Write the rows, stamps being chosen."""
        txn, head = self.txn, self.head
        if self._revived:
            txn.write_rows()
        for one in self._revived:
            txn.db.execute(_REVIVE, (txn.hash_of(head, one.id), head.number, one.id, one.version))
        txn.insert(
            _INSERT,
            [
                (
                    version.key,
                    version.row_class,
                    txn.type_number(one.type),
                    one.version,
                    one.version_text,
                    self.member,
                    txn.hash_of(head, one.id),
                    one.id,
                    one.digest,
                    one.body,
                    version.marks,
                    marks.share_until,
                )
                for one, marks, version in self.added
            ],
        )
        if self._changed:
            txn.change_classes(self._changed)
            txn.drop(head, self._generation, [version.key for version, _ in self._changed])

    def _reclassify(self) -> list[tuple[Version, int]]:
        """Set the classes of all versions touched; return the older rows whose class is another one now."""
        new: set[int] = set()
        changed = []
        for versions in self._touched.values():
            if len(versions) == 1:  # it was just added
                versions[0].row_class |= ALONE
                continue
            new = new or {id(version) for _, _, version in self.added}
            live = [version for version in versions if version.held.withdrawn is None]
            if len(live) == 1:
                live[0].row_class |= ALONE
                continue
            for version, now in classify((one, one.row_class, one.held.version) for one in live).items():
                if version.row_class != now and id(version) not in new:
                    changed.append((version, now))
                version.row_class = now
        return changed
