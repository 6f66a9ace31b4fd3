"""Agreements: check the files of one, put it in force, show what is.

`apply` signs what the files say as the next version, verifies the whole chain with it exactly as a reader
will, and activates it together with its access event. Files with any mistake change nothing, and neither does
a version under which something that is held would be with a member that it was not meant for, unless the
version itself lists it under `withdraw`. That is decided before the store is locked, and again inside the
transaction for what was added meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from lightship.core import dsse
from lightship.core.agreement import (
    PAYLOAD_TYPE,
    Agreement,
    AgreementStatus,
    BadAgreement,
    Chain,
    Verify,
    load_payload,
    parse_toml,
)
from lightship.core.agreement import lines as toml_lines
from lightship.core.agreement.chain import HUB_PARTY, Link, key_text, make_root
from lightship.core.agreement.form import notes
from lightship.core.agreement.load import POLICY, as_written, replay, rules_digest
from lightship.core.agreement.problems import Problem
from lightship.core.audit import STEWARD, AccessEvent
from lightship.core.errors import Conflict, Damaged, NotFound, Refused
from lightship.core.ports import InUse, Registry, SignedAgreement, WouldBreak
from lightship.core.time import Micros
from lightship.usecases.breaking import Admission, Breaches, Holdings, holdings
from lightship.usecases.directory import Directory, HubView
from lightship.usecases.draft import Draft, Ground, own_rules, rules_in_force
from lightship.usecases.impact import Impact, compare, compare_rules


class Signer(Protocol):
    """A key that signs; `public` is the raw Ed25519 key, `keyid` its SHA-256 in hex."""

    @property
    def public(self) -> bytes: ...
    @property
    def keyid(self) -> str: ...
    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Report:
    """What files without mistakes would do.

    `version` is the one it would become; `unchanged` that it says what is in force already. `notes` are
    sentences about what is signed but not acted on yet. `agreement` is the outcome as a value. While
    `impact.breaches` names anything, the change is refused.
    """

    agreement: Agreement
    version: int
    unchanged: bool
    impact: Impact
    notes: tuple[str, ...]
    status: AgreementStatus

    @property
    def refused(self) -> bool:
        """True if what is held forbids the change."""
        return self.impact.breaches.total > 0


class HeldForbids(Refused):
    """A change that something held forbids; `report` names what, nothing was changed."""

    def __init__(self, report: Report) -> None:
        breaches = report.impact.breaches
        first = breaches.named[0]
        many = "s are" if breaches.total > 1 else " is"
        super().__init__(
            f"Version {report.version} of `{report.agreement.id}` is refused: {breaches.total} object"
            f" version{many} held that it would give to members who may not have them",
            rule=first.rule,
            why=f"{first.object_id} in `{first.collection}` is not for {first.who}: {first.why}",
            todo="Leave the audience as it is, make a new collection for the wider one, or list the objects"
            " under `withdraw` of their collection: they are then taken out with this version",
        )
        self.report = report


@dataclass(frozen=True, slots=True)
class Applied:
    """An agreement that is now in force as `signed` says; `changed` is False if it was already."""

    report: Report
    signed: SignedAgreement
    changed: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """An agreement with its chain, oldest version first."""

    agreement: Agreement
    status: AgreementStatus
    chain: tuple[SignedAgreement, ...]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A checked draft: what it would do, and what is needed to do it."""

    report: Report
    chain: Chain
    written: dict[str, Any]
    holdings: Holdings
    admission: Admission


def check(ground: Ground, draft: Draft, *, hub_key: bytes, now: Micros) -> Report:
    """Check an agreement's files against the form, against what is in force and against what is held.

    Args:
        ground: what it meets on this hub.
        draft: the files.
        hub_key: the raw public key of this hub.
        now: microseconds.

    Raises:
        BadFile: they have mistakes; `BadAgreement.problems` names every one.
        Damaged: the chain that it would follow does not hold.
    """
    return _prepare(ground, draft, hub_key, now).report


