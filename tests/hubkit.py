"""A hub for tests: a real one, made by the code that makes real ones, over memory or SQLite.

    kit = make_hub(tmp_path)                      # agreement `exercise`, members uslax and uslgb
    client = kit.client("uslgb")                  # sync, in process
    client.post(kit.path("indicators", "objects/"), json={"objects": [...]})
    client.get("/taxii2/")
    async with kit.async_client("uslax") as c: …  # the same for concurrent requests
    with kit.serve() as served:                   # real TLS on a free port of loopback
        served.client("uslax").get(f"{kit.root}collections/")
    kit.events()                                  # access events so far, oldest first
    kit.close()                                   # or `with make_hub(tmp_path) as kit:`

Clients send `Accept` and, with a body, `Content-Type` of TAXII by default; headers given win.

`members` are agreement slugs; one that is a mapping's key may bring its own TOML keys. `collections` maps an
alias to its TOML keys; what is left out has the defaults of `COLLECTION`. `kit.mint` makes further
credentials, `kit.add_agreement` a further agreement, `kit.credential(member)` returns (user name, secret).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from secrets import token_bytes
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2

from lightship.api.host import HostApp
from lightship.bounds import bounds_of, tls_of
from lightship.core.agreement.chain import key_text
from lightship.core.audit import AccessEvent, AuditQuery
from lightship.core.collection import Collection
from lightship.core.ports import Clock
from lightship.core.stix.ingest import Ingest
from lightship.crypto import sign
from lightship.crypto.client_certificates import client_certificate
from lightship.data import cert_profile, extension_schemas, stix_schemas
from lightship.keys.authority import KeyMaker
from lightship.keys.hub_key import load_cursor_key, load_hub_key
from lightship.settings import Settings, load_settings
from lightship.storage.memory import MemoryStore
from lightship.storage.memory_access import MemoryAccessLog
from lightship.storage.sqlite.access_log import open_access_log
from lightship.storage.sqlite.access_tree import Sealer
from lightship.storage.sqlite.store import open_store
from lightship.system_clock import SystemClock
from lightship.usecases import agreements, credentials
from lightship.usecases.directory import Directory
from lightship.usecases.draft import Draft, Ground
from lightship.usecases.initialise import init_hub
from lightship.web.limits import Bounds
from lightship.web.server import HubServer
from lightship.wiring import Hub, make_app
from policy_rules import cedar_rules

TAXII = "application/taxii+json;version=2.1"
HEADERS = {"Accept": TAXII, "Content-Type": TAXII}
AGREEMENT = "exercise"
MEMBERS = ("uslax", "uslgb")
MEMBER: Mapping[str, object] = {
    "group": "port-authority",
    "roles": ["publisher", "consumer", "auditor"],
}
COLLECTION: Mapping[str, object] = {
    "ceiling": "red",
    "red": "audience",
    "unmarked": "clear",
    "authors": "any",
}
COLLECTIONS: Mapping[str, Mapping[str, object]] = {"indicators": {}}
Toml = Mapping[str, Mapping[str, object]]
Store = Literal["memory", "sqlite"]


@dataclass(slots=True)
class StoppedClock:
    """A clock that moves only when it is told to; microseconds."""

    at: int = 1_790_000_000_000_000
    passed: int = 0

    def now(self) -> Any:
        return self.at

    def monotonic(self) -> Any:
        return self.passed

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.at += int(seconds * 1_000_000)
        self.passed += int(seconds * 1_000_000)


class InProcess(httpx2.BaseTransport):
    """Runs the requests of a sync client in process, one after the other, on one event loop."""

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop, address: str) -> None:
        self._inner = httpx2.ASGITransport(app, client=(address, 40000))
        self._loop = loop

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        async def run() -> httpx2.Response:
            content = request.read()
            passed_on = httpx2.Request(request.method, request.url, headers=request.headers, content=content)
            answer = await self._inner.handle_async_request(passed_on)
            body = b"".join([piece async for piece in answer.aiter_raw()])
            return httpx2.Response(answer.status_code, headers=answer.headers, stream=_Bytes(body))

        return self._loop.run_until_complete(run())


class _Bytes(httpx2.SyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body


@dataclass(slots=True)
class Served:
    """A hub behind a real server. `ca` is the file that clients need."""

    kit: HubKit
    url: str
    port: int
    ca: Path
    server: HubServer | None = None

    def client(self, member: str | None, **more: Any) -> httpx2.Client:
        """Return a client of a member, or of nobody."""
        context = ssl.create_default_context(cafile=self.ca)
        auth = self.kit.credential(member) if member else None
        options: dict[str, Any] = {"headers": HEADERS, "timeout": 30, "trust_env": False}
        return httpx2.Client(base_url=self.url, auth=auth, verify=context, **(options | more))


@dataclass(slots=True)
class HubKit:
    """A hub and what tests do with it."""

    hub: Hub
    app: HostApp
    agreement: str
    held: dict[str, tuple[str, str]] = field(repr=False)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def close(self) -> None:
        """Close the hub; called by `make_hub`'s context manager form and by fixtures."""
        if not self.loop.is_closed():
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.hub.close()

    def __enter__(self) -> HubKit:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- who --------------------------------------------------------------------------------------

    def credential(self, member: str) -> tuple[str, str]:
        """Return (user name, secret) of a member's first credential, or of `member/name`."""
        return self.held[member]

    def secret(self, member: str) -> str:
        """Return the secret of a member's first credential."""
        return self.held[member][1]

    def mint(self, member: str, name: str, *, agreement: str | None = None, **more: Any) -> tuple[str, str]:
        """Mint a further credential, kept under `member/name`; `more` goes to `credentials.Order`."""
        order = credentials.Order(agreement or self.agreement, member, name, **more)
        made = credentials.mint(
            self.hub.registry,
            self.hub.directory.view(),
            order,
            entropy=token_bytes(32),
            credential_id=str(uuid4()),
            req=uuid4().hex,
            now=self.hub.clock.now(),
        )
        self.held[f"{member}/{name}"] = (made.credential.name, made.secret.reveal())
        return self.held[f"{member}/{name}"]

    def revoke(self, member: str) -> None:
        """Revoke the credential that `credential(member)` returns."""
        credentials.revoke(self.hub.registry, self.held[member][0], req=uuid4().hex, now=self.hub.clock.now())

    # --- what -------------------------------------------------------------------------------------

    @property
    def root(self) -> str:
        """The path of the API root."""
        return f"/{self.agreement}/"

    def collection(self, alias: str) -> str:
        """Return a collection's id."""
        return self.collection_value(alias).id

    def collection_value(self, alias: str) -> Collection:
        """Return a collection as the hub holds it."""
        found = self.hub.directory.view().collection(self.agreement, alias)
        assert found is not None, alias
        return found

    def path(self, alias: str, rest: str = "") -> str:
        """Return the path of something below a collection, such as `objects/`."""
        return f"/{self.agreement}/collections/{self.collection(alias)}/{rest}"

    def add_agreement(
        self,
        agreement: str,
        *,
        members: Sequence[str] | Toml = MEMBERS,
        collections: Toml = COLLECTIONS,
        credential: str = "tool",
        rules: str = "",
        **top: Any,
    ) -> None:
        """Put an agreement in force, or its next version; new members get a credential each.

        `rules` is the text of its own rules. The credentials of a second agreement are kept under
        `agreement:member`.
        """
        hub_key = load_hub_key(self.hub.dir)
        text = agreement_text(
            agreement, key_text(hub_key.public), members, collections, self._ids(agreement), **top
        )
        agreements.apply(
            Ground(self.hub.registry, self.hub.reader, self.hub.decisions, sign.verify, self.hub.read_rules),
            self.hub.directory,
            Draft(text, f"agreements/{agreement}/agreement.toml", rules.encode()),
            signer=hub_key,
            req=uuid4().hex,
            now=self.hub.clock.now(),
        )
        for member in members:
            own = member if agreement == self.agreement else f"{agreement}:{member}"
            if own not in self.held:
                name = credential if agreement == self.agreement else f"{agreement}-{credential}"
                self.held[own] = self.mint(member, name, agreement=agreement)

    def _ids(self, agreement: str) -> dict[str, str]:
        """Return ids that earlier versions gave to members and collections."""
        found = self.hub.directory.view().agreements.get(agreement)
        if found is None:
            return {}
        ids = {f"collections.{one.alias}": one.id for one in found.collections}
        return ids | {f"members.{slug}": min(one.identities) for slug, one in found.members.items()}

    def events(self, **query: Any) -> list[AccessEvent]:
        """Return access events, oldest first; `query` goes to `AuditQuery`."""
        return list(self.hub.access.search(AuditQuery(**query)))

    # --- HTTP -------------------------------------------------------------------------------------

    def client(self, member: str | None, *, address: str = "127.0.0.1", **more: Any) -> httpx2.Client:
        """Return an in-process client of a member, or of nobody."""
        transport = InProcess(self.app, self.loop, address)
        return httpx2.Client(transport=transport, **self._options(member, more))

    def async_client(
        self, member: str | None, *, address: str = "127.0.0.1", **more: Any
    ) -> httpx2.AsyncClient:
        """Return the same for a running event loop."""
        transport = httpx2.ASGITransport(self.app, client=(address, 40000))
        return httpx2.AsyncClient(transport=transport, **self._options(member, more))

    def _options(self, member: str | None, more: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "base_url": "https://hub.test",
            "auth": self.credential(member) if member else None,
            "headers": HEADERS,
            "timeout": 30,
        } | dict(more)

    @contextlib.contextmanager
    def serve(self, *, bounds: Bounds | None = None, tls: bool = True) -> Iterator[Served]:
        """Serve over TLS, or as plain HTTP, on a free port of 127.0.0.1, in a thread."""
        ready: list[int] = []
        up = threading.Event()

        def on_ready(port: int) -> None:
            ready.append(port)
            up.set()

        settings = self.hub.settings
        server = HubServer(
            self.app,
            host="127.0.0.1",
            port=0,
            tls=tls_of(settings, self.hub.dir) if tls else None,
            ready=on_ready,
            bounds=bounds or bounds_of(settings),
            alongside=self.app.upkeep,
            certificate=client_certificate,
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            assert up.wait(30), "the server did not start"
            url = f"http{'s' if tls else ''}://localhost:{ready[0]}"
            yield Served(self, url, ready[0], self.hub.dir / "tls" / "ca.pem", server)
        finally:
            server.stop()
            thread.join(30)
            assert not thread.is_alive(), "the server did not stop"


def make_hub(
    tmp_path: Path,
    store: Store = "memory",
    members: Sequence[str] | Toml = MEMBERS,
    collections: Toml = COLLECTIONS,
    *,
    clock: Clock | None = None,
    agreement: str = AGREEMENT,
    settings: Mapping[str, Any] | None = None,
    **top: Any,
) -> HubKit:
    """Make a hub with one agreement in force and a credential for each member.

    Args:
        tmp_path: the hub directory is made below it.
        store: the driver.
        members: slugs, or slug -> TOML keys beside those of `MEMBER`.
        collections: alias -> TOML keys beside those of `COLLECTION`.
        clock: by default the machine's.
        agreement: its id.
        settings: fields of `Settings` that differ from the defaults.
        top: further top-level keys of the agreement, such as `not_after`.
    """
    clock = clock or SystemClock()
    hub_dir = tmp_path / "hub"
    init_hub(
        hub_dir,
        "https://localhost:9443",
        keys=KeyMaker(cert_profile),
        cursor_key=token_bytes(32),
        now=SystemClock().now(),
    )
    loaded = load_settings(hub_dir).model_copy(update=dict(settings or {}))
    hub = _open(hub_dir, store, loaded, clock)
    kit = HubKit(hub, make_app(hub), agreement, {})
    try:
        kit.add_agreement(agreement, members=members, collections=collections, **top)
    except BaseException:
        kit.close()
        raise
    return kit


def _open(hub_dir: Path, store: Store, settings: Settings, clock: Clock) -> Hub:
    key = load_hub_key(hub_dir)
    sealer = Sealer(urlsplit(settings.public_url).netloc, key.public, key.sign)
    held: Any = (
        MemoryStore(clock, sealer)
        if store == "memory"
        else open_store(hub_dir / "data", clock, sealer=sealer)
    )
    rules = cedar_rules()
    access: Any = (
        MemoryAccessLog() if store == "memory" else open_access_log(hub_dir / "data", clock, sealer=sealer)
    )
    return Hub(
        dir=hub_dir,
        settings=settings,
        clock=clock,
        reader=held,
        writer=held,
        statuses=held,
        registry=held,
        logs=held,
        access=access,
        directory=Directory(held, sign.verify),
        decisions=rules,
        ingest=_ingest(),
        cursor_key=load_cursor_key(hub_dir),
        read_rules=rules.read_agreement_rules,
        executor=ThreadPoolExecutor(3, "lightship"),
        signing=held,
        closing=(held.close, access.close),
    )


@cache
def _ingest() -> Ingest:
    """The object checks are the same for every hub and take a while to make."""
    return Ingest(stix_schemas(), extension_schemas())


def agreement_text(
    agreement: str,
    hub_key: str,
    members: Sequence[str] | Toml,
    collections: Toml,
    ids: Mapping[str, str] | None = None,
    **top: object,
) -> str:
    """Return an agreement file, complete."""
    known = ids or {}
    lines = [f'id = "{agreement}"', f'title = "{agreement.title()}"']
    lines += [f"{key} = {_toml(value)}" for key, value in top.items()]
    lines += ["[authority]", "threshold = 1", f'keys.hub = "{hub_key}"']
    for slug in members:
        own = members[slug] if isinstance(members, Mapping) else {}
        identity = known.get(f"members.{slug}") or f"identity--{uuid4()}"
        place = slug[:5].upper().ljust(5, "X")
        named: dict[str, object] = {"name": slug.upper(), "unlocode": place, "identities": [identity]}
        lines += [f"[members.{slug}]", *_lines(named | dict(MEMBER) | dict(own))]
    for alias, keys in collections.items():
        own_id = known.get(f"collections.{alias}") or str(uuid4())
        given: dict[str, object] = {"id": own_id, "title": alias.title(), "audience": list(members)}
        lines += [f"[collections.{alias}]", *_lines(given | dict(COLLECTION) | dict(keys))]
    return "\n".join(lines) + "\n"


def _lines(keys: Mapping[str, object]) -> list[str]:
    return [f"{key} = {_toml(value)}" for key, value in keys.items()]


def _toml(value: object) -> str:
    """Return a value as TOML; dates come as `Date("2027-12-31")`."""
    return str(value) if isinstance(value, Date) else json.dumps(value)


class Date(str):
    """A TOML date, written without quotes."""

    __slots__ = ()
