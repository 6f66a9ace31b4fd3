"""Attacks on the signed chain of an agreement, each named after what it tries."""

from __future__ import annotations

import hashlib
import json

import pytest

from governance_samples import b64, content, seal, signed
from lightship.core import dsse
from lightship.core.agreement import PAYLOAD_TYPE, BadChain, Chain
from lightship.core.agreement.chain import key_text, make_root, read_key_text, read_root
from lightship.core.dsse import BadEnvelope
from lightship.core.errors import CallerError
from lightship.crypto.sign import SigningKey, new_signing_key, verify


@pytest.fixture(name="hub")
def _hub() -> SigningKey:
    return new_signing_key()


@pytest.fixture(name="chain")
def _chain(hub: SigningKey) -> Chain:
    """A chain with version 1 in it."""
    chain = Chain("la-lb-mou", verify)
    chain.append(signed(content({"hub": hub}), hub)[0])
    return chain


def refused(
    chain: Chain, envelope: bytes, kind: type[CallerError] = BadChain, match: str | None = None
) -> None:
    """The envelope is refused, and the chain is as it was."""
    before = (chain.last, chain.hub)
    with pytest.raises(kind, match=match):
        chain.append(envelope)
    assert (chain.last, chain.hub) == before


def next_of(chain: Chain, keys: dict[str, SigningKey], **changes: object) -> dict[str, object]:
    assert chain.last is not None
    value = content(keys, version=chain.last.version + 1, prev=chain.last.digest)
    return {**value, **changes}


def test_version_after_version_is_taken(chain: Chain, hub: SigningKey) -> None:
    first = chain.last
    assert first is not None
    assert chain.hub == first.digest
    for version in (2, 3):
        link = chain.append(signed(next_of(chain, {"hub": hub}), hub)[0])
        assert link.version == version
    assert chain.hub == first.digest
    assert chain.last is not None
    assert chain.last.root.text == "steward alone (1 of 1)"


def test_rollback(chain: Chain, hub: SigningKey) -> None:
    old = signed(next_of(chain, {"hub": hub}), hub)[0]
    chain.append(old)
    refused(chain, old, match="version 3 must be the next one")


def test_skip(chain: Chain, hub: SigningKey) -> None:
    refused(chain, signed(next_of(chain, {"hub": hub}, version=3), hub)[0], match="version 2 must be")


def test_first_version_is_not_one(hub: SigningKey) -> None:
    refused(Chain("la-lb-mou", verify), signed(content({"hub": hub}, version=2), hub)[0])
    refused(Chain("la-lb-mou", verify), signed(content({"hub": hub}, prev="0" * 64), hub)[0])


@pytest.mark.parametrize("version", [0, -1, True, 2.5, "2", None, 10**7])
def test_version_that_is_no_number(chain: Chain, hub: SigningKey, version: object) -> None:
    value = next_of(chain, {"hub": hub}, version=version)
    with pytest.raises(CallerError):
        chain.append(signed(value, hub)[0])


def test_history_rewritten(chain: Chain, hub: SigningKey) -> None:
    refused(chain, signed(next_of(chain, {"hub": hub}, prev="0" * 64), hub)[0], match="prev")


def test_another_agreements_chain(chain: Chain, hub: SigningKey) -> None:
    value = next_of(chain, {"hub": hub}, id="san-pedro-stakeholders")
    refused(chain, signed(value, hub)[0], match="another agreement")


def test_bad_signature(chain: Chain, hub: SigningKey) -> None:
    payload = dsse.canonical(next_of(chain, {"hub": hub}))
    flipped = bytearray(hub.sign(dsse.pae(PAYLOAD_TYPE, payload)))
    flipped[7] ^= 1
    envelope = dsse.Envelope(PAYLOAD_TYPE, payload, (dsse.Signature(hub.keyid, bytes(flipped)),))
    refused(chain, dsse.encode(envelope), match="Too few")


def test_signature_over_the_bare_payload(chain: Chain, hub: SigningKey) -> None:
    payload = dsse.canonical(next_of(chain, {"hub": hub}))
    envelope = dsse.Envelope(PAYLOAD_TYPE, payload, (dsse.Signature(hub.keyid, hub.sign(payload)),))
    refused(chain, dsse.encode(envelope), match="Too few")


