"""Credentials of kind certificate: the pin of a public key instead of a secret (see `clients` for rosters).

The kind of a credential never changes, and a key that was revoked does not come back under another name.
Issuing a certificate is the command line's business: here is only its pin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lightship.core.access import Client, ClientCertificate, Credential
from lightship.core.audit import STEWARD
from lightship.core.errors import Conflict, MalformedRequest, NotFound
from lightship.core.ports import Registry
from lightship.core.time import Micros
from lightship.usecases import credentials
from lightship.usecases.clients import name_of, others_pin
from lightship.usecases.credentials import DAYS_MAX, Order
from lightship.usecases.directory import HubView


def bind(
    registry: Registry,
    view: HubView,
    order: Order,
    shown: ClientCertificate,
    *,
    listed: Mapping[str, Client | None],
    credential_id: str,
    req: str,
    now: Micros,
    actor: str = STEWARD,
) -> Credential:
    """Make a credential of kind certificate: who shows this key in its TLS handshake comes in by it.

    It ends with the certificate, if that is earlier.

    Args:
        shown: the pin, and the certificate's end (MAX_MICROS for a bare public key).
        listed: pin -> client by the rosters in force (`Directory.clients`).
        registry, view, order, credential_id, req, now, actor: see `mint`.

    Raises:
        what `mint` raises.  Conflict: another credential has this key, or another member's roster.
        MalformedRequest: the certificate has ended.
    """
    credential = credentials.draft(registry, view, order, bytes.fromhex(shown.pin), credential_id, now)
    credential = replace(credential, kind="certificate", expires=_earlier(credential.expires, shown, now))
    _check_free(registry, credential, listed)
    registry.put_credential(credential, credentials.event(credential, "credential-mint", req, now, actor))
    return credential


def bind_again(
    registry: Registry,
    name: str,
    shown: ClientCertificate,
    *,
    listed: Mapping[str, Client | None],
    req: str,
    now: Micros,
    days: int | None = None,
    days_max: int = DAYS_MAX,
    actor: str = STEWARD,
) -> Credential:
    """Give a credential of kind certificate another key, or a later end with the same one; see `rotate`.

    Raises:
        NotFound: there is none.  Conflict: it was revoked, is of kind secret, or the key is another's.
        MalformedRequest: too many days, or the certificate has ended.
    """
    held = credentials.renewable(registry, name, "certificate")
    expires = _earlier(credentials.renewed_until(held, now, days, days_max), shown, now)
    credential = replace(held, digest=bytes.fromhex(shown.pin), created=now, expires=expires)
    _check_free(registry, credential, listed)
    registry.put_credential(credential, credentials.event(credential, "credential-rotate", req, now, actor))
    return credential


def revoke(
    registry: Registry,
    name: str,
    *,
    listed: Mapping[str, Client | None],
    credential_id: str,
    req: str,
    now: Micros,
    actor: str = STEWARD,
) -> Credential:
    """Revoke a credential of either kind, or a client that only its member's roster names.

    Such a client, by its pin or its name, gets a credential that is revoked: what the hub revokes goes before
    every roster, at once and without a signature.

    Args:
        listed: pin -> client by the rosters in force.
        credential_id: a fresh unique id, for such a client's.
        registry, name, req, now, actor: see `credentials.revoke`.

    Raises:
        NotFound: there is none.  Conflict: the name is that of several pins.
    """
    try:
        return credentials.revoke(registry, name, req=req, now=now, actor=actor)
    except NotFound:
        found = _listed(name, listed, credential_id, now)
        if found is None:
            raise
    if any(one.name == found.name for one in registry.credentials()):  # of a pin that begins alike
        found = replace(found, name=f"{found.name[:54]}-{credential_id[:8]}")
    registry.put_credential(found, credentials.event(found, "credential-revoke", req, now, actor))
    return found


def _earlier(expires: Micros | None, shown: ClientCertificate, now: Micros) -> Micros:
    if shown.not_after <= now:
        raise MalformedRequest("The certificate has ended", todo="Give one that holds")
    return shown.not_after if expires is None else min(expires, shown.not_after)


def _check_free(registry: Registry, one: Credential, listed: Mapping[str, Client | None]) -> None:
    others = [held for held in registry.credentials() if held.id != one.id]
    if any(held.pin == one.pin for held in others) or others_pin(
        [one.pin], Client(one.agreement, one.member), listed, ()
    ):
        raise Conflict(
            "This key is in use, or was",
            why="a key is one client's of one member: another credential has it, or another member's roster",
            todo="Make a new key for this client",
        )


def _listed(
    name: str, listed: Mapping[str, Client | None], credential_id: str, now: Micros
) -> Credential | None:
    """Return what a roster's client is as a revoked credential, not kept yet; None if no roster lists it."""
    meant = [
        (pin, client)
        for pin, client in listed.items()
        if client is not None and name in {pin, name_of(client.member, pin)}
    ]
    if not meant:
        return None
    if len(meant) > 1:
        raise Conflict(
            f"`{name}` is more than one client",
            why="its member's roster lists pins that begin alike",
            todo=f"Give the whole pin, as {meant[0][0]}",
        )
    [(pin, client)] = meant
    return Credential(
        id=credential_id,
        agreement=client.agreement,
        member=client.member,
        name=name_of(client.member, pin),
        digest=bytes.fromhex(pin),
        created=now,
        expires=None,
        revoked=now,
        note="listed by the member's roster",
        kind="certificate",
    )
