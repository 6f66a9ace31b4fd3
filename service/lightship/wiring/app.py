"""The application of an open hub: use cases and faces, put together. Nothing is decided or computed here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from uuid import UUID

from isal import isal_zlib

from lightship.api.audience import Audiences
from lightship.api.audit import Audits
from lightship.api.figures import Figures, Sources
from lightship.api.health import Readiness
from lightship.api.host import OPENAPI_PATH, HostApp
from lightship.api.openapi import with_asking
from lightship.api.schemas import schema_routes, with_schemas
from lightship.api.staged import SEGMENT as STAGED
from lightship.api.staged import StagedFace, with_staged
from lightship.api.why import Whys
from lightship.bounds import limits_of
from lightship.core.errors import Unavailable
from lightship.core.query import Endpoint
from lightship.crypto import sign
from lightship.crypto.certificates import check_pair
from lightship.data import extension_definitions, extension_schemas
from lightship.log.handing import RosterPosts
from lightship.log.openapi import with_logs
from lightship.log.reads import LogReads
from lightship.log.writes import LogWrites
from lightship.storage.sqlite.access_log import audit_files
from lightship.system_disk import FreeSpace
from lightship.system_random import random_uuid
from lightship.taxii import resources
from lightship.taxii.openapi import taxii_fragment
from lightship.taxii.reads import About, Reads
from lightship.taxii.routes import Below, taxii_router
from lightship.taxii.writes import Writes
from lightship.usecases.explain import Explain
from lightship.usecases.pages import Pages
from lightship.usecases.publish import Publish
from lightship.usecases.publish_signed import PublishSigned
from lightship.usecases.pull import PageLimits, Pull
from lightship.usecases.recover import choose_unlogged, recover
from lightship.usecases.staged import StagedObjects
from lightship.usecases.upkeep import Upkeep
from lightship.usecases.withdraw import Withdraw
from lightship.web.authenticate import Authenticator
from lightship.web.exchange import Exchange
from lightship.web.limits import Limits
from lightship.web.throttle import Throttle
from lightship.wiring.hub import Hub

_log = logging.getLogger("lightship")
ASKING_AT_ONCE = 2
"""Explanations that are made at the same time; more wait their turn."""
PAGE_CACHE_BYTES = 128 * 1024 * 1024
_GZIP_LEVEL, _GZIP_WRAPPER = 2, 31


def make_app(hub: Hub, *, plain: bool = False, new_id: Callable[[], UUID] = random_uuid) -> HostApp:
    """Return the application of an open hub, after events left over from a crash were recorded.

    Args:
        hub: what it serves.
        plain: served as plain HTTP on loopback: API roots are given as paths.
        new_id: gives a fresh UUIDv4 a call.

    Raises:
        Damaged: the store does not hold together.
    """
    hub.registry.epoch()  # what cannot be served at all is said now, not with each request
    try:
        recover(hub.writer, hub.access)
    except Unavailable as error:
        _log.error("events of before could not be recorded yet: %s", error)
    if hub.settings.answer_unlogged:
        agreements = hub.directory.view().agreements
        choose_unlogged(hub.access, agreements, lambda: new_id().hex, hub.clock.now())
    limits = limits_of(hub.settings)
    ready = Readiness(_checks(hub, plain))
    base = partial(with_schemas, taxii_fragment, extension_schemas())
    document = partial(with_staged, partial(with_asking, partial(with_logs, base)))
    app = HostApp(ready=ready, new_id=new_id, fragment=document)
    app.upkeep = upkeep = _upkeep(hub, new_id)
    hub.directory.on_change = upkeep.wake
    pages, publish = Pages(hub.reader, _gzip, PAGE_CACHE_BYTES), _publish(hub, upkeep)
    app.figures = Figures(_sources(hub, pages, publish, upkeep, ready))
    app.exchange = Exchange(
        router=taxii_router(
            _reads(hub, pages, plain),
            _writes(hub, publish, limits, new_id),
            {
                OPENAPI_PATH: app.openapi_route(),
                **schema_routes(extension_schemas(), extension_definitions()),
            },
            _beside(hub, limits, publish, new_id),
        ),
        directory=hub.directory,
        authenticate=Authenticator(
            hub.directory,
            Throttle(hub.settings.throttle_failures, hub.settings.throttle_window_s),
            hub.clock.monotonic,
        ),
        access=hub.access,
        writer=hub.writer,
        clock=hub.clock,
        new_id=new_id,
        limits=limits,
        traffic=hub.traffic,
        floods=hub.floods,
        answers_unlogged=hub.settings.answer_unlogged,
        stays_on_tls=not plain and not hub.settings.is_local,
    )
    return app


def _checks(hub: Hub, plain: bool) -> Mapping[str, Callable[[], object]]:
    """Return what `/readyz` looks at."""
    data, settings, space = hub.dir / "data", hub.settings, FreeSpace(hub.dir)

    def disk() -> None:
        free = space.now()
        if free < settings.min_free_bytes:
            raise Unavailable("The disk is nearly full", why=f"{free} bytes are free")

    def certificate() -> None:
        check_pair(settings.tls_cert.read_bytes(), settings.tls_key.read_bytes(), hub.clock.now())

    checks: dict[str, Callable[[], object]] = {"registry": hub.registry.epoch, **hub.checks}
    if data.is_dir():
        checks["disk"] = disk
    return checks if plain else checks | {"certificate": certificate}


def _sources(hub: Hub, pages: Pages, publish: Publish, upkeep: Upkeep, ready: Readiness) -> Sources:
    data = hub.dir / "data"

    def sizes() -> dict[str, int]:
        found = {"store": [data / "hub.db"], "access_log": [path for _, path in audit_files(data)]}
        return {name: sum(_size(path) for path in paths) for name, paths in found.items()}

    return Sources(
        traffic=hub.traffic,
        pages=pages,
        publish=publish,
        upkeep=upkeep,
        ready=ready,
        commits=hub.commits,
        sizes=sizes,
        free=FreeSpace(hub.dir).now,
        unsettled=lambda: len(hub.writer.pending()),
    )


def _size(path: Path) -> int:
    """Return the bytes of a data file and its write-ahead log."""
    both = (path, path.with_name(f"{path.name}-wal"))
    return sum(one.stat().st_size for one in both if one.exists())


def _reads(hub: Hub, pages: Pages, plain: bool) -> Reads:
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
        pages=pages,
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


def _publish(hub: Hub, upkeep: Upkeep) -> Publish:
    space = FreeSpace(hub.dir)
    return Publish(
        reader=hub.reader,
        writer=hub.writer,
        checks=hub.ingest,
        decisions=hub.decisions,
        directory=hub.directory,
        executor=hub.executor,
        on_terms=upkeep.wake,
        room=lambda: space.lately() - hub.settings.publish_min_free_bytes,
    )


def _upkeep(hub: Hub, new_id: Callable[[], UUID]) -> Upkeep:
    return Upkeep(
        reader=hub.reader,
        writer=hub.writer,
        access=hub.access,
        decisions=hub.decisions,
        directory=hub.directory,
        clock=hub.clock,
        new_request=lambda: new_id().hex,
    )


def _writes(hub: Hub, publish: Publish, limits: Limits, new_id: Callable[[], UUID]) -> Writes:
    withdraw = Withdraw(
        reader=hub.reader, writer=hub.writer, decisions=hub.decisions, directory=hub.directory
    )
    return Writes(publish=publish, withdraw=withdraw, limits=limits, new_id=new_id)


def _beside(hub: Hub, limits: Limits, publish: Publish, new_id: Callable[[], UUID]) -> Mapping[str, Below]:
    """Return what stands beside TAXII, by the reserved first segment of its paths."""
    explain = Explain(decisions=hub.decisions, checks=hub.ingest, reader=hub.reader, directory=hub.directory)
    turns = asyncio.Semaphore(ASKING_AT_ONCE)
    audits = Audits(
        access=hub.access,
        registry=hub.registry,
        reader=hub.reader,
        decisions=hub.decisions,
        cursor_key=hub.cursor_key,
    )
    staged = StagedObjects(
        reader=hub.reader, writer=hub.writer, decisions=hub.decisions, directory=hub.directory
    )
    logs = LogReads(hub.logs, hub.registry, hub.signing, hub.decisions, hub.executor, hub.rosters)
    signed, handed = _signed(hub, limits, publish, new_id), _handed(hub, limits)
    return {
        STAGED: StagedFace(staged).below,
        "log": lambda segments: signed(segments) or logs.below_log(segments),
        "agreements": lambda segments: handed(segments) or logs.below_agreements(segments),
        "why": Whys(explain, limits, turns).below,
        "audience": Audiences(explain, limits, turns).below,
        "audit": audits.below,
    }


def _signed(hub: Hub, limits: Limits, publish: Publish, new_id: Callable[[], UUID]) -> Below:
    """Return what finds the route of signed publications, nothing over a store without them."""
    if hub.signing is None or hub.rosters is None:
        return lambda segments: None
    signed = PublishSigned(
        publish=publish,
        signing=hub.signing,
        logs=hub.logs,
        rosters=hub.rosters,
        decisions=hub.decisions,
        directory=hub.directory,
        verify=sign.verify,
        executor=hub.executor,
    )
    return LogWrites(signed, limits, new_id).below_log


def _handed(hub: Hub, limits: Limits) -> Below:
    """Return what finds the route of rosters that members hand in, nothing over a store without them."""
    if hub.signing is None or hub.rosters is None:
        return lambda segments: None
    store = (hub.signing, hub.registry, hub.directory, hub.rosters)
    return RosterPosts(*store, sign.verify, limits, hub.clock, hub.executor).below_agreements


def _gzip(body: bytes) -> bytes:
    packed: bytes = isal_zlib.compress(body, _GZIP_LEVEL, _GZIP_WRAPPER)
    return packed
