"""Credentials of members: mint, list, rotate, revoke; those of kind certificate see `pins`.

A secret is 256 random bits, shown once and kept only as its SHA-256, so no slow hash is needed. A rotated or
revoked secret stops with the next request, in every process. Each act is an access event of the member that
it concerns, kept in the same transaction. Time and randomness are arguments.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import get_args

from lightship.core.access import Credential, CredentialKind, Profile
from lightship.core.audit import STEWARD, AccessEvent
from lightship.core.errors import Conflict, MalformedRequest, NotFound
from lightship.core.ids import is_slug
from lightship.core.ports import Registry
from lightship.core.time import Micros
from lightship.usecases.directory import HubView

PREFIX = "ls1_"
ENTROPY = 32
DAY = 86_400 * 1_000_000
DAYS, DAYS_MAX = 365, 1095
MAX_NETWORKS = 64


class Secret:
    """A secret in memory: it prints as dots, and only `reveal` gives its text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(ls1_…)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and secrets.compare_digest(self._text, other._text)

    __hash__ = None  # type: ignore[assignment]  # a secret has no business in a set or as a key

    def reveal(self) -> str:
        """Return the secret's text, to be shown once."""
        return self._text

    @property
    def digest(self) -> bytes:
        """SHA-256 of the text: what is stored."""
        return secret_digest(self._text)


@dataclass(frozen=True, slots=True)
class Minted:
    """A stored credential and its secret, which nothing can show again."""

    credential: Credential
    secret: Secret


@dataclass(frozen=True, slots=True)
class Order:
    """Who may come in, and how far: what `mint` is asked for.

    `allowed` are networks in CIDR form, empty = from anywhere. `days` it lasts at most `days_max`.
    """

    agreement: str
    member: str
    name: str
    days: int = DAYS
    allowed: tuple[str, ...] = ()
    profile: Profile = "standard"
    note: str = ""
    days_max: int = DAYS_MAX


def secret_digest(text: str) -> bytes:
    """Return the SHA-256 of a secret's UTF-8 text."""
    return hashlib.sha256(text.encode()).digest()


def make_secret(entropy: bytes) -> Secret:
    """Return the secret of 32 random bytes: `ls1_` and 43 characters of base64url.

    Raises:
        ValueError: not exactly 32 bytes.
    """
    if len(entropy) != ENTROPY:
        raise ValueError("a secret is made of exactly 32 random bytes")
    return Secret(PREFIX + urlsafe_b64encode(entropy).decode().rstrip("="))


def split_name(text: str) -> tuple[str, str]:
    """Return (member, name) of `member/name`.

    Raises:
        MalformedRequest: it is not of that form.
    """
    member, slash, name = text.partition("/")
    if not slash or not is_slug(member) or not is_slug(name):
        raise MalformedRequest(
            "This names no credential",
            why="it must be member/name, each of lower-case letters, digits and inner hyphens",
            todo="Write it as uslax/splunk",
        )
    return member, name


def mint(
    registry: Registry,
    view: HubView,
    order: Order,
    *,
    entropy: bytes,
    credential_id: str,
    req: str,
    now: Micros,
    actor: str = STEWARD,
) -> Minted:
    """Make a credential; its Basic user name is `<member>-<name>`.

    Args:
        registry: where it is kept.
        view: what the hub offers, for the member to exist.
        order: what is asked for.
        entropy: 32 random bytes.
        credential_id: a fresh unique id.
        req: a fresh request id for the access event.
        now: microseconds.
        actor: who does it, for the event.

    Raises:
        NotFound: no such agreement or member.
        MalformedRequest: a name, network, profile or number of days that cannot be.
        Conflict: the name is taken.
    """
    secret = make_secret(entropy)
    credential = draft(registry, view, order, secret.digest, credential_id, now)
    registry.put_credential(credential, event(credential, "credential-mint", req, now, actor))
    return Minted(credential, secret)


def draft(
    registry: Registry, view: HubView, order: Order, digest: bytes, credential_id: str, now: Micros
) -> Credential:
    """Return what was ordered, of kind secret and not kept yet; raises what `mint` raises."""
    agreement = view.agreements.get(order.agreement)
    if agreement is None:
        raise NotFound(
            f"There is no agreement `{order.agreement}` here",
            why=view.damaged.get(order.agreement, ""),
            todo=f"There are: {', '.join(sorted(view.agreements)) or 'none yet'}",
        )
    if order.member not in agreement.members:
        raise NotFound(
            f"`{order.member}` is not a member of `{order.agreement}`",
            todo=f"Its members are: {', '.join(agreement.members)}",
        )
    split_name(f"{order.member}/{order.name}")
    name = f"{order.member}-{order.name}"
    if not is_slug(name):
        raise MalformedRequest("The user name is too long", why="member and name have more than 63 letters")
    if any(one.name == name for one in registry.credentials()):
        raise Conflict(
            f"There is a credential `{name}` already",
            why="names are unique on a hub, also those of revoked credentials",
            todo="Rotate it for a new secret, or choose another name",
        )
    if order.profile not in get_args(Profile):
        raise MalformedRequest("There is no such profile", todo=f"Use one of {', '.join(get_args(Profile))}")
    return Credential(
        id=credential_id,
        agreement=order.agreement,
        member=order.member,
        name=name,
        digest=digest,
        created=now,
        expires=_expiry(now, order.days, order.days_max),
        allowed=networks(order.allowed),
        profile=order.profile,
        note=order.note[:200],
    )


