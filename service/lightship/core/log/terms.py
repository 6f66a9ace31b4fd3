"""What a version of an agreement says about one collection's log: members, keys, publishers, limits.

Taken from a verified link of the agreement's chain only. Fills in the defaults that the hub fills in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightship.core.agreement.chain import HUB_PARTY, Link, Root, read_key_text
from lightship.core.agreement.consistency import resolve
from lightship.core.errors import CallerError
from lightship.core.log import notes
from lightship.core.log.findings import Failure, LogRefused
from lightship.core.log.notes import NoteKey


@dataclass(frozen=True, slots=True)
class Terms:
    """One version of an agreement, as far as one collection's log is concerned.

    Args:
        version, digest: of the agreement.
        present: whether the collection is in this version.
        members: names of all.  root: who signs for the agreement.
        publishers: who may publish.  admin_keys: member -> raw key of its rosters.
        ordered: ids of objects that this version orders withdrawn.
        require_signature: whether only signed statements are taken.
        max_age_s: how old the newest entry may be before a verifier warns, None for any age.
        quorum: cosignatures that a checkpoint needs.
        log_keys: who signs the log's checkpoints.
    """

    version: int
    digest: str
    present: bool
    members: frozenset[str]
    root: Root
    publishers: frozenset[str]
    admin_keys: Mapping[str, bytes]
    ordered: frozenset[str]
    require_signature: bool
    max_age_s: int | None
    quorum: int
    log_keys: tuple[NoteKey, ...]


def terms_of(link: Link, collection: str, origin: str) -> Terms:
    """Return what a verified version says.

    Args:
        link: the version.
        collection: the UUID.  origin: the log's.

    Raises:
        LogRefused: it is signed but cannot be used; a newer version of Lightship may know it.
    """
    try:
        return _terms(link, collection, origin)
    except (CallerError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise LogRefused(
            Failure.AGREEMENT_FORGED, f"version {link.version} cannot be used: {error}"
        ) from None


def _terms(link: Link, collection: str, origin: str) -> Terms:
    content = link.content
    members: Mapping[str, Any] = content["members"]
    one: Mapping[str, Any] = next(
        (value for value in content["collections"].values() if value["id"] == collection), {}
    )
    admin_keys = {slug: read_key_text(value.get("admin_key", "")) for slug, value in members.items()}
    return Terms(
        version=link.version,
        digest=link.digest,
        present=bool(one),
        members=frozenset(members),
        root=link.root,
        publishers=resolve(one, "publishers", members) if one else frozenset(),
        admin_keys={slug: key for slug, key in admin_keys.items() if key is not None},
        ordered=frozenset(one.get("withdraw", ())),
        require_signature=one.get("require_signature", False),
        max_age_s=one.get("max_age_s"),
        quorum=content.get("quorum", 0),
        log_keys=_log_keys(content, link, origin),
    )


def _log_keys(content: Mapping[str, Any], link: Link, origin: str) -> tuple[NoteKey, ...]:
    """Return the keys listed for this log, else the hub's own."""
    listed = [one for one in content.get("logs", ()) if one["origin"] == origin]
    if listed:
        return tuple(notes.parse_key(text) for one in listed for text in one["vkeys"])
    return tuple(NoteKey(origin, key.public) for key in link.root.keys.values() if key.party == HUB_PARTY)
