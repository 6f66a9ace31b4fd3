"""X.509 certificates from profiles (RFC 5280): a private authority, what it issues, checks of given pairs.

Every certificate has AKI and SKI, EKU where it is no authority, and a SAN that is critical when the subject
is empty. Certificates are for transport only: no right in an agreement hangs on one. Pure apart from the
operating system's randomness; touches no files; time is an argument.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lightship.core.time import Micros

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
"""The kinds of keys that TLS servers have."""
SKEW = timedelta(hours=1)
"""How far `not_before` lies back, for clients whose clock is behind."""

_KEYS: Final = ("p256", "ed25519")
_USAGES: Final = ("digital_signature", "content_commitment", "key_cert_sign", "crl_sign")
_EXTENDED: Final = {
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "document_signing": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36"),
}
_FIELDS: Final = {
    "common_name": str,
    "key": str,
    "days": int,
    "ca": bool,
    "path_length": int,
    "name_constraints": bool,
    "key_usage": list,
    "extended_key_usage": list,
}


@dataclass(frozen=True, slots=True)
class Profile:
    """What a kind of certificate is like; `{host}` in `common_name` stands for its first name."""

    common_name: str
    key: str
    days: int
    ca: bool
    name_constraints: bool
    key_usage: tuple[str, ...]
    extended_key_usage: tuple[str, ...]
    path_length: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Issued:
    """A certificate and its private key, both PEM; prints neither."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Facts:
    """What a certificate says: the names it is for and until when it holds (microseconds)."""

    names: tuple[str, ...]
    not_before: Micros
    not_after: Micros
    issuer: str
    subject: str


def read_profile(text: str) -> Profile:
    """Return the profile in a TOML text.

    Raises:
        ValueError: a key is missing, unknown or of the wrong kind.
    """
    raw = tomllib.loads(text)
    for name, value in raw.items():
        if name not in _FIELDS or type(value) is not _FIELDS[name]:
            raise ValueError(f"`{name}` of the certificate profile cannot be used")
    missing = set(_FIELDS) - {"path_length"} - set(raw)
    wrong = set(raw.get("key_usage", ())) - set(_USAGES) | set(raw.get("extended_key_usage", ())) - set(
        _EXTENDED
    )
    if missing or wrong or raw["key"] not in _KEYS or not 1 <= raw["days"] <= 7300:
        raise ValueError(
            f"the certificate profile cannot be used: {sorted(missing | wrong) or 'key or days'}"
        )
    return Profile(
        **{
            **raw,
            "key_usage": tuple(raw["key_usage"]),
            "extended_key_usage": tuple(raw["extended_key_usage"]),
        }
    )


def issue(
    profile: Profile,
    hosts: Sequence[str],
    now: Micros,
    *,
    issuer: Issued | None = None,
    key: bytes | None = None,
    common_name: str = "",
) -> Issued:
    """Issue a certificate.

    Args:
        profile: what kind.
        hosts: DNS names, addresses and URIs, the first one is its name; an authority is constrained to them.
        now: microseconds.
        issuer: the authority that signs; None signs it with its own key.
        key: an existing private key (PEM) to certify again; None makes one.
        common_name: stands in the subject instead of the first of `hosts`.

    Raises:
        ValueError: no hosts, or a key that cannot be read.
    """
    if not hosts:
        raise ValueError("a certificate needs a name")
    private = _private(key) if key is not None else _new_key(profile.key)
    authority = None if issuer is None else x509.load_pem_x509_certificate(issuer.certificate)
    subject = _subject(profile.common_name.format(host=common_name or hosts[0]), profile.ca)
    begin = _moment(now)
    end = begin + timedelta(days=profile.days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject if authority else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - SKEW)
        .not_valid_after(min(end, authority.not_valid_after_utc) if authority else end)
    )
    for extension, critical in _extensions(profile, hosts, private, authority, bool(list(subject))):
        builder = builder.add_extension(extension, critical)
    signer = private if issuer is None else _private(issuer.key)
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = builder.sign(signer, algorithm)
    return Issued(certificate.public_bytes(serialization.Encoding.PEM), _pem(private))


def facts(certificate: bytes) -> Facts:
    """Return what the first certificate of a PEM says.

    Raises:
        ValueError: there is none.
    """
    found = _first(certificate)
    return Facts(
        names=_names(found),
        not_before=_micros(found.not_valid_before_utc),
        not_after=_micros(found.not_valid_after_utc),
        issuer=found.issuer.rfc4514_string(),
        subject=found.subject.rfc4514_string(),
    )


