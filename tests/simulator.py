"""A hub in memory that serves a collection's log, its agreement and TAXII, and lies as a test tells it to.

It stands behind the real client's transport, so that everything from tiles to pages of objects is the real
code. An honest hub changes `entries` and `shelf` together and signs what it has; a dishonest one is told to
change one of them, or to show another `note`.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from governance_samples import NOW, content, signed, text_for
from lightship.core import dsse
from lightship.core.agreement import parse_toml
from lightship.core.agreement.chain import key_text
from lightship.core.collection import WithdrawReason
from lightship.core.log import leaf, merkle, notes, roster, statement, tiles
from lightship.core.log.statement import Add, Statement, Withdrawal
from lightship.core.stix.json import canonical
from lightship.core.time import Micros, format_stamp, parse_added_after
from lightship.crypto.sign import SigningKey, new_signing_key

HOST = "hub.test"
AGREEMENT = "la-lb-mou"
INDICATORS = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa2"
WARNINGS = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa3"
SECOND = 1_000_000
PAGE = 3

Json = dict[str, Any]


def indicator(number: int, name: str = "Command server", hour: int = 8) -> Json:
    """Return a made-up indicator; the same number is the same object, another hour another version."""
    moment = f"2026-04-01T{hour:02d}:00:00.000Z"
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.UUID(int=(4 << 76) | (8 << 60) | number)}",
        "created": "2026-04-01T08:00:00.000Z",
        "modified": moment,
        "name": name,
        "pattern": f"[ipv4-addr:value = '203.0.113.{number % 256}']",
        "pattern_type": "stix",
        "valid_from": moment,
    }


def add_of(value: Json) -> Add:
    """Return the entry that adds an object."""
    version = value.get("modified") or value.get("created") or ""
    return Add(value["id"], version, hashlib.sha256(canonical(value)).hexdigest())


def withdrawal_of(value: Json, reason: WithdrawReason = WithdrawReason.PUBLISHER) -> Withdrawal:
    """Return the entry that withdraws an object."""
    return Withdrawal(value["id"], value.get("modified", ""), reason)


@dataclass
class Shelved:
    """An object as the hub hands it out over TAXII."""

    stamp: int
    id: str
    version: str
    body: bytes


@dataclass
class Author:
    """A publisher's key and what it signed last."""

    member: str
    key: SigningKey
    seq: int = 0
    prev: str = ""

    def sign(
        self,
        hub: Simulator,
        add: Sequence[Json] = (),
        withdraw: Sequence[Withdrawal] = (),
        *,
        collection: str = "",
        seq: int | None = None,
        prev: str | None = None,
    ) -> dsse.Envelope:
        """Return the next statement of this key, or the one that `seq` and `prev` say."""
        made = Statement(
            collection=collection or hub.collection,
            hub=hub.digests[0],
            key=self.key.keyid,
            seq=self.seq + 1 if seq is None else seq,
            prev=self.prev if prev is None else prev,
            add=tuple(add_of(one) for one in add),
            withdraw=tuple(withdraw),
        )
        envelope = statement.sign(made, self.key.sign)
        if seq is None:
            self.seq, self.prev = made.seq, statement.digest_of(envelope.payload)
        return envelope


