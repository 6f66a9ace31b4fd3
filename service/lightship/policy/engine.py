"""The rules behind `ports.Decisions`: Cedar decides, an identity-keyed cache answers most of the time.

Deny is the default and a forbid beats a permit. Rights come from the signed agreement only: the roles that a
principal carries are for display. No clock, no store. What needs the store (who owns an object, quotas,
conflicts) is decided in the store's transaction. An agreement's own rules are added to the shipped ones; they
can only forbid, and where they cannot be used nothing is allowed.

Whether the audience may have an object is asked once for each marking set and each kind of member: members
that the rules cannot tell apart get the same answer.
"""

from __future__ import annotations

from typing import Final

from lightship.core.access import Action, Decision, Principal, System
from lightship.core.agreement import Agreement, Member
from lightship.core.collection import Candidate, Collection
from lightship.core.errors import BadFile
from lightship.core.explanation import Explanation
from lightship.core.marks import MarkingSet
from lightship.core.time import Micros
from lightship.policy.cases import Case, Receipt, Who, words
from lightship.policy.entities import PUBLISH_OBJECT, levels
from lightship.policy.facts import (
    Asked,
    Facts,
    Kind,
    Received,
    Standing,
    asked_of,
    facts_of,
    kind_of,
    owners_of,
    received_by,
    standing_of,
)
from lightship.policy.files import read_own_rules, read_rules
from lightship.policy.memory import Crowd, Memory
from lightship.policy.rules import RECEIVE, Rule, RuleSet, rule_set

_EVERYBODY: Final = Decision(True, "", "")
_CLOSED: Final = """
    @id("deny-not-evaluated")
    @say("The rules of the agreement `{agreement}` cannot be used. Tell the steward.")
    forbid (principal is Member, action, resource);
"""