def test_signature_moved_from_another_payload_type(chain: Chain, hub: SigningKey) -> None:
    payload = dsse.canonical(next_of(chain, {"hub": hub}))
    other = "application/vnd.lightship.publication.v1+json"
    moved = dsse.Signature(hub.keyid, hub.sign(dsse.pae(other, payload)))
    refused(chain, dsse.encode(dsse.Envelope(PAYLOAD_TYPE, payload, (moved,))), match="Too few")


def test_wrong_payload_type(chain: Chain, hub: SigningKey) -> None:
    payload = dsse.canonical(next_of(chain, {"hub": hub}))
    refused(chain, seal(payload, hub, payload_type="application/json"), BadEnvelope)


def test_payload_not_its_own_canonical_form(chain: Chain, hub: SigningKey) -> None:
    payload = json.dumps(next_of(chain, {"hub": hub})).encode()
    refused(chain, seal(payload, hub), BadEnvelope, "canonical")


def test_base64_that_is_not_canonical(chain: Chain, hub: SigningKey) -> None:
    good = seal(dsse.canonical(next_of(chain, {"hub": hub})), hub)
    value = json.loads(good)
    value["signatures"][0]["sig"] = value["signatures"][0]["sig"].rstrip("=")
    refused(chain, json.dumps(value).encode(), BadEnvelope)


def test_payload_altered_by_one_byte(chain: Chain, hub: SigningKey) -> None:
    value = json.loads(seal(dsse.canonical(next_of(chain, {"hub": hub})), hub))
    payload = dsse.canonical(next_of(chain, {"hub": hub}, title="Cybersecurity sharing, San Pedro Bax"))
    value["payload"] = b64(payload)
    refused(chain, json.dumps(value).encode(), match="Too few")


def test_stranger_signs(chain: Chain, hub: SigningKey) -> None:
    refused(chain, signed(next_of(chain, {"hub": hub}), new_signing_key())[0], match="Too few")


def test_stranger_signs_under_the_hubs_key_id(chain: Chain, hub: SigningKey) -> None:
    payload = dsse.canonical(next_of(chain, {"hub": hub}))
    forged = dsse.Signature(hub.keyid, new_signing_key().sign(dsse.pae(PAYLOAD_TYPE, payload)))
    refused(chain, dsse.encode(dsse.Envelope(PAYLOAD_TYPE, payload, (forged,))), match="Too few")


def test_root_seized_with_the_new_key_alone(chain: Chain, hub: SigningKey) -> None:
    thief = new_signing_key()
    value = next_of(chain, {"hub": thief})
    refused(chain, signed(value, thief)[0], match="Too few")  # not valid under version 1's root


def test_root_changed_without_the_new_keys_consent(chain: Chain, hub: SigningKey) -> None:
    value = next_of(chain, {"hub": new_signing_key()})
    refused(chain, signed(value, hub)[0], match="Too few")  # not valid under its own root


def test_root_changes_with_both(chain: Chain, hub: SigningKey) -> None:
    new = new_signing_key()
    chain.append(signed(next_of(chain, {"hub": new}), hub, new)[0])
    refused(chain, signed(next_of(chain, {"hub": new}), hub)[0], match="Too few")
    chain.append(signed(next_of(chain, {"hub": new}), new)[0])


@pytest.fixture(name="pair")
def _pair() -> dict[str, SigningKey]:
    return {"uslax": new_signing_key(), "uslgb": new_signing_key()}


def test_one_key_counted_twice(pair: dict[str, SigningKey]) -> None:
    lax, lgb = pair.values()
    envelope, _ = signed(content(pair, threshold=2), lax, lax)
    refused(Chain("la-lb-mou", verify), envelope, match="1 of 2")
    chain = Chain("la-lb-mou", verify)
    assert chain.append(signed(content(pair, threshold=2), lax, lgb)[0]).root.text == "2 of 2 parties"


def test_one_party_counted_twice_with_two_keys(pair: dict[str, SigningKey]) -> None:
    lax, lgb = pair.values()
    second = new_signing_key()
    value = content(pair, threshold=2)
    value["root"]["keys"][second.keyid] = {"alg": "ed25519", "key": b64(second.public), "party": "uslax"}
    refused(Chain("la-lb-mou", verify), signed(value, lax, second)[0], match="1 of 2")
    Chain("la-lb-mou", verify).append(signed(value, second, lgb)[0])


