"""The exercise behind `lightship run`: its hub, its credentials, one publication and one pull over TLS.

Everything goes the way that real members go: the agreement is a shipped sample, secrets are minted, Long
Beach publishes through the SDK and Los Angeles pulls with a stock TAXII client. The scenario is made up and
uses documentation addresses and names only.
"""

from __future__ import annotations

import json
import secrets
import socket
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from lightship.cli.agreement import apply_file, file_of, sample_text
from lightship.cli.local import new_request, wall_clock
from lightship.cli.output import say
from lightship.cli.serve import bind
from lightship.core.errors import LightshipError, StewardError

if TYPE_CHECKING:
    from lightship.settings import Settings
    from lightship.wiring import Hub

AGREEMENT = "exercise"
PUBLISHER, READER = "uslgb", "uslax"
CREDENTIALS = "exercise-credentials.txt"
PORT = 9443
PORTS_TRIED = 20

Keys = set[tuple[str, str]]


@dataclass(slots=True)
class Outcome:
    """What happened, and how to go on by hand."""

    url: str
    ca: Path
    credentials: Path
    published: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    pulled: int = 0
    equal: bool = False
    client: str = ""
    seconds: float = 0.0

    def shape(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "url": self.url,
            "ca": str(self.ca),
            "credentials": str(self.credentials),
            "published": self.published,
            "held": self.held,
            "refused": self.refused,
            "pulled": self.pulled,
            "equal": self.equal,
            "client": self.client,
            "seconds": round(self.seconds, 3),
        }

    def lines(self, *, served: bool) -> list[str]:
        """Say it in a few lines; how to go on only while the hub is served."""
        new, held = sum(self.published.values()), sum(self.held.values())
        missing = f"{held} were there already, " if held else ""
        nothing = "nothing was missing" if not new and not self.refused else f"{new} published"
        verdict = "each equal to what was posted" if self.equal else "NOT what was posted"
        said = [
            f"Port of Long Beach:   {missing}{nothing} in {len(self.published)} collections, "
            f"refused: {len(self.refused)}",
            *[f"  {one}" for one in self.refused],
            f"Port of Los Angeles:  pulled {self.pulled} over TLS with {self.client}, {verdict}",
            f"Time:                 {self.seconds:.1f} s",
        ]
        if not served:
            return said
        url = self.url.replace("https://", f"https://{READER}-exercise@")
        files = f"--cacert {quote(str(self.ca))} --netrc-file {quote(str(self.credentials))}"
        return [
            *said,
            "",
            f"Hub:                  {self.url}",
            f"Credentials file:     {self.credentials}",
            f"Try:                  curl {files} {url}/{AGREEMENT}/collections/",
            "Stop:                 Ctrl-C",
        ]


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


def credentials_of(hub: Hub) -> dict[str, tuple[str, str]]:
    """Put the agreement in force and return user and secret of both ports, kept in the credentials file.

    A secret that is lost, expired or was replaced gets a new one; one that was revoked stays so.
    """
    from lightship.client.profiles import write_private
    from lightship.usecases.recover import recover

    if AGREEMENT not in hub.directory.view().agreements:
        _apply(hub)
    path = hub.dir / CREDENTIALS
    kept = _read(path)
    found: dict[str, tuple[str, str]] = {}
    for member in (PUBLISHER, READER):
        name = f"{member}-exercise"
        found[member] = (name, _secret(hub, member, kept.get(name, "")))
    if dict(found.values()) != kept:
        lines = [
            f"machine {hub.settings.host} login {name} password {secret}" for name, secret in found.values()
        ]
        text = "# Credentials of the exercise, for curl --netrc-file; made again if this file is lost.\n"
        write_private(path, text + "\n".join(lines) + "\n")
    recover(hub.writer, hub.access)
    return found


def play(hub: Hub, credentials: Mapping[str, tuple[str, str]]) -> Outcome:
    """Publish what is missing as one port, pull everything as the other, and compare.

    Raises:
        LightshipError: the hub could not be reached or refused a whole request.
    """
    from lightship.client import Client, Connection, Unreachable

    start = time.monotonic()
    url, ca = hub.settings.public_url, hub.dir / "tls" / "ca.pem"
    outcome = Outcome(url, ca, hub.dir / CREDENTIALS)
    scenario = bundles()
    with Client(Connection(url, *credentials[PUBLISHER], ca=ca)) as client:
        for alias, objects in scenario.items():
            _publish(client, alias, objects, outcome)
    posted = {
        alias: {key_of(one): one for one in map(json.loads, texts)} for alias, texts in scenario.items()
    }
    try:
        outcome.client, pulled = _pull(url, *credentials[READER], ca)
    except LightshipError:
        raise
    except Exception as error:  # a stock client raises what it likes
        raise Unreachable("The stock client could not pull", why=str(error)) from error
    outcome.pulled = sum(map(len, pulled.values()))
    outcome.equal = all(
        pulled.get(alias, {}).get(key) == one
        for alias, objects in posted.items()
        for key, one in objects.items()
    )
    outcome.seconds = time.monotonic() - start
    return outcome


