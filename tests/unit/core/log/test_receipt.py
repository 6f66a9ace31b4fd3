"""Receipts: what one promises holds for its leaf, its place and its log, and for nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.core.log.merkle import leaf_hash
from lightship.core.log.notes import Checkpoint, NoteKey, format_note, sign_note
from lightship.core.log.receipt import (
    BadReceipt,
    Group,
    audit_origin,
    group_message,
    parse_receipt,
    verify_receipt,
)
from lightship.crypto.sign import new_signing_key, verify

KEY = new_signing_key()
ORIGIN = audit_origin("hub.example:9443", "la-lb-mou", 2026)


def group(size: int, first: int = 100) -> Group:
    return Group(ORIGIN, first, [leaf_hash(b"%d" % one) for one in range(size)], KEY.sign)


@given(st.integers(1, 150), st.integers(0, 1 << 40), st.data())
def test_every_event_of_a_group_has_a_receipt_that_holds(size: int, first: int, data: st.DataObject) -> None:
    made = group(size, first)
    place = data.draw(st.integers(0, size - 1))
    value = made.header(place)
    receipt = parse_receipt(value.decode())
    assert receipt == made.receipt(place)
    assert receipt.header() == value
    assert receipt.index == first + place
    assert verify_receipt(receipt, ORIGIN, KEY.public, verify)


@pytest.mark.parametrize(
    "change",
    [
        {"leaf": leaf_hash(b"another")},
        {"index": 101},
        {"first": 99},
        {"size": 6},
        {"path": ()},
        {"path": (b"\0" * 32,) * 3},
        {"signature": b"\0" * 64},
    ],
    ids=str,
)
def test_a_receipt_that_was_changed_does_not_hold(change: dict[str, object]) -> None:
    receipt = group(7).receipt(2)
    assert verify_receipt(receipt, ORIGIN, KEY.public, verify)
    assert not verify_receipt(replace(receipt, **change), ORIGIN, KEY.public, verify)  # type: ignore[arg-type]  # names of fields


def test_a_receipt_holds_for_its_log_and_its_key_only() -> None:
    receipt = group(1).receipt(0)
    assert not verify_receipt(
        receipt, audit_origin("hub.example:9443", "la-lb-mou", 2027), KEY.public, verify
    )
    assert not verify_receipt(receipt, ORIGIN, new_signing_key().public, verify)
    assert not verify_receipt(receipt, ORIGIN, b"no key", verify)


def test_signature_type_confusion() -> None:
    """A checkpoint's signature is none of a group, and what is signed for a group is no checkpoint."""
    key = NoteKey(ORIGIN, KEY.public)
    text = Checkpoint(ORIGIN, 7, b"\1" * 32).to_text()
    stolen = sign_note(text, key, KEY.sign).blob
    assert not verify_receipt(replace(group(7).receipt(0), signature=stolen), ORIGIN, KEY.public, verify)
    message = group_message(ORIGIN, 0, 7, b"\1" * 32)
    assert not verify(KEY.public, stolen, message)
    assert format_note(text, [sign_note(text, key, KEY.sign)]).split(b"\n\n")[0] not in message


GOOD = group(3).header(1).decode().split(" ")


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (0, "v2", "`v1`"),
        (1, "-1", "index"),
        (1, "007", "index"),
        (1, "\u0663", "index"),
        (1, "9" * 17, "index"),
        (1, "9" * 16, "too large"),
        (1, "99", "outside its group"),
        (2, "AAAA", "leaf hash"),
        (2, "*", "leaf hash"),
        (3, "1:2", "first:size:path"),
        (3, "100:x:", "size"),
        (3, "x:3:", "first"),
        (3, "100:3:AAAA", "path"),
        (3, "100:3:" + "A" * 4000, "path"),
        (4, "AAAA", "signature"),
    ],
)
def test_what_is_no_receipt_is_refused_by_field(place: int, value: str, said: str) -> None:
    parts = [value if at == place else part for at, part in enumerate(GOOD)]
    with pytest.raises(BadReceipt, match=said):
        parse_receipt(" ".join(parts))


@given(st.text(max_size=200))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    try:
        parse_receipt(text)
    except BadReceipt:
        return
