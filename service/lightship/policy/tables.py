"""Given/expect tables of the rules: TOML files that people read, run by `lightship policy test`.

A table has one small agreement (members, collections) and cases: a principal, an action, a collection, the
agreement's status, whether who asks is `suspended`, has a client `certificate`, is `listed` by its roster or
brings what is `signed`, perhaps an object with what its markings say; then the expected decision and the rule
that gives it. The action `receive` asks whether a member may have an object; `rules_file` names rules of the
agreement. Cases go through `ports.Decisions` as requests do, so they hold the rules and what feeds them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from lightship.core.access import Action, Decision, Principal, System
from lightship.core.agreement import GRACE, Agreement, AgreementStatus, Member
from lightship.core.agreement.suspension import Stop
from lightship.core.collection import Candidate, Collection, CollectionSettings, Level
from lightship.core.errors import BadFile
from lightship.core.marks import UNLEVELLED_TYPES, MarkingSet
from lightship.core.ports import Decisions
from lightship.core.time import MAX_MICROS, NO_INSTANT, Micros
from lightship.policy.rules import RECEIVE

_BEGIN, _END = Micros(1_000_000), Micros(2_000_000)
_TIMES: Final = {
    AgreementStatus.PROPOSED: Micros(_BEGIN - 1),
    AgreementStatus.IN_FORCE: _BEGIN,
    AgreementStatus.GRACE: _END,
    AgreementStatus.EXPIRED: Micros(_END + GRACE),
    AgreementStatus.SUSPENDED: _BEGIN,
    AgreementStatus.ENDED: _BEGIN,
}
_CASE_KEYS: Final = {
    "name",
    "principal",
    "action",
    "collection",
    "status",
    "suspended",
    "certificate",
    "listed",
    "signed",
    "object",
    "expect",
    "rule",
}
_OBJECT_KEYS: Final = {"type", "id", "level", "created_by_ref", "owned"}
_SETS: Final = ("recipients", "red_members", "only_countries", "exclude_countries", "closed")
_MARKS_KEYS: Final = {"type", "level", "ssi", *_SETS}


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a table: what is given and what is expected. `line` is where it stands in `path`.

    `action` is None for the question whether `subject` may have what `owner` posted with these `marks`.
    """

    name: str
    path: str
    line: int
    subject: Principal | System
    action: Action | None
    collection: Collection
    agreement: Agreement
    now: Micros
    candidate: Candidate | None
    marks: MarkingSet
    owner: str
    signed: bool
    allowed: bool
    rule: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that came out otherwise."""

    case: Case
    decision: Decision

    def __str__(self) -> str:
        case, got = self.case, self.decision
        return (
            f"{case.path}:{case.line}: {case.name}: expected {_verb(case.allowed)} by {case.rule}, "
            f"got {_verb(got.allowed)} by {got.rule}"
        )


def load_tables(folder: Path) -> list[Case]:
    """Return the cases of every `*.toml` of a folder, by file name, in their order.

    Raises:
        BadFile: there are none, or one cannot be used.
    """
    cases = [case for path in sorted(folder.glob("*.toml")) for case in read_table(path)]
    if not cases:
        raise BadFile("There are no cases", path=str(folder), why="no *.toml in it holds a [[case]]")
    return cases


def read_table(path: Path) -> Iterator[Case]:
    """Yield the cases of one file.

    Raises:
        BadFile: it cannot be used; with the line of the case where there is one.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (OSError, ValueError) as error:
        place = re.search(r"at line (\d+)", str(error))
        raise BadFile(
            "The table cannot be read", path=str(path), line=int(place[1]) if place else 0, why=str(error)
        ) from None
    line = 0
    try:
        agreement = _agreement(table, path.parent)
        found = re.finditer(r"^\[\[case\]\]", text, re.MULTILINE)
        places = [text.count("\n", 0, one.start()) + 1 for one in found]
        for line, given in zip(places, table.get("case", ()), strict=True):
            yield _case(given, agreement, str(path), line)
    except (KeyError, ValueError, TypeError, AttributeError, OSError) as error:
        raise BadFile(
            "The table cannot be used",
            path=str(path),
            line=line,
            why=f"{type(error).__name__}: {error}",
            todo="Compare it with the tables that ship in policies/tests",
        ) from None


def run(cases: Sequence[Case], decisions: Decisions) -> Iterator[Failure]:
    """Yield the cases that come out otherwise than expected."""
    for case in cases:
        decision = ask(case, decisions)
        if (decision.allowed, decision.rule) != (case.allowed, case.rule):
            yield Failure(case, decision)


def ask(case: Case, decisions: Decisions) -> Decision:
    """Return the decision on what a case gives; an object is asked about by itself."""
    where, agreement = case.collection, case.agreement
    if case.action is None and isinstance(case.subject, Principal):
        return decisions.receive(case.subject.member, where, agreement, case.owner, case.marks)
    if case.candidate is not None and isinstance(case.subject, Principal):
        return decisions.decide_object(case.subject, where, agreement, case.candidate, case.marks)
    action = case.action or Action.READ
    return decisions.decide(case.subject, action, where, agreement, case.now, signed=case.signed)


