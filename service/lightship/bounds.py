"""From the hub's settings to what the web part keeps to: limits of a body, bounds of connections, TLS."""

from __future__ import annotations

from pathlib import Path

from lightship.settings import Settings
from lightship.web.limits import Bounds, Limits
from lightship.web.tls import TlsFiles

OWN_AUTHORITY = Path("tls/ca.pem")


def limits_of(settings: Settings) -> Limits:
    """Return what a body may cost."""
    return Limits(
        body=settings.max_content_length,
        body_idle=settings.body_idle_s,
        body_total=settings.body_timeout_s,
        body_rate=settings.body_min_rate,
    )


def bounds_of(settings: Settings) -> Bounds:
    """Return what connections may cost."""
    return Bounds(
        connections=settings.max_connections,
        per_address=settings.max_connections_per_address,
        target=settings.max_url_bytes,
        header_bytes=settings.max_header_bytes,
        headers=settings.max_headers,
        handshake=settings.handshake_timeout_s,
        headers_within=settings.header_timeout_s,
        idle=settings.keep_alive_s,
        send_idle=settings.send_idle_s,
    )


def tls_of(settings: Settings, hub_dir: Path) -> TlsFiles:
    """Return the files of the server's TLS: clients show certificates of the hub's own authority, where it
    has one, and of those that the settings name."""
    own = hub_dir / OWN_AUTHORITY
    others = (Path(settings.tls_client_ca),) if settings.tls_client_ca else ()
    return TlsFiles(settings.tls_cert, settings.tls_key, (*((own,) if own.exists() else ()), *others))
