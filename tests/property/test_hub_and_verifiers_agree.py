"""Whatever happens at an honest hub, in whatever order: who verifies finds nothing, and holds what it holds.

Random posts with and without signatures, withdrawals, replacements, releases, rosters, stolen keys,
suspensions and agreement versions. After each step a consumer with a kept state, and now and then one that
never looked before, verify every collection; what the log says is compared with the hub's own tables.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid4, uuid5

import apsw
import pytest

from hubkit import StoppedClock
from lightship.client.connection import Connection
from lightship.client.drafts import version_of
from lightship.client.following import first_look
from lightship.client.kept_log import Kept, load
from lightship.client.log_source import LogSource
from lightship.client.verifying import Report, pull
from lightship.core.access import Action, Grant, System
from lightship.core.agreement.chain import key_text
from lightship.core.collection import WithdrawReason
from lightship.core.errors import LightshipError
from lightship.core.log.roster import BadRoster, PublishKey, Revoked
from lightship.core.log.statement import Withdrawal, digest_of, read_envelope
from lightship.core.time import format_stamp
from lightship.crypto import sign
from lightship.crypto.sign import SigningKey, new_signing_key, verify
from lightship.keys.hub_key import load_hub_key
from lightship.storage.fsck import fsck
from lightship.storage.fsck_log import HubKey
from lightship.usecases.suspensions import Suspending
from signedhub import MEMBERS, SignedHub, signed_hub
from stixsamples import indicator, sharing_terms
from upkeeplab import look

Stix = dict[str, Any]
ALIASES = ("indicators", "alerts", "kept")
STEPS = 40
HOUR = 3_600
MODIFIED = "2026-03-01T08:00:00.000Z"
CUSTOM = {"custom_objects": True}


def address(value: str, **own: Any) -> Stix:
    """Return an observable, which has no version whatever properties of its own it has."""
    named = uuid5(NAMESPACE_OID, value)
    return {"type": "ipv4-addr", "spec_version": "2.1", "id": f"ipv4-addr--{named}", "value": value, **own}


def name_of(one: Stix) -> tuple[str, str]:
    return one["id"], version_of(one)


@dataclass
class World:
    """A hub, what its members hold, and who verifies."""

    rng: random.Random
    clock: StoppedClock
    hub: SignedHub
    folder: Path
    objects: list[Stix] = field(default_factory=list)
    keys: dict[str, list[SigningKey]] = field(default_factory=dict)
    chains: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    settings: dict[str, Stix] = field(default_factory=dict)
    taken: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    # --- what members do ------------------------------------------------------------------------------

    def some(self) -> list[Stix]:
        """Return objects: new ones, new versions, what was there before, observables, embargoed ones."""
        found: list[Stix] = []
        for _ in range(self.rng.choice((1, 1, 2, 4))):
            kind = self.rng.random()
            if kind < 0.5 and self.objects:
                found.append(self.rng.choice(self.objects))
            elif kind < 0.65 and self.objects:
                old = self.rng.choice(self.objects)
                if version_of(old):
                    old = old | {"modified": f"2026-02-0{self.rng.randint(1, 9)}T08:00:00.000Z"}
                found.append(old)
            elif kind < 0.8:
                number = self.rng.randint(1, 9)
                own = {"modified": MODIFIED} if number > 6 else {}
                found.append(address(f"198.51.100.{number}", **own))
            elif kind < 0.87:
                until = format_stamp(self.clock.now() + self.rng.randint(1, 30) * HOUR * 1_000_000)
                marking = sharing_terms(self.hub.kit.agreement, release_at=until)
                found += [marking, indicator(object_marking_refs=[marking["id"]])]
            else:
                found.append(indicator())
        unique = {name_of(one): one for one in found}
        self.objects += [one for one in unique.values() if one not in self.objects]
        return list(unique.values())

    def plain(self) -> None:
        alias, member = self.where(), self.who()
        with self.hub.kit.client(member) as client:
            client.post(self.hub.kit.path(alias, "objects/"), json={"objects": self.some()})

    def delete(self) -> None:
        if not self.objects:
            return
        one, member = self.rng.choice(self.objects), self.who()
        params = {"match[version]": self.rng.choice(("all", "last", version_of(one) or "all"))}
        with self.hub.kit.client(member) as client:
            client.delete(self.hub.kit.path(self.where(), f"objects/{one['id']}/"), params=params)

    def signed(self) -> None:
        """Send a few statements at once, of one key or of several, in their order or not."""
        alias = self.where()
        posts = []
        for member in self.rng.choice((MEMBERS[:1], MEMBERS[1:], MEMBERS, MEMBERS * 2)):
            if not self.keys.get(member):
                continue
            key = self.rng.choice(self.keys[member])
            seq, prev = self.chains.get((alias, key.keyid), (0, ""))
            for _ in range(self.rng.choice((1, 1, 2, 3))):
                publication, objects = self.statement(alias, member, key, seq, prev)
                posts.append((alias, member, key, publication, objects))
                digest = digest_of(read_envelope(publication, signed=True)[0].payload)
                if self.rng.random() < 0.7:
                    seq, prev = seq + 1, digest
        if self.rng.random() < 0.2:
            self.rng.shuffle(posts)
        self.hub.kit.loop.run_until_complete(self.send(posts))

    def statement(self, alias: str, member: str, key: SigningKey, seq: int, prev: str) -> tuple[Stix, Any]:
        objects = self.some() if self.rng.random() < 0.8 else []
        named = {name_of(one) for one in objects}
        gone = []
        for one in self.rng.sample(self.objects, min(len(self.objects), self.rng.choice((0, 0, 1, 2)))):
            if (name := name_of(one)) not in named:
                named.add(name)
                reason = self.rng.choice((WithdrawReason.PUBLISHER, WithdrawReason.EXPIRED))
                gone.append(Withdrawal(*name, reason))
        if not objects and not gone:
            objects = [indicator()]
            self.objects += objects
        uuid = self.hub.kit.collection(alias)
        made = self.hub.statement(member, objects, seq + 1, prev, gone, key, collection=uuid)
        return made, objects

    async def send(self, posts: list[tuple[str, str, SigningKey, Stix, Any]]) -> None:
        async def one(alias: str, member: str, key: SigningKey, publication: Stix, objects: Any) -> None:
            path = f"/log/{self.hub.kit.collection(alias)}/publish"
            body = json.dumps({"publication": publication, "objects": objects})
            headers = {"Accept": "application/json", "Content-Type": "application/json"}
            async with self.hub.kit.async_client(member, headers=headers) as client:
                answer = await client.post(path, content=body)
            assert answer.status_code < 500, answer.text
            if "leaf" in answer.json():
                envelope, found = read_envelope(publication, signed=True)
                seq, _ = self.chains.get((alias, key.keyid), (0, ""))
                if found.seq > seq:
                    self.chains[alias, key.keyid] = found.seq, digest_of(envelope.payload)

        async def unsigned() -> None:
            async with self.hub.kit.async_client(self.who()) as client:
                await client.post(self.hub.kit.path(posts[0][0], "objects/"), json={"objects": self.some()})

        await asyncio.gather(*(one(*each) for each in posts), *([unsigned()] if posts else []))

    # --- what officers and the steward do ---------------------------------------------------------------

    def enrol(self) -> None:
        member = self.who()
        key = new_signing_key()
        last = self.hub.last.get(member)
        keys = dict(last.keys) if last else {}
        if self.rng.random() < 0.2 and keys:
            del keys[self.rng.choice(sorted(keys))]
        self.roster(member, keys | {key.keyid: PublishKey(key.public)})
        self.keys.setdefault(member, []).append(key)

    def stolen(self) -> None:
        member = self.who()
        if not self.keys.get(member):
            return
        key = self.rng.choice(self.keys[member])
        since: dict[str, int] = {}
        for alias in ALIASES:
            if self.rng.random() < 0.5 and alias in self.settings:
                size = self.hub.kit.hub.reader.state(self.grant(alias)).size
                since[f"localhost:9443/c/{self.hub.kit.collection(alias)}"] = self.rng.randrange(size)
        if self.rng.random() < 0.2:
            since = {"*": self.rng.randint(0, 3)}
        keys = dict(self.hub.last[member].keys) | {
            key.keyid: PublishKey(key.public, Revoked("stolen", since))
        }
        self.roster(member, keys)

    def roster(self, member: str, keys: dict[str, PublishKey]) -> None:
        try:
            self.hub.apply(self.hub.next_roster(member, keys))
        except BadRoster as error:  # definitions that something cites, or an index behind the end of a log
            self.done.append(str(error))

    def grant(self, alias: str) -> Grant:
        hub = self.hub.kit.hub
        return Grant(System("test"), Action.READ, self.hub.kit.collection_value(alias), hub.registry.epoch())

    def suspend(self) -> None:
        held, now = self.hub.kit.hub, self.clock.now()
        work = Suspending(held.registry, held.directory, sign.verify, load_hub_key(held.dir), held.signing)
        member = self.who()
        keys = self.keys.get(member, [])
        target: Stix = {"key": self.rng.choice(keys).keyid} if keys and self.rng.random() < 0.7 else {}
        name = "" if target else member
        try:
            if self.rng.random() < 0.7:
                hours = self.rng.randint(1, 72)
                work.suspend(
                    self.hub.kit.agreement,
                    name,
                    hours=hours,
                    reason="test",
                    req=uuid4().hex,
                    now=now,
                    **target,
                )
            else:
                work.resume(self.hub.kit.agreement, name, reason="test", req=uuid4().hex, now=now, **target)
        except LightshipError as error:
            self.done.append(str(error))

    def agree(self) -> None:
        """The next version: signatures asked for or not, publishers, admin keys, collections, orders."""
        kind = self.rng.random()
        alias = self.rng.choice(sorted(self.settings))
        settings = {name: dict(one) for name, one in self.settings.items()}
        if kind < 0.35:
            settings[alias]["require_signature"] = not settings[alias].get("require_signature", False)
        elif kind < 0.5:
            settings[alias]["publishers"] = self.rng.choice((["uslax"], ["uslgb"], list(MEMBERS)))
        elif kind < 0.65:
            member = self.who()
            self.hub.admins[member] = new_signing_key()
        elif kind < 0.85 and alias != "indicators":
            del settings[alias]
        else:
            for name in ALIASES:
                settings.setdefault(name, CUSTOM | ({"retention_days": 2} if name == "kept" else {}))
        if self.objects and self.rng.random() < 0.3:
            some = self.rng.sample(self.objects, min(2, len(self.objects)))
            settings.setdefault(alias, {})["withdraw"] = sorted({one["id"] for one in some})
        self.version(settings)

    def version(self, settings: dict[str, Stix]) -> None:
        members = {name: {"admin_key": key_text(key.public)} for name, key in self.hub.admins.items()}
        try:
            self.hub.kit.add_agreement(self.hub.kit.agreement, members=members, collections=settings)
        except LightshipError as error:
            self.done.append(str(error))
            return
        self.settings = settings

    def wait(self) -> None:
        self.clock.advance(self.rng.choice((1, 60, HOUR, 20 * HOUR, 50 * HOUR)))
        look(self.hub.kit)

    def where(self) -> str:
        return self.rng.choice(sorted(self.settings))

    def who(self) -> str:
        return self.rng.choice(MEMBERS)

    # --- who verifies ----------------------------------------------------------------------------------

    def check(self, *, fresh: bool) -> None:
        for alias in sorted(self.settings):
            self.look(alias, self.folder / f"{alias}-{self.hub.kit.collection(alias)}.state", fresh=False)
            if fresh:
                self.look(alias, self.folder / f"{uuid4()}.state", fresh=True)

    def look(self, alias: str, state: Path, *, fresh: bool) -> None:
        reader = next((one for one in MEMBERS if self.may_read(one)), None)
        if reader is None:
            return
        connection: Connection = self.hub.connection(reader)
        source = LogSource(connection, self.hub.kit.agreement, self.hub.kit.collection(alias))
        known = load(state, verify, self.clock.now())
        with known or first_look(source, verify, path=state) as kept:
            with pull(connection, self.hub.kit.path(alias), source, kept, self.clock.now) as part:
                report = part.report
                part.keep()
            said = (report.findings, report.failures, report.missing)
            assert report.ok, (self.done, alias, fresh, said)
            self.feed(str(state), report, kept)
            self.same_as_the_tables(alias, kept)

    def may_read(self, member: str) -> bool:
        """A suspended member reads nothing."""
        agreement = self.hub.kit.hub.directory.view().agreements[self.hub.kit.agreement]
        return agreement.suspended(member, self.clock.now()) is None

    def feed(self, name: str, report: Report, kept: Kept) -> None:
        """Who follows the deletion feed holds what is live."""
        held = self.taken.setdefault(name, set())
        held -= {(one.id, one.version) for one in report.gone}
        held |= {(one.id, one.held.version) for one in report.delivered if one.held is not None}
        assert held == {(one.id, one.version) for one in kept.log.ledger.held if one.live}, self.done

    def same_as_the_tables(self, alias: str, kept: Kept) -> None:
        ours, gone = set(), set()
        for one in kept.log.ledger.held:
            assert one.problem is None
            row = (one.id, one.version, one.digest, one.owner)
            if one.withdrawn is None:
                ours.add(row)
            else:
                gone.add((*row, one.withdrawn.value))
        with closing(apsw.Connection(str(self.hub.kit.hub.dir / "data" / "hub.db"))) as db:
            uuid = self.hub.kit.collection(alias)
            number = db.execute("SELECT number FROM collection WHERE id = ?", (uuid,)).get
            sql = "SELECT id, version_text, lower(hex(digest)), owner FROM object WHERE key >> 52 = ?"
            assert set(db.execute(sql, (number,))) == ours, (self.done, alias)
            sql = (
                "SELECT id, version_text, lower(hex(digest)), owner, reason FROM withdrawn"
                " WHERE collection = ?"
            )
            assert set(db.execute(sql, (number,))) == gone, (self.done, alias)
            sql = "SELECT key, seq, digest FROM publish_key WHERE collection = ?"
            shelf = kept.log.ledger.held.shelf
            for key, seq, digest in db.execute(sql, (number,)):
                assert shelf.last_statement(key) == (seq, digest), (self.done, alias)


def test_an_observable_with_a_property_of_its_own_named_modified_has_no_version(tmp_path: Path) -> None:
    hub = signed_hub(tmp_path, collections={"indicators": CUSTOM})
    with hub.kit:
        one = address("198.51.100.7", modified=MODIFIED, created=MODIFIED)
        with hub.kit.client("uslgb") as client:
            path = hub.kit.path("indicators", "objects/")
            assert client.post(path, json={"objects": [one]}).json()["success_count"] == 1
        report = hub.consumer().pull()
        assert (report.failures, report.missing) == ((), ())
        assert [each.id for each in report.delivered] == [one["id"]]


@pytest.mark.parametrize("seed", range(1, 4))
def test_an_honest_hub_and_those_who_verify_say_the_same(seed: int, tmp_path: Path) -> None:
    assert run(seed, tmp_path, STEPS).done


def run(seed: int, folder: Path, steps: int) -> World:
    """Do `steps` random things, and verify after each."""
    clock = StoppedClock()
    settings: dict[str, Stix] = {"indicators": CUSTOM, "alerts": CUSTOM}
    hub = signed_hub(folder, collections=settings, clock=clock)
    with hub.kit:
        world = World(random.Random(seed), clock, hub, folder, settings=settings)
        doings: list[tuple[Callable[[], None], int]] = [
            *((world.plain, 5), (world.delete, 4), (world.signed, 8), (world.enrol, 2)),
            *((world.stolen, 1), (world.suspend, 1), (world.agree, 2), (world.wait, 2)),
        ]
        names, weights = zip(*doings, strict=True)
        world.enrol()
        for step in range(steps):
            (do,) = world.rng.choices(names, weights)
            world.done.append(do.__name__)
            do()
            clock.advance(1)
            world.check(fresh=step % 5 == 4)
        public = load_hub_key(hub.kit.hub.dir).public
        assert fsck(hub.kit.hub.dir / "data", key=HubKey(public, verify)).findings == ()
    return world
