"""The private authority of a hub and its server certificate: made by `init`, renewed when a hub starts.

Only for hubs that were given no certificate of their own. The authority's key stays in the hub directory,
mode 0400; it is constrained to the hub's names, so that a theft cannot impersonate anybody else. It issues
certificates of clients too, which are nobody's until their key is pinned, so a theft lets nobody in. A
renewal keeps the server's key: only the certificate file is replaced, and a reload can never see a pair that
does not match.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lightship.core.access import ClientCertificate
from lightship.core.errors import BadFile, Conflict
from lightship.core.time import Micros
from lightship.crypto import certificates
from lightship.crypto.client_certificates import issue_client as issue
from lightship.crypto.sign import new_signing_key
from lightship.keys.files import read_private, replace_file

CA_CERT, CA_KEY = Path("tls/ca.pem"), Path("tls/ca.key")
SERVER_CERT, SERVER_KEY = Path("tls/server.pem"), Path("tls/server.key")
LOCAL = ("localhost", "127.0.0.1", "::1")
RENEW_BEFORE = Micros(30 * 86_400 * 1_000_000)


class KeyMaker:
    """Makes a new hub's keys and certificates; implements `usecases.initialise.KeyMaker`.

    Args:
        profile: name -> TOML text of a certificate profile (`lightship.data.cert_profile`).
    """

    def __init__(self, profile: Callable[[str], str]) -> None:
        self._profile = profile

    def signing_key(self) -> tuple[bytes, bytes]:
        """Return a fresh Ed25519 key: (private PEM, raw public key)."""
        key = new_signing_key()
        return key.pem(), key.public

    def authority(self, host: str, now: Micros) -> tuple[bytes, bytes]:
        """Return (certificate, key) of a private authority for `host` and the local names."""
        made = certificates.issue(self._read("root"), names_for(host), now)
        return made.certificate, made.key

    def server(self, authority: tuple[bytes, bytes], host: str, now: Micros) -> tuple[bytes, bytes]:
        """Return (certificate, key) of a server, issued by that authority."""
        issuer = certificates.Issued(*authority)
        made = certificates.issue(self._read("server"), names_for(host), now, issuer=issuer)
        return made.certificate, made.key

    def check_pair(self, certificate: bytes, key: bytes, host: str, now: Micros) -> list[str]:
        """Check a given pair; return warnings in words.

        Raises:
            ValueError: it cannot be used; says why.
        """
        said = certificates.check_pair(certificate, key, now)
        warnings = []
        if not certificates.covers(said.names, host):
            names = ", ".join(said.names) or "no name at all"
            warnings.append(f"the certificate is not for {host}, so clients will refuse it: it names {names}")
        if said.not_after - now < RENEW_BEFORE:
            warnings.append("the certificate expires in less than 30 days")
        return warnings

    def _read(self, name: str) -> certificates.Profile:
        return certificates.read_profile(self._profile(name))


def issue_client(
    hub_dir: Path, profile: Callable[[str], str], name: str, uri: str, days: int | None, now: Micros
) -> tuple[certificates.Issued, ClientCertificate]:
    """Issue a client certificate with a fresh key by the hub's own authority.

    Args:
        profile: name -> TOML text of a certificate profile.
        name: its common name.  uri: its SAN.  days: how long it lasts, None for the profile's days.

    Raises:
        Conflict: the hub has no authority of its own.  BadFile: it cannot be read, or ends too soon.
        ValueError: more days than the profile allows.
    """
    if not (hub_dir / CA_KEY).exists():
        raise Conflict(
            "This hub has no authority of its own",
            why=f"there is no {CA_KEY}",
            todo="Bind a certificate of another authority with --certificate, and name that in tls_client_ca",
        )
    ca = certificates.Issued(_read(hub_dir / CA_CERT), read_private(hub_dir / CA_KEY))
    made, shown = issue(certificates.read_profile(profile("client")), name, uri, days, now, ca)
    if shown.not_after <= now:
        raise BadFile("The private authority has ended", path=str(hub_dir / CA_CERT))
    return made, shown


@dataclass(frozen=True, slots=True)
class Renewal:
    """A server certificate that was renewed, and why."""

    path: Path
    why: str
    not_after: Micros


def names_for(host: str) -> tuple[str, ...]:
    """Return what a hub's certificate is for: its host first, then the local names."""
    return tuple(dict.fromkeys((host, *LOCAL)))


def renew_if_due(hub_dir: Path, host: str, profile: Callable[[str], str], now: Micros) -> Renewal | None:
    """Renew the server certificate of a hub's own authority when it is due; None if there is nothing to do.

    Due is: less than 30 days left, or the host of `public_url` is not among its names. Hubs that were given
    a certificate (`tls_cert` elsewhere, or no authority key) are left alone.

    Raises:
        BadFile: a file is missing or unreadable, or the authority cannot sign for this host.
    """
    if not (hub_dir / CA_KEY).exists():
        return None
    ca = certificates.Issued(_read(hub_dir / CA_CERT), read_private(hub_dir / CA_KEY))
    path = hub_dir / SERVER_CERT
    held = _facts(path)
    missing = not certificates.covers(held.names, host)
    if not missing and held.not_after - now >= RENEW_BEFORE:
        return None
    authority = _facts(hub_dir / CA_CERT)
    if authority.not_after - now < RENEW_BEFORE or not certificates.may_issue(ca.certificate, host):
        raise BadFile(
            "The private authority cannot renew the server certificate",
            path=str(hub_dir / CA_CERT),
            why="it expires soon" if authority.not_after - now < RENEW_BEFORE else f"it is not for {host}",
            todo="Set tls_cert and tls_key in lightship.toml to a certificate of your own, or make a new hub "
            "directory with `lightship init`, restore a backup into it, and give clients its ca.pem",
        )
    made = certificates.issue(
        certificates.read_profile(profile("server")),
        names_for(host),
        now,
        issuer=ca,
        key=read_private(hub_dir / SERVER_KEY),
    )
    replace_file(path, made.certificate, 0o600)
    why = f"it was not for {host}" if missing else "less than 30 days were left"
    return Renewal(path, why, certificates.facts(made.certificate).not_after)


def _facts(path: Path) -> certificates.Facts:
    try:
        return certificates.facts(_read(path))
    except ValueError as error:
        raise BadFile("A certificate cannot be read", path=str(path), why=str(error)) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFile(
            "A certificate cannot be read", path=str(path), why=error.strerror or "", todo="Restore the file"
        ) from None
