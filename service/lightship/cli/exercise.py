"""The hub behind `lightship run`: made once, two shipped samples in force, a credential for each party."""

from __future__ import annotations

import secrets
import socket
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightship.cli.agreement import apply_file, file_of, sample_text
from lightship.cli.local import new_request, wall_clock
from lightship.cli.output import say
from lightship.cli.scenario import AGREEMENT, DRAYAGE, PUBLISHER, READER, STAKEHOLDERS
from lightship.cli.serve import bind
from lightship.core.errors import StewardError

if TYPE_CHECKING:
    from lightship.settings import Settings
    from lightship.wiring import Hub

PARTIES = (
    (AGREEMENT, PUBLISHER, "exercise"),
    (AGREEMENT, READER, "exercise"),
    (STAKEHOLDERS, PUBLISHER, "stakeholders"),
    (STAKEHOLDERS, DRAYAGE, "stakeholders"),
)
"""(agreement, member, name of its credential)."""
CREDENTIALS = "exercise-credentials.txt"
PORT = 9443
PORTS_TRIED = 20


def prepare(hub_dir: Path) -> tuple[Settings, socket.socket]:
    """Make the hub if there is none; return its settings for this run and a socket bound to its port.

    A port that another process has is replaced by the next free one, for this run only.
    """
    from lightship.data import cert_profile
    from lightship.keys.authority import KeyMaker
    from lightship.settings import FILE, load_settings
    from lightship.usecases.initialise import init_hub

    if not (hub_dir / FILE).exists():
        init_hub(
            hub_dir,
            f"https://localhost:{PORT}",
            keys=KeyMaker(cert_profile),
            cursor_key=secrets.token_bytes(32),
            now=wall_clock(),
        )
        say(f"A hub was made in {hub_dir}.")
    settings = load_settings(hub_dir)
    host, wanted = settings.listen_address
    bound = _next_free(host, wanted)
    port = int(bound.getsockname()[1])
    if port != wanted:
        say(f"Port {wanted} is in use; this run uses {port}.")
        update = {"listen": f"{host}:{port}", "public_url": f"https://{settings.host}:{port}"}
        settings = settings.model_copy(update=update)
    return settings, bound


def credentials_of(hub: Hub) -> dict[tuple[str, str], tuple[str, str]]:
    """Put the agreements in force; return (agreement, member) -> user and secret, kept in a file.

    A secret that is lost, expired or was replaced gets a new one; one that was revoked stays so.
    """
    from lightship.client.profiles import write_private
    from lightship.usecases.recover import recover

    for agreement in (AGREEMENT, STAKEHOLDERS):
        if agreement not in hub.directory.view().agreements:
            _apply(hub, agreement)
    path = hub.dir / CREDENTIALS
    kept = _read(path)
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for agreement, member, credential in PARTIES:
        name = f"{member}-{credential}"
        found[agreement, member] = (name, _secret(hub, agreement, member, credential, kept.get(name, "")))
    if dict(found.values()) != kept:
        lines = [
            f"machine {hub.settings.host} login {name} password {secret}" for name, secret in found.values()
        ]
        text = "# Credentials of the exercise, for curl --netrc-file; made again if this file is lost.\n"
        write_private(path, text + "\n".join(lines) + "\n")
    recover(hub.writer, hub.access)
    return found


def _apply(hub: Hub, agreement: str) -> None:
    from lightship.core.agreement.chain import key_text
    from lightship.keys.hub_key import load_hub_key
    from lightship.usecases.new_agreement import new_text

    path = file_of(hub.dir, agreement)
    if not path.exists():
        text = new_text(
            agreement,
            hub_key=key_text(load_hub_key(hub.dir).public),
            new_uuid=lambda: str(uuid.uuid4()),
            sample=sample_text(agreement),
        )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    apply_file(hub, path)


def _secret(hub: Hub, agreement: str, member: str, credential: str, kept: str) -> str:
    """Return the kept secret if it still holds, else a new one."""
    from lightship.usecases import credentials

    name, now = f"{member}-{credential}", hub.clock.now()
    held = next((one for one in hub.registry.credentials(agreement) if one.name == name), None)
    how: dict[str, Any] = {"entropy": secrets.token_bytes(32), "req": new_request(), "now": now}
    if held is None:
        order = credentials.Order(agreement, member, credential, note="lightship run")
        view = hub.directory.view()
        made = credentials.mint(hub.registry, view, order, credential_id=str(uuid.uuid4()), **how)
        return made.secret.reveal()
    if held.revoked is not None:
        raise StewardError(
            f"The credential {name} was revoked",
            todo="Run the exercise in another directory: lightship run --hub run2",
        )
    expired = held.expires is not None and held.expires <= now
    if kept and not expired and credentials.secret_digest(kept) == held.digest:
        return kept
    say(f"{name} gets a new secret: the kept one is lost or no longer holds.")
    return credentials.rotate(hub.registry, name, **how).secret.reveal()


def _read(path: Path) -> dict[str, str]:
    """Return user -> secret of a credentials file; what cannot be read is made again."""
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        return {}
    return {row[3]: row[5] for row in rows if len(row) == 6 and row[0] == "machine"}


def _next_free(host: str, port: int) -> socket.socket:
    for candidate in range(port, port + PORTS_TRIED):
        try:
            return bind(host, candidate)
        except StewardError:
            if candidate == port + PORTS_TRIED - 1:
                raise
    raise AssertionError("unreachable: the last port is bound or raises")
