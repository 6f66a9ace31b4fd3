"""Agreements, signed chains and a memory hub for tests; keys are made when a test needs them."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from lightship.core import dsse
from lightship.core.agreement import PAYLOAD_TYPE, parse_toml
from lightship.core.agreement.chain import key_text, make_root
from lightship.core.time import Micros
from lightship.crypto.sign import SigningKey, new_signing_key, verify
from lightship.storage.memory import MemoryStore
from lightship.usecases import agreements
from lightship.usecases.directory import Directory
from lightship.usecases.draft import Draft, Ground
from policy_rules import cedar_rules

NOW = Micros(1_780_000_000_000_000)  # 2026-05-28
DAY = 86_400 * 1_000_000
KEY = key_text(bytes(range(32)))

TEXT = """\
id = "la-lb-mou"
title = "Cybersecurity sharing, San Pedro Bay"
purpose = "Two ports."
legal_basis = "FMC Agreement No. 201219"
not_before = 2020-02-24
not_after = 2027-12-31
parties = ["uslax", "uslgb"]

[authority]
threshold = 1
keys.hub = "{key}"

[audit]
retention_days = 1095
auditors = ["uslax"]

[members.uslax]
name = "Port of Los Angeles"
unlocode = "USLAX"
group = "port-authority"
roles = ["publisher", "consumer", "auditor"]
identities = ["identity--11111111-1111-4111-8111-111111111111"]

[members.uslgb]
name = "Port of Long Beach"
unlocode = "USLGB"
group = "port-authority"
roles = ["publisher", "consumer"]
identities = ["identity--22222222-2222-4222-8222-222222222222"]

[members.jptyo]
name = "Port of Tokyo"
unlocode = "JPTYO"
group = "port-authority"
roles = ["auditor"]
identities = ["identity--33333333-3333-4333-8333-333333333333"]

[collections.incidents]
id = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa1"
title = "Incidents"
ceiling = "red"
red = "audience"
audience = ["uslax"]

[collections.indicators]
id = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa2"
title = "Indicators"
ceiling = "amber+strict"

[collections.warnings]
id = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa3"
title = "Warnings"
ceiling = "green"
publishers = ["uslgb"]
"""


class FixedClock:
    """A clock that stands still."""

    def now(self) -> Micros:
        return NOW

    def monotonic(self) -> Micros:
        return Micros(0)


def text_for(key: SigningKey | None = None) -> str:
    """Return the sample agreement, naming this key as the hub's."""
    return TEXT.replace("{key}", KEY if key is None else key_text(key.public))


def uuids() -> Iterator[str]:
    """Give UUIDv4s that are the same in every run."""
    for number in itertools.count(1):
        yield str(uuid.UUID(int=0x_0000_0000_0000_4000_8000_0000_0000_0000 + number))


def content(
    keys: dict[str, SigningKey],
    *,
    version: int = 1,
    prev: str = "",
    threshold: int = 1,
    written: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a payload as JSON values: the sample agreement, these parties' keys."""
    base = parse_toml(text_for(), "agreement.toml") if written is None else written
    named = {party: key_text(key.public) for party, key in keys.items()}
    return base | {
        "authority": {"threshold": threshold, "keys": named},
        "version": version,
        "prev": prev,
        "root": make_root(threshold, named),
        "logs": [],
        "witnesses": [],
        "policy": 1,
    }


def seal(payload: bytes, *signers: SigningKey, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return the envelope of a payload, signed by these keys."""
    message = dsse.pae(payload_type, payload)
    signatures = tuple(dsse.Signature(key.keyid, key.sign(message)) for key in signers)
    return dsse.encode(dsse.Envelope(payload_type, payload, signatures))


def signed(value: dict[str, Any], *signers: SigningKey) -> tuple[bytes, str]:
    """Return (envelope, digest) of a payload."""
    payload = dsse.canonical(value)
    return seal(payload, *signers), hashlib.sha256(payload).hexdigest()


def b64(data: bytes) -> str:
    """Return canonical base64."""
    return b64encode(data).decode()


class Hub:
    """A registry in memory with a directory over it and a key that signs."""

    def __init__(self) -> None:
        self.key = new_signing_key()
        self.store = MemoryStore(FixedClock())
        self.directory = Directory(self.store, verify)
        self.rules = cedar_rules()
        self._count = itertools.count(1)

    def req(self) -> str:
        return f"{next(self._count):032x}"

    def apply(self, text: str, *, rules: str = "", now: Micros = NOW) -> agreements.Applied:
        return agreements.apply(
            self.ground(),
            self.directory,
            Draft(text, "agreement.toml", rules.encode()),
            signer=self.key,
            req=self.req(),
            now=now,
        )

    def check(self, text: str, *, rules: str = "", now: Micros = NOW) -> agreements.Report:
        draft = Draft(text, "agreement.toml", rules.encode())
        return agreements.check(self.ground(), draft, hub_key=self.key.public, now=now)

    def ground(self) -> Ground:
        return Ground(self.store, self.store, self.rules, verify, self.rules.read_agreement_rules)

    def text(self) -> str:
        return text_for(self.key)
