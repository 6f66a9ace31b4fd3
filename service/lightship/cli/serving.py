"""Whether the hub of a directory serves right now: what a container's health check asks.

Asks the address that the hub listens on, on this machine. Its certificate is not checked, because nothing
secret is sent and the name in it is the public one.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from lightship.client.doctor import Finding
from lightship.settings import Settings

WITHIN_S = 10
_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 # compared with, never bound to


def examine_serving(settings: Settings) -> Iterator[Finding]:
    """Yield whether the hub lives, then whether it is ready for requests."""
    alive = _ask(settings, "/healthz")
    if alive != 200:
        why = f"nobody answers at {settings.listen}" if alive is None else f"it answers {alive}"
        yield Finding("alive", "failed", why, "Start it with `lightship serve`, or look into its log")
        return
    yield Finding("alive", "ok", f"it answers at {settings.listen}")
    if _ask(settings, "/readyz") == 200:
        yield Finding("ready", "ok", "requests can be answered")
    else:
        yield Finding("ready", "warning", "requests cannot be answered now", "Its log says why")


def _ask(settings: Settings, path: str) -> int | None:
    """Return the status of an answer, None if there is none."""
    host, port = settings.listen_address
    host = _HERE.get(host, host)
    if settings.public_url.startswith("http:"):
        connection = HTTPConnection(host, port, timeout=WITHIN_S)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = HTTPSConnection(host, port, timeout=WITHIN_S, context=context)
    with closing(connection):
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, HTTPException):
            return None
