"""Pins: the same as other tools make, of the key and not of the certificate; strange files end in words."""

from __future__ import annotations

import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from lightship.core.access import ClientCertificate
from lightship.core.time import MAX_MICROS, Micros
from lightship.crypto import certificates
from lightship.crypto.certificates import Issued, issue, read_profile
from lightship.crypto.client_certificates import (
    authorities_in,
    client_certificate,
    issue_client,
    issued_by,
    read_pin,
)
from lightship.data import cert_profile

NOW = Micros(1_780_000_000_000_000)
DAY = 86_400 * 1_000_000
PROFILE = read_profile(cert_profile("client"))


@pytest.fixture(name="root", scope="module")
def _root() -> Issued:
    return issue(read_profile(cert_profile("root")), ("hub.example", "localhost"), NOW)


def made(root: Issued, days: int | None = None, now: Micros = NOW) -> tuple[Issued, ClientCertificate]:
    return issue_client(PROFILE, "uslax-siem", "https://hub.example/a/#uslax-siem", days, now, root)


def test_the_pin_is_what_openssl_makes_of_the_public_key(root: Issued, tmp_path: Path) -> None:
    one, shown = made(root)
    (tmp_path / "c.pem").write_bytes(one.certificate)
    public = subprocess.run(
        ["openssl", "x509", "-in", str(tmp_path / "c.pem"), "-noout", "-pubkey"],
        capture_output=True,
        check=True,
    ).stdout
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "der"], input=public, capture_output=True, check=True
    ).stdout
    assert shown.pin == sha256(der).hexdigest()
    assert read_pin(one.certificate, NOW).pin == read_pin(public, NOW).pin == shown.pin
    assert read_pin(public, NOW).not_after is None


def test_a_renewal_with_the_same_key_keeps_the_pin_and_another_key_does_not(root: Issued) -> None:
    one, shown = made(root)
    renewed = issue(PROFILE, ("https://x/#y",), Micros(NOW + 60 * DAY), issuer=root, key=one.key)
    again = read_pin(renewed.certificate, NOW)
    assert again.pin == shown.pin
    assert again.not_after == shown.not_after + 60 * DAY
    assert made(root)[1].pin != shown.pin


def test_a_client_certificate_lasts_90_days_at_most_and_never_longer_than_its_authority(root: Issued) -> None:
    assert made(root)[1].not_after == NOW + 90 * DAY
    assert made(root, 30)[1].not_after == NOW + 30 * DAY
    for days in (0, 91):
        with pytest.raises(ValueError, match="1 to 90 days"):
            made(root, days)
    ends = certificates.facts(root.certificate).not_after
    assert made(root, 90, Micros(ends - DAY))[1].not_after == ends


def test_what_tls_will_not_take_is_said(root: Issued) -> None:
    server = issue(read_profile(cert_profile("server")), ("localhost",), NOW, issuer=root)
    assert "client authentication" in read_pin(server.certificate, NOW).why_not
    one, _ = made(root, 1)
    assert read_pin(one.certificate, NOW).why_not == ""
    assert "expired" in read_pin(one.certificate, Micros(NOW + DAY)).why_not
    assert issued_by(one.certificate, root.certificate)
    other = issue(read_profile(cert_profile("root")), ("hub.example",), NOW)
    assert not issued_by(one.certificate, other.certificate)
    assert issued_by(other.certificate, root.certificate + other.certificate)
    assert len(authorities_in(root.certificate + other.certificate)) == 2


@pytest.mark.parametrize("garbage", [b"", b"\x30", b"\x30\x82\xff\xff", bytes(2_000), b"-----BEGIN"])
def test_a_certificate_that_cannot_be_read_is_nobodys_and_no_error(garbage: bytes) -> None:
    assert client_certificate(garbage) == ClientCertificate("", MAX_MICROS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    ],
    ids=["empty", "binary", "bad certificate", "bad key", "private key"],
)
def test_a_file_without_a_pin_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(ValueError, match="no PEM certificate and no PEM public key"):
        read_pin(content, NOW)
    with pytest.raises(ValueError, match="no PEM certificate"):
        authorities_in(b"nothing")
