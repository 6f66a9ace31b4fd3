"""String formats that STIX names and JSON schemas cannot hold: timestamps, domain names, addresses.

STIX 2.1 sections 2.16, 6.4, 6.5, 6.8, 6.9. Values are only looked at, never resolved.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from lightship.core.stix import amendments
from lightship.core.time import parse_instant

_LABEL = re.compile(r"[^\s.\x00-\x20\x7f/\\@:\"<>|,;(){}\[\]]{1,63}")
_LOCAL = re.compile(r"[^\s@\x00-\x20\x7f\"(),:;<>\[\]\\]{1,64}|\"(?:[^\"\\\x00-\x1f\x7f]|\\.){0,62}\"")
_LANGUAGE = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[0-9a-wy-z](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?"
    r"|x(?:-[a-z0-9]{1,8})+|i-[a-z]{2,8}(?:-[a-z]+)*",
    re.ASCII | re.IGNORECASE,
)


def is_timestamp(text: str) -> bool:
    """True for a UTC timestamp with a date that exists."""
    try:
        parse_instant(text)
    except ValueError:
        return False
    return True


def is_domain(text: str) -> bool:
    """True for labels of 1 to 63 characters, at most 253 in all; A-labels, U-labels and underscores are good.

    RFC 1034 section 3.1 bounds labels and names; RFC 2181 section 11 lets any label be.
    """
    labels = text.removesuffix(".").split(".")
    return len(text) <= 254 and all(_LABEL.fullmatch(label) for label in labels)


def is_email(text: str) -> bool:
    """True for local-part@domain (RFC 5322 addr-spec without comments; domain literals are good)."""
    local, at, domain = text.rpartition("@")
    if not at or _LOCAL.fullmatch(local) is None:
        return False
    if domain.startswith("[") and domain.endswith("]"):
        inner = domain[1:-1]
        return is_ipv6(inner[5:]) if inner.lower().startswith("ipv6:") else is_ipv4(inner)
    return is_domain(domain)


def is_ipv4(text: str) -> bool:
    """True for an IPv4 address or a network in CIDR notation, host bits allowed."""
    return text.isascii() and _is_network(ipaddress.IPv4Interface, text)


def is_ipv6(text: str) -> bool:
    """True for an IPv6 address or a network in CIDR notation, host bits and a zone allowed."""
    return text.isascii() and _is_network(ipaddress.IPv6Interface, text)


def is_language(text: str) -> bool:
    """True for a well-formed language tag (RFC 5646 section 2.1)."""
    return _LANGUAGE.fullmatch(text) is not None


def _is_network(kind: Callable[[str], object], text: str) -> bool:
    address, slash, prefix = text.partition("/")
    if slash and not (prefix.isdigit() and len(prefix) <= 3 and str(int(prefix)) == prefix):
        return False  # a netmask is no prefix length
    try:
        kind(text)
    except ValueError:
        return False
    return bool(address)


FORMATS: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        amendments.TIMESTAMP: is_timestamp,
        amendments.DOMAIN: is_domain,
        amendments.EMAIL: is_email,
        amendments.IPV4: is_ipv4,
        amendments.IPV6: is_ipv6,
    }
)
