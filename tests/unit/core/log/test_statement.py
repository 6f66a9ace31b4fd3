"""Statements: one form only, every refusal names its field; the bytes agree with public libraries."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from typing import Any

import jcs
import pytest
import rfc8785
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.signer._key import Key  # where its types say that it is
from securesystemslib.signer._signature import Signature

from lightship.core import dsse
from lightship.core.collection import STATEMENT_BYTES, WithdrawReason
from lightship.core.log import leaf, statement
from lightship.core.log.record import BadRecord
from lightship.core.log.statement import Add, Statement, Withdrawal, read_envelope, read_payload
from lightship.crypto.sign import new_signing_key, verify
from lightship.storage import statements
from simulator import INDICATORS, add_of, indicator

HUB = "a" * 64
KEY = "b" * 64
DIGEST = "c" * 64
ID = "indicator--11111111-1111-4111-8111-111111111111"
OTHER = "ipv4-addr--11111111-1111-5111-8111-111111111111"
WHEN = "2026-04-01T08:00:00.000Z"
ADD = [ID, WHEN, DIGEST]
WITHDRAW = [OTHER, "", "publisher"]


def value(**changes: Any) -> dict[str, Any]:
    made = {"add": [ADD], "collection": INDICATORS, "hub": HUB, "key": KEY, "prev": "", "seq": 1}
    return made | {"withdraw": [WITHDRAW]} | changes


def read(made: Any) -> Statement:
    return read_payload(rfc8785.dumps(made))


def test_a_statement_is_read_as_it_was_written() -> None:
    made = Statement(
        collection=INDICATORS,
        hub=HUB,
        key=KEY,
        seq=17,
        prev=DIGEST,
        add=(Add(ID, WHEN, DIGEST),),
        withdraw=(Withdrawal(OTHER, "", WithdrawReason.EXPIRED),),
    )
    assert read_payload(made.payload()) == made


def test_the_form_is_the_published_one() -> None:
    payload = Statement(INDICATORS, HUB, KEY, 1, "", (Add(ID, WHEN, DIGEST),)).payload()
    assert payload == (
        b'{"add":[["indicator--11111111-1111-4111-8111-111111111111","2026-04-01T08:00:00.000Z","'
        + b"c" * 64
        + b'"]],"collection":"'
        + INDICATORS.encode()
        + b'","hub":"'
        + b"a" * 64
        + b'","key":"'
        + b"b" * 64
        + b'","prev":"","seq":1,"withdraw":[]}'
    )


def test_payloads_are_what_two_other_canonicalizers_write() -> None:
    chance = random.Random(7)
    for _ in range(300):
        made = Statement(
            INDICATORS,
            HUB,
            KEY,
            chance.randint(2, 2**53 - 1),
            DIGEST,
            tuple(add_of(indicator(n)) for n in range(chance.randint(1, 5))),
            (Withdrawal(OTHER, "", chance.choice(list(WithdrawReason))),),
        )
        again = json.loads(made.payload())
        assert made.payload() == rfc8785.dumps(again) == jcs.canonicalize(again)


def test_statements_of_the_store_have_this_form() -> None:
    entries = [(f"indicator--{n:08x}-1111-4111-8111-111111111111", WHEN, DIGEST) for n in range(300)]
    parts = statements.publication(INDICATORS, HUB, add=entries)
    assert [read_payload(part.body).size for part in parts] == [part.size for part in parts] == [256, 44]
    gone = statements.publication(INDICATORS, HUB, withdraw=[(ID, WHEN, "publisher")])
    assert read_payload(gone[0].body).withdraw == (Withdrawal(ID, WHEN, WithdrawReason.PUBLISHER),)


def test_a_signed_statement_verifies_with_another_library() -> None:
    key = new_signing_key()
    made = Statement(INDICATORS, HUB, key.keyid, 1, "", (Add(ID, WHEN, DIGEST),))
    envelope = statement.sign(made, key.sign)
    theirs = TheirEnvelope.from_dict(json.loads(dsse.encode(envelope)))
    known = Key.from_dict(
        key.keyid,
        {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": key.public.hex()}},
    )
    assert theirs.pae() == envelope.signed_bytes
    assert set(theirs.verify([known], 1)) == {key.keyid}


def test_what_another_library_signs_verifies_here() -> None:
    key = new_signing_key()
    payload = Statement(INDICATORS, HUB, key.keyid, 1, "", (Add(ID, WHEN, DIGEST),)).payload()
    theirs = TheirEnvelope(payload, statement.PAYLOAD_TYPE, {})
    theirs.signatures[key.keyid] = Signature(key.keyid, key.sign(theirs.pae()).hex())
    envelope, found = read_envelope(theirs.to_dict(), signed=True)
    assert found.key == key.keyid
    assert verify(key.public, envelope.signatures[0].sig, envelope.signed_bytes)


WRONG: dict[str, list[tuple[str, Any]]] = {
    "add": [
        ("add", None),
        ("add", [[ID, WHEN]]),
        ("add", [["indicator", WHEN, DIGEST]]),
        ("add", [[ID, "yesterday", DIGEST]]),
        ("add", [[ID, None, DIGEST]]),
        ("add", [[ID, WHEN, "C" * 64]]),
        ("add", [ADD] * 257),
        ("add", [ADD, ADD]),
        ("add", [ADD, [ID, "2026-04-01T08:00:00Z", "d" * 64]]),
    ],
    "withdraw": [("withdraw", [[OTHER, "", "boredom"]]), ("withdraw", {})],
    "collection": [("collection", "indicators"), ("collection", INDICATORS.upper())],
    "hub": [("hub", ""), ("hub", "A" * 64), ("hub", 1)],
    "key": [("key", "k"), ("key", None)],
    "seq": [("seq", 0), ("seq", -1), ("seq", True), ("seq", "1"), ("seq", 2**53)],
    "prev": [("prev", DIGEST), ("prev", "x")],
}


@pytest.mark.parametrize(
    ("field", "member", "held"),
    [
        pytest.param(field, *one, id=f"{field}-{n}")
        for field, many in WRONG.items()
        for n, one in enumerate(many)
    ],
)
def test_every_refusal_names_its_field(field: str, member: str, held: Any) -> None:
    made = json.dumps(value(**{member: held}), sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(BadRecord) as caught:
        read_payload(made)
    assert caught.value.kind == "statement"
    assert caught.value.field.startswith(field) or caught.value.field == "JSON"


def test_the_second_statement_of_a_key_names_the_first() -> None:
    with pytest.raises(BadRecord, match="`prev`"):
        read(value(seq=2))
    assert read(value(seq=2, prev=DIGEST)).prev == DIGEST


def test_members_are_exactly_these() -> None:
    for name in value():
        less = value()
        del less[name]
        with pytest.raises(BadRecord, match=f"`{name}` is missing"):
            read(less)
    with pytest.raises(BadRecord, match="not known: 'more'"):
        read(value(more=1))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda text: text.replace(b'"seq":1', b'"seq":1.0'), id="1.0"),
        pytest.param(lambda text: text.replace(b",", b", ", 1), id="space"),
        pytest.param(lambda text: text.replace(b'"seq":1', b'"seq":1,"seq":1'), id="duplicate"),
        pytest.param(lambda text: text + b"\n", id="newline"),
        pytest.param(lambda text: text.replace(b'"key"', b'"\\u006bey"'), id="escape"),
        pytest.param(lambda text: b"\xef\xbb\xbf" + text, id="byte order mark"),
        pytest.param(lambda text: text[:-1], id="cut"),
        pytest.param(lambda text: b"[" * 5000, id="nesting"),
        pytest.param(lambda text: b"[]", id="array"),
    ],
)
def test_only_canonical_json_is_read(spoil: Any) -> None:
    with pytest.raises(BadRecord, match=r"JSON|`seq`"):
        read_payload(spoil(rfc8785.dumps(value())))


def test_bounds_of_a_statement() -> None:
    most = [[f"indicator--{n:08x}-1111-4111-8111-111111111111", WHEN, DIGEST] for n in range(257)]
    assert read(value(add=most[:255])).size == 256
    with pytest.raises(BadRecord, match="1 to 256 entries together"):
        read(value(add=most[:256]))
    with pytest.raises(BadRecord, match="1 to 256 entries together"):
        read(value(add=[], withdraw=[]))
    long = [[f"x-{'y' * 190}--{n:08x}-1111-4111-8111-111111111111", WHEN, DIGEST] for n in range(150)]
    with pytest.raises(BadRecord, match=f"more than {STATEMENT_BYTES}"):
        read(value(add=long))


def test_a_member_withdraws_for_reasons_of_its_own_only() -> None:
    for reason in ("ordered", "distrusted"):
        with pytest.raises(BadRecord, match="must have a reason: publisher, expired"):
            read(value(withdraw=[[OTHER, "", reason]]))
        attested = value(withdraw=[[OTHER, "", reason]], key="", seq=0)
        assert read(attested).withdraw[0].reason == reason


def test_an_unsigned_statement_has_no_key_and_a_signed_one_has() -> None:
    key = new_signing_key()
    signed = statement.sign(Statement(INDICATORS, HUB, key.keyid, 1, "", (Add(ID, WHEN, DIGEST),)), key.sign)
    with pytest.raises(BadRecord, match="`key`"):
        read_envelope(dsse.as_value(replace(signed, signatures=())), signed=False)
    attested = statement.attested(Statement(INDICATORS, HUB, add=(Add(ID, WHEN, DIGEST),)).payload())
    assert read_envelope(dsse.as_value(attested), signed=False)[1].key == ""
    with pytest.raises(BadRecord, match="signatures: need 1 to 2"):
        read_envelope(dsse.as_value(attested), signed=True)
    with pytest.raises(BadRecord, match="`key`"):
        read_envelope(dsse.as_value(replace(attested, signatures=signed.signatures)), signed=False)


def test_an_envelope_has_two_signatures_at_most_and_short_ones() -> None:
    one = dsse.Signature("k", bytes(64))
    payload = rfc8785.dumps(value())

    def read_with(*signatures: dsse.Signature) -> Any:
        made = dsse.Envelope(statement.PAYLOAD_TYPE, payload, signatures)
        return read_envelope(dsse.as_value(made), signed=True)

    assert len(read_with(one, one)[0].signatures) == 2
    for signatures, field in (
        ((one, one, one), "signatures: need 1 to 2"),
        ((dsse.Signature("k", b""),), r"signatures\[0\].sig"),
        ((one, dsse.Signature("k", bytes(2421))), r"signatures\[1\].sig"),
        ((dsse.Signature("k" * 65, bytes(64)),), r"signatures\[0\].keyid"),
        ((dsse.Signature("é", bytes(64)),), r"signatures\[0\].keyid"),
    ):
        with pytest.raises(BadRecord, match=field):
            read_with(*signatures)


def test_what_cannot_be_logged_is_not_signed() -> None:
    def never(message: bytes) -> bytes:
        raise AssertionError("nothing must be signed")

    with pytest.raises(BadRecord, match="1 to 256 entries"):
        statement.sign(Statement(INDICATORS, HUB, KEY, 1, ""), never)


def test_the_largest_signed_statement_fits_an_entry_of_the_log() -> None:
    key = new_signing_key()
    entries: list[Add] = []
    while True:
        number = len(entries)
        more = [*entries, Add(f"x-{'y' * 80}--{number:08x}-1111-4111-8111-111111111111", WHEN, DIGEST)]
        if len(Statement(INDICATORS, HUB, key.keyid, 1, "", tuple(more)).payload()) > STATEMENT_BYTES:
            break
        entries = more
    assert len(entries) < 256
    envelope = statement.sign(Statement(INDICATORS, HUB, key.keyid, 1, "", tuple(entries)), key.sign)
    envelope = replace(envelope, signatures=(*envelope.signatures, dsse.Signature("k" * 64, bytes(2420))))
    entry = leaf.publication(1_000_000, 2**51, "m" * 63, envelope)
    assert len(entry) <= leaf.MAX_ENTRY
    assert leaf.read(entry).size == len(entries)
    two = replace(envelope, signatures=(dsse.Signature("k" * 64, bytes(2420)),) * 2)
    with pytest.raises(BadRecord, match="65535"):
        leaf.publication(1, 1, "uslax", two)


def test_the_digest_chains_statements() -> None:
    payload = rfc8785.dumps(value())
    assert statement.digest_of(payload) == hashlib.sha256(payload).hexdigest()