def apply(
    ground: Ground, directory: Directory, draft: Draft, *, signer: Signer, req: str, now: Micros
) -> Applied:
    """Sign what the files say as the next version and put it in force; what is in force already stays.

    Args: as `check`, and the hub's `signer`, a fresh request id `req`, and the directory that readers use.

    Raises:
        BadFile, Damaged: as `check`.
        HeldForbids: something that is held would be with a member that may not have it.
        Conflict: another version was activated in the meantime, or what is to be withdrawn is in use.
    """
    prepared = _prepare(ground, draft, signer.public, now)
    report = prepared.report
    if report.unchanged:
        return Applied(report, ground.registry.chain(report.agreement.id)[-1], False)
    if report.refused:
        raise HeldForbids(report)
    signed = _sign(prepared, draft, signer, now)
    listed = prepared.holdings.listed
    event = AccessEvent(
        req=req,
        at=now,
        act="agreement-apply",
        agr=signed.agreement,
        cred=STEWARD,
        q=f"version {signed.version} sha256 {signed.digest}",
        why=STEWARD,
        n=len(report.agreement.collections),
    )
    try:
        ground.registry.activate(
            signed,
            [one.id for one in report.agreement.collections],
            event,
            admits=prepared.admission,
            withdraw=listed,
        )
    except WouldBreak as late:
        # Posted after it was decided and before the store was locked.
        found = _with_breaches(ground, prepared, late)
        if found.refused:
            raise HeldForbids(found) from None
        raise Conflict("What is held changed meanwhile", todo="Check it and apply it again") from None
    except InUse:
        raise Conflict(
            "A marking definition that is to be withdrawn is cited by what stays",
            todo="List under `withdraw` what cites it too, or leave the definition",
        ) from None
    in_force = directory.view().agreements.get(signed.agreement)
    if in_force is None or in_force.version < signed.version:
        raise Damaged(f"Agreement `{signed.agreement}` was stored but cannot be read back")
    return Applied(report, signed, True)


def show(registry: Registry, view: HubView, agreement: str, now: Micros) -> Shown:
    """Return an agreement and its chain.

    Raises:
        NotFound: there is none.  Damaged: its chain does not hold.
    """
    found = view.agreements.get(agreement)
    if found is None:
        if agreement in view.damaged:
            raise Damaged(f"Agreement `{agreement}` is not served", why=view.damaged[agreement])
        raise NotFound(
            f"There is no agreement `{agreement}` in force",
            todo=f"There are: {', '.join(sorted(view.agreements)) or 'none yet'}",
        )
    return Shown(found, found.status(now), tuple(registry.chain(agreement)))


def _prepare(ground: Ground, draft: Draft, hub_key: bytes, now: Micros) -> _Prepared:
    """Check the files and everything that they meet on this hub."""
    registry = ground.registry
    written = parse_toml(draft.text, draft.path)
    name, own = written["id"], own_rules(ground, draft)
    links = registry.chain(name)
    chain, old = _replay(name, links, ground.verify)
    problems = [*_key_problems(written, hub_key), *_taken(registry, written), *_strangers(links, written)]
    if problems:
        raise BadAgreement(draft.path, toml_lines.index(draft.text), problems)
    last = chain.last
    unchanged = last is not None and (as_written(last.content), links[-1].rules) == (
        as_written(written),
        draft.rules,
    )
    version = 1 if last is None else last.version + (0 if unchanged else 1)
    new = _as_value(_content(written, version, last, draft.rules), chain.hub, draft.rules)
    held = holdings(registry, ground.reader, new, _listed(written))
    admission = Admission(ground.decisions, new)
    said = tuple(f"{'.'.join(one.path)}: {one.text}" for one in notes(written))
    if unchanged:
        impact = Impact()
    else:
        impact = replace(
            compare(old, new),
            rules=compare_rules(rules_in_force(ground, old), own),
            withdrawals=held.withdrawals(),
            stranded=held.stranded(
                {one.id: one.settings.require_signature for one in old.collections} if old else {}
            ),
            breaches=held.breaches(admission, held.sets()),
        )
        said += tuple(
            f"withdraw: {one.object_id} is not held, so there is nothing to withdraw; take it off the list"
            for one in impact.withdrawals
            if not one.versions
        )
    if notice := new.notice(now):
        past = new.status(now) in {AgreementStatus.GRACE, AgreementStatus.EXPIRED}
        said += (f"not_after: this date is past. {notice}" if past else notice,)
    report = Report(new, version, unchanged, impact, said, new.status(now))
    return _Prepared(report, chain, written, held, admission)


def _sign(prepared: _Prepared, draft: Draft, signer: Signer, now: Micros) -> SignedAgreement:
    """Return the next version, signed and verified in its chain."""
    report, chain = prepared.report, prepared.chain
    payload = dsse.canonical(_content(prepared.written, report.version, chain.last, draft.rules))
    signature = dsse.Signature(signer.keyid, signer.sign(dsse.pae(PAYLOAD_TYPE, payload)))
    envelope = dsse.encode(dsse.Envelope(PAYLOAD_TYPE, payload, (signature,)))
    link = chain.append(envelope)
    return SignedAgreement(
        report.agreement.id, link.version, payload, envelope, link.digest, now, draft.rules
    )


