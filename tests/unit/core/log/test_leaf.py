"""Leaves: one form for each kind, read only as canonical JSON; stamps follow from their time."""

from __future__ import annotations

import json
from typing import Any

import jcs
import pytest
import rfc8785

from lightship.core import dsse
from lightship.core.collection import WithdrawReason
from lightship.core.log import leaf, statement
from lightship.core.log.leaf import AgreementChange, Publication, RosterChange, Suspension
from lightship.core.log.record import BadRecord
from lightship.core.log.statement import Statement, Withdrawal
from simulator import INDICATORS, add_of, indicator

AT = 1_780_000_000_123_456
AT_TEXT = "2026-05-28T20:26:40.123456Z"
HASH = "a" * 64


def attested(*objects: dict[str, Any], withdraw: tuple[Withdrawal, ...] = ()) -> dsse.Envelope:
    made = Statement(INDICATORS, HASH, add=tuple(add_of(one) for one in objects), withdraw=withdraw)
    return statement.attested(made.payload())


def test_the_published_forms() -> None:
    assert leaf.agreement_change(8, AT, HASH) == (
        f'{{"agreement":8,"at":"{AT_TEXT}","sha256":"{HASH}","v":1}}'.encode()
    )
    assert leaf.roster_change(7, AT, "uslax", HASH) == (
        f'{{"agreement":7,"at":"{AT_TEXT}","member":"uslax","roster":"{HASH}","v":1}}'.encode()
    )
    envelope = attested(indicator(1))
    value = json.loads(leaf.publication(7, AT, "uslax", envelope))
    assert value == {
        "agreement": 7,
        "at": AT_TEXT,
        "by": "uslax",
        "pub": json.loads(dsse.encode(envelope)),
        "v": 1,
    }


def test_leaves_are_what_two_other_canonicalizers_write() -> None:
    signed = dsse.Envelope(statement.PAYLOAD_TYPE, attested(indicator(1)).payload, ())
    for entry in (
        leaf.agreement_change(8, AT, HASH),
        leaf.roster_change(7, AT, "uslax", HASH),
        leaf.publication(7, AT, "", signed),
    ):
        value = json.loads(entry)
        assert entry == rfc8785.dumps(value) == jcs.canonicalize(value)


def test_what_is_written_is_read() -> None:
    envelope = attested(indicator(1))
    found = leaf.read(leaf.publication(7, AT, "uslax", envelope))
    assert isinstance(found, Publication)
    assert (found.agreement, found.at, found.by, found.envelope) == (7, AT, "uslax", envelope)
    assert leaf.read(leaf.agreement_change(8, AT, HASH)) == AgreementChange(8, AT, HASH)  # type: ignore[arg-type]  # a plain int stands for microseconds
    assert leaf.read(leaf.roster_change(7, AT, "uslax", HASH)) == RosterChange(7, AT, "uslax", HASH)  # type: ignore[arg-type]  # a plain int stands for microseconds


def test_a_suspension_is_read_and_kept() -> None:
    value: dict[str, Any] = {
        "agreement": 7,
        "at": AT_TEXT,
        "suspend": dsse.as_value(dsse.Envelope(leaf.SUSPENSION_TYPE, b"{}", (dsse.Signature("k", b"s"),))),
        "v": 1,
    }
    assert isinstance(leaf.read(rfc8785.dumps(value)), Suspension)


def test_stamps_come_from_the_time_of_a_leaf_and_end_with_it() -> None:
    gone = (Withdrawal(indicator(9)["id"], indicator(9)["modified"], WithdrawReason.PUBLISHER),)
    found = leaf.read(leaf.publication(1, AT, "uslax", attested(indicator(1), indicator(2), withdraw=gone)))
    assert isinstance(found, Publication)
    assert list(leaf.add_stamps(found)) == [AT - 1, AT]
    assert list(leaf.stamps(found)) == [AT - 2, AT - 1, AT]
    assert list(leaf.stamps(leaf.read(leaf.agreement_change(8, AT, HASH)))) == [AT]


def change(**changes: Any) -> bytes:
    value: dict[str, Any] = {"agreement": 8, "at": AT_TEXT, "sha256": HASH, "v": 1}
    return rfc8785.dumps({name: held for name, held in (value | changes).items() if held is not None})


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        pytest.param(change(v=2), "v", id="newer"),
        pytest.param(change(v=None), "v", id="no v"),
        pytest.param(change(agreement=0), "agreement", id="version 0"),
        pytest.param(change(agreement="8"), "agreement", id="version text"),
        pytest.param(change(at="2026-05-28T20:26:40Z"), "at", id="no digits"),
        pytest.param(change(at="2026-05-28T20:26:40.1234567Z"), "at", id="seven digits"),
        pytest.param(change(at="2026-02-30T20:26:40.123456Z"), "at", id="no such day"),
        pytest.param(change(at="1969-12-31T23:59:59.999999Z"), "at", id="before 1970"),
        pytest.param(change(at="9999-12-31T23:59:59.999999Z"), "at", id="too late"),
        pytest.param(change(at=None), "at", id="no time"),
        pytest.param(change(sha256="A" * 64), "sha256", id="capitals"),
        pytest.param(change(sha256=None), "sha256", id="nothing in it"),
        pytest.param(change(more=1), "JSON", id="one member more"),
        pytest.param(change(roster=HASH), "member", id="two kinds"),
        pytest.param(change(roster=HASH, member="USLAX", sha256=None), "member", id="no name"),
        pytest.param(change(pub={}, by="uslax", sha256=None), "publication", id="no envelope"),
        pytest.param(change(suspend={}, sha256=None), "suspend", id="no suspension"),
        pytest.param(b"", "JSON", id="empty"),
        pytest.param(b"\x00" * 100, "JSON", id="zeros"),
        pytest.param(b" " * 65_536, "bytes", id="too long"),
        pytest.param(change().replace(b'"v":1', b'"v":1,"v":1'), "JSON", id="duplicate"),
        pytest.param(change() + b" ", "JSON", id="space"),
    ],
)
def test_everything_else_is_refused_by_its_field(entry: bytes, field: str) -> None:
    with pytest.raises(BadRecord) as caught:
        leaf.read(entry)
    assert caught.value.field == field


def test_a_signed_statement_has_an_author() -> None:
    payload = attested(indicator(1)).payload.replace(b'"key":""', b'"key":"' + b"b" * 64 + b'"')
    payload = payload.replace(b'"seq":0', b'"seq":1')
    envelope = dsse.Envelope(statement.PAYLOAD_TYPE, payload, (dsse.Signature("k", bytes(64)),))
    assert isinstance(leaf.read(leaf.publication(7, AT, "uslax", envelope)), Publication)
    with pytest.raises(BadRecord, match="`by`"):
        leaf.read(leaf.publication(7, AT, "", envelope))
