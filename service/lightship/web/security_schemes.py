"""How a request says who makes it, as the OpenAPI 3.1 document of all routes names it.

An entry of a list is a way that will do; schemes in one entry are needed together.
"""

from __future__ import annotations

from typing import Any

_CERTIFICATE = (
    "A TLS client certificate whose public key a credential or the roster of its member pins. It says who "
    "somebody is by itself, or beside a secret of the same member. Where a collection has "
    "`require_certificate_to_write`, it is needed in addition to a secret: what comes with a secret alone is "
    "refused there (403, `deny-no-certificate`)."
)
SECURITY_SCHEMES: dict[str, dict[str, Any]] = {
    "basic": {"type": "http", "scheme": "basic"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "certificate": {"type": "mutualTLS", "description": _CERTIFICATE},
}


def to_read() -> list[dict[str, list[str]]]:
    """Return what a reading request needs: a secret or a certificate."""
    return [{name: []} for name in SECURITY_SCHEMES]


def to_write() -> list[dict[str, list[str]]]:
    """Return what a writing request needs: as `to_read`, and a secret with a certificate where it must be."""
    secrets = [name for name, scheme in SECURITY_SCHEMES.items() if scheme["type"] != "mutualTLS"]
    both: list[dict[str, list[str]]] = [{name: [], "certificate": []} for name in secrets]
    return to_read() + both