def test_threshold_lowered_by_one_rogue_officer(pair: dict[str, SigningKey]) -> None:
    lax, lgb = pair.values()
    chain = Chain("la-lb-mou", verify)
    chain.append(signed(content(pair, threshold=2), lax, lgb)[0])
    assert chain.last is not None
    lowered = content(pair, version=2, prev=chain.last.digest, threshold=1)
    refused(chain, signed(lowered, lax)[0], match="1 of 2")
    chain.append(signed(lowered, lax, lgb)[0])


def test_chain_of_another_root_where_one_is_pinned(hub: SigningKey) -> None:
    thief = new_signing_key()
    envelope, digest = signed(content({"hub": thief}), thief)
    refused(Chain("la-lb-mou", verify, pinned_key=hub.keyid), envelope, match="not this hub's")
    refused(Chain("la-lb-mou", verify, hub="0" * 64), envelope, match="not the pinned one")
    Chain("la-lb-mou", verify, pinned_key=thief.keyid, hub=digest).append(envelope)


def test_pinned_key_named_but_not_signing(hub: SigningKey) -> None:
    thief = new_signing_key()
    envelope, _ = signed(content({"hub": thief, "uslax": hub}), thief)
    refused(Chain("la-lb-mou", verify, pinned_key=hub.keyid), envelope, match="did not sign")


def _key(one: SigningKey, /, **changes: object) -> dict[str, object]:
    return {"alg": "ed25519", "key": b64(one.public), "party": "hub", **changes}


def test_roots_that_cannot_be(hub: SigningKey) -> None:
    good = make_root(1, {"hub": key_text(hub.public)})
    assert read_root(good).parties == {"hub"}
    other = new_signing_key()
    for bad in (
        None,
        {},
        {**good, "extra": 1},
        {**good, "threshold": 2},
        {**good, "threshold": 0},
        {**good, "threshold": True},
        {**good, "distinct_parties": False},
        {**good, "distinct_parties": 1},
        {**good, "keys": {}},
        {**good, "keys": []},
        {**good, "keys": [hub.keyid]},
        {**good, "keys": {hub.keyid: "ed25519"}},
        {**good, "keys": {"0" * 64: _key(hub)}},
        {**good, "keys": {hub.keyid: _key(other)}},
        {**good, "keys": {hub.keyid: _key(hub, alg="rsa")}},
        {**good, "keys": {hub.keyid: _key(hub, party=1)}},
        {**good, "keys": {hub.keyid: _key(hub, key=b64(hub.public)[:-1])}},
        {**good, "keys": {hub.keyid: _key(hub, extra=1)}},
    ):
        with pytest.raises(BadChain):
            read_root(bad)


def test_an_authority_is_named_as_it_is(pair: dict[str, SigningKey], hub: SigningKey) -> None:
    def named(threshold: int, **keys: SigningKey) -> str:
        return read_root(make_root(threshold, {one: key_text(key.public) for one, key in keys.items()})).text

    lax, lgb = pair.values()
    assert named(1, hub=hub) == "steward alone (1 of 1)"
    assert named(1, uslax=lax) == "1 of 1 parties"
    assert named(1, hub=hub, uslax=lax) == "1 of 2 parties"
    assert named(2, uslax=lax, uslgb=lgb) == "2 of 2 parties"


def test_key_texts_have_one_spelling() -> None:
    text = key_text(bytes(range(32)))
    loose = text[:-2] + chr(ord(text[-2]) + 1) + "="  # the same 32 bytes, two loose bits set
    assert read_key_text(loose) is None
    assert read_key_text(text) == bytes(range(32))
    for bad in ("", text[8:], text + "=", text[:-1], text.upper(), "ed25519:" + b64(b"short"), f" {text}"):
        assert read_key_text(bad) is None


def test_the_digest_names_the_payload(chain: Chain) -> None:
    assert chain.last is not None
    assert hashlib.sha256(chain.last.payload).hexdigest() == chain.last.digest