def check_pair(certificate: bytes, key: bytes, now: Micros) -> Facts:
    """Check that a certificate and a private key belong together and hold now.

    Raises:
        ValueError: they do not; says why, and never repeats the key.
    """
    found = _first(certificate)
    private = _private(key)
    if public_bytes(private.public_key()) != public_bytes(found.public_key()):
        raise ValueError("the private key does not belong to the certificate")
    said = facts(certificate)
    if now >= said.not_after:
        raise ValueError(f"the certificate expired on {_moment(said.not_after):%Y-%m-%d}")
    if now < said.not_before:
        raise ValueError(f"the certificate is not valid before {_moment(said.not_before):%Y-%m-%d}")
    return said


def covers(names: Sequence[str], host: str) -> bool:
    """True if one of a certificate's names is for `host` (RFC 9525; a wildcard stands for one label)."""
    try:
        return str(ip_address(host)) in names
    except ValueError:
        wanted = host.lower()
    parent = wanted.partition(".")[2]
    return any(name.lower() == wanted or (bool(parent) and name.lower() == f"*.{parent}") for name in names)


def may_issue(authority: bytes, host: str) -> bool:
    """True if an authority's name constraints allow a certificate for `host`."""
    found = _first(authority)
    try:
        permitted = found.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees
    except x509.ExtensionNotFound:
        return True
    return permitted is None or _general(host, network=True) in permitted


def _extensions(
    profile: Profile,
    hosts: Sequence[str],
    private: PrivateKey,
    authority: x509.Certificate | None,
    has_subject: bool,
) -> list[tuple[x509.ExtensionType, bool]]:
    own = x509.SubjectKeyIdentifier.from_public_key(private.public_key())
    if authority is None:
        upper = own
    else:
        upper = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=profile.ca, path_length=profile.path_length if profile.ca else None), True),
        (_usage(profile), True),
        (own, False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(upper), False),
    ]
    if profile.extended_key_usage:
        purposes = [_EXTENDED[one] for one in profile.extended_key_usage]
        found.append((x509.ExtendedKeyUsage(purposes), False))
    if not profile.ca:
        found.append((x509.SubjectAlternativeName([_general(host) for host in hosts]), not has_subject))
    if profile.name_constraints:
        permitted = [_general(host, network=True) for host in hosts]
        found.append((x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), True))
    return found


def _usage(profile: Profile) -> x509.KeyUsage:
    asked = profile.key_usage
    return x509.KeyUsage(
        digital_signature="digital_signature" in asked,
        content_commitment="content_commitment" in asked,
        key_cert_sign="key_cert_sign" in asked,
        crl_sign="crl_sign" in asked,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(host: str, *, network: bool = False) -> x509.GeneralName:
    if "://" in host:
        return x509.UniformResourceIdentifier(host)
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return x509.DNSName(host)
    return x509.IPAddress(ip_network(address) if network else address)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (
        *found.get_values_for_type(x509.DNSName),
        *(str(one) for one in found.get_values_for_type(x509.IPAddress)),
    )


def _subject(common_name: str, ca: bool) -> x509.Name:
    """A common name has 64 characters at most (RFC 5280, ub-common-name): an authority's is cut, since it
    must have a subject; otherwise a longer one is left out, and the SAN says it all."""
    if len(common_name) > 64 and not ca:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _new_key(kind: str) -> PrivateKey:
    return (
        ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    )


def _private(pem: bytes) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise ValueError("the private key is not an unencrypted PEM key") from None
    if not isinstance(key, PrivateKey):
        raise ValueError("the private key is of a kind that cannot be used for TLS")
    return key


def _first(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(pem)[0]
    except ValueError:
        raise ValueError("there is no PEM certificate in it") from None


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_bytes(key: object) -> bytes:
    """Return a public key as DER SubjectPublicKeyInfo (RFC 5280 section 4.1).

    Raises:
        ValueError: its kind has no such form.
    """
    public = getattr(key, "public_bytes", None)
    if public is None:
        raise ValueError("the certificate's key cannot be used")
    found: bytes = public(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return found


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros // 1_000_000, UTC)


def _micros(moment: datetime) -> Micros:
    return Micros(int(moment.timestamp()) * 1_000_000)
