"""Make a hub directory: keys, TLS, settings. No account, no password, no agreement.

Everything is private to the user that runs the hub: directories 0700, files 0600, keys 0400. `lightship.toml`
is written last, so a directory without it is no hub, and an interrupted `init` is simply run again. An
existing hub is never touched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from lightship.core.agreement.chain import key_text
from lightship.core.errors import BadFile, Conflict, MalformedRequest
from lightship.core.time import Micros

SETTINGS = "lightship.toml"
FOLDERS = ("agreements", "keys", "tls", "data", "data/backups")
LOOPBACK = {"localhost": "127.0.0.1", "127.0.0.1": "127.0.0.1", "::1": "[::1]"}
"""Hosts that only this machine reaches, and the address to bind for each."""


class KeyMaker(Protocol):
    """Makes and checks key material; `lightship.keys.authority.KeyMaker` is the real one."""

    def signing_key(self) -> tuple[bytes, bytes]: ...
    def authority(self, host: str, now: Micros) -> tuple[bytes, bytes]: ...
    def server(self, authority: tuple[bytes, bytes], host: str, now: Micros) -> tuple[bytes, bytes]: ...
    def check_pair(self, certificate: bytes, key: bytes, host: str, now: Micros) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Initialised:
    """A new hub. `ca` is the file that clients need, None with a certificate of the steward's own.

    `hub_key` is the public key text that agreements name; `warnings` are for the steward to read.
    """

    dir: Path
    public_url: str
    listen: str
    hub_key: str
    ca: Path | None
    warnings: tuple[str, ...] = ()


def init_hub(
    hub_dir: Path,
    public_url: str,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    *,
    keys: KeyMaker,
    cursor_key: bytes,
    now: Micros,
    listen: str | None = None,
) -> Initialised:
    """Make a hub.

    Args:
        hub_dir: a directory that does not exist, is empty, or holds an interrupted `init`.
        public_url: the URL that clients use: scheme, host, port.
        tls_cert, tls_key: the steward's own certificate chain and key (PEM), used where they lie, so that a
            renewal there is picked up; without them a private authority is made.
        keys: makes keys and certificates.
        cursor_key: 32 random bytes.
        now: microseconds.
        listen: address and port to bind; by default the URL's port, on loopback for a loopback host.

    Raises:
        Conflict: there is a hub already, or other files.
        MalformedRequest: the URL, or only one of certificate and key.
        BadFile: certificate or key cannot be used.
    """
    host, port = _host_port(public_url)
    listen = listen or f"{LOOPBACK.get(host, '0.0.0.0')}:{port}"  # noqa: S104  # a public name is for others
    _free(hub_dir)
    tls, settings, warnings = _tls(tls_cert, tls_key, host, keys, now)
    pem, public = keys.signing_key()
    hub_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    hub_dir.chmod(0o700)
    for folder in FOLDERS:
        (hub_dir / folder).mkdir(mode=0o700, exist_ok=True)
        (hub_dir / folder).chmod(0o700)
    private = {"keys/hub.key": pem, "keys/cursor.key": cursor_key}
    for name, content in {**private, **tls}.items():
        _write(hub_dir / name, content, 0o400 if name.endswith(".key") else 0o600)
    _write(hub_dir / SETTINGS, _settings(public_url, listen, settings).encode(), 0o600)
    return Initialised(
        dir=hub_dir,
        public_url=public_url.rstrip("/"),
        listen=listen,
        hub_key=key_text(public),
        ca=hub_dir / "tls/ca.pem" if "tls/ca.pem" in tls else None,
        warnings=tuple(warnings),
    )


def _host_port(public_url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(public_url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    usable = parts.scheme in {"https", "http"} and parts.hostname and parts.path in {"", "/"}
    plain = parts.scheme == "http" and parts.hostname not in LOOPBACK
    if not usable or plain or parts.query or parts.fragment or parts.username is not None:
        raise MalformedRequest(
            "The public URL cannot be used",
            why="it needs https, a host and no path; plain http is for loopback only",
            todo="Write it as https://hub.example:9443",
        )
    return str(parts.hostname), port or (443 if parts.scheme == "https" else 80)


def _free(hub_dir: Path) -> None:
    """Refuse a hub, and a directory that holds anything which is not of an interrupted `init`."""
    if (hub_dir / SETTINGS).exists():
        raise Conflict(
            f"There is a hub in {hub_dir} already",
            why="its keys are never replaced",
            todo="Use it with --hub, or choose another directory",
        )
    if hub_dir.exists() and not hub_dir.is_dir():
        raise Conflict(f"{hub_dir} is not a directory")
    found = {path.name for path in hub_dir.iterdir()} if hub_dir.exists() else set()
    others = sorted(found - {folder for folder in FOLDERS if "/" not in folder})
    data = hub_dir / "data"
    if data.is_dir() and any(path.name != "backups" for path in data.iterdir()):
        others.append("data")
    if others:
        raise Conflict(
            f"{hub_dir} is not empty",
            why=f"it holds {', '.join(others[:3])}",
            todo="Choose a new or an empty directory",
        )


def _tls(
    tls_cert: Path | None, tls_key: Path | None, host: str, keys: KeyMaker, now: Micros
) -> tuple[dict[str, bytes], dict[str, str], list[str]]:
    """Return (files to write, settings to write, warnings)."""
    if (tls_cert is None) != (tls_key is None):
        raise MalformedRequest("A certificate comes with its key", todo="Give both --tls-cert and --tls-key")
    if tls_cert is None or tls_key is None:
        authority = keys.authority(host, now)
        certificate, key = keys.server(authority, host, now)
        made = {
            "tls/ca.pem": authority[0],
            "tls/ca.key": authority[1],
            "tls/server.pem": certificate,
            "tls/server.key": key,
        }
        return made, {}, []
    read = []
    for path in (tls_cert, tls_key):
        try:
            read.append(path.read_bytes())
        except OSError as error:
            raise BadFile("A TLS file cannot be read", path=str(path), why=error.strerror or "") from None
    try:
        warnings = keys.check_pair(read[0], read[1], host, now)
    except ValueError as error:
        raise BadFile(
            "The TLS certificate cannot be used",
            path=str(tls_cert),
            why=str(error),
            todo="Give the certificate with its chain, and the key that belongs to it, both PEM",
        ) from None
    if tls_key.stat().st_mode & 0o077:
        warnings.append(f"{tls_key} can be read by others")
    return {}, {"tls_cert": str(tls_cert.resolve()), "tls_key": str(tls_key.resolve())}, warnings


def _settings(public_url: str, listen: str, more: Mapping[str, str]) -> str:
    """Return the settings file; what it leaves out has its default."""
    values = {"public_url": public_url.rstrip("/"), "listen": listen, **more}
    lines = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
    return (
        f"# Settings of this hub; everything else has its default (`lightship doctor` shows them).\n{lines}"
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a new file; one that an interrupted `init` left is written again. Durable when it returns."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