def bundles() -> dict[str, list[bytes]]:
    """Return the scenario: collection alias -> objects as JSON texts."""
    from lightship.data import policies_dir
    from lightship_feeds.stix_bundle import StixBundle

    found = {}
    for path in sorted((policies_dir() / "exercise").glob("*.json")):
        with path.open("rb") as source:
            found[path.stem] = [one.raw for one in StixBundle().read(source, str(path))]
    return found


def key_of(one: Mapping[str, Any]) -> tuple[str, str]:
    """Return (id, version) of an object."""
    return one["id"], one.get("modified") or one.get("created") or ""


def _publish(client: Any, alias: str, objects: list[bytes], outcome: Outcome) -> None:
    name = f"{AGREEMENT}/{alias}"
    held = {key_of(one) for page in client.pull(name) for one in page.objects}
    missing = [text for text in objects if key_of(json.loads(text)) not in held]
    report = client.publish(name, missing)
    outcome.published[alias] = report.success
    outcome.held[alias] = len(objects) - len(missing)
    outcome.refused += [f"{alias}: {one.id}: {one.message}" for one in report.failures]


def _pull(
    url: str, user: str, secret: str, ca: Path
) -> tuple[str, dict[str, dict[tuple[str, str], dict[str, Any]]]]:
    """Pull every collection with taxii2-client; where that is not installed, with the SDK."""
    try:
        from importlib.metadata import version

        from taxii2client.common import _HTTPConnection
        from taxii2client.v21 import ApiRoot, Server, as_pages
    except ImportError:
        return "the SDK (taxii2-client is not installed)", _pull_with_sdk(url, user, secret, ca)
    conn = _HTTPConnection(user=user, password=secret, verify=str(ca), version="2.1")
    conn.session.trust_env = False  # else REQUESTS_CA_BUNDLE of the environment wins over the hub's own CA
    roots = [one.url for one in Server(f"{url}/taxii2/", conn=conn).api_roots]
    root = ApiRoot(next(one for one in roots if one.rstrip("/").endswith(f"/{AGREEMENT}")), conn=conn)
    found = {}
    for collection in root.collections:
        pages = as_pages(collection.get_objects, per_request=20)
        found[_alias(collection)] = _index(one for page in pages for one in page.get("objects", []))
    conn.close()
    return f"taxii2-client {version('taxii2-client')}", found


def _pull_with_sdk(
    url: str, user: str, secret: str, ca: Path
) -> dict[str, dict[tuple[str, str], dict[str, Any]]]:
    from lightship.client import Client, Connection

    with Client(Connection(url, user, secret, ca=ca)) as client:
        return {
            one.alias: _index(got for page in client.pull(one.name) for got in page.objects)
            for one in client.collections(AGREEMENT)
        }


def _index(objects: Iterable[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {key_of(one): one for one in objects}


def _alias(collection: Any) -> str:
    """Return a collection's alias; taxii2-client keeps it among the properties that it does not know."""
    custom = getattr(collection, "custom_properties", {})
    return str(getattr(collection, "alias", None) or custom.get("alias", collection.id))


def _apply(hub: Hub) -> None:
    from lightship.core.agreement.chain import key_text
    from lightship.keys.hub_key import load_hub_key
    from lightship.usecases.new_agreement import new_text

    path = file_of(hub.dir, AGREEMENT)
    if not path.exists():
        text = new_text(
            AGREEMENT,
            hub_key=key_text(load_hub_key(hub.dir).public),
            new_uuid=lambda: str(uuid.uuid4()),
            sample=sample_text(AGREEMENT),
        )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    apply_file(hub, path)


def _secret(hub: Hub, member: str, kept: str) -> str:
    """Return the kept secret if it still holds, else a new one."""
    from lightship.usecases import credentials

    name, now = f"{member}-exercise", hub.clock.now()
    held = next((one for one in hub.registry.credentials(AGREEMENT) if one.name == name), None)
    how: dict[str, Any] = {"entropy": secrets.token_bytes(32), "req": new_request(), "now": now}
    if held is None:
        order = credentials.Order(AGREEMENT, member, "exercise", note="lightship run")
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
