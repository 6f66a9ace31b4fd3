"""Publishers, pollers, the steward and time, in any order, against a model that keeps lists.

All over HTTP, for the store in memory and the embedded one. After each step every collection shows exactly
what the model holds; each poller got each version once, in order, whatever cursor it follows; tokens kept
from any time go on from where they were; refused requests change nothing. At the end fsck finds nothing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hub_model import WHOLE, Ask, Shelf, Version, Waiting
from hubkit import HEADERS, HubKit, StoppedClock, make_hub
from lightship.core.time import Micros, format_stamp
from lightship.storage.fsck import fsck
from lightship.usecases import credentials
from stixsamples import CREATED, sharing_terms
from upkeeplab import look

UUID = "8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3"
LAX = "identity--0d3c1b2a-7e54-4b7c-9c1f-5a6e2f8d9b30"
"""Who leaves and comes back keeps it, or the name would be another member's."""
VERSIONS = (
    *("2026-02-01T00:00:00Z", "2026-02-01T00:00:00.000Z", "2026-02-01T00:00:00.000001Z"),
    *("2026-03-01T00:00:00.5Z", "2026-01-05T08:00:00.000Z"),
)
WRITERS = ("uslax", "uslgb")
WATCH = "ussfo"
"""A member that only reads, and whose rights never change: the eyes of the invariants."""
ALIASES = ("open", "warnings")
OVERLAP_S = 60

limits = st.sampled_from([1, 1, 2, 3, 50])
aliases = st.sampled_from(ALIASES)
members = st.sampled_from(WRITERS)


def indicator(number: int, version: str, content: str, spec: str) -> dict[str, Any]:
    """Return an indicator of either spec_version."""
    made: dict[str, Any] = {
        "type": "indicator",
        "id": f"indicator--{UUID}{number}",
        "created": CREATED,
        "modified": version,
        "name": content,
        "pattern": "[ipv4-addr:value = '192.0.2.7']",
        "valid_from": CREATED,
    }
    of_spec = {"spec_version": "2.1", "pattern_type": "stix"}
    return made | (of_spec if spec == "2.1" else {"labels": ["malicious-activity"]})


def address(number: int, content: str) -> dict[str, Any]:
    """Return an observable: it has no version."""
    return {"type": "ipv4-addr", "id": f"ipv4-addr--{UUID}{number}", "value": "192.0.2.7", "x_note": content}


def marking(content: str, number: int = 0) -> dict[str, Any]:
    """Return a marking definition: it has `created` alone."""
    made = {"type": "marking-definition", "spec_version": "2.1", "id": f"marking-definition--{UUID}{number}"}
    return made | {"created": CREATED, "definition_type": "statement", "definition": {"statement": content}}


contents = st.sampled_from(["a", "a", "a", "b"])
items = st.one_of(
    st.builds(
        indicator,
        st.integers(0, 2),
        st.sampled_from(VERSIONS),
        contents,
        st.sampled_from(["2.1", "2.1", "2.0"]),
    ),
    st.builds(indicator, st.integers(0, 2), st.sampled_from(VERSIONS), contents, st.just("2.1")),
    st.builds(address, st.integers(0, 1), contents),
    st.builds(marking, contents),
    st.sampled_from(
        [
            7,
            {"x_refused": 1},
            {"type": "bundle", "x_refused": 1},
            {**address(0, "a"), "value": 1, "x_refused": 1},
        ]
    ),
)
STANDING = (
    indicator(0, VERSIONS[0], "a", "2.1"),
    indicator(0, VERSIONS[3], "a", "2.1"),
    indicator(1, VERSIONS[2], "a", "2.0"),
    address(0, "a"),
)
"""What both collections begin with."""
batches = st.lists(items, min_size=1, max_size=5)
IDS = (*(f"indicator--{UUID}{n}" for n in range(4)), f"ipv4-addr--{UUID}0", f"marking-definition--{UUID}0")
picks = st.one_of(
    st.just(()),
    st.sampled_from(
        [("all",), ("last",), ("first",), ("first", "last"), VERSIONS[2:4], ("last", VERSIONS[2])]
    ),
)
specs = st.sampled_from([(), (), ("2.0",), ("2.1",), ("2.0", "2.1")])
asks = st.one_of(
    st.just(WHOLE),
    st.just(Ask()),
    st.builds(
        Ask,
        ids=st.lists(st.sampled_from(IDS), max_size=2, unique=True).map(lambda ids: tuple(sorted(ids))),
        types=st.sampled_from([(), (), ("indicator",), ("ipv4-addr", "marking-definition")]),
        versions=picks,
        specs=specs,
    ),
)


