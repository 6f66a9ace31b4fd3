"""A whole hub in memory, put together by the product's own composition root, and everybody who may ask it.

Two agreements: `pedro` with members of every kind, and `tokyo` with a stranger to it. Only the store, the
access log and the clock are those for tests; `PROBE_STORE=sqlite` in the environment runs the same tests over
the embedded store.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from lightship.core.access import Credential, Principal
from lightship.core.agreement.chain import key_text
from lightship.core.audit import AccessEvent, AuditQuery
from lightship.core.stix.ingest import Ingest
from lightship.core.time import Micros
from lightship.crypto import sign
from lightship.data import extension_schemas, stix_schemas
from lightship.settings import Settings
from lightship.storage.memory import MemoryStore
from lightship.storage.memory_access import MemoryAccessLog
from lightship.storage.sqlite.access_log import SqliteAccessLog, open_access_log
from lightship.storage.sqlite.access_tree import Sealer
from lightship.storage.sqlite.store import SqliteStore, open_store
from lightship.usecases import agreements, credentials
from lightship.usecases.directory import Directory
from lightship.usecases.draft import Draft, Ground
from lightship.usecases.suspensions import Suspending
from lightship.web.message import Route
from lightship.wiring import Hub, make_app
from policy_rules import cedar_rules
from stixsamples import Stix, indicator, sharing_terms
from storekit import HandClock
from taxiiprobe import Driver, Party, basic

PUBLIC_URL = "https://hub.example:9443"
MAX_CONTENT_LENGTH = 400_000
ALLOWED_NETWORK, ALLOWED_ADDRESS = "203.0.113.0/24", "203.0.113.9"
SECOND = 1_000_000

_MEMBERS = {
    "uslax": ("USLAX", '["publisher", "consumer", "auditor"]'),
    "uslgb": ("USLGB", '["publisher", "consumer", "auditor"]'),
    "reader": ("USSFO", '["consumer"]'),
    "writer": ("USOAK", '["publisher"]'),
    "auditor": ("USSEA", '["auditor"]'),
    "joint": ("USPDX", '["joint-auditor"]'),
    "approver": ("USBLI", '["approver"]'),
    "former": ("USTIW", '["consumer"]'),
}
_ROLES = '["publisher", "consumer"]'
_COLLECTIONS = ("indicators", "sightings", "warnings")

MEMBER_OF = {
    "publisher": "uslgb",
    "other publisher": "uslax",
    "reader": "reader",
    "writer": "writer",
    "auditor": "auditor",
    "joint auditor": "joint",
    "approver": "approver",
    "former member": "former",
    "stranger": "jptyo",
    "revoked": "uslax",
    "expired": "uslax",
    "wrong address": "uslax",
}
"""Party -> the member that its credential was minted for."""


class ProbeHub:
    """The hub, its parties and its clock."""

    def __init__(self, **settings: Any) -> None:
        self.clock = HandClock()
        self._open_store()
        self._key = _signing_key()
        self._rules = cedar_rules()
        self.directory = Directory(self.store, sign.verify)
        self.max_content_length = MAX_CONTENT_LENGTH
        self.public_url = PUBLIC_URL
        self.root, self.other_root = "/pedro/", "/tokyo/"
        self.allowed_address = ALLOWED_ADDRESS
        self.aliases = _COLLECTIONS
        self.default_alias = _COLLECTIONS[0]
        self.collections = {alias: str(uuid4()) for alias in _COLLECTIONS}
        self._minted: dict[str, tuple[Credential, str]] = {}
        self._standing: tuple[Stix, str] | None = None
        self._staged: Stix | None = None
        self.apply(
            "pedro", {name: who for name, who in _MEMBERS.items() if name != "former"}, self.collections
        )
        self.apply("tokyo", {"jptyo": ("JPTYO", _ROLES)}, {"harbour": str(uuid4())})
        self.hub = Hub(
            dir=Path(),
            settings=Settings(public_url=PUBLIC_URL, max_content_length=MAX_CONTENT_LENGTH, **settings),
            clock=self.clock,
            reader=self.store,
            writer=self.store,
            statuses=self.store,
            registry=self.store,
            logs=self.store,
            signing=self.store if isinstance(self.store, SqliteStore) else _no_statements(),
            access=self.access,
            directory=self.directory,
            decisions=self._rules,
            ingest=_ingest(),
            cursor_key=b"k" * 32,
            read_rules=self._rules.read_agreement_rules,
            executor=ThreadPoolExecutor(2),
            closing=(self.store.close, self.access.close, self._remove),
        )
        self.app = make_app(self.hub)
        self.driver = Driver(self.app)

    def _open_store(self) -> None:
        self.store: MemoryStore | SqliteStore
        self.access: MemoryAccessLog | SqliteAccessLog
        self._remove: Callable[[], None] = _nothing_to_remove
        sealer = Sealer(PUBLIC_URL.removeprefix("https://"), _signing_key().public, _signing_key().sign)
        if os.environ.get("PROBE_STORE") == "sqlite":
            folder = tempfile.TemporaryDirectory()
            self.store = open_store(Path(folder.name), self.clock, sealer=sealer)
            self.access = open_access_log(Path(folder.name), self.clock, sealer=sealer)
            self._remove = folder.cleanup
        else:
            self.store, self.access = MemoryStore(self.clock, sealer), MemoryAccessLog()

    def close(self) -> None:
        """Stop its threads."""
        self.driver.close()
        self.hub.close()

    # --- what it holds --------------------------------------------------------------------------

    def apply_auditors(self, *members: str) -> None:
        """Put a version of `pedro` in force that names these members for its audit."""
        self.apply("pedro", _members(), self.collections, f"[audit]\nauditors = {json.dumps(members)}")

    def end(self) -> None:
        """Put a version of `pedro` in force that says that it has ended."""
        self.apply("pedro", _members(), self.collections, top="ended = true")

    def apply(
        self,
        name: str,
        members: dict[str, tuple[str, str]],
        collections: dict[str, str],
        more: str = "",
        top: str = "",
    ) -> None:
        """Put the next version of an agreement in force; `top` and `more` are further lines of its file."""
        lines = [f'id = "{name}"', f'title = "Agreement {name}"', top, "[authority]", "threshold = 1"]
        lines.append(f'keys.hub = "{key_text(self._key.public)}"')
        for slug, (locode, roles) in members.items():
            lines += [f"[members.{slug}]", f'name = "{slug}"', f'unlocode = "{locode}"']
            lines += ['group = "port-authority"', f"roles = {roles}"]
            lines.append(f'identities = ["identity--{_identity(name, slug)}"]')
        for alias, key in collections.items():
            lines += [f"[collections.{alias}]", f'id = "{key}"', f'title = "{alias.title()}"']
            lines += ['ceiling = "amber+strict"', 'unmarked = "clear"']
        lines.append(more)
        agreements.apply(
            Ground(self.store, self.store, self._rules, sign.verify, self._rules.read_agreement_rules),
            self.directory,
            Draft("\n".join(lines), f"{name}/agreement.toml"),
            signer=self._key,
            req=uuid4().hex,
            now=self.clock.now(),
        )

    def suspend(self, member: str = "", hours: int = 24) -> None:
        """Suspend a member of `pedro`, or with '' all of it."""
        self._suspending().suspend(
            "pedro", member, hours=hours, reason="Tested", req=uuid4().hex, now=self.clock.now()
        )

    def resume(self, member: str = "") -> None:
        """End that before its time."""
        self._suspending().resume("pedro", member, reason="Over", req=uuid4().hex, now=self.clock.now())

    def _suspending(self) -> Suspending:
        return Suspending(self.store, self.directory, sign.verify, self._key)

    def path(self, alias: str, rest: str = "") -> str:
        """Return a path below a collection of `pedro`, named by its id."""
        return f"{self.root}collections/{self.collections[alias]}/{rest}"

    def identity_of(self, member: str) -> str:
        """Return the STIX identity of a member of `pedro`."""
        return f"identity--{_identity('pedro', member)}"

    @property
    def standing_object(self) -> Stix:
        """An object of uslgb in the default collection, posted when first asked for."""
        if self._standing is None:
            one = indicator(name="Standing since the beginning")
            self._standing = one, self.lgb.publish(one)["id"]
        return self._standing[0]

    @property
    def staged_object(self) -> Stix:
        """An object of uslgb that waits for its release in the default collection, posted when first asked
        for."""
        if self._staged is None:
            terms = sharing_terms("pedro", release_at="2099-01-01T00:00:00Z")
            one = indicator(name="Waiting", object_marking_refs=[terms["id"]])
            self.lgb.publish(terms, one)
            self._staged = one
        return self._staged

    @property
    def standing_status(self) -> str:
        """The id of the status of that post."""
        assert self.standing_object
        assert self._standing is not None
        return self._standing[1]

    def place(self, name: str) -> str:
        """Return the path of a named place; what is to be found there is posted first."""
        if name.startswith("/"):
            return name
        if name in {"why", "audience", "staged"}:
            return f"/{name}{self.root}{self.default_alias}/"
        log = f"/log/{self.collections[self.default_alias]}/"
        places = {"checkpoint": f"{log}checkpoint", "bundle": f"{log}tile/entries/000.p/1"}
        places["standing"] = f"/agreements{self.root}"
        places["version"] = f"/agreements{self.root}1.json"
        places |= {"signed": f"{log}publish", "roster": f"/agreements{self.root}rosters/{'0' * 64}.json"}
        places["rosters"] = f"/agreements{self.root}rosters"
        if name in places:
            return places[name]
        if name == "audit":
            return f"/audit{self.root}"
        if name == "staged object":
            return f"/staged{self.root}{self.default_alias}/{self.staged_object['id']}/"
        below = {"root": "", "collections": "collections/"}
        if name in below:
            return self.root + below[name]
        if name == "collection":
            return self.path(self.default_alias)
        if name == "status":
            return f"{self.root}status/{self.standing_status}/"
        stix_id = self.standing_object["id"]
        rest = {
            "objects": "objects/",
            "manifest": "manifest/",
            "object": f"objects/{stix_id}/",
            "versions": f"objects/{stix_id}/versions/",
        }[name]
        return self.path(self.default_alias, rest)

    def events(self) -> list[AccessEvent]:
        """Return all access events that requests have made, oldest first."""
        return [one for one in self.access.search(AuditQuery(limit=100_000)) if one.ip]

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self.clock.advance(seconds * SECOND)

    # --- who asks -------------------------------------------------------------------------------

    def mint(
        self, name: str, member: str, agreement: str = "pedro", *, seconds: int | None = None, **order: Any
    ) -> tuple[Credential, str]:
        """Mint a credential once; return it with its secret. `seconds` is how long it lasts from now."""
        if name not in self._minted:
            made = credentials.mint(
                self.store,
                self.directory.view(),
                credentials.Order(agreement, member, name, **order),
                entropy=uuid4().bytes + uuid4().bytes,
                credential_id=str(uuid4()),
                req=uuid4().hex,
                now=self.clock.now(),
            )
            held = made.credential
            if seconds is not None:
                held = replace(held, expires=Micros(self.clock.now() + seconds * SECOND))
                self.store.put_credential(held, self._steward())
            self._minted[name] = held, made.secret.reveal()
        return self._minted[name]

    def login(self, member: str) -> tuple[str, str]:
        """Return user name and secret of a member's ordinary credential."""
        credential, secret = self.mint("a", member) if member == "uslax" else self.mint("b", member)
        return credential.name, secret

    def revoke(self, party: Party) -> None:
        """Revoke the credential that a party shows."""
        held = next(one for one, secret in self._minted.values() if party.authorization == f"Bearer {secret}")
        credentials.revoke(self.store, held.name, req=uuid4().hex, now=self.clock.now())

    def short_lived(self, seconds: int) -> Party:
        """Return a client whose credential lasts so long from now."""
        return self._bearer(self.mint("short", "uslax", seconds=seconds))

    def principal(self, party: str) -> Principal:
        """Return who a party is, as its access events name it."""
        held = self._credential(party)[0]
        return Principal(held.agreement, held.member, held.id, held.name)

    def party(self, name: str) -> Party:
        """Return a client of this kind."""
        if name == "nobody":
            return self._as(None)
        if name == "wrong secret":
            return self._as("Bearer ls1_" + "Z" * 43)
        if name == "wrong name":
            return self._as(basic(self.login("uslgb")[0], self.login("uslax")[1]))
        return self._bearer(self._credential(name))

    def _credential(self, party: str) -> tuple[Credential, str]:
        member = MEMBER_OF[party]
        match party:
            case "publisher":
                return self.mint("b", member)
            case "other publisher":
                return self.mint("a", member)
            case "stranger":
                return self.mint("s", member, "tokyo")
            case "expired":
                return self.mint("expired", member, seconds=0)
            case "wrong address":
                return self.mint("inside", member, allowed=(ALLOWED_NETWORK,))
            case "revoked":
                if "revoked" not in self._minted:
                    self.revoke(self._bearer(self.mint("revoked", member)))
                return self._minted["revoked"]
            case "former member":
                return self._former()
            case _:
                return self.mint(party.replace(" ", "-"), member)

    def take_in(self) -> Party:
        """Put a version in force that has one member more; return a client of it."""
        self.apply("pedro", _MEMBERS, self.collections)
        return self._bearer(self.mint("former", "former"))

    def leave_out(self) -> None:
        """Put a version in force that has it no longer."""
        self.apply("pedro", _members(), self.collections)

    def _former(self) -> tuple[Credential, str]:
        if "former" not in self._minted:
            self.take_in()
            self.leave_out()
        return self._minted["former"]

    def _bearer(self, held: tuple[Credential, str]) -> Party:
        return self._as(f"Bearer {held[1]}")

    def _as(self, authorization: str | None) -> Party:
        return Party(self.driver, authorization, self.path(self.default_alias))

    def _steward(self) -> AccessEvent:
        return AccessEvent(req=uuid4().hex, at=self.clock.now(), act="test", cred="steward", why="steward")

    @property
    def nobody(self) -> Party:
        return self.party("nobody")

    @property
    def lax(self) -> Party:
        return self.party("other publisher")

    @property
    def lgb(self) -> Party:
        return self.party("publisher")

    @property
    def lgb_second(self) -> Party:
        """Another client of the member that `lgb` is of."""
        return self._bearer(self.mint("second", "uslgb"))

    @property
    def elastic(self) -> Party:
        """A client whose credential asks for an empty list on empty pages."""
        return self._bearer(self.mint("elastic", "uslax", profile="empty-list"))

    @property
    def reader(self) -> Party:
        return self.party("reader")

    @property
    def writer(self) -> Party:
        return self.party("writer")

    @property
    def auditor(self) -> Party:
        return self.party("auditor")

    @property
    def stranger(self) -> Party:
        return self.party("stranger")


