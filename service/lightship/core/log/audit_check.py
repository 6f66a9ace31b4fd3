"""Verifying one log of the access log: its leaves one by one, then what was signed about them.

Pure: what is read and where from is the caller's. Nothing is believed before the signature over it holds;
what does not hold is a finding that names the entry or the field, never an exception. Of a whole log it shows
that nothing was altered, left out or dated back; of a part of it (a member's own export) only that its
entries are in the log.

Every entry must be covered by what the hub signed when it was recorded: a checkpoint that it kept, or since
the last of these the seal of its group. A checkpoint that is signed for the export alone would vouch for
whatever the database holds by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from lightship.core.log.audit import CONTINUED, LOG, BadLeaf, Leaf, TimeOrder, read_leaf
from lightship.core.log.merkle import Frontier, append, leaf_hash, root_of, verify_inclusion
from lightship.core.log.notes import (
    BadNote,
    Checkpoint,
    NoteKey,
    Verify,
    parse_checkpoint,
    parse_note,
    verify_note,
)
from lightship.core.log.receipt import KeptReceipt, group_message, verify_receipt

MAX_SIZE = 1 << 62
"""More entries than any log has."""
Seal = tuple[int, int, bytes]
"""Index of the first entry of a group, number of its entries, signature."""
MAX_FINDINGS = 100
"""Findings that are listed; all are counted."""


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One thing that does not hold: where, and what."""

    where: str
    what: str


@dataclass(slots=True)
class Findings:
    """What was found; the first MAX_FINDINGS of it."""

    listed: list[AuditFinding] = field(default_factory=list)
    count: int = 0

    def add(self, where: str, what: str) -> None:
        """Add one."""
        self.count += 1
        if len(self.listed) < MAX_FINDINGS:
            self.listed.append(AuditFinding(where, what))


@dataclass(frozen=True, slots=True)
class HubKeys:
    """The hub's raw Ed25519 public key, and how to verify with it."""

    public: bytes
    verify: Verify

    def checkpoint(self, data: bytes) -> Checkpoint:
        """Return the checkpoint in a note that the hub signed.

        Raises:
            BadNote: it is none, or not signed by the hub under the name of its log.
        """
        note = parse_note(data)
        point = parse_checkpoint(note.text)
        verify_note(note, [NoteKey(point.origin, self.public)], self.verify)
        return point


