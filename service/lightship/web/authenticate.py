"""Who asks: a minted secret as HTTP Basic, Bearer, Token or in X-API-Key (RFC 7617, RFC 6750), or a client
certificate of the connection (RFC 8446), whose key is pinned by a credential or by its member's roster.

The four ways carry the same secret; it is looked up by its SHA-256, so no slow hash is needed and no
comparison can leak it. With Basic the user name has to be the credential's, capitals aside, since one client
lower-cases it. A valid credential is never throttled; failures are, per address and per user name. A request
without a credential is no failure. The address and the certificate are the connection's; no header is
believed about them.

Where a secret and a certificate are shown, the secret says who it is, and the certificate counts if it is
pinned for the same member; a secret that does not hold is refused, whatever the certificate. A certificate
that has expired or was revoked is refused with the connection's next request, beside a secret too; one that
nobody knows counts as none there, since tools show the one certificate that they have to everybody.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from lightship.core.access import Client, ClientCertificate, Credential, Principal
from lightship.core.errors import NotAuthenticated, Throttled
from lightship.core.time import MAX_MICROS, Micros
from lightship.usecases.clients import name_of
from lightship.usecases.directory import Directory, HubView
from lightship.web.throttle import Throttle, source_of

MAX_SECRET = 1_024
REMEMBERED = 10_000
"""Logins that are remembered within a policy epoch: as digests of what was sent, only those that hold."""
_Shown = tuple[bytes, bytes, str, str]
_SHOW = "Send Authorization: Basic with the credential's name and secret, or Bearer with the secret"
_ANEW = "Connect again with a certificate that holds"
_NEW_KEY = "Ask the hub's steward for a certificate with a new key"
_LATER = "Ask the hub's steward until when"
_PINNED = "Ask the hub's steward to pin it, or list its pin in your roster; or send a secret"


class LoginRefused(NotAuthenticated):
    """A credential that does not hold; `rule` names why."""

    def __init__(self, rule: str, title: str, todo: str = _SHOW) -> None:
        super().__init__(title, todo=todo)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request brought. `name` is Basic's user name, None with the other schemes."""

    secret: bytes
    name: bytes | None = None


def presented(headers: Mapping[bytes, bytes]) -> Presented | None:
    """Return the credential that a request brought, None if it brought none.

    Authorization goes before X-API-Key. What cannot be read is an empty secret, which nobody has.
    """
    header = headers.get(b"authorization", b"").strip()
    if not header:
        key = headers.get(b"x-api-key", b"").strip()
        return Presented(key[:MAX_SECRET]) if key else None
    scheme, _, rest = header.partition(b" ")
    rest = rest.strip()
    match scheme.lower():
        case b"bearer" | b"token":
            return Presented(rest[:MAX_SECRET])
        case b"basic":
            try:
                name, colon, secret = base64.b64decode(rest, validate=True).partition(b":")
            except binascii.Error:
                return Presented(b"")
            return Presented(secret[:MAX_SECRET] if colon else b"", name[:MAX_SECRET])
        case _:
            return Presented(b"")


class Authenticator:
    """Turns a request's headers, its address and the connection's certificate into a principal.

    Args:
        directory: knows the credentials.
        throttle: counts failures.
        elapsed: a time that never goes back, microseconds: how long somebody waits does not hang on the
            wall clock, which can be set.
    """

    def __init__(self, directory: Directory, throttle: Throttle, elapsed: Callable[[], Micros]) -> None:
        self._directory = directory
        self._throttle = throttle
        self._elapsed = elapsed
        self._known: tuple[HubView | None, dict[_Shown, tuple[Principal, Micros]]] = (None, {})

    def __call__(
        self,
        view: HubView,
        headers: Mapping[bytes, bytes],
        address: str,
        now: Micros,
        certificate: ClientCertificate | None = None,
    ) -> Principal:
        """Return the principal, which `view` knows as a member's.

        Raises:
            LoginRefused: no credential, or one that does not hold (401).
            Throttled: one that does not hold, from a source that failed too often (429).
        """
        brought = (headers.get(b"authorization", b""), headers.get(b"x-api-key", b""))
        if certificate is not None:
            if certificate.not_after <= now:  # the handshake saw that it held; a connection may last
                raise LoginRefused("deny-expired", "The client certificate has expired", _ANEW)
        elif not (brought[0] or brought[1]):
            raise LoginRefused("deny-no-credential", "A credential is needed")
        of, known = self._known
        if of is not view:  # another epoch: whoever it was is asked anew
            known = {}
            self._known = (view, known)
        key = (
            hashlib.sha256(brought[0]).digest(),
            brought[1] and hashlib.sha256(brought[1]).digest(),
            address,
            "" if certificate is None else certificate.pin,
        )
        held = known.get(key)
        if held is not None and now < held[1]:
            return held[0]
        principal, until = self._look_up(view, headers, address, now, certificate)
        principal = replace(principal, listed=self._directory.lists(view, principal))
        if len(known) >= REMEMBERED:
            known.clear()
        known[key] = (principal, until)
        return principal

    def _look_up(
        self,
        view: HubView,
        headers: Mapping[bytes, bytes],
        address: str,
        now: Micros,
        certificate: ClientCertificate | None,
    ) -> tuple[Principal, Micros]:
        """Return the principal, and until when what it showed holds unless the epoch changes."""
        shown = presented(headers)
        if shown is None and certificate is None:
            raise LoginRefused("deny-no-credential", "A credential is needed")
        pin = "" if certificate is None else certificate.pin
        pinned = self._directory.pinned(view, pin)
        try:
            if isinstance(pinned, Credential) and pinned.revoked is not None:
                raise LoginRefused("deny-revoked", "The client certificate was revoked", _NEW_KEY)
            if shown is None:
                return _by_certificate(view, pinned, pin, address, now)
            credential = self._directory.credential(view, hashlib.sha256(shown.secret).digest())
            principal, until = _by_secret(view, credential, shown, address, now)
        except LoginRefused:
            self._failed(shown or Presented(b""), address)
            raise
        if pinned is None or (pinned.agreement, pinned.member) != (principal.agreement, principal.member):
            return principal, until
        try:
            beside, ends = _by_certificate(view, pinned, pin, address, now)
        except LoginRefused:  # not from here, or not now, which may change: then the secret is all there is
            return principal, now
        return replace(principal, certificate=True, pin=beside.pin), Micros(min(until, ends))

    def _failed(self, shown: Presented, address: str) -> None:
        now, sources = self._elapsed(), [source_of(address)]
        if shown.name:
            sources.append("name " + shown.name[:128].decode("utf-8", "replace").lower())
        wait = max(self._throttle.wait(source, now) for source in sources)
        if wait:
            raise Throttled(
                "Too many failed logins",
                retry_after=wait,
                why="This address or this user name has failed too often; a valid credential still works",
                todo=f"Correct the credential and try again in {wait} seconds",
            )
        for source in sources:
            self._throttle.fail(source, now)


