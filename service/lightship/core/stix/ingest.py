"""From a request body to candidates: read the envelope, check each object, say what is wrong with others.

TAXII 2.1 section 3.7 (envelope), STIX 2.1 section 8 (bundle). Pure: no store, no clock; what the store must
decide (conflicts, owners, quotas) and what the rules decide (authors, levels) comes later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from lightship.core.collection import Candidate, CollectionSettings
from lightship.core.errors import Unprocessable
from lightship.core.ids import UNKNOWN_ID, is_stix_id
from lightship.core.stix.json import Decoded, Fault, decode_listing
from lightship.core.stix.lints import warnings_for
from lightship.core.stix.markings import level_and_cites
from lightship.core.stix.objects import Checker, Rejected
from lightship.core.time import NO_INSTANT, Instant, Micros, parse_instant

MAX_MESSAGE = 600


class Item(NamedTuple):
    """One item of an envelope, at `position` (from 0): a decoded value with its JCS bytes, or a fault."""

    position: int
    content: Decoded | Fault


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one item is not taken: the failure that the status resource names.

    `id` is the object's id, or `ids.UNKNOWN_ID` where it has no usable one (the message then begins "object
    at position N"); `version_text` is its `modified` or `created` where that is a timestamp, else empty;
    `rule` is a stable slug; `message` says what is wrong, where, and what to do.
    """

    position: int
    id: str
    version_text: str
    rule: str
    message: str


class Ingest:
    """Reads and checks what publishers send.

    Args:
        schemas: `lightship.data.stix_schemas()`.
        extensions: `lightship.data.extension_schemas()`.
    """

    def __init__(self, schemas: Mapping[str, bytes], extensions: Mapping[str, bytes]) -> None:
        self._checker = Checker(schemas, extensions)

    def read_envelope(self, body: bytes) -> list[Item]:
        """Return the items of a TAXII envelope or a STIX bundle, in order.

        Raises:
            MalformedRequest: the body is not strict JSON in UTF-8; says where.
            Unprocessable: it is JSON, but no envelope with at least one object.
        """
        listing = decode_listing(body, "objects")
        todo = 'Send {"objects": [...]} with at least one STIX object, or a STIX bundle'
        if not listing.is_object:
            raise Unprocessable("The body is no envelope", why="it is not a JSON object", todo=todo)
        if not listing.is_array:
            raise Unprocessable("The body is no envelope", why='its member "objects" is no array', todo=todo)
        if not listing.items:
            why = (
                'its member "objects" is empty' if listing.items is not None else 'it has no member "objects"'
            )
            raise Unprocessable("The envelope holds nothing to add", why=why, todo=todo)
        return [Item(position, content) for position, content in enumerate(listing.items)]

    def check(
        self, items: Sequence[Item], settings: CollectionSettings, now: Micros
    ) -> tuple[list[Candidate], list[Refusal]]:
        """Return what may go on to the rules and the store, and why the other items may not.

        Args:
            items: from `read_envelope`.
            settings: of the collection that they are meant for.
            now: the request's time in microseconds, for `max_future_s`.
        """
        candidates: list[Candidate] = []
        refusals: list[Refusal] = []
        for item in items:
            content = item.content
            if isinstance(content, Fault):
                message = f"{content.what} ({content.place}). {content.todo}"
                refusals.append(_refusal(item.position, content.value, "invalid-json", message))
                continue
            try:
                candidates.append(self._candidate(item.position, content, settings, now))
            except Rejected as rejected:
                refusals.append(_refusal(item.position, content.value, rejected.rule, rejected.message))
        return candidates, refusals

    def _candidate(
        self, position: int, content: Decoded, settings: CollectionSettings, now: Micros
    ) -> Candidate:
        value, canonical = content.value, content.canonical
        facts = self._checker.check(value, canonical, settings, now)
        level, cites = level_and_cites(value)
        stix_type = value["type"]
        return Candidate(  # by position: the names would cost as much as the digest
            position,
            value["id"],
            stix_type,
            facts.spec_version,
            facts.version,
            facts.version_text,
            sha256(canonical).digest(),
            canonical,
            value.get("created_by_ref"),
            level,
            facts.owned,
            cites,
            warnings_for(value, stix_type),
            None if facts.violation is None else (facts.violation[0], _short(facts.violation[1])),
        )


def _refusal(position: int, value: Any, rule: str, message: str) -> Refusal:
    stix_id = value.get("id") if isinstance(value, dict) else None
    if not isinstance(stix_id, str) or not is_stix_id(stix_id):
        stix_id = UNKNOWN_ID
        message = f"object at position {position}: {message}"
    return Refusal(position, stix_id, _version_text(value), rule, _short(message))


def _short(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"


def _version_text(value: Any) -> str:
    if isinstance(value, dict):
        for name in ("modified", "created"):
            text = value.get(name)
            if isinstance(text, str) and _instant(text) is not NO_INSTANT:
                return text
    return ""


def _instant(text: str) -> Instant:
    try:
        return parse_instant(text)
    except ValueError:
        return NO_INSTANT