class CedarRules:
    """Decides by a set of rules; implements `ports.Decisions`. May be called from several threads."""

    def __init__(self, rules: RuleSet) -> None:
        self._base = rules
        self._levels = levels(rules.schema)
        self._memory = Memory()
        self._actions = self._memory.actions

    def decide(
        self,
        subject: Principal | System,
        action: Action,
        collection: Collection,
        agreement: Agreement,
        now: Micros,
        *,
        signed: bool = False,
    ) -> Decision:
        """Answer for every combination; never raises.

        `now`, in microseconds, decides the status and who is suspended. `signed`: a statement that a publish
        key signed brings it.
        """
        if isinstance(subject, System) or subject.agreement != agreement.id:
            standing = standing_of(agreement, None, now)
            return self._case(subject, action, collection, agreement, standing).decision
        standing = standing_of(agreement, subject, now, signed=signed)
        key = (id(agreement), id(collection), subject.member, action, standing)
        found = self._actions.get(key)
        if found is None:
            found = self._case(subject, action, collection, agreement, standing).decision
            self._memory.keep(self._actions, key, found, agreement, collection)
        return found

    def decide_object(
        self,
        subject: Principal,
        collection: Collection,
        agreement: Agreement,
        candidate: Candidate,
        marks: MarkingSet,
    ) -> Decision:
        """May this member put this object into this collection: level, ceiling, author, and may every
        member of the audience have it? Never raises."""
        facts = facts_of(candidate, collection, self._owners_of(agreement), marks)
        asked = asked_of(marks, collection.settings)
        if subject.agreement != agreement.id:
            return self._case(subject, PUBLISH_OBJECT, collection, agreement, facts).decision
        key = (id(agreement), id(collection), subject.member, facts, asked)
        found = self._memory.objects.get(key)
        if found is None:
            found = self._case(subject, PUBLISH_OBJECT, collection, agreement, facts).decision
            if found.allowed:
                admitted = self._admits(collection, agreement, subject.member, asked)
                found = found if admitted.allowed else admitted
            self._memory.keep(self._memory.objects, key, found, agreement, collection, asked)
        return found

    def admits(self, collection: Collection, agreement: Agreement, owner: str, marks: MarkingSet) -> Decision:
        """May every member of the collection's audience have an object of `owner` with this marking set?

        A positive answer names no rule; a negative one the forbid and, in its sentence, the member. `owner`
        itself always may. Never raises.
        """
        return self._admits(collection, agreement, owner, asked_of(marks, collection.settings))

    def receive(
        self, member: str, collection: Collection, agreement: Agreement, owner: str, marks: MarkingSet
    ) -> Decision:
        """May this one member of the agreement have it? Never raises."""
        asked = asked_of(marks, collection.settings)
        return self._receive(member, None, collection, agreement, owner, asked)

    def explain(
        self,
        subject: Principal | System,
        action: Action,
        collection: Collection,
        agreement: Agreement,
        now: Micros,
        candidate: Candidate | None = None,
        marks: MarkingSet | None = None,
        *,
        signed: bool = False,
    ) -> Explanation:
        """Say why: by every rule that decided, and condition by condition of the permits. Never raises.

        With a candidate, and once the action itself is permitted, it is about putting that object there;
        where a member of the audience may not have it, about that member.
        """
        standing = standing_of(agreement, None, now)
        if isinstance(subject, Principal) and subject.agreement == agreement.id:
            standing = standing_of(agreement, subject, now, signed=signed)
        case = self._case(subject, action, collection, agreement, standing)
        if candidate is None or not isinstance(subject, Principal) or not case.decision.allowed:
            return case.explanation()
        held = marks if marks is not None else MarkingSet(candidate.level)
        facts = facts_of(candidate, collection, self._owners_of(agreement), held)
        case = self._case(subject, PUBLISH_OBJECT, collection, agreement, facts)
        if marks is not None and case.decision.allowed:
            asked = asked_of(marks, collection.settings)
            refused = self._refused(collection, agreement, subject.member, asked)
            if refused is not None:
                case = self._receipt(refused, collection, agreement, subject.member, asked)
        return case.explanation()

    def read_agreement_rules(self, text: str, path: str) -> tuple[Rule, ...]:
        """Return an agreement's own rules: forbids only.

        Args:
            text: Cedar.  path: its name, for complaints.

        Raises:
            BadFile: a rule cannot be used; with file and line.
        """
        return tuple(read_own_rules(text, path, self._base.schema))

    @property
    def remembered(self) -> int:
        """How many decisions are held in the cache."""
        return self._memory.size

    # --- the audience -----------------------------------------------------------------------------

    def _admits(self, collection: Collection, agreement: Agreement, owner: str, asked: Asked) -> Decision:
        key = (id(agreement), id(collection), owner, asked)
        found = self._memory.audiences.get(key)
        if found is None:
            refused = self._refused(collection, agreement, owner, asked)
            found = _EVERYBODY
            if refused is not None:
                found = self._receive(refused, None, collection, agreement, owner, asked)
            self._memory.keep(self._memory.audiences, key, found, agreement, collection, asked)
        return found

    def _refused(self, collection: Collection, agreement: Agreement, owner: str, asked: Asked) -> str | None:
        """Return the first member of the audience, by name, that may not have it."""
        refused = sorted(collection.audience - agreement.members.keys())[:1]
        for kind, members in self._crowd(collection, agreement):
            answers: dict[tuple[bool, ...], bool] = {}
            for member in members:
                received = received_by(member, asked, owner)
                allowed = answers.get(received)
                if allowed is None:
                    found = self._receive(member.slug, kind, collection, agreement, owner, asked)
                    allowed = answers[received] = found.allowed
                if not allowed:
                    refused.append(member.slug)
                    break
        return min(refused, default=None)

    def _crowd(self, collection: Collection, agreement: Agreement) -> Crowd:
        """Return the audience by kind of member, each by name."""
        key = (id(agreement), id(collection))
        found = self._memory.crowds.get(key)
        if found is None:
            kinds: dict[Kind, list[Member]] = {}
            seen = self._rules_of(agreement).receivers
            for slug in sorted(collection.audience & agreement.members.keys()):
                member = agreement.members[slug]
                kinds.setdefault(kind_of(member, collection, agreement, seen), []).append(member)
            found = tuple((kind, tuple(members)) for kind, members in kinds.items())
            self._memory.keep(self._memory.crowds, key, found, agreement, collection)
        return found

    def _receive(
        self,
        slug: str,
        kind: Kind | None,
        collection: Collection,
        agreement: Agreement,
        owner: str,
        asked: Asked,
    ) -> Decision:
        member = agreement.members.get(slug)
        if member is None:
            return self._receipt(slug, collection, agreement, owner, asked).decision
        kind = kind or kind_of(member, collection, agreement, self._rules_of(agreement).receivers)
        received = received_by(member, asked, owner)
        key = (id(agreement), id(collection), kind, asked, received)
        found = self._memory.receipts.get(key)
        if found is None:
            found = self._receipt(slug, collection, agreement, owner, asked).verdict
            self._memory.keep(self._memory.receipts, key, found, agreement, collection, asked)
        who = Who("Member", slug, member)
        return found.decision(words(agreement, collection, who, Receipt(asked, received, owner)))

    def _receipt(
        self, slug: str, collection: Collection, agreement: Agreement, owner: str, asked: Asked
    ) -> Case:
        member = agreement.members.get(slug)
        received = Received(False, False, False) if member is None else received_by(member, asked, owner)
        who = Who("Outsider" if member is None else "Member", slug, member)
        about = Receipt(asked, received, owner)
        return Case(self._rules_of(agreement), self._levels, who, RECEIVE, collection, agreement, about)

    # --- one question -----------------------------------------------------------------------------

    def _case(
        self,
        subject: Principal | System,
        action: str,
        collection: Collection,
        agreement: Agreement,
        about: Standing | Facts,
    ) -> Case:
        who = Who("System", "hub", None)
        if isinstance(subject, Principal):
            inside = subject.agreement == agreement.id == collection.agreement
            member = agreement.members.get(subject.member) if inside else None
            who = Who("Outsider" if member is None else "Member", subject.member, member)
        return Case(self._rules_of(agreement), self._levels, who, action, collection, agreement, about)

    def _owners_of(self, agreement: Agreement) -> dict[str, str]:
        found = self._memory.owners.get(id(agreement))
        if found is None:
            found = owners_of(agreement)
            self._memory.keep(self._memory.owners, id(agreement), found, agreement)
        return found

    def _rules_of(self, agreement: Agreement) -> RuleSet:
        """Return the shipped rules with the agreement's own; if these cannot be used, nothing is allowed."""
        if not agreement.rules:
            return self._base
        found = self._memory.rules.get(id(agreement))
        if found is None:
            schema = self._base.schema
            try:
                own = read_own_rules(agreement.rules, agreement.id, schema)
                found = rule_set([*self._base.rules, *own], schema)
            except BadFile:
                found = rule_set([*read_rules(_CLOSED, agreement.id, schema), *self._base.rules], schema)
            self._memory.keep(self._memory.rules, id(agreement), found, agreement)
        return found