@contextmanager
def probe_hub(**settings: Any) -> Iterator[ProbeHub]:
    """Give a fresh hub and close it afterwards."""
    hub = ProbeHub(**settings)
    try:
        yield hub
    finally:
        hub.close()


@lru_cache(maxsize=1)
def _no_statements() -> SqliteStore:
    """A store without any roster, beside one that takes no signed statement."""
    return open_store(Path(_folder().name), HandClock())


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def _nothing_to_remove() -> None:
    """The store in memory leaves nothing behind."""


def _members() -> dict[str, tuple[str, str]]:
    """Return the members of `pedro` but the one that is left out in the end."""
    return {name: who for name, who in _MEMBERS.items() if name != "former"}


@lru_cache(maxsize=1)
def _ingest() -> Ingest:
    return Ingest(stix_schemas(), extension_schemas())


@lru_cache(maxsize=1)
def _signing_key() -> sign.SigningKey:
    return sign.new_signing_key()


@lru_cache(maxsize=64)
def _identity(agreement: str, slug: str) -> UUID:
    return uuid4()


def routes_of_the_application() -> set[tuple[str, str]]:
    """Return (action, method) of every route that the application was put together with."""
    made: list[Route] = []
    real = Route.__post_init__

    def recording(route: Route) -> None:
        real(route)
        made.append(route)

    with pytest.MonkeyPatch.context() as patch, probe_hub() as hub:
        patch.setattr(Route, "__post_init__", recording)
        make_app(hub.hub)
    return {(act, method) for route in made for method, (act, _) in route.methods.items()}
