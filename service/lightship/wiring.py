"""The composition root: which driver stands behind which port, and how the application is put together.

Nothing is decided here and nothing is computed. `open_hub` opens a hub directory for a command or a server;
`make_app` makes the ASGI application of an open hub.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from isal import isal_zlib

from lightship.api.host import OPENAPI_PATH, HostApp
from lightship.core.errors import Unavailable
from lightship.core.ports import Access, Clock, Decisions, Reader, Registry, Statuses, Writer
from lightship.core.query import Endpoint
from lightship.core.stix.ingest import Ingest
from lightship.core.time import Micros
from lightship.crypto import sign
from lightship.data import stix_schemas
from lightship.keys.hub_key import load_cursor_key, load_hub_key
from lightship.policy.builtin import BuiltinRules
from lightship.settings import Settings, load_settings
from lightship.storage.sqlite.access_log import open_access_log
from lightship.storage.sqlite.store import open_store
from lightship.taxii import resources
from lightship.taxii.openapi import taxii_fragment
from lightship.taxii.reads import About, Reads
from lightship.taxii.routes import taxii_router
from lightship.taxii.writes import Writes
from lightship.usecases.directory import Directory
from lightship.usecases.pages import Pages
from lightship.usecases.publish import Publish
from lightship.usecases.pull import PageLimits, Pull
from lightship.usecases.recover import recover
from lightship.usecases.withdraw import Withdraw
from lightship.web.authenticate import Authenticator
from lightship.web.exchange import Exchange
from lightship.web.limits import Bounds, Limits
from lightship.web.throttle import Throttle

_log = logging.getLogger("lightship")
THREADS = 3
"""Threads for large cold reads and large bodies."""
PAGE_CACHE_BYTES = 128 * 1024 * 1024
_GZIP_LEVEL, _GZIP_WRAPPER = 2, 31


class SystemClock:
    """The machine's clocks."""

    def now(self) -> Micros:
        """Return the wall clock's time."""
        return Micros(time.time_ns() // 1000)

    def monotonic(self) -> Micros:
        """Return a time that never goes back."""
        return Micros(time.monotonic_ns() // 1000)


@dataclass(frozen=True, slots=True)
class Hub:
    """An open hub: its parts behind their ports."""

    dir: Path
    settings: Settings
    clock: Clock
    reader: Reader
    writer: Writer
    statuses: Statuses
    registry: Registry
    access: Access
    directory: Directory
    decisions: Decisions
    ingest: Ingest
    cursor_key: bytes = field(repr=False)
    executor: ThreadPoolExecutor
    closing: tuple[Callable[[], None], ...] = ()

    def close(self) -> None:
        """Finish what is queued and let go of every file."""
        self.executor.shutdown()
        for close in self.closing:
            close()


def open_hub(hub_dir: Path, *, settings: Settings | None = None, clock: Clock | None = None) -> Hub:
    """Open a hub directory; several processes may have it open at once.

    Raises:
        StewardError: there is no hub in it, or a file of it cannot be used (BadFile, NewerStore).
    """
    settings = settings or load_settings(hub_dir)
    clock = clock or SystemClock()
    hub_key, cursor_key = load_hub_key(hub_dir), load_cursor_key(hub_dir)
    store = open_store(hub_dir / "data", clock)
    access = open_access_log(hub_dir / "data", clock)
    return Hub(
        dir=hub_dir,
        settings=settings,
        clock=clock,
        reader=store,
        writer=store,
        statuses=store,
        registry=store,
        access=access,
        directory=Directory(store, sign.verify, pinned_key=hub_key.keyid),
        decisions=BuiltinRules(),
        ingest=Ingest(stix_schemas()),
        cursor_key=cursor_key,
        executor=ThreadPoolExecutor(THREADS, "lightship"),
        closing=(store.close, access.close),
    )


def make_app(hub: Hub, *, plain: bool = False, new_id: Callable[[], UUID] = uuid4) -> HostApp:
    """Return the application of an open hub, after events left over from a crash were recorded.

    Args:
        hub: what it serves.
        plain: served as plain HTTP on loopback: API roots are given as paths.
        new_id: gives a fresh UUIDv4 a call.
    """
    try:
        recover(hub.writer, hub.access)
    except Unavailable as error:
        _log.error("events of before could not be recorded yet: %s", error)
    limits = limits_of(hub.settings)
    app = HostApp(check=hub.registry.epoch, new_id=new_id, fragment=taxii_fragment)
    app.exchange = Exchange(
        router=taxii_router(
            _reads(hub, plain), _writes(hub, limits, new_id), {OPENAPI_PATH: app.openapi_route()}
        ),
        directory=hub.directory,
        authenticate=Authenticator(
            hub.directory, Throttle(hub.settings.throttle_failures, hub.settings.throttle_window_s)
        ),
        access=hub.access,
        writer=hub.writer,
        clock=hub.clock,
        new_id=new_id,
        limits=limits,
        plain=plain,
    )
    return app


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


def _reads(hub: Hub, plain: bool) -> Reads:
    settings = hub.settings
    base = "" if plain else settings.public_url.rstrip("/")
    about = About(
        title=settings.title,
        description=settings.description,
        contact=settings.contact,
        root_url=lambda root: f"{base}/{root}/",
        max_content_length=settings.max_content_length,
    )
    pull = Pull(
        reader=hub.reader,
        pages=Pages(hub.reader, _gzip, PAGE_CACHE_BYTES),
        renders={
            Endpoint.OBJECTS: resources.envelope,
            Endpoint.OBJECT: resources.envelope,
            Endpoint.MANIFEST: resources.manifest,
            Endpoint.VERSIONS: resources.versions,
        },
        cursor_key=hub.cursor_key,
        limits=PageLimits(settings.page_default, settings.page_max, settings.page_max_bytes),
        executor=hub.executor,
    )
    return Reads(about=about, pull=pull, decisions=hub.decisions, statuses=hub.statuses)


def _writes(hub: Hub, limits: Limits, new_id: Callable[[], UUID]) -> Writes:
    publish = Publish(
        writer=hub.writer,
        checks=hub.ingest,
        decisions=hub.decisions,
        directory=hub.directory,
        executor=hub.executor,
    )
    withdraw = Withdraw(writer=hub.writer, decisions=hub.decisions, directory=hub.directory)
    return Writes(publish=publish, withdraw=withdraw, limits=limits, new_id=new_id)


def _gzip(body: bytes) -> bytes:
    packed: bytes = isal_zlib.compress(body, _GZIP_LEVEL, _GZIP_WRAPPER)
    return packed
