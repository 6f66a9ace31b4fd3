"""Leaves of the access log read strictly, and the rule of their times."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit_samples import MAY, event
from lightship.core.audit import AccessEvent
from lightship.core.log.audit import LATE, LOG, LOG_LATE, BadLeaf, Leaf, TimeOrder, micros, read_leaf
from lightship.core.time import MAX_MICROS, Micros, format_stamp
from lightship.storage.event_leaf import Salts, to_leaf

SALTS = Salts(b"q" * 16, b"i" * 16)
GOOD = to_leaf(event(1), SALTS)
TEXT = st.text(max_size=30)


@given(
    texts=st.fixed_dictionaries(
        dict.fromkeys(("req", "act", "agr", "who", "cred", "col", "why", "q", "ip"), TEXT)
    ),
    at=st.integers(0, MAX_MICROS),
    first=st.integers(0, MAX_MICROS),
    n=st.integers(0, 2**53 - 1),
)
def test_every_leaf_that_is_written_is_read(texts: dict[str, str], at: int, first: int, n: int) -> None:
    one = AccessEvent(**texts, at=Micros(at), first=first, n=n, st=200)  # type: ignore[arg-type]  # fields by name
    leaf = read_leaf(to_leaf(one, SALTS))
    assert (leaf.act, leaf.agr, leaf.cred, leaf.who, leaf.why) == (
        one.act,
        one.agr,
        one.cred,
        one.who,
        one.why,
    )
    assert (micros(leaf.at), leaf.n) == (at, n)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"{", b"", "not JSON"),
        (b"uslax", b"usl\xffax", "not JSON in UTF-8"),
        (b'"who":"uslax",', b"", "`who` is missing"),
        (b'"who":', b'"whom":', "`who` is missing"),
        (b'"why":', b'"whx":1,"why":', "`whx`"),
        (b'"who":"uslax"', b'"who":7', "`who` is not text"),
        (b'"st":200', b'"st":"200"', "`st` is not a whole number"),
        (b'"st":200', b'"st":200.5', "`st` is not a whole number"),
        (b'"st":200', b'"st":-1', "`st` is not a whole number"),
        (b'"n":3', b'"n":true', "`n` is not a whole number"),
        (b'"at":"2026', b'"at":"26', "`at` is not a time"),
        (b"2026-05-01T00", b"2026-02-30T00", "a day that does not exist"),
        (b"2026-05-01T00", b"2026-05-01T24", "is not a time"),
        (b'"ip":"', b'"ip":"0', "`ip` is not a SHA-256"),
        (b'"agr"', b' "agr"', "canonical form"),
        (b'"who":"uslax"', b'"who":"\\u0075slax"', "canonical form"),
        (b'"who":"uslax"', b'"who":"","who":"uslax"', "canonical form"),
        (b'"why"', b'"who":"uslgb","why"', "canonical form"),
    ],
)
def test_a_malformed_leaf_is_refused_by_member(old: bytes, new: bytes, said: str) -> None:
    bent = GOOD.replace(old, new, 1)
    assert bent != GOOD
    with pytest.raises(BadLeaf, match=said):
        read_leaf(bent)


def test_a_leaf_of_another_order_or_an_own_length_is_refused() -> None:
    value = json.loads(GOOD)
    with pytest.raises(BadLeaf, match="canonical"):
        read_leaf(json.dumps(dict(reversed(value.items())), separators=(",", ":")).encode())
    with pytest.raises(BadLeaf, match="65535"):
        read_leaf(rfc8785.dumps(value | {"why": "x" * 70_000}))
    for other in (b"", b"[]", b"7", b"null", b"[" * 5000):
        with pytest.raises(BadLeaf):
            read_leaf(other)


@given(st.binary(max_size=200), st.integers(0, len(GOOD)))
def test_no_bytes_make_it_fail_otherwise(data: bytes, at: int) -> None:
    for bent in (data, GOOD[:at] + data + GOOD[at:]):
        try:
            leaf = read_leaf(bent)
        except BadLeaf:
            continue
        value = json.loads(bent)
        assert bent == rfc8785.dumps(value)
        assert value["who"] == leaf.who


def leaf(at: int, act: str = "read-objects", n: int = 0, cred: str = "cred-1") -> Leaf:
    return replace(read_leaf(GOOD), at=format_stamp(at), act=act, n=n, cred=cred)


def test_backdated() -> None:
    """An entry written in later with an earlier date stands out, unless it says so."""
    order = TimeOrder()
    assert not order.take(leaf(MAY))
    assert not order.take(leaf(MAY - LATE))
    assert "not announced" in order.take(leaf(MAY - LATE - 1))
    assert not order.take(leaf(MAY + 5, LOG_LATE, 2, LOG))
    assert not order.take(leaf(MAY - 10 * LATE))
    assert not order.take(leaf(MAY - 20 * LATE))
    assert "not announced" in order.take(leaf(MAY - 20 * LATE))
    assert order.late == 2


def test_only_the_log_itself_announces() -> None:
    order = TimeOrder()
    assert not order.take(leaf(MAY, LOG_LATE, 5, "cred-1"))
    assert "not announced" in order.take(leaf(MAY - 2 * LATE))