@dataclass(slots=True)
class Poller:
    """Somebody who follows a collection. `held` is what it got, `at` the stamp of the last of it."""

    at: str = ""
    token: str | None = None
    asked_at: int | None = None
    held: list[Version] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Replay:
    """A use of the `which`-th token: `said` repeats its filters, `later` sends an added_after along."""

    which: int
    member: str
    alias: str | None
    limit: int
    said: bool
    later: int | None


replays = st.builds(
    Replay,
    which=st.integers(0, 30),
    member=members,
    alias=st.none() | aliases,
    limit=limits,
    said=st.booleans(),
    later=st.none() | st.integers(0, 12),
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A token that was given out: for what, and from where it goes on."""

    token: str
    alias: str
    endpoint: str
    object_id: str
    ask: Ask
    after: str


@dataclass(frozen=True, slots=True)
class Question:
    """One read: whose, of what, how much, from `back` versions before the newest; `again` allows for 304."""

    member: str
    alias: str
    endpoint: str
    ask: Ask
    object_id: str
    limit: int
    back: int | None
    again: bool


@dataclass(frozen=True, slots=True)
class Order:
    """One withdrawal: of the `which`-th live version's object, or of an id; by its owner if `own`."""

    member: str
    own: bool
    alias: str
    which: int | None
    object_id: str
    versions: tuple[str, ...]
    specs: tuple[str, ...]


orders = st.builds(
    Order,
    member=members,
    own=st.sampled_from([True, True, False]),
    alias=aliases,
    which=st.none() | st.integers(0, 12),
    object_id=st.sampled_from(IDS),
    versions=picks,
    specs=specs,
)
questions = st.builds(
    Question,
    member=members,
    alias=aliases,
    endpoint=st.sampled_from(["objects", "objects", "manifest", "object", "versions"]),
    ask=asks,
    object_id=st.sampled_from(IDS),
    limit=limits,
    back=st.none() | st.integers(0, 8),
    again=st.booleans(),
)


class Hub(RuleBasedStateMachine):
    """One agreement of a hub that stays; each run takes a new one."""

    kit: ClassVar[HubKit]
    clock: ClassVar[StoppedClock]
    numbers: ClassVar[Iterator[int]]
    on_disk: ClassVar[bool]

    @initialize(posts=st.tuples(batches, batches))
    def begin(self, posts: tuple[list[Any], list[Any]]) -> None:
        """Put an agreement in force, and something into each collection."""
        self.number = next(self.numbers)
        self.kit.agreement, self.kit.held = f"run-{self.number}", {}
        self.inside = self.hears = self.speaks = True
        self.http = self.kit.client(None)
        definitions: dict[str, str] = {}
        self.waiting: list[Waiting] = []
        self.shelves = {
            alias: Shelf(alias, definitions=definitions, waiting=self.waiting) for alias in ALIASES
        }
        self.embargoes, self.rules_changed = 0, True
        self.pollers = {(alias, kind): Poller() for alias in ALIASES for kind in ("next", "last", "clock")}
        self.kept: list[Kept] = []
        self.etags: dict[str, tuple[str, bytes]] = {}
        self.apply()
        self.secrets = {member: self.kit.secret(member) for member in (*WRITERS, WATCH)}
        self.old_secrets: list[str] = []
        self.valid = dict.fromkeys(self.secrets, True)
        for alias, posted in zip(ALIASES, posts, strict=True):
            self.post("uslgb", alias, [*STANDING, *posted])
            for endpoint in ("objects", "manifest"):
                for ask in (WHOLE, Ask()):
                    self.ask_and_compare(Question(WATCH, alias, endpoint, ask, "", 1, None, False))

    # --- who may do what --------------------------------------------------------------------------

    def apply(self) -> None:
        self.rules_changed = True
        lax = ["uslax"] if self.inside else []
        warned = [*(lax if self.hears else []), "uslgb", WATCH]
        warning = [*(lax if self.speaks else []), "uslgb"]
        self.kit.add_agreement(
            self.kit.agreement,
            members={
                **{one: {"identities": [LAX]} for one in lax},
                "uslgb": {},
                WATCH: {"roles": ["consumer"]},
            },
            collections={
                "open": {"publishers": [*lax, "uslgb"], "ceiling": "amber"},
                "warnings": {"audience": warned, "publishers": warning, "ceiling": "amber"},
            },
            credential=f"t{self.number}",
        )

    def may(self, member: str, alias: str, right: str) -> bool:
        mine = alias == "open" or member != "uslax" or (self.hears if right == "read" else self.speaks)
        return mine and not (member == WATCH and right == "write")

    def known(self, member: str) -> bool:
        return self.valid[member] and (member != "uslax" or self.inside)

    def refusal(self, member: str, alias: str, right: str) -> int:
        """Return the status of a refusal, 0 if nothing is refused."""
        if not self.known(member):
            return 401
        reads, writes = self.may(member, alias, "read"), self.may(member, alias, "write")
        if right == "both":
            return 0 if reads and writes else 403 if reads or writes else 404
        return 0 if (reads if right == "read" else writes) else 403

    @rule(what=st.sampled_from(["inside", "hears", "hears", "speaks", "speaks"]))
    def the_agreement_changes(self, what: str) -> None:
        setattr(self, what, not getattr(self, what))
        self.apply()

    @rule(member=members, how=st.sampled_from(["rotate", "rotate", "revoke"]))
    def a_credential_ends(self, member: str, how: str) -> None:
        """Rotate or revoke it; the old secret lets nobody in from now on."""
        if not self.known(member):
            return
        self.old_secrets.append(self.secrets[member])
        self.rules_changed = True
        if how == "revoke":
            self.kit.revoke(member)
            self.valid[member] = False
            return
        made = credentials.rotate(
            self.kit.hub.registry,
            self.kit.credential(member)[0],
            entropy=f"{self.number} {len(self.old_secrets)} {member}".encode().ljust(32),
            req=f"{self.number:016x}{len(self.old_secrets):016x}",
            now=self.clock.now(),
        )
        self.secrets[member] = made.secret.reveal()
        self.kit.held[member] = (made.credential.name, self.secrets[member])

    @rule()
    def all_is_put_right(self) -> None:
        """Everybody may do everything again."""
        if not (self.inside and self.hears and self.speaks):
            self.inside = self.hears = self.speaks = True
            self.apply()
        for member in [one for one, valid in self.valid.items() if not valid]:
            self.kit.held[member] = self.kit.mint(member, f"n{self.number}-{len(self.old_secrets)}")
            self.secrets[member], self.valid[member] = self.kit.secret(member), True
            self.rules_changed = True

    @rule(seconds=st.sampled_from([0.0005, 0.3, 2, 90]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    # --- writing ----------------------------------------------------------------------------------

    def ask(self, method: str, path: str, secret: str, **more: Any) -> Any:
        headers = {**HEADERS, "Authorization": f"Bearer {secret}", **more.pop("headers", {})}
        return self.http.request(method, f"/{self.kit.agreement}/collections/{path}", headers=headers, **more)

    @rule(posts=st.lists(st.tuples(members, aliases, batches), min_size=1, max_size=3))
    def publish(self, posts: list[tuple[str, str, list[Any]]]) -> None:
        for member, alias, posted in posts:
            self.post(member, alias, posted)

    def post(self, member: str, alias: str, posted: list[Any]) -> None:
        answer = self.ask("POST", f"{alias}/objects/", self.secrets[member], json={"objects": posted})
        if refused := self.refusal(member, alias, "write"):
            assert answer.status_code == refused, answer.text
            return
        assert answer.status_code == 202, answer.text
        shelf = self.shelves[alias]
        before = len(shelf.added)
        fates = shelf.post(member, posted)
        self.learn_stamps(alias, before)
        status = answer.json()
        taken = [one["id"] for one, fate in zip(posted, fates, strict=True) if fate != "failure"]
        assert [one["id"] for one in status.get("successes", [])] == taken, status
        assert status["failure_count"] == len(status.get("failures", [])) == fates.count("failure"), status

    def learn_stamps(self, alias: str, before: int) -> None:
        """Take `date_added` of what is new from the manifest: after all others, each of its own."""
        new = self.shelves[alias].added[before:]
        entries = self.everything(alias, "manifest")
        stamps = [one["date_added"] for one in entries]
        assert stamps == sorted(set(stamps))
        assert len(entries) >= len(new)
        last = max((one.stamp for one in self.shelves[alias].added[:before]), default="")
        for one, entry in zip(new, entries[len(entries) - len(new) :], strict=True):
            assert entry["id"] == one.id
            assert entry["date_added"] > last
            one.stamp = entry["date_added"]

    def terms(self, seconds: float) -> tuple[dict[str, Any], int]:
        """Return a marking with a `release_at` of its own, and that moment."""
        self.embargoes += 1
        release = self.clock.now() + int(seconds * 1_000_000)
        terms = sharing_terms(self.kit.agreement, release_at=format_stamp(Micros(release)))
        tail = uuid.UUID(int=self.number << 32 | self.embargoes, version=4)
        return {**terms, "id": f"marking-definition--{tail}", "name": f"Terms {self.embargoes}"}, release

    @rule(
        member=members,
        alias=aliases,
        seconds=st.sampled_from([0.3, 2, 90]),
        number=st.sampled_from([None, 0, 0, 1, 1, 2]),
        version=st.sampled_from(VERSIONS),
    )
    def holds_something_back(
        self, member: str, alias: str, seconds: float, number: int | None, version: str
    ) -> None:
        """Post an object with its terms, under an id of its own or one that others use too."""
        terms, release = self.terms(seconds)
        held = indicator(number or 0, version, "held back", "2.1") | {"object_marking_refs": [terms["id"]]}
        if number is None:
            held["id"] = f"indicator--{terms['id'].partition('--')[2]}"
        self.hold(member, alias, [held, terms], release)

    @rule(
        member=members,
        alias=aliases,
        seconds=st.sampled_from([0.3, 2, 90]),
        number=st.sampled_from([0, 1, 1, 2]),
    )
    def holds_a_definition_back(self, member: str, alias: str, seconds: float, number: int) -> None:
        """Under an id that others define too: what another has waiting is not there."""
        terms, release = self.terms(seconds)
        self.hold(member, alias, [{**terms, "id": marking("", number)["id"]}], release)

    @rule(member=members, alias=aliases, content=contents, number=st.sampled_from([1, 1, 2]))
    def defines_what_may_wait(self, member: str, alias: str, content: str, number: int) -> None:
        self.post(member, alias, [marking(content, number)])

    def hold(self, member: str, alias: str, posted: list[dict[str, Any]], release: int) -> None:
        answer = self.ask("POST", f"{alias}/objects/", self.secrets[member], json={"objects": posted})
        if refused := self.refusal(member, alias, "write"):
            assert answer.status_code == refused, answer.text
            return
        fates = self.shelves[alias].hold(member, posted, release)
        told = answer.json()
        taken = [one["id"] for one, fate in zip(posted, fates, strict=True) if fate == "add"]
        assert [one["id"] for one in told.get("successes", [])] == taken, told
        assert all("Held back until" in one["message"] for one in told.get("successes", []))

    @precondition(lambda self: self.waiting)
    @rule()
    def what_was_held_back_is_released(self) -> None:
        """All that is due and may still enter, with stamps after all others."""
        look(self.kit)
        for alias, shelf in self.shelves.items():
            before = len(shelf.added)

            def may(owner: str, alias: str = alias) -> bool:
                return self.may(owner, alias, "write") and self.is_member(owner)

            shelf.release(self.clock.now(), again=self.rules_changed, may=may)
            self.learn_stamps(alias, before)
        self.rules_changed = False

    @precondition(lambda self: self.waiting)
    @rule(
        which=st.integers(0, 12),
        own=st.sampled_from([True, True, False]),
        member=members,
        versions=st.one_of(st.sampled_from([("last",), ("first",), ("first", "last")]), picks),
        wanted=specs,
    )
    def takes_back_what_waits(
        self, which: int, own: bool, member: str, versions: tuple[str, ...], wanted: tuple[str, ...]
    ) -> None:
        """With any filter; for others it is not there, and what is live beside it counts by itself."""
        one = self.waiting[which % len(self.waiting)]
        self.delete(one.owner if own else member, one.alias, one.id, versions, wanted)

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 12), own=st.booleans(), member=members, versions=picks, wanted=specs)
    def cancels_what_waits(
        self, which: int, own: bool, member: str, versions: tuple[str, ...], wanted: tuple[str, ...]
    ) -> None:
        """Where it is listed: what is live is not looked at. Needs no other right than to be a member."""
        one = self.waiting[which % len(self.waiting)]
        member = one.owner if own else member
        params = Ask(versions=versions, specs=wanted).params()
        answer = self.look_after(member, "DELETE", f"{one.alias}/{one.id}/", params)
        if not self.known(member):
            assert answer.status_code == 401
            return
        gone = self.shelves[one.alias].cancels(member, one.id, versions, wanted, only=True)
        if not gone:
            assert answer.status_code == 404, answer.text
        elif self.marks_something(one.id):
            assert answer.status_code == 409, answer.text
        else:
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["cancelled"]) == len(gone)
            self.take_back(gone)

    @rule(member=members, alias=aliases)
    def looks_after_what_waits(self, member: str, alias: str) -> None:
        self.compare_what_waits(member, alias)

    def compare_what_waits(self, member: str, alias: str) -> None:
        """Its own, by release; a problem is told as soon as there is one that stays."""
        answer = self.look_after(member, "GET", f"{alias}/", {})
        if not self.known(member):
            assert answer.status_code == 401
            return
        mine = [one for one in self.waiting if (one.owner, one.alias) == (member, alias)]
        mine.sort(key=lambda one: one.release)
        shelf = self.shelves[alias]
        assert [(one["id"], bool(one["problem"])) for one in answer.json()["staged"]] == [
            (one.id, one.failed or shelf.rules_out_here(member, one.body)) for one in mine
        ]

    def look_after(self, member: str, method: str, path: str, params: Mapping[str, Any]) -> Any:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self.secrets[member]}"}
        return self.http.request(
            method, f"/staged/{self.kit.agreement}/{path}", headers=headers, params=params
        )

    def take_back(self, gone: list[Waiting]) -> None:
        for one in gone:
            self.waiting.remove(one)

    def is_member(self, member: str) -> bool:
        return member != "uslax" or self.inside

    def marks_something(self, definition: str) -> bool:
        bodies = [one.body for shelf in self.shelves.values() for one in shelf.live]
        bodies += [one.body for one in self.waiting]
        return any(definition in body.get("object_marking_refs", ()) for body in bodies)

    @rule(orders=st.lists(orders, min_size=1, max_size=3))
    def withdraw(self, orders: list[Order]) -> None:
        for order in orders:
            live = self.shelves[order.alias].live
            one = live[order.which % len(live)] if order.which is not None and live else None
            object_id = one.id if one else order.object_id
            member = one.owner if one and order.own else order.member
            self.delete(member, order.alias, object_id, order.versions, order.specs)

    def delete(
        self, member: str, alias: str, object_id: str, versions: tuple[str, ...], wanted: tuple[str, ...]
    ) -> None:
        params = Ask(versions=versions, specs=wanted).params()
        answer = self.ask("DELETE", f"{alias}/objects/{object_id}/", self.secrets[member], params=params)
        if refused := self.refusal(member, alias, "both"):
            assert answer.status_code == refused, answer.text
            return
        gone = self.shelves[alias].pick(object_id, versions, wanted)
        cancelled = self.shelves[alias].cancels(member, object_id, versions, wanted, only=False)
        if cancelled and any(one.owner != member for one in gone):
            gone = []  # what is another's stays, and no refusal is needed
        if not gone and not cancelled:
            assert answer.status_code == 404, answer.text
        elif any(one.owner != member for one in gone):
            assert answer.status_code == 403, answer.text
        elif self.marks_something(object_id):
            assert answer.status_code == 409, answer.text
        else:
            assert answer.status_code == 200, answer.text
            for one in gone:
                one.live = False
            self.take_back(cancelled)
        self.compare_what_waits(member, alias)

    # --- reading ----------------------------------------------------------------------------------

    def get(self, member: str, path: str, params: Mapping[str, Any], *, again: bool = False) -> Any:
        """Return an answer; `again` sends the validator of the last one and takes 304 for that one."""
        place = f"{path}?{sorted(params.items())}"
        known = self.etags.get(place) if again else None
        headers = {"If-None-Match": known[0]} if known else {}
        answer = self.ask("GET", path, self.secrets[member], params=params, headers=headers)
        if answer.status_code == 200:
            self.etags[place] = (answer.headers["etag"], answer.content)
        if answer.status_code == 304:
            assert known
            return 200, json.loads(known[1]), answer.headers
        return answer.status_code, answer.json(), answer.headers

    def everything(self, alias: str, endpoint: str, ask: Ask = WHOLE) -> list[Any]:
        status, page, _ = self.get(
            WATCH, f"{alias}/{endpoint}/", {**ask.params(), "limit": 10_000}, again=True
        )
        assert (status, page["more"]) == (200, False)
        return list(page.get("objects", []))

    def compare(
        self, page: dict[str, Any], headers: Any, endpoint: str, want: list[Version], limit: int
    ) -> None:
        """Compare a page with what the model would give out."""
        shown = want[:limit]
        names: dict[str, list[Any]] = {
            "manifest": [{"id": v.id, "date_added": v.stamp, "version": v.text} for v in shown],
            "versions": [v.text for v in shown],
        }
        entries = page.get("versions" if endpoint == "versions" else "objects", [])
        if endpoint == "manifest":
            media = [entry.pop("media_type") for entry in entries]
            assert media == [f"application/stix+json;version={v.spec}" for v in shown]
        assert entries == names.get(endpoint, [v.body for v in shown])
        assert page["more"] == (len(want) > limit) == ("next" in page)
        if shown and "x-taxii-date-added-first" in headers:
            assert headers["x-taxii-date-added-first"] == shown[0].stamp
            assert headers["x-taxii-date-added-last"] == shown[-1].stamp

    @rule(questions=st.lists(questions, min_size=1, max_size=4))
    def read(self, questions: list[Question]) -> None:
        for question in questions:
            self.ask_and_compare(question)

    def ask_and_compare(self, asked: Question) -> None:
        member, alias, endpoint, ask = asked.member, asked.alias, asked.endpoint, asked.ask
        object_id, limit, back, again = asked.object_id, asked.limit, asked.back, asked.again
        shelf = self.shelves[alias]
        path = {"object": f"objects/{object_id}", "versions": f"objects/{object_id}/versions"}.get(
            endpoint, endpoint
        )
        if endpoint == "object":
            ask = Ask(ids=(object_id,), versions=ask.versions, specs=ask.specs)
        elif endpoint == "versions":
            ask = Ask(ids=(object_id,), versions=("all",), specs=ask.specs)
        params: dict[str, Any] = {"limit": limit, **ask.params()}
        if endpoint in {"object", "versions"}:
            params.pop("match[id]")
        if endpoint == "versions":
            params.pop("match[version]")
        after = shelf.added[-1 - back].stamp if back is not None and back < len(shelf.added) else ""
        if after:
            params["added_after"] = after
        status, page, headers = self.get(member, f"{alias}/{path}/", params, again=again)
        refused = self.refusal(member, alias, "read")
        if not refused and endpoint in {"object", "versions"}:
            refused = 0 if any(one.id == object_id for one in shelf.live) else 404
        if refused:
            assert status == refused
            return
        want = shelf.shown(ask, after)
        self.compare(page, headers, endpoint, want, limit)
        if page["more"]:
            self.kept.append(Kept(page["next"], alias, endpoint, object_id, ask, want[limit - 1].stamp))

    @precondition(lambda self: self.kept)
    @rule(replays=st.lists(replays, min_size=1, max_size=4))
    def replay(self, replays: list[Replay]) -> None:
        """Use tokens from any time, here or elsewhere, alone or with what they say already."""
        for one in replays:
            self.use(self.kept[one.which % len(self.kept)], one)

    def use(self, kept: Kept, how: Replay) -> None:
        """Ask with a kept token and compare."""
        member, alias, limit = how.member, how.alias or kept.alias, how.limit
        path = {"object": f"objects/{kept.object_id}", "versions": f"objects/{kept.object_id}/versions"}.get(
            kept.endpoint, kept.endpoint
        )
        params: dict[str, Any] = {"next": kept.token, "limit": limit}
        if kept.endpoint in {"objects", "manifest"} and how.said:
            params |= kept.ask.params()
        added = self.shelves[kept.alias].added
        later = added[how.later % len(added)].stamp if how.later is not None else ""
        if later:
            params["added_after"] = later
        status, page, headers = self.get(member, f"{alias}/{path}/", params)
        refused, shelf = self.refusal(member, alias, "read"), self.shelves[alias]
        if not refused and kept.endpoint in {"object", "versions"}:
            there = any(one.id == kept.object_id for one in shelf.live)
            refused = 0 if there else 404
        if refused:
            assert status == refused
            return
        want = shelf.shown(kept.ask, max(later, kept.after if alias == kept.alias else ""))
        self.compare(page, headers, kept.endpoint, want, limit)

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def misuses_a_token(self, data: st.DataObject) -> None:
        """A token of another endpoint, one with other filters, one that was changed: 400."""
        kept = data.draw(st.sampled_from(self.kept))
        wrong = "manifest" if kept.endpoint != "manifest" else "objects"
        asked: list[tuple[str, dict[str, Any]]] = [(wrong, {"next": kept.token})]
        right = kept.endpoint if kept.endpoint in {"objects", "manifest"} else wrong
        asked.append((right, {"next": kept.token, "match[type]": "tool"}))
        changed = kept.token[:-1] + ("A" if kept.token[-1] != "A" else "B")
        asked.append((right, {"next": changed}))
        for endpoint, params in asked:
            assert self.get(WATCH, f"{kept.alias}/{endpoint}/", params)[0] == 400

    # --- pollers ----------------------------------------------------------------------------------

    @rule(member=members, alias=aliases, limit=limits)
    def polls(self, member: str, alias: str, limit: int) -> None:
        for kind in ("next", "last", "clock"):
            self.poll(member, alias, kind, limit)

    def poll(self, member: str, alias: str, kind: str, limit: int) -> None:
        """Make one request of a poller that wants every version of everything."""
        poller, shelf = self.pollers[alias, kind], self.shelves[alias]
        params: dict[str, Any] = {"limit": limit, **WHOLE.params()}
        after = poller.at
        if kind == "clock":
            after = ""
            if poller.asked_at is not None:
                after = params["added_after"] = format_stamp(poller.asked_at - OVERLAP_S * 1_000_000)
            params["limit"] = limit = 10_000
        elif kind == "next" and poller.token:
            params = {"limit": limit, "next": poller.token}
        elif poller.at:
            params["added_after"] = poller.at
        status, page, headers = self.get(member, f"{alias}/objects/", params)
        if refused := self.refusal(member, alias, "read"):
            assert status == refused
            return
        self.compare(page, headers, "objects", shelf.shown(WHOLE, after), limit)
        got = shelf.shown(WHOLE, after)[:limit]
        if kind == "clock":
            poller.asked_at = self.clock.now()
            got = [one for one in got if one not in poller.held]
        else:
            assert not [one for one in got if one in poller.held], "a version came twice"
            poller.token = page.get("next")
        poller.held += got
        poller.at = got[-1].stamp if got else poller.at

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def every_read_shows_what_the_model_holds(self) -> None:
        if not hasattr(self, "secrets"):
            return
        for alias, shelf in self.shelves.items():
            live = shelf.shown(WHOLE)
            assert self.everything(alias, "objects") == [one.body for one in live]
            listed = self.everything(alias, "manifest")
            assert [(e["id"], e["date_added"], e["version"]) for e in listed] == [
                (one.id, one.stamp, one.text) for one in live
            ]
            assert self.everything(alias, "objects", Ask()) == [one.body for one in shelf.shown(Ask())]
            for object_id in {one.id for one in live}:
                params = {"match[spec_version]": "2.0,2.1", "limit": 10_000}
                _, page, _ = self.get(WATCH, f"{alias}/objects/{object_id}/versions/", params, again=True)
                assert page["versions"] == [one.text for one in live if one.id == object_id]

    @invariant()
    def following_next_gives_everything_once(self) -> None:
        for alias, shelf in getattr(self, "shelves", {}).items():
            got: list[Any] = []
            params: dict[str, Any] = {"limit": 2, **WHOLE.params()}
            while True:
                _, page, _ = self.get(WATCH, f"{alias}/objects/", params)
                assert page.get("objects") or "next" not in params, "more was said and there was no more"
                got += page.get("objects", [])
                if not page["more"]:
                    break
                params = {"limit": 2, "next": page["next"]}
            assert got == [one.body for one in shelf.live]

    @invariant()
    def no_old_secret_lets_anybody_in(self) -> None:
        for secret in getattr(self, "old_secrets", [])[-2:]:
            assert self.ask("GET", "open/objects/", secret).status_code == 401

    def teardown(self) -> None:
        """Let every poller catch up: then it has had all that is there, in order and once."""
        if not hasattr(self, "secrets"):
            return
        for (alias, kind), poller in self.pollers.items():
            size = -1
            while size < len(poller.held):
                size = len(poller.held)
                self.poll(WATCH, alias, kind, 3)
            assert [one for one in self.shelves[alias].live if one not in poller.held] == []
            if kind != "clock":
                assert poller.held == sorted(poller.held, key=lambda one: one.stamp)
        self.http.close()


@pytest.fixture(params=["memory", "sqlite"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[type[Hub]]:
    """The machine over a hub with one of the stores; fsck looks at the embedded one in the end."""
    stopped = StoppedClock()
    with make_hub(tmp_path, request.param, clock=stopped, settings={"throttle_failures": 10**9}) as made:

        class Over(Hub):
            kit, clock, numbers, on_disk = made, stopped, count(1), request.param == "sqlite"

        yield Over
        assert next(Over.numbers) > 2
        if Over.on_disk:
            report = fsck(made.hub.dir / "data")
            assert report.findings == ()
            assert report.statements > 20


def bounded(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def test_a_hub_and_a_model_cannot_be_told_apart(machine: type[Hub]) -> None:
    run_state_machine_as_test(machine, settings=bounded(12 if machine.on_disk else 25, 25))


@pytest.mark.long
def test_a_hub_and_a_model_cannot_be_told_apart_for_long(machine: type[Hub]) -> None:
    run_state_machine_as_test(machine, settings=bounded(300, 60))
