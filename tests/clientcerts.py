"""Client certificates for tests: made at test time by the hub's authority, another one or nobody; and TLS
clients that show them."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2

from hubkit import HEADERS, HubKit, Served
from lightship.core.access import ClientCertificate, Credential
from lightship.core.time import Micros
from lightship.crypto import certificates
from lightship.crypto.certificates import Issued, read_profile
from lightship.crypto.client_certificates import issue_client
from lightship.data import cert_profile
from lightship.usecases import credentials, pins

DAY = 86_400 * 1_000_000


def system_now() -> Micros:
    """The time that TLS goes by, whatever a hub's clock says."""
    return Micros(time.time_ns() // 1000)


def hub_authority(hub_dir: Path) -> Issued:
    """Return the authority that `lightship init` made."""
    return Issued((hub_dir / "tls/ca.pem").read_bytes(), (hub_dir / "tls/ca.key").read_bytes())


def other_authority() -> Issued:
    """Return an authority that no hub knows."""
    return certificates.issue(read_profile(cert_profile("issuing")), ("Elsewhere",), system_now())


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key in one file, and what a connection with it comes to."""

    file: Path
    made: Issued
    shown: ClientCertificate

    @property
    def pin(self) -> str:
        return self.shown.pin


def make_pair(
    folder: Path, issuer: Issued, name: str = "client", *, days: int | None = None, ago: int = 0
) -> Pair:
    """Issue a client certificate, `ago` days before now."""
    profile = read_profile(cert_profile("client"))
    begin = Micros(system_now() - ago * DAY)
    made, shown = issue_client(profile, name, f"https://hub.test/#{name}", days, begin, issuer)
    return keep(folder, made, shown)


def keep(folder: Path, made: Issued, shown: ClientCertificate) -> Pair:
    """Write a certificate and its key to a new file."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{uuid4().hex}.pem"
    file.write_bytes(made.certificate + made.key)
    return Pair(file, made, shown)


def context_of(ca: Path, pair: Pair | None, *, tls12: bool = False) -> ssl.SSLContext:
    """Return a client's TLS context that shows a certificate, or none."""
    context = ssl.create_default_context(cafile=ca)
    if pair is not None:
        context.load_cert_chain(pair.file)
    if tls12:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def client_with(served: Served, pair: Pair | None, member: str | None = None, **more: Any) -> httpx2.Client:
    """Return a client of a served hub with a certificate, and with a member's secret if one is named."""
    auth = served.kit.credential(member) if member else None
    options: dict[str, Any] = {"headers": HEADERS, "timeout": 30, "trust_env": False}
    return httpx2.Client(base_url=served.url, auth=auth, verify=context_of(served.ca, pair), **options | more)


def bind(
    kit: HubKit, member: str, name: str, shown: ClientCertificate, *, agreement: str = "", **order: Any
) -> Credential:
    """Keep a credential of kind certificate."""
    hub = kit.hub
    view = hub.directory.view()
    return pins.bind(
        hub.registry,
        view,
        credentials.Order(agreement or kit.agreement, member, name, **order),
        shown,
        listed=hub.directory.clients(view),
        credential_id=str(uuid4()),
        req=uuid4().hex,
        now=hub.clock.now(),
    )


def bind_again(kit: HubKit, name: str, shown: ClientCertificate) -> Credential:
    """Give a credential of kind certificate another key."""
    hub = kit.hub
    return pins.bind_again(
        hub.registry,
        name,
        shown,
        listed=hub.directory.clients(hub.directory.view()),
        req=uuid4().hex,
        now=hub.clock.now(),
    )


def revoke(kit: HubKit, name: str) -> Credential:
    """Revoke a credential, or a client of a roster, by name or pin."""
    hub = kit.hub
    return pins.revoke(
        hub.registry,
        name,
        listed=hub.directory.clients(hub.directory.view()),
        credential_id=str(uuid4()),
        req=uuid4().hex,
        now=hub.clock.now(),
    )