def _with_breaches(ground: Ground, prepared: _Prepared, late: WouldBreak) -> Report:
    """Return the report with what was found inside the store's transaction."""
    report = prepared.report
    held = holdings(ground.registry, ground.reader, report.agreement, prepared.holdings.listed)
    found: Breaches = held.breaches(prepared.admission, late.held)
    return replace(report, impact=replace(report.impact, breaches=found))


def _listed(written: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return what the file says is to be withdrawn: collection id -> object ids."""
    return {one["id"]: tuple(one["withdraw"]) for one in written["collections"].values() if "withdraw" in one}


def _replay(name: str, links: Sequence[SignedAgreement], verify: Verify) -> tuple[Chain, Agreement | None]:
    """Verify what is in force, and return it as a value."""
    chain = replay(name, [(one.envelope, one.payload) for one in links], verify)
    if chain.last is None:
        return chain, None
    return chain, _as_value(chain.last.content, chain.hub, links[-1].rules)


def _content(written: dict[str, Any], version: int, last: Link | None, rules: bytes) -> dict[str, Any]:
    """Return what is signed: what people wrote, the digest of their rules, and its place in the chain."""
    if last is not None and last.version >= version:
        return last.content
    authority = written["authority"]
    own = {"rules": rules_digest(rules)} if rules else {}
    return (
        written
        | own
        | {
            "version": version,
            "prev": "" if last is None else last.digest,
            "root": make_root(authority["threshold"], authority["keys"]),
            "logs": [],
            "witnesses": written.get("witnesses", []),
            "policy": POLICY,
        }
    )


def _as_value(content: dict[str, Any], hub: str, rules: bytes) -> Agreement:
    """Return the agreement that this content would be; collections are counted from 1, not as stored."""
    numbers = {one["id"]: number for number, one in enumerate(content["collections"].values(), 1)}
    return load_payload(dsse.canonical(content), numbers, hub=hub, rules=rules)


def _key_problems(written: dict[str, Any], hub_key: bytes) -> list[Problem]:
    if written["authority"]["keys"].get(HUB_PARTY) == key_text(hub_key):
        return []
    return [
        Problem(
            ("authority", "keys", HUB_PARTY),
            "The agreement names another hub's key",
            "at threshold 1 this hub's own key signs",
            f'Write keys.hub = "{key_text(hub_key)}"',
        )
    ]


def _taken(registry: Registry, written: dict[str, Any]) -> list[Problem]:
    """Find collections whose id another agreement has, now or in an earlier version."""
    mine = {one["id"]: alias for alias, one in written["collections"].items()}
    found = []
    for other in registry.agreement_ids():
        if other == written["id"]:
            continue
        held = {one for link in registry.chain(other) for one in _collections(link)}
        found += [
            Problem(
                ("collections", alias, "id"),
                f"The id of collection `{alias}` belongs to agreement `{other}`",
                "an id names one collection for ever",
                "Write a new UUIDv4",
            )
            for key, alias in mine.items()
            if key in held
        ]
    return found


def _strangers(links: Sequence[SignedAgreement], written: dict[str, Any]) -> list[Problem]:
    """Find members that come under a name which another organisation had before it left.

    What that one owns, its credentials and objects that were TLP:RED to it go by the name.
    """
    found, known = [], dict[str, tuple[int, frozenset[str]]]()
    for link in links:
        members = json.loads(link.payload)["members"]
        known |= {slug: (link.version, frozenset(one["identities"])) for slug, one in members.items()}
    for slug, one in written["members"].items():
        version, identities = known.get(slug, (0, frozenset[str]()))
        if version and version < links[-1].version and identities.isdisjoint(one["identities"]):
            found.append(
                Problem(
                    ("members", slug, "identities"),
                    f"The name `{slug}` was another member's until version {version}",
                    "objects, credentials and access events of that one go by the name",
                    "Give the new member a name of its own; one that returns keeps an identity that it had",
                )
            )
    return found


def _collections(link: SignedAgreement) -> set[str]:
    """Return the collection ids of a stored version."""
    return {one["id"] for one in json.loads(link.payload)["collections"].values()}
