"""Objects on their way into a signed statement: read strictly, named by id and version, cut into statements.

What is signed is the digest of an object's canonical bytes (RFC 8785), and these bytes are what is sent. An
object must come as it shall be: nothing is repaired here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from lightship.core.collection import STATEMENT_BYTES, STATEMENT_ENTRIES
from lightship.core.errors import MalformedRequest
from lightship.core.ids import is_stix_id
from lightship.core.log.statement import Add, Withdrawal
from lightship.core.stix.json import canonical, decode
from lightship.core.stix.objects import declares
from lightship.core.stix.references import SCO
from lightship.core.time import parse_instant

ROOM = STATEMENT_BYTES - 600
"""Bytes of a payload that entries can have: the rest of it is shorter than this."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An object, its canonical bytes, and the entry that adds it."""

    add: Add
    body: bytes


def draft_of(text: bytes) -> Draft:
    """Return the draft of one object's JSON text.

    Raises:
        MalformedRequest: it is not strict JSON, or has no id or no usable version.
    """
    value = decode(text)
    object_id = value.get("id") if isinstance(value, dict) else None
    if not isinstance(object_id, str) or not is_stix_id(object_id):
        raise MalformedRequest("An object cannot be signed", why="it has no STIX id")
    version = version_of(value)
    try:
        if version:
            parse_instant(version)
    except (ValueError, TypeError):
        raise MalformedRequest(
            "An object cannot be signed", why=f"the version of {object_id} is no UTC timestamp"
        ) from None
    body = canonical(value)
    return Draft(Add(object_id, version, hashlib.sha256(body).hexdigest()), body)


def version_of(value: dict[str, Any]) -> Any:
    """Return an object's version as written: `modified`, else `created`, empty for observables."""
    stix_type = value.get("type")
    if (isinstance(stix_type, str) and stix_type in SCO) or declares(value, "new-sco"):
        return ""
    if stix_type != "marking-definition" and "modified" in value:
        return value["modified"]
    return value.get("created", "")


def statements(
    drafts: Iterable[Draft], withdraw: Sequence[Withdrawal] = ()
) -> Iterator[tuple[list[Draft], list[Withdrawal]]]:
    """Cut drafts and withdrawals into what one statement each can hold, in order.

    Withdrawals come first; where everything fits one statement it is one, and so a replacement at once. What
    comes twice, a withdrawal or the same bytes of an object version, is taken once.

    Raises:
        MalformedRequest: an object version comes twice with different bytes, or is withdrawn and added too.
    """
    seen: dict[tuple[str, str], str] = {}
    leaving: dict[tuple[str, str], Withdrawal] = {}
    for one in withdraw:
        leaving.setdefault((one.id, one.instant), one)
    adds: list[Draft] = []
    gone: list[Withdrawal] = []
    used = 0

    def full(size: int) -> bool:
        return len(adds) + len(gone) >= STATEMENT_ENTRIES or used + size > ROOM

    for one in leaving.values():
        size = len(orjson.dumps((one.id, one.version, one.reason.value))) + 1
        if full(size):
            yield adds, gone
            adds, gone, used = [], [], 0
        gone.append(one)
        used += size
    for draft in drafts:
        if (draft.add.id, draft.add.instant) in leaving:
            raise MalformedRequest(
                "A version cannot be withdrawn and added at once", why=f"{draft.add.id} {draft.add.version}"
            )
        known = seen.setdefault((draft.add.id, draft.add.instant), draft.add.digest)
        if known != draft.add.digest:
            raise MalformedRequest(
                "An object comes twice", why=f"{draft.add.id} {draft.add.version} has two different contents"
            )
        if any(one.add.id == draft.add.id and one.add.instant == draft.add.instant for one in adds):
            continue
        size = len(orjson.dumps((draft.add.id, draft.add.version, draft.add.digest))) + 1
        if full(size):
            yield adds, gone
            adds, gone, used = [], [], 0
        adds.append(draft)
        used += size
    if adds or gone:
        yield adds, gone
