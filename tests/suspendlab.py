"""A hub of two members with publish keys, which are suspended and resumed as a steward does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from uuid import uuid4

from hubkit import StoppedClock
from lightship.crypto import sign
from lightship.crypto.sign import SigningKey
from lightship.keys.hub_key import load_hub_key
from lightship.usecases.suspensions import Suspending, Taken
from signedhub import SignedHub, signed_hub

TWO_O_CLOCK = 1_790_042_400_000_000  # 2026-09-22T02:00:00Z
HOURS = 12
HOUR_S = 3_600


@contextmanager
def two_signers(folder: Path, store: Literal["memory", "sqlite"], clock: StoppedClock) -> Iterator[SignedHub]:
    """Yield a hub at which `uslax` and `uslgb` sign."""
    made = signed_hub(folder, store, clock=clock)
    for member in ("uslax", "uslgb"):
        made.enrol(member)
    yield made
    made.kit.close()


def suspending(hub: SignedHub) -> Suspending:
    held = hub.kit.hub
    return Suspending(held.registry, held.directory, sign.verify, load_hub_key(held.dir), held.signing)


def suspend(hub: SignedHub, key: SigningKey, hours: int = HOURS) -> Taken:
    name, req, now = hub.kit.agreement, uuid4().hex, hub.kit.hub.clock.now()
    how = {"key": key.keyid, "reason": "Stolen at 02:00", "req": req}
    return suspending(hub).suspend(name, "", hours=hours, now=now, **how)


def resume(hub: SignedHub, key: SigningKey) -> Taken:
    name, req, now = hub.kit.agreement, uuid4().hex, hub.kit.hub.clock.now()
    return suspending(hub).resume(name, "", key=key.keyid, reason="Found", req=req, now=now)
