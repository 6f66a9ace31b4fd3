"""Judging evidence without network and without the hub.

Nothing in it is believed before the signature over it holds: the agreement's chain from a version that a
pinned key signed, the hub's signature on each checkpoint, each entry under its checkpoint, the statement's
signature by a key that a signed roster lists. What does not hold is a finding that names the field, never an
exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lightship.core.agreement.chain import Chain, Verify
from lightship.core.errors import CallerError
from lightship.core.log import leaf, merkle, notes
from lightship.core.log.evidence import ACCEPTED, CONFLICT, KIND, REPLAYED, TWO_LOGS, Entry, Evidence
from lightship.core.log.findings import LogRefused
from lightship.core.log.leaf import Publication
from lightship.core.log.notes import Checkpoint, NoteKey
from lightship.core.log.record import BadRecord
from lightship.core.log.roster import Rosters
from lightship.core.log.statement import digest_of
from lightship.core.log.terms import Terms, terms_of
from lightship.core.time import format_stamp


@dataclass(slots=True)
class Judgement:
    """What evidence shows. `proved` only if everything holds and the caller pinned a key that signed it.

    Args:
        says: what it shows, as a sentence.  authority: who signed the agreement.
        findings: (field, what is wrong with it).
    """

    kind: str = ""
    says: str = ""
    authority: str = ""
    pinned: bool = False
    findings: list[tuple[str, str]] = field(default_factory=list)

    @property
    def proved(self) -> bool:
        """True if it shows what it says."""
        return bool(self.says) and self.pinned and not self.findings

    @property
    def verdict(self) -> str:
        """The outcome in one line."""
        if self.findings:
            where, what = self.findings[0]
            return f"NOT PROVED: {where}: {what}"
        if not self.pinned:
            return f"NOT PINNED: {self.says}; but the key is only what came with it: name it with --root"
        return f"PROVED: {self.says}"


def judge(one: Evidence, pins: Sequence[str], verify: Verify) -> Judgement:
    """Return what evidence shows; what comes from outside is never an exception.

    Args:
        one: the evidence.
        pins: ids (hex SHA-256) of keys, one of which must have signed the agreement's first version.
        verify: the signature check.
    """
    found = Judgement(one.kind)
    try:
        _Court(one, pins, verify, found).judge()
    except BadRecord as error:
        found.findings.append((error.field, error.why))
    return found


class _Court:
    """One judgement. Its methods raise BadRecord for what does not hold."""

    def __init__(self, one: Evidence, pins: Sequence[str], verify: Verify, found: Judgement) -> None:
        self._one, self._verify, self._found = one, verify, found
        self._chain = self._versions(pins)
        self._points = self._checkpoints()
        self._entries = [self._entry(at, each) for at, each in enumerate(one.entries)]

    def judge(self) -> None:
        """Say what is shown."""
        last = self._chain.last
        self._found.authority = last.root.text if last else ""
        kind = self._one.kind
        if kind == TWO_LOGS:
            self._found.says = self._two_logs()
        elif kind == ACCEPTED:
            self._found.says = self._accepted()
        elif kind == CONFLICT:
            self._found.says = self._conflict()
        else:
            self._found.says = self._signed_twice(again=kind == REPLAYED)

    # --- what everything rests on ---------------------------------------------------------------------

    def _versions(self, pins: Sequence[str]) -> Chain:
        one = self._one
        if not one.versions:
            raise BadRecord(KIND, "versions", "are none")
        for pin in [*pins, ""]:
            chain = Chain(one.agreement, self._verify, pinned_key=pin)
            try:
                chain.append(one.versions[0])
            except CallerError as error:
                if not pin:
                    raise BadRecord(KIND, "versions[0]", f"does not hold: {error}") from None
                continue
            self._found.pinned = bool(pin)
            break
        if pins and not self._found.pinned:
            raise BadRecord(KIND, "versions[0]", "is signed by none of the keys given with --root")
        for at, envelope in enumerate(one.versions[1:], 1):
            try:
                chain.append(envelope)
            except CallerError as error:
                raise BadRecord(KIND, f"versions[{at}]", f"does not hold: {error}") from None
        return chain

    def _terms(self, origin: str) -> list[Terms]:
        try:
            return [terms_of(link, self._one.collection, origin) for link in self._chain.links]
        except LogRefused as error:
            raise BadRecord(KIND, "versions", f"cannot be used: {error.why}") from None

    def _checkpoints(self) -> list[Checkpoint]:
        points: list[Checkpoint] = []
        for at, data in enumerate(self._one.checkpoints):
            where = f"checkpoints[{at}]"
            try:
                note = notes.parse_note(data)
                point = notes.parse_checkpoint(note.text)
                if not point.origin.endswith(f"/c/{self._one.collection}"):
                    raise BadRecord(KIND, where, f"is of another log, {point.origin}")
                self._one_signed(note, point.origin)
            except notes.BadNote as error:
                raise BadRecord(KIND, where, f"does not hold: {error.why or error.title}") from None
            points.append(point)
        if len({point.origin for point in points}) != 1:
            raise BadRecord(KIND, "checkpoints", "are of different logs")
        return points

    def _one_signed(self, note: notes.Note, origin: str) -> None:
        """A checkpoint is as good as the keys of any version of the agreement."""
        keys: dict[tuple[str, bytes, int], NoteKey] = {}
        for terms in self._terms(origin):
            keys |= {(key.name, key.public, key.kind): key for key in terms.log_keys}
        notes.verify_note(note, list(keys.values()), self._verify)

    def _entry(self, at: int, one: Entry) -> Publication:
        where, point = f"entries[{at}]", self._points[one.checkpoint]
        digest = merkle.leaf_hash(one.leaf)
        if not merkle.verify_inclusion(digest, one.index, point.size, one.path, point.root):
            raise BadRecord(KIND, where, "is not under its checkpoint")
        try:
            found = leaf.read(one.leaf)
        except BadRecord as error:
            raise BadRecord(KIND, where, f"cannot be read: {error}") from None
        if not isinstance(found, Publication):
            raise BadRecord(KIND, where, "is no statement")
        if found.statement.collection != self._one.collection or found.statement.hub != self._chain.hub:
            raise BadRecord(KIND, where, "is a statement for another place")
        return found

    def _author(self, at: int) -> str:
        """Return the member whose key signed an entry's statement, by a roster in the file."""
        one = self._entries[at]
        keyid = one.statement.key
        if not keyid:
            raise BadRecord(KIND, f"entries[{at}]", "is signed by nobody: the hub attests it")
        rosters = Rosters(self._one.agreement, self._chain.hub, self._verify, anywhere=True)
        terms = self._terms(self._points[0].origin)
        for number, envelope in enumerate(self._one.rosters):
            if not any(_takes(rosters, envelope, each) for each in reversed(terms)):
                raise BadRecord(KIND, f"rosters[{number}]", "does not hold")
        member = rosters.member_of(keyid)
        key = rosters.publish_key(member, keyid)
        if key is None:
            raise BadRecord(KIND, "rosters", f"list no key {keyid}")
        message = one.envelope.signed_bytes
        if not any(self._verify(key.public, held.sig, message) for held in one.envelope.signatures):
            raise BadRecord(KIND, f"entries[{at}]", f"is not signed by key {keyid}")
        return member

    # --- what is shown --------------------------------------------------------------------------------

    def _accepted(self) -> str:
        entry, one = self._one.entries[0], self._entries[0]
        who = f"{self._author(0)}, key {one.statement.key}" if one.statement.key else "nobody: hub-attested"
        return (
            f"{self._points[0].origin} holds as entry {entry.index}, of {format_stamp(one.at)}, statement "
            f"{one.statement.seq} of {one.by or 'the hub'} (signed by {who}): "
            f"added {len(one.statement.add)}, withdrawn {len(one.statement.withdraw)}"
        )

    def _signed_twice(self, *, again: bool) -> str:
        first, second = self._entries
        members = {self._author(0), self._author(1)}
        pair = (first.statement.key, first.statement.seq)
        same = digest_of(first.envelope.payload) == digest_of(second.envelope.payload)
        if pair != (second.statement.key, second.statement.seq) or len(members) != 1:
            raise BadRecord(KIND, "entries", "are of different keys, or have different numbers")
        if same is not again:
            raise BadRecord(KIND, "entries", f"hold {'the same statement' if same else 'two statements'}")
        if again and not self._two_places():
            raise BadRecord(KIND, "entries", "are not two entries of one log")
        # A key signs anew under the number of what was refused: that both are logged is the hub's doing.
        what = (
            "one statement twice"
            if again
            else "two different statements that one key signed under one number"
        )
        return (
            f"the hub logged {what}: number {pair[1]} of key {pair[0]}, of {members.pop()}, {self._places()}"
        )

    def _conflict(self) -> str:
        first, second = ({(a.id, a.instant): a for a in one.statement.add} for one in self._entries)
        for key in first.keys() & second.keys():
            if first[key].digest != second[key].digest:
                name = f"{first[key].id} {first[key].version}".strip()
                return f"the hub logged two contents of {name}: {self._places()}"
        raise BadRecord(KIND, "entries", "add no object version with two contents")

    def _two_places(self) -> bool:
        first, second = self._one.entries
        return first.index != second.index and first.checkpoint == second.checkpoint

    def _places(self) -> str:
        first, second = self._one.entries
        return f"entries {first.index} and {second.index} of {self._points[0].origin}"

    def _two_logs(self) -> str:
        less, more = sorted(self._points, key=lambda point: point.size)
        says = f"the hub signed two logs under one name, {less.origin}: "
        if less.size == more.size:
            if less.root == more.root:
                raise BadRecord(KIND, "checkpoints", "are of the same log")
            return f"{says}both of {less.size} entries"
        path, prefix = self._one.consistency, self._one.prefix
        if not prefix:
            why = "whether these go on from those it alone can show: ask it for the proof"
            raise BadRecord(
                KIND, "prefix", f"is missing: the hub signed {less.size} entries and {more.size}; {why}"
            )
        if not merkle.verify_consistency(less.size, more.size, prefix, more.root, path):
            raise BadRecord(KIND, "consistency", "does not lead to the larger log")
        if prefix == less.root:
            raise BadRecord(KIND, "prefix", "shows that the larger log goes on from the smaller one")
        return f"{says}the first {less.size} entries of that with {more.size} are not those of the other"


def _takes(rosters: Rosters, envelope: bytes, terms: Terms) -> bool:
    try:
        rosters.apply(envelope, terms.admin_keys)
    except CallerError:
        return False
    return True
