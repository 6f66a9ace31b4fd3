"""Merkle trees against RFC 9162's definition, against pymerkle, against a public log's answers."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree
from pymerkle import verify_consistency as their_check

from lightship.core.log.merkle import (
    EMPTY_ROOT,
    Frontier,
    Hashes,
    append,
    consistency,
    frontier,
    frontier_of,
    inclusion,
    inclusion_at_end,
    leaf_hash,
    node_hash,
    root,
    root_from_inclusion,
    root_of,
    verify_consistency,
    verify_inclusion,
)

ARGON = json.loads((Path(__file__).parents[3] / "vectors" / "argon2020" / "argon2020.json").read_bytes())


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(f"leaf {number}".encode()) for number in range(count)]


def defined_root(hashes: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1, as it stands there."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while half * 2 < len(hashes):
        half *= 2
    return node_hash(defined_root(hashes[:half]), defined_root(hashes[half:]))


def kept(hashes: Sequence[bytes]) -> Hashes:
    """What a store keeps: levels 0, 8, 16 made by appending one at a time."""
    nodes = {(0, index): one for index, one in enumerate(hashes)}
    tree = Frontier()
    for one in hashes:
        tree, made = append(tree, [one])
        nodes |= {(level, index): digest for level, index, digest in made}

    def read(level: int, first: int, count: int) -> list[bytes]:
        assert level % 8 == 0
        return [nodes[level, index] for index in range(first, first + count) if (level, index) in nodes]

    return read


@given(st.integers(0, 700), st.lists(st.integers(1, 300), max_size=5))
def test_appending_in_pieces_gives_the_root_of_the_definition(begin: int, pieces: list[int]) -> None:
    hashes = leaves(begin + sum(pieces))
    tree, at = append(Frontier(), hashes[:begin])[0], begin
    for piece in pieces:
        tree = frontier_of(tree.size, tree.to_bytes())
        tree, _ = append(tree, hashes[at : at + piece])
        at += piece
    assert tree.size == len(hashes)
    assert tree.root == root_of(hashes) == defined_root(hashes)


@given(st.integers(1, 700), st.data())
def test_proofs_verify_and_those_of_anything_else_do_not(size: int, data: st.DataObject) -> None:
    hashes = leaves(size)
    read, top = kept(hashes), root_of(hashes)
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(0, size))
    path, chain = inclusion(read, index, size), consistency(read, old, size)
    was = root_of(hashes[:old])

    assert root(read, size) == top
    assert frontier(read, old).root == was
    assert verify_inclusion(hashes[index], index, size, path, top)
    assert verify_consistency(old, size, was, top, chain)

    other = data.draw(st.integers(0, size + 3).filter(lambda number: number != index))
    assert not verify_inclusion(hashes[index], other, size, path, top)
    assert not verify_inclusion(leaf_hash(b"another"), index, size, path, top)
    assert not verify_inclusion(hashes[index], index, size, [*path, path[0] if path else top], top)
    wrong = data.draw(st.integers(0, size).filter(lambda number: number != old))
    assert not verify_consistency(wrong, size, was, top, chain)
    if 0 < old < size:
        assert not verify_consistency(old, size, leaf_hash(b"another"), top, chain)
        assert not verify_consistency(old, size, was, leaf_hash(b"another"), chain)
        assert not verify_consistency(old, size, was, top, chain[:-1])
        spot = data.draw(st.integers(0, len(chain) - 1))
        bent = [bytes([one[0] ^ 1]) + one[1:] if at == spot else one for at, one in enumerate(chain)]
        assert not verify_consistency(old, size, was, top, bent)
    if path:
        assert not verify_inclusion(hashes[index], index, size, path[:-1], top)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 100, 255, 256, 257, 520])
def test_roots_and_proofs_equal_those_of_pymerkle(size: int) -> None:
    theirs = InmemoryTree(algorithm="sha256")
    for number in range(size):
        theirs.append_entry(f"leaf {number}".encode())
    hashes = leaves(size)
    read = kept(hashes)
    assert theirs.get_root() == root(read, size)
    for index in {0, size // 2, size - 1}:
        path = inclusion(read, index, size)
        proof = theirs.prove_inclusion(index + 1)
        assert proof.path[0] == hashes[index]
        assert [one.hex() for one in proof.path[1:]] == [one.hex() for one in path]
    for old in {1, size // 3 or 1, size}:
        assert theirs.get_root(old) == root(read, old)
        # it shows consistency in its own way, which has to hold for our roots
        their_check(root(read, old), root(read, size), theirs.prove_consistency(old, size))


@given(st.integers(0, 700), st.integers(1, 40))
def test_the_proof_of_what_is_appended_needs_no_leaf_of_before(begin: int, more: int) -> None:
    hashes = leaves(begin + more)
    before, read = append(Frontier(), hashes[:begin])[0], kept(hashes)
    for place in range(more):
        wanted = inclusion(read, begin + place, begin + more)
        assert inclusion_at_end(before, hashes[begin:], place) == wanted


def test_a_tree_of_70000_keeps_two_levels_of_tiles() -> None:
    hashes = leaves(70_000)
    tree, made = append(Frontier(), hashes)
    assert {(level, index) for level, index, _ in made} == {(8, at) for at in range(273)} | {(16, 0)}
    nodes = {(level, index): digest for level, index, digest in made}

    def read(level: int, first: int, count: int) -> Sequence[bytes]:
        if level == 0:
            return hashes[first : first + count]
        return [nodes[level, index] for index in range(first, first + count)]

    assert root(read, 70_000) == tree.root
    for index in (0, 65_535, 65_536, 69_999):
        assert verify_inclusion(hashes[index], index, 70_000, inclusion(read, index, 70_000), tree.root)
    path = consistency(read, 65_537, 70_000)
    assert verify_consistency(65_537, 70_000, root(read, 65_537), tree.root, path)


def test_what_cannot_be_is_refused() -> None:
    read = kept(leaves(3))
    with pytest.raises(ValueError, match="no leaf 3"):
        inclusion(read, 3, 3)
    with pytest.raises(ValueError, match="no beginning"):
        consistency(read, 4, 3)
    with pytest.raises(ValueError, match="were to be had"):
        root(read, 4)
    with pytest.raises(ValueError, match="peaks"):
        Frontier(3, (b"\0" * 32,))
    with pytest.raises(ValueError, match="no hash"):
        frontier_of(1, b"\0" * 31)
    assert root(read, 0) == EMPTY_ROOT == Frontier().root
    assert root_from_inclusion(b"short", 0, 1, []) is None
    assert not verify_consistency(1, 2, b"short", EMPTY_ROOT, [])


def test_go_sumdb_argon_2020_consistency_vector() -> None:
    """The public log's own answers; source in tests/vectors/argon2020/README.md."""
    size, top = ARGON["tree_size"], b64decode(ARGON["sha256_root_hash"])
    old, was = ARGON["old_size"], b64decode(ARGON["old_root_hash"])
    path = [b64decode(one) for one in ARGON["consistency"]]
    assert verify_consistency(old, size, was, top, path)
    assert not verify_consistency(old + 1, size, was, top, path)
    leaf = leaf_hash(b64decode(ARGON["leaf_input"]))
    proof = [b64decode(one) for one in ARGON["audit_path"]]
    assert verify_inclusion(leaf, ARGON["leaf_index"], size, proof, top)
    assert not verify_inclusion(leaf, ARGON["leaf_index"] + 1, size, proof, top)
