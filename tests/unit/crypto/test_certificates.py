"""Certificates: every profile, a strict verifier, constraints that hold, and checks of given pairs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from lightship import data
from lightship.core.time import Micros
from lightship.crypto import certificates
from lightship.crypto.certificates import Issued, Profile, issue, read_profile

NOW = Micros(1_780_000_000_000_000)
DAY = 86_400 * 1_000_000
HOSTS = ("hub.example", "localhost", "127.0.0.1", "::1")


def profile(name: str) -> Profile:
    return read_profile(data.cert_profile(name))


@pytest.fixture(name="root", scope="module")
def _root() -> Issued:
    return issue(profile("root"), HOSTS, NOW)


def verifies(certificate: bytes, root: Issued, host: str, at: int = NOW) -> None:
    """The strict verifier of `cryptography`, as a client would use one."""
    store = Store([x509.load_pem_x509_certificate(root.certificate)])
    when = datetime.fromtimestamp(at / 1e6, UTC)
    (
        PolicyBuilder()
        .store(store)
        .time(when)
        .build_server_verifier(x509.DNSName(host))
        .verify(x509.load_pem_x509_certificate(certificate), [])
    )


def test_a_server_certificate_passes_a_strict_verifier(root: Issued) -> None:
    server = issue(profile("server"), HOSTS, NOW, issuer=root)
    verifies(server.certificate, root, "hub.example")
    verifies(server.certificate, root, "localhost")
    said = certificates.check_pair(server.certificate, server.key, NOW)
    assert said.names == HOSTS
    assert said.not_after == NOW // 1_000_000 * 1_000_000 + 397 * DAY
    with pytest.raises(VerificationError):
        verifies(server.certificate, root, "other.example")
    with pytest.raises(VerificationError):
        verifies(server.certificate, root, "hub.example", NOW + 398 * DAY)


def test_a_stolen_authority_cannot_stand_for_other_names(root: Issued) -> None:
    forged = issue(profile("server"), ("bank.example",), NOW, issuer=root)
    with pytest.raises(VerificationError):
        verifies(forged.certificate, root, "bank.example")
    assert certificates.may_issue(root.certificate, "hub.example")
    assert certificates.may_issue(root.certificate, "::1")
    assert not certificates.may_issue(root.certificate, "bank.example")
    free = issue(profile("issuing"), HOSTS, NOW, issuer=root)
    assert certificates.may_issue(free.certificate, "bank.example")


@pytest.mark.parametrize("name", ["root", "issuing", "server", "client", "signer"])
def test_every_profile_makes_a_certificate_with_what_verifiers_want(name: str, root: Issued) -> None:
    made = issue(profile(name), HOSTS, NOW, issuer=None if name == "root" else root)
    found = x509.load_pem_x509_certificate(made.certificate)
    ids = {extension.oid for extension in found.extensions}
    assert {ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER} <= ids
    basic = found.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert basic.value.ca is profile(name).ca
    assert (ExtensionOID.EXTENDED_KEY_USAGE in ids) is not profile(name).ca
    assert (ExtensionOID.SUBJECT_ALTERNATIVE_NAME in ids) is not profile(name).ca
    if name != "root":
        found.verify_directly_issued_by(x509.load_pem_x509_certificate(root.certificate))


def test_nothing_outlives_its_authority(root: Issued) -> None:
    late = Micros(NOW + 3600 * DAY)
    server = issue(profile("server"), HOSTS, late, issuer=root)
    assert certificates.facts(server.certificate).not_after == certificates.facts(root.certificate).not_after


def test_a_long_host_leaves_the_subject_empty_and_the_names_critical(root: Issued) -> None:
    host = "a" * 60 + ".example"
    server = issue(profile("server"), (host,), NOW, issuer=root)
    found = x509.load_pem_x509_certificate(server.certificate)
    assert not list(found.subject)
    assert found.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    authority = issue(profile("root"), (host,), NOW)
    assert list(x509.load_pem_x509_certificate(authority.certificate).subject)


def test_pairs_that_cannot_be_used_are_named(root: Issued) -> None:
    one = issue(profile("server"), HOSTS, NOW, issuer=root)
    other = issue(profile("server"), HOSTS, NOW, issuer=root)
    for certificate, key, at, words in (
        (one.certificate, other.key, NOW, "does not belong"),
        (one.certificate, one.key, NOW + 400 * DAY, "expired on 20"),
        (one.certificate, one.key, NOW - DAY, "not valid before"),
        (b"none", one.key, NOW, "no PEM certificate"),
        (one.certificate, b"hunter2", NOW, "not an unencrypted PEM key"),
        (one.certificate, one.certificate, NOW, "not an unencrypted PEM key"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            certificates.check_pair(certificate, key, Micros(at))
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "host", "covered"),
    [
        (("hub.example",), "hub.example", True),
        (("HUB.example",), "hub.EXAMPLE", True),
        (("*.example",), "hub.example", True),
        (("*.example",), "a.hub.example", False),
        (("*.example",), "example", False),
        (("*",), "localhost", False),
        (("127.0.0.1",), "127.0.0.1", True),
        (("::1",), "0:0::1", True),
        (("*.0.0.1",), "127.0.0.1", False),
        ((), "hub.example", False),
    ],
)
def test_names_cover_hosts_as_clients_see_it(names: tuple[str, ...], host: str, covered: bool) -> None:
    assert certificates.covers(names, host) is covered


@pytest.mark.parametrize(
    "change",
    [
        ('key = "p256"', 'key = "rsa"'),
        ("days = 397", "days = 0"),
        ("days = 397", "days = true"),
        ("days = 397", ""),
        ("ca = false", "ca = false\nmore = 1"),
        ('"server_auth"', '"anything"'),
        ('"digital_signature"', '"anything"'),
    ],
)
def test_a_profile_with_a_mistake_is_refused(change: tuple[str, str]) -> None:
    text = data.cert_profile("server")
    assert change[0] in text
    with pytest.raises(ValueError, match="certificate profile"):
        read_profile(text.replace(*change))


def test_a_certificate_needs_a_name() -> None:
    with pytest.raises(ValueError, match="needs a name"):
        issue(profile("server"), (), NOW)


def test_a_key_and_a_certificate_do_not_print(root: Issued) -> None:
    assert "PRIVATE" not in repr(root)
    assert root.key.decode().splitlines()[1] not in repr(root)