def _case(given: Mapping[str, Any], agreement: Agreement, path: str, line: int) -> Case:
    if unknown := set(given) - _CASE_KEYS:
        raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}")
    expect, rule = given["expect"], given["rule"]
    if expect not in {"allow", "deny"} or rule.startswith("allow-") is not (expect == "allow"):
        raise ValueError('expect must be "allow" with an allow- rule, or "deny" with a deny- or rule- one')
    status = AgreementStatus(given.get("status", "in-force"))
    collection = next(one for one in agreement.collections if one.alias == given["collection"])
    action = None if given["action"] == RECEIVE else Action(given["action"])
    shown = {key: given.get(key, False) for key in ("certificate", "listed")}
    subject = _subject(given["principal"], agreement, **shown)
    thing, owner = given.get("object"), ""
    if action is None:
        thing = dict(thing or {})
        owner = thing.pop("owner", "")
        _only(thing, _MARKS_KEYS)
        if not isinstance(subject, Principal) or subject.agreement != agreement.id:
            raise ValueError("whether they may receive an object is asked of members")
    elif thing is not None:
        _only(thing, _OBJECT_KEYS | _MARKS_KEYS)
        if action is not Action.PUBLISH:
            raise ValueError("only publishing and receiving are about an object")
    return Case(
        name=given["name"],
        path=path,
        line=line,
        subject=subject,
        action=action,
        collection=collection,
        agreement=replace(
            agreement,
            ended=status is AgreementStatus.ENDED,
            suspensions=tuple(_stops(status, subject if given.get("suspended", False) else None)),
        ),
        now=_TIMES[status],
        candidate=None if thing is None or action is None else _candidate(thing),
        marks=_marks(thing or {}),
        owner=owner,
        signed=given.get("signed", False),
        allowed=expect == "allow",
        rule=rule,
    )


def _stops(status: AgreementStatus, subject: Principal | System | None) -> Iterator[Stop]:
    """Yield what is suspended in a case: the agreement, the member who asks."""
    if status is AgreementStatus.SUSPENDED:
        yield Stop(1, "hub", "", _BEGIN, _END, "table")
    if isinstance(subject, Principal):
        yield Stop(2, "hub", subject.member, Micros(0), MAX_MICROS, "table")


def _subject(name: str, agreement: Agreement, *, certificate: bool, listed: bool) -> Principal | System:
    """Return who is meant: `system`, `AGREEMENT/MEMBER` of another agreement, or a member's slug."""
    if name == "system":
        return System("policy test")
    root, slash, member = name.partition("/")
    agreement_id, slug = (root, member) if slash else (agreement.id, name)
    return Principal(agreement_id, slug, "credential", "client", certificate=certificate, listed=listed)


def _agreement(table: Mapping[str, Any], folder: Path) -> Agreement:
    own = table.get("rules_file")
    return Agreement(
        id="table",
        version=1,
        title="Table",
        description="",
        legal_basis="",
        not_before=_BEGIN,
        not_after=_END,
        members={
            slug: Member(
                slug,
                slug,
                "",
                one.get("country", ""),
                one.get("group", ""),
                frozenset(one["roles"]),
                frozenset(one.get("identities", ())),
            )
            for slug, one in table["members"].items()
        },
        collections=tuple(_collection(alias, one) for alias, one in table["collections"].items()),
        digest="",
        hub="",
        authority="",
        auditors=frozenset(table.get("auditors", ())),
        rules="" if own is None else (folder / own).read_text(encoding="utf-8"),
    )


def _collection(alias: str, one: Mapping[str, Any]) -> Collection:
    authors, unmarked = one.get("authors", "not-others"), one.get("unmarked", "refuse")
    return Collection(
        number=1,
        id=alias,
        agreement="table",
        alias=alias,
        title=alias,
        description="",
        ceiling=Level(one["ceiling"]),
        audience=frozenset(one["audience"]),
        publishers=frozenset(one["publishers"]),
        settings=CollectionSettings(
            unmarked="refuse" if unmarked == "refuse" else Level(unmarked),
            authors=frozenset(authors) if isinstance(authors, list) else authors,
            ssi=one.get("ssi", "refuse"),
            require_signature=one.get("require_signature", False),
            require_certificate_to_write=one.get("require_certificate_to_write", False),
            tokens=one.get("tokens", "steward"),
        ),
    )


def _only(one: Mapping[str, Any], known: AbstractSet[str]) -> None:
    if unknown := set(one) - known:
        raise ValueError(f"unknown keys of the object: {', '.join(sorted(unknown))}")


def _marks(one: Mapping[str, Any]) -> MarkingSet:
    sets: dict[str, Any] = {name: frozenset(one[name]) for name in _SETS if name in one}
    return MarkingSet(
        level=Level(one["level"]) if "level" in one else None,
        levelled=one.get("type") not in UNLEVELLED_TYPES,
        ssi=one.get("ssi", False),
        **sets,
    )


def _candidate(one: Mapping[str, Any]) -> Candidate:
    kind = one.get("type", "indicator")
    return Candidate(
        position=0,
        id=one.get("id", f"{kind}--5a9b6c1e-7d54-4b0e-9c1d-2f6f0a3c8e11"),
        type=kind,
        spec_version="2.1",
        version=NO_INSTANT,
        version_text="",
        digest=b"",
        body=b"{}",
        created_by=one.get("created_by_ref"),
        level=Level(one["level"]) if "level" in one else None,
        owned=one.get("owned", True),
    )


def _verb(allowed: bool) -> str:
    return "allow" if allowed else "deny"
