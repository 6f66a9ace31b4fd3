"""Certificates of clients: the pin of their key, what a connection showed, and issuing them (RFC 5280, 5758).

A pin is the lower-case hex SHA-256 of a public key as DER SubjectPublicKeyInfo. It is what authority hangs
on; the certificate around the key, and who issued it, is transport. Pure; time is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from lightship.core.access import ClientCertificate
from lightship.core.time import MAX_MICROS, Micros
from lightship.crypto import certificates
from lightship.crypto.certificates import Issued, Profile

_NO_KEY = "there is no PEM certificate and no PEM public key in it"


@dataclass(frozen=True, slots=True)
class Pinned:
    """A pin and what it was read from. `not_after` (microseconds) is None for a bare public key.

    `why_not` says in words why TLS will not take the certificate from a client, empty if it may.
    """

    pin: str
    subject: str = ""
    not_after: Micros | None = None
    why_not: str = ""


def client_certificate(der: bytes) -> ClientCertificate:
    """Return what a connection's certificate comes to; its chain was verified by TLS.

    Never raises: a key of a kind that cannot be read has no pin, and so is nobody's.
    """
    try:
        found = x509.load_der_x509_certificate(der)
        return ClientCertificate(_pin(found.public_key()), _micros(found))
    except Exception:  # whatever a parser dislikes in what a stranger sent
        return ClientCertificate("", MAX_MICROS)


def read_pin(content: bytes, now: Micros) -> Pinned:
    """Return the pin of a PEM text: its first certificate's, or a public key's.

    Raises:
        ValueError: it holds neither, or a key of a kind that cannot be used. A private key is not taken.
    """
    try:
        if b"-----BEGIN CERTIFICATE-----" in content:
            found = x509.load_pem_x509_certificates(content)[0]
            subject = found.subject.rfc4514_string()
            return Pinned(_pin(found.public_key()), subject, _micros(found), _why_not(found, now))
        if b"-----BEGIN PUBLIC KEY-----" in content:
            return Pinned(_pin(serialization.load_pem_public_key(content)))
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(_NO_KEY) from None
    raise ValueError(_NO_KEY)


def issued_by(content: bytes, authorities: bytes) -> bool:
    """True if one of these authorities (PEM) signed the first certificate of a PEM, or is the same one.

    With intermediate authorities in between it is False: only TLS follows a whole chain.
    """
    found = x509.load_pem_x509_certificates(content)[0]
    for one in x509.load_pem_x509_certificates(authorities):
        try:
            found.verify_directly_issued_by(one)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            if found == one:
                return True
            continue
        return True
    return False


def authorities_in(bundle: bytes) -> Sequence[tuple[str, Micros]]:
    """Return the subject and the end (microseconds) of each certificate of a PEM bundle.

    Raises:
        ValueError: there is none in it.
    """
    try:
        found = x509.load_pem_x509_certificates(bundle)
    except ValueError:
        raise ValueError("there is no PEM certificate in it") from None
    return [(one.subject.rfc4514_string(), _micros(one)) for one in found]


def issue_client(
    profile: Profile, name: str, uri: str, days: int | None, now: Micros, authority: Issued
) -> tuple[Issued, ClientCertificate]:
    """Issue a client certificate with a fresh key.

    Args:
        profile: `client`.
        name: its common name.
        uri: what stands as its SAN: names of hosts are for servers.
        days: how long it lasts, the profile's days at most; None for as many.
        now: microseconds.
        authority: who signs.

    Raises:
        ValueError: too many days, or an authority that cannot be read.
    """
    if days is not None and not 1 <= days <= profile.days:
        raise ValueError(f"a client certificate lasts 1 to {profile.days} days")
    made = certificates.issue(
        replace(profile, days=days or profile.days), (uri,), now, issuer=authority, common_name=name
    )
    found = x509.load_pem_x509_certificate(made.certificate)
    return made, ClientCertificate(_pin(found.public_key()), _micros(found))


def _why_not(found: x509.Certificate, now: Micros) -> str:
    try:
        purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        purposes = None
    if purposes is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
        return "its extended key usage does not name client authentication"
    if _micros(found) <= now:
        return f"it expired on {found.not_valid_after_utc:%Y-%m-%d}"
    return ""


def _pin(key: object) -> str:
    return sha256(certificates.public_bytes(key)).hexdigest()


def _micros(found: x509.Certificate) -> Micros:
    return Micros(int(found.not_valid_after_utc.timestamp()) * 1_000_000)