def _by_secret(
    view: HubView, credential: Credential | None, shown: Presented, address: str, now: Micros
) -> tuple[Principal, Micros]:
    """Return the principal of a secret, and until when it holds.

    Raises:
        LoginRefused: it does not hold, or not from here, or not any more.
    """
    if credential is None:
        raise LoginRefused("deny-unknown-credential", "The credential is not known")
    if shown.name is not None and not hmac.compare_digest(
        shown.name.lower(), credential.name.lower().encode()
    ):
        raise LoginRefused("deny-unknown-credential", "The credential is not known")
    return _holding(view, credential, address, now)


def _by_certificate(
    view: HubView, pinned: Credential | Client | None, pin: str, address: str, now: Micros
) -> tuple[Principal, Micros]:
    """Return the principal of a client certificate, and until when its pin holds.

    Raises:
        LoginRefused: nobody knows it, or it does not hold, or not from here.
    """
    if pinned is None:
        raise LoginRefused("deny-unknown-certificate", "The client certificate is not known here", _PINNED)
    agreement = view.agreements.get(pinned.agreement)
    if agreement is not None and agreement.suspended("", now, pin) is not None:
        raise LoginRefused("deny-suspended", "The client certificate is suspended", _LATER)
    if isinstance(pinned, Credential):
        principal, until = _holding(view, pinned, address, now)
        return replace(principal, certificate=True, pin=pin), until
    roles = _roles(view, pinned.agreement, pinned.member)
    name = name_of(pinned.member, pin)
    principal = Principal(pinned.agreement, pinned.member, pin, name, roles, certificate=True, pin=pin)
    return principal, MAX_MICROS


def _holding(view: HubView, credential: Credential, address: str, now: Micros) -> tuple[Principal, Micros]:
    if credential.revoked is not None:
        raise LoginRefused(
            "deny-revoked", "The credential was revoked", "Ask the hub's steward for a new one"
        )
    if credential.expires is not None and credential.expires <= now:
        raise LoginRefused(
            "deny-expired", "The credential has expired", "Ask the hub's steward for a new one"
        )
    if credential.allowed and not _is_allowed(address, credential.allowed):
        raise LoginRefused(
            "deny-address", "The credential is not for this address", "Use it from an allowed address"
        )
    principal = Principal(
        agreement=credential.agreement,
        member=credential.member,
        credential=credential.id,
        name=credential.name,
        roles=_roles(view, credential.agreement, credential.member),
        profile=credential.profile,
    )
    return principal, MAX_MICROS if credential.expires is None else credential.expires


def _roles(view: HubView, agreement_id: str, slug: str) -> frozenset[str]:
    """Return a member's roles; raises LoginRefused if it is none any more."""
    agreement = view.agreements.get(agreement_id)
    member = agreement.members.get(slug) if agreement is not None else None
    if member is None:
        raise LoginRefused(
            "deny-no-member", "The credential's member has no access any more", "Ask the hub's steward"
        )
    return member.roles


def _is_allowed(address: str, networks: tuple[str, ...]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    if mapped is not None:
        parsed = mapped
    return any(parsed in ip_network(network, strict=False) for network in networks)
