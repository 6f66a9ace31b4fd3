"""fsck of suspensions: each follows from the one before, its party signed, every log names it. Read-only.

The agreement's chain and its suspensions are verified again as they are when the hub starts; signatures where
the hub's key is given, since with it comes the way to verify.
"""

from __future__ import annotations

import apsw

from lightship.core.agreement.load import replay, replay_suspensions
from lightship.core.collection import pack
from lightship.core.errors import Damaged
from lightship.core.ports import SignedSuspension
from lightship.storage import statements
from lightship.storage.fsck_log import HubKey
from lightship.storage.fsck_scratch import Scratch
from lightship.storage.fsck_statements import Head
from lightship.storage.running import running
from lightship.storage.sqlite.connection import select
from lightship.storage.sqlite.registry import read_chain
from lightship.storage.sqlite.suspensions import read_suspensions

_LOGGED = """
SELECT body FROM statement
WHERE key >= ?1 AND key < ?2 AND by = '' AND CAST(substr(body, 1, 11) AS TEXT) = '{"suspend":' ORDER BY key"""
_MADE = """
SELECT version, activated FROM agreement
WHERE id = ?3 AND version = (
  SELECT agreement FROM statement WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT 1
)"""


def check_suspensions(db: apsw.Connection, heads: list[Head], scratch: Scratch, key: HubKey | None) -> None:
    """Check the suspensions of every agreement."""
    names = {head.agreement for head in heads}
    names |= {row[0] for row in select(db, "SELECT DISTINCT agreement FROM suspension")}
    for agreement in sorted(names):
        held = read_suspensions(db, agreement)
        if held:
            _check_chain(db, agreement, held, scratch, key)
        for head in heads:
            if head.agreement == agreement:
                _check_log(db, head, held, scratch)


def _check_chain(
    db: apsw.Connection,
    agreement: str,
    held: tuple[SignedSuspension, ...],
    scratch: Scratch,
    key: HubKey | None,
) -> None:
    verify = key.verify if key is not None else _unverified
    where = f"suspensions of {agreement}"
    try:
        chain = replay(agreement, [(one.envelope, one.payload) for one in read_chain(db, agreement)], verify)
        stored = [(one.envelope, one.version, one.applied) for one in held]
        taken = replay_suspensions(chain, stored, verify)
    except Damaged as error:
        scratch.find(where, error.why or error.title)
        return
    if (taken.number, taken.digest) != (held[-1].number, held[-1].digest):
        scratch.find(where, "numbers or digests are not those of the envelopes")


def _check_log(db: apsw.Connection, head: Head, held: tuple[SignedSuspension, ...], scratch: Scratch) -> None:
    """A log has them all, but for those that were over before its collection was made."""
    logged = [row[0] for row in select(db, _LOGGED, (pack(head.number, 0), pack(head.number + 1, 0)))]
    bodies = [statements.suspension(one.envelope).body for one in held]
    if logged != bodies[len(bodies) - len(logged) :] or len(logged) > len(bodies):
        scratch.find(
            f"collection {head.number} ({head.id})", "its log names other suspensions than are stored"
        )
    elif len(logged) < _due(db, head, held):
        scratch.find(
            f"collection {head.number} ({head.id})",
            "its log does not begin with what was suspended when the collection was made",
        )


def _due(db: apsw.Connection, head: Head, held: tuple[SignedSuspension, ...]) -> int:
    """Return how many suspensions a log has at least: those since it began, and what was in effect then."""
    made = select(db, _MADE, (pack(head.number, 0), pack(head.number + 1, 0), head.agreement))
    if not made:
        return 0  # said where statements are checked
    version, at = made[0]
    before = [one for one in held if one.version < version]
    try:
        return len(held) - len(before) + len(running(before, at))
    except Damaged:
        return 0  # said where the chain is checked


def _unverified(public: bytes, signature: bytes, message: bytes) -> bool:
    return True
