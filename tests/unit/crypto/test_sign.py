"""Ed25519 keys: RFC 8032's vector, refusals, and nothing private that shows."""

from __future__ import annotations

import copy
import hashlib
import pickle

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lightship import data
from lightship.core.time import Micros
from lightship.crypto import certificates
from lightship.crypto.client_certificates import read_pin
from lightship.crypto.sign import SigningKey, new_signing_key, read_signing_key, verify

# RFC 8032 section 7.1, test 2
SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_the_published_vector() -> None:
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(SECRET))
    assert key.public == PUBLIC
    assert key.sign(b"\x72") == SIGNATURE
    assert verify(PUBLIC, SIGNATURE, b"\x72")
    assert key.keyid == hashlib.sha256(PUBLIC).hexdigest()


def test_what_does_not_hold_is_false_and_never_an_error() -> None:
    assert not verify(PUBLIC, SIGNATURE, b"\x73")
    assert not verify(new_signing_key().public, SIGNATURE, b"\x72")
    assert not verify(PUBLIC, SIGNATURE[:-1], b"\x72")
    assert not verify(b"", SIGNATURE, b"\x72")
    assert not verify(PUBLIC, b"", b"")


def test_a_key_survives_its_pem() -> None:
    key = new_signing_key()
    assert read_signing_key(key.pem()).public == key.public


def test_a_private_key_shows_nowhere() -> None:
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(SECRET))
    body = key.pem().decode().splitlines()[1]
    for shown in (repr(key), str(key), f"{key}"):
        assert SECRET.hex() not in shown
        assert body not in shown
    with pytest.raises(TypeError):
        pickle.dumps(key)
    with pytest.raises(TypeError):
        copy.copy(key)


def test_no_key_is_refused_without_repeating_it() -> None:
    password = serialization.BestAvailableEncryption(b"x")
    locked = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, password
    )
    profile = certificates.read_profile(data.cert_profile("server"))
    p256 = certificates.issue(profile, ["localhost"], Micros(1_780_000_000_000_000)).key
    for bad in (b"", b"hunter2", locked, p256, new_signing_key().pem()[:-40]):
        with pytest.raises(ValueError, match=r"holds no unencrypted|not an Ed25519") as caught:
            read_signing_key(bad)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__cause__ is None


def test_a_pin_is_of_the_public_key_not_of_the_certificate() -> None:
    profile = certificates.read_profile(data.cert_profile("client"))
    now = Micros(1_780_000_000_000_000)
    first = certificates.issue(profile, ["soc"], now)
    again = certificates.issue(profile, ["soc"], Micros(now + 10**12), key=first.key)
    assert first.certificate != again.certificate
    assert read_pin(first.certificate, now).pin == read_pin(again.certificate, now).pin
    spki = (
        x509.load_pem_x509_certificate(first.certificate)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    assert read_pin(first.certificate, now).pin == hashlib.sha256(spki).hexdigest()
