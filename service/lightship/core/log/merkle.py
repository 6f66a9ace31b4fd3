"""Merkle trees of RFC 6962 / RFC 9162 section 2.1: appending, roots, inclusion and consistency proofs.

Subtrees are named as tlog-tiles does: level 0 are the leaf hashes, the node (level, index) covers the leaves
from `index << level` to `(index + 1) << level`. Only whole subtrees have a place; the rest follows from them.
A store keeps levels 0, 8, 16, ... so that a tile of 256 hashes is one range of them, and hands them out by
`Hashes`. Sizes are numbers of leaves, hashes 32 bytes. Verifying never raises on what came from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

HASH_BYTES = 32
TILE_HEIGHT = 8
"""Levels between two that are kept."""
EMPTY_ROOT = sha256(b"").digest()

Node = tuple[int, int, bytes]
"""Level, index, hash of a whole subtree."""
Hashes = Callable[[int, int, int], Sequence[bytes]]
"""(level, first, count) -> that many hashes of whole subtrees of one level, a multiple of TILE_HEIGHT."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 || entry)."""
    return sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node: SHA-256(0x01 || left || right)."""
    return sha256(b"\1" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """What it takes to go on with a tree: its size and the roots of its largest whole subtrees, in order."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise ValueError(f"a tree of {self.size} has not {len(self.peaks)} peaks")
        if any(len(one) != HASH_BYTES for one in self.peaks):
            raise ValueError("a peak is no hash")

    @property
    def root(self) -> bytes:
        """The root hash of the tree."""
        return _join(self.peaks)

    def to_bytes(self) -> bytes:
        """Return the peaks in one."""
        return b"".join(self.peaks)


def frontier_of(size: int, peaks: bytes) -> Frontier:
    """Return the frontier from its size and `Frontier.to_bytes`.

    Raises:
        ValueError: they do not fit each other.
    """
    return Frontier(size, tuple(peaks[at : at + HASH_BYTES] for at in range(0, len(peaks), HASH_BYTES)))


def append(frontier: Frontier, hashes: Sequence[bytes]) -> tuple[Frontier, list[Node]]:
    """Return the tree with further leaf hashes, and the nodes this made whole on the levels 8, 16, ..."""
    peaks, size, made = list(frontier.peaks), frontier.size, []
    for one in hashes:
        level, index = 0, size
        while index & 1:
            one = sha256(b"\1" + peaks.pop() + one).digest()
            level += 1
            index >>= 1
            if not level % TILE_HEIGHT:
                made.append((level, index, one))
        peaks.append(one)
        size += 1
    return Frontier(size, tuple(peaks)), made


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over these leaf hashes."""
    row = list(hashes)
    if not row:
        return EMPTY_ROOT
    while len(row) > 1:
        row = _above(row)
    return row[0]


def root(read: Hashes, size: int) -> bytes:
    """Return the root of the first `size` leaves of a tree."""
    return _range_root(read, 0, size) if size else EMPTY_ROOT


def frontier(read: Hashes, size: int) -> Frontier:
    """Return the frontier of the first `size` leaves of a tree."""
    return Frontier(size, tuple(_whole(read, level, index) for level, index in _subtrees(0, size)))


def inclusion(read: Hashes, index: int, size: int) -> list[bytes]:
    """Return the proof that leaf `index` is in the first `size` leaves (RFC 9162 section 2.1.3.1).

    Raises:
        ValueError: there is no such leaf in a tree of this size.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_range_root(read, middle, end))
            end = middle
        else:
            path.append(_range_root(read, begin, middle))
            begin = middle
    return path[::-1]


def inclusion_at_end(before: Frontier, added: Sequence[bytes], place: int) -> list[bytes]:
    """Return the proof that leaf `added[place]` is in the tree that `before` and a few more leaves make.

    What stands beside its path is made of the new leaves and of the largest whole subtrees before them.
    """
    size = before.size + len(added)
    known = dict(zip(_subtrees(0, before.size), before.peaks, strict=True))

    def over(begin: int, end: int) -> bytes:
        if end <= before.size:
            level = (end - begin).bit_length() - 1
            return known[level, begin >> level]
        if end - begin == 1:
            return added[begin - before.size]
        middle = begin + _split(end - begin)
        return node_hash(over(begin, middle), over(middle, end))

    path, begin, end, index = [], 0, size, before.size + place
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(over(middle, end))
            end = middle
        else:
            path.append(over(begin, middle))
            begin = middle
    return path[::-1]


def consistency(read: Hashes, old: int, size: int) -> list[bytes]:
    """Return the proof that the first `old` leaves are the beginning of the first `size` (section 2.1.4.1).

    Empty for `old` 0 and `old` = `size`.

    Raises:
        ValueError: `old` is larger than `size`, or negative.
    """
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {old} leaves is no beginning of one of {size}")
    if old in {0, size}:
        return []
    path, begin, end, whole = [], 0, size, True
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(_range_root(read, middle, end))
            end = middle
        else:
            path.append(_range_root(read, begin, middle))
            begin, whole = middle, False
    if not whole:
        path.append(_range_root(read, begin, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """True if `path` proves that the leaf hash is at `index` of the tree (RFC 9162 section 2.1.3.2)."""
    found = root_from_inclusion(leaf, index, size, path)
    return found is not None and found == root


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that an inclusion proof leads to, None if it cannot be one for this place."""
    if not 0 <= index < size or not _are_hashes((leaf, *path)):
        return None
    place, last, found = index, size - 1, leaf
    for one in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            found = node_hash(one, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, one)
        place, last = place >> 1, last >> 1
    return found if last == 0 else None


def verify_consistency(old: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]) -> bool:
    """True if `path` proves that the old tree is the beginning of the other (RFC 9162 section 2.1.4.2)."""
    if not 0 <= old <= size or not _are_hashes((old_root, root, *path)):
        return False
    if old in {0, size}:
        return not path and old_root == (EMPTY_ROOT if old == 0 else root)
    hashes = list(path)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        return False
    place, last = old - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    was = now = hashes[0]
    for one in hashes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            was, now = node_hash(one, was), node_hash(one, now)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            now = node_hash(now, one)
        place, last = place >> 1, last >> 1
    return last == 0 and was == old_root and now == root


def _above(row: Sequence[bytes]) -> list[bytes]:
    above = [sha256(b"\1" + row[at] + row[at + 1]).digest() for at in range(0, len(row) - 1, 2)]
    return [*above, row[-1]] if len(row) & 1 else above


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _join(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return EMPTY_ROOT
    found = peaks[-1]
    for one in reversed(peaks[:-1]):
        found = node_hash(one, found)
    return found


def _subtrees(begin: int, end: int) -> list[tuple[int, int]]:
    """Return the largest whole subtrees (level, index) from leaf `begin` to `end`, left to right.

    `begin` is a multiple of a power of two that is not smaller than the range, as in every proof.
    """
    found = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        found.append((level, begin >> level))
        begin += 1 << level
    return found


def _range_root(read: Hashes, begin: int, end: int) -> bytes:
    return _join([_whole(read, level, index) for level, index in _subtrees(begin, end)])


def _whole(read: Hashes, level: int, index: int) -> bytes:
    """Return the hash of any whole subtree from those of a level that is kept."""
    above = level % TILE_HEIGHT
    hashes = read(level - above, index << above, 1 << above)
    if len(hashes) != 1 << above:
        raise ValueError(f"{1 << above} hashes of level {level - above} were to be had, {len(hashes)} came")
    return root_of(hashes)


def _are_hashes(values: Sequence[bytes]) -> bool:
    return all(len(one) == HASH_BYTES for one in values)