def listing(registry: Registry, agreement: str | None = None) -> Sequence[Credential]:
    """Return credentials, revoked and expired ones too, sorted by name."""
    return sorted(registry.credentials(agreement), key=lambda one: one.name)


def find(registry: Registry, name: str) -> Credential:
    """Return a credential by its user name, its id, `member/name` or its pin.

    Raises:
        NotFound: there is none.
    """
    for one in registry.credentials():
        if one.goes_by(name):
            return one
    raise NotFound(f"There is no credential `{name}`", todo="`lightship credential list` shows them")


def rotate(
    registry: Registry,
    name: str,
    *,
    entropy: bytes,
    req: str,
    now: Micros,
    days: int | None = None,
    days_max: int = DAYS_MAX,
    actor: str = STEWARD,
) -> Minted:
    """Give a credential a new secret; the old one stops at once. Name, id, networks and profile stay.

    It lasts `days` from now, by default as long as it was minted for.

    Raises:
        NotFound: there is none.  Conflict: it was revoked, or is of kind certificate.
        MalformedRequest: too many days.
    """
    held = renewable(registry, name, "secret")
    secret = make_secret(entropy)
    credential = replace(
        held, digest=secret.digest, created=now, expires=renewed_until(held, now, days, days_max)
    )
    registry.put_credential(credential, event(credential, "credential-rotate", req, now, actor))
    return Minted(credential, secret)


def revoke(registry: Registry, name: str, *, req: str, now: Micros, actor: str = STEWARD) -> Credential:
    """Revoke a credential for good; revoking it again changes nothing.

    Raises:
        NotFound: there is none.
    """
    held = find(registry, name)
    if held.revoked is not None:
        return held
    credential = replace(held, revoked=now)
    registry.put_credential(credential, event(credential, "credential-revoke", req, now, actor))
    return credential


def networks(listed: Sequence[str]) -> tuple[str, ...]:
    """Return networks in canonical CIDR form; a single address is a network of one.

    Raises:
        MalformedRequest: one of them is none, or there are too many.
    """
    if len(listed) > MAX_NETWORKS:
        raise MalformedRequest("Too many networks", why=f"a credential can have {MAX_NETWORKS}")
    found = []
    for text in listed:
        try:
            found.append(str(ip_network(text)))
        except ValueError as error:
            raise MalformedRequest(
                "An allowed network cannot be used", why=str(error), todo="Write it as 192.0.2.0/24"
            ) from None
    return tuple(dict.fromkeys(found))


def renewable(registry: Registry, name: str, kind: CredentialKind) -> Credential:
    """Return a credential of this kind that can be rotated.

    Raises:
        NotFound: there is none.  Conflict: it was revoked, or is of the other kind.
    """
    held = find(registry, name)
    if held.revoked is not None:
        raise Conflict(
            f"`{held.name}` was revoked", why="a revoked credential stays so", todo="Mint one with a new name"
        )
    if held.kind != kind:
        raise Conflict(
            f"`{held.name}` is of kind {held.kind}",
            why="a credential keeps its kind",
            todo="Give --certificate or --issue-certificate"
            if kind == "secret"
            else "Leave the certificate out",
        )
    return held


def renewed_until(held: Credential, now: Micros, days: int | None, days_max: int) -> Micros:
    """Return the end of a credential that begins anew: as long as before unless it is said."""
    lasted = DAYS if held.expires is None else max((held.expires - held.created) // DAY, 1)
    return _expiry(now, min(lasted, days_max) if days is None else days, days_max)


def _expiry(now: Micros, days: int, days_max: int) -> Micros:
    if not 1 <= days <= days_max:
        raise MalformedRequest(
            "A credential cannot last that long",
            why=f"it must be 1 to {days_max} days",
            todo="Rotate it in time instead; credential_days_max in lightship.toml sets the most",
        )
    return Micros(now + days * DAY)


def event(credential: Credential, act: str, req: str, now: Micros, actor: str) -> AccessEvent:
    """What the member will see in its audit log; never the secret nor its digest."""
    return AccessEvent(
        req=req,
        at=now,
        act=act,
        agr=credential.agreement,
        who=credential.member,
        cred=actor,
        q=credential.name,
        why=STEWARD if actor == STEWARD else "",
        n=1,
    )
