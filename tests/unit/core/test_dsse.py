"""DSSE envelopes: the published encoding, and everything that is not exactly one."""

from __future__ import annotations

import json

import pytest

from governance_samples import b64
from lightship.core import dsse

KIND = "application/x"


def envelope(**changes: object) -> bytes:
    value: dict[str, object] = {
        "payload": b64(b"{}"),
        "payloadType": KIND,
        "signatures": [{"keyid": "k", "sig": b64(b"sig")}],
    }
    value.update(changes)
    return json.dumps({key: held for key, held in value.items() if held is not None}).encode()


def test_the_published_example_of_the_pre_authentication_encoding() -> None:
    # protocol.md of secure-systems-lab/dsse, "Test vectors"
    assert (
        dsse.pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_lengths_are_bytes_not_characters() -> None:
    assert dsse.pae("é", "ü".encode()) == b"DSSEv1 2 \xc3\xa9 2 \xc3\xbc"


def test_what_is_encoded_is_decoded() -> None:
    made = dsse.Envelope(KIND, b'{"a":1}', (dsse.Signature("k", b"\x00\xff"), dsse.Signature("l", b"")))
    assert dsse.decode(dsse.encode(made), payload_type=KIND) == made


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"{" * 100_000, id="nesting"),
        pytest.param(b"\xff\xfe{}", id="not UTF-8"),
        pytest.param(b"\xef\xbb\xbf" + envelope(), id="byte order mark"),
        pytest.param(envelope(extra=1), id="one member more"),
        pytest.param(envelope(signatures=None), id="no signatures member"),
        pytest.param(envelope(signatures=[]), id="no signature"),
        pytest.param(envelope(signatures={}), id="signatures no list"),
        pytest.param(envelope(signatures=[{"keyid": "k", "sig": b64(b"s")}] * 33), id="33 signatures"),
        pytest.param(envelope(signatures=[{"sig": b64(b"s")}]), id="no keyid"),
        pytest.param(envelope(signatures=[{"keyid": 1, "sig": b64(b"s")}]), id="keyid a number"),
        pytest.param(envelope(signatures=[{"keyid": "k", "sig": b64(b"s"), "cert": ""}]), id="certificate"),
        pytest.param(envelope(payloadType="application/y"), id="wrong payloadType"),
        pytest.param(envelope(payload="e30"), id="base64 without padding"),
        pytest.param(envelope(payload="e31="), id="base64 with loose bits"),
        pytest.param(envelope(payload="e3 0="), id="base64 with a blank"),
        pytest.param(envelope(payload="e30=\n"), id="base64 with a line end"),
        pytest.param(envelope(payload="-_8="), id="base64 of the URL alphabet"),
        pytest.param(envelope(payload="é"), id="base64 not ASCII"),
        pytest.param(envelope(payload=7), id="payload a number"),
        pytest.param(envelope()[:-1] + b',"payload":"e30="}', id="duplicate member"),
    ],
)
def test_anything_but_one_exact_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(dsse.BadEnvelope):
        dsse.decode(data, payload_type=KIND)


def test_an_envelope_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(dsse.BadEnvelope, match="too large"):
        dsse.decode(b" " * (dsse.MAX_ENVELOPE + 1), payload_type=KIND)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a": 1}',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":1.0}',
        b'{"a":"\\u0041"}',
        b'{"a":NaN}',
        b'{"a":9007199254740993}',
        b"[]",
        b"",
        b'{"a":"\\ud800"}',
    ],
)
def test_a_payload_that_is_not_its_own_canonical_form_is_refused(payload: bytes) -> None:
    with pytest.raises(dsse.BadEnvelope):
        dsse.parse_canonical(payload)


def test_canonical_payloads_are_read() -> None:
    assert dsse.parse_canonical('{"a":"é","b":[1,true,null]}'.encode()) == {"a": "é", "b": [1, True, None]}
