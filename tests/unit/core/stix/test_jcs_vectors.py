"""RFC 8785: the published vectors, byte for byte, through both ways that bytes are made."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import jcs
import pytest
import rfc8785

from lightship.core.stix.json import Decoded, canonical, decode, decode_listing

VECTORS = Path(__file__).parents[3] / "vectors" / "jcs"
NAMES = sorted(path.stem for path in VECTORS.glob("*.json"))
NUMBERS = [line.split(" ") for line in (VECTORS / "numbers.txt").read_text().splitlines() if line[0] != "#"]


def test_the_published_set_is_complete() -> None:
    assert NAMES == ["arrays", "french", "structures", "unicode", "values", "weird"]
    assert len(NUMBERS) == 26


@pytest.mark.parametrize("name", NAMES)
def test_rfc_8785_vector(name: str) -> None:
    sent = (VECTORS / f"{name}.json").read_bytes()
    wanted = (VECTORS / f"{name}.canonical").read_bytes()
    assert canonical(decode(sent)) == wanted
    items = decode_listing(b'{"objects":[' + sent + b"]}", "objects").items
    assert items is not None
    assert isinstance(items[0], Decoded)
    assert items[0].canonical == wanted
    assert canonical(decode(wanted)) == wanted


@pytest.mark.parametrize(("bits", "wanted"), NUMBERS, ids=[bits for bits, _ in NUMBERS])
def test_rfc_8785_appendix_b_number(bits: str, wanted: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    if wanted == "-":
        with pytest.raises(ValueError, match="not representable"):
            canonical([number])
    else:
        assert canonical([number]) == b"[" + wanted.encode() + b"]"


@pytest.mark.parametrize(
    "value", [{1: "a"}, {"a": {1, 2}}, {"a": 1 << 53}, {"a": "\ud800"}, {"\ud800": 1}, {"a": b"x"}]
)
def test_what_jcs_cannot_write_is_an_error(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical(value)


def test_nesting_is_bounded_without_recursion() -> None:
    value: list[object] = []
    for _ in range(63):
        value = [value]
    assert canonical(value) == b"[" * 64 + b"]" * 64
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="more than 64"):
        canonical(value)


def test_oracles_agree_on_a_sorted_object() -> None:
    value: Any = {"b": [1.5, 1e-7, 1e21], "\U0001f602": 1, "\ufb33": 2, "a": "\u007f"}
    assert canonical(value) == rfc8785.dumps(value) == jcs.canonicalize(value)
