"""Writing to one file of the access log: the events of a group, their trees, the table that is searched.

A commit writes few pages: the events at the end of their table, their places, the heads of their trees. The
table that is searched is filled once it lacks TAIL events, in the same transaction as the events that made it
so many.

The events of an agreement are the leaves of its log of the year (`access_tree`). The log writes two kinds of
leaf by itself: `log-continued`, the first one where there is a log of an earlier year, whose checkpoint it
holds; and `log-late`, before `n` events that are recorded LATE or more after newer ones, as after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from struct import Struct
from typing import Any

import apsw

from lightship.core.audit import AccessEvent
from lightship.core.errors import Unavailable
from lightship.core.log.audit import CONTINUED, LATE, LOG, LOG_LATE
from lightship.core.log.merkle import Frontier, leaf_hash
from lightship.core.log.notes import Sign
from lightship.core.log.receipt import Group, Sealed
from lightship.core.ports import Clock, Recorded
from lightship.core.time import Micros
from lightship.storage.event_leaf import SALT_BYTES, Salts, clean, to_leaf
from lightship.storage.migrate import Kind, open_migrated
from lightship.storage.sqlite.access_files import audit_files
from lightship.storage.sqlite.access_search import OUTCOMES, word_number
from lightship.storage.sqlite.access_tree import (
    CHECKPOINT_EVERY,
    Head,
    Sealer,
    grow,
    keep_checkpoint,
    read_head,
    seal_of,
)
from lightship.storage.sqlite.access_vouch import is_vouched, last_checkpoint
from lightship.storage.sqlite.committer import Failed, GroupCommit, hub_fault, run_each
from lightship.storage.sqlite.connection import FATAL

TAIL = 1024
"""So many events and a group at most may be missing in the table that is searched; a search reads them."""

LOG_PAGES = 2000
"""Pages of the write-ahead log before it is begun anew: 8 MB, so that nearly all commits overwrite it."""

_TOGETHER = 64
"""Rows of one statement."""
_ROW = f"({', '.join('?' * 17)})"
_INSERT = (
    "INSERT INTO event(agr, idx, at, who, cred, col, act, outcome, effect, req, leaf, hash, q_salt, q,"
    " ip_salt, ip, seal) VALUES "
)
_RECORDED = """
SELECT origin, idx, leaf, hash, q_salt, ip_salt FROM event JOIN head ON head.agr = event.agr
WHERE req = ? AND effect = 1"""
_Leaf = tuple[AccessEvent, int, int]
"""An event, its place in the group (-1: the log's own), its turn among all that the group inserts."""
_SALTS = Struct(f"{SALT_BYTES}s{SALT_BYTES}s")
_Row = tuple[Any, ...]
_Kind = tuple[int, ...]
"""The columns who, cred, col, act, outcome and effect."""
_MAX_WORDS = 100_000


class YearWriter:
    """The writing side of one file. All but `append` runs in the writer's thread alone."""

    def __init__(
        self, path: Path, clock: Clock, random: Callable[[int], bytes], sealer: Sealer | None
    ) -> None:
        self._path = path
        self._year = int(path.stem[-4:])
        self._random = random
        self._sealer = sealer
        self._words: dict[str, int] = {}  # whose numbers are known to be committed
        self._kinds: dict[tuple[str, str, str, str, int], _Kind] = {}  # of such words alone
        self._fresh: dict[str, int] = {}  # of the open transaction
        self._known: dict[int, Frontier] = {}  # trees that are known to be what the hub signed
        self._filled = self._filling = self._newest = -TAIL  # in `seq`; unknown as yet, so looked up
        self._committer: GroupCommit[tuple[AccessEvent, ...]] = GroupCommit(
            partial(self._connect, clock),
            path.with_suffix(".lock"),
            path.stem,
            run=self._run,
            before_commit=self._fill,
            after_commit=self._committed,
            fault=lambda error: unavailable(hub_fault(error)),
            checkpoint_pages=LOG_PAGES,
            cancellable=False,
            weighed=True,
        )
        self.append = self._committer.put
        self.close = self._committer.close
        self.figures = self._committer.figures

    def _connect(self, clock: Clock) -> apsw.Connection:
        """Open the file. It need not be the one that was open before: what was known of that is forgotten."""
        self._words, self._kinds = {}, {}
        self._filled = self._filling = self._newest = -TAIL
        return open_migrated(self._path, Kind.AUDIT, clock.now())

    def _run(self, db: apsw.Connection, jobs: Sequence[tuple[AccessEvent, ...]]) -> Sequence[object]:
        if len(jobs) == 1:
            return [self._record(db, jobs[0])]
        results = iter(self._record(db, [event for job in jobs for event in job]))
        return [list(islice(results, len(job))) for job in jobs]

    def _record(self, db: apsw.Connection, events: Sequence[AccessEvent]) -> Sequence[Recorded]:
        """Insert a group at once; only if an event fails, again from the start, each in a savepoint."""
        self._fresh = {}
        try:
            return self._insert(db, events)
        except FATAL:
            raise
        except Exception:
            if not db.in_transaction:
                raise
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            self._fresh = {}
            results = run_each(db, [partial(self._insert, events=[event]) for event in events])
            return [
                unavailable(one.error) if isinstance(one, Failed) else one[0]  # type: ignore[index]  # what _insert gave
                for one in results
            ]

    def _insert(self, db: apsw.Connection, events: Sequence[AccessEvent]) -> list[Sealed | None]:
        fresh: dict[str, int] = {}
        results: list[Sealed | None] = [None] * len(events)
        rows: list[tuple[int, _Row]] = []
        scopes = _by_scope(db, events)
        for scope, places in scopes.items():
            agr = self._word(db, scope, fresh)
            head = read_head(db, agr)
            leaves = self._in_order(scope, head, [(events[place], place, place) for place in places])
            head = head or Head()
            own = [event for event, *_ in leaves]
            made, hashes = self._rows(db, agr, head.tree.size, own, fresh)
            newest = max([event.at for event in own])
            grown, group = grow(db, agr, scope, self._year, head, hashes, newest, self._sealer)
            if self._sealer is not None:
                self._checkpoint(db, agr, head.tree, grown, self._sealer)
            if group is not None:
                made[0] = (*made[0][:-1], seal_of(group))
                for at, (_, place, _) in enumerate(leaves):
                    if place >= 0:
                        results[place] = Sealed(group, at)
            rows += zip([turn for _, _, turn in leaves], made, strict=True)
        if len(scopes) > 1:
            rows.sort(key=itemgetter(0))
        _insert_rows(db, [row for _, row in rows])
        self._newest = max(self._newest, db.last_insert_rowid()) if rows else self._newest
        self._fresh |= fresh
        if self._sealer is not None and sum(map(len, scopes.values())) < len(events):
            new = {place for places in scopes.values() for place in places}
            for place in set(range(len(events))) - new:
                results[place] = _sealed_again(db, events[place], self._sealer.sign)
        return results

    def _checkpoint(
        self, db: apsw.Connection, agr: int, before: Frontier, grown: Head, sealer: Sealer
    ) -> None:
        """Keep a checkpoint every CHECKPOINT_EVERY events, if the log before it is what the hub signed.

        What this process has written itself since it last looked needs no other look.
        """
        tree, known = grown.tree, self._known.pop(agr, Frontier()) == before
        if tree.size // CHECKPOINT_EVERY > before.size // CHECKPOINT_EVERY:
            known = known or is_vouched(db, agr, grown.origin, before, sealer)
            if known:
                keep_checkpoint(db, agr, sealer.checkpoint(grown.origin, tree), tree.size)
        if known:
            self._known[agr] = tree

    def _in_order(self, scope: str, head: Head | None, leaves: list[_Leaf]) -> list[_Leaf]:
        """Return what to append, with what the log says by itself."""
        first = self._continued(scope, leaves[0][0].at) if head is None else []
        newest = head.newest if head is not None else 0
        late: list[_Leaf] = []
        timely: list[_Leaf] = []
        for leaf in leaves:
            newest = max(newest, leaf[0].at)
            (late if leaf[0].at < newest - LATE else timely).append(leaf)
        if not late:
            return [*first, *leaves]
        after = leaves[-1][2] + 1
        said = (self._own(scope, newest, LOG_LATE, n=len(late)), -1, after)
        return [*first, *timely, said, *((event, place, after + place) for event, place, _ in late)]

    def _continued(self, scope: str, at: Micros) -> list[_Leaf]:
        """Return the first leaf of a log that continues one of an earlier year."""
        if self._sealer is None:
            return []
        for year, path in reversed(audit_files(self._path.parent)):
            found = last_checkpoint(path, scope, self._sealer) if year < self._year else None
            if found is not None:
                return [(self._own(scope, at, CONTINUED, n=found[0], why=found[1]), -1, -1)]
        return []

    def _own(self, scope: str, at: int, act: str, *, n: int, why: str = "") -> AccessEvent:
        req = self._random(SALT_BYTES).hex()
        return AccessEvent(req=req, at=Micros(at), act=act, agr=scope, cred=LOG, st=200, n=n, why=why)

    def _rows(
        self,
        db: apsw.Connection,
        agr: int,
        first: int,
        events: Sequence[AccessEvent],
        fresh: dict[str, int],
    ) -> tuple[list[_Row], list[bytes]]:
        """Return the rows of a log's new events, from index `first` on, and their leaf hashes."""
        salts = _SALTS.iter_unpack(self._random(_SALTS.size * len(events)))
        rows, hashes, kinds = list[_Row](), list[bytes](), self._kinds
        for index, (event, both) in enumerate(zip(events, salts, strict=True), first):
            leaf = to_leaf(event, both)
            digest = leaf_hash(leaf)
            hashes.append(digest)
            kind = kinds.get((event.who, event.cred, event.col, event.act, event.st))
            numbers = kind or self._kind(db, event, fresh)
            kept = (both[0], clean(event.q), both[1], clean(event.ip))
            rows.append((agr, index, event.at, *numbers, req_key(event.req), leaf, digest, *kept, None))
        return rows, hashes

    def _kind(self, db: apsw.Connection, event: AccessEvent, fresh: dict[str, int]) -> _Kind:
        """Return the columns that only say who did what with which outcome: events share them."""
        words = (event.who, event.cred, event.col, event.act)
        numbers = [self._word(db, word, fresh) for word in words]
        kind = (*numbers, OUTCOMES[event.outcome], int(event.has_effect))
        if all(word in self._words for word in words):
            if len(self._kinds) > _MAX_WORDS:
                self._kinds.clear()
            self._kinds[(*words, event.st)] = kind
        return kind

    def _word(self, db: apsw.Connection, text: str, fresh: dict[str, int]) -> int:
        number = self._words.get(text) or self._fresh.get(text) or fresh.get(text)
        if number is None:
            kept = clean(text)
            db.execute("INSERT INTO word(text) VALUES (?) ON CONFLICT DO NOTHING", (kept,))
            number = fresh[text] = word_number(db, kept) or 0
        return number

    def _fill(self, db: apsw.Connection) -> None:
        """Fill the table that is searched if it lacks TAIL events; another process may have done so."""
        self._filling = self._filled
        if self._newest - self._filled < TAIL:
            return
        self._filling = int(db.execute("SELECT seq FROM filled").get)
        if self._newest - self._filling < TAIL:
            return
        db.execute(
            "INSERT INTO search SELECT at, seq, agr, who, cred, col, act, outcome FROM event"
            " WHERE seq > ? ORDER BY at, seq",
            (self._filling,),
        )
        db.execute("UPDATE filled SET seq = (SELECT max(seq) FROM event)")
        self._filling = self._newest

    def _committed(self) -> None:
        """Remember what is durable; what was rolled back must not be."""
        self._filled = self._filling
        if self._fresh:
            if len(self._words) > _MAX_WORDS:
                self._words, self._kinds = {}, {}
            self._words.update(self._fresh)


def _sealed_again(db: apsw.Connection, event: AccessEvent, sign: Sign) -> Sealed | None:
    """Return where an event lies that another process has recorded, as a group of its own.

    When a worker dies the next one records whatever is pending, also what its neighbours are about to answer.
    Only the very leaf that would be recorded here is signed: else who can write the file, but has no key,
    could put in another one for a request of his own, and would be given the hub's signature for it.
    """
    row = db.execute(_RECORDED, (req_key(event.req),)).fetchone()
    if row is None:
        return None
    origin, index, leaf, digest, *salts = row
    if None in salts or to_leaf(event, Salts(*salts)) != leaf or leaf_hash(leaf) != digest:
        return None
    return Sealed(Group(origin, index, [digest], sign), 0)


def _has_effect(db: apsw.Connection, req: bytes) -> bool:
    """True if an event with an effect has this request already."""
    return db.execute("SELECT 1 FROM event WHERE req = ? AND effect = 1", (req,)).fetchone() is not None


def _by_scope(db: apsw.Connection, events: Sequence[AccessEvent]) -> dict[str, list[int]]:
    """Return the places of the events that are to be recorded, by agreement, in order."""
    again: set[bytes] = set()
    found: dict[str, list[int]] = {}
    for place, event in enumerate(events):
        if event.has_effect:
            req = req_key(event.req)
            if req in again or _has_effect(db, req):
                continue
            again.add(req)
        scope = event.agr
        found.setdefault(scope if scope.isascii() else clean(scope), []).append(place)
    return found


def _insert_rows(db: apsw.Connection, rows: Sequence[_Row]) -> None:
    """Insert rows by statements of 64, 32, ... 1 rows: few statements a group, few texts to keep prepared."""
    at, together = 0, _TOGETHER
    while at < len(rows):
        while together > len(rows) - at:
            together //= 2
        values = tuple(chain.from_iterable(rows[at : at + together]))
        db.execute(_INSERT + ", ".join([_ROW] * together), values)
        at += together


def unavailable(error: BaseException) -> Unavailable:
    """Return what a caller is told of a fault of the log."""
    if isinstance(error, Unavailable):
        return error
    return Unavailable(
        "The access log cannot be written",
        why=str(error),
        todo="Run lightship fsck; nothing is answered without its record",
    )


def req_key(req: str) -> bytes:
    """Return what stands in column `req`: 16 bytes of a UUID in hex, else the text."""
    try:
        raw = bytes.fromhex(req)
    except ValueError:
        return clean(req).encode()
    return raw if len(raw) == 16 and raw.hex() == req else req.encode()