class LogCheck:
    """One log, `take` for each of its leaves from first to last, then `finish`.

    Args:
        point: its signed checkpoint, verified.
        scope, year: what every leaf must say.
        begin: the tree before the first leaf, empty unless the export goes on from an older checkpoint.
        older: further checkpoints of the same log, verified: where each comes from, and what it says.
        sealed_from: size of the newest checkpoint that the hub kept; from there on `seals` must cover all.
        seals: of groups, in order: index of the first entry, number of entries, signature.
        receipts: those that hold for this log.
    """

    def __init__(
        self,
        point: Checkpoint,
        scope: str,
        year: int,
        keys: HubKeys,
        findings: Findings,
        *,
        begin: Frontier | None = None,
        older: Sequence[tuple[str, Checkpoint]] = (),
        sealed_from: int = 0,
        seals: Iterable[Seal] = (),
        receipts: Iterable[KeptReceipt] = (),
    ) -> None:
        self._point, self._scope, self._year, self._keys, self._found = point, scope, year, keys, findings
        self.tree = begin or Frontier()
        self.begin = self.tree.size
        self.order = TimeOrder()
        self.continues: Checkpoint | None = None
        self._older: dict[int, list[tuple[str, Checkpoint]]] = {}
        for said, one in older:
            self._older.setdefault(one.size, []).append((said, one))
        self._seals, self._sealed = iter(seals), max(sealed_from, self.begin)
        self._seal_ahead: Seal | None = None
        self._group: list[bytes] = []
        self._wanted, self._signature = 0, b""
        self._differs = False
        self._receipts: dict[int, list[KeptReceipt]] = {}
        for kept_receipt in receipts:
            self._receipts.setdefault(kept_receipt.receipt.index, []).append(kept_receipt)
        self._waiting: list[bytes] = []
        self._compare(self.tree)

    def take(self, data: bytes, kept: bytes | None = None) -> None:
        """Take the next leaf; `kept` is the hash that the export gives for it, to name what was changed."""
        index = self.tree.size + len(self._waiting)
        digest = leaf_hash(data)
        if kept is not None and digest != kept:
            self._say(index, "it was altered: its bytes do not have the hash that the export gives for them")
        leaf = None
        try:
            leaf = read_leaf(data)
        except BadLeaf as error:
            self._say(index, error.why)
        else:
            self._look(index, leaf)
        for one in self._receipts.pop(index, ()):
            self._compare_receipt(index, one, digest, leaf)
        self._waiting.append(digest)
        if index >= self._sealed:
            self._seal(index, digest)
        if len(self._waiting) >= 4096 or index + 1 in self._older:
            self._grow()

    def finish(self) -> None:
        """Compare with what was signed."""
        self._grow()
        point, size = self._point, self.tree.size
        where = self._where()
        if size != point.size:
            what = "are missing" if size < point.size else "are too many"
            count = abs(point.size - size)
            self._found.add(where, f"{count} entries {what}: the checkpoint is over {point.size}")
        elif self.tree.root != point.root:
            self._found.add(where, "its entries are not those that the checkpoint was signed over")
        if self._wanted:
            self._found.add(where, f"its newest entries are missing: {self._wanted} were signed together")
        self._seal_at(MAX_SIZE)
        for older in sorted(self._older):
            for said, _ in self._older[older]:
                if older < self.begin:
                    what = (
                        f"the export begins after {said}, at entry {self.begin}, so they cannot be compared"
                    )
                else:
                    what = f"it was cut off or replaced: {said} was signed over {older} entries"
                self._found.add(where, what)
        for index, receipts in sorted(self._receipts.items()):
            for one in receipts:
                self._say(index, f"it is missing: {one.where} was given for it")

    def _compare_receipt(self, index: int, kept: KeptReceipt, digest: bytes, leaf: Leaf | None) -> None:
        """A hub that gives the receipt of another's access has logged nothing of this one."""
        if kept.receipt.leaf != digest:
            self._say(index, f"it is not the access that {kept.where} was given for")
        elif kept.request and leaf is not None and leaf.req != kept.request:
            what = (
                f"it is the access of request {leaf.req!a}, but {kept.where} was given for {kept.request!a}"
            )
            self._say(index, what)

    def _grow(self) -> None:
        self.tree, _ = append(self.tree, self._waiting)
        self._waiting = []
        self._compare(self.tree)

    def _compare(self, tree: Frontier) -> None:
        for said, older in self._older.pop(tree.size, ()):
            if older.root != tree.root and not self._differs:
                self._differs = True  # then all the later ones differ as well
                self._found.add(
                    self._where(), f"its first {older.size} entries are not those {said} was signed over"
                )

    def _seal(self, index: int, digest: bytes) -> None:
        """Check that the entry is in a group that was signed when it was recorded."""
        if not self._wanted:
            self._wanted, self._signature = self._seal_at(index)
            self._group = []
            if not self._wanted:
                self._say(index, "it is covered by no signature of when it was recorded")
                return
        self._group.append(digest)
        if len(self._group) < self._wanted:
            return
        size, first = self._wanted, index + 1 - self._wanted
        self._wanted = 0
        message = group_message(self._point.origin, first, size, root_of(self._group))
        if not self._keys.verify(self._keys.public, self._signature, message):
            with_others = f", with the {size - 1} after it" if size > 1 else ""
            self._say(first, f"it is not what the hub signed when it was recorded{with_others}")

    def _seal_at(self, index: int) -> tuple[int, bytes]:
        """Return size and signature of the group that begins at an entry, 0 if none does."""
        while True:
            ahead = self._seal_ahead or next(self._seals, None)
            self._seal_ahead = ahead if ahead is not None and ahead[0] > index else None
            if ahead is None or ahead[0] > index:
                return 0, b""
            if ahead[0] == index:
                return ahead[1:]
            self._say(ahead[0], "a signature over a group is given for it, but no group begins there")

    def _look(self, index: int, leaf: Leaf) -> None:
        if leaf.agr != self._scope:
            self._say(index, f"it belongs to `{leaf.agr}`")
        if leaf.at[:4] != f"{self._year:04}":
            self._say(index, f"it is of another year ({leaf.at})")
        if problem := self.order.take(leaf):
            self._say(index, problem)
        if leaf.act == CONTINUED and leaf.cred == LOG:
            self._continue(index, leaf)

    def _continue(self, index: int, leaf: Leaf) -> None:
        if index:
            self._say(index, "only the first entry may hold the checkpoint of an earlier year")
            return
        try:
            point = self._keys.checkpoint(leaf.why.encode())
        except BadNote as error:
            self._say(index, f"the checkpoint in it does not hold: {error.why}")
            return
        if point.size != leaf.n or not is_origin(point.origin, self._scope, self._year, before=True):
            self._say(index, f"the checkpoint in it is one of {point.origin} over {point.size}")
            return
        self.continues = point

    def _where(self) -> str:
        return f"{self._scope} {self._year}"

    def _say(self, index: int, what: str) -> None:
        self._found.add(f"{self._where()}, entry {index}", what)


def is_origin(origin: str, scope: str, year: int, *, before: bool = False) -> bool:
    """True if this is the origin of the scope's log of that year (with `before`: of any earlier one)."""
    host, _, rest = origin.partition("/audit/")
    named, _, number = rest.rpartition("/")
    if not host or named != scope or len(number) != 4 or not number.isascii() or not number.isdigit():
        return False
    return int(number) < year if before else int(number) == year


def check_part(
    data: bytes,
    index: int,
    path: Sequence[bytes],
    values: Sequence[tuple[str, str, bytes, str]],
    point: Checkpoint,
) -> str:
    """Return what is wrong with one entry of a part of a log, empty if nothing is.

    Args:
        path: its inclusion proof under the checkpoint.
        values: (member, digest in the leaf, salt, value) of what is shown beside the leaf.
    """
    if not verify_inclusion(leaf_hash(data), index, point.size, path, point.root):
        return "its proof does not lead to the checkpoint: it was altered, or is of another log"
    for name, digest, salt, value in values:
        if sha256(salt + value.encode()).hexdigest() != digest:
            return f"`{name}` is not what its digest in the entry says"
    return ""


def receipts_by_origin(
    receipts: Iterable[KeptReceipt], origins: Sequence[str], keys: HubKeys, findings: Findings
) -> dict[str, list[KeptReceipt]]:
    """Return the receipts of each log; one that holds for none of them is a finding."""
    found: dict[str, list[KeptReceipt]] = {origin: [] for origin in origins}
    for one in receipts:
        for origin in origins:
            if verify_receipt(one.receipt, origin, keys.public, keys.verify):
                found[origin].append(one)
                break
        else:
            findings.add(
                one.where, "the receipt holds for none of these logs: it was altered, or is of another one"
            )
    return found