@dataclass
class Simulator:
    """One hub, one agreement, one collection's log."""

    collection: str = INDICATORS
    host: str = HOST
    now: int = NOW
    key: SigningKey = field(default_factory=new_signing_key)
    entries: list[bytes] = field(default_factory=list)
    shelf: list[Shelved] = field(default_factory=list)
    envelopes: list[bytes] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    rosters: dict[str, bytes] = field(default_factory=dict)
    note: bytes | None = None
    """What is shown instead of a checkpoint over `entries`."""
    between: Callable[[], None] | None = None
    """Done once, after the first page of objects was handed out."""
    posted: list[bytes] = field(default_factory=list)
    lose_answers: int = 0
    """So many posts are carried out and their answers lost."""
    answer: Callable[[httpx2.Request], httpx2.Response | None] = lambda request: None
    """Answers instead of the hub, where it answers."""

    def __post_init__(self) -> None:
        self.admins = {member: new_signing_key() for member in ("uslax", "uslgb")}
        self.authors: dict[str, Author] = {}
        self.last_roster: dict[str, roster.Roster] = {}
        self.taken: dict[str, tuple[int, bytes]] = {}
        self.written = parse_toml(text_for(self.key), "agreement.toml")
        for member, admin in self.admins.items():
            self.written["members"][member]["admin_key"] = key_text(admin.public)
        self.agree()
        for member in self.admins:
            self.enrol(member)

    @property
    def origin(self) -> str:
        return f"{self.host}/c/{self.collection}"

    # --- what an honest hub does --------------------------------------------------------------------

    def at(self, size: int = 1) -> int:
        """Let a second pass and return the time of the next leaf."""
        self.now += SECOND
        return self.now + size

    def agree(self, *, log: bool = True, **changes: Any) -> None:
        """Sign the next version of the agreement; `changes` are keys of the collection's table."""
        self.written["collections"]["indicators"] |= changes
        version = len(self.envelopes) + 1
        value = content(
            {"hub": self.key},
            version=version,
            prev=self.digests[-1] if self.digests else "",
            written=self.written,
        )
        envelope, digest = signed(value, self.key)
        self.envelopes.append(envelope)
        self.digests.append(digest)
        if log:
            self.entries.append(leaf.agreement_change(version, self.at(), digest))

    def enrol(self, member: str, key: SigningKey | None = None) -> Author:
        """Give a member a new publish key on its roster."""
        author = Author(member, key or new_signing_key())
        self.authors[member] = author
        last = self.last_roster.get(member)
        keys = dict(last.keys) if last else {}
        self.roster(member, keys | {author.key.keyid: roster.PublishKey(author.key.public)})
        return author

    def roster(
        self, member: str, keys: dict[str, roster.PublishKey], *, signer: SigningKey | None = None
    ) -> None:
        """Put a member's next roster in force."""
        last = self.last_roster.get(member)
        made = roster.Roster(
            agreement=AGREEMENT,
            hub=self.digests[0],
            member=member,
            version=last.version + 1 if last else 1,
            prev=hashlib.sha256(last.payload()).hexdigest() if last else "",
            keys=keys,
        )
        signer = signer or self.admins[member]
        envelope = roster.sign(made, signer.keyid, signer.sign)
        digest = hashlib.sha256(envelope.payload).hexdigest()
        self.rosters[digest] = dsse.encode(envelope)
        self.last_roster[member] = made
        self.entries.append(leaf.roster_change(len(self.digests), self.at(), member, digest))

    def publish(self, member: str, *objects: Json, withdraw: Sequence[Withdrawal] = ()) -> int:
        """Sign and log a statement of a member; return its index."""
        return self.log(member, self.authors[member].sign(self, objects, withdraw), objects)

    def attest(
        self, by: str, *objects: Json, withdraw: Sequence[Withdrawal] = (), at: int | None = None
    ) -> int:
        """Log a statement that nobody signed."""
        made = Statement(
            self.collection,
            self.digests[0],
            add=tuple(add_of(one) for one in objects),
            withdraw=tuple(withdraw),
        )
        return self.log(by, statement.attested(made.payload()), objects, at=at)

    def log(
        self, by: str, envelope: dsse.Envelope, objects: Sequence[Json] = (), *, at: int | None = None
    ) -> int:
        """Append a statement and do what it says to the shelf."""
        found = statement.read_payload(envelope.payload)
        at = self.at(found.size) if at is None else at
        self.entries.append(leaf.publication(len(self.digests), at, by, envelope))
        left = {(one.id, one.version) for one in found.withdraw}
        self.shelf = [one for one in self.shelf if (one.id, one.version) not in left]
        for number, value in enumerate(objects, 1):
            stamp = at - len(objects) + number
            entry = add_of(value)
            self.shelf.append(Shelved(stamp, entry.id, entry.version, canonical(value)))
        return len(self.entries) - 1

    def sign_note(self, size: int | None = None, key: SigningKey | None = None) -> bytes:
        """Return a checkpoint over the first `size` entries."""
        entries = self.entries[:size]
        root = merkle.root_of([merkle.leaf_hash(one) for one in entries])
        text = notes.Checkpoint(self.origin, len(entries), root).to_text()
        signer = key or self.key
        line = notes.sign_note(text, notes.NoteKey(self.origin, signer.public), signer.sign)
        return notes.format_note(text, [line])

    # --- HTTP ---------------------------------------------------------------------------------------

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request."""
        instead = self.answer(request)
        if instead is not None:
            return instead
        parts = request.url.path.strip("/").split("/")
        if request.method == "POST" and parts == ["log", self.collection, "publish"]:
            return self._post(request)
        if parts[:2] == ["log", self.collection]:
            return self._log("/".join(parts[2:]))
        if parts[:2] == ["agreements", AGREEMENT]:
            return self._agreement(parts[2:])
        if parts[-1] == "objects":
            return self._objects(dict(request.url.params))
        return httpx2.Response(404, json={"title": "Not found"})

    def _log(self, rest: str) -> httpx2.Response:
        if rest == "checkpoint":
            return httpx2.Response(200, content=self.note or self.sign_note())
        tile = tiles.parse_path(rest.removeprefix("tile/"))
        if tile.level >= 0:
            whole = self._hashes(tile.level)[tile.first : tile.first + tile.width]
            return httpx2.Response(200 if len(whole) == tile.width else 404, content=b"".join(whole))
        entries = self.entries[tile.first : tile.first + tile.width]
        if not entries:
            return httpx2.Response(404, json={"title": "Not found"})
        return httpx2.Response(200, content=tiles.pack(entries))

    def _hashes(self, level: int) -> list[bytes]:
        leaves = [merkle.leaf_hash(one) for one in self.entries]
        if level == 0:
            return leaves
        nodes = merkle.append(merkle.Frontier(), leaves)[1]
        return [digest for at, _, digest in nodes if at == level * merkle.TILE_HEIGHT]

    def _agreement(self, rest: list[str]) -> httpx2.Response:
        name = rest[-1].removesuffix(".json")
        found: bytes | None = None
        if rest[0] == "rosters":
            found = self.rosters.get(name)
        elif name.isdigit() and 1 <= int(name) <= len(self.envelopes):
            found = self.envelopes[int(name) - 1]
        return (
            httpx2.Response(404, json={"title": "Not found"})
            if found is None
            else httpx2.Response(200, content=found)
        )

    def _objects(self, params: dict[str, str]) -> httpx2.Response:
        assert params["match[version]"] == "all"
        after = int(params["next"]) if "next" in params else -1
        if "added_after" in params:
            after = max(after, parse_added_after(params["added_after"]))
        rows = sorted((one for one in self.shelf if one.stamp > after), key=lambda one: one.stamp)
        page = rows[:PAGE]
        more = len(rows) > PAGE
        body = b'{"more":%s' % (b"true" if more else b"false")
        headers = {"Content-Type": "application/taxii+json;version=2.1"}
        if page:
            body += b',"objects":[' + b",".join(one.body for one in page) + b"]"
            headers["X-TAXII-Date-Added-First"] = format_stamp(page[0].stamp)
            headers["X-TAXII-Date-Added-Last"] = format_stamp(page[-1].stamp)
        if more:
            body += b',"next":"%d"' % page[-1].stamp
        if self.between is not None:
            do, self.between = self.between, None
            do()
        return httpx2.Response(200, content=body + b"}", headers=headers)

    def _post(self, request: httpx2.Request) -> httpx2.Response:
        """Take a signed statement as the hub would, and answer with its proof."""
        self.posted.append(request.content)
        body = json.loads(request.content)
        envelope, found = statement.read_envelope(body["publication"], signed=True)
        digest = statement.digest_of(envelope.payload)
        author = next(one for one in self.authors.values() if one.key.keyid == found.key)
        objects = body["objects"]
        if digest not in self.taken:
            if (found.seq, found.prev) != (author.seq + 1, author.prev):
                return httpx2.Response(409, json={"title": "The statement does not follow"})
            failures = [
                {"id": one["id"], "version": one.get("modified", ""), "message": "refused: deny-unmarked"}
                for one in objects
                if one.get("name") == "refused"
            ]
            if failures:
                return httpx2.Response(
                    200, json={"status": self._status(len(objects) - len(failures), failures)}
                )
            author.seq, author.prev = found.seq, digest
            index = self.log(author.member, envelope, objects)
            self.taken[digest] = (index, self.entries[index])
        if self.lose_answers:
            self.lose_answers -= 1
            raise httpx2.ReadError("the answer was lost", request=request)
        return httpx2.Response(200, json=self._proof(*self.taken[digest], len(objects)))

    def _status(self, success: int, failures: list[Json]) -> Json:
        count = success + len(failures)
        status: Json = {"id": str(uuid.UUID(int=self.now)), "status": "complete", "total_count": count}
        status |= {"success_count": success, "failure_count": len(failures), "pending_count": 0}
        return status | ({"failures": failures} if failures else {})

    def _proof(self, index: int, entry: bytes, count: int) -> Json:
        return {
            "status": self._status(count, []),
            "index": index,
            "leaf": b64encode(entry).decode(),
            "proof": [b64encode(one).decode() for one in inclusion_path(self.entries, index)],
            "checkpoint": (self.note or self.sign_note()).decode(),
        }

    def clock(self) -> Micros:
        """The clock of everybody."""
        return Micros(self.now)


def inclusion_path(entries: Sequence[bytes], index: int) -> list[bytes]:
    """The proof that an entry is in the tree of all of them."""
    hashes = [merkle.leaf_hash(one) for one in entries]

    def read(level: int, first: int, count: int) -> list[bytes]:
        return [merkle.root_of(hashes[at << level : (at + 1) << level]) for at in range(first, first + count)]

    return merkle.inclusion(read, index, len(hashes))
