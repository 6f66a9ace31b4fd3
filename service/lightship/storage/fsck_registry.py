"""fsck of what is neither object nor statement: agreement chains, statuses, credentials, pending events.

Checks that chains link by digest; signatures are the verifier's business. Read-only.
"""

from __future__ import annotations

from base64 import b64decode
from hashlib import sha256
from typing import Any, get_args

import apsw
import orjson

from lightship.core.access import Profile
from lightship.core.audit import AccessEvent
from lightship.core.collection import KEY_SHIFT
from lightship.core.ids import is_slug
from lightship.core.time import MAX_MICROS
from lightship.storage.event_leaf import Salts, to_leaf
from lightship.storage.fsck_scratch import Scratch
from lightship.storage.fsck_statements import Head
from lightship.storage.sqlite.connection import select
from lightship.storage.sqlite.rows import decode_event


def check_chains(db: apsw.Connection, scratch: Scratch) -> dict[tuple[str, int], str]:
    """Check every agreement's chain; return (agreement, version) -> digest of its payload."""
    digests: dict[tuple[str, int], str] = {}
    if db.execute("SELECT count(*) FROM hub").get != 1:
        scratch.find("hub.db", "the row that counts changes of the rules is not there")
    for row in db.execute(
        "SELECT id, version, payload, envelope, digest, rules FROM agreement ORDER BY id, version"
    ):
        agreement, version, payload, envelope, digest, rules = row
        where = f"agreement {agreement}, version {version}"
        digests[agreement, version] = found = sha256(payload).hexdigest()
        if found != digest:
            scratch.find(where, "the payload is not what its digest says")
        if version > 1 and (agreement, version - 1) not in digests:
            scratch.find(where, f"version {version - 1} is missing")
        try:
            value = orjson.loads(payload)
            if value["version"] != version:
                scratch.find(where, f"its payload says that it is version {value['version']}")
            if value.get("prev", "") != digests.get((agreement, version - 1), ""):
                scratch.find(where, "it does not name the payload of the version before")
            if value.get("rules", "") != (sha256(rules).hexdigest() if rules else ""):
                scratch.find(where, "its own rules are not those whose digest it names")
            if b64decode(orjson.loads(envelope)["payload"]) != payload:
                scratch.find(where, "its envelope holds another payload")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            scratch.find(where, f"it cannot be read: {error!r}")
    return digests


def check_heads(
    db: apsw.Connection, heads: list[Head], digests: dict[tuple[str, int], str], scratch: Scratch
) -> None:
    """Check that collections belong to agreements that are kept, and that no row lies outside them."""
    numbers = {head.number for head in heads}
    for head in heads:
        where = f"collection {head.number} ({head.id})"
        if (head.agreement, head.agreement_version) not in digests:
            scratch.find(where, f"version {head.agreement_version} of {head.agreement} is not kept")
        if head.hub != digests.get((head.agreement, 1)):
            scratch.find(where, f"it does not name version 1 of {head.agreement}")
    for table in ("object", "statement"):
        for number in _numbers(db, table) - numbers:
            scratch.find(f"collection {number}", f"there are rows of it in `{table}`, but it is not kept")


def _numbers(db: apsw.Connection, table: str) -> set[int]:
    """Return the collections that rows of a table lie in, hopping from one to the next."""
    found, low = set(), -(1 << 63)
    while row := db.execute(f"SELECT min(key) FROM {table} WHERE key >= ?", (low,)).fetchone():  # noqa: S608  (one of two fixed names)
        if row[0] is None or (number := int(row[0]) >> KEY_SHIFT) in found:
            break
        found.add(number)
        low = (number << KEY_SHIFT | MAX_MICROS) + 1
        if low >= 1 << 63:
            break
    return found


def check_statuses(db: apsw.Connection, scratch: Scratch) -> None:
    """Check that every status resource is JSON with its own id."""
    for status_id, body in db.execute("SELECT id, body FROM status ORDER BY number"):
        try:
            right = orjson.loads(body)["id"] == status_id
        except (ValueError, KeyError, TypeError):
            right = False
        if not right:
            scratch.find(f"status {status_id}", "it cannot be read or has another id")


def check_credentials(db: apsw.Connection, digests: dict[tuple[str, int], str], scratch: Scratch) -> None:
    """Check that every credential is one of an agreement that is kept, and can be read."""
    sql = "SELECT name, agreement, digest, allowed, profile FROM credential ORDER BY name"
    for name, agreement, digest, allowed, profile in select(db, sql):
        where = f"credential {name}"
        if len(digest) != 32:
            scratch.find(where, "its digest has not 32 bytes")
        if not _is_list_of_text(allowed):
            scratch.find(where, "its allowed networks cannot be read")
        if (agreement, 1) not in digests or profile not in get_args(Profile):
            scratch.find(where, f"it is of the agreement {agreement!r}, which is not kept, or cannot be read")
        if not is_slug(name):
            scratch.find(where, "its name is none")


def _is_list_of_text(text: str) -> bool:
    try:
        value: Any = orjson.loads(text)
    except ValueError:
        return False
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def check_pending(db: apsw.Connection, scratch: Scratch) -> dict[str, AccessEvent]:
    """Check that every pending event can be read; return them by request."""
    found = {}
    for req, body in db.execute("SELECT req, body FROM pending_event"):
        try:
            event = decode_event(body)
            to_leaf(event, Salts(b"", b""))
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            scratch.find(f"pending event {req}", f"it cannot be read: {error}")
            continue
        if event.req != req:
            scratch.find(f"pending event {req}", f"it is of another request, {event.req}")
        found[req] = event
    return found
