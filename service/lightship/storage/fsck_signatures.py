"""fsck of what members signed: rosters by the admin key that the agreement names, statements by keys on them.

Read-only. Which roster was in force at a place is for consumers to check; here it is whether what is stored
is still what was signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import apsw
import orjson

from lightship.core.agreement.chain import Verify, read_key_text
from lightship.core.collection import KEY_SHIFT, pack
from lightship.core.errors import LightshipError
from lightship.core.log import roster, statement
from lightship.storage.fsck_scratch import Scratch
from lightship.storage.leaves import envelope_of
from lightship.storage.sqlite.rosters import read_rosters

_SIGNED = """
SELECT key, by, body, signatures FROM statement
WHERE key >= ? AND key < ? AND signatures <> x'' ORDER BY key"""
_PAYLOAD = "SELECT payload FROM agreement WHERE id = ? AND version = ?"

Keys = dict[tuple[str, str], bytes]
"""(member, key id) -> raw key, of every roster that an agreement's members ever had."""


def with_rosters(db: apsw.Connection) -> set[str]:
    """Return the agreements that a roster is kept of."""
    return {str(row[0]) for row in db.execute("SELECT DISTINCT agreement FROM roster")}


def check_rosters(db: apsw.Connection, agreement: str, scratch: Scratch, verify: Verify) -> Keys:
    """Check the rosters of an agreement; return the keys of those that hold."""
    keys: Keys = {}
    for one in read_rosters(db, agreement):
        where = f"roster {one.version} of {one.member} in {agreement}"
        try:
            opened, found = roster.read(one.envelope)
            named = _named(db, agreement, one.agreement_version, one.member)
            public = read_key_text(one.admin_key)
        except (LightshipError, ValueError, KeyError, TypeError, IndexError) as error:
            scratch.find(where, f"it cannot be read: {error}")
            continue
        if (found.member, found.version, hashlib.sha256(opened.payload).hexdigest()) != (
            one.member,
            one.version,
            one.digest,
        ):
            scratch.find(where, "it is not the one that is stored under this name")
        elif named != one.admin_key or public is None:
            scratch.find(where, f"version {one.agreement_version} of the agreement names another admin key")
        elif not any(verify(public, held.sig, opened.signed_bytes) for held in opened.signatures):
            scratch.find(where, "the admin key did not sign it")
        else:
            keys |= {(one.member, keyid): key.public for keyid, key in found.keys.items()}
    return keys


def check_signatures(db: apsw.Connection, number: int, keys: Keys, scratch: Scratch, verify: Verify) -> None:
    """Check the signature of every signed statement of a collection."""
    for where, why in _broken(db, number, keys, verify):
        scratch.find(f"collection {number}, statement {where}", why)


def _broken(db: apsw.Connection, number: int, keys: Keys, verify: Verify) -> Iterator[tuple[int, str]]:
    for key, by, body, signatures in db.execute(_SIGNED, (pack(number, 0), (number + 1) << KEY_SHIFT)):
        index = key - pack(number, 0)
        try:
            envelope, found = envelope_of(body, signatures), statement.read_payload(body)
        except (LightshipError, ValueError, KeyError, TypeError) as error:
            yield index, f"it cannot be read: {error}"
            continue
        public = keys.get((by, found.key))
        if public is None:
            yield index, f"no roster of {by} that holds lists its key {found.key}"
        elif not any(verify(public, one.sig, envelope.signed_bytes) for one in envelope.signatures):
            yield index, "no signature of it is one by its key"


def _named(db: apsw.Connection, agreement: str, version: int, member: str) -> str:
    payload: bytes = db.execute(_PAYLOAD, (agreement, version)).get
    return str(orjson.loads(payload)["members"][member].get("admin_key", ""))
