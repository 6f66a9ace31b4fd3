"""What a publish key put into a collection, and taking it out again once the key is not trusted any more.

A key's statements are found from its last one back, each naming the one before it, so that nothing else of
the log is read. A version belongs to the statement whose stamp it has: the add that made it live. Who
attested it later, or withdrew and added it again, gave it another stamp, or none.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apsw

from lightship.core import stamps
from lightship.core.collection import WithdrawReason, pack
from lightship.core.errors import Damaged
from lightship.core.log import statement
from lightship.core.log.record import BadRecord
from lightship.core.log.roster import BadRoster, Revoked
from lightship.core.ports import KeyTrace
from lightship.core.time import Micros
from lightship.storage.sqlite.connection import select
from lightship.storage.sqlite.removal import Removal, lost_definitions
from lightship.storage.sqlite.transaction import Head, Transaction, Version

MOST = 50_000
"""Versions that leave in one transaction at most: nobody can publish for the seconds that it takes."""

_LAST = "SELECT digest FROM publish_key WHERE collection = ? AND key = ?"
_STATEMENT = """
SELECT g.idx, s.at, s.body FROM signed_statement AS g
JOIN statement AS s ON s.key = (g.collection << 52) | g.idx WHERE g.collection = ? AND g.digest = ?"""
_LIVE = "SELECT o.key, o.id FROM carray(?) AS c CROSS JOIN object AS o ON o.key = c.value ORDER BY o.key"
_LOGS = """
SELECT c.number, c.id, h.origin, c.size FROM collection AS c
LEFT JOIN log_head AS h ON h.collection = c.number WHERE c.agreement = ? ORDER BY c.number"""


class Placed(NamedTuple):
    """What one statement, leaf `idx`, put in and is live: (storage key, object id) in order of the stamps."""

    idx: int
    at: Micros
    live: list[tuple[int, str]]


class Log(NamedTuple):
    """One log of an agreement; `origin` is empty before anything in it was signed."""

    number: int
    collection: str
    origin: str
    size: int


def logs_of(db: apsw.Connection, agreement: str) -> list[Log]:
    """Return the logs of all collections that an agreement ever had."""
    return [
        Log(number, uuid, origin or "", size)
        for number, uuid, origin, size in select(db, _LOGS, (agreement,))
    ]


def trace(db: apsw.Connection, agreement: str, key: str) -> list[KeyTrace]:
    """Return what a key has logged, collection by collection."""
    return [
        KeyTrace(
            one.collection,
            one.origin,
            one.size,
            tuple((it.idx, it.at, len(it.live)) for it in reversed(list(placed_by(db, one.number, key)))),
        )
        for one in logs_of(db, agreement)
    ]


def placed_by(db: apsw.Connection, number: int, key: str, since: int = 0) -> Iterator[Placed]:
    """Yield what the statements of a key put into a collection, newest first, back to the leaf `since`.

    Raises:
        Damaged: a statement of the key's chain is not there.
    """
    rows = select(db, _LAST, (number, key))
    digest = rows[0][0] if rows else ""
    while digest:
        found = select(db, _STATEMENT, (number, digest))
        if not found:
            raise _lost(number, key, f"statement {digest} is not stored")
        index, at, body = found[0]
        if index < since:
            return
        try:
            one = statement.read_payload(body)
        except BadRecord as error:
            raise _lost(number, key, str(error)) from None
        adds = stamps.entry_stamps(at, one.size)[len(one.withdraw) :]
        keys = array("q", (pack(number, stamp) for stamp in adds))
        yield Placed(index, at, select(db, _LIVE, (apsw.carray(keys),)) if keys else [])
        digest = one.prev


def distrusted(
    txn: Transaction, agreement: str, heads: Sequence[Head], distrust: Mapping[str, Revoked]
) -> dict[int, Removal]:
    """Return what has to leave, by number of the collection; nothing is changed.

    Args:
        agreement, heads: whose logs, and all its collections in the working set.
        distrust: key id -> its revocation.

    Raises:
        BadRoster: it names what is not there, is too much for one transaction, or takes a definition that
            what stays cites.
        Damaged: what the key had logged cannot be told.
    """
    if not distrust:
        return {}
    logs = logs_of(txn.db, agreement)
    sizes = {one.origin or one.collection: one.size for one in logs}
    for why in distrust.values():
        why.check(sizes)
    wanted: dict[int, list[tuple[int, str]]] = {}
    for one in logs:
        for key, why in distrust.items():
            since = why.first_in(one.origin)
            if since is not None:
                for placed in placed_by(txn.db, one.number, key, since):
                    wanted.setdefault(one.number, []).extend(placed.live)
    _not_too_much(wanted)
    removals = {
        head.number: Removal(head, _versions(txn, head, wanted[head.number]), [], WithdrawReason.DISTRUSTED)
        for head in heads
        if wanted.get(head.number)
    }
    if lost := lost_definitions(txn, agreement, list(removals.values())):
        raise BadRoster(
            "The roster is refused",
            why=f"what stays is marked with definitions that the key added: {', '.join(sorted(lost)[:5])}",
            todo="Revoke the key without `distrust_from` now; withdraw what cites them, then distrust the key"
            " by the next roster",
        )
    return removals


def _not_too_much(wanted: Mapping[int, list[Any]]) -> None:
    total = sum(len(live) for live in wanted.values())
    if total > MOST:
        raise BadRoster(
            "The roster distrusts too much at once",
            why=f"{total} versions would leave in one transaction, {MOST} can",
            todo="Distrust the key from a later entry on first, then further back by the next roster:"
            " `lightship roster trace` lists the entries",
        )


def _versions(txn: Transaction, head: Head, live: list[tuple[int, str]]) -> list[tuple[str, Version]]:
    """Return what the working set knows of these, in order of their stamps."""
    txn.load((head.number, object_id) for _, object_id in live)
    found = []
    for key, object_id in sorted(live):
        found += [(object_id, one) for one in txn.versions(head.number, object_id) if one.key == key]
    return found


def _lost(number: int, key: str, why: str) -> Damaged:
    return Damaged(
        "What a publish key had logged cannot be told",
        why=f"collection {number}, key {key}: {why}",
        todo="Run `lightship fsck`, then restore a backup",
    )
