"""A hub's directory, opened: which driver stands behind which port. Nothing is decided or computed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from lightship.core.ports import (
    Access,
    Clock,
    CommitFigures,
    Decisions,
    Logs,
    Reader,
    Registry,
    Signing,
    Statuses,
    Vouches,
    Writer,
)
from lightship.core.stix.ingest import Ingest
from lightship.crypto import sign
from lightship.data import extension_schemas, policies_dir, stix_schemas
from lightship.keys.hub_key import load_cursor_key, load_hub_key
from lightship.policy.engine import CedarRules
from lightship.policy.files import load_policy
from lightship.settings import Settings, load_settings
from lightship.storage.sqlite.access_log import open_access_log
from lightship.storage.sqlite.access_tree import Sealer
from lightship.storage.sqlite.probe import probe, probe_access_log
from lightship.storage.sqlite.store import open_store
from lightship.system_clock import SystemClock
from lightship.system_random import random_uuid
from lightship.usecases.clients import Clients, Tokens
from lightship.usecases.directory import Directory
from lightship.usecases.draft import ReadRules
from lightship.usecases.rosters import RosterBook
from lightship.web.floods import Floods, record
from lightship.web.traffic import Traffic

THREADS = 3
"""Threads for large cold reads and large bodies."""


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
    logs: Logs
    access: Access
    directory: Directory
    decisions: Decisions
    ingest: Ingest
    cursor_key: bytes = field(repr=False)
    read_rules: ReadRules
    executor: ThreadPoolExecutor
    signing: Signing | None = None
    vouching: Vouches | None = None
    checks: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    commits: Callable[[], Mapping[str, CommitFigures]] = dict
    traffic: Traffic = field(default_factory=Traffic)
    floods: Floods = field(default_factory=Floods)
    closing: tuple[Callable[[], None], ...] = ()
    rosters: RosterBook | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.signing is not None:
            object.__setattr__(self, "rosters", book := RosterBook(self.signing, self.registry, sign.verify))
            self.directory.clients, self.directory.tokens = Clients(book.current), Tokens(book.current)

    def close(self) -> None:
        """Finish what is queued and let go of every file."""
        self.executor.shutdown()
        record(self.floods.take(None), self.access, random_uuid)
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
    sealer = sealer_of(settings, hub_key)
    store = open_store(hub_dir / "data", clock, sealer=sealer)
    access = open_access_log(hub_dir / "data", clock, sealer=sealer)
    rules = CedarRules(load_policy(policies_dir()))
    return Hub(
        dir=hub_dir,
        settings=settings,
        clock=clock,
        reader=store,
        writer=store,
        statuses=store,
        registry=store,
        logs=store,
        signing=store,
        vouching=store,
        access=access,
        directory=Directory(store, sign.verify, pinned_key=hub_key.keyid),
        decisions=rules,
        ingest=Ingest(stix_schemas(), extension_schemas()),
        cursor_key=cursor_key,
        read_rules=rules.read_agreement_rules,
        executor=ThreadPoolExecutor(THREADS, "lightship"),
        checks={
            "store": partial(probe, hub_dir / "data" / "hub.db", hub_dir / "data" / "write.lock"),
            "access_log": partial(probe_access_log, hub_dir / "data"),
        },
        commits=lambda: (
            {"store": store.figures()} | ({"access_log": one} if (one := access.figures()) else {})
        ),
        closing=(store.close, access.close),
    )


def sealer_of(settings: Settings, hub_key: sign.SigningKey) -> Sealer:
    """Return what signs the hub's logs: its key, under the host and port that members know it by."""
    return Sealer(urlsplit(settings.public_url).netloc, hub_key.public, hub_key.sign)
