"""From a signed payload to the values that the hub works with; only here defaults are filled in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lightship.core import dsse
from lightship.core.agreement import fields
from lightship.core.agreement.chain import Chain, Verify, make_root, read_root
from lightship.core.agreement.consistency import resolve
from lightship.core.agreement.form import check
from lightship.core.agreement.suspension import PAYLOAD_TYPE as SUSPENSION_TYPE
from lightship.core.agreement.suspension import Suspensions
from lightship.core.agreement.values import AUDIT_RETENTION_DAYS, Agreement, Member
from lightship.core.collection import Collection, CollectionSettings, Level
from lightship.core.errors import Damaged, LightshipError
from lightship.core.time import Micros

ADDED = frozenset({"version", "prev", "root", "logs", "witnesses", "policy", "rules"})
"""What signing adds to what people wrote (`witnesses` can be in both)."""
POLICY = 1
"""Number of the base rule set that an agreement of this version is signed under."""


def load_chain(
    agreement: str,
    links: Sequence[tuple[bytes, bytes]],
    numbers: Mapping[str, int],
    verify: Verify,
    *,
    pinned_key: str = "",
    rules: bytes = b"",
    suspensions: Sequence[tuple[bytes, int, Micros]] = (),
) -> Agreement:
    """Verify a whole chain and return its newest version.

    Args:
        agreement: the agreement's id.
        links: (envelope, payload as stored) of every version, oldest first, at least one.
        numbers: collection id -> the hub's number.
        verify: the signature check.
        pinned_key: key id that must have signed version 1; empty takes any.
        rules: the text of the newest version's own rules, as stored.
        suspensions: (envelope, version in force then, when it was taken) of each, in their order.

    Raises:
        Damaged: any link or suspension does not hold, or the newest version cannot be used.
    """
    chain = replay(agreement, links, verify, pinned_key=pinned_key)
    if chain.last is None:
        raise Damaged(f"Agreement `{agreement}` has no version")
    loaded = load_payload(chain.last.payload, numbers, hub=chain.hub, rules=rules)
    return replace(loaded, suspensions=replay_suspensions(chain, suspensions, verify).stops)


def replay_suspensions(
    chain: Chain, stored: Sequence[tuple[bytes, int, Micros]], verify: Verify
) -> Suspensions:
    """Return the stored suspensions of a verified chain; arguments as for `load_chain`.

    Raises:
        Damaged: one does not hold.
    """
    taken = Suspensions(chain.agreement, chain.hub, verify)
    try:
        for envelope, version, at in stored:
            if not 1 <= version <= len(chain.links):
                raise Damaged("A suspension is of a version that is not stored")
            link = chain.links[version - 1]
            opened = dsse.decode(envelope, payload_type=SUSPENSION_TYPE)
            taken.take(opened, link.root, version, link.content["members"].keys(), at)
    except LightshipError as error:
        raise _damaged(f"The suspensions of agreement `{chain.agreement}` do not hold", error) from None
    return taken


def replay(
    agreement: str, links: Sequence[tuple[bytes, bytes]], verify: Verify, *, pinned_key: str = ""
) -> Chain:
    """Return the chain of the stored versions; arguments as for `load_chain`, none stored gives an empty one.

    Raises:
        Damaged: a link does not hold, or the payload stored beside its envelope is not the signed one.
    """
    chain = Chain(agreement, verify, pinned_key=pinned_key)
    try:
        for envelope, payload in links:
            if chain.append(envelope).payload != payload:
                raise Damaged("The stored payload is not the signed one")
    except LightshipError as error:
        raise _damaged(f"The chain of agreement `{agreement}` does not hold", error) from None
    return chain


def load_payload(
    payload: bytes,
    numbers: Mapping[str, int],
    *,
    hub: str,
    authority: str | None = None,
    rules: bytes = b"",
) -> Agreement:
    """Return the agreement in a payload whose signatures have been verified.

    Args:
        payload: the signed JSON.
        numbers: collection id -> the hub's number.
        hub: SHA-256 of version 1's payload.
        authority: who signed, in words; by default as the payload's root says.
        rules: the text of the agreement's own rules as stored, empty without any.

    Raises:
        Damaged: it cannot be used, or the rules are not those whose digest was signed.
    """
    content = dsse.parse_canonical(payload)
    written = as_written(content)
    root = read_root(content.get("root"))
    problems = check(written)
    if problems or content.get("policy") != POLICY:
        raise Damaged(
            "The signed agreement cannot be used",
            why=problems[0].what if problems else "it needs rules that this version does not have",
            todo="It may have been signed by a newer version of Lightship",
        )
    if content["root"] != make_root(written["authority"]["threshold"], written["authority"]["keys"]):
        raise Damaged("The signed agreement cannot be used", why="its root differs from its authority")
    if content.get("rules", "") != rules_digest(rules):
        raise Damaged(
            "The rules of the agreement are not the signed ones",
            why="their SHA-256 is another one than the payload names",
            todo="Restore the data from a backup; `lightship fsck` tells more",
        )
    members = {slug: _member(slug, one) for slug, one in written["members"].items()}
    audit = written.get("audit", {})
    return Agreement(
        id=written["id"],
        version=content["version"],
        title=written["title"],
        description=written.get("purpose", ""),
        legal_basis=written.get("legal_basis", ""),
        not_before=fields.read_moment(written.get("not_before"), end=False),
        not_after=fields.read_moment(written.get("not_after"), end=True),
        members=members,
        collections=tuple(
            _collection(alias, one, written, numbers) for alias, one in written["collections"].items()
        ),
        digest=hashlib.sha256(payload).hexdigest(),
        hub=hub,
        authority=root.text if authority is None else authority,
        ended=written.get("ended", False),
        auditors=frozenset(audit.get("auditors", ())),
        audit_retention_days=audit.get("retention_days", AUDIT_RETENTION_DAYS),
        rules=rules.decode(),
    )


def rules_digest(rules: bytes) -> str:
    """Return what a payload says under `rules`: the hex SHA-256 of the text, empty without rules."""
    return hashlib.sha256(rules).hexdigest() if rules else ""


def as_written(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload without what signing added, to compare with a file that people edit."""
    written = {key: value for key, value in content.items() if key not in ADDED}
    if content.get("witnesses"):
        written["witnesses"] = content["witnesses"]
    return written


