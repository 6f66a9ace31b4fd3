"""What the markings of posted objects come to: definitions looked up once, each object decided with its set.

A definition is one that ships, one that is held in the agreement and may be cited by this member, or one of
the same post. A definition of the post that is refused takes with it what cites it; whatever order they stand
in, each object is decided again at most once for each marking that it cites.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from lightship.core.access import Action, Decision, Grant, Principal
from lightship.core.agreement import Agreement
from lightship.core.collection import Candidate, Collection, Level
from lightship.core.marks import (
    Definition,
    MarkingSet,
    UnknownMarking,
    check_agreement,
    marking_set,
    usable,
)
from lightship.core.ports import Decisions
from lightship.core.stix.terms import TermsReader
from lightship.core.time import Micros, format_stamp

DEFINITION = "marking-definition"
PAST_RULE = "deny-share-until"
CEILING_RULE, RECEIVE_RULES = "deny-publish-ceiling", "deny-receive-"
MOST_ASKED, MOST_NAMED = 500, 2
"""How often other collections are asked at most, in one post, if they would take what is refused; names."""
_EACH_BY_ITSELF = frozenset({DEFINITION, "identity"})
_Key = tuple[str, Level | None, bool, str | None, tuple[str, ...]]
_Outcome = tuple[MarkingSet | None, Decision]


class Definitions(Protocol):
    """Where marking definitions are held: `ports.Reader`."""

    def definitions(
        self, grant: Grant, collections: Sequence[int], ids: Sequence[str]
    ) -> Sequence[Definition]: ...


@dataclass(slots=True)
class Resolved:
    """What became of the candidates of one post, each list in the order posted.

    Args:
        taken: those that the rules let in, and `marks`, the set of each.
        refused: the others; the set is None where a marking is unknown.
    """

    taken: list[Candidate] = field(default_factory=list)
    marks: list[MarkingSet] = field(default_factory=list)
    refused: list[tuple[Candidate, MarkingSet | None, Decision]] = field(default_factory=list)


@dataclass(slots=True)
class PostedMarks:
    """The marking set of each candidate of one post, and what the rules say of it.

    Reads the store only if something cites a marking that does not ship. Used once.

    Args:
        reader: where definitions are held.
        decisions: the rules.
        grant: to publish to its collection.
        principal: the member that publishes.
        agreement: whose collection it is.
        candidates: what passed the checks, in the order posted.
        now: when they were posted, microseconds.
        refused: ids of objects of the post that did not pass the checks.
    """

    reader: Definitions
    decisions: Decisions
    grant: Grant
    principal: Principal
    agreement: Agreement
    candidates: Sequence[Candidate]
    now: Micros
    refused: set[str] = field(default_factory=set)
    _reader: TermsReader = field(init=False, default_factory=TermsReader)
    _asked: int = field(init=False, default=0)
    _known: dict[_Key, _Outcome] = field(init=False, default_factory=dict)
    _citing: dict[str, list[int]] = field(init=False, default_factory=dict)
    _posted: set[str] = field(init=False, default_factory=set)
    _held: dict[str, Definition] = field(init=False, default_factory=dict)
    _definitions: dict[str, Definition] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for index, one in enumerate(self.candidates):
            for cited in one.cites:
                self._citing.setdefault(cited, []).append(index)
        if self._citing:
            self._look_up()

    def _look_up(self) -> None:
        collections = self.agreement.collections
        found = self.reader.definitions(self.grant, [one.number for one in collections], list(self._citing))
        member = self.principal.member
        anybodys = {
            one.number for one in collections if one.settings.authors == "any" and member in one.audience
        }
        posted = [one for one in self.candidates if one.type == DEFINITION and one.id in self._citing]
        self._held = usable(found, [], member, anybodys)
        self._definitions = usable(found, posted, member, anybodys) if posted else dict(self._held)
        self._posted = {one.id for one in posted}

    def resolved(self) -> Resolved:
        """Decide all; what cites a refused definition of the same post is decided again without it."""
        decided = [self._decide(one) for one in self.candidates]
        if self._posted:
            self._without_refused(decided)
        found = Resolved()
        for candidate, (marks, decision) in zip(self.candidates, decided, strict=True):
            if decision.allowed and marks is not None:
                found.taken.append(candidate)
                found.marks.append(marks)
            else:
                found.refused.append((candidate, marks, decision))
        return found

    def _without_refused(self, decided: list[_Outcome]) -> None:
        gone = deque(
            one.id
            for one, (_, decision) in zip(self.candidates, decided, strict=True)
            if one.type == DEFINITION and not decision.allowed
        )
        while gone:
            definition = gone.popleft()
            if not self._forget(definition):
                continue
            for index in self._citing[definition]:
                if decided[index][1].allowed:
                    candidate = self.candidates[index]
                    decided[index] = self._decide(candidate)
                    if candidate.type == DEFINITION and not decided[index][1].allowed:
                        gone.append(candidate.id)

    def _forget(self, definition: str) -> bool:
        """Let a definition of the post count no more; False if it was not counted.

        Who posted other bytes than are held meant other terms: the held ones do not stand in for them.
        """
        if definition not in self._posted:
            return False
        self._posted.discard(definition)
        self.refused.add(definition)
        posted, held = self._definitions.pop(definition), self._held.get(definition)
        if held is not None and held.digest == posted.digest:
            self._definitions[definition] = held
        self._known.clear()
        return True

    def _decide(self, candidate: Candidate) -> _Outcome:
        """Return the set and the decision, made once for all objects that say the same.

        A definition has terms of its own, and whose an identity is depends on its id: those are asked each.
        """
        if candidate.type in _EACH_BY_ITSELF:
            return self._ask(candidate)
        key = (candidate.type, candidate.level, candidate.owned, candidate.created_by, candidate.cites)
        found = self._known.get(key)
        if found is None:
            found = self._ask(candidate)
            if found[0] is not None:  # a marking that cannot be kept is told with its place
                self._known[key] = found
        return found

    def _ask(self, candidate: Candidate) -> _Outcome:
        try:
            check_agreement(candidate, self.agreement.id, self._definitions, self._reader)
            marks = marking_set(candidate, self.grant.collection, self._definitions, self._reader)
        except UnknownMarking as unknown:
            say = unknown.message
            if unknown.id in self.refused and unknown.id != candidate.id:
                say = f"it is marked with {unknown.id}, which was refused itself (at {unknown.where})."
                say += " Correct that marking, or cite another"
            return None, Decision(False, unknown.rule, say)
        late = past_sharing(marks, self.now)
        if late is not None:
            return marks, late
        decision = self._decision(candidate, self.grant.collection, marks)
        if decision.rule == CEILING_RULE or decision.rule.startswith(RECEIVE_RULES):
            decision = replace(decision, say=f"{decision.say}{self._elsewhere(candidate)}")
        return marks, decision

    def _decision(self, candidate: Candidate, collection: Collection, marks: MarkingSet) -> Decision:
        return self.decisions.decide_object(self.principal, collection, self.agreement, candidate, marks)

    def _elsewhere(self, candidate: Candidate) -> str:
        """Name collections that its publisher knows anyway, may post to, and that would take the object."""
        if candidate.type in _EACH_BY_ITSELF:
            return ""
        found: list[str] = []
        for one in self.agreement.collections:
            if len(found) == MOST_NAMED or self._asked == MOST_ASKED:
                break
            if one.id != self.grant.collection.id:
                self._asked += 1
                if self._takes(candidate, one):
                    found.append(f"`{one.alias}`")
        return f" {' and '.join(found)} would take it." if found else ""

    def _takes(self, candidate: Candidate, collection: Collection) -> bool:
        right = self.decisions.decide(self.principal, Action.PUBLISH, collection, self.agreement, self.now)
        marks = marking_set(candidate, collection, self._definitions, self._reader)
        return right.allowed and self._decision(candidate, collection, marks).allowed


def past_sharing(marks: MarkingSet, now: Micros) -> Decision | None:
    """Return the refusal of what its terms let nobody have any more at `now`, or never will; None if neither.

    Several terms together may end before they begin: then it would wait for a release that cannot be.
    """
    end, release = marks.share_until, marks.release_at
    if end is None or end > max(now, release or 0):
        return None
    why = "has passed"
    if end > now and release is not None:
        why = f"is not after its `release_at`, {format_stamp(release)}: nobody could ever have it"
    say = f"Its `share_until`, {format_stamp(end)}, {why}. Publish it under new terms."
    return Decision(False, PAST_RULE, say)