def _member(slug: str, one: Mapping[str, Any]) -> Member:
    return Member(
        slug=slug,
        name=one["name"],
        unlocode=one["unlocode"],
        country=one.get("country", one["unlocode"][:2]),
        group=one["group"],
        roles=frozenset(one["roles"]),
        identities=frozenset(one["identities"]),
    )


def _collection(
    alias: str, one: Mapping[str, Any], written: Mapping[str, Any], numbers: Mapping[str, int]
) -> Collection:
    if one["id"] not in numbers:
        raise Damaged(f"Collection `{alias}` of `{written['id']}` has no number in the store")
    authors, future = one.get("authors", "not-others"), one.get("max_future", "10 minutes")
    unmarked = one.get("unmarked", "refuse")
    return Collection(
        number=numbers[one["id"]],
        id=one["id"],
        agreement=written["id"],
        alias=alias,
        title=one["title"],
        description=one.get("description", ""),
        ceiling=Level(one["ceiling"]),
        audience=resolve(one, "audience", written["members"]),
        publishers=resolve(one, "publishers", written["members"]),
        settings=CollectionSettings(
            unmarked="refuse" if unmarked == "refuse" else Level(unmarked),
            authors=frozenset(authors) if isinstance(authors, list) else authors,
            validation=one.get("validation", "strict"),
            custom_objects=one.get("custom_objects", True),
            max_future_s=None if future == "off" else fields.read_span(future),
            max_objects=one.get("max_objects"),
            max_bytes=one.get("max_bytes"),
            retention_days=one.get("retention_days"),
            red=one.get("red", "named"),
            ssi=one.get("ssi", "refuse"),
            require_signature=one.get("require_signature", False),
            require_certificate_to_write=one.get("require_certificate_to_write", False),
            tokens=one.get("tokens", "steward"),
        ),
    )


def _damaged(what: str, error: LightshipError) -> Damaged:
    todo = "Nothing of it is served. Restore the data from a backup; `lightship fsck` tells more"
    return Damaged(what, why=str(error), todo=todo)
